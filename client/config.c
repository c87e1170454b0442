#include "client/config.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "client/nearest.h"
#include "depscan/watch.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifndef COFFER_SYSCONFDIR
#define COFFER_SYSCONFDIR "/etc"
#endif

enum { VALUE_MAX = 4096, SHOWN_MAX = 60 };

enum type { TYPE_bool, TYPE_size, TYPE_duration, TYPE_integer, TYPE_path, TYPE_words };

static const struct {
	const char *name, *type_name, *dflt, *help;
	enum type type;
	bool tree_ok;
} settings[SETTING_COUNT] = {
#define SETTING(id, type, dflt, tree_ok, text) {#id, #type, dflt, text, TYPE_##type, tree_ok},
#include "client/settings.def"
#undef SETTING
};

static const char *const setting_names[SETTING_COUNT] = {
#define SETTING(id, type, dflt, tree_ok, text) #id,
#include "client/settings.def"
#undef SETTING
};

// Limits of the numbers, in the setting's unit. A result is one blob in memory, hence the limit of max_output.
static const struct {
	int64_t min, max;
	const char *text;
} ranges[SETTING_COUNT] = {
	[SETTING_max_size] = {0, INT64_MAX, "0 or more"},
	[SETTING_compression] = {-7, 19, "-7 to 19"},
	[SETTING_max_output] = {0, (int64_t)1 << 30, "0 to 1G"},
	[SETTING_max_manifest_entries] = {1, 1024, "1 to 1024"},
	[SETTING_local_jobs] = {0, 100000, "0 to 100000"},
	[SETTING_remote_jobs] = {1, 100000, "1 to 100000"},
	[SETTING_remote_timeout] = {1000, 3600000, "1s to 1h"},
	[SETTING_idle_timeout] = {1, (int64_t)7 * 24 * 3600 * 1000, "1ms to 168h"},
};

const char *setting_name(enum setting s)
{
	return settings[s].name;
}

const char *setting_help(enum setting s)
{
	return settings[s].help;
}

const char *setting_type_name(enum setting s)
{
	return settings[s].type_name;
}

const char *setting_default(enum setting s)
{
	return settings[s].dflt;
}

bool setting_tree_ok(enum setting s)
{
	return settings[s].tree_ok;
}

const char *setting_env_name(struct arena *a, enum setting s)
{
	char *name = arena_printf(a, "COFFER_%s", settings[s].name);
	for (char *p = name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return name;
}

const char *process_env(void *unused, const char *name)
{
	(void)unused;
	return getenv(name);
}

// ---- values -------------------------------------------------------------------------------------------------------

struct unit {
	const char *suffix;
	int64_t factor;
};
static const struct unit size_units[] = {
	{"", 1},  {"K", (int64_t)1 << 10}, {"M", (int64_t)1 << 20}, {"G", (int64_t)1 << 30}, {"T", (int64_t)1 << 40},
	{NULL, 0}};
static const struct unit duration_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};

// "1.5G". By hand, because strtod takes "inf", "0x1p3" and the locale's decimal comma.
static bool parse_scaled(const char *s, const struct unit *units, int64_t *out)
{
	int64_t whole = 0, part = 0, part_of = 1;
	const char *p = s;
	for (; isdigit((unsigned char)*p); p++) {
		if (whole > INT64_MAX / 10 - 1)
			return false;
		whole = whole * 10 + (*p - '0');
	}
	if (p == s)
		return false;
	bool has_part = *p == '.';
	if (has_part) {
		const char *start = ++p;
		for (; isdigit((unsigned char)*p) && p - start < 6; p++) {
			part = part * 10 + (*p - '0');
			part_of *= 10;
		}
		if (p == start)
			return false;
	}
	for (; units->suffix; units++)
		if (strcasecmp(p, units->suffix) == 0)
			break;
	if (!units->suffix || (has_part && units->factor == 1) || whole > INT64_MAX / units->factor - 1)
		return false;
	*out = whole * units->factor + part * units->factor / part_of;
	return true;
}

static bool parse_integer(const char *s, int64_t *out)
{
	char *end;
	errno = 0;
	long long v = strtoll(s, &end, 10);
	*out = v;
	return end != s && !*end && errno == 0 && !isspace((unsigned char)*s);
}

static bool parse_bool(const char *s, int64_t *out)
{
	static const char *const words[][2] = {{"off", "on"}, {"false", "true"}, {"no", "yes"}, {"0", "1"}};
	for (size_t i = 0; i < COUNT_OF(words); i++)
		for (int value = 0; value < 2; value++)
			if (strcasecmp(s, words[i][value]) == 0) {
				*out = value;
				return true;
			}
	return false;
}

static bool parse_log_level(const char *s, int64_t *out)
{
	static const char *const levels[] = {[LOG_LEVEL_ERROR] = "error",
					     [LOG_LEVEL_WARN] = "warn",
					     [LOG_LEVEL_INFO] = "info",
					     [LOG_LEVEL_DEBUG] = "debug"};
	for (size_t i = 0; i < COUNT_OF(levels); i++)
		if (strcasecmp(s, levels[i]) == 0) {
			*out = (int64_t)i;
			return true;
		}
	return false;
}

// Returns NULL, or what the text should have been.
static const char *parse_value(enum setting s, const char *text, int64_t *number)
{
	*number = 0;
	switch (settings[s].type) {
	case TYPE_bool:
		return parse_bool(text, number) ? NULL : "on or off";
	case TYPE_size:
		return parse_scaled(text, size_units, number) ? NULL : "bytes, or a number with K, M, G or T";
	case TYPE_duration:
		return parse_scaled(text, duration_units, number) ? NULL : "a number with ms, s, m or h";
	case TYPE_integer:
		return parse_integer(text, number) ? NULL : "a whole number";
	case TYPE_path:
		return !*text || *text == '/' ? NULL : "an absolute path";
	case TYPE_words:
		break;
	}
	if (s == SETTING_log_level)
		return parse_log_level(text, number) ? NULL : "error, warn, info or debug";
	if (s == SETTING_watched_folders)
		return watch_folders_valid(text) ? NULL : "absolute folders with ':' between them, or off";
	return NULL;
}

// What a message may quote: one line, printable, not long.
static const char *shown(struct arena *a, const char *text)
{
	size_t n = strlen(text);
	char *out = arena_printf(a, "%.*s%s", SHOWN_MAX, text, n > SHOWN_MAX ? "..." : "");
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return out;
}

// `where` begins the error's text; `origin` is kept.
static int set_value(struct config *c, enum setting s, const char *text, const char *where, const char *origin,
		     struct err *err)
{
	struct setting_value v = {.origin = origin};
	if (strlen(text) > VALUE_MAX)
		return err_set(err, ERR_LIMIT, "%s: the value of '%s' is longer than %d bytes", where, settings[s].name,
			       VALUE_MAX);
	const char *want = parse_value(s, text, &v.number);
	if (!want && ranges[s].text && (v.number < ranges[s].min || v.number > ranges[s].max))
		want = ranges[s].text;
	if (want)
		return err_set(err, ERR_USAGE, "%s: '%s' can't be '%s'; it takes %s", where, settings[s].name,
			       shown(&c->arena, text), want);
	v.text = arena_strdup(&c->arena, text);
	c->values[s] = v;
	return 0;
}

static int find_setting(struct config *c, const char *name, const char *where, enum setting *out, struct err *err)
{
	for (enum setting s = 0; s < SETTING_COUNT; s++)
		if (strcmp(name, settings[s].name) == 0) {
			*out = s;
			return 0;
		}
	const char *near = nearest_word(name, setting_names, SETTING_COUNT);
	if (near)
		return err_set(err, ERR_USAGE, "%s: unknown setting '%s'; did you mean '%s'?", where, shown(&c->arena, name),
			       near);
	return err_set(err, ERR_USAGE, "%s: unknown setting '%s'", where, shown(&c->arena, name));
}

// ---- files --------------------------------------------------------------------------------------------------------

struct file_parse {
	struct config *config;
	const char *path;
	bool is_tree; // only tree_ok settings
	const char *at, *end;
	int line;
	int failed_line; // 0: none yet; then `err` is set
	struct err *err;
};

static int fail_line(struct file_parse *f, const char *text)
{
	f->failed_line = f->line;
	return err_set(f->err, ERR_FORMAT, "%s:%d: %s", f->path, f->line, text);
}

// Gives inih line after line (its ini_reader, like fgets). This way the lines are counted, and what inih would take
// silently is refused: sections, continuation lines, lines that are longer than its buffer.
static char *next_line(char *to, int room, void *ctx)
{
	struct file_parse *f = ctx;
	if (f->failed_line || f->at == f->end)
		return NULL;
	const char *line = f->at;
	const char *newline = memchr(line, '\n', (size_t)(f->end - line));
	size_t n = (size_t)((newline ? newline : f->end) - line);
	f->at = newline ? newline + 1 : f->end;
	f->line++;
	if (f->line == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
		line += 3;
		n -= 3;
	}
	for (; n && isspace((unsigned char)*line); line++)
		n--;
	if (n && *line == '[') {
		fail_line(f, "there are no sections here, only lines 'name = value'");
		return NULL;
	}
	if (memchr(line, '\0', n)) {
		fail_line(f, "there is a zero byte in the line");
		return NULL;
	}
	if (n + 2 > (size_t)room) {
		AUTO_FREE char *text = mem_printf("the line is longer than %d bytes", room - 2);
		fail_line(f, text);
		return NULL;
	}
	memcpy(to, line, n);
	to[n] = '\0';
	return to;
}

static int set_from_line(void *ctx, const char *section, const char *name, const char *value)
{
	struct file_parse *f = ctx;
	(void)section;
	if (f->failed_line)
		return 0;
	const char *where = arena_printf(&f->config->arena, "%s:%d", f->path, f->line);
	enum setting s = SETTING_COUNT;
	int rc = find_setting(f->config, name, where, &s, f->err);
	if (rc == 0 && f->is_tree && !settings[s].tree_ok)
		rc = err_set(f->err, ERR_USAGE, "%s: '%s' can't be set by a build tree, only by coffer.conf or %s", where,
			     settings[s].name, setting_env_name(&f->config->arena, s));
	if (rc == 0)
		rc = set_value(f->config, s, value, where, where, f->err);
	if (rc < 0)
		f->failed_line = f->line;
	return rc == 0;
}

static int check_owner(const char *path, const struct stat *st, struct err *err)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(err, ERR_ACCESS, "%s: it belongs to another user (uid %u), so it is not used", path,
			       (unsigned)st->st_uid);
	if (st->st_mode & S_IWOTH)
		return err_set(err, ERR_ACCESS, "%s: everybody can write it, so it is not used (chmod o-w)", path);
	return 0;
}

static int load_file(struct config *c, const char *path, bool is_tree, struct err *err)
{
	AUTO_BUF struct buf text = {.max = CONFIG_MAX_FILE + 1};
	struct stat st;
	struct err why = ERR_INIT;
	if (file_read(AT_FDCWD, path, CONFIG_MAX_FILE, &text, &st, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		return err_set(err, why.code, "%s: %s", path, why.text);
	}
	if (!is_tree && check_owner(path, &st, err) < 0)
		return -1;
	struct file_parse f = {.config = c, .path = path, .is_tree = is_tree, .err = err};
	f.at = text.data;
	f.end = text.data + text.len;
	int bad_line = ini_parse_stream(next_line, &f, set_from_line, &f);
	// inih goes on after a line that it does not understand, so that ours may be a later one.
	if (bad_line > 0 && (!f.failed_line || bad_line < f.failed_line)) {
		f.line = bad_line;
		return fail_line(&f, "this is not a line 'name = value'");
	}
	return f.failed_line ? -1 : 0;
}

char *config_user_file(struct arena *a, env_fn env, void *ctx)
{
	const char *named = env(ctx, "COFFER_CONFIG");
	if (named)
		return *named ? arena_strdup(a, named) : NULL;
	const char *xdg = env(ctx, "XDG_CONFIG_HOME");
	if (xdg && *xdg == '/')
		return path_join(a, xdg, "coffer/coffer.conf");
	const char *home = env(ctx, "HOME");
	return home && *home == '/' ? path_join(a, home, ".config/coffer/coffer.conf") : NULL;
}

static int load_files(struct config *c, const struct config_source *src, struct err *err)
{
	const char *system_file = src->system_file ? src->system_file : COFFER_SYSCONFDIR "/coffer/coffer.conf";
	if (load_file(c, system_file, false, err) < 0)
		return -1;
	const char *user_file = config_user_file(&c->arena, src->env, src->env_ctx);
	if (user_file && load_file(c, user_file, false, err) < 0)
		return -1;
	if (!src->tree)
		return 0;
	return load_file(c, path_join(&c->arena, src->tree, CONFIG_TREE_FILE), true, err);
}

// ---- the rest -----------------------------------------------------------------------------------------------------

static int load_environment(struct config *c, const struct config_source *src, struct err *err)
{
	for (enum setting s = 0; s < SETTING_COUNT; s++) {
		const char *name = setting_env_name(&c->arena, s);
		const char *text = src->env(src->env_ctx, name);
		if (text && *text && set_value(c, s, text, name, "environment", err) < 0)
			return -1;
	}
	return 0;
}

static int load_words(struct config *c, const char *const *words, struct err *err)
{
	for (; words && *words; words++) {
		const char *equals = strchr(*words, '=');
		if (!equals)
			return err_set(err, ERR_USAGE, "--set: '%s' is not 'name=value'", shown(&c->arena, *words));
		enum setting s = SETTING_COUNT;
		if (find_setting(c, arena_strndup(&c->arena, *words, (size_t)(equals - *words)), "--set", &s, err) < 0 ||
		    set_value(c, s, equals + 1, "--set", "command line", err) < 0)
			return -1;
	}
	return 0;
}

static int load_defaults(struct config *c, struct err *err)
{
	for (enum setting s = 0; s < SETTING_COUNT; s++)
		if (set_value(c, s, settings[s].dflt, "default", "default", err) < 0)
			return -1;
	return 0;
}

int config_load(struct config *c, const struct config_source *src, struct err *err)
{
	*c = (struct config){.arena = ARENA_INIT};
	if (load_defaults(c, err) == 0 && load_files(c, src, err) == 0 && load_environment(c, src, err) == 0 &&
	    load_words(c, src->set, err) == 0)
		return 0;
	config_release(c);
	return -1;
}

void config_release(struct config *c)
{
	arena_release(&c->arena);
	*c = (struct config){.arena = ARENA_INIT};
}

char *config_cache_dir(struct arena *a, env_fn env, void *ctx)
{
	const char *named = env(ctx, "COFFER_CACHE_DIR");
	if (named && *named)
		return *named == '/' ? path_tidy(a, named) : NULL;
	const char *xdg = env(ctx, "XDG_CACHE_HOME");
	if (xdg && *xdg == '/')
		return path_tidy(a, path_join(a, xdg, "coffer"));
	const char *home = env(ctx, "HOME");
	return home && *home == '/' ? path_tidy(a, path_join(a, home, ".cache/coffer")) : NULL;
}

static bool is_tree_root(struct arena *a, const char *dir)
{
	static const char *const marks[] = {".git", ".hg", ".svn", ".jj"};
	for (size_t i = 0; i < COUNT_OF(marks); i++)
		if (access(path_join(a, dir, marks[i]), F_OK) == 0)
			return true;
	return false;
}

char *config_find_tree(struct arena *a, const char *cwd)
{
	char *start = path_tidy(a, cwd);
	for (char *dir = start; dir[0] == '/' && dir[1]; dir = path_dir(a, dir))
		if (is_tree_root(a, dir))
			return dir;
	return start;
}

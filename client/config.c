#include "client/config.h"

#include "base/log.h"
#include "base/path.h"
#include "base/value.h"
#include "settings/conf.h"
#include "settings/nearest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef COFFER_SYSCONFDIR
#define COFFER_SYSCONFDIR "/etc"
#endif

enum type { TYPE_bool, TYPE_size, TYPE_duration, TYPE_integer, TYPE_path, TYPE_words };

static const struct {
	const char *name, *type_name, *dflt, *help;
	enum type type;
	bool tree_ok;
} settings[SETTING_COUNT] = {
#define SETTING(id, type, dflt, tree_ok, text) {#id, #type, dflt, text, TYPE_##type, tree_ok},
#include "client/wire/settings.def"
#undef SETTING
};

static const char *const setting_names[SETTING_COUNT] = {
#define SETTING(id, type, dflt, tree_ok, text) #id,
#include "client/wire/settings.def"
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

// Returns NULL, or what the text should have been.
static const char *parse_value(enum setting s, const char *text, int64_t *number)
{
	static const enum value_type types[] = {
		[TYPE_bool] = VALUE_BOOL,       [TYPE_size] = VALUE_SIZE, [TYPE_duration] = VALUE_DURATION,
		[TYPE_integer] = VALUE_INTEGER, [TYPE_path] = VALUE_PATH, [TYPE_words] = VALUE_TEXT,
	};
	if (s == SETTING_log_level)
		return value_parse(VALUE_CHOICE, "error|warn|info|debug", text, number) ? "error, warn, info or debug"
											: NULL;
	if (s == SETTING_watched_folders && *text && strcmp(text, "off") != 0 && !path_list_is_absolute(text))
		return "absolute folders with ':' between them, or off";
	if (settings[s].type == TYPE_path && *text && *text != '/')
		return "an absolute path";
	return value_parse(types[settings[s].type], NULL, text, number);
}

// `where` begins the error's text; `origin` is kept.
static int set_value(struct config *c, enum setting s, const char *text, const char *where, const char *origin,
		     struct err *err)
{
	struct setting_value v = {.origin = origin};
	if (strlen(text) > VALUE_MAX_TEXT)
		return err_set(err, ERR_LIMIT, "%s: the value of '%s' is longer than %d bytes", where, settings[s].name,
			       VALUE_MAX_TEXT);
	const char *want = parse_value(s, text, &v.number);
	if (!want && ranges[s].text && (v.number < ranges[s].min || v.number > ranges[s].max))
		want = ranges[s].text;
	if (want)
		return err_set(err, ERR_USAGE, "%s: '%s' can't be '%s'; it takes %s", where, settings[s].name,
			       value_shown(&c->arena, text), want);
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
		return err_set(err, ERR_USAGE, "%s: unknown setting '%s'; did you mean '%s'?", where,
			       value_shown(&c->arena, name), near);
	return err_set(err, ERR_USAGE, "%s: unknown setting '%s'", where, value_shown(&c->arena, name));
}

// ---- files --------------------------------------------------------------------------------------------------------

struct file_parse {
	struct config *config;
	bool is_tree; // only tree_ok settings
};

static int set_from_line(void *ctx, const struct conf_line *line, struct err *err)
{
	const struct file_parse *f = ctx;
	const char *where = arena_strdup(&f->config->arena, line->where);
	enum setting s = SETTING_COUNT;
	if (find_setting(f->config, line->name, where, &s, err) < 0)
		return -1;
	if (f->is_tree && !settings[s].tree_ok)
		return err_set(err, ERR_USAGE, "%s: '%s' can't be set by a build tree, only by coffer.conf or %s", where,
			       settings[s].name, setting_env_name(&f->config->arena, s));
	return set_value(f->config, s, line->value, where, where, err);
}

static int load_file(struct config *c, const char *path, bool is_tree, struct err *err)
{
	struct file_parse f = {.config = c, .is_tree = is_tree};
	struct err why = ERR_INIT;
	// Whoever has a tree may have its settings, too: they can do no harm.
	int rc = is_tree ? conf_read_any(path, false, set_from_line, &f, &why)
			 : conf_read(path, false, set_from_line, &f, &why);
	if (rc == 0 || why.code == ERR_NOT_FOUND)
		return 0;
	*err = why;
	return -1;
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
			return err_set(err, ERR_USAGE, "--set: '%s' is not 'name=value'", value_shown(&c->arena, *words));
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

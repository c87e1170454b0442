#include "settings/settings.h"

#include "base/path.h"
#include "settings/conf.h"
#include "settings/nearest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORDS = 1024 };

const char *process_env(void *unused, const char *name)
{
	(void)unused;
	return getenv(name);
}

const char *setting_variable(struct arena *a, const struct setting_table *t, const char *name)
{
	char *variable = arena_printf(a, "%s%s", t->env_prefix, name);
	for (char *p = variable; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return variable;
}

const char *setting_nearest(const struct setting_table *t, const char *name)
{
	AUTO_FREE const char **known = mem_alloc((t->n + 1) * sizeof *known);
	for (size_t i = 0; i < t->n; i++)
		known[i] = t->defs[i].name;
	return nearest_word(name, known, t->n);
}

// ---- values -------------------------------------------------------------------------------------------------------

static int add_words(struct settings *s, size_t id, const char *text, struct setting_value *v, const char *where,
		     struct err *err)
{
	const struct setting_value *old = &s->values[id];
	size_t n = 0, room = strlen(text) / 2 + 2;
	while (old->words && old->source == s->source && old->words[n])
		n++;
	const char **words = arena_alloc(&s->arena, (n + room) * sizeof *words);
	if (n)
		memcpy(words, old->words, n * sizeof *words);
	v->text = n ? arena_printf(&s->arena, "%s %s", old->text, text) : v->text;
	for (const char *p = text + strspn(text, " \t,"); *p; p += strspn(p, " \t,")) {
		size_t len = strcspn(p, " \t,");
		if (n == MAX_WORDS)
			return err_set(err, ERR_LIMIT, "%s: '%s' has more than %d words", where, s->table->defs[id].name,
				       MAX_WORDS);
		words[n++] = arena_strndup(&s->arena, p, len);
		p += len;
	}
	v->words = words;
	return 0;
}

// "a|b|c" as "a, b or c".
static const char *choices_text(struct arena *a, const char *choices)
{
	const char *out = "";
	while (*choices) {
		size_t n = strcspn(choices, "|");
		bool is_last = !choices[n];
		out = arena_printf(a, "%s%s%.*s", out, !*out ? "" : is_last ? " or " : ", ", (int)n, choices);
		choices += n + !is_last;
	}
	return out;
}

static const char *range_text(struct arena *a, const struct setting_def *d)
{
	if (d->max == INT64_MAX)
		return arena_printf(a, "%s or more", value_text(a, d->type, d->min));
	return arena_printf(a, "%s to %s", value_text(a, d->type, d->min), value_text(a, d->type, d->max));
}

static int set_value(struct settings *s, size_t id, const char *text, const char *where, const char *origin, struct err *err)
{
	struct arena *a = &s->arena;
	const struct setting_def *d = &s->table->defs[id];
	struct setting_value v = {.origin = origin, .source = s->source};
	if (strlen(text) > VALUE_MAX_TEXT)
		return err_set(err, ERR_LIMIT, "%s: the value of '%s' is longer than %d bytes", where, d->name,
			       VALUE_MAX_TEXT);
	const char *want = value_parse(d->type, d->choices, text, &v.number);
	if (want && d->type == VALUE_CHOICE)
		want = choices_text(a, d->choices);
	if (!want && (d->min || d->max) && (v.number < d->min || v.number > d->max))
		want = range_text(a, d);
	if (want)
		return err_set(err, ERR_USAGE, "%s: '%s' can't be '%s'; it takes %s", where, d->name, value_shown(a, text),
			       want);
	v.text = d->type == VALUE_PATH && *text ? path_tidy(a, path_join(a, s->directory, text)) : arena_strdup(a, text);
	if (d->type == VALUE_LIST && add_words(s, id, text, &v, where, err) < 0)
		return -1;
	s->values[id] = v;
	return 0;
}

static int find_setting(struct settings *s, const char *name, const char *where, size_t *id, struct err *err)
{
	for (*id = 0; *id < s->table->n; ++*id)
		if (strcmp(name, s->table->defs[*id].name) == 0)
			return 0;
	const char *near = setting_nearest(s->table, name), *shown = value_shown(&s->arena, name);
	if (near)
		return err_set(err, ERR_USAGE, "%s: unknown setting '%s'; did you mean '%s'?", where, shown, near);
	return err_set(err, ERR_USAGE, "%s: unknown setting '%s'", where, shown);
}

int settings_set(struct settings *s, const char *name, const char *text, const char *where, const char *origin,
		 struct err *err)
{
	size_t id;
	return find_setting(s, name, where, &id, err) < 0 ? -1 : set_value(s, id, text, where, origin, err);
}

// ---- sources ------------------------------------------------------------------------------------------------------

int settings_begin(struct settings *s, const struct setting_table *t, struct err *err)
{
	*s = (struct settings){.arena = ARENA_INIT, .table = t};
	AUTO_FREE char *cwd = getcwd(NULL, 0);
	s->directory = arena_strdup(&s->arena, cwd ? cwd : "/");
	s->values = arena_alloc(&s->arena, t->n * sizeof *s->values);
	for (size_t i = 0; i < t->n; i++)
		if (set_value(s, i, t->defs[i].dflt, "default", "default", err) < 0)
			return -1;
	return 0;
}

void settings_release(struct settings *s)
{
	arena_release(&s->arena);
	*s = (struct settings){.arena = ARENA_INIT};
}

void settings_next_source(struct settings *s)
{
	s->source++;
}

static int take_line(void *ctx, const struct conf_line *line, struct err *err)
{
	struct settings *s = ctx;
	const char *where = arena_strdup(&s->arena, line->where);
	return settings_set(s, line->name, line->value, where, where, err);
}

static int take_tree_line(void *ctx, const struct conf_line *line, struct err *err)
{
	struct settings *s = ctx;
	size_t id;
	if (find_setting(s, line->name, line->where, &id, err) < 0)
		return -1;
	if (!s->table->defs[id].is_harmless)
		return err_set(err, ERR_USAGE, "%s: '%s' can't be set by a build tree, only by %s or %s", line->where,
			       line->name, path_base(s->table->file), setting_variable(&s->arena, s->table, line->name));
	return take_line(ctx, line, err);
}

int settings_add_file(struct settings *s, const char *path, struct err *err)
{
	const char *cwd = s->directory;
	s->directory = path_dir(&s->arena, path);
	settings_next_source(s);
	int rc = conf_read(path, false, take_line, s, err);
	s->directory = cwd;
	return rc;
}

int settings_add_tree_file(struct settings *s, const char *path, struct err *err)
{
	settings_next_source(s);
	return conf_read_any(path, false, take_tree_line, s, err);
}

int settings_add_environment(struct settings *s, env_fn env, void *ctx, const char *origin, struct err *err)
{
	settings_next_source(s);
	for (size_t i = 0; i < s->table->n; i++) {
		const char *name = setting_variable(&s->arena, s->table, s->table->defs[i].name);
		const char *text = env(ctx, name);
		if (text && *text && set_value(s, i, text, name, origin ? origin : name, err) < 0)
			return -1;
	}
	return 0;
}

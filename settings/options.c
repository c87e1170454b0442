#include "settings/options.h"

#include "settings/nearest.h"

#include "base/path.h"
#include "settings/conf.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORDS = 1024, HELP_COLUMN = 34 };

struct load {
	struct options *o;
	const struct option_table *t;
	option_env_fn env;
	void *env_ctx;
	const char *directory; // where names of files that are being read begin
	int source;            // counts files, variables and flags, so that lists know what they add to
	int *list_source;
	const char *config; // what --config says
};

const char *option_process_env(void *unused, const char *name)
{
	(void)unused;
	return getenv(name);
}

static char *flag_of(struct arena *a, const char *name)
{
	char *flag = arena_strdup(a, name);
	for (char *p = flag; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return flag;
}

static const char *variable_of(struct arena *a, const struct option_table *t, const char *name)
{
	char *variable = arena_printf(a, "%s%s", t->env_prefix, name);
	for (char *p = variable; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return variable;
}

// ---- values -------------------------------------------------------------------------------------------------------

static int add_words(struct load *l, int id, const char *text, struct option_value *v, struct err *err)
{
	struct arena *a = &l->o->arena;
	const struct option_value *old = &l->o->values[id];
	size_t n = 0, room = strlen(text) / 2 + 2;
	while (l->list_source[id] == l->source && old->words[n])
		n++;
	const char **words = arena_alloc(a, (n + room) * sizeof *words);
	if (n)
		memcpy(words, old->words, n * sizeof *words);
	v->text = n ? arena_printf(a, "%s %s", old->text, text) : v->text;
	for (const char *p = text + strspn(text, " \t,"); *p; p += strspn(p, " \t,")) {
		size_t len = strcspn(p, " \t,");
		if (n == MAX_WORDS)
			return err_set(err, ERR_LIMIT, "%s: '%s' has more than %d words", v->origin, l->t->defs[id].name,
				       MAX_WORDS);
		words[n++] = arena_strndup(a, p, len);
		p += len;
	}
	v->words = words;
	l->list_source[id] = l->source;
	return 0;
}

static const char *range_text(struct arena *a, const struct option_def *d)
{
	if (d->max == INT64_MAX)
		return arena_printf(a, "%s or more", value_text(a, d->type, d->min));
	return arena_printf(a, "%s to %s", value_text(a, d->type, d->min), value_text(a, d->type, d->max));
}

static int set_value(struct load *l, int id, const char *text, const char *origin, struct err *err)
{
	struct arena *a = &l->o->arena;
	const struct option_def *d = &l->t->defs[id];
	struct option_value v = {.text = arena_strdup(a, text), .origin = origin};
	if (strlen(text) > VALUE_MAX_TEXT)
		return err_set(err, ERR_LIMIT, "%s: the value of '%s' is longer than %d bytes", origin, d->name,
			       VALUE_MAX_TEXT);
	const char *want = value_parse(d->type, d->choices, text, &v.number);
	if (!want && (d->min || d->max) && (v.number < d->min || v.number > d->max))
		want = range_text(a, d);
	if (want)
		return err_set(err, ERR_USAGE, "%s: '%s' can't be '%s'; it takes %s", origin, d->name, value_shown(a, text),
			       want);
	if (d->type == VALUE_LIST && add_words(l, id, text, &v, err) < 0)
		return -1;
	if (d->type == VALUE_PATH && *text)
		v.text = path_tidy(a, path_join(a, l->directory, text));
	l->o->values[id] = v;
	return 0;
}

static int find_option(const struct load *l, const char *name)
{
	for (size_t i = 0; i < l->t->n; i++)
		if (strcmp(l->t->defs[i].name, name) == 0)
			return (int)i;
	return -1;
}

// ---- where they come from -------------------------------------------------------------------------------------------

static int load_defaults(struct load *l, struct err *err)
{
	for (size_t i = 0; i < l->t->n; i++)
		if (set_value(l, (int)i, l->t->defs[i].dflt, "default", err) < 0)
			return -1;
	return 0;
}

enum { MAX_NEAREST = 128 };

// "; did you mean 'listen'?", or "". A flag's '-' stand for the '_' of a setting.
static const char *did_you_mean(struct load *l, const char *word, bool is_flag)
{
	const char *known[MAX_NEAREST];
	struct arena *a = &l->o->arena;
	char *name = arena_strdup(a, is_flag ? word + strspn(word, "-") : word);
	size_t n = 0;
	for (; n < l->t->n && n < MAX_NEAREST; n++)
		known[n] = l->t->defs[n].name;
	for (char *p = name; is_flag && *p; p++)
		*p = *p == '-' ? '_' : *p;
	name[strcspn(name, "=")] = '\0';
	const char *near = strlen(name) <= 64 ? nearest_word(name, known, n) : NULL;
	if (!near)
		return "";
	char *shown = arena_printf(a, "; did you mean '%s%s'?", is_flag ? "--" : "", near);
	for (char *p = shown; is_flag && *p; p++)
		*p = *p == '_' ? '-' : *p;
	return shown;
}

static int take_line(void *ctx, const struct conf_line *line, struct err *err)
{
	struct load *l = ctx;
	struct arena *a = &l->o->arena;
	int id = find_option(l, line->name);
	if (id < 0)
		return err_set(err, ERR_USAGE, "%s: unknown setting '%s'%s", line->where, value_shown(a, line->name),
			       did_you_mean(l, line->name, false));
	return set_value(l, id, line->value, arena_strdup(a, line->where), err);
}

static int load_file(struct load *l, struct err *err)
{
	struct arena *a = &l->o->arena;
	const char *named = l->config;
	if (!named)
		named = l->env(l->env_ctx, variable_of(a, l->t, "config"));
	if (named && !*named)
		return 0;
	const char *cwd = l->directory, *file = named ? path_tidy(a, path_join(a, cwd, named)) : l->t->file;
	l->source++;
	l->directory = path_dir(a, file);
	struct err why = ERR_INIT;
	int rc = conf_read(file, false, take_line, l, &why);
	l->directory = cwd;
	if (rc == 0 || (!named && why.code == ERR_NOT_FOUND))
		return 0;
	if (err)
		*err = why;
	return -1;
}

static int load_environment(struct load *l, struct err *err)
{
	l->source++;
	for (size_t i = 0; i < l->t->n; i++) {
		const char *name = variable_of(&l->o->arena, l->t, l->t->defs[i].name);
		const char *text = l->env(l->env_ctx, name);
		if (text && *text && set_value(l, (int)i, text, name, err) < 0)
			return -1;
	}
	return 0;
}

// Finds the words, which are set only after file and environment have been read.
struct flags {
	struct option *all; // as of getopt_long(3); val is the option's id + 1
	const char **texts; // what was given, in order
	int *ids;
	int n;
};
enum { FLAG_CONFIG = 0x10000, FLAG_HELP };

static void make_flags(struct load *l, struct flags *f, int argc)
{
	struct arena *a = &l->o->arena;
	f->all = arena_alloc(a, (l->t->n + 3) * sizeof *f->all);
	f->texts = arena_alloc(a, (size_t)argc * sizeof *f->texts);
	f->ids = arena_alloc(a, (size_t)argc * sizeof *f->ids);
	for (size_t i = 0; i < l->t->n; i++) {
		int takes = l->t->defs[i].type == VALUE_BOOL ? optional_argument : required_argument;
		f->all[i] = (struct option){flag_of(a, l->t->defs[i].name), takes, NULL, (int)i + 1};
	}
	f->all[l->t->n] = (struct option){"config", required_argument, NULL, FLAG_CONFIG};
	f->all[l->t->n + 1] = (struct option){"help", no_argument, NULL, FLAG_HELP};
}

// "--paranoid on": a switch takes its value with a '=' only.
static int unexpected(struct load *l, const struct flags *f, const char *word, struct err *err)
{
	const struct option_def *last = f->n ? &l->t->defs[f->ids[f->n - 1]] : NULL;
	const char *shown = value_shown(&l->o->arena, word);
	int64_t number;
	if (last && last->type == VALUE_BOOL && !value_parse(VALUE_BOOL, NULL, word, &number))
		return err_set(err, ERR_USAGE, "unexpected word '%s'; with a '=' it would be the value of '%s'", shown,
			       last->name);
	return err_set(err, ERR_USAGE, "unexpected word '%s'", shown);
}

static int read_flags(struct load *l, struct flags *f, int argc, char **argv, struct err *err)
{
	make_flags(l, f, argc);
	opterr = 0;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "+:h", f->all, NULL)) != -1;) {
		const char *word = argv[optind > 0 ? optind - 1 : 0];
		if (c == FLAG_HELP || c == 'h')
			return 1;
		if (c == ':')
			return err_set(err, ERR_USAGE, "the option '%s' needs a value", value_shown(&l->o->arena, word));
		if (c == '?' && optopt > 0 && optopt < 0x80 && strncmp(word, "--", 2) != 0)
			return err_set(err, ERR_USAGE, "unknown option '-%c'", optopt);
		if (c == '?')
			return err_set(err, ERR_USAGE, "unknown option '%s'%s", value_shown(&l->o->arena, word),
				       did_you_mean(l, word, true));
		if (c == FLAG_CONFIG) {
			l->config = optarg;
			continue;
		}
		f->ids[f->n] = c - 1;
		f->texts[f->n++] = optarg ? optarg : "on";
	}
	if (optind < argc)
		return unexpected(l, f, argv[optind], err);
	return 0;
}

static int load_flags(struct load *l, const struct flags *f, struct err *err)
{
	l->source++;
	for (int i = 0; i < f->n; i++) {
		const char *flag = arena_printf(&l->o->arena, "--%s", f->all[f->ids[i]].name);
		if (set_value(l, f->ids[i], f->texts[i], flag, err) < 0)
			return -1;
	}
	return 0;
}

int options_load(struct options *o, const struct option_table *t, int argc, char **argv, option_env_fn env, void *ctx,
		 struct err *err)
{
	*o = (struct options){.arena = ARENA_INIT};
	AUTO_FREE char *cwd = getcwd(NULL, 0);
	struct load l = {
		.o = o, .t = t, .env = env ? env : option_process_env, .env_ctx = ctx, .directory = cwd ? cwd : "/"};
	o->values = arena_alloc(&o->arena, t->n * sizeof *o->values);
	l.list_source = arena_alloc(&o->arena, t->n * sizeof *l.list_source);
	for (size_t i = 0; i < t->n; i++)
		l.list_source[i] = -1;
	struct flags flags = {0};
	int rc = read_flags(&l, &flags, argc, argv, err);
	if (rc == 0 && load_defaults(&l, err) == 0 && load_file(&l, err) == 0 && load_environment(&l, err) == 0 &&
	    load_flags(&l, &flags, err) == 0)
		return 0;
	options_release(o);
	return rc == 1 ? 1 : -1;
}

void options_release(struct options *o)
{
	arena_release(&o->arena);
	*o = (struct options){.arena = ARENA_INIT};
}

// ---- --help -----------------------------------------------------------------------------------------------------------

static void help_line(struct buf *out, struct arena *a, const struct option_def *d)
{
	const char *takes = d->type == VALUE_CHOICE ? d->choices : value_type_word(d->type);
	const char *left = arena_printf(a, d->type == VALUE_BOOL ? "--%s[=%s]" : "--%s %s", flag_of(a, d->name), takes);
	if (strlen(left) > HELP_COLUMN - 4)
		buf_addf(out, "  %s\n%*s%s", left, HELP_COLUMN, "", d->help);
	else
		buf_addf(out, "  %-*s%s", HELP_COLUMN - 2, left, d->help);
	if (*d->dflt)
		buf_addf(out, " (%s)", d->dflt);
	buf_addc(out, '\n');
}

void options_help(const struct option_table *t, struct buf *out)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	buf_addf(out, "usage: %s [OPTION]...\n\n%s\n\n", t->program, t->about);
	for (size_t i = 0; i < t->n; i++)
		help_line(out, &a, &t->defs[i]);
	static const struct option_def config = {"config", VALUE_PATH, "",  "read this file, and not the usual one",
						 0,        0,          NULL};
	help_line(out, &a, &config);
	if (!t->n)
		return;
	buf_addf(out, "\nEach is also a line '%s = ...' in %s and, before that, the variable %s;\n", t->defs[0].name,
		 t->file, variable_of(&a, t, t->defs[0].name));
	buf_adds(out, "an option wins over both. Defaults are in brackets.\n");
}

static const char *advice(const struct err *err)
{
	switch (err->sys) {
	case EADDRINUSE:
		return "something listens there already, perhaps another one of this; 'ss -ltnp' shows what";
	case EADDRNOTAVAIL:
		return "'listen' takes an address of this machine; 0.0.0.0 and [::] are all of them";
	case EACCES:
		return "is it run as the right user? 'ls -l' shows whose the file is";
	case ENOENT:
		return "names in a configuration file begin in its folder, others in the working directory";
	default:
		return NULL;
	}
}

int options_fail(const struct option_table *t, const struct err *err)
{
	const char *verb = strrchr(t->program, ' ') ? strrchr(t->program, ' ') + 1 : t->program, *more = advice(err);
	fprintf(stderr, "coffer: %s: %s\n", verb, err->text);
	if (err->code == ERR_USAGE)
		fprintf(stderr, "coffer: 'coffer help %s' shows what it takes\n", verb);
	else if (more)
		fprintf(stderr, "coffer: %s\n", more);
	return err->code == ERR_USAGE ? 2 : 1;
}

#include "settings/flags.h"

#include "base/path.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 34 };

// What the command line says. It is read first, since it names the file, and counts last.
struct flags {
	struct option *all; // as of getopt_long(3); val is FLAG_FIRST and the setting's place in the table
	const char **texts; // what was given, in order
	int *ids;
	int n;
	const char *config; // what --config says
};
// Numbers of flags, above all characters: getopt_long(3) answers '?' and ':' as well.
enum { FLAG_FIRST = 0x1000, FLAG_CONFIG = 0x10000, FLAG_HELP };

static char *flag_of(struct arena *a, const char *name)
{
	char *flag = arena_strdup(a, name);
	for (char *p = flag; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return flag;
}

static void make_flags(struct arena *a, const struct setting_table *t, struct flags *f, int argc)
{
	f->all = arena_alloc(a, (t->n + 3) * sizeof *f->all);
	f->texts = arena_alloc(a, (size_t)argc * sizeof *f->texts);
	f->ids = arena_alloc(a, (size_t)argc * sizeof *f->ids);
	for (size_t i = 0; i < t->n; i++) {
		int takes = t->defs[i].type == VALUE_BOOL ? optional_argument : required_argument;
		f->all[i] = (struct option){flag_of(a, t->defs[i].name), takes, NULL, FLAG_FIRST + (int)i};
	}
	f->all[t->n] = (struct option){"config", required_argument, NULL, FLAG_CONFIG};
	f->all[t->n + 1] = (struct option){"help", no_argument, NULL, FLAG_HELP};
}

// "unknown option '--lisen'; did you mean '--listen'?"
static int unknown_flag(struct arena *a, const struct setting_table *t, const char *word, struct err *err)
{
	char *name = arena_strndup(a, word + strspn(word, "-"), strcspn(word + strspn(word, "-"), "="));
	for (char *p = name; *p; p++)
		*p = *p == '-' ? '_' : *p;
	const char *near = setting_nearest(t, name), *shown = value_shown(a, word);
	if (near)
		return err_set(err, ERR_USAGE, "unknown option '%s'; did you mean '--%s'?", shown, flag_of(a, near));
	return err_set(err, ERR_USAGE, "unknown option '%s'", shown);
}

// "--paranoid on": a switch takes its value with a '=' only.
static int unexpected(struct arena *a, const struct setting_table *t, const struct flags *f, const char *word,
		      struct err *err)
{
	const struct setting_def *last = f->n ? &t->defs[f->ids[f->n - 1]] : NULL;
	const char *shown = value_shown(a, word);
	int64_t number;
	if (last && last->type == VALUE_BOOL && !value_parse(VALUE_BOOL, NULL, word, &number))
		return err_set(err, ERR_USAGE, "unexpected word '%s'; with a '=' it would be the value of '%s'", shown,
			       last->name);
	return err_set(err, ERR_USAGE, "unexpected word '%s'", shown);
}

// 0, 1 for --help, -1.
static int read_flags(struct arena *a, const struct setting_table *t, struct flags *f, int argc, char **argv,
		      struct err *err)
{
	make_flags(a, t, f, argc);
	opterr = 0;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "+:h", f->all, NULL)) != -1;) {
		const char *word = argv[optind > 0 ? optind - 1 : 0];
		if (c == FLAG_HELP || c == 'h')
			return 1;
		if (c == ':')
			return err_set(err, ERR_USAGE, "the option '%s' needs a value", value_shown(a, word));
		if (c == '?' && optopt > 0 && optopt < 0x80 && strncmp(word, "--", 2) != 0)
			return err_set(err, ERR_USAGE, "unknown option '-%c'", optopt);
		if (c == '?')
			return unknown_flag(a, t, word, err);
		if (c == FLAG_CONFIG) {
			f->config = optarg;
			continue;
		}
		f->ids[f->n] = c - FLAG_FIRST;
		f->texts[f->n++] = optarg ? optarg : "on";
	}
	if (optind < argc)
		return unexpected(a, t, f, argv[optind], err);
	return 0;
}

static int add_file(struct settings *s, const struct flags *f, env_fn env, void *ctx, struct err *err)
{
	const char *named = f->config ? f->config : env(ctx, setting_variable(&s->arena, s->table, "config"));
	if (named && !*named)
		return 0;
	const char *file = named ? path_tidy(&s->arena, path_join(&s->arena, s->directory, named)) : s->table->file;
	struct err why = ERR_INIT;
	if (settings_add_file(s, file, &why) == 0 || (!named && why.code == ERR_NOT_FOUND))
		return 0;
	return err_take(err, &why);
}

static int add_flags(struct settings *s, const struct flags *f, struct err *err)
{
	settings_next_source(s);
	for (int i = 0; i < f->n; i++) {
		const char *flag = arena_printf(&s->arena, "--%s", f->all[f->ids[i]].name);
		if (settings_set(s, s->table->defs[f->ids[i]].name, f->texts[i], flag, flag, err) < 0)
			return -1;
	}
	return 0;
}

int flags_load(struct settings *s, const struct setting_table *t, int argc, char **argv, env_fn env, void *ctx,
	       struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct flags f = {0};
	*s = (struct settings){.arena = ARENA_INIT};
	int rc = read_flags(&a, t, &f, argc, argv, err);
	if (rc != 0)
		return rc;
	env = env ? env : process_env;
	if (settings_begin(s, t, err) == 0 && add_file(s, &f, env, ctx, err) == 0 &&
	    settings_add_environment(s, env, ctx, NULL, err) == 0 && add_flags(s, &f, err) == 0)
		return 0;
	settings_release(s);
	return -1;
}

// ---- --help -----------------------------------------------------------------------------------------------------------

static void help_line(struct buf *out, struct arena *a, const struct setting_def *d)
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

void flags_help(const struct setting_table *t, struct buf *out)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	buf_addf(out, "usage: %s [OPTION]...\n\n%s\n\n", t->program, t->about);
	for (size_t i = 0; i < t->n; i++)
		help_line(out, &a, &t->defs[i]);
	static const struct setting_def config =
		SETTING_DEF(config, VALUE_PATH, "", 0, 0, NULL, false, "read this file, and not the usual one");
	help_line(out, &a, &config);
	if (!t->n)
		return;
	buf_addf(out, "\nEach is also a line '%s = ...' in %s and, before that, the variable %s;\n", t->defs[0].name,
		 t->file, setting_variable(&a, t, t->defs[0].name));
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

int flags_fail(const struct setting_table *t, const struct err *err)
{
	const char *verb = strrchr(t->program, ' ') ? strrchr(t->program, ' ') + 1 : t->program, *more = advice(err);
	fprintf(stderr, "coffer: %s: %s\n", verb, err->text);
	if (err->code == ERR_USAGE)
		fprintf(stderr, "coffer: 'coffer help %s' shows what it takes\n", verb);
	else if (more)
		fprintf(stderr, "coffer: %s\n", more);
	return err->code == ERR_USAGE ? 2 : 1;
}

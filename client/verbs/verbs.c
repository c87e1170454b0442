#include "client/verbs/verbs.h"

#include "base/buf.h"
#include "base/path.h"
#include "settings/nearest.h"
#include "store/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct verb verbs[] = {
#define VERB_AS(name, typed, text) {typed, text, verb_##name},
#include "client/wire/verbs.def"
#undef VERB_AS
};

static const char *const verb_names[] = {
#define VERB_AS(name, typed, text) typed,
#include "client/wire/verbs.def"
#undef VERB_AS
};

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

const struct verb *verb_next(size_t *at)
{
	return *at < COUNT_OF(verbs) ? &verbs[(*at)++] : NULL;
}

int verb_unknown(const char *name)
{
	const char *what = name[0] == '-' ? "option" : "verb";
	const char *near = nearest_word(name, verb_names, COUNT_OF(verb_names));
	if (near)
		fprintf(stderr, "coffer: unknown %s '%s'; did you mean '%s'?\n", what, name, near);
	else
		fprintf(stderr, "coffer: unknown %s '%s'\n", what, name);
	fprintf(stderr, "coffer: 'coffer help' lists them all\n");
	return 2;
}

int verb_wrong(const char *verb, const char *fmt, ...)
{
	fprintf(stderr, "coffer: %s: ", verb);
	va_list ap;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\ncoffer: 'coffer help %s' shows what it takes\n", verb);
	return 2;
}

int verb_wrong_word(const char *verb, const char *word, const char *const *known, size_t n)
{
	AUTO_BUF struct buf all = BUF_INIT;
	const char *near = word ? nearest_word(word, known, n) : NULL;
	if (near)
		return verb_wrong(verb, "unknown word '%s'; did you mean '%s'?", word, near);
	for (size_t i = 0; i < n; i++)
		buf_addf(&all, "%s'%s'", i == 0 ? "" : i + 1 < n ? ", " : " or ", known[i]);
	if (word)
		return verb_wrong(verb, "unknown word '%s'; it is %s", word, all.data);
	return verb_wrong(verb, "a word is missing: %s", all.data);
}

int verb_wrong_option(const char *verb, const char *word, const struct option *known)
{
	const char *names[VERB_MAX_OPTIONS * 2];
	size_t n = 0;
	AUTO_FREE char *name = mem_strndup(word, strcspn(word, "="));
	for (; known && known[n].name && n < COUNT_OF(names); n++)
		names[n] = known[n].name;
	const char *near = strncmp(name, "--", 2) == 0 ? nearest_word(name + 2, names, n) : NULL;
	if (near)
		return verb_wrong(verb, "unknown option '%s'; did you mean '--%s'?", name, near);
	return verb_wrong(verb, "unknown option '%s'", name);
}

int verb_fail(const struct err *err)
{
	fprintf(stderr, "coffer: %s\n", err->text);
	return 1;
}

static int wrong_option(char **argv, int c, const struct option *known)
{
	const char *word = argv[optind - 1];
	if (c == ':')
		return verb_wrong(argv[0], "option '%s' needs a value", word);
	if (strncmp(word, "--", 2) == 0 || !optopt)
		return verb_wrong_option(argv[0], word, known);
	return verb_wrong(argv[0], "unknown option '-%c'", optopt);
}

bool verb_parse(struct verb_args *args, int argc, char **argv)
{
	struct option all[VERB_MAX_OPTIONS + 2] = {{"help", no_argument, NULL, 'h'}};
	for (size_t i = 0; args->options && args->options[i].name && i < VERB_MAX_OPTIONS; i++)
		all[i + 1] = args->options[i];
	opterr = 0;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, ":h", all, NULL)) != -1;) {
		if (c > 0 && c < VERB_MAX_OPTIONS)
			args->values[c] = optarg ? optarg : "";
		if (c < VERB_MAX_OPTIONS)
			continue;
		if (c == 'h')
			fputs(args->usage, stdout);
		args->exit_status = c == 'h' ? 0 : wrong_option(argv, c, all);
		return false;
	}
	args->words = argv + optind;
	args->n_words = argc - optind;
	if (args->n_words >= args->min_words && args->n_words <= args->max_words)
		return true;
	args->exit_status = args->n_words < args->min_words
				    ? verb_wrong(argv[0], "a word is missing")
				    : verb_wrong(argv[0], "unexpected word '%s'", args->words[args->max_words]);
	return false;
}

// As the launcher names it: by $PWD if that is true, since the directories above a symlink are others than those above its
// target. NULL if it has been removed.
char *verb_working_directory(void)
{
	const char *pwd = getenv("PWD");
	struct stat here, there;
	if (pwd && *pwd == '/' && stat(pwd, &there) == 0 && stat(".", &here) == 0 && here.st_dev == there.st_dev &&
	    here.st_ino == there.st_ino)
		return mem_strdup(pwd);
	return getcwd(NULL, 0);
}

const char *verb_place(const char *given, const char *variable, const char *usual)
{
	const char *set = getenv(variable);
	return given ? given : set && *set ? set : usual;
}

int verb_load_config(struct settings *c, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_FREE char *cwd = verb_working_directory();
	struct config_source src = {.env = process_env, .tree = cwd ? config_find_tree(&a, cwd) : NULL};
	return config_load(c, &src, err);
}

char *verb_cache_dir(struct arena *a, struct err *err)
{
	char *dir = config_cache_dir(a, process_env, NULL);
	if (dir)
		return dir;
	const char *named = process_env(NULL, "COFFER_CACHE_DIR");
	if (named && *named)
		err_set(err, ERR_USAGE, "COFFER_CACHE_DIR is '%s', which is not an absolute path", named);
	else
		err_set(err, ERR_USAGE, "no cache folder is known: neither COFFER_CACHE_DIR nor HOME is set");
	return NULL;
}

int verb_cache_bytes(const char *cache_dir, const struct settings *c, uint64_t *bytes, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	*bytes = 0;
	if (access(path_join(&a, cache_dir, "v1"), F_OK) < 0)
		return 0;
	struct store *s = store_open(cache_dir, (uint64_t)setting_number(c, SETTING_max_size),
				     (int)setting_number(c, SETTING_compression), err);
	if (!s)
		return -1;
	*bytes = store_bytes(s);
	store_close(s);
	return 0;
}

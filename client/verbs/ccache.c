// What people type who come from ccache: `coffer -s` and the like do what they mean. docs/ccache.md has the list.
#include "client/verbs/verbs.h"

#include <stdio.h>
#include <string.h>

// The words of coffer that an option stands for; "%" is the option's value. `advice`: there is none, and this is why.
static const struct ccache_option {
	const char *flag, *name; // "-s", "--show-stats"
	const char *words[4];
	const char *advice;
} ccache_options[] = {
	{"-s", "--show-stats", {"stats"}, NULL},
	{NULL, "--print-stats", {"stats", "--tsv"}, NULL},
	{"-z", "--zero-stats", {"stats", "--zero"}, NULL},
	{"-C", "--clear", {"cache", "clear"}, NULL},
	{"-c", "--cleanup", {"cache", "gc"}, NULL},
	{"-p", "--show-config", {"config"}, NULL},
	{"-k", "--get-config", {"config", "get", "%"}, NULL},
	{"-o", "--set-config", {"config", "set", "%"}, NULL},
	{"-M", "--max-size", {"config", "set", "max_size", "%"}, NULL},
	{"-V", "--version", {"version"}, NULL},
	{"-h", "--help", {"help"}, NULL},
	{"-x", "--show-compression", {"cache", "gc"}, NULL},
	{"-F", "--max-files", {NULL}, "coffer counts bytes, not files: 'coffer config set max_size 5G'"},
	{"-X",
	 "--recompress",
	 {NULL},
	 "entries keep the compression they were made with; new ones follow the setting 'compression'"},
	{NULL,
	 "--evict-older-than",
	 {NULL},
	 "what is unused longest goes first when 'max_size' is reached; 'coffer cache clear' removes all"},
	{NULL,
	 "--evict-namespace",
	 {NULL},
	 "a namespace is a cache of its own: set COFFER_CACHE_DIR, and 'coffer cache clear' there"},
	{"-d", "--dir", {NULL}, "set COFFER_CACHE_DIR to name another cache folder"},
	{NULL, "--config-path", {NULL}, "set COFFER_CONFIG to name another settings file"},
};

enum { MOST_WORDS = 6 };

static const struct ccache_option *option_of(const char *word, size_t n)
{
	for (size_t i = 0; i < sizeof ccache_options / sizeof *ccache_options; i++) {
		const struct ccache_option *o = &ccache_options[i];
		if ((o->flag && strlen(o->flag) == n && strncmp(o->flag, word, n) == 0) ||
		    (strlen(o->name) == n && strncmp(o->name, word, n) == 0))
			return o;
	}
	return NULL;
}

static bool takes_value(const struct ccache_option *o)
{
	for (size_t i = 0; i < sizeof o->words / sizeof *o->words; i++)
		if (o->words[i] && strcmp(o->words[i], "%") == 0)
			return true;
	return false;
}

// "NAME=VALUE" of -o becomes two words.
static int run_words(const struct ccache_option *o, char *value)
{
	char *argv[MOST_WORDS + 1];
	int argc = 0;
	for (size_t i = 0; i < sizeof o->words / sizeof *o->words && o->words[i]; i++) {
		bool is_value = strcmp(o->words[i], "%") == 0;
		char *equals = is_value && o->flag && strcmp(o->flag, "-o") == 0 ? strchr(value, '=') : NULL;
		argv[argc++] = is_value ? value : (char *)(uintptr_t)o->words[i];
		if (equals) {
			*equals = '\0';
			argv[argc++] = equals + 1;
		}
	}
	argv[argc] = NULL;
	return verb_find(argv[0])->run(argc, argv);
}

int verb_ccache_option(int argc, char **argv)
{
	const char *equals = strncmp(argv[0], "--", 2) == 0 ? strchr(argv[0], '=') : NULL;
	const struct ccache_option *o = option_of(argv[0], equals ? (size_t)(equals - argv[0]) : strlen(argv[0]));
	if (!o)
		return -1;
	if (o->advice) {
		fprintf(stderr, "coffer: '%s' is ccache's: %s\n", o->name, o->advice);
		return 2;
	}
	int n_values = takes_value(o) ? 1 : 0, given = argc - 1 + (equals != NULL);
	if (given != n_values) {
		fprintf(stderr, "coffer: '%s' takes %s\n", o->name, n_values ? "one word" : "no word");
		return 2;
	}
	return run_words(o, equals ? (char *)(uintptr_t)equals + 1 : argv[1]);
}

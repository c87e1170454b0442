// `coffer help`, `coffer version`.
#include "client/verbs/verbs.h"

#include <stdio.h>
#include <string.h>

static void print_all(void)
{
	fputs("usage: coffer [--set NAME=VALUE]... COMPILER [ARGUMENT]...\n"
	      "       coffer VERB [OPTION]...\n"
	      "\n"
	      "Runs a compiler through the cache, or does one of these:\n"
	      "\n",
	      stdout);
	size_t at = 0;
	for (const struct verb *v; (v = verb_next(&at));)
		printf("  %-15s %s\n", v->name, v->help);
	fputs("\n"
	      "For a whole build:  make CC=\"coffer gcc\"  or  cmake -DCMAKE_C_COMPILER_LAUNCHER=coffer\n"
	      "See also coffer(1) and coffer.conf(5).\n",
	      stdout);
}

int verb_help(int argc, char **argv)
{
	struct verb_args args = {.usage = "usage: coffer help [VERB]\n"
					  "\n"
					  "Shows all verbs, or what one of them takes.\n",
				 .max_words = 1};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	if (args.n_words == 0) {
		print_all();
		return 0;
	}
	const struct verb *v = verb_find(args.words[0]);
	if (!v)
		return verb_unknown(args.words[0]);
	char option[] = "--help";
	char *words[] = {args.words[0], option, NULL};
	return v->run(2, words);
}

int verb_version(int argc, char **argv)
{
	struct verb_args args = {.usage = "usage: coffer version\n"};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	puts("coffer " COFFER_VERSION);
	return 0;
}

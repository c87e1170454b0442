// What a developer types: `coffer VERB …` is `cofferd VERB …`, and each verb is one function in a file of its own.
//
// A verb prints its answer on stdout. What went wrong goes to stderr, begins with "coffer:" and ends the verb with 1 (it
// failed, or found problems) or 2 (wrong words; then nothing has been done). Thread: main only.
#ifndef COFFER_CLIENT_VERBS_VERBS_H
#define COFFER_CLIENT_VERBS_VERBS_H

#include "base/err.h"
#include "client/config.h"
#include "client/wire/wire.h"

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct verb {
	const char *name, *help;
	int (*run)(int argc, char **argv); // argv[0] is the verb's name; returns the exit status
};

#define VERB_AS(name, typed, text) int verb_##name(int argc, char **argv);
#include "client/wire/verbs.def"
#undef VERB_AS

const struct verb *verb_find(const char *name); // NULL: there is none
const struct verb *verb_next(size_t *at);       // visits all; *at starts as 0; NULL at the end
int verb_unknown(const char *name);             // says so, with the nearest verb, and returns 2
int verb_ccache_option(int argc, char **argv);  // argv[0] is an option of ccache's: its exit status; -1: it is none

// ---- for the verbs ----

enum { VERB_MAX_OPTIONS = 12 };

struct verb_args {
	const char *usage;            // what --help prints
	const struct option *options; // as of getopt_long(3), ending with a zero entry; --help and -h come by themselves.
		// Without a flag: `val`, from 1 on, is where in `values` its value goes; "" if it takes none
	int min_words, max_words; // what may follow the options
	char **words;             // filled in
	int n_words, exit_status; // filled in
	const char *values[VERB_MAX_OPTIONS];
};
// False: the verb ends now with exit_status (--help was printed, or what was wrong).
bool verb_parse(struct verb_args *args, int argc, char **argv);
int verb_wrong(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3))); // wrong words: returns 2
// A word that is none of the `known`, or that is missing (NULL): says so, with the nearest or with all, and returns 2.
int verb_wrong_word(const char *verb, const char *word, const char *const *known, size_t n);
// The same of an option, with its dashes.
int verb_wrong_option(const char *verb, const char *word, const struct option *known);
int verb_fail(const struct err *err); // prints it, returns 1

// A directory that an option names (`given`, else NULL), else an environment variable, else the usual one.
const char *verb_place(const char *given, const char *variable, const char *usual);
// As the launcher names it; free() it. NULL: it has been removed.
char *verb_working_directory(void);
// The settings as a compile in the working directory sees them.
int verb_load_config(struct settings *c, struct err *err);
// The cache directory's name; NULL with an error when the environment names none.
char *verb_cache_dir(struct arena *a, struct err *err);
// Bytes in the cache; 0 if there is no cache yet. Makes no directory.
int verb_cache_bytes(const char *cache_dir, const struct settings *c, uint64_t *bytes, struct err *err);

// Asks the daemon of this environment a CONTROL question. 1: *answer is in the arena; 0: no daemon runs; -1: error.
struct verb_answer {
	const char *text;
	pid_t pid; // of whoever made the socket: tells one daemon from the next
};
int verb_ask_daemon(const char *question, struct verb_answer *answer, struct arena *a, struct err *err);
// The answers to "status" of the daemons that other settings or another cache directory of this user have started; those of other
// versions are not among them. Returns how many.
unsigned verb_other_daemons(struct verb_answer *answers, unsigned most, struct arena *a);
// A value in the answer to "status", which has lines "NAME VALUE"; NULL if there is none of that name.
const char *verb_answer_value(struct arena *a, const struct verb_answer *answer, const char *name);

#endif

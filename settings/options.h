// The settings of a program for operators: one table, and each of its entries is a flag, an environment variable and a
// line in a file. `--help` comes from the same table.
//
// Later wins: default, file, environment, flags. An entry "token_lifetime" of a table with the prefix "COFFER_SCHEDULER_" is
// `--token-lifetime 5m`, COFFER_SCHEDULER_TOKEN_LIFETIME=5m (an empty variable counts as not set) and `token_lifetime = 5m`.
// The file is the table's, unless `--config FILE` or COFFER_SCHEDULER_CONFIG names another, which then must exist (an empty
// name: none is read). A name of a file is taken from the directory of the file it is written in, else from the working
// directory, and is absolute once loaded. The words of a list add up within one source. Nothing secret belongs into a
// setting: it would be seen in `ps` and /proc; settings name files.
//
// A program keeps its table in a file of lines OPTION(id, type, default, min, max, "what it is"), which gives an enum to ask
// by and the table (scheduler/options.def, scheduler/scheduler.c).
// Thread: options_load() only in main, because of getopt_long(3); a struct options is read-only once loaded.
#ifndef COFFER_SETTINGS_OPTIONS_H
#define COFFER_SETTINGS_OPTIONS_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/value.h"

#include <stdbool.h>
#include <stdint.h>

struct option_def {
	const char *name; // lower case, '_' between words
	enum value_type type;
	const char *dflt; // "" for none
	const char *help; // one line, lower case
	int64_t min, max; // of the number, both 0: any
	const char *choices;
};

struct option_table {
	const char *program;    // "coffer scheduler"
	const char *about;      // a sentence or two for --help, lines of at most 90 characters
	const char *env_prefix; // "COFFER_SCHEDULER_"
	const char *file;       // "/etc/coffer/scheduler.conf", which may be absent
	const struct option_def *defs;
	size_t n;
};

struct option_value {
	const char *text;
	const char *const *words; // of a list, NULL-terminated; else NULL
	int64_t number;
	const char *origin; // "default", "FILE:LINE", the variable's name, "--flag"
};

struct options {
	struct arena arena;
	struct option_value *values; // as many as the table has entries
};

// Looks up an environment variable; NULL if it is not set. `ctx` is the caller's.
typedef const char *(*option_env_fn)(void *ctx, const char *name);
const char *option_process_env(void *unused, const char *name); // over our own environment

// argv[0] is not looked at. 0: loaded; 1: --help was asked for, nothing is loaded; -1: an error of one line, ERR_USAGE for
// wrong words. After 1 and -1 nothing needs a release. env NULL: our own environment.
int options_load(struct options *o, const struct option_table *t, int argc, char **argv, option_env_fn env, void *ctx,
		 struct err *err);
void options_release(struct options *o);
#define AUTO_OPTIONS __attribute__((cleanup(options_release)))
// What a program says when it can't start, on stderr: the error, and on a line of its own what to do where that is known.
// Returns its exit status: 2 for wrong words, else 1.
int options_fail(const struct option_table *t, const struct err *err);
void options_help(const struct option_table *t, struct buf *out);

static inline bool option_bool(const struct options *o, int id)
{
	return o->values[id].number != 0;
}
static inline int64_t option_number(const struct options *o, int id)
{
	return o->values[id].number;
}
static inline const char *option_text(const struct options *o, int id)
{
	return o->values[id].text;
}
static inline const char *const *option_words(const struct options *o, int id)
{
	return o->values[id].words;
}

#endif

// The settings of a program for operators: each entry of its table is a flag, an environment variable and a line in a file.
// `--help` comes from the same table.
//
// Later wins: default, file, environment, flags. An entry "token_lifetime" of a table with the prefix "COFFER_SCHEDULER_" is
// `--token-lifetime 5m`, COFFER_SCHEDULER_TOKEN_LIFETIME=5m and `token_lifetime = 5m`. The file is the table's, unless
// `--config FILE` or COFFER_SCHEDULER_CONFIG names another, which then must exist (an empty name: none is read). A relative
// name of a file is taken from the directory of the file it is written in, else from the working directory.
// Thread: flags_load() only in main, because of getopt_long(3).
#ifndef COFFER_SETTINGS_FLAGS_H
#define COFFER_SETTINGS_FLAGS_H

#include "base/buf.h"
#include "settings/settings.h"

// argv[0] is not looked at. 0: loaded; 1: --help was asked for, nothing is loaded; -1: an error of one line, ERR_USAGE for
// wrong words. After 1 and -1 nothing needs a release. env NULL: our own environment.
int flags_load(struct settings *s, const struct setting_table *t, int argc, char **argv, env_fn env, void *ctx,
	       struct err *err);
// What a program says when it can't start, on stderr: the error, and on a line of its own what to do where that is known.
// Returns its exit status: 2 for wrong words, else 1.
int flags_fail(const struct setting_table *t, const struct err *err);
void flags_help(const struct setting_table *t, struct buf *out);

#endif

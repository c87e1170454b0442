// Depfiles (make rules written by -MD, -MMD and `as --MD`): parsed into names, and written again byte for byte.
//
// gcc and clang break lines by different rules. depfile_write follows both, so that a depfile can be rebuilt for other
// targets and another checkout; whoever stores one checks first that writing the parsed form (with the targets known from
// the command line: where -MT gave several words in one, the parser can't see it) gives the same bytes.
//
// Some names can't be read back, since the compilers do not escape them: those with a line break, with a backslash at the
// end, or with ": " in a target; and clang writes '/' for a backslash. They give an error, or other bytes when written, or a
// dependency that does not exist; a dependency is never lost.
// Thread: any. Everything returned lives in the arena.
#ifndef COFFER_DEPSCAN_DEPFILE_H
#define COFFER_DEPSCAN_DEPFILE_H

#include "base/buf.h"
#include "base/mem.h"
#include "compiler/cmdline.h"

struct depfile {
	const char **targets; // as written, still escaped
	unsigned n_targets;
	const char **deps; // unescaped file names in the rule's order
	unsigned n_deps;
	bool phony; // an empty rule for each dependency but the main file (-MP); can't be seen where there is only that one
	bool phony_spaced; // a blank line before each empty rule (clang up to 14)
	unsigned main_dep; // the index in `deps` of the main file: the first, or the first after clang's ignore lists
			   // it; n_deps if the main file is not there (clang reading stdin)
};

#define DEPFILE_MAX ((size_t)16 << 20)
#define DEPFILE_MAX_DEPS 100000u

// Takes exactly one rule and its phony rules; anything else is ERR_FORMAT, past the limits ERR_LIMIT.
int depfile_parse(struct depfile *d, struct arena *a, const char *text, size_t len, struct err *err);
void depfile_write(const struct depfile *d, enum compiler_family family, struct buf *out);

#endif

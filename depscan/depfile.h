// Depfiles (make rules written by -MD, -MMD and `as --MD`): parsed into names, and written again byte for byte.
//
// gcc and clang break lines by different rules. depfile_write follows both, so that a depfile can be rebuilt for other
// targets and another checkout; whoever stores one checks first that writing the parsed form gives the same bytes.
// Thread: any. Everything returned lives in the arena.
#ifndef COFFER_DEPSCAN_DEPFILE_H
#define COFFER_DEPSCAN_DEPFILE_H

#include "base/buf.h"
#include "base/mem.h"
#include "depscan/cmdline.h"

struct depfile {
	const char **targets; // as written, still escaped
	unsigned n_targets;
	const char **deps; // unescaped file names in the rule's order
	unsigned n_deps;
	bool phony; // an empty rule for each dependency but the first (-MP)
};

#define DEPFILE_MAX ((size_t)16 << 20)
#define DEPFILE_MAX_DEPS 100000u

// Takes exactly one rule and its phony rules; anything else is ERR_FORMAT.
int depfile_parse(struct depfile *d, struct arena *a, const char *text, size_t len, struct err *err);
void depfile_write(const struct depfile *d, enum compiler_family family, struct buf *out);

#endif

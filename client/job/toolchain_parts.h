// What a toolchain was made of: each file that the compiler is or looks at, with its digest, kept in the store under the
// toolchain's own, so that an explanation can name what has changed. Thread: any.
#ifndef COFFER_CLIENT_JOB_TOOLCHAIN_PARTS_H
#define COFFER_CLIENT_JOB_TOOLCHAIN_PARTS_H

#include "client/job/plan.h"
#include "client/services/journal.h"
#include "store/store.h"

// Keeps those of the plan's toolchain, once.
void toolchain_parts_remember(const struct plan *p, struct store *s);
// Adds to `c` what is another one, new or gone in the plan's toolchain: file, digests in hex. Nothing where the parts of `was` are
// not kept.
void toolchain_parts_compare(const struct plan *p, struct store *s, const struct digest *was, struct arena *a,
			     struct cause *c);

#endif

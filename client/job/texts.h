// The texts of sources and headers that are kept, so that `coffer explain` can show lines (setting keep_texts). Thread: the
// job's.
#ifndef COFFER_CLIENT_JOB_TEXTS_H
#define COFFER_CLIENT_JOB_TEXTS_H

#include "client/job/plan.h"
#include "store/store.h"

enum { TEXTS_ASIDE = 8, TEXTS_ASIDE_BYTES = 6 << 10 };
// Small texts that are stored together with the result of their compile.
struct texts_aside {
	struct buf text[TEXTS_ASIDE];
	struct digest digest[TEXTS_ASIDE];
	size_t n;
};
void texts_release(struct texts_aside *t);

// Keeps the text of a file, if it still has this digest. Not for jobs of which nothing may be kept.
// A small one is only put aside while there is room (`aside` may be NULL).
void texts_keep(const struct plan *p, const char *path, const struct digest *digest, struct texts_aside *aside);

#endif

// The texts of sources and headers that are kept, so that `coffer explain` can show lines (setting keep_texts). Thread: the
// job's.
#ifndef COFFER_CLIENT_JOB_TEXTS_H
#define COFFER_CLIENT_JOB_TEXTS_H

#include "client/job/plan.h"

// Keeps the text of a file, if it still has this digest. Not for jobs of which nothing may be kept.
void texts_keep(const struct plan *p, const char *path, const struct digest *digest);

#endif

// Precompiled headers as inputs. No depfile tells that one was taken, nor what is in it: that is kept, by the digest of the file,
// when it is made here. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_PRECOMPILED_H
#define COFFER_CLIENT_JOB_PRECOMPILED_H

#include "client/job/macros.h"
#include "depscan/manifest.h"

bool precompiled_by_name(const char *path); // x.h.gch, x.pch

// Keeps what went into the one that was made now.
void precompiled_keep(const struct plan *p, const struct manifest_entry *e, const struct buf *bytes);
// Adds one, and all that went into it. False: a refusal is set.
bool precompiled_add(struct inputs *in, const char *path);

#endif

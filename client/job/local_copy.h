// What came out of a shared store, kept on this machine's disk: written after the answer was given, by the store's own threads.
//
// The queue is the shared store's (bounded; docs/stores.md). When copies fill half of it, whoever comes next writes by itself. What a
// daemon has not written when it ends is lost, and comes out of the shared store once more. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_LOCAL_COPY_H
#define COFFER_CLIENT_JOB_LOCAL_COPY_H

#include "client/job/plan.h"
#include "depscan/manifest.h"

struct shared_store;

// `entry`, which has its key, is one of `manifest`; `result` has its bytes, as store_get() gives them. Both are copied or referred to.
void local_copy_keep(const struct plan *p, struct shared_store *store, const struct manifest_entry *entry,
		     struct manifest *manifest, const struct buf *result);

#endif

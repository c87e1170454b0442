// Results that other machines made, and ours for them: through a shared store (client/services/shared_stores.h), after a miss in
// the local cache and after a compile.
//
// A compile's name there is SHA-256 over scope, toolchain, everything in the manifest's key and the source's contents; the entry
// under it has the header sets that are known (shared_entry.h). What is found is stored locally, with this machine's own digests,
// and counts as if it had been compiled here. What does not fit, is not whole, not sealed or names files outside of what the
// compiler would read is a miss, counted. Thread: the job's; what is offered is written by the store's own threads.
#ifndef COFFER_CLIENT_JOB_SHARE_H
#define COFFER_CLIENT_JOB_SHARE_H

#include "client/job/lookup.h"
#include "client/job/plan.h"

// 1: as lookup_find(), and l->shared is the store. 0: there is none, or no store.
int share_find(struct lookup *l, struct manifest_entry *entry, struct buf *result);
// After a result was stored locally: offers it to the others. A part without bytes has p NULL.
void share_offer(const struct plan *p, const struct manifest_entry *e, const struct store_part parts[PART_COUNT]);

#endif

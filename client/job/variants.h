// The last variants under which a translation unit was compiled: a few of them, kept in the store, so that a miss can be compared
// with the nearest. Thread: any.
#ifndef COFFER_CLIENT_JOB_VARIANTS_H
#define COFFER_CLIENT_JOB_VARIANTS_H

#include "client/job/plan.h"
#include "client/job/variant.h"
#include "client/services/journal.h"
#include "store/store.h"

// Compares the plan with the nearest variant and fills in `c`.
void variants_compare(const struct plan *p, struct store *s, struct arena *a, struct cause *c);
// What to store under the unit's key, so that the plan is the newest variant; nothing is added where it is known already.
void variants_encode(const struct plan *p, struct store *s, struct buf *b);
// Remembers the plan as the newest variant.
void variants_remember(const struct plan *p, struct store *s);
// The variant of this manifest's key. False: it is no longer among the last ones.
bool variants_find(struct store *s, const struct digest *unit, const struct digest *key, struct arena *a, struct variant *v);

#endif

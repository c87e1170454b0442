// A miss beside what others have put into the shared store: the same translation unit as a teammate or CI compiled it.
// Thread: main only.
#ifndef COFFER_CLIENT_VERBS_EXPLAIN_SHARED_H
#define COFFER_CLIENT_VERBS_EXPLAIN_SHARED_H

#include "base/mem.h"
#include "store/store.h"

#include <jansson.h>

// A new object, as docs/explain.md has it under "shared": `made_by` (null: not known), `made_at` and `cause`, or `why_not`. NULL: the miss was not
// looked up in a shared store, or no longer is what is known of it. `disk` is the cache; may be NULL. Takes two seconds at most where the
// store is silent.
json_t *explain_shared(struct arena *a, struct store *disk, const json_t *miss);

#endif

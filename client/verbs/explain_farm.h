// A miss beside what workers were told of their results: the same translation unit as a teammate or CI had it compiled.
// Thread: main only.
#ifndef COFFER_CLIENT_VERBS_EXPLAIN_FARM_H
#define COFFER_CLIENT_VERBS_EXPLAIN_FARM_H

#include "base/mem.h"
#include "store/store.h"

#include <jansson.h>

// A new object, as docs/explain.md has it under "farm": `worker`, `made_by`, `made_at` and `cause`, or `why_not`. NULL: the settings
// name no farm, or what is known of the miss is no longer there. Takes two seconds at most where workers are silent, and a question to the
// scheduler.
json_t *explain_farm(struct arena *a, struct store *disk, const json_t *miss);

#endif

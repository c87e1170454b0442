// Results of actions that several gateways share, through a store that only they have credentials for (docs/stores.md): behind each
// gateway's own disk, and out of the way of its answers when it is slow or gone.
//
// An entry is sealed for its tenant. Its outputs are content of the store under their SHA-256; they are on this gateway's disk, under
// this tenant, before the result is told. So no question to a gateway tells what is in the store: only who has the result of an action
// learns of its outputs. Thread: any.
#ifndef COFFER_GATEWAY_SHARED_ACTIONS_H
#define COFFER_GATEWAY_SHARED_ACTIONS_H

#include "gateway/blobs.h"
#include "proto/reapi.pb-c.h"
#include "store/remote/shared_store.h"

enum {
	SHARED_ACTION_BLOBS = 20000,                // of one result
	SHARED_ACTION_BYTES = 1 << 30,              // of all of them together
	SHARED_ACTION_RESULT_BYTES = SEAL_MAX_ENTRY // of the result itself
};

struct shared_actions;
struct shared_actions *shared_actions_new(struct shared_store *store); // taken over
// Writes what waits, for some seconds. NULL is fine. False: a thread hangs in the store and may still use the blobs, which must stay.
bool shared_actions_free(struct shared_actions *s);

// 1: the result and all that it names are in the tenant's blobs now; 0: it is not there, or not answered, or not taken.
int shared_actions_take(struct shared_actions *s, struct tenant_blobs *t, const struct reapi_digest *action);
// Later: the result, which is in the tenant's blobs, and all that it names.
void shared_actions_give(struct shared_actions *s, struct tenant_blobs *t, const struct reapi_digest *action);

struct shared_action_counts {
	uint64_t hits, misses, failed, refused, given, dropped;
};
void shared_actions_counts(struct shared_actions *s, struct shared_action_counts *counts); // NULL is fine: none

#endif

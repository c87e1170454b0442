// Results that the workers of a fleet share, through a store that only they have credentials for: what one has compiled, the others
// need not. Behind the results on a worker's own disk (results.h), under the same keys.
//
// The entry of a key is sealed for its tenant, and holds the head of the result and the SHA-256 of the frame with its outputs, which is
// content of its own. Both are compared before anything is stored or answered. Thread: any.
#ifndef COFFER_WORKER_SHARED_RESULTS_H
#define COFFER_WORKER_SHARED_RESULTS_H

#include "store/remote/shared_store.h"
#include "worker/key.h"

struct shared_results;
// `store` is taken over. `most` bytes in the frame of a result.
struct shared_results *shared_results_new(struct shared_store *store, size_t most);
void shared_results_free(struct shared_results *r); // NULL is fine; writes what waits, for some seconds

// 1: the head, and behind it the frame, are in `blob`; 0: there is none, or it is not answered, or not taken.
int shared_results_get(struct shared_results *r, const char *tenant, const struct key *key, struct buf *blob);
// Later. Copies both.
void shared_results_put(struct shared_results *r, const char *tenant, const struct key *key, const struct buf *head,
			const void *frame, size_t n_frame);

struct shared_counts {
	uint64_t hits, misses, failed, refused, given, dropped;
};
void shared_results_take_counts(struct shared_results *r, struct shared_counts *counts); // since it was last asked

#endif

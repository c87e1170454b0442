// A store that others use too, as the jobs of one process see it: it may be slow, full, down or gone, and no build is to notice.
//
// - A get waits `timeout_ms` at most, and what it waits for runs in a thread of its own: whoever waited long enough goes on, even
//   where a name server or a file server holds up that thread.
// - Breaker: after a timeout, or three failures in a row, or a second in all spent on waiting for answers that were none
//   (SHARED_BUDGET_MS), the store is left alone, first for a minute, then for 4, then 16. Then one get is tried that nobody waits
//   for; if it is answered fast, the store is used again. So a store that is dead or slow costs a build a second at most.
// - Jobs that want the same name at once share one get. A name that was not there is not asked for again for some seconds.
// - Puts are written behind, from a queue that is bounded in bytes and in entries; what does not fit is dropped and counted.
// - Nothing here checks what comes back. Thread: any.
#ifndef COFFER_STORE_SHARED_SHARED_H
#define COFFER_STORE_SHARED_SHARED_H

#include "store/tier.h"

enum {
	SHARED_BUDGET_MS = 1000,   // spent in all on answers that were none, before the store is left alone
	SHARED_FAST_MS = 20,       // an answer within this costs nothing of it
	SHARED_PAUSE_MS = 60000,   // left alone for so long the first time
	SHARED_ABSENT_MS = 5000,   // what was not there is not asked for again for so long
	SHARED_QUEUE_ITEMS = 2000, // waiting to be written
};
#define SHARED_QUEUE_BYTES ((size_t)128 << 20)

struct shared_config {
	struct tier *tier; // taken over
	int64_t timeout_ms;
	bool notes_uses; // it may write, and tells a tier that does not see them which entries were used (uses.h)
};

struct shared;
struct shared *shared_new(const struct shared_config *config);
// Waits for what is to be written, until then. False: a thread hangs in the tier; it is left to itself, and the tier with it, and
// all that tasks use must stay as well.
bool shared_close(struct shared *s, int64_t until_ms);

// 1 with the bytes added to `out`, 0: it is not there, -1: it could not be told within `most_ms` (0: the configured timeout).
// ERR_FULL: the store is being left alone, nothing was asked; else as in tier.h.
int shared_get(struct shared *s, const struct tier_name *name, size_t max, int64_t most_ms, struct buf *out,
	       struct err *err);
// What the last gets brought was worth this much time: it is no loss to have waited for it.
void shared_note_saved(struct shared *s, int64_t ms);
// Is it in use, or being left alone?
bool shared_is_used(struct shared *s);

// Work that ends in puts, done later by another thread. False: the queue is full, or the store is being left alone; then
// `task->drop` has been called. Local work may fill half of the queue; what goes beyond is done at once, by the caller. It waits
// while others ask the store, 2 s at most, as long as a quarter of the queue holds all that waits. `bytes`: what it holds in memory.
struct shared_task {
	void (*run)(void *arg);  // calls shared_put; frees arg
	void (*drop)(void *arg); // frees arg
	void *arg;
	size_t bytes;
	bool is_local; // it puts nothing into the store: it runs also while that is left alone
};
bool shared_later(struct shared *s, const struct shared_task *task);
// At once; for tasks and verbs. What is put is no longer known to be absent.
int shared_put(struct shared *s, const struct tier_name *name, const void *p, size_t n, struct err *err);
// Content: puts those that are not there, in as few requests as the tier has for that. Adds the bytes that were put to *bytes.
struct shared_blob {
	struct tier_name name;
	const void *p;
	size_t n;
};
int shared_put_missing(struct shared *s, const struct shared_blob *blobs, size_t n, uint64_t *bytes, struct err *err);
int shared_has(struct shared *s, const struct tier_name *names, size_t n, bool *there, struct err *err);
// Waits until the queue is empty and nothing is being written, also of uses. False: it is not, after so long.
bool shared_flush(struct shared *s, int64_t most_ms);

struct shared_status {
	const char *kind;
	bool is_used;
	char why[256];        // it is left alone, or was the last time
	int64_t back_in_ms;   // tried again after
	int64_t lost_ms;      // spent in all on answers that were none
	unsigned waiting;     // to be written
	uint64_t dropped;     // not written: the queue was full, or the store left alone
	uint64_t times_alone; // the breaker opened
};
void shared_status(struct shared *s, struct shared_status *out);

#endif

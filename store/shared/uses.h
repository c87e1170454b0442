// Which entries of a store were used, where the store does not see it (S3): records that its writers put beside them, one for
// thousands of uses, which upkeep.h reads.
//
// A record is an entry of the space TIER_USES under the SHA-256 of its bytes:
//   8 bytes "cofferU1", u32 number, and for each: the first 8 bytes of an entry's name, u32 minutes before the record was written
// It proves nothing: whoever can write to the store can keep entries from being removed. Thread: any.
#ifndef COFFER_STORE_SHARED_USES_H
#define COFFER_STORE_SHARED_USES_H

#include "store/tier.h"

enum {
	USES_MOST = 16384,          // of one record
	USES_EVERY_MS = 10 * 60000, // a record is written at least so often, if anything was used
	USES_BYTES = 12 + 12 * USES_MOST
};

struct store_use {
	uint64_t id; // uses_id()
	uint32_t minutes;
};
uint64_t uses_id(const struct sha256 *name);

struct uses;
struct uses *uses_new(void);
void uses_free(struct uses *u);
// True: enough is noted, or it is long ago that something was written: a record is due.
bool uses_note(struct uses *u, const struct tier_name *name);
// The record of all that is noted, which is forgotten. False: nothing is.
bool uses_take(struct uses *u, struct buf *record);

void uses_encode(const struct store_use *uses, uint32_t n, struct buf *record);
// Adds to `out`, an array of `struct store_use`. ERR_FORMAT.
int uses_decode(const void *p, size_t n, struct buf *out, struct err *err);

#endif

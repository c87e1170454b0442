// Who may work on a store alone, for a limited time: without locks, without a clock of one's own, over any tier that has lists.
//
// Whoever wants it puts an entry of its own into TIER_LEASES, waits for as long as two writers may not see each other, and looks
// at all that are there: the oldest by the store's clock whose time is not over has it, and the others take theirs away. An entry
// says how long it is good for. So one that was killed keeps others away for its time only. Two may still hold it where a store
// shows new entries later than LEASE_SETTLE_MS: what is done under a lease must be right even then. Thread: any.
#ifndef COFFER_STORE_SHARED_LEASE_H
#define COFFER_STORE_SHARED_LEASE_H

#include "store/tier.h"

enum { LEASE_SETTLE_MS = 2000, LEASE_MAX_S = 24 * 60 * 60 };

struct store_lease {
	struct tier_name name;
	int64_t now_s;    // what the store's clock said when it was taken
	int64_t until_ms; // of clock_ms(): it is over then
};
// ERR_BUSY: somebody else has it, the text says who and since when; or there is one that could not be read.
int lease_take(struct tier *t, int64_t good_for_s, struct store_lease *l, int64_t until_ms, struct err *err);
void lease_drop(struct tier *t, const struct store_lease *l);

#endif

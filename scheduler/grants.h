// Who has been told to use how many slots of which workers, and until when: a ledger, since the scheduler sees no jobs.
//
// A client is one connection. Its latest route for an image takes the place of the one before; a route ends by itself after its
// lifetime. A client that got nothing is in the ledger, too: what it wanted counts when the others ask again, so that they make
// room. Sums are kept as routes come and go: nothing here walks all routes or all workers to answer a question.
//
// A token tells a worker how many slots all clients of its tenant have there (its claim), and is good for longer than a route. So what a
// tenant may have on all workers together counts claims until the last token with them has ended: a tenant that asks
// for one worker after the other never gets more than its quota. Times as in scheduler/registry.h. Thread: guard it yourself.
#ifndef COFFER_SCHEDULER_GRANTS_H
#define COFFER_SCHEDULER_GRANTS_H

#include "auth/token.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GRANT_MAX_PICKS = 64,        // workers in one route
	GRANT_MAX_CLIENTS = 4096,    // of one tenant at once
	GRANT_QUESTIONS_MS = 10000,  // in which a tenant may ask so often:
	GRANT_MAX_QUESTIONS = 50000, // unless grants_set_rate says otherwise
	GRANT_NEW_MS = 500,          // after which other schedulers have heard that a tenant wants something
	GRANT_WALKS_A_SECOND = 100,  // answers of a tenant for which all workers are looked at
};

struct grant_pick {
	char worker[TOKEN_NAME_MAX + 1];
	uint32_t slots;
	uint32_t claim; // out: what the token says; at least `slots`
};

struct grant {
	const char *tenant, *client, *image;
	uint32_t wanted; // at most the tenant's quota
	struct grant_pick *picks;
	size_t n_picks;
	int64_t ends_ms;
	int64_t claims_end_ms; // when its tokens end
};

struct grants;
struct grants *grants_new(void);
void grants_free(struct grants *g);
void grants_set_rate(struct grants *g, unsigned questions_a_second); // of one tenant
// Forgets routes that have ended.
void grants_expire(struct grants *g, int64_t now_ms);

// ---- one question: begin, look, put -------------------------------------------------------------------------------------
// What a tenant has, without the client that asks.
struct grant_sums {
	uint64_t slots, wanted, wanting; // of its other clients; how many of these want something
	uint64_t claimable;              // slots that it may claim beyond what it has claimed where: see grants_room
	uint64_t quota;                  // what other schedulers leave of it
	bool is_new; // others may not have heard yet that it wants something: no more than this scheduler's part
};
// What is given of one worker, without the client that asks.
struct grant_room {
	uint64_t others;      // slots of all clients
	uint64_t ours;        // of them the tenant's
	uint64_t own;         // what the client had there until now
	uint64_t tenants;     // with slots there, besides ours
	uint64_t our_clients; // of the tenant with slots there
	uint64_t claimed;     // what tokens of the tenant that are still good claim there
};
// Takes the client's last route out.
void grants_begin(struct grants *g, const char *tenant, const char *client, const char *image, uint64_t quota,
		  int64_t now_ms, struct grant_sums *sums);
void grants_room(struct grants *g, const char *worker, struct grant_room *room);
// Writes the client's new route into the ledger; fills in the claims. Copies all.
void grants_put(struct grants *g, const struct grant *grant, int64_t now_ms);

// False: this tenant has asked too often or with too many clients, and the question is not to be answered.
bool grants_may_ask(struct grants *g, const char *tenant, int64_t now_ms);
// False: this tenant has had all workers looked at too often.
bool grants_may_walk(struct grants *g, const char *tenant, int64_t now_ms);
// A worker is gone, and what was claimed of it as well.
void grants_forget_worker(struct grants *g, const char *worker);

// ---- other schedulers of the farm -----------------------------------------------------------------------------------------
// What one of them has given to a tenant: slots that its clients want, at most the quota, and that good tokens claim.
struct grant_elsewhere {
	uint64_t wanted, claimed;
};
// How many schedulers there are, this one among them. Each may always give its part of a quota (one slot at least), whatever the others have
// given: they hear of it, and give less when they are asked again.
void grants_set_schedulers(struct grants *g, unsigned n);
// What the others have given to a tenant, one for each of them; takes the place of what was said before. Copies.
void grants_set_elsewhere(struct grants *g, const char *tenant, const struct grant_elsewhere *all, size_t n);
uint64_t grants_claimed_elsewhere(const struct grants *g, const char *tenant);
// The same of this scheduler, for each tenant that has ever asked.
void grants_each(struct grants *g, int64_t now_ms,
		 void (*fn)(void *ctx, const char *tenant, const struct grant_elsewhere *given), void *ctx);

size_t grants_count(const struct grants *g);
bool grants_has(const struct grants *g, const char *tenant, const char *client, const char *image);
uint64_t grants_slots_of(const struct grants *g, const char *tenant); // that its clients have at this time
uint64_t grants_clients_of(const struct grants *g, const char *tenant);

#endif

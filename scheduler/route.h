// The decision: which workers a client may use, and how many slots of each. A pure function of registry, ledger and time, which looks at
// no more workers than it may give (and avoids); only where it can give none it looks at all, to say why.
//
// A tenant's clients share its quota: one that comes while others have it all waits until they ask again (a route's
// lifetime), and then they get equal parts, less for who wants less. Tenants share a worker, and a tenant's clients share
// the tenant's part of it: whoever is alone there gets all; a new one gets at once its equal part or what is free, whichever
// is more, so that a worker may be promised more than it has for a route's lifetime (it answers RESOURCE_EXHAUSTED then, and
// is fair itself). A tenant is sent to the same workers again while they have room, for the sake of their caches: each has
// its own order of the workers (rendezvous hashing), of which come so many that there is room for twice what is asked for;
// among these the slots are spread by room.
#ifndef COFFER_SCHEDULER_ROUTE_H
#define COFFER_SCHEDULER_ROUTE_H

#include "auth/tenants.h"
#include "scheduler/grants.h"
#include "scheduler/orders.h"
#include "scheduler/registry.h"

enum { ROUTE_MAX_AVOID = 256, ROUTE_MAX_WANTED = 1000000 };

struct route_question {
	const struct tenant *tenant;
	const struct tenants *tenants; // whose workers are denied
	const char *client;
	const char *image;
	uint32_t wanted; // 0: as many as there are
	int isolation;   // the least; the tenant's own counts as well
	const char *const *avoid;
	size_t n_avoid;
	int64_t tokens_ms; // for which the tokens are good, if that is longer than the route
};

struct route_pick {
	const struct worker *worker;
	uint32_t slots;
	uint32_t claim; // what its token says: the slots of all clients of the tenant there
};

struct route_answer {
	struct route_pick picks[GRANT_MAX_PICKS];
	size_t n;
	int isolation;    // the least that was asked for
	bool is_first;    // there may be more as soon as other schedulers have heard of the tenant
	char reason[256]; // for people, if there is no pick
};

// Writes what it gives into the ledger, for lifetime_ms.
void route_decide(const struct registry *registry, struct grants *grants, struct orders *orders,
		  const struct route_question *q, int64_t now_ms, int64_t lifetime_ms, struct route_answer *answer);

#endif

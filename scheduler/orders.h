// A tenant's own order of the workers that it may use with an image: rendezvous hashing, so that it goes to the same workers again,
// for the sake of their caches. Made when it is first asked for, and again when workers or tenants have changed; between
// these an answer looks at as many workers as it gives. Thread: guard it yourself.
#ifndef COFFER_SCHEDULER_ORDERS_H
#define COFFER_SCHEDULER_ORDERS_H

#include "auth/tenants.h"
#include "scheduler/registry.h"

enum { ORDERS_MAX = 4096 }; // that are kept; past it all are forgotten and made again

struct order {
	struct worker **all;
	size_t n;
	uint64_t generation;
	const struct tenants *tenants;
};

struct orders;
struct orders *orders_new(void);
void orders_free(struct orders *o);
void orders_forget(struct orders *o);       // the tenants are others now
uint64_t orders_question(struct orders *o); // another number for each question
// Good until the next call. Empty if nobody has the image.
const struct order *orders_get(struct orders *o, const struct registry *registry, const struct tenants *tenants,
			       const struct tenant *tenant, const char *image, int isolation);

#endif

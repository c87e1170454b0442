// Jobs with the same key at the same time: one runs, the others wait for what it stores. Keys hold the tenant, so that
// nobody ever waits for another tenant's job.
//
// A wait ends when the one that runs has ended, however it did; whoever waited then looks again, and the first that finds
// nothing runs. So each of them waits for as long as one job may take, and no job fails because another one did.
// Thread: any; single_flight_join sleeps, single_flight_interrupt never does.
#ifndef COFFER_WORKER_SINGLE_FLIGHT_H
#define COFFER_WORKER_SINGLE_FLIGHT_H

#include "worker/key.h"

#include <stdbool.h>

struct single_flight;
struct single_flight *single_flight_new(void);
void single_flight_free(struct single_flight *f);

struct flight_member {
	struct key key;
	bool leads, is_interrupted;
	bool has_waited;
	struct flight *waits_for;
};
// 0: it leads, until single_flight_leave. -1: it was interrupted.
int single_flight_join(struct single_flight *f, struct flight_member *m, const struct key *key);
void single_flight_leave(struct single_flight *f, struct flight_member *m); // fine for one that does not lead
void single_flight_interrupt(struct single_flight *f, struct flight_member *m);

#endif

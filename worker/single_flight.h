// Jobs with the same key at the same time: one runs, the others wait for what it stores. Keys hold the tenant, so that nobody ever
// waits for another tenant's job.
//
// A wait ends when the one that runs has ended, however it did; whoever waited then looks again, and the first that finds nothing runs.
// So each of them waits for as long as one job may take, and no job fails because another one did.
// Thread: any; flights_join sleeps, flights_interrupt never does.
#ifndef COFFER_WORKER_SINGLE_FLIGHT_H
#define COFFER_WORKER_SINGLE_FLIGHT_H

#include "worker/key.h"

#include <stdbool.h>

struct flights;
struct flights *flights_new(void);
void flights_free(struct flights *f);

struct flight_member {
	struct key key;
	bool leads, is_interrupted;
	bool has_waited;
	struct flight *waits_for;
};
// 0: it leads, until flights_leave. -1: it was interrupted.
int flights_join(struct flights *f, struct flight_member *m, const struct key *key);
void flights_leave(struct flights *f, struct flight_member *m); // fine for one that does not lead
void flights_interrupt(struct flights *f, struct flight_member *m);

#endif

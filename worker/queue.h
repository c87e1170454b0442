// What tenants share on a worker: slots, places in the queue for them, and memory for sources that wait.
//
// A free slot goes to the tenant that has used the least of late: slots times time of the last minute, by weight (what its token
// claims here). Tenants that have used as much get slots in turn, one job each, whatever number of jobs each has queued. No tenant runs
// more than its own limit or than its latest token claims; as soon as there are two, none has all slots. A job that runs for long, of
// a tenant with more than its part of the slots, is ended when jobs of others wait. No tenant waits with more than half of the
// places unless it is alone, or holds more than half of the memory. Whoever finds no place is told at once.
// Thread: any; queue_take sleeps, queue_interrupt never does.
#ifndef COFFER_WORKER_QUEUE_H
#define COFFER_WORKER_QUEUE_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_config {
	unsigned slots;
	unsigned places;       // jobs that wait, of all tenants
	unsigned tenant_slots; // at most for one tenant; 0: all, or three quarters while there are two
	uint64_t memory_bytes;
	int64_t busy_ms; // after which a job may be ended when others wait; 0: never
};

struct queue;
struct queue *queue_new(const struct queue_config *config);
void queue_free(struct queue *q);

// A job at the worker, from its header to its answer.
struct ticket {
	struct queue_tenant *tenant;
	struct ticket *next; // that waits
	pthread_cond_t change;
	uint64_t memory;
	enum { TICKET_HERE, TICKET_WAITS, TICKET_RUNS } state;
	bool is_interrupted;
	struct ticket *next_running, **link_running;
	int64_t began_ms;
	bool is_overdue;            // it has been ended for the sake of others
	void (*overdue)(void *arg); // ends it; called once, under the queue's lock
	void *overdue_arg;
};
// What a tenant's token says: so many slots here, for all its jobs. The youngest one counts. 0 slots: no limit.
struct queue_claim {
	uint32_t slots;
	int64_t issued_s;
};
void queue_enter(struct queue *q, struct ticket *t, const char *tenant, struct queue_claim claim);
void queue_leave(struct queue *q, struct ticket *t); // gives back what it still has
// Whether a job of this tenant that came now would find a place. ERR_LIMIT.
int queue_has_room(struct queue *q, const struct ticket *t, struct err *err);
// All the memory that the job holds now. ERR_FULL: there is none now; ERR_LIMIT: there will never be so much for one job.
int queue_hold(struct queue *q, struct ticket *t, uint64_t bytes, struct err *err);
// Sleeps until it has a slot. ERR_LIMIT: there is no place; ERR_TIMEOUT: it was interrupted.
int queue_take(struct queue *q, struct ticket *t, struct err *err);
void queue_on_overdue(struct queue *q, struct ticket *t, void (*fn)(void *arg), void *arg); // before queue_take
void queue_give(struct queue *q, struct ticket *t);                                         // the slot
void queue_interrupt(struct queue *q, struct ticket *t);

struct queue_load {
	unsigned slots, running, waiting, tenants;
	uint64_t memory_bytes;
};
void queue_look(struct queue *q, struct queue_load *load);
// Calls fn for each tenant that is here now, under the lock.
void queue_each(struct queue *q, void (*fn)(void *ctx, const char *tenant, unsigned running, unsigned waiting), void *ctx);

#endif

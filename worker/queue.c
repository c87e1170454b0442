#include "worker/queue.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	RECENT_MS = 60000, // for which it counts what a tenant has used, and that it was here
	LOOK_MS = 1000,    // how often who waits looks for jobs that are overdue
	USE_STEP = 100,    // slot-milliseconds that make no difference
};

// There while it has jobs here, and for RECENT_MS after the last one.
struct queue_tenant {
	char *name;
	struct queue_claim claim;
	double used;       // slot-milliseconds of jobs that have ended; the older ones fade
	int64_t faded_ms;  // when that was counted
	int64_t left_ms;   // when its last job left
	int64_t began_sum; // of the jobs that run
	unsigned jobs, running, waiting;
	uint64_t memory;
	struct ticket *first, **last; // that wait
	struct queue_tenant *next;    // in the ring of those that wait
};

struct queue {
	struct queue_config config;
	pthread_mutex_t lock;
	struct map tenants;
	int64_t pruned_ms;
	struct ticket *all_running;
	struct queue_tenant *turn; // the last one of the ring: its `next` is the next to get a slot; NULL: nobody waits
	unsigned running, waiting;
	uint64_t memory;
};

struct queue *queue_new(const struct queue_config *config)
{
	struct queue *q = mem_alloc(sizeof *q);
	q->config = *config;
	pthread_mutex_init(&q->lock, NULL);
	return q;
}

static void tenant_free(struct queue_tenant *x)
{
	free(x->name);
	free(x);
}

void queue_free(struct queue *q)
{
	void *value;
	if (!q)
		return;
	for (size_t at = 0; map_next(&q->tenants, &at, NULL, NULL, &value);)
		tenant_free(value);
	map_release(&q->tenants);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static void hand_out(struct queue *q);

// Forgets tenants that were not here for a while.
static void prune(struct queue *q, int64_t now)
{
	void *value;
	if (now - q->pruned_ms < LOOK_MS)
		return;
	q->pruned_ms = now;
	for (size_t at = 0; map_next(&q->tenants, &at, NULL, NULL, &value);) {
		struct queue_tenant *x = value;
		if (x->jobs || now - x->left_ms < RECENT_MS)
			continue;
		map_del(&q->tenants, x->name, strlen(x->name));
		tenant_free(x);
	}
}

void queue_enter(struct queue *q, struct ticket *t, const char *tenant, struct queue_claim claim)
{
	*t = (struct ticket){.state = TICKET_HERE};
	cond_init(&t->change);
	pthread_mutex_lock(&q->lock);
	prune(q, clock_ms());
	struct queue_tenant *x = map_gets(&q->tenants, tenant);
	if (!x) {
		x = mem_alloc(sizeof *x);
		x->name = mem_strdup(tenant);
		x->last = &x->first;
		map_puts(&q->tenants, tenant, x);
	}
	x->jobs++;
	t->tenant = x;
	if (claim.issued_s >= x->claim.issued_s)
		x->claim = claim;
	hand_out(q); // it may claim more than before, and there may be one tenant more
	pthread_mutex_unlock(&q->lock);
}

// ---- the ring of tenants that wait, and whose turn it is ------------------------------------------------------------

static void ring_add(struct queue *q, struct queue_tenant *x)
{
	if (q->turn) {
		x->next = q->turn->next;
		q->turn->next = x;
	} else {
		x->next = x;
	}
	q->turn = x;
}

static void ring_remove(struct queue *q, struct queue_tenant *x)
{
	struct queue_tenant *before = x;
	while (before->next != x)
		before = before->next;
	before->next = x->next;
	if (q->turn == x)
		q->turn = before == x ? NULL : before;
	x->next = NULL;
}

static void start_waiting(struct queue *q, struct ticket *t)
{
	struct queue_tenant *x = t->tenant;
	t->state = TICKET_WAITS;
	t->next = NULL;
	*x->last = t;
	x->last = &t->next;
	if (x->waiting++ == 0)
		ring_add(q, x);
	q->waiting++;
}

static void stop_waiting(struct queue *q, struct ticket *t)
{
	struct queue_tenant *x = t->tenant;
	struct ticket **at = &x->first;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	if (!*at)
		x->last = at;
	if (--x->waiting == 0)
		ring_remove(q, x);
	q->waiting--;
	t->state = TICKET_HERE;
}

static void start_running(struct queue *q, struct ticket *t)
{
	t->state = TICKET_RUNS;
	t->began_ms = clock_ms();
	t->next_running = q->all_running;
	t->link_running = &q->all_running;
	if (q->all_running)
		q->all_running->link_running = &t->next_running;
	q->all_running = t;
	t->tenant->running++;
	t->tenant->began_sum += t->began_ms;
	q->running++;
}

static void fade(struct queue_tenant *x, int64_t now)
{
	double left = 1 - (double)(now - x->faded_ms) / RECENT_MS;
	x->used *= left > 0 ? left : 0;
	x->faded_ms = now;
}

static void stop_running(struct queue *q, struct ticket *t)
{
	struct queue_tenant *x = t->tenant;
	int64_t now = clock_ms();
	t->state = TICKET_HERE;
	*t->link_running = t->next_running;
	if (t->next_running)
		t->next_running->link_running = t->link_running;
	fade(x, now);
	x->used += (double)(now - t->began_ms);
	x->began_sum -= t->began_ms;
	x->running--;
	q->running--;
}

// At most for one tenant. As soon as there are two, none has all slots: the other's next job finds one.
static unsigned most_for(const struct queue *q, const struct queue_tenant *x)
{
	unsigned slots = q->config.slots, most = q->config.tenant_slots ? q->config.tenant_slots : slots;
	if (!q->config.tenant_slots && q->tenants.n > 1 && slots > 1)
		most = slots - (slots + 3) / 4;
	return x->claim.slots && x->claim.slots < most ? x->claim.slots : most;
}

static bool may_run(const struct queue *q, const struct queue_tenant *x)
{
	return q->running < q->config.slots && x->running < most_for(q, x);
}

// What it has used of late, by its weight.
static uint64_t use_of(struct queue_tenant *x, int64_t now)
{
	fade(x, now);
	double use = x->used + (double)((int64_t)x->running * now - x->began_sum);
	return (uint64_t)(use / USE_STEP) / (x->claim.slots ? x->claim.slots : 1);
}

// Of those that wait and may have a slot the one that has used the least; the next in the ring of equals.
static struct queue_tenant *whose_turn(const struct queue *q)
{
	struct queue_tenant *x = q->turn, *best = NULL;
	uint64_t least = 0;
	int64_t now = clock_ms();
	if (!x)
		return NULL;
	do {
		x = x->next;
		uint64_t use = may_run(q, x) ? use_of(x, now) : 0;
		if (may_run(q, x) && (!best || use < least)) {
			best = x;
			least = use;
		}
	} while (x != q->turn);
	return best;
}

static void hand_out(struct queue *q)
{
	for (struct queue_tenant *x; (x = whose_turn(q));) {
		struct ticket *t = x->first;
		q->turn = x;
		stop_waiting(q, t);
		start_running(q, t);
		pthread_cond_signal(&t->change);
	}
}

// ---- jobs that take long while others wait ----------------------------------------------------------------------------

static bool has_too_much(const struct queue *q, const struct queue_tenant *x)
{
	unsigned here = 0;
	const struct queue_tenant *w = q->turn;
	bool is_wanted = false;
	do {
		w = w->next;
		here++;
		is_wanted |= w != x && w->running < most_for(q, w);
	} while (w != q->turn);
	here += x->waiting == 0;
	return is_wanted && x->running > q->config.slots / here;
}

// Called by who waits: nobody else has to look.
static void end_overdue(struct queue *q)
{
	int64_t now = clock_ms();
	if (!q->config.busy_ms || !q->turn || q->running < q->config.slots)
		return;
	for (struct ticket *t = q->all_running; t; t = t->next_running)
		if (!t->is_overdue && t->overdue && now - t->began_ms >= q->config.busy_ms && has_too_much(q, t->tenant)) {
			t->is_overdue = true;
			t->overdue(t->overdue_arg);
			return; // one at a time: that may be enough
		}
}

static void sleep_a_while(struct queue *q, struct ticket *t)
{
	if (!cond_wait_until(&t->change, &q->lock, clock_ms() + LOOK_MS))
		end_overdue(q);
}

// ---- slots ----------------------------------------------------------------------------------------------------------

static int find_place(const struct queue *q, const struct queue_tenant *x, struct err *err)
{
	unsigned half = (q->config.places + 1) / 2;
	if (q->waiting >= q->config.places)
		return err_set(err, ERR_LIMIT, "all %u slots and %u places in the queue are taken", q->config.slots,
			       q->config.places);
	if (x->waiting >= half && q->tenants.n > 1)
		return err_set(err, ERR_LIMIT, "%u of the tenant's jobs wait already", x->waiting);
	return 0;
}

int queue_has_room(struct queue *q, const struct ticket *t, struct err *err)
{
	pthread_mutex_lock(&q->lock);
	int rc = may_run(q, t->tenant) && !q->waiting ? 0 : find_place(q, t->tenant, err);
	pthread_mutex_unlock(&q->lock);
	return rc;
}

int queue_take(struct queue *q, struct ticket *t, struct err *err)
{
	int rc = 0;
	pthread_mutex_lock(&q->lock);
	if (may_run(q, t->tenant) && !t->tenant->waiting) {
		start_running(q, t);
	} else if ((rc = find_place(q, t->tenant, err)) == 0) {
		start_waiting(q, t);
		while (t->state == TICKET_WAITS && !t->is_interrupted)
			sleep_a_while(q, t);
		if (t->state == TICKET_WAITS) {
			stop_waiting(q, t);
			rc = err_set(err, ERR_TIMEOUT, "the job was cancelled while it waited");
		}
	}
	pthread_mutex_unlock(&q->lock);
	return rc;
}

static void give(struct queue *q, struct ticket *t)
{
	if (t->state != TICKET_RUNS)
		return;
	stop_running(q, t);
	hand_out(q);
}

void queue_on_overdue(struct queue *q, struct ticket *t, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&q->lock);
	t->overdue = fn;
	t->overdue_arg = arg;
	pthread_mutex_unlock(&q->lock);
}

void queue_give(struct queue *q, struct ticket *t)
{
	pthread_mutex_lock(&q->lock);
	give(q, t);
	pthread_mutex_unlock(&q->lock);
}

void queue_interrupt(struct queue *q, struct ticket *t)
{
	pthread_mutex_lock(&q->lock);
	t->is_interrupted = true;
	pthread_cond_signal(&t->change);
	pthread_mutex_unlock(&q->lock);
}

int queue_hold(struct queue *q, struct ticket *t, uint64_t bytes, struct err *err)
{
	int rc = 0;
	pthread_mutex_lock(&q->lock);
	uint64_t more = bytes > t->memory ? bytes - t->memory : 0;
	if (bytes > q->config.memory_bytes / 2)
		rc = err_set(err, ERR_LIMIT, "the source needs more than half of the worker's memory for sources");
	else if (more && q->memory + more > q->config.memory_bytes)
		rc = err_set(err, ERR_FULL, "the worker has no memory for more sources");
	else if (more && t->tenant->memory + more > q->config.memory_bytes / 2)
		rc = err_set(err, ERR_FULL, "the tenant's sources take half of the worker's memory for them");
	if (rc == 0) {
		q->memory += bytes - t->memory;
		t->tenant->memory += bytes - t->memory;
		t->memory = bytes;
	}
	pthread_mutex_unlock(&q->lock);
	return rc;
}

void queue_leave(struct queue *q, struct ticket *t)
{
	queue_hold(q, t, 0, NULL);
	pthread_mutex_lock(&q->lock);
	struct queue_tenant *x = t->tenant;
	give(q, t);
	if (--x->jobs == 0)
		x->left_ms = clock_ms();
	pthread_mutex_unlock(&q->lock);
	pthread_cond_destroy(&t->change);
}

void queue_look(struct queue *q, struct queue_load *load)
{
	void *value;
	pthread_mutex_lock(&q->lock);
	*load = (struct queue_load){
		.slots = q->config.slots, .running = q->running, .waiting = q->waiting, .memory_bytes = q->memory};
	for (size_t at = 0; map_next(&q->tenants, &at, NULL, NULL, &value);)
		load->tenants += ((const struct queue_tenant *)value)->jobs > 0;
	pthread_mutex_unlock(&q->lock);
}

void queue_each(struct queue *q, void (*fn)(void *ctx, const char *tenant, unsigned running, unsigned waiting), void *ctx)
{
	void *value;
	pthread_mutex_lock(&q->lock);
	for (size_t at = 0; map_next(&q->tenants, &at, NULL, NULL, &value);) {
		const struct queue_tenant *x = value;
		if (x->jobs)
			fn(ctx, x->name, x->running, x->waiting);
	}
	pthread_mutex_unlock(&q->lock);
}

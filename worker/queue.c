#include "worker/queue.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

// There while it has jobs here.
struct queue_tenant {
	char *name;
	unsigned jobs, running, waiting;
	uint64_t memory;
	struct ticket *first, **last; // that wait
	struct queue_tenant *next;    // in the ring of those that wait
};

struct queue {
	struct queue_config config;
	pthread_mutex_t lock;
	struct map tenants;
	struct queue_tenant *turn; // the last one of the ring: its `next` is the next to get a slot; NULL: nobody waits
	unsigned running, waiting;
	uint64_t memory;
};

struct queue *queue_new(const struct queue_config *config)
{
	struct queue *q = mem_alloc(sizeof *q);
	q->config = *config;
	if (!q->config.tenant_slots || q->config.tenant_slots > q->config.slots)
		q->config.tenant_slots = q->config.slots;
	pthread_mutex_init(&q->lock, NULL);
	return q;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	map_release(&q->tenants);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

void queue_enter(struct queue *q, struct ticket *t, const char *tenant)
{
	*t = (struct ticket){.state = TICKET_HERE};
	pthread_cond_init(&t->change, NULL);
	pthread_mutex_lock(&q->lock);
	struct queue_tenant *x = map_gets(&q->tenants, tenant);
	if (!x) {
		x = mem_alloc(sizeof *x);
		x->name = mem_strdup(tenant);
		x->last = &x->first;
		map_puts(&q->tenants, tenant, x);
	}
	x->jobs++;
	t->tenant = x;
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
	t->tenant->running++;
	q->running++;
}

static bool may_run(const struct queue *q, const struct queue_tenant *x)
{
	return q->running < q->config.slots && x->running < q->config.tenant_slots;
}

// The next one that waits and may have a slot.
static struct queue_tenant *whose_turn(const struct queue *q)
{
	struct queue_tenant *x = q->turn;
	if (!x)
		return NULL;
	do {
		x = x->next;
		if (may_run(q, x))
			return x;
	} while (x != q->turn);
	return NULL;
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
			pthread_cond_wait(&t->change, &q->lock);
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
	t->state = TICKET_HERE;
	t->tenant->running--;
	q->running--;
	hand_out(q);
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
	if (--x->jobs == 0) {
		map_del(&q->tenants, x->name, strlen(x->name));
		free(x->name);
		free(x);
	}
	pthread_mutex_unlock(&q->lock);
	pthread_cond_destroy(&t->change);
}

void queue_look(struct queue *q, struct queue_load *load)
{
	pthread_mutex_lock(&q->lock);
	*load = (struct queue_load){.slots = q->config.slots,
				    .running = q->running,
				    .waiting = q->waiting,
				    .tenants = (unsigned)q->tenants.n,
				    .memory_bytes = q->memory};
	pthread_mutex_unlock(&q->lock);
}

void queue_each(struct queue *q, void (*fn)(void *ctx, const char *tenant, unsigned running, unsigned waiting), void *ctx)
{
	void *value;
	pthread_mutex_lock(&q->lock);
	for (size_t at = 0; map_next(&q->tenants, &at, NULL, NULL, &value);) {
		const struct queue_tenant *x = value;
		fn(ctx, x->name, x->running, x->waiting);
	}
	pthread_mutex_unlock(&q->lock);
}

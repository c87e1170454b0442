#include "gateway/operations.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { KEEP_MS = 60000, MOST = 8192, STACK = 512 << 10 };

struct operations {
	void (*run)(void *ctx, struct operation *op);
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct map by_name;
	struct map running; // of those that others may join: tenant and action -> operation
	size_t n_running;
};

struct operation_start {
	struct operations *all;
	struct operation *op;
};

struct operations *operations_new(void (*run)(void *ctx, struct operation *op), void *ctx)
{
	struct operations *o = mem_alloc(sizeof *o);
	o->run = run;
	o->ctx = ctx;
	pthread_mutex_init(&o->lock, NULL);
	cond_init(&o->change);
	return o;
}

// Under the lock.
static void unref(struct operation *op)
{
	if (--op->refs)
		return;
	buf_release(&op->response);
	room_release(&op->room);
	free(op);
}

void operations_free(struct operations *o)
{
	void *value;
	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	while (o->n_running)
		pthread_cond_wait(&o->change, &o->lock);
	for (size_t at = 0; map_next(&o->by_name, &at, NULL, NULL, &value);)
		unref(value);
	pthread_mutex_unlock(&o->lock);
	map_release(&o->by_name);
	map_release(&o->running);
	pthread_cond_destroy(&o->change);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

void operations_tidy(struct operations *o)
{
	int64_t before = clock_ms() - KEEP_MS;
	void *value;
	pthread_mutex_lock(&o->lock);
	for (size_t at = 0; map_next(&o->by_name, &at, NULL, NULL, &value);) {
		struct operation *op = value;
		if (op->stage != OPERATION_COMPLETED || op->ended_ms > before)
			continue;
		map_del(&o->by_name, op->name, strlen(op->name));
		unref(op);
	}
	pthread_mutex_unlock(&o->lock);
}

static void make_key(const struct operation *op, struct buf *key)
{
	buf_adds(key, blobs_tenant(op->blobs));
	buf_addc(key, '/');
	buf_add(key, &op->action, sizeof op->action);
}

static void *work(void *arg)
{
	struct operation_start *s = arg;
	struct operations *o = s->all;
	o->run(o->ctx, s->op);
	pthread_mutex_lock(&o->lock);
	o->n_running--;
	unref(s->op);
	pthread_cond_broadcast(&o->change);
	pthread_mutex_unlock(&o->lock);
	free(s);
	return NULL;
}

static int start_thread(struct operations *o, struct operation *op, struct err *err)
{
	struct operation_start *s = mem_alloc(sizeof *s);
	pthread_attr_t attr;
	pthread_t thread;
	*s = (struct operation_start){o, op};
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	int error = pthread_create(&thread, &attr, work, s);
	pthread_attr_destroy(&attr);
	if (error == 0)
		return 0;
	free(s);
	return err_set(err, ERR_FULL, "no thread for one more operation");
}

static struct operation *make(struct operations *o, const struct operation_plan *plan, struct err *err)
{
	uint8_t random[16];
	if (o->n_running >= MOST) {
		err_set(err, ERR_FULL, "%d operations run already", MOST);
		return NULL;
	}
	if (getrandom(random, sizeof random, 0) != sizeof random) {
		err_errno(err, "no random name for an operation");
		return NULL;
	}
	struct operation *op = mem_alloc(sizeof *op);
	int n = snprintf(op->name, sizeof op->name, "%.80s%soperations/", plan->instance, *plan->instance ? "/" : "");
	for (size_t i = 0; i < sizeof random; i++)
		n += snprintf(op->name + n, sizeof op->name - (size_t)n, "%02x", random[i]);
	op->blobs = op->room.blobs = plan->blobs;
	op->action = *plan->action;
	op->isolation = plan->isolation;
	op->is_shared = plan->is_shared;
	op->stage = OPERATION_CACHE_CHECK;
	op->refs = 3; // the table's, the thread's and the caller's
	if (start_thread(o, op, err) == 0)
		return op;
	free(op);
	return NULL;
}

struct operation *operations_start(struct operations *o, const struct operation_plan *plan, bool *is_new, struct err *err)
{
	AUTO_BUF struct buf key = BUF_INIT;
	struct operation wanted = {.blobs = plan->blobs, .action = *plan->action};
	make_key(&wanted, &key);
	pthread_mutex_lock(&o->lock);
	struct operation *op = plan->is_shared ? map_get(&o->running, key.data, key.len) : NULL;
	*is_new = !op;
	if (op) {
		op->refs++;
	} else if ((op = make(o, plan, err))) {
		o->n_running++;
		map_put(&o->by_name, op->name, strlen(op->name), op);
		if (op->is_shared)
			map_put(&o->running, key.data, key.len, op);
	}
	pthread_mutex_unlock(&o->lock);
	return op;
}

struct operation *operations_find(struct operations *o, const struct tenant_blobs *blobs, const char *name)
{
	pthread_mutex_lock(&o->lock);
	struct operation *op = map_gets(&o->by_name, name);
	if (op && op->blobs != blobs)
		op = NULL;
	if (op)
		op->refs++;
	pthread_mutex_unlock(&o->lock);
	return op;
}

void operation_release(struct operations *o, struct operation *op)
{
	pthread_mutex_lock(&o->lock);
	unref(op);
	pthread_mutex_unlock(&o->lock);
}

void operation_enter(struct operations *o, struct operation *op, enum operation_stage stage)
{
	pthread_mutex_lock(&o->lock);
	op->stage = stage;
	pthread_cond_broadcast(&o->change);
	pthread_mutex_unlock(&o->lock);
}

void operation_complete(struct operations *o, struct operation *op, struct buf *response)
{
	AUTO_BUF struct buf key = BUF_INIT;
	make_key(op, &key);
	pthread_mutex_lock(&o->lock);
	op->response = *response;
	*response = (struct buf)BUF_INIT;
	op->stage = OPERATION_COMPLETED;
	op->ended_ms = clock_ms();
	if (op->is_shared)
		map_del(&o->running, key.data, key.len);
	pthread_cond_broadcast(&o->change);
	pthread_mutex_unlock(&o->lock);
}

static void wake(void *arg)
{
	struct operations *o = arg;
	pthread_mutex_lock(&o->lock);
	pthread_cond_broadcast(&o->change);
	pthread_mutex_unlock(&o->lock);
}

enum operation_stage operation_wait(struct operations *o, struct operation *op, enum operation_stage known,
				    struct rpc_call *call, int ms)
{
	int64_t until = clock_ms() + ms;
	bool in_time = true;
	rpc_call_on_cancel(call, wake, o);
	pthread_mutex_lock(&o->lock);
	while (op->stage == known && in_time && !rpc_call_is_cancelled(call))
		in_time = cond_wait_until(&o->change, &o->lock, until);
	enum operation_stage stage = op->stage;
	pthread_mutex_unlock(&o->lock);
	rpc_call_on_cancel(call, NULL, NULL);
	return stage;
}

#include "remote/pool.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/mem.h"
#include "loop/loop.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>

#define IDLE_MS 10000

// A thread that waits for an item. Lives on its own stack.
struct idler {
	struct idler *next;
	pthread_cond_t wake;
	void *item;
};

struct thread_pool {
	void (*work)(void *item);
	pthread_attr_t attr;
	pthread_mutex_t lock;
	pthread_cond_t gone;
	struct idler *idle; // the last one to wait is the first to work: its memory is warm
	size_t n_threads;
	bool stopping;
};

static void forget_idler(struct thread_pool *p, const struct idler *me)
{
	struct idler **at = &p->idle;
	while (*at != me)
		at = &(*at)->next;
	*at = me->next;
}

// The next item, or NULL when there was none for too long. Under the lock.
static void *wait_for_item(struct thread_pool *p)
{
	struct idler me = {.next = p->idle};
	int64_t until = clock_ms() + IDLE_MS;
	bool in_time = true;
	if (p->stopping)
		return NULL;
	cond_init(&me.wake);
	// cppcheck-suppress autoVariables
	p->idle = &me; // until it is given something, or forgotten below
	while (!me.item && in_time && !p->stopping)
		in_time = cond_wait_until(&me.wake, &p->lock, until);
	if (!me.item)
		forget_idler(p, &me);
	pthread_cond_destroy(&me.wake);
	return me.item;
}

struct first {
	struct thread_pool *pool;
	void *item;
};

static void *pool_main(void *arg)
{
	struct first first = *(struct first *)arg;
	struct thread_pool *p = first.pool;
	free(arg);
	for (void *item = first.item; item;) {
		p->work(item);
		pthread_mutex_lock(&p->lock);
		item = wait_for_item(p);
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_lock(&p->lock);
	if (--p->n_threads == 0)
		pthread_cond_broadcast(&p->gone);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int start_thread(struct thread_pool *p, void *item)
{
	sigset_t all, before;
	pthread_t thread;
	struct first *first = mem_alloc(sizeof *first);
	*first = (struct first){p, item};
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&thread, &p->attr, pool_main, first);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		free(first);
	return rc ? -1 : 0;
}

int pool_give(struct thread_pool *p, void *item)
{
	int rc = 0;
	pthread_mutex_lock(&p->lock);
	struct idler *idler = p->idle;
	if (idler) {
		p->idle = idler->next;
		idler->item = item;
		pthread_cond_signal(&idler->wake);
	} else if ((rc = start_thread(p, item)) == 0) {
		p->n_threads++;
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

struct thread_pool *pool_new(void (*work)(void *item), size_t stack_bytes)
{
	struct thread_pool *p = mem_alloc(sizeof *p);
	p->work = work;
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->gone);
	pthread_attr_init(&p->attr);
	pthread_attr_setdetachstate(&p->attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&p->attr,
				  stack_bytes < (size_t)PTHREAD_STACK_MIN ? (size_t)PTHREAD_STACK_MIN : stack_bytes);
	return p;
}

void pool_free(struct thread_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	for (struct idler *i = p->idle; i; i = i->next)
		pthread_cond_signal(&i->wake);
	while (p->n_threads)
		cond_wait_until(&p->gone, &p->lock, -1);
	pthread_mutex_unlock(&p->lock);
	pthread_attr_destroy(&p->attr);
	pthread_cond_destroy(&p->gone);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

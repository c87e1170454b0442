#include "worker/single_flight.h"

#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct flight {
	pthread_cond_t change;
	unsigned waiting;
	bool has_ended;
};

struct single_flight {
	pthread_mutex_t lock;
	struct map by_key;
};

struct single_flight *single_flight_new(void)
{
	struct single_flight *f = mem_alloc(sizeof *f);
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

void single_flight_free(struct single_flight *f)
{
	if (!f)
		return;
	map_release(&f->by_key);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static void flight_free(struct flight *x)
{
	pthread_cond_destroy(&x->change);
	free(x);
}

// Until the flight has ended. The last one to see that frees it.
static void wait_for(struct single_flight *f, struct flight_member *m, struct flight *x)
{
	m->has_waited = true;
	m->waits_for = x;
	x->waiting++;
	while (!x->has_ended && !m->is_interrupted)
		pthread_cond_wait(&x->change, &f->lock);
	m->waits_for = NULL;
	if (--x->waiting == 0 && x->has_ended)
		flight_free(x);
}

int single_flight_join(struct single_flight *f, struct flight_member *m, const struct key *key)
{
	struct flight *x;
	m->key = *key;
	pthread_mutex_lock(&f->lock);
	while (!m->is_interrupted && (x = map_get(&f->by_key, key->b, sizeof key->b)))
		wait_for(f, m, x);
	if (!m->is_interrupted) {
		x = mem_alloc(sizeof *x);
		pthread_cond_init(&x->change, NULL);
		map_put(&f->by_key, key->b, sizeof key->b, x);
		m->leads = true;
	}
	pthread_mutex_unlock(&f->lock);
	return m->leads ? 0 : -1;
}

void single_flight_leave(struct single_flight *f, struct flight_member *m)
{
	if (!m->leads)
		return;
	m->leads = false;
	pthread_mutex_lock(&f->lock);
	struct flight *x = map_del(&f->by_key, m->key.b, sizeof m->key.b);
	x->has_ended = true;
	if (x->waiting)
		pthread_cond_broadcast(&x->change);
	else
		flight_free(x);
	pthread_mutex_unlock(&f->lock);
}

void single_flight_interrupt(struct single_flight *f, struct flight_member *m)
{
	pthread_mutex_lock(&f->lock);
	m->is_interrupted = true;
	if (m->waits_for)
		pthread_cond_broadcast(&m->waits_for->change);
	pthread_mutex_unlock(&f->lock);
}

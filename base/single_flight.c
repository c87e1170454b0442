#include "base/single_flight.h"

#include "base/cond.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

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
static enum flight_turn wait_for(struct single_flight *f, struct flight_member *m, struct flight *x, int64_t until_ms)
{
	bool in_time = true;
	m->has_waited = true;
	m->waits_for = x;
	x->waiting++;
	while (!x->has_ended && !m->is_interrupted && in_time)
		in_time = cond_wait_until(&x->change, &f->lock, until_ms);
	m->waits_for = NULL;
	bool has_ended = x->has_ended;
	if (--x->waiting == 0 && has_ended)
		flight_free(x);
	return has_ended ? FLIGHT_ENDED : FLIGHT_FLIES;
}

static void lead(struct single_flight *f, struct flight_member *m)
{
	struct flight *x = mem_alloc(sizeof *x);
	cond_init(&x->change);
	map_put(&f->by_key, m->key, m->key_len, x);
	m->leads = true;
}

enum flight_turn single_flight_wait(struct single_flight *f, struct flight_member *m, const void *key, uint32_t key_len,
				    int64_t until_ms)
{
	enum flight_turn turn = FLIGHT_FLIES;
	m->key_len = key_len < FLIGHT_KEY ? key_len : FLIGHT_KEY;
	memcpy(m->key, key, m->key_len);
	pthread_mutex_lock(&f->lock);
	struct flight *x = map_get(&f->by_key, m->key, m->key_len);
	if (x) {
		turn = wait_for(f, m, x, until_ms);
	} else if (!m->is_interrupted) {
		lead(f, m);
		turn = FLIGHT_LEADS;
	}
	pthread_mutex_unlock(&f->lock);
	return turn;
}

int single_flight_join(struct single_flight *f, struct flight_member *m, const void *key, uint32_t key_len)
{
	enum flight_turn turn;
	do
		turn = single_flight_wait(f, m, key, key_len, -1);
	while (turn == FLIGHT_ENDED);
	return turn == FLIGHT_LEADS ? 0 : -1;
}

void single_flight_leave(struct single_flight *f, struct flight_member *m)
{
	if (!m->leads)
		return;
	m->leads = false;
	pthread_mutex_lock(&f->lock);
	struct flight *x = map_del(&f->by_key, m->key, m->key_len);
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

#include "client/services/rest.h"

#include "base/clock.h"
#include "base/cond.h"

void rest_init(struct rest_turns *r, unsigned most)
{
	*r = (struct rest_turns){.lock = PTHREAD_MUTEX_INITIALIZER, .most = most};
	cond_init(&r->changed);
	cond_init(&r->turn);
}

void rest_compile_begins(struct rest_turns *r)
{
	pthread_mutex_lock(&r->lock);
	r->compiles++;
	pthread_mutex_unlock(&r->lock);
}

void rest_compile_ends(struct rest_turns *r)
{
	pthread_mutex_lock(&r->lock);
	r->ended_ms = clock_ms();
	if (--r->compiles == 0)
		pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

// Under the lock: from when on there is a turn, if nothing changes (of clock_ms()); -1: never.
static int64_t turn_at(const struct rest_turns *r)
{
	return r->compiles || r->running >= r->most ? -1 : r->ended_ms + REST_MS;
}

static bool is_resting(const struct rest_turns *r)
{
	int64_t at = turn_at(r);
	return at >= 0 && clock_ms() >= at;
}

bool rest_enter(struct rest_turns *r)
{
	pthread_mutex_lock(&r->lock);
	// One looks at a time: hundreds may wait while compiles begin and end.
	while (r->has_first && !r->is_over)
		pthread_cond_wait(&r->turn, &r->lock);
	r->has_first = true;
	while (!r->is_over && !is_resting(r))
		cond_wait_until(&r->changed, &r->lock, turn_at(r));
	r->has_first = false;
	bool enters = !r->is_over;
	r->running += enters;
	pthread_cond_signal(&r->turn);
	pthread_mutex_unlock(&r->lock);
	return enters;
}

void rest_leave(struct rest_turns *r)
{
	pthread_mutex_lock(&r->lock);
	r->running--;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

void rest_end(struct rest_turns *r)
{
	pthread_mutex_lock(&r->lock);
	r->is_over = true;
	pthread_cond_broadcast(&r->changed);
	pthread_cond_broadcast(&r->turn);
	pthread_mutex_unlock(&r->lock);
}

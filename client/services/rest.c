#include "client/services/rest.h"

#include "base/clock.h"

#include <time.h>

void rest_init(struct rest_turns *r, unsigned most)
{
	pthread_condattr_t a;
	*r = (struct rest_turns){.lock = PTHREAD_MUTEX_INITIALIZER, .most = most};
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &a);
	pthread_cond_init(&r->turn, &a);
	pthread_condattr_destroy(&a);
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

// Under the lock: waits for a change, or until the daemon has rested long enough.
static void wait_for_rest(struct rest_turns *r)
{
	int64_t left = REST_MS - (clock_ms() - r->ended_ms);
	struct timespec until;
	if (r->compiles || r->running >= r->most) {
		pthread_cond_wait(&r->changed, &r->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)left * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&r->changed, &r->lock, &until);
}

static bool is_resting(const struct rest_turns *r)
{
	return !r->compiles && r->running < r->most && clock_ms() - r->ended_ms >= REST_MS;
}

bool rest_enter(struct rest_turns *r)
{
	pthread_mutex_lock(&r->lock);
	// One looks at a time: hundreds may wait while compiles begin and end.
	while (r->has_first && !r->is_over)
		pthread_cond_wait(&r->turn, &r->lock);
	r->has_first = true;
	while (!r->is_over && !is_resting(r))
		wait_for_rest(r);
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

#include "base/cond.h"

#include <errno.h>
#include <time.h>

void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t at_ms)
{
	if (at_ms < 0) {
		pthread_cond_wait(c, m);
		return true;
	}
	const struct timespec t = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};
	return pthread_cond_timedwait(c, m, &t) != ETIMEDOUT;
}

#include "client/services/idle.h"

#include "base/clock.h"
#include "jobserver/client/lease.h"

enum { TURN_MS = 500 }; // until what was called back shows in the front end's books

void idle_init(struct idle *i)
{
	*i = (struct idle){.lock = PTHREAD_MUTEX_INITIALIZER};
}

bool idle_take(struct idle *i, const char *jobserver)
{
	long idle = lease_idle_slots(jobserver);
	if (idle <= 0)
		return false;
	pthread_mutex_lock(&i->lock);
	int64_t now = clock_ms();
	if (now - i->since_ms > TURN_MS || now < i->since_ms) {
		i->since_ms = now;
		i->taken = 0;
	}
	bool may_take = i->taken < idle;
	if (may_take)
		i->taken++;
	pthread_mutex_unlock(&i->lock);
	return may_take;
}

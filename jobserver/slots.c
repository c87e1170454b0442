#include "jobserver/slots.h"

#include <time.h>

struct slots_waiter {
	pthread_cond_t turn;
	bool granted;
	struct slots_waiter *next;
};

void slots_init(struct slots *s, unsigned size)
{
	pthread_mutex_init(&s->lock, NULL);
	s->size = size;
	s->used = 0;
	s->first = NULL;
	s->last = &s->first;
}

void slots_release(struct slots *s)
{
	pthread_mutex_destroy(&s->lock);
}

static void leave_queue(struct slots *s, struct slots_waiter *w)
{
	struct slots_waiter **at = &s->first;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (!*at)
		s->last = at;
}

// The lock is held.
static bool wait_for_turn(struct slots *s, int64_t limit_ms)
{
	struct slots_waiter w = {.granted = false, .next = NULL};
	struct timespec end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += limit_ms / 1000;
	end.tv_nsec += limit_ms % 1000 * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w.turn, &attr);
	pthread_condattr_destroy(&attr);
	*s->last = &w;
	// It waits in here, and is out of the list before it returns.
	// cppcheck-suppress autoVariables
	s->last = &w.next;
	int rc = 0;
	while (!w.granted && rc == 0)
		rc = pthread_cond_timedwait(&w.turn, &s->lock, &end);
	if (!w.granted)
		leave_queue(s, &w);
	pthread_cond_destroy(&w.turn);
	return w.granted;
}

bool slots_enter(struct slots *s, int64_t limit_ms)
{
	pthread_mutex_lock(&s->lock);
	bool entered = !s->size || (s->used < s->size && !s->first);
	if (entered)
		s->used++;
	else
		entered = wait_for_turn(s, limit_ms);
	pthread_mutex_unlock(&s->lock);
	return entered;
}

void slots_leave(struct slots *s)
{
	pthread_mutex_lock(&s->lock);
	struct slots_waiter *w = s->first;
	if (w) {
		// The slot changes hands without ever being free.
		leave_queue(s, w);
		w->granted = true;
		pthread_cond_signal(&w->turn);
	} else {
		s->used--;
	}
	pthread_mutex_unlock(&s->lock);
}

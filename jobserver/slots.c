#include "jobserver/slots.h"

#include "base/clock.h"
#include "base/cond.h"

enum { TELL_MS = 1000 };

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

// The lock is held, but while `tell` runs.
static bool wait_for_turn(struct slots *s, int64_t limit_ms, slots_tell_fn tell, void *ctx)
{
	struct slots_waiter w = {.granted = false, .next = NULL};
	cond_init(&w.turn);
	*s->last = &w;
	// It waits in here, and is out of the list before it returns.
	// cppcheck-suppress autoVariables
	s->last = &w.next;
	for (bool goes_on = true; !w.granted && goes_on && limit_ms > 0; limit_ms -= TELL_MS) {
		int64_t end = clock_ms() + (limit_ms < TELL_MS ? limit_ms : TELL_MS);
		while (!w.granted && cond_wait_until(&w.turn, &s->lock, end))
			;
		if (w.granted || !tell)
			continue;
		pthread_mutex_unlock(&s->lock);
		goes_on = tell(ctx);
		pthread_mutex_lock(&s->lock);
	}
	if (!w.granted)
		leave_queue(s, &w);
	pthread_cond_destroy(&w.turn);
	return w.granted;
}

bool slots_enter(struct slots *s, int64_t limit_ms, slots_tell_fn tell, void *ctx)
{
	pthread_mutex_lock(&s->lock);
	bool entered = !s->size || (s->used < s->size && !s->first);
	if (entered)
		s->used++;
	else if (limit_ms > 0)
		entered = wait_for_turn(s, limit_ms, tell, ctx);
	pthread_mutex_unlock(&s->lock);
	return entered;
}

bool slots_try(struct slots *s, unsigned spare)
{
	pthread_mutex_lock(&s->lock);
	bool entered = !s->size || (s->used + spare < s->size && !s->first);
	if (entered)
		s->used++;
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

void slots_look(struct slots *s, unsigned *size, unsigned *used, unsigned *waiting)
{
	pthread_mutex_lock(&s->lock);
	*size = s->size;
	*used = s->used;
	*waiting = 0;
	for (const struct slots_waiter *w = s->first; w; w = w->next)
		++*waiting;
	pthread_mutex_unlock(&s->lock);
}

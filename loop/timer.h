// Timers of a loop: a heap, so that thousands of deadlines cost nothing until they are due. Belongs to one thread.
#ifndef COFFER_LOOP_TIMER_H
#define COFFER_LOOP_TIMER_H

#include <stddef.h>
#include <stdint.h>

// Embedded in what waits. All zero: not set.
struct timer {
	int64_t at_ms; // of clock_ms()
	size_t place;  // in the heap, from 1
	void (*fire)(struct timer *t);
};
struct timers {
	struct timer **heap; // from 1
	size_t n, cap;
};

void timer_set(struct timers *ts, struct timer *t, int64_t at_ms); // also one that is set
void timer_clear(struct timers *ts, struct timer *t);
int timers_wait_ms(const struct timers *ts); // until the first is due, for epoll_wait: -1 if there is none
void timers_fire(struct timers *ts);         // those that are due; each is cleared before
void timers_release(struct timers *ts);

#endif

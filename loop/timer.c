#include "loop/timer.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

static void put(struct timers *ts, struct timer *t, size_t place)
{
	ts->heap[place] = t;
	t->place = place;
}

static void rise(struct timers *ts, struct timer *t)
{
	size_t i = t->place;
	for (; i > 1 && ts->heap[i / 2]->at_ms > t->at_ms; i /= 2)
		put(ts, ts->heap[i / 2], i);
	put(ts, t, i);
}

static void sink(struct timers *ts, struct timer *t)
{
	size_t i = t->place;
	for (;;) {
		size_t child = i * 2;
		if (child + 1 <= ts->n && ts->heap[child + 1]->at_ms < ts->heap[child]->at_ms)
			child++;
		if (child > ts->n || ts->heap[child]->at_ms >= t->at_ms)
			break;
		put(ts, ts->heap[child], i);
		i = child;
	}
	put(ts, t, i);
}

void timer_set(struct timers *ts, struct timer *t, int64_t at_ms)
{
	if (!t->place) {
		if (ts->n + 1 >= ts->cap) {
			ts->cap = ts->cap ? ts->cap * 2 : 64;
			ts->heap = mem_realloc(ts->heap, ts->cap * sizeof(struct timer *));
		}
		put(ts, t, ++ts->n);
	}
	t->at_ms = at_ms;
	rise(ts, t);
	sink(ts, t);
}

void timer_clear(struct timers *ts, struct timer *t)
{
	size_t place = t->place;
	if (!place)
		return;
	struct timer *last = ts->heap[ts->n--];
	t->place = 0;
	if (last == t)
		return;
	put(ts, last, place);
	rise(ts, last);
	sink(ts, last);
}

int timers_wait_ms(const struct timers *ts)
{
	if (!ts->n)
		return -1;
	int64_t left = ts->heap[1]->at_ms - clock_ms();
	return left < 0 ? 0 : left > 3600 * 1000 ? 3600 * 1000 : (int)left;
}

void timers_fire(struct timers *ts)
{
	int64_t now = ts->n ? clock_ms() : 0;
	while (ts->n && ts->heap[1]->at_ms <= now) {
		struct timer *t = ts->heap[1];
		timer_clear(ts, t);
		t->fire(t);
	}
}

void timers_release(struct timers *ts)
{
	free(ts->heap);
	*ts = (struct timers){0};
}

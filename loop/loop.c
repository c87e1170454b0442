#include "loop/loop.h"

#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64

// ---- mailbox ----------------------------------------------------------------------------------------------------------

bool loop_is_here(const struct loop *loop)
{
	return !loop->thread || pthread_equal(pthread_self(), loop->thread);
}

bool loop_post(struct loop *loop, struct loop_note *n)
{
	pthread_mutex_lock(&loop->lock);
	bool is_new = !n->is_posted, wake = false;
	if (is_new) {
		n->is_posted = true;
		n->next = NULL;
		*loop->last = n;
		loop->last = &n->next;
		wake = loop->is_asleep;
		loop->is_asleep = false;
	}
	pthread_mutex_unlock(&loop->lock);
	if (wake) {
		const uint64_t one = 1;
		while (write(loop->wake, &one, sizeof one) < 0 && errno == EINTR)
			;
	}
	return is_new;
}

static void attend_notes(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	// Only those of now: who posts again while attended waits for the next turn.
	struct loop_note *n = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	while (n) {
		struct loop_note *next = n->next;
		n->is_posted = false;
		pthread_mutex_unlock(&loop->lock);
		n->attend(n);
		pthread_mutex_lock(&loop->lock);
		n = next;
	}
	pthread_mutex_unlock(&loop->lock);
}

struct errand {
	struct loop_note note;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool is_done;
};

static void errand_attend(struct loop_note *n)
{
	struct errand *e = CONTAINER_OF(n, struct errand, note);
	e->fn(e->arg);
	pthread_mutex_lock(&e->lock);
	e->is_done = true;
	pthread_cond_signal(&e->done_cond);
	pthread_mutex_unlock(&e->lock);
}

void loop_run(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	if (loop_is_here(loop)) {
		fn(arg);
		return;
	}
	struct errand e = {.note = {.attend = errand_attend}, .fn = fn, .arg = arg};
	pthread_mutex_init(&e.lock, NULL);
	pthread_cond_init(&e.done_cond, NULL);
	loop_post(loop, &e.note);
	pthread_mutex_lock(&e.lock);
	while (!e.is_done)
		pthread_cond_wait(&e.done_cond, &e.lock);
	pthread_mutex_unlock(&e.lock);
	pthread_cond_destroy(&e.done_cond);
	pthread_mutex_destroy(&e.lock);
}

// ---- descriptors ------------------------------------------------------------------------------------------------------

int loop_watch(struct loop *loop, struct loop_source *s, uint32_t events, struct err *err)
{
	struct epoll_event e = {.events = events, .data.ptr = s};
	if (s->events == events)
		return 0;
	int how = !s->events ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
	if (epoll_ctl(loop->epoll, how, s->fd, &e) < 0)
		return err_errno(err, "cannot watch a descriptor");
	s->events = events;
	return 0;
}

void loop_settle_later(struct loop *loop, struct loop_settling *s)
{
	if (s->is_marked)
		return;
	s->is_marked = true;
	s->next = loop->marked;
	loop->marked = s;
}

void loop_move_in(struct loop *loop, struct loop_resident *r)
{
	r->next = loop->residents;
	r->link = &loop->residents;
	if (r->next)
		r->next->link = &r->next;
	loop->residents = r;
}

void loop_move_out(struct loop_resident *r)
{
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
}

// ---- turns --------------------------------------------------------------------------------------------------------------

static void settle_all(struct loop *loop)
{
	while (loop->marked) {
		struct loop_settling *s = loop->marked;
		loop->marked = s->next;
		s->is_marked = false;
		s->settle(s);
	}
}

// Says that it is asleep, unless there is something to do.
static bool fall_asleep(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	bool idle = !loop->first && !loop->stopping;
	loop->is_asleep = idle;
	pthread_mutex_unlock(&loop->lock);
	return idle;
}

static void wake_up(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->is_asleep = false;
	pthread_mutex_unlock(&loop->lock);
}

static void drain_wake(struct loop *loop)
{
	uint64_t n;
	while (read(loop->wake, &n, sizeof n) < 0 && errno == EINTR)
		;
}

int loop_turn(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	bool may_sleep = fall_asleep(loop);
	int n = epoll_wait(loop->epoll, events, EVENTS_AT_ONCE, may_sleep ? timeout_ms : 0);
	if (may_sleep)
		wake_up(loop);
	for (int i = 0; i < n; i++) {
		struct loop_source *s = events[i].data.ptr;
		if (!s)
			drain_wake(loop);
		else if (s->events) // else it was given up in this turn
			s->ready(s, events[i].events);
	}
	attend_notes(loop);
	timers_fire(&loop->timers);
	settle_all(loop);
	return n > 0 ? n : 0;
}

static void *loop_main(void *arg)
{
	struct loop *loop = arg;
	bool stop = false;
	while (!stop) {
		loop_turn(loop, timers_wait_ms(&loop->timers));
		pthread_mutex_lock(&loop->lock);
		stop = loop->stopping && !loop->first;
		pthread_mutex_unlock(&loop->lock);
	}
	return NULL;
}

// ---- beginning and end ------------------------------------------------------------------------------------------------

int loop_new(struct loop **out, struct err *err)
{
	struct loop *loop = mem_alloc(sizeof *loop);
	struct epoll_event e = {.events = EPOLLIN};
	pthread_mutex_init(&loop->lock, NULL);
	loop->last = &loop->first;
	loop->scratch = mem_alloc(LOOP_SCRATCH);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll < 0 || loop->wake < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &e)) {
		err_errno(err, "cannot make an event loop");
		loop_free(loop);
		return -1;
	}
	*out = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	while (loop->residents)
		loop->residents->evict(loop->residents);
	settle_all(loop);
	if (loop->epoll >= 0)
		close(loop->epoll);
	if (loop->wake >= 0)
		close(loop->wake);
	timers_release(&loop->timers);
	pthread_mutex_destroy(&loop->lock);
	free(loop->scratch);
	free(loop);
}

int loop_start(struct loop **out, struct err *err)
{
	struct loop *loop;
	sigset_t all, before;
	if (loop_new(&loop, err))
		return -1;
	// Signals are for the program's own threads; and a write to a closed socket must not end the program.
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&loop->thread, NULL, loop_main, loop);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc) {
		loop->thread = 0;
		loop_free(loop);
		errno = rc;
		return err_errno(err, "cannot start a thread");
	}
	*out = loop;
	return 0;
}

static void ask_to_stop(void *arg)
{
	struct loop *loop = arg;
	pthread_mutex_lock(&loop->lock);
	loop->stopping = true;
	pthread_mutex_unlock(&loop->lock);
}

void loop_stop(struct loop *loop)
{
	loop_run(loop, ask_to_stop, loop);
	pthread_join(loop->thread, NULL);
	loop_free(loop);
}

// The thread that owns descriptors and the state behind them: sockets and HTTP/2 sessions (remote/), the operators' port
// (service/admin). Everybody else leaves notes in its mailbox. A program that has nothing else to do turns a loop by hand
// instead (jobserver/server).
//
// One turn: what the descriptors say, the notes, the timers that are due; then what was marked is settled (bytes are
// written, the dead are freed). So whatever happened in a turn goes out together, and nothing vanishes in the middle of one.
//
// epoll and a heap of timers rather than libuv: the loop needs no more than these, and the agent, which is static and the
// first process of a microVM, carries this file, too.
#ifndef COFFER_LOOP_LOOP_H
#define COFFER_LOOP_LOOP_H

#include "base/err.h"
#include "loop/timer.h"

#include <pthread.h>
#include <stdbool.h>

// A descriptor that is watched (level-triggered). Embedded; loop thread.
struct loop_source {
	int fd;
	uint32_t events; // EPOLLIN, EPOLLOUT as they are asked for now; 0: not watched
	void (*ready)(struct loop_source *s, uint32_t events);
};

// What somebody wants of the loop. Embedded; in the mailbox at most once, and it must live until it is attended to.
struct loop_note {
	struct loop_note *next;
	bool is_posted; // under the mailbox's lock
	void (*attend)(struct loop_note *n);
};

// What is settled at the end of a turn. Embedded; loop thread.
struct loop_settling {
	struct loop_settling *next;
	bool is_marked;
	void (*settle)(struct loop_settling *s);
};

// What lives on the loop and must go when it stops. Embedded; loop thread.
struct loop_resident {
	struct loop_resident *next, **link;
	void (*evict)(struct loop_resident *r);
};

struct loop {
	int epoll, wake;
	pthread_t thread;
	struct timers timers;
	struct loop_settling *marked;
	struct loop_resident *residents;
	char *scratch; // LOOP_SCRATCH bytes for whoever reads or writes in a turn

	pthread_mutex_t lock; // the mailbox
	struct loop_note *first, **last;
	bool is_asleep, stopping;
};
#define LOOP_SCRATCH ((size_t)256 << 10)

// ---- any thread ---------------------------------------------------------------------------------------------------------
// False: it is in the mailbox already.
bool loop_post(struct loop *loop, struct loop_note *n);
// Runs fn on the loop's thread and waits for its end, which comes soon, as the loop never sleeps in anything. (Runs it here,
// if this is that thread, or if the loop has none.)
void loop_run(struct loop *loop, void (*fn)(void *arg), void *arg);
bool loop_is_here(const struct loop *loop);

// ---- loop thread --------------------------------------------------------------------------------------------------------
// Asks for other events than so far. 0: no more, which must be said before the descriptor is closed; the source itself must
// live to the end of the turn, whose other events may still name it.
int loop_watch(struct loop *loop, struct loop_source *s, uint32_t events, struct err *err);
void loop_move_in(struct loop *loop, struct loop_resident *r);
void loop_move_out(struct loop_resident *r);
void loop_settle_later(struct loop *loop, struct loop_settling *s);

// ---- with a thread of its own, which has all signals blocked ---------------------------------------------------------------
int loop_start(struct loop **loop, struct err *err);
// Ends the thread. What lives on the loop is evicted; release or free every channel, call and server of it before.
void loop_stop(struct loop *loop);

// ---- turned by hand, in the caller's thread ------------------------------------------------------------------------------
int loop_new(struct loop **loop, struct err *err);
int loop_turn(struct loop *loop, int timeout_ms); // how many descriptors had events; -1: no time limit
void loop_free(struct loop *loop);

#endif

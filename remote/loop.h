// The thread that owns sockets and protocol state. Everybody else leaves notes in its mailbox.
//
// One turn: what the descriptors say, the notes, the timers that are due; then what was marked is settled (bytes are
// written, the dead are freed). So whatever happened in a turn goes out together, and nothing vanishes in the middle of one.
//
// epoll and a heap of timers rather than libuv: the loop needs no more than these, and the agent, which is static and the
// first process of a microVM, carries this file, too.
#ifndef COFFER_REMOTE_LOOP_H
#define COFFER_REMOTE_LOOP_H

#include "remote/rpc.h"
#include "remote/timer.h"

#include <pthread.h>

// A descriptor that is watched (level-triggered). Embedded; loop thread.
struct source {
	int fd;
	uint32_t events; // EPOLLIN, EPOLLOUT as they are asked for now
	void (*ready)(struct source *s, uint32_t events);
};

// What somebody wants of the loop. Embedded; in the mailbox at most once, and it must live until it is attended to.
struct note {
	struct note *next;
	bool is_posted; // under the mailbox's lock
	void (*attend)(struct note *n);
};

// What is settled at the end of a turn. Embedded; loop thread.
struct settling {
	struct settling *next;
	bool is_marked;
	void (*settle)(struct settling *s);
};

// What lives on the loop and must go when it stops. Embedded; loop thread.
struct resident {
	struct resident *next, **link;
	void (*evict)(struct resident *r);
};

struct rpc_loop {
	int epoll, wake;
	pthread_t thread;
	struct timers timers;
	struct settling *marked;
	struct resident *residents;
	char *scratch; // LOOP_SCRATCH bytes for whoever reads or writes in a turn

	pthread_mutex_t lock; // the mailbox
	struct note *first, **last;
	bool is_asleep, stopping;
};
#define LOOP_SCRATCH ((size_t)256 << 10)

// ---- any thread ---------------------------------------------------------------------------------------------------------
// False: it is in the mailbox already.
bool loop_post(struct rpc_loop *loop, struct note *n);
// Runs fn on the loop's thread and waits for its end, which comes soon, as the loop never sleeps in anything. (Runs it here,
// if this is that thread, or if the loop has none.)
void loop_run(struct rpc_loop *loop, void (*fn)(void *arg), void *arg);
bool loop_is_here(const struct rpc_loop *loop);

// ---- loop thread --------------------------------------------------------------------------------------------------------
int loop_watch(struct rpc_loop *loop, struct source *s, uint32_t events, struct err *err);
void loop_rewatch(struct rpc_loop *loop, struct source *s, uint32_t events);
void loop_unwatch(struct rpc_loop *loop, struct source *s); // before the descriptor is closed
void loop_move_in(struct rpc_loop *loop, struct resident *r);
void loop_move_out(struct resident *r);
void loop_settle_later(struct rpc_loop *loop, struct settling *s);

// ---- without a thread, for tests that turn the loop by hand ---------------------------------------------------------------
int loop_new(struct rpc_loop **loop, struct err *err);
void loop_turn(struct rpc_loop *loop, int timeout_ms);
void loop_free(struct rpc_loop *loop);

// A condition variable whose timed waits are by CLOCK_MONOTONIC.
void monotonic_cond_init(pthread_cond_t *c);
// False: at_ms (of clock_ms(); negative: never) has passed.
bool monotonic_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t at_ms);

#endif

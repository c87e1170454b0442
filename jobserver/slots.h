// The gate of the daemon: at most so many local compiles at once, whatever -j the build was called with. First come, first
// served.
//
// For `make -j500 CC="coffer gcc"` and `ninja -j500`: a job that is to compile here enters before its launcher is told to
// run, and leaves when the result is in or the launcher gone. Compiles that wait for another machine are outside. A
// compiler that starts coffer again (COFFER_DEPTH above 0) must not enter a second time: it would wait for itself.
// Nobody waits for ever: past the time limit a job goes on without a slot, since a compile may wait for something that
// only another local command brings. Thread: any.
#ifndef COFFER_JOBSERVER_SLOTS_H
#define COFFER_JOBSERVER_SLOTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { SLOTS_LIMIT_MS = 30000 };

struct slots_waiter;
struct slots {
	pthread_mutex_t lock;
	unsigned size, used;
	struct slots_waiter *first, **last;
};

void slots_init(struct slots *s, unsigned size); // size 0: no limit
void slots_release(struct slots *s);             // nobody may be inside
// While it waits it calls `tell` about once a second, if that is set; false gives up.
typedef bool (*slots_tell_fn)(void *ctx);
// true: leave later; false: the time passed or `tell` gave up, do not leave. A limit of 0 does not wait.
bool slots_enter(struct slots *s, int64_t limit_ms, slots_tell_fn tell, void *ctx);
// Without waiting, and only if so many more stay free. Nobody who waits is overtaken.
bool slots_try(struct slots *s, unsigned spare);
void slots_leave(struct slots *s);
void slots_look(struct slots *s, unsigned *size, unsigned *used, unsigned *waiting); // size 0: no limit

#endif

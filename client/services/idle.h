// Idle cores behind the elastic front end: it knows of them, and the daemon asks before it calls a compile back that is
// away. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_IDLE_H
#define COFFER_CLIENT_SERVICES_IDLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

// What was called back lately, so that many that ask at once do not all take the same core.
struct idle {
	pthread_mutex_t lock;
	int64_t since_ms;
	long taken;
};
void idle_init(struct idle *i);

// jobserver: the front end's socket, $COFFER_JOBSERVER. true: a core of its is idle, and this compile may have it.
bool idle_take(struct idle *i, const char *jobserver);

#endif

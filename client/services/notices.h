// What a user is told once a build, and not for each of its compiles.
//
// A build is told by its session (getsid(2)) and by time: its compiles follow each other within NOTICE_PAUSE_MS. Of more than
// NOTICES_MAX at a time the one that was needed longest ago is forgotten, and may be told again. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_NOTICES_H
#define COFFER_CLIENT_SERVICES_NOTICES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { NOTICES_MAX = 64, NOTICE_PAUSE_MS = 60000 };

struct notice {
	uint64_t text; // a hash of it; 0: none
	pid_t session;
	int64_t needed_ms;
};
struct notices {
	pthread_mutex_t lock;
	struct notice all[NOTICES_MAX];
};

void notices_init(struct notices *n);
// Whether this is the build's first need of the text. `now_ms` is of clock_ms().
bool notices_is_first(struct notices *n, pid_t session, const char *text, int64_t now_ms);

#endif

// Work that waits until this daemon's compiles are done: behind a build on full cores it would take a share of them. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_REST_H
#define COFFER_CLIENT_SERVICES_REST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { REST_MS = 500 }; // without a compile under way: a build seldom has longer breaks between two

struct rest_turns {
	pthread_mutex_t lock;
	pthread_cond_t changed, turn; // for the one who looks, and for all behind it
	unsigned compiles, running, most;
	bool has_first, is_over;
	int64_t ended_ms; // when the last compile ended
};

void rest_init(struct rest_turns *r, unsigned most); // so many pieces of work at once
void rest_compile_begins(struct rest_turns *r);
void rest_compile_ends(struct rest_turns *r);
// Waits for a turn, in no certain order. True: rest_leave() follows; false: the daemon ends.
bool rest_enter(struct rest_turns *r);
void rest_leave(struct rest_turns *r);
void rest_end(struct rest_turns *r); // nobody waits from now on

#endif

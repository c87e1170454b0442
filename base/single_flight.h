// Jobs with the same key at the same time: one runs, the others wait for what it stores.
//
// A wait ends when the one that runs has ended, however it did; whoever waited then looks for the result, and no job fails because
// another one did. Where nobody may ever wait for somebody else (another tenant), the key says so.
// Thread: any; single_flight_join and single_flight_wait sleep, the others never do.
#ifndef COFFER_BASE_SINGLE_FLIGHT_H
#define COFFER_BASE_SINGLE_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

enum { FLIGHT_KEY = 32 }; // the longest key in bytes

struct single_flight;
struct single_flight *single_flight_new(void);
void single_flight_free(struct single_flight *f); // NULL is fine; nobody leads or waits any more

struct flight_member {
	uint8_t key[FLIGHT_KEY];
	uint32_t key_len;
	bool leads, is_interrupted;
	bool has_waited;
	struct flight *waits_for;
};

enum flight_turn {
	FLIGHT_LEADS, // it leads, until single_flight_leave
	FLIGHT_ENDED, // another one led, and has ended
	FLIGHT_FLIES, // another one leads still: the time is over, or the wait was interrupted
};
// until_ms: of clock_ms(); negative: never.
enum flight_turn single_flight_wait(struct single_flight *f, struct flight_member *m, const void *key, uint32_t key_len,
				    int64_t until_ms);
// Waits until it leads itself: of those that wait, the first runs next. -1: it was interrupted.
int single_flight_join(struct single_flight *f, struct flight_member *m, const void *key, uint32_t key_len);
void single_flight_leave(struct single_flight *f, struct flight_member *m); // fine for one that does not lead
void single_flight_interrupt(struct single_flight *f, struct flight_member *m);

#endif

// Who has been told to use how many slots of which workers, and until when: a ledger, since the scheduler sees no jobs.
//
// A client is one connection. Its latest route for an image takes the place of the one before; a route ends by itself after
// its lifetime. A client that got nothing is in the ledger, too: what it wanted counts when the others ask again, so that
// they make room. Times as in scheduler/registry.h. Thread: guard it yourself.
#ifndef COFFER_SCHEDULER_GRANTS_H
#define COFFER_SCHEDULER_GRANTS_H

#include "auth/token.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GRANT_MAX_PICKS = 64,       // workers in one route
	GRANT_MAX_CLIENTS = 4096,   // of one tenant at once
	GRANT_MAX_QUESTIONS = 1000, // of one tenant in GRANT_QUESTIONS_MS
	GRANT_QUESTIONS_MS = 10000,
};

struct grant_pick {
	char worker[TOKEN_NAME_MAX + 1];
	uint32_t slots;
};

struct grant {
	const char *tenant, *client, *image;
	uint32_t wanted; // at most the tenant's quota
	uint32_t slots;  // of all picks
	struct grant_pick *picks;
	size_t n_picks;
	int64_t ends_ms;
};

struct grants;
struct grants *grants_new(void);
void grants_free(struct grants *g);
// Forgets routes that have ended.
void grants_expire(struct grants *g, int64_t now_ms);
// The client's, or NULL.
const struct grant *grants_find(const struct grants *g, const char *tenant, const char *client, const char *image);
// Puts it in the place of the client's last one; copies all.
void grants_put(struct grants *g, const struct grant *grant);
// False: this tenant has asked too often or with too many clients, and the question is not to be answered.
bool grants_may_ask(struct grants *g, const char *tenant, int64_t now_ms);

size_t grants_count(const struct grants *g);
const struct grant *grants_at(const struct grants *g, size_t i);      // ordered by tenant
uint64_t grants_slots_of(const struct grants *g, const char *tenant); // that its clients have at this time

#endif

// The workers that are there: what each said of itself and when it last reported.
//
// A worker is in routes from its hello until its session ends, until it says that it drains, or until it has not reported
// for two heartbeats. One whose session another scheduler has (scheduler/siblings.h) is in until that one says otherwise. A hello under a name that is there already takes its place: it has shown that it is that worker, and
// the other session is one whose end has not been seen yet. Times are milliseconds of a clock that only goes forward.
// Thread: guard it yourself; a pointer to a worker is good until the next call that changes anything.
#ifndef COFFER_SCHEDULER_REGISTRY_H
#define COFFER_SCHEDULER_REGISTRY_H

#include "auth/token.h"
#include "base/err.h"

#include "proto/coffer.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORKER_MAX_IMAGES = 1024,
	WORKER_MAX_SLOTS = 100000,
	WORKER_MAX_ADDRESS = 255,
	WORKER_MAX_VERSION = 64,
	REGISTRY_DEAD_AFTER = 2, // heartbeats
};

struct worker {
	char name[TOKEN_NAME_MAX + 1];
	char address[WORKER_MAX_ADDRESS + 1];
	char version[WORKER_MAX_VERSION + 1];
	char **images;
	size_t n_images;
	uint32_t slots;
	int isolation;
	uint8_t certificate_sha256[32];
	bool has_certificate;
	bool draining;
	bool is_elsewhere; // another scheduler has its session
	uint32_t running, waiting, sessions;
	uint64_t jobs, hits;
	uint64_t session;
	int64_t reported_ms;
	char *namesake; // the address of a worker that was alive when this one took its place, or NULL
	int64_t namesake_until_ms;
	uint64_t avoided_in; // the question that avoids it; scheduler/route.c
};

// The workers with an image, in no order.
struct image_workers {
	struct worker **all;
	size_t n, room;
};

struct registry;
// Two workers of one name take each other's place again and again: tokens and routes would mean either. NULL: it has the name alone.
const char *worker_namesake(const struct worker *w, int64_t now_ms);
struct registry *registry_new(int64_t heartbeat_ms, size_t most_workers);
void registry_free(struct registry *r);

// Checks what a worker says of itself: names, lengths, ranges. ERR_FORMAT.
int registry_check_hello(const Coffer__V1__WorkerHello *hello, struct err *err);
// ERR_LIMIT: there are too many workers. *session is never 0.
int registry_add(struct registry *r, const Coffer__V1__WorkerHello *hello, int64_t now_ms, uint64_t *session,
		 struct err *err);
// False: this session is over; another one took the name, or two heartbeats have passed.
bool registry_report(struct registry *r, uint64_t session, const Coffer__V1__WorkerLoad *load, int64_t now_ms);
// False: it was not there any more.
bool registry_remove(struct registry *r, uint64_t session);

// The same of a worker whose session another scheduler has; it takes the place of one that is here.
int registry_add_elsewhere(struct registry *r, const Coffer__V1__WorkerHello *hello, bool draining, int64_t now_ms,
			   struct err *err);
bool registry_remove_elsewhere(struct registry *r, const char *name); // false: it was not there, or its session is here
// Calls fn for each worker with a session here that has come, has gone, or has begun or ceased to drain. It must change nothing.
void registry_on_change(struct registry *r, void (*fn)(void *ctx, const char *worker), void *ctx);

size_t registry_count(const struct registry *r);
const struct worker *registry_at(const struct registry *r, size_t i); // ordered by name
// Another number whenever a worker has come or gone, or has begun or ceased to drain.
uint64_t registry_generation(const struct registry *r);
const struct image_workers *registry_image(const struct registry *r, const char *image); // NULL: nobody has it
struct worker *registry_worker(const struct registry *r, const char *name);              // or NULL
bool registry_find(const struct registry *r, const char *name, size_t *at);              // its place
bool registry_is_alive(const struct registry *r, const struct worker *w, int64_t now_ms);
bool worker_has_image(const struct worker *w, const char *image);

#endif

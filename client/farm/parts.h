// What the files of a farm share: open.c (the settings), farm.c (routes and seats), ask.c (a worker's compiler and policy), ask_all.c
// and status.c (for people), accounts.c (how results were made).
#ifndef COFFER_CLIENT_FARM_PARTS_H
#define COFFER_CLIENT_FARM_PARTS_H

#include "base/map.h"
#include "client/farm/farm.h"
#include "client/farm/latency.h"
#include "remote/net/target.h"

#include <pthread.h>

// What a worker has said last about how busy it is.
struct route_load {
	bool is_known;
	char why_not[160]; // it could not be asked
	uint32_t slots, running, waiting, sessions, own_running, own_waiting, own_sessions;
	uint64_t own_answers, own_hits;
	bool is_draining;
	char version[32];
};

struct route {
	char differs[300];                  // of its compiler and ours, when they were last found to be two; or ""
	int64_t differs_since_s, lied_at_s; // seconds since 1970
	char *worker, *address, *token;
	char *namesake;  // the address of another worker of its name, or NULL
	uint8_t pin[32]; // of its certificate
	uint32_t slots, in_flight, failures;
	bool is_current; // in the scheduler's last answer
	bool has_lied;
	unsigned doubts; // farm_note_words
	char lie[160];
	bool has_told_policy, keep_nothing;
	bool is_cluster; // somebody's, as one worker: cluster.h
	bool takes_trees, takes_accounts;
	unsigned tree_failures; // in a row: farm_note_tree
	int64_t trees_again_ms; // after so many it gets none before
	struct buf listing;     // of the last tree that it got: the next one is packed behind it
	int64_t not_before_ms;
	struct rpc_target *target;
	// What it was asked about -> the identity of its compiler, ours to free; "" if it is not ours.
	struct map compilers;
	uint64_t jobs;
	int64_t done_at_ms; // the last of them
	struct latency pace;
	struct route_load load;
};

enum { FARM_BOUND = 4096 };
struct farm {
	pthread_mutex_t lock;
	pthread_cond_t asked; // a question to the scheduler has ended
	pthread_cond_t freed; // a seat was given back
	bool is_asking, is_learning;
	int64_t learn_at_ms; // when a worker may be asked for its policy again
	struct loop *loop;
	struct rpc_tls *scheduler_tls, *worker_tls;
	struct cluster *cluster;      // instead of a scheduler and workers, or NULL
	struct rpc_target *scheduler; // NULL: workers named by the settings
	char *scheduler_address, *tenant, *image, *token_file;
	int isolation;
	uint32_t most_jobs, in_flight;
	int64_t timeout_ms;
	int64_t fresh_until_ms, stale_at_ms; // of the routes
	bool ask_failed;                     // the scheduler has not answered the last time
	int64_t loads_at_ms;                 // when workers were asked how busy they are
	struct latency here;                 // of compiles on this machine
	char why[256];                       // there is no route
	char trouble[256];                   // the scheduler could not be asked, or has none; "" as soon as it has
	int64_t trouble_since_s;             // seconds since 1970
	struct route **routes;
	size_t n_routes;
	struct rpc_target **retired; // of certificates that were renewed
	size_t n_retired;
	struct digest bound[FARM_BOUND]; // farm_note_bound; each key has one place
	struct told *told, **told_end;   // accounts.c: what is to be told to workers, oldest first
	size_t n_told;
	bool is_telling; // a thread does so
};

// farm/open.c. A route is the farm's. `pin` is the SHA-256 of the worker's certificate, NULL for one of this machine; a target that
// the route had before is kept, as a thread may be connecting with it. With the lock, or before there are threads.
struct route *farm_add_route(struct farm *f, const char *worker, const char *address, const uint8_t *pin);
void farm_set_target(struct farm *f, struct route *r, const uint8_t *pin);
// Asks the scheduler for routes. The lock is held, but not while it asks; who comes meanwhile waits for the same answer.
void farm_refresh(struct farm *f);
// "Bearer TOKEN", to be freed; NULL without a token.
char *farm_authorization(const char *token);
// ask.c: 1: its compiler is the same, and the seat has its identity; 0: another one; -1: it could not be asked.
int farm_compare(struct farm *f, struct farm_seat *seat, const struct farm_compiler *c, struct err *err);

// ask_all.c: one question to all workers that there are routes to, within so many milliseconds.
struct farm_inquiry {
	const char *method; // "/coffer.v1.Worker/Status"
	const ProtobufCMessage *request;
	const ProtobufCMessageDescriptor *descriptor; // of the reply
	int ms;
};
struct farm_answer {
	struct route *route;
	char worker[128];
	ProtobufCMessage *reply; // NULL: none came
	char why_not[160];
};
struct farm_answers {
	struct farm_answer *list;
	size_t n;
};
struct farm_answers farm_ask_all(struct farm *f, const struct farm_inquiry *inquiry);
void farm_answers_release(struct farm_answers *answers);

#endif

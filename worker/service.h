// The calls of coffer.v1.Worker: what they share, and the methods. The story of a compile is compile.c.
// Thread: any; each call has a thread of its own.
#ifndef COFFER_WORKER_SERVICE_H
#define COFFER_WORKER_SERVICE_H

#include "base/log_limit.h"
#include "base/single_flight.h"
#include "remote/rpc.h"
#include "worker/access.h"
#include "worker/accounts.h"
#include "worker/images.h"
#include "worker/misses.h"
#include "worker/queue.h"
#include "worker/results.h"
#include "worker/runtime/runtime.h"
#include "worker/sessions.h"
#include "worker/space.h"
#include "worker/tenant_stats.h"

#include <stdatomic.h>

struct audit_log;

struct worker_limits {
	uint64_t source_bytes;  // unpacked
	uint64_t output_bytes;  // all outputs of a job, unpacked
	int upload_ms;          // from the header to the end of the source
	uint64_t message_bytes; // stdout and stderr, each
};

enum worker_counter {
#define COUNTER(name, text) COUNT_##name,
#include "worker/counters.def"
#undef COUNTER
	WORKER_COUNTERS
};

// All of it is made by worker.c and outlives the server.
struct worker_service {
	const char *name;
	bool is_paranoid; // clients have to keep nothing
	struct worker_limits limits;
	struct runtime *runtime;
	const struct limits *runtime_limits; // of jobs; NULL: those of the runtime alone
	struct access *access;
	struct images *images;
	struct queue *queue;
	struct single_flight *flights;
	struct sessions *sessions;
	struct results *results;
	struct accounts *accounts;
	struct tenant_stats *tally;
	struct misses *misses;
	struct audit_log *audit; // NULL: none is kept
	bool keeps_sources;      // for replay
	struct space space;
	atomic_bool cannot_store; // the last result that was to be stored was not
	atomic_bool is_draining;
	atomic_uint_fast64_t counters[WORKER_COUNTERS];
	struct log_limit refusals;
};

// Who calls, and is there room for one more of that tenant's? The call is finished where not.
bool worker_may_call(struct worker_service *s, struct rpc_call *call, struct token_claims *claims);

void worker_service_init(struct worker_service *s);
void worker_service_release(struct worker_service *s);
void service_look_at_images(struct worker_service *s); // which there are; guests are booted ahead for them
static inline void worker_count(struct worker_service *s, enum worker_counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&s->counters[c], n, memory_order_relaxed);
}
// Counts it, tells the caller, logs it. With RPC_RESOURCE_EXHAUSTED goes a hint when to come again.
__attribute__((format(printf, 5, 6))) void worker_refuse(struct worker_service *s, struct rpc_call *call,
							 enum worker_counter c, enum rpc_code code, const char *fmt, ...);

#define WORKER_METHODS 6
extern const struct rpc_method worker_methods[WORKER_METHODS]; // arg is the struct worker_service

// action.c
void action_serve(struct rpc_call *call, void *service);

// explain.c
void account_serve(struct rpc_call *call, void *service);
void explain_serve(struct rpc_call *call, void *service);

// compile.c
void compile_serve(struct rpc_call *call, void *service);

#endif

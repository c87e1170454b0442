// Operations: actions that run, or have run lately, on their own threads, whoever still listens. Clients that want the same action of
// one tenant share one. Thread: any.
#ifndef COFFER_GATEWAY_OPERATIONS_H
#define COFFER_GATEWAY_OPERATIONS_H

#include "gateway/blobs.h"
#include "remote/rpc.h"

enum operation_stage { OPERATION_CACHE_CHECK = 1, OPERATION_QUEUED = 2, OPERATION_EXECUTING = 3, OPERATION_COMPLETED = 4 };

struct operation {
	char name[160];
	struct tenant_blobs *blobs;
	struct reapi_digest action;
	int isolation;
	bool is_shared; // others may join it
	// Under the lock of all operations.
	enum operation_stage stage;
	struct buf response; // an ExecuteResponse, once it is completed
	struct room room;    // for it
	int64_t ended_ms;
	int refs;
};

struct operations;
// `run` works on one, on a thread of its own, and calls operation_complete.
struct operations *operations_new(void (*run)(void *ctx, struct operation *op), void *ctx);
void operations_free(struct operations *o); // waits for all
void operations_tidy(struct operations *o);

struct operation_plan {
	struct tenant_blobs *blobs;
	const char *instance; // in its name
	const struct reapi_digest *action;
	int isolation;
	bool is_shared;
};
// One that runs already, with *is_new false, or a new one. NULL: there are too many.
struct operation *operations_start(struct operations *o, const struct operation_plan *plan, bool *is_new, struct err *err);
// A handle; NULL: there is none of this tenant.
struct operation *operations_find(struct operations *o, const struct tenant_blobs *blobs, const char *name);
void operation_release(struct operations *o, struct operation *op);

void operation_enter(struct operations *o, struct operation *op, enum operation_stage stage);
void operation_complete(struct operations *o, struct operation *op, struct buf *response); // taken over
// Sleeps until the stage is another one, the call is cancelled, or the time is over. Returns the stage.
enum operation_stage operation_wait(struct operations *o, struct operation *op, enum operation_stage known,
				    struct rpc_call *call, int ms);

#endif

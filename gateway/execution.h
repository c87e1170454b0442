// One action on its way to a worker and back: is all of it here, which worker, what came of it. Thread: the operation's.
#ifndef COFFER_GATEWAY_EXECUTION_H
#define COFFER_GATEWAY_EXECUTION_H

#include "gateway/fleet.h"
#include "gateway/operations.h"
#include "gateway/service.h"

struct executor {
	struct gateway *gateway;
	struct fleet *fleet;
	struct operations *operations;
	const char *image;          // of actions that name none
	const char *const *ignored; // properties of platforms that say nothing here; NULL-terminated
};

void execution_work(void *executor, struct operation *op); // for operations_new
// What a client is told once it has ended; adds to `out`.
void execution_pack(const Reapi__ActionResult *result, bool is_cached, enum rpc_code code, const char *text,
		    struct buf *out);

// execute.c
void execute_serve(struct rpc_call *call, void *gateway);
void execute_wait(struct rpc_call *call, void *gateway);

#endif

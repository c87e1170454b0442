// The Remote Execution API in front of coffer's stores and workers: what its methods share. Each service has a file of its own.
//
// The gateway keeps and hands out; it runs nothing. A result of an action is written by the worker that has run it, and by those
// clients that the operator trusts with it. Thread: any; each call has a thread of its own.
#ifndef COFFER_GATEWAY_SERVICE_H
#define COFFER_GATEWAY_SERVICE_H

#include "base/log_limit.h"
#include "gateway/blobs.h"
#include "gateway/callers.h"
#include "remote/rpc.h"

#include <stdatomic.h>

enum {
	GATEWAY_MESSAGE_BYTES = 4 << 20, // one message, in and out: what gRPC's libraries take without being told
	GATEWAY_BATCH_BYTES = (4 << 20) - (64 << 10), // of all blobs in one message
	GATEWAY_INLINE_BYTES = 1 << 20,               // of what goes with a result, if the client asks for it
};

enum gateway_counter {
#define COUNTER(name, text) COUNT_##name,
#include "gateway/counters.def"
#undef COUNTER
	GATEWAY_COUNTERS
};

struct uploads;
struct executor;
// All of it is made by gateway.c and outlives the server.
struct gateway {
	struct callers *callers;
	struct blobs *blobs;
	struct uploads *uploads;
	struct executor *executor; // NULL: a cache only
	bool has_writers;          // some client may write results
	atomic_uint_fast64_t counters[GATEWAY_COUNTERS];
	struct log_limit refusals;
};

static inline void gateway_count(struct gateway *g, enum gateway_counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&g->counters[c], n, memory_order_relaxed);
}

// One call of one tenant.
struct visit {
	struct gateway *gateway;
	struct rpc_call *call;
	struct client_caller caller;
	struct tenant_blobs *blobs;
};
// Who is it, and is there room for one more call of that tenant's? False: the call is finished.
bool visit_begin(struct visit *v, struct gateway *g, struct rpc_call *call, const char *instance);
// The one message of a unary call. False: the call is finished.
bool gateway_receive_one(struct gateway *g, struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor,
			 void *message);
// A whole unary call whose message names its tenant in the field `instance_name`: `serve` has that message, and ends the call.
void gateway_serve_one(struct gateway *g, struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor,
		       void (*serve)(struct visit *v, const void *request));
// Counts it, tells the caller, logs it.
__attribute__((format(printf, 4, 5))) void gateway_refuse(struct gateway *g, struct rpc_call *call, enum rpc_code code,
							  const char *fmt, ...);
enum rpc_code gateway_code(const struct err *err); // what the caller is told of an error
// Finishes the call.
void visit_fail(struct visit *v, const struct err *err);

// capabilities.c
void capabilities_serve(struct rpc_call *call, void *gateway);
// cas.c
void cas_find_missing(struct rpc_call *call, void *gateway);
void cas_batch_update(struct rpc_call *call, void *gateway);
void cas_batch_read(struct rpc_call *call, void *gateway);
void cas_get_tree(struct rpc_call *call, void *gateway);
// byte_stream.c
void byte_stream_read(struct rpc_call *call, void *gateway);
void byte_stream_write(struct rpc_call *call, void *gateway);
void byte_stream_query(struct rpc_call *call, void *gateway);
// action_cache.c
void action_cache_get(struct rpc_call *call, void *gateway);
void action_cache_update(struct rpc_call *call, void *gateway);

#define GATEWAY_METHODS 12
extern const struct rpc_method gateway_methods[GATEWAY_METHODS]; // arg is the struct gateway
#define GATEWAY_CACHE_METHODS 10                                 // the first of them: without execution

#endif

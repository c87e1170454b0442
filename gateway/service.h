// The Remote Execution API in front of coffer's stores and workers: what its methods share. Each service has a file of its own.
//
// The gateway keeps and hands out; it runs nothing. A result of an action is written by the worker that has run it, and by those
// clients that the operator trusts with it. Thread: any; each call has a thread of its own.
#ifndef COFFER_GATEWAY_SERVICE_H
#define COFFER_GATEWAY_SERVICE_H

#include "base/log_limit.h"
#include "gateway/blobs.h"
#include "gateway/callers.h"
#include "gateway/held.h"
#include "remote/rpc.h"

#include <stdatomic.h>

enum {
	GATEWAY_MESSAGE_BYTES = 4 << 20, // one message, in and out: what gRPC's libraries take without being told
	GATEWAY_BATCH_BYTES = (4 << 20) - (64 << 10), // of all blobs in one message
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
	struct executor *executor;     // NULL: a cache only
	struct shared_actions *shared; // NULL: what is on disk is all
	bool has_writers;              // some client may write results
	atomic_uint_fast64_t counters[GATEWAY_COUNTERS];
	struct log_limit refusals;
};

static inline void gateway_count(struct gateway *g, enum gateway_counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&g->counters[c], n, memory_order_relaxed);
}

// Of the server: nothing that a caller says is read before its headers have shown who it is.
int gateway_admit(struct rpc_call *call, void *gateway);
void gateway_leave(struct rpc_call *call, void *gateway);

// One call of one tenant.
struct visit {
	struct gateway *gateway;
	struct rpc_call *call;
	struct client_caller caller;
	struct tenant_blobs *blobs;
	struct held request; // the first message
	struct room room;    // for what else the call needs
};
// A kind of messages that begin calls, and where their tenant stands.
struct request_kind {
	const ProtobufCMessageDescriptor *descriptor;
	const char *field;
	// From that field's text the instance's name; false: it has none, the caller is told `err`. NULL: it is that name.
	bool (*instance_of)(const char *text, char *instance, size_t room, struct err *err);
};
// The first message, once it is known whose it is, that there is room for one more call of that tenant's, and for the message. False:
// the call is finished. True: visit_end follows.
bool visit_begin(struct visit *v, struct gateway *g, struct rpc_call *call, const struct request_kind *kind);
void visit_end(struct visit *v);
// A whole unary call: `serve` has its one message, and ends it.
void gateway_serve_one(struct gateway *g, struct rpc_call *call, const struct request_kind *kind,
		       void (*serve)(struct visit *v, const void *request));
// The same for messages with a field `instance_name`.
void gateway_serve_named(struct gateway *g, struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor,
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

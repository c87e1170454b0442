#include "gateway/service.h"

#include "gateway/execution.h"

#include "base/mem.h"
#include "reapi/message.h"
#include "reapi/resource.h"
#include "remote/refusal.h"

#include <stdarg.h>
#include <stdlib.h>

enum { MESSAGE_MS = 60000 }; // of a slow line, and as long as Bazel waits

static enum gateway_counter counter_of(enum rpc_code code)
{
	switch (code) {
	case RPC_UNAUTHENTICATED:
		return COUNT_unauthenticated;
	case RPC_PERMISSION_DENIED:
		return COUNT_denied;
	case RPC_RESOURCE_EXHAUSTED:
		return COUNT_full;
	case RPC_INTERNAL:
	case RPC_UNAVAILABLE:
		return COUNT_broken;
	default:
		return COUNT_invalid;
	}
}

void gateway_refuse(struct gateway *g, struct rpc_call *call, enum rpc_code code, const char *fmt, ...)
{
	va_list ap;
	enum gateway_counter c = counter_of(code);
	gateway_count(g, c, 1);
	va_start(ap, fmt);
	rpc_refuse(call, &g->refusals, c == COUNT_broken ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, code, fmt, ap);
	va_end(ap);
}

enum rpc_code gateway_code(const struct err *err)
{
	switch (err->code) {
	case ERR_FORMAT:
	case ERR_USAGE:
		return RPC_INVALID_ARGUMENT;
	case ERR_LIMIT:
	case ERR_FULL:
		return RPC_RESOURCE_EXHAUSTED;
	case ERR_NOT_FOUND:
		return RPC_NOT_FOUND;
	case ERR_TIMEOUT:
		return RPC_DEADLINE_EXCEEDED;
	default:
		return RPC_INTERNAL;
	}
}

void visit_fail(struct visit *v, const struct err *err)
{
	gateway_refuse(v->gateway, v->call, gateway_code(err), "%s", err->text);
}

// ---- who calls, and what it says ------------------------------------------------------------------------------------------

int gateway_admit(struct rpc_call *call, void *gateway)
{
	struct gateway *g = gateway;
	struct proof *proof;
	struct err err = ERR_INIT;
	if (callers_prove(g->callers, call, &proof, &err) < 0) {
		gateway_refuse(g, call, RPC_UNAUTHENTICATED, "%s", err.text);
		return -1;
	}
	rpc_call_set_context(call, proof);
	return 0;
}

void gateway_leave(struct rpc_call *call, void *gateway)
{
	(void)gateway;
	callers_drop(rpc_call_context(call));
}

static bool visit_enter(struct visit *v, const char *instance)
{
	struct gateway *g = v->gateway;
	struct err err = ERR_INIT;
	if (callers_find(g->callers, rpc_call_context(v->call), instance, &v->caller, &err) < 0)
		gateway_refuse(g, v->call, RPC_PERMISSION_DENIED, "%s", err.text);
	else if (rpc_call_admit(v->call, v->caller.tenant, false, &err) < 0)
		gateway_refuse(g, v->call, RPC_RESOURCE_EXHAUSTED, "%s", err.text);
	else if (blobs_of(g->blobs, v->caller.tenant, &v->blobs, &err) < 0)
		gateway_refuse(g, v->call, RPC_INTERNAL, "%s", err.text);
	else
		return true;
	return false;
}

static bool find_instance(struct visit *v, const struct request_kind *kind, const char *p, size_t n, char *instance,
			  size_t room)
{
	char text[REAPI_RESOURCE_MAX + 1];
	struct err err = ERR_INIT;
	bool is_found = reapi_peek_text(kind->descriptor, kind->field, p, n, kind->instance_of ? text : instance,
					kind->instance_of ? sizeof text : room, &err) == 0 &&
			(!kind->instance_of || kind->instance_of(text, instance, room, &err));
	if (!is_found)
		gateway_refuse(v->gateway, v->call, RPC_INVALID_ARGUMENT, "%s", err.text);
	return is_found;
}

bool visit_begin(struct visit *v, struct gateway *g, struct rpc_call *call, const struct request_kind *kind)
{
	AUTO_FREE char *bytes = NULL;
	char instance[REAPI_INSTANCE_MAX + 1];
	size_t n;
	struct err err = ERR_INIT;
	*v = (struct visit){.gateway = g, .call = call};
	int rc = rpc_receive_bytes(call, MESSAGE_MS, &bytes, &n, &err);
	if (rc < 0)
		gateway_refuse(g, call, err.code == ERR_TIMEOUT ? RPC_DEADLINE_EXCEEDED : RPC_CANCELLED, "%s", err.text);
	else if (rc == 0)
		gateway_refuse(g, call, RPC_INVALID_ARGUMENT, "the call has no message");
	if (rc != 1 || !find_instance(v, kind, bytes, n, instance, sizeof instance) || !visit_enter(v, instance))
		return false;
	v->room.blobs = v->blobs;
	if (held_unpack(&v->request, v->blobs, kind->descriptor, bytes, n, &err) == 0)
		return true;
	visit_fail(v, &err);
	return false;
}

void visit_end(struct visit *v)
{
	held_release(&v->request);
	room_release(&v->room);
}

// The client has said all.
static bool is_whole(struct visit *v)
{
	AUTO_FREE char *more = NULL;
	size_t n;
	struct err err = ERR_INIT;
	int rc = rpc_receive_bytes(v->call, MESSAGE_MS, &more, &n, &err);
	if (rc != 0)
		gateway_refuse(v->gateway, v->call, err.code == ERR_TIMEOUT ? RPC_DEADLINE_EXCEEDED : RPC_INVALID_ARGUMENT,
			       "the call must have one message");
	return rc == 0;
}

void gateway_serve_one(struct gateway *g, struct rpc_call *call, const struct request_kind *kind,
		       void (*serve)(struct visit *v, const void *request))
{
	struct visit v;
	if (!visit_begin(&v, g, call, kind))
		return;
	if (is_whole(&v))
		serve(&v, v.request.message);
	visit_end(&v);
}

void gateway_serve_named(struct gateway *g, struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor,
			 void (*serve)(struct visit *v, const void *request))
{
	const struct request_kind kind = {descriptor, "instance_name", NULL};
	gateway_serve_one(g, call, &kind, serve);
}

#define SERVICE "/build.bazel.remote.execution.v2."
// A call has its thread before its first message, so that strangers are sent away without it.
#define METHOD(name, function)                                        \
	{                                                             \
		.path = name, .serve = function, .speaks_first = true \
	}
const struct rpc_method gateway_methods[GATEWAY_METHODS] = {
	METHOD(SERVICE "Capabilities/GetCapabilities", capabilities_serve),
	METHOD(SERVICE "ContentAddressableStorage/FindMissingBlobs", cas_find_missing),
	METHOD(SERVICE "ContentAddressableStorage/BatchUpdateBlobs", cas_batch_update),
	METHOD(SERVICE "ContentAddressableStorage/BatchReadBlobs", cas_batch_read),
	METHOD(SERVICE "ContentAddressableStorage/GetTree", cas_get_tree),
	METHOD("/google.bytestream.ByteStream/Read", byte_stream_read),
	METHOD("/google.bytestream.ByteStream/Write", byte_stream_write),
	METHOD("/google.bytestream.ByteStream/QueryWriteStatus", byte_stream_query),
	METHOD(SERVICE "ActionCache/GetActionResult", action_cache_get),
	METHOD(SERVICE "ActionCache/UpdateActionResult", action_cache_update),
	METHOD(SERVICE "Execution/Execute", execute_serve),
	METHOD(SERVICE "Execution/WaitExecution", execute_wait),
};

#include "gateway/service.h"

#include "gateway/execution.h"

#include "base/mem.h"
#include "reapi/message.h"
#include "remote/refusal.h"

#include <stdarg.h>
#include <stdlib.h>

enum { MESSAGE_MS = 60000 };

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

bool visit_begin(struct visit *v, struct gateway *g, struct rpc_call *call, const char *instance)
{
	struct err err = ERR_INIT;
	bool is_known;
	*v = (struct visit){.gateway = g, .call = call};
	if (callers_find(g->callers, call, instance, &v->caller, &is_known, &err) < 0)
		gateway_refuse(g, call, is_known ? RPC_PERMISSION_DENIED : RPC_UNAUTHENTICATED, "%s", err.text);
	else if (rpc_call_admit(call, v->caller.tenant, false, &err) < 0)
		gateway_refuse(g, call, RPC_RESOURCE_EXHAUSTED, "%s", err.text);
	else if (blobs_of(g->blobs, v->caller.tenant, &v->blobs, &err) < 0)
		gateway_refuse(g, call, RPC_INTERNAL, "%s", err.text);
	else
		return true;
	return false;
}

bool gateway_receive_one(struct gateway *g, struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor,
			 void *message)
{
	AUTO_FREE char *bytes = NULL;
	AUTO_FREE char *more = NULL;
	size_t n, n_more;
	struct err err = ERR_INIT;
	int rc = rpc_receive_bytes(call, MESSAGE_MS, &bytes, &n, &err);
	if (rc == 1)
		rc = rpc_receive_bytes(call, MESSAGE_MS, &more, &n_more, &err) == 0 ? 1 : 0;
	if (rc != 1)
		gateway_refuse(g, call, err.code == ERR_TIMEOUT ? RPC_DEADLINE_EXCEEDED : RPC_INVALID_ARGUMENT,
			       "the call must have one message");
	else if (reapi_unpack(descriptor, bytes, n, message, &err) == 0)
		return true;
	else
		gateway_refuse(g, call, RPC_INVALID_ARGUMENT, "%s", err.text);
	return false;
}

static const char *instance_of(const ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "instance_name");
	return *(char *const *)(const void *)((const char *)message + f->offset);
}

void gateway_serve_one(struct gateway *g, struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor,
		       void (*serve)(struct visit *v, const void *request))
{
	ProtobufCMessage *message;
	struct visit v;
	if (!gateway_receive_one(g, call, descriptor, &message))
		return;
	if (visit_begin(&v, g, call, instance_of(message)))
		serve(&v, message);
	protobuf_c_message_free_unpacked(message, NULL);
}

#define SERVICE "/build.bazel.remote.execution.v2."
const struct rpc_method gateway_methods[GATEWAY_METHODS] = {
	{.path = SERVICE "Capabilities/GetCapabilities", .serve = capabilities_serve},
	{.path = SERVICE "ContentAddressableStorage/FindMissingBlobs", .serve = cas_find_missing},
	{.path = SERVICE "ContentAddressableStorage/BatchUpdateBlobs", .serve = cas_batch_update},
	{.path = SERVICE "ContentAddressableStorage/BatchReadBlobs", .serve = cas_batch_read},
	{.path = SERVICE "ContentAddressableStorage/GetTree", .serve = cas_get_tree},
	{.path = "/google.bytestream.ByteStream/Read", .serve = byte_stream_read},
	{.path = "/google.bytestream.ByteStream/Write", .serve = byte_stream_write},
	{.path = "/google.bytestream.ByteStream/QueryWriteStatus", .serve = byte_stream_query},
	{.path = SERVICE "ActionCache/GetActionResult", .serve = action_cache_get},
	{.path = SERVICE "ActionCache/UpdateActionResult", .serve = action_cache_update},
	{.path = SERVICE "Execution/Execute", .serve = execute_serve},
	{.path = SERVICE "Execution/WaitExecution", .serve = execute_wait},
};

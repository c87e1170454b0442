#include "remote/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_MAX 2048
#define MAX_OWN_FIELDS 8 // headers, and trailers

void rpc_finish(struct rpc_call *call, enum rpc_code code, const char *fmt, ...)
{
	char text[STATUS_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&call->lock);
	bool is_first = call->out < OUT_ENDED && !call->is_over;
	if (is_first) {
		call->out = OUT_ENDED;
		call_discard(call);
		call->status = (struct rpc_status){.code = code, .text = mem_strdup(text)};
		pthread_cond_broadcast(&call->change);
	}
	pthread_mutex_unlock(&call->lock);
	if (is_first)
		call_post(call);
}

void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message)
{
	struct err err = ERR_INIT;
	struct chunk *c = chunk_of_message(message, &err);
	if (!c)
		rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "%s", err.text);
	else
		call_queue(call, c, true, NULL); // what fails here has been cancelled
}

int rpc_receive_one(struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor, void *message)
{
	ProtobufCMessage *first = NULL, *second = NULL;
	struct err err = ERR_INIT;
	int limit_ms = (int)(call->serving.server->limits.first_message_ms & INT32_MAX);
	int rc = rpc_receive(call, descriptor, limit_ms, &first, &err);
	if (rc == 0)
		rpc_finish(call, RPC_INVALID_ARGUMENT, "the call has no message");
	else if (rc < 0)
		rpc_finish(call, err.code == ERR_TIMEOUT ? RPC_DEADLINE_EXCEEDED : RPC_INTERNAL, "%s", err.text);
	if (rc != 1)
		return -1;
	rc = rpc_receive(call, descriptor, limit_ms, &second, &err);
	if (rc == 0) {
		*(ProtobufCMessage **)message = first;
		return 0;
	}
	if (rc == 1)
		rpc_finish(call, RPC_INVALID_ARGUMENT, "the call has more than one message");
	else
		rpc_finish(call, err.code == ERR_TIMEOUT ? RPC_DEADLINE_EXCEEDED : RPC_INTERNAL, "%s", err.text);
	protobuf_c_message_free_unpacked(first, NULL);
	protobuf_c_message_free_unpacked(second, NULL);
	return -1;
}

void rpc_call_set_encoding(struct rpc_call *call, enum rpc_encoding wish)
{
	pthread_mutex_lock(&call->lock);
	if (call->out == OUT_FRESH && (call->serving.peer_accepts & 1u << wish))
		call->out_encoding = wish;
	pthread_mutex_unlock(&call->lock);
}

void rpc_call_add_header(struct rpc_call *call, const char *name, const char *value)
{
	pthread_mutex_lock(&call->lock);
	if (call->out == OUT_FRESH && call->serving.own_headers.n < MAX_OWN_FIELDS && headers_is_metadata(name, value))
		headers_add(&call->serving.own_headers, name, value);
	pthread_mutex_unlock(&call->lock);
}

void rpc_call_add_trailer(struct rpc_call *call, const char *name, const char *value)
{
	pthread_mutex_lock(&call->lock);
	if (call->out < OUT_ENDED && call->serving.own_trailers.n < MAX_OWN_FIELDS && headers_is_metadata(name, value))
		headers_add(&call->serving.own_trailers, name, value);
	pthread_mutex_unlock(&call->lock);
}

void rpc_call_set_context(struct rpc_call *call, void *context)
{
	call->serving.context = context;
}

void *rpc_call_context(const struct rpc_call *call)
{
	return call->serving.context;
}

void rpc_call_follow(struct rpc_call *call, void (*fn)(void *arg), void *arg)
{
	bool was_followed = call->serving.follow;
	call->serving.follow = fn;
	call->serving.follow_arg = arg;
	if (fn && !was_followed)
		call_ref(call);
	else if (!fn && was_followed)
		call_unref(call);
}

struct loop *rpc_call_loop(const struct rpc_call *call)
{
	return call->loop;
}

// ---- serving ------------------------------------------------------------------------------------------------------------

static void serve_admitted(struct rpc_call *call, const struct rpc_server_config *config)
{
	if (config->admit && config->admit(call, config->arg))
		return;
	call->serving.method->serve(call, config->arg);
	if (config->leave)
		config->leave(call, config->arg);
}

static bool is_health(const struct rpc_method *m)
{
	return m >= health_methods && m < health_methods + COUNT_OF(health_methods);
}

static void serve(struct rpc_call *call)
{
	serve_admitted(call, &call->serving.server->config);
	if (call->serving.follow)
		return;
	rpc_call_on_cancel(call, NULL, NULL);
	rpc_finish(call, RPC_INTERNAL, "'%s' has not said how it ended", call->path); // unless it has
}

void server_serve_here(struct rpc_call *call)
{
	if (is_health(call->serving.method))
		call->serving.method->serve(call, call->serving.server);
	else
		serve(call);
}

void server_serve(void *arg)
{
	struct rpc_call *call = arg;
	struct rpc_server *s = call->serving.server;
	serve(call);
	server_end_hold(call);
	call_unref(call);
	pthread_mutex_lock(&s->lock);
	s->n_calls--;
	pthread_cond_broadcast(&s->change);
	pthread_mutex_unlock(&s->lock);
}

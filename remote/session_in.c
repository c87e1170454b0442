#include "remote/conn.h"

#include "remote/grpc.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define ON_LOOP_BYTES ((uint32_t)64 << 10) // of a message that the loop itself unpacks for anybody

// ---- server ------------------------------------------------------------------------------------------------------------

// What HTTP has to say about it: 0, or the status to answer with.
static int http_refusal(const struct rpc_call *call)
{
	const char *method = headers_get(&call->incoming, ":method");
	const char *type = headers_get(&call->incoming, "content-type");
	if (!method || strcmp(method, "POST") != 0)
		return 405;
	return type && grpc_is_content_type(type) ? 0 : 415;
}

static enum rpc_code read_request(struct conn *c, struct rpc_call *call, struct err *err)
{
	const char *path = headers_get(&call->incoming, ":path"), *encoding = headers_get(&call->incoming, "grpc-encoding");
	const char *timeout = headers_get(&call->incoming, "grpc-timeout");
	uint32_t ms;
	call->path = mem_strdup(path ? path : "");
	call->serving.method = server_method(c->server, call->path);
	if (!call->serving.method) {
		err_set(err, ERR_NOT_FOUND, "there is no method '%s'", call->path);
		return RPC_UNIMPLEMENTED;
	}
	if (call->serving.method->on_loop && !call->serving.method->goes_on && call->message_bytes > ON_LOOP_BYTES)
		call->message_bytes = (uint32_t)(call->deframer.max_len = ON_LOOP_BYTES);
	if (encoding && grpc_encoding_parse(encoding, &call->in_encoding)) {
		err_set(err, ERR_FORMAT, "the encoding '%s' is not known here", encoding);
		return RPC_UNIMPLEMENTED;
	}
	if (timeout && grpc_timeout_parse(timeout, &ms)) {
		err_set(err, ERR_FORMAT, "'%s' is no grpc-timeout", timeout);
		return RPC_INTERNAL;
	}
	if (timeout) {
		call->deadline_at = clock_ms() + ms;
		session_begin_deadline(call);
	}
	call->serving.peer_accepts = grpc_accept_parse(headers_get(&call->incoming, "grpc-accept-encoding"));
	return RPC_OK;
}

void session_request(struct conn *c, struct rpc_call *call, bool is_end)
{
	struct err err = ERR_INIT;
	call_enter(call, CALL_OPEN);
	call->began_at = clock_ms();
	if (call->incoming_bytes > c->limits.header_bytes) {
		call->path = mem_strdup("");
		session_refuse_call(call, RPC_RESOURCE_EXHAUSTED, "the call's headers are too large");
		return;
	}
	call->serving.http_status = http_refusal(call);
	if (call->serving.http_status) {
		call->path = mem_strdup("");
		session_refuse_call(call, RPC_UNKNOWN, "no gRPC");
		return;
	}
	pthread_mutex_lock(&call->lock);
	enum rpc_code code = read_request(c, call, &err);
	call->metadata = call->incoming;
	call->in = is_end ? IN_ENDED : IN_OPEN;
	pthread_mutex_unlock(&call->lock);
	call->incoming = (struct headers){0};
	if (code != RPC_OK) {
		session_refuse_call(call, code, err.text);
		return;
	}
	if (server_take(c, call, &err)) {
		session_refuse_call(call, RPC_RESOURCE_EXHAUSTED, err.text);
		return;
	}
	session_freshen(call);
}

// Whether it is time to serve it: a call that has said nothing has no thread.
static bool is_to_be_served(struct rpc_call *call)
{
	const struct rpc_method *m = call->serving.method;
	if (m->speaks_first)
		return true;
	pthread_mutex_lock(&call->lock);
	bool is_whole = call->in == IN_ENDED, has_begun = call->inbox != NULL, is_refused = call->out >= OUT_ENDED;
	pthread_mutex_unlock(&call->lock);
	return !is_refused && (is_whole || (has_begun && (!m->on_loop || m->goes_on)));
}

// By a note, as nghttp2 is at work.
void session_tell_follower(struct rpc_call *call)
{
	if (call->serving.follow)
		call_post(call);
}

void session_freshen(struct rpc_call *call)
{
	struct conn *c = call->conn;
	session_tell_follower(call);
	if (call->state != CALL_OPEN || call->serving.is_fresh || !call->serving.method || !is_to_be_served(call))
		return;
	call->serving.is_fresh = true;
	server_is_heard(c, call);
	*c->fresh_last = call_ref(call);
	c->fresh_last = &call->serving.next_fresh;
}

void session_in_end(struct rpc_call *call)
{
	bool is_between = deframer_is_between(&call->deframer);
	pthread_mutex_lock(&call->lock);
	call->in = IN_ENDED;
	pthread_mutex_unlock(&call->lock);
	pthread_cond_broadcast(&call->change); // woken under the lock, they would only wait again
	session_freshen(call);
	if (!is_between)
		session_expire_call(call, RPC_INTERNAL, "the stream ends in the middle of a message");
}

// ---- client -------------------------------------------------------------------------------------------------------------

// The final headers of a response. RPC_OK, or why it is none.
static enum rpc_code read_response(struct conn *c, struct rpc_call *call, const char *http, struct err *err)
{
	const char *type = headers_get(&call->incoming, "content-type"),
		   *encoding = headers_get(&call->incoming, "grpc-encoding");
	const char *accept = headers_get(&call->incoming, "grpc-accept-encoding");
	if (headers_get(&call->incoming, "grpc-status"))
		return RPC_OK; // which counts for more than what stands around it
	if (strcmp(http, "200") != 0) {
		err_set(err, ERR_PEER, "the server answers with HTTP status %s", http);
		return grpc_code_of_http(atoi(http));
	}
	if (!type || !grpc_is_content_type(type)) {
		err_set(err, ERR_PEER, "the server answers with the content type '%s', which is not gRPC's",
			type ? type : "");
		return RPC_UNKNOWN;
	}
	if (encoding && grpc_encoding_parse(encoding, &call->in_encoding)) {
		err_set(err, ERR_PEER, "the server answers in the unknown encoding '%s'", encoding);
		return RPC_INTERNAL;
	}
	if (accept)
		c->link->accepted = grpc_accept_parse(accept);
	return RPC_OK;
}

// By trailers, by headers that are all there is, or with none.
static void end_response(struct conn *c, struct rpc_call *call, const struct headers *trailers)
{
	const char *status = headers_get(trailers, "grpc-status"), *message = headers_get(trailers, "grpc-message");
	bool is_between = deframer_is_between(&call->deframer);
	AUTO_FREE char *text = grpc_message_decode(message ? message : "");
	enum rpc_code code = status ? grpc_code_parse(status) : RPC_UNKNOWN;
	pthread_mutex_lock(&call->lock);
	call->client.by_peer = status != NULL;
	pthread_mutex_unlock(&call->lock);
	if (!status)
		call_over(call, RPC_UNKNOWN, "the server's answer ends without a status", false);
	else if (code == RPC_OK && !is_between)
		call_over(call, RPC_INTERNAL, "the stream ends in the middle of a message", false);
	else
		call_over(call, code, text, false);
	// Only now: whoever saw an end without a status would take it for a good one.
	pthread_mutex_lock(&call->lock);
	call->in = IN_ENDED;
	pthread_mutex_unlock(&call->lock);
	// It wants no more of us.
	if (nghttp2_session_get_stream_local_close(c->session, call->stream) == 0)
		session_reset_call(call, NGHTTP2_NO_ERROR);
}

void session_response(struct conn *c, struct rpc_call *call, bool is_end)
{
	struct err err = ERR_INIT;
	const char *http = headers_get(&call->incoming, ":status");
	enum rpc_code code = RPC_OK;
	if (http && http[0] == '1' && !is_end)
		return;
	pthread_mutex_lock(&call->lock);
	if (call->incoming_bytes > c->limits.header_bytes) {
		err_set(&err, ERR_LIMIT, "the server's headers are too large");
		code = RPC_RESOURCE_EXHAUSTED;
	} else if (http) {
		code = read_response(c, call, http, &err);
	}
	struct headers *to = is_end ? &call->trailers : &call->metadata;
	if (to->n == 0) {
		*to = call->incoming;
		call->incoming = (struct headers){0};
	}
	pthread_mutex_unlock(&call->lock);
	if (code != RPC_OK) {
		call_over(call, code, err.text, false);
		session_reset_call(call, NGHTTP2_CANCEL);
		return;
	}
	if (is_end)
		end_response(c, call, to);
}

void session_response_cut(struct conn *c, struct rpc_call *call)
{
	end_response(c, call, &(const struct headers){0});
}

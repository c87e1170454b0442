#include "remote/conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "remote/grpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FIELDS 80

// ---- header fields ------------------------------------------------------------------------------------------------------

struct fields {
	nghttp2_nv nv[MAX_FIELDS];
	size_t n;
};

static void add_field(struct fields *f, const char *name, const char *value)
{
	if (f->n < MAX_FIELDS)
		f->nv[f->n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
					     strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void add_fields(struct fields *f, const struct headers *h)
{
	const char *name, *value;
	for (size_t at = 0; headers_next(h, &at, &name, &value);)
		add_field(f, name, value);
}

// ---- the outbox ---------------------------------------------------------------------------------------------------------

// Moves up to n bytes out. Under the lock.
static size_t take_out(struct rpc_call *call, uint8_t *to, size_t n)
{
	size_t done = 0;
	struct chunk *c;
	while (done < n && (c = call->outbox)) {
		size_t left = c->len - c->sent, some = left < n - done ? left : n - done;
		memcpy(to + done, c->data + c->sent, some);
		done += some;
		c->sent += some;
		if (c->sent < c->len)
			break;
		if (!(call->outbox = c->next))
			call->outbox_last = &call->outbox;
		free(c);
	}
	call->outbox_bytes -= done;
	if (done && call->n_senders && call->outbox_bytes <= call->send_bytes / 2)
		pthread_cond_broadcast(&call->change);
	return done;
}

static void submit_trailers(struct rpc_call *call)
{
	struct fields f = {.n = 0};
	char code[16];
	AUTO_BUF struct buf text = BUF_INIT;
	pthread_mutex_lock(&call->lock);
	snprintf(code, sizeof code, "%d", (int)call->status.code);
	grpc_message_encode(&text, call->status.text ? call->status.text : "");
	add_field(&f, "grpc-status", code);
	if (text.len)
		add_field(&f, "grpc-message", text.data);
	add_fields(&f, &call->serving.own_trailers);
	int rc = nghttp2_submit_trailer(call->conn->session, call->stream, f.nv, f.n);
	pthread_mutex_unlock(&call->lock);
	if (rc)
		log_error("cannot end a call: %s", nghttp2_strerror(rc));
}

static ssize_t read_outbox(nghttp2_session *session, int32_t stream, uint8_t *to, size_t n, uint32_t *flags,
			   nghttp2_data_source *source, void *arg)
{
	struct rpc_call *call = source->ptr;
	(void)session;
	(void)stream;
	(void)arg;
	pthread_mutex_lock(&call->lock);
	size_t done = take_out(call, to, n);
	bool is_end = !call->outbox && call->out == OUT_ENDED;
	pthread_mutex_unlock(&call->lock);
	if (done)
		call->progress_at = clock_ms();
	if (is_end) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (call->is_server) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			submit_trailers(call);
		}
		return (ssize_t)done;
	}
	call->wire = done ? WIRE_GOES : WIRE_STARVED;
	return done ? (ssize_t)done : NGHTTP2_ERR_DEFERRED;
}

// ---- requests and responses ---------------------------------------------------------------------------------------------

static void submit_request(struct conn *c, struct rpc_call *call)
{
	struct fields f = {.n = 0};
	const nghttp2_data_provider data = {.source.ptr = call, .read_callback = read_outbox};
	add_fields(&f, &call->client.request);
	int32_t stream = nghttp2_session_check_request_allowed(c->session)
				 ? nghttp2_submit_request(c->session, NULL, f.nv, f.n, &data, call)
				 : NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE;
	headers_release(&call->client.request);
	if (stream < 0) {
		channel_is_unusable(c, nghttp2_strerror(stream));
		call_over(call, RPC_UNAVAILABLE, c->goodbye[0] ? c->goodbye : nghttp2_strerror(stream), true);
		session_remove_call(call);
		return;
	}
	call->stream = stream;
	call_enter(call, CALL_OPEN);
	call->wire = WIRE_SUBMITTED;
}

// The one block of headers of an answer that has no message.
static int submit_only_trailers(struct conn *c, struct rpc_call *call)
{
	struct fields f = {.n = 0};
	char code[16];
	AUTO_BUF struct buf text = BUF_INIT;
	snprintf(code, sizeof code, "%d", (int)call->status.code);
	grpc_message_encode(&text, call->status.text ? call->status.text : "");
	add_field(&f, ":status", "200");
	add_field(&f, "content-type", GRPC_CONTENT_TYPE);
	add_field(&f, "grpc-accept-encoding", GRPC_ACCEPT_ENCODING);
	add_field(&f, "grpc-status", code);
	if (text.len)
		add_field(&f, "grpc-message", text.data);
	add_fields(&f, &call->serving.own_trailers);
	return nghttp2_submit_response(c->session, call->stream, f.nv, f.n, NULL);
}

static int submit_http_refusal(struct conn *c, struct rpc_call *call)
{
	struct fields f = {.n = 0};
	char status[16];
	snprintf(status, sizeof status, "%d", call->serving.http_status);
	add_field(&f, ":status", status);
	return nghttp2_submit_response(c->session, call->stream, f.nv, f.n, NULL);
}

static int submit_messages(struct conn *c, struct rpc_call *call)
{
	struct fields f = {.n = 0};
	const nghttp2_data_provider data = {.source.ptr = call, .read_callback = read_outbox};
	add_field(&f, ":status", "200");
	add_field(&f, "content-type", GRPC_CONTENT_TYPE);
	add_field(&f, "grpc-accept-encoding", GRPC_ACCEPT_ENCODING);
	if (call->out_encoding != RPC_IDENTITY)
		add_field(&f, "grpc-encoding", grpc_encoding_name(call->out_encoding));
	add_fields(&f, &call->serving.own_headers);
	return nghttp2_submit_response(c->session, call->stream, f.nv, f.n, &data);
}

static void submit_response(struct conn *c, struct rpc_call *call)
{
	call->wire = WIRE_SUBMITTED;
	pthread_mutex_lock(&call->lock);
	int rc = call->serving.http_status ? submit_http_refusal(c, call)
		 : call->outbox            ? submit_messages(c, call)
					   : submit_only_trailers(c, call);
	pthread_mutex_unlock(&call->lock);
	if (rc)
		log_error("cannot answer a call: %s", nghttp2_strerror(rc));
}

// ---- what a call wants --------------------------------------------------------------------------------------------------

void session_reset_call(struct rpc_call *call, uint32_t h2_code)
{
	if (!call_is_open(call))
		return;
	call_enter(call, CALL_RESET);
	nghttp2_submit_rst_stream(call->conn->session, NGHTTP2_FLAG_NONE, call->stream, h2_code);
	conn_dirty(call->conn);
}

static void resume(struct rpc_call *call)
{
	if (call->wire == WIRE_STARVED) {
		call->progress_at = clock_ms();
		call->wire = WIRE_GOES;
	}
	nghttp2_session_resume_data(call->conn->session, call->stream);
}

static void give_room(struct rpc_call *call, size_t n)
{
	if (n)
		nghttp2_session_consume(call->conn->session, call->stream, n);
}

void session_attend_call(struct rpc_call *call)
{
	struct conn *c = call->conn;
	if (!c || c->state != CONN_OPEN || call->state == CALL_CLOSED)
		return;
	if (c->is_stranger)
		server_know(c);
	pthread_mutex_lock(&call->lock);
	size_t room = !call->inbox ? call->held : call->held > call->unread ? call->held - call->unread : 0;
	call->held -= room;
	bool is_cancelled = call->out == OUT_CUT, has_output = call->outbox || call->out == OUT_ENDED;
	pthread_mutex_unlock(&call->lock);
	if (is_cancelled && call->state == CALL_NEW) {
		session_remove_call(call);
		return;
	}
	give_room(call, room);
	if (is_cancelled)
		session_reset_call(call, NGHTTP2_CANCEL);
	else if (!call->is_server && call->state == CALL_NEW)
		submit_request(c, call);
	else if (call->is_server && has_output && call->wire == WIRE_NOTHING && call_is_open(call))
		submit_response(c, call);
	else if (has_output && call_is_open(call))
		resume(call);
	conn_dirty(c);
}

static void set_last_word(struct rpc_call *call, enum rpc_code code, const char *text)
{
	pthread_mutex_lock(&call->lock);
	if (!call->status.text) {
		call->status.code = code;
		call->status.text = mem_strdup(text);
	}
	if (call->out != OUT_CUT)
		call->out = OUT_ENDED;
	call_discard(call);
	pthread_mutex_unlock(&call->lock);
}

// nghttp2 asks for data, and so for what comes after it, only when the peer has room for some.
static bool has_room(const struct rpc_call *call)
{
	nghttp2_session *s = call->conn->session;
	return nghttp2_session_get_stream_remote_window_size(s, call->stream) > 0 &&
	       nghttp2_session_get_remote_window_size(s) > 0;
}

void session_expire_call(struct rpc_call *call, enum rpc_code code, const char *text)
{
	pthread_mutex_lock(&call->lock);
	bool was_mid_message = call->outbox && call->outbox->sent, was_finished = call->out >= OUT_ENDED;
	pthread_mutex_unlock(&call->lock);
	call_over(call, code, text, !call->is_server && call->state == CALL_NEW);
	if (!call->conn)
		return;
	if (!call->is_server || was_mid_message || was_finished || (call->wire != WIRE_NOTHING && !has_room(call))) {
		session_reset_call(call, NGHTTP2_CANCEL);
		return;
	}
	set_last_word(call, code, text);
	session_attend_call(call);
}

void session_refuse_call(struct rpc_call *call, enum rpc_code code, const char *text)
{
	set_last_word(call, code, text);
	session_attend_call(call);
}

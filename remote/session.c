#include "remote/conn.h"

#include "remote/grpc.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAME_SIZE (64u << 10)
#define SMALL_FRAME_SIZE (16u << 10)
// While a call has this much or less unread, the peer gets room for more at once, so that short messages need no word about
// it.
#define FREE_UNREAD ((size_t)16 << 10)
// A header list this many times larger than allowed is no mistake.
#define HEADER_BOMB 16
// RST_STREAM from a peer: who lets hundreds of races run cancels as many; a flood is far beyond.
#define RESETS_AT_ONCE 4096
#define RESETS_A_SECOND 1000

// ---- the calls of a connection --------------------------------------------------------------------------------------------

static void deadline_fires(struct timer *t)
{
	session_expire_call(CONTAINER_OF(t, struct rpc_call, deadline_timer), RPC_DEADLINE_EXCEEDED,
			    "the deadline has passed");
}

void session_begin_deadline(struct rpc_call *call)
{
	call->deadline_timer.fire = deadline_fires;
	if (call->deadline_at >= 0)
		timer_set(&call->loop->timers, &call->deadline_timer, call->deadline_at);
}

void session_add_call(struct conn *c, struct rpc_call *call)
{
	call_ref(call);
	call->conn = c;
	call->began_at = call->progress_at = clock_ms();
	call->prev = NULL;
	call->next = c->calls;
	if (c->calls)
		c->calls->prev = call;
	c->calls = call;
	if (c->n_calls++ == 0)
		conn_wake_tick(c);
}

void session_remove_call(struct rpc_call *call)
{
	struct conn *c = call->conn;
	if (call->is_server) {
		server_is_heard(c, call);
		server_end_hold(call);
		session_tell_follower(call);
	}
	if (call->prev)
		call->prev->next = call->next;
	else
		c->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	if (--c->n_calls == 0) {
		c->busy_at = clock_ms();
		conn_dirty(c);
	}
	timer_clear(&c->loop->timers, &call->deadline_timer);
	call->conn = NULL;
	call_enter(call, CALL_CLOSED);
	call_unref(call);
}

static struct rpc_call *call_of(nghttp2_session *session, int32_t stream)
{
	return nghttp2_session_get_stream_user_data(session, stream);
}

// ---- frames in --------------------------------------------------------------------------------------------------------

static void server_call_attend(struct loop_note *n)
{
	struct rpc_call *call = CONTAINER_OF(n, struct rpc_call, note);
	session_attend_call(call);
	if (call->serving.follow && rpc_call_has_news(call))
		call->serving.follow(call->serving.follow_arg);
	call_unref(call);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct conn *c = arg;
	struct rpc_call *call = call_of(session, frame->hd.stream_id);
	c->block_at = c->heard_at;
	if (!call && c->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		call = call_new(c->loop, true, &c->limits);
		call->note.attend = server_call_attend;
		call->link = link_ref(c->link);
		call->serving.server = c->server;
		call->stream = frame->hd.stream_id;
		session_add_call(c, call);
		call_unref(call);
		nghttp2_session_set_stream_user_data(session, call->stream, call);
	}
	if (call) {
		headers_release(&call->incoming);
		call->incoming_bytes = 0;
	}
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct conn *c = arg;
	struct rpc_call *call = call_of(session, frame->hd.stream_id);
	(void)flags;
	if (!call)
		return 0;
	call->incoming_bytes += name_len + value_len + 32;
	if (call->incoming_bytes <= c->limits.header_bytes)
		headers_addn(&call->incoming, name, name_len, value, value_len);
	else if (call->incoming_bytes > (size_t)c->limits.header_bytes * HEADER_BOMB)
		conn_fault(c, NGHTTP2_ENHANCE_YOUR_CALM, "header list too large");
	return 0;
}

static void on_headers(struct conn *c, struct rpc_call *call, const nghttp2_frame *frame)
{
	bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	c->block_at = 0;
	if (!call)
		return;
	if (!c->is_server)
		session_response(c, call, is_end);
	else if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		session_request(c, call, is_end);
	else if (is_end) // trailers of a request have no meaning in gRPC
		session_in_end(call);
}

static void on_goaway(struct conn *c, const nghttp2_goaway *g)
{
	size_t n = g->opaque_data_len;
	c->goaway_received = true;
	if (c->is_server)
		return;
	snprintf(c->goodbye, sizeof c->goodbye, "the server has said goodbye: %s%s%.*s",
		 nghttp2_http2_strerror(g->error_code), n ? ": " : "", n > 64 ? 64 : (int)n,
		 n ? (const char *)g->opaque_data : "");
	if (g->error_code == NGHTTP2_ENHANCE_YOUR_CALM && n == 14 && memcmp(g->opaque_data, "too_many_pings", 14) == 0)
		channel_is_annoying(c);
	channel_is_unusable(c, c->goodbye);
}

static void on_settings(struct conn *c)
{
	if (c->has_settings)
		return;
	c->has_settings = true;
	if (!c->is_server)
		channel_is_ready(c);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct conn *c = arg;
	struct rpc_call *call = frame->hd.stream_id ? call_of(session, frame->hd.stream_id) : NULL;
	guard_frame(c, frame);
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		on_headers(c, call, frame);
		break;
	case NGHTTP2_DATA:
		if (!call || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			break;
		if (c->is_server)
			session_in_end(call);
		else
			session_response_cut(c, call);
		break;
	case NGHTTP2_SETTINGS:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			on_settings(c);
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK) {
			c->ping_at = 0;
			guard_finish_drain(c);
		}
		break;
	case NGHTTP2_GOAWAY:
		on_goaway(c, &frame->goaway);
		break;
	default:
		break;
	}
	return 0;
}

// ---- data in ------------------------------------------------------------------------------------------------------------

// Puts it into the inbox; returns how much room the peer gets again at once.
static size_t take_in(struct rpc_call *call, const uint8_t *p, size_t n, struct err *err)
{
	size_t room = 0;
	pthread_mutex_lock(&call->lock);
	call->held += n;
	call->unread += n;
	struct message **before = call->inbox_last;
	deframe(&call->deframer, p, n, &call->inbox_last, err);
	bool is_news = call->inbox_last != before;
	// A piece of a message cannot be taken by anybody: the peer must get room for the rest.
	if (!call->inbox || call->unread <= FREE_UNREAD) {
		room = call->held;
		call->held = 0;
	}
	pthread_mutex_unlock(&call->lock);
	if (is_news)
		pthread_cond_broadcast(&call->change); // woken under the lock, they would only wait again
	if (is_news && call->is_server)
		session_freshen(call);
	return room;
}

static bool is_discarding(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	bool yes = call->in != IN_OPEN || call->is_over;
	pthread_mutex_unlock(&call->lock);
	return yes;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *p, size_t n, void *arg)
{
	struct rpc_call *call = call_of(session, stream);
	struct err err = ERR_INIT;
	size_t room = n;
	(void)flags;
	(void)arg;
	if (call && !is_discarding(call)) {
		size_t used = atomic_fetch_add(&call->link->bytes, n) + n;
		room = take_in(call, p, n, &err);
		if (err.code)
			session_expire_call(call, err.code == ERR_LIMIT ? RPC_RESOURCE_EXHAUSTED : RPC_INTERNAL, err.text);
		else if (used > call->link->max_bytes)
			session_expire_call(call, RPC_RESOURCE_EXHAUSTED,
					    "the connection's calls hold too many bytes in memory");
	}
	nghttp2_session_consume(session, stream, room);
	return 0;
}

// ---- the end of a stream --------------------------------------------------------------------------------------------------

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t h2_code, void *arg)
{
	struct conn *c = arg;
	struct rpc_call *call = call_of(session, stream);
	if (!call)
		return 0;
	if (call->is_server) {
		call_over(call, RPC_CANCELLED, "the client has cancelled it", false);
	} else if (!call->is_over) {
		bool unprocessed = h2_code == NGHTTP2_REFUSED_STREAM || !call_is_on_wire(call);
		AUTO_FREE char *text = h2_code == NGHTTP2_NO_ERROR
					       ? mem_strdup("the stream has ended without a status")
					       : mem_printf("the stream was reset: %s", nghttp2_http2_strerror(h2_code));
		call_over(call, unprocessed ? RPC_UNAVAILABLE : grpc_code_of_reset(h2_code), text, unprocessed);
	}
	// What nobody has taken must not use up the connection's window.
	pthread_mutex_lock(&call->lock);
	size_t held = call->held;
	call->held = 0;
	pthread_mutex_unlock(&call->lock);
	if (held)
		nghttp2_session_consume_connection(session, held);
	nghttp2_session_set_stream_user_data(session, stream, NULL);
	session_remove_call(call);
	conn_dirty(c);
	return 0;
}

// ---- frames out -------------------------------------------------------------------------------------------------------

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct conn *c = arg;
	guard_sent(c, frame);
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	struct rpc_call *call = call_of(session, frame->hd.stream_id);
	if (call) {
		if (call->wire < WIRE_GOES)
			call->wire = WIRE_GOES;
		call->progress_at = clock_ms();
	}
	// An early end: the client need not send the rest (RFC 9113 8.1).
	if (c->is_server && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

// nghttp2 keeps room for the longest frame that it was allowed to make: small ones for who has little to say.
static ssize_t frame_length(nghttp2_session *session, uint8_t type, int32_t stream, int32_t session_window,
			    int32_t stream_window, uint32_t max_frame_size, void *arg)
{
	struct rpc_call *call = call_of(session, stream);
	uint32_t most = SMALL_FRAME_SIZE;
	(void)type;
	(void)session_window;
	(void)stream_window;
	(void)arg;
	if (call) {
		pthread_mutex_lock(&call->lock);
		if (call->outbox_bytes > SMALL_FRAME_SIZE)
			most = MAX_FRAME_SIZE;
		pthread_mutex_unlock(&call->lock);
	}
	return max_frame_size < most ? max_frame_size : most;
}

// ---- beginning ----------------------------------------------------------------------------------------------------------

static int submit_first_frames(struct conn *c)
{
	nghttp2_settings_entry s[5] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->limits.stream_window},
				       {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, MAX_FRAME_SIZE},
				       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, c->limits.header_bytes},
				       {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->limits.streams}};
	size_t n = 4;
	if (!c->is_server)
		s[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
	int rc = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, s, n);
	return rc ? rc
		  : nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
							  (int32_t)c->limits.connection_window);
}

static nghttp2_option *make_options(void)
{
	nghttp2_option *o;
	if (nghttp2_option_new(&o))
		abort();
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_stream_reset_rate_limit(o, RESETS_AT_ONCE, RESETS_A_SECOND);
	nghttp2_option_set_max_settings(o, 32);
	nghttp2_option_set_max_outbound_ack(o, 1000);
	return o;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
	nghttp2_session_callbacks *cb;
	if (nghttp2_session_callbacks_new(&cb))
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb, frame_length);
	return cb;
}

int session_open(struct conn *c, struct err *err)
{
	nghttp2_option *o = make_options();
	nghttp2_session_callbacks *cb = make_callbacks();
	int rc = c->is_server ? nghttp2_session_server_new2(&c->session, cb, c, o)
			      : nghttp2_session_client_new2(&c->session, cb, c, o);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(o);
	if (!rc)
		rc = submit_first_frames(c);
	return rc ? err_set(err, ERR_IO, "cannot begin HTTP/2: %s", nghttp2_strerror(rc)) : 0;
}

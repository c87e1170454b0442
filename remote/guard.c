#include "remote/conn.h"

#include <string.h>

// Frames that cost us more than they cost the peer: so many at once, and so many a second.
#define TOKENS_AT_ONCE 10000.0
#define TOKENS_A_SECOND 1000.0
#define MAX_STRIKES 2
#define PING_ANSWER_MS 20000
#define DRAIN_NOTICE_MS 1000

// ---- frames ---------------------------------------------------------------------------------------------------------------

static void spend(struct conn *c, double cost)
{
	struct guard *g = &c->guard;
	double tokens =
		g->filled_at ? g->tokens + (double)(c->heard_at - g->filled_at) * TOKENS_A_SECOND / 1000 : TOKENS_AT_ONCE;
	g->tokens = (tokens > TOKENS_AT_ONCE ? TOKENS_AT_ONCE : tokens) - cost;
	g->filled_at = c->heard_at;
	if (g->tokens < 0)
		conn_fault(c, NGHTTP2_ENHANCE_YOUR_CALM, "too many frames that say nothing");
}

// grpc/doc/keepalive.md. Pings that measure a path come with data, and count for nothing.
static void judge_ping(struct conn *c)
{
	struct guard *g = &c->guard;
	bool is_early = g->last_ping_at && c->heard_at - g->last_ping_at < c->limits.ping_ms;
	if (g->sent_since_ping)
		g->strikes = 0;
	else if (is_early && ++g->strikes > MAX_STRIKES)
		conn_fault(c, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
	g->sent_since_ping = false;
	g->last_ping_at = c->heard_at;
}

void guard_frame(struct conn *c, const nghttp2_frame *frame)
{
	bool is_ack = frame->hd.flags & NGHTTP2_FLAG_ACK;
	switch (frame->hd.type) {
	case NGHTTP2_PING:
		if (c->is_server && !is_ack)
			judge_ping(c);
		spend(c, 1);
		break;
	case NGHTTP2_SETTINGS:
		spend(c, is_ack ? 1 : 10);
		break;
	case NGHTTP2_DATA:
		if (frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			spend(c, 1);
		break;
	case NGHTTP2_HEADERS:
	case NGHTTP2_WINDOW_UPDATE:
		break;
	default:
		spend(c, 1);
		break;
	}
}

void guard_sent(struct conn *c, const nghttp2_frame *frame)
{
	if (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)
		c->guard.sent_since_ping = true;
}

// ---- time -------------------------------------------------------------------------------------------------------------------

static bool is_stalled(struct rpc_call *call, int64_t now)
{
	if (call->wire != WIRE_GOES || !call_is_open(call) || now - call->progress_at < call->conn->limits.stall_ms)
		return false;
	pthread_mutex_lock(&call->lock);
	bool waits = call->outbox || (call->is_server && call->out == OUT_ENDED);
	pthread_mutex_unlock(&call->lock);
	return waits;
}

static void judge_calls(struct conn *c, int64_t now)
{
	for (struct rpc_call *call = c->calls, *next; call; call = next) {
		next = call->next;
		if (!call_is_open(call))
			continue;
		if (is_stalled(call, now))
			session_expire_call(call, RPC_UNAVAILABLE, "the peer has taken no data for too long");
		else if (c->is_server && call->state == CALL_OPEN && now - call->began_at >= c->limits.first_message_ms)
			session_expire_call(call, RPC_DEADLINE_EXCEEDED, "no message has come in time");
	}
}

static void keep_alive(struct conn *c, int64_t now)
{
	if (c->ping_at && now - c->ping_at >= PING_ANSWER_MS && now - c->heard_at >= PING_ANSWER_MS) {
		conn_fail(c, "the server does not answer");
	} else if (!c->ping_at && c->keepalive_ms && c->n_calls && now - c->heard_at >= c->keepalive_ms) {
		c->ping_at = now;
		nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, (const uint8_t *)"coffer..");
		conn_dirty(c);
	}
}

void guard_finish_drain(struct conn *c)
{
	if (!c->is_draining || c->drain_is_final)
		return;
	c->drain_is_final = true;
	nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(c->session),
			      NGHTTP2_NO_ERROR, NULL, 0);
	conn_dirty(c);
}

// A stranger's connection, and room is short.
static bool is_in_the_way(const struct conn *c)
{
	return c->is_stranger && server_is_short(c->server);
}

void guard_tick(struct conn *c, int64_t now)
{
	if ((c->state != CONN_OPEN || !c->has_settings) && now - c->began_at >= c->limits.handshake_ms) {
		if (c->server)
			server_lost_handshake(c, RPC_HANDSHAKE_TIMEOUT, "nothing in time");
		if (c->state == CONN_OPEN)
			conn_fault(c, NGHTTP2_SETTINGS_TIMEOUT, "no SETTINGS in time");
		else
			conn_fail(c, "the peer has not shaken hands in time");
	}
	if (c->state != CONN_OPEN)
		return;
	if (c->block_at && now - c->block_at >= c->limits.handshake_ms)
		conn_fault(c, NGHTTP2_ENHANCE_YOUR_CALM, "a header block is not whole in time");
	if (c->unsent && now - c->wrote_at >= c->limits.stall_ms) {
		conn_fail(c, "the peer has taken no data for too long");
		return;
	}
	judge_calls(c, now);
	if (!c->is_server)
		keep_alive(c, now);
	else if (!c->n_calls && now - c->busy_at >= (is_in_the_way(c) ? c->limits.stranger_ms : c->limits.idle_ms))
		conn_drain(c);
	if (c->is_draining && now - c->drain_at >= DRAIN_NOTICE_MS)
		guard_finish_drain(c);
	if (c->fault[0])
		conn_dirty(c);
}

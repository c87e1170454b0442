#include "remote/conn.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_AT_ONCE ((size_t)64 << 10)
#define READ_IN_A_TURN ((size_t)1 << 20) // then the others have a turn
#define LINGER_MS 500
#define LINGER_BYTES ((size_t)1 << 20)
#define TICK_MS 1000
#define QUIET_TICK_MS 10000 // nothing is under way
// Frames that nghttp2 has queued: a peer that makes us answer and does not read would pile them up.
#define MAX_QUEUED_FRAMES 20000

static void conn_settle(struct loop_settling *s);

// ---- the end ------------------------------------------------------------------------------------------------------------

static void conn_free(struct conn *c)
{
	if (c->server)
		server_lost_conn(c);
	if (c->channel)
		channel_unref(c->channel);
	if (c->session)
		nghttp2_session_del(c->session);
	link_unref(c->link);
	free(c->unsent);
	free(c);
}

static struct rpc_call *take_fresh(struct conn *c)
{
	struct rpc_call *call = c->fresh;
	if (call && !(c->fresh = call->serving.next_fresh))
		c->fresh_last = &c->fresh;
	if (call) {
		call->serving.next_fresh = NULL;
		call->serving.is_fresh = false;
	}
	return call;
}

static void drop_fresh(struct conn *c)
{
	struct rpc_call *call;
	while ((call = take_fresh(c)))
		call_unref(call);
}

// nghttp2 does not tell of the streams that end with a session.
static void lose_calls(struct conn *c, const char *text)
{
	while (c->calls) {
		struct rpc_call *call = c->calls;
		call_over(call, call->is_server ? RPC_CANCELLED : RPC_UNAVAILABLE, text,
			  !call->is_server && !call_is_on_wire(call));
		session_remove_call(call);
	}
	drop_fresh(c);
}

void conn_fail(struct conn *c, const char *text)
{
	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	if (c->channel)
		channel_is_unusable(c, text);
	lose_calls(c, text);
	timer_clear(&c->loop->timers, &c->tick);
	loop_watch(c->loop, &c->source, 0, NULL);
	c->transport->ops->free(c->transport);
	c->transport = NULL;
	loop_move_out(&c->resident);
	loop_settle_later(c->loop, &c->settling);
}

void conn_fault(struct conn *c, uint32_t h2_code, const char *fmt, ...)
{
	va_list ap;
	if (c->fault[0])
		return;
	va_start(ap, fmt);
	vsnprintf(c->fault, sizeof c->fault, fmt, ap);
	va_end(ap);
	c->fault_code = h2_code;
}

// A goodbye is lost if the descriptor is closed while bytes of the peer are unread: so they are read for a while.
static void linger(struct conn *c, const char *text)
{
	if (c->channel)
		channel_is_unusable(c, text);
	lose_calls(c, text);
	if (!c->is_server || shutdown(c->source.fd, SHUT_WR)) {
		conn_fail(c, text);
		return;
	}
	c->state = CONN_LINGERING;
	loop_watch(c->loop, &c->source, EPOLLIN, NULL);
	timer_set(&c->loop->timers, &c->tick, clock_ms() + LINGER_MS);
}

static void read_nothing(struct conn *c)
{
	ssize_t n = recv(c->source.fd, c->loop->scratch, READ_AT_ONCE, MSG_DONTWAIT);
	c->lingered += n > 0 ? (size_t)n : 0;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || c->lingered > LINGER_BYTES)
		conn_fail(c, "closed");
}

void conn_drain(struct conn *c)
{
	if (c->is_draining)
		return;
	c->is_draining = true;
	c->drain_at = clock_ms();
	if (c->state != CONN_OPEN) {
		conn_fail(c, "the server is shutting down");
		return;
	}
	// First a notice, so that calls which are under way are not cut; the last word follows when the ping comes back.
	nghttp2_submit_shutdown_notice(c->session);
	nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, (const uint8_t *)"draining");
	conn_dirty(c);
	// A connection that was quiet looks at the clock only rarely.
	conn_wake_tick(c);
}

void conn_release(struct conn *c)
{
	c->is_released = true;
	if (c->state == CONN_OPEN)
		conn_dirty(c);
	else
		conn_fail(c, "nobody needs the connection any more");
}

// ---- writing ------------------------------------------------------------------------------------------------------------

void conn_dirty(struct conn *c)
{
	loop_settle_later(c->loop, &c->settling);
}

// Writes what is taken of it. -1: the connection has failed.
static ssize_t write_some(struct conn *c, const char *p, size_t n)
{
	size_t done = 0;
	while (done < n) {
		struct err err = ERR_INIT;
		ssize_t sent = c->transport->ops->write(c->transport, p + done, n - done, &err);
		if (sent < 0) {
			conn_fail(c, err.code ? err.text : "the connection is closed");
			return -1;
		}
		if (sent == 0)
			break;
		done += (size_t)sent;
	}
	if (done)
		c->wrote_at = clock_ms();
	return (ssize_t)done;
}

// Writes it, and keeps what is not taken now. Only when nothing is kept.
static int put(struct conn *c, const char *p, size_t n)
{
	ssize_t done = write_some(c, p, n);
	if (done < 0)
		return -1;
	if ((size_t)done < n) {
		c->wrote_at = clock_ms();
		c->unsent_len = n - (size_t)done;
		c->unsent_at = 0;
		c->unsent = mem_realloc(NULL, c->unsent_len);
		memcpy(c->unsent, p + done, c->unsent_len);
	}
	return 0;
}

static int put_kept(struct conn *c)
{
	ssize_t done = write_some(c, c->unsent + c->unsent_at, c->unsent_len - c->unsent_at);
	if (done < 0)
		return -1;
	c->unsent_at += (size_t)done;
	if (c->unsent_at == c->unsent_len) {
		free(c->unsent);
		c->unsent = NULL;
		c->unsent_at = c->unsent_len = 0;
	}
	return 0;
}

// Gathers frames until there are none or the descriptor takes no more.
static int write_frames(struct conn *c)
{
	size_t used = 0;
	char *gathered = c->loop->scratch;
	while (!c->unsent) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(c->session, &p);
		if (n < 0) {
			conn_fail(c, nghttp2_strerror((int)n));
			return -1;
		}
		if (n == 0)
			return used ? put(c, gathered, used) : 0;
		if (used + (size_t)n > LOOP_SCRATCH) {
			if (put(c, gathered, used))
				return -1;
			used = 0;
		}
		if (c->unsent) { // what does not fit behind it is kept, too
			c->unsent = mem_realloc(c->unsent, c->unsent_len + (size_t)n);
			memcpy(c->unsent + c->unsent_len, p, (size_t)n);
			c->unsent_len += (size_t)n;
		} else if ((size_t)n > LOOP_SCRATCH) {
			if (put(c, (const char *)p, (size_t)n))
				return -1;
		} else {
			memcpy(gathered + used, p, (size_t)n);
			used += (size_t)n;
		}
	}
	return 0;
}

static void say_fault(struct conn *c)
{
	log_debug("connection with %s: %s", c->link->identity.peer.address, c->fault);
	if (c->server && c->fault_code != NGHTTP2_NO_ERROR)
		server_count_attack(c->server);
	nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(c->session),
			      c->fault_code, (const uint8_t *)c->fault, strlen(c->fault));
}

// The end of a turn: writes, and sees whether the connection is at its end.
static void conn_settle(struct loop_settling *s)
{
	struct conn *c = CONTAINER_OF(s, struct conn, settling);
	if (c->state == CONN_DEAD) {
		conn_free(c);
		return;
	}
	if (c->state != CONN_OPEN)
		return;
	if (c->is_released && !c->n_calls)
		conn_fault(c, NGHTTP2_NO_ERROR, "released");
	if (c->fault[0])
		say_fault(c);
	if ((c->unsent && put_kept(c)) || write_frames(c))
		return;
	if (c->fault[0]) {
		linger(c, c->fault);
	} else if (!c->unsent && !nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session)) {
		// Without anybody's wish: nghttp2 has seen something that it does not bear.
		if (c->server && !c->is_draining && !c->goaway_received)
			server_count_attack(c->server);
		linger(c, c->goodbye[0] ? c->goodbye : "the connection is closed");
	} else if (nghttp2_session_get_outbound_queue_size(c->session) > MAX_QUEUED_FRAMES + c->n_calls * 4) {
		conn_fail(c, "the peer does not read the answers to what it sends");
	} else {
		bool wants_out = c->unsent || c->transport->wants_write;
		loop_watch(c->loop, &c->source, EPOLLIN | (wants_out ? (uint32_t)EPOLLOUT : 0), NULL);
	}
}

// ---- reading ------------------------------------------------------------------------------------------------------------

// What calls there are after a batch of frames: now their first message may be here, too.
static void dispatch_fresh(struct conn *c)
{
	struct rpc_call *call;
	while ((call = take_fresh(c))) {
		if (call->state == CALL_OPEN && !call->is_over)
			server_dispatch(c, call);
		call_unref(call);
	}
}

static void conn_read(struct conn *c)
{
	size_t total = 0;
	do {
		struct err err = ERR_INIT;
		ssize_t n = c->transport->ops->read(c->transport, c->loop->scratch, READ_AT_ONCE, &err);
		if (n < 0) {
			dispatch_fresh(c);
			conn_fail(c, err.code          ? err.text
				     : c->goodbye[0]   ? c->goodbye
				     : c->has_settings ? "the peer has closed the connection"
						       : "the peer has closed the connection without a word of HTTP/2");
			return;
		}
		if (n == 0)
			break;
		total += (size_t)n;
		c->heard_at = clock_ms();
		ssize_t used = nghttp2_session_mem_recv(c->session, (const uint8_t *)c->loop->scratch, (size_t)n);
		if (used < 0)
			conn_fault(c, used == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR, "%s",
				   nghttp2_strerror((int)used));
	} while (!c->fault[0] && total < READ_IN_A_TURN);
	dispatch_fresh(c);
	conn_dirty(c);
	// TLS may hold bytes that the descriptor does not show.
	if (!c->fault[0] && c->transport->has_more && total >= READ_IN_A_TURN)
		timer_set(&c->loop->timers, &c->tick, clock_ms());
}

// ---- the beginning --------------------------------------------------------------------------------------------------------

static void conn_shake(struct conn *c)
{
	struct err err = ERR_INIT;
	int rc = c->transport->ops->shake_hands(c->transport, &err);
	if (rc < 0) {
		if (c->server)
			server_lost_handshake(c, c->transport->cause, err.text);
		conn_fail(c, err.text);
		return;
	}
	if (rc == 0) {
		loop_watch(c->loop, &c->source, EPOLLIN | (c->transport->wants_write ? (uint32_t)EPOLLOUT : 0), NULL);
		return;
	}
	c->transport->ops->describe(c->transport, &c->link->identity);
	if (session_open(c, &err)) {
		conn_fail(c, err.text);
		return;
	}
	c->state = CONN_OPEN;
	conn_dirty(c);
	if (c->transport->has_more)
		conn_read(c);
}

static void conn_events(struct loop_source *s, uint32_t events)
{
	struct conn *c = CONTAINER_OF(s, struct conn, source);
	switch (c->state) {
	case CONN_SHAKING:
		conn_shake(c);
		break;
	case CONN_OPEN:
		if (events & EPOLLOUT)
			conn_dirty(c);
		if (events & ~(uint32_t)EPOLLOUT || c->transport->wants_write)
			conn_read(c);
		break;
	case CONN_LINGERING:
		read_nothing(c);
		break;
	case CONN_DEAD:
		break;
	}
}

void conn_wake_tick(struct conn *c)
{
	if (c->state == CONN_OPEN && c->tick.at_ms > clock_ms() + TICK_MS)
		timer_set(&c->loop->timers, &c->tick, clock_ms() + TICK_MS);
}

static void conn_tick(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, tick);
	int64_t now = clock_ms();
	if (c->state == CONN_LINGERING) {
		conn_fail(c, "closed");
		return;
	}
	guard_tick(c, now);
	if (c->state == CONN_DEAD)
		return;
	bool is_quiet = c->has_settings && !c->n_calls && !c->unsent && !c->is_draining && !c->block_at;
	timer_set(&c->loop->timers, &c->tick, now + (is_quiet ? QUIET_TICK_MS : TICK_MS));
	if (c->state == CONN_OPEN && c->transport->has_more)
		conn_read(c);
}

static void conn_evict(struct loop_resident *r)
{
	conn_fail(CONTAINER_OF(r, struct conn, resident), "the program is ending");
}

struct conn *conn_new(struct loop *loop, struct transport *t, const struct rpc_limits *limits, bool is_server)
{
	struct conn *c = mem_alloc(sizeof *c);
	c->loop = loop;
	c->transport = t;
	c->limits = *limits;
	c->is_server = is_server;
	c->state = CONN_SHAKING;
	c->link = link_new(limits->connection_bytes);
	c->source.fd = t->fd;
	c->settling.settle = conn_settle;
	c->tick.fire = conn_tick;
	c->fresh_last = &c->fresh;
	c->began_at = c->heard_at = c->wrote_at = c->busy_at = clock_ms();
	c->resident.evict = conn_evict;
	loop_move_in(loop, &c->resident);
	return c;
}

int conn_start(struct conn *c, struct err *err)
{
	c->source.ready = conn_events;
	if (loop_watch(c->loop, &c->source, EPOLLIN, err)) {
		conn_fail(c, "cannot watch the connection");
		return -1;
	}
	timer_set(&c->loop->timers, &c->tick, c->began_at + TICK_MS);
	conn_shake(c);
	return 0;
}

#include "remote/channel.h"

#include "remote/grpc.h"

#include "base/clock.h"
#include "base/cond.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_KEEPALIVE_MS (2u * 3600 * 1000)

// ---- what the connection tells ------------------------------------------------------------------------------------------

static void set_state(struct rpc_channel *ch, enum channel_state state, const char *text)
{
	pthread_mutex_lock(&ch->lock);
	if (ch->state == CHANNEL_CONNECTING) {
		ch->state = state;
		if (state == CHANNEL_FAILED)
			err_set(&ch->err, ERR_PEER, "%s", text);
		pthread_cond_broadcast(&ch->change);
	}
	pthread_mutex_unlock(&ch->lock);
}

void channel_is_ready(struct conn *c)
{
	c->channel->is_usable = true;
	set_state(c->channel, CHANNEL_READY, NULL);
}

void channel_is_unusable(struct conn *c, const char *text)
{
	c->channel->is_usable = false;
	set_state(c->channel, CHANNEL_FAILED, text);
	if (c->state == CONN_DEAD)
		c->channel->conn = NULL;
}

void channel_is_annoying(struct conn *c)
{
	unsigned ms = c->channel->keepalive_ms;
	c->channel->keepalive_ms = ms > MAX_KEEPALIVE_MS / 2 ? MAX_KEEPALIVE_MS : ms * 2;
}

// ---- handles --------------------------------------------------------------------------------------------------------------

void channel_unref(struct rpc_channel *ch)
{
	if (atomic_fetch_sub(&ch->refs, 1) != 1)
		return;
	link_unref(ch->link);
	pthread_cond_destroy(&ch->change);
	pthread_mutex_destroy(&ch->lock);
	free(ch->authority);
	free(ch);
}

static void release_attend(struct loop_note *n)
{
	struct rpc_channel *ch = CONTAINER_OF(n, struct rpc_channel, release);
	if (ch->conn)
		conn_release(ch->conn);
	channel_unref(ch);
}

struct rpc_channel *rpc_channel_ref(struct rpc_channel *ch)
{
	atomic_fetch_add(&ch->handles, 1);
	return ch;
}

void rpc_channel_release(struct rpc_channel *ch)
{
	if (!ch || atomic_fetch_sub(&ch->handles, 1) != 1)
		return;
	ch->is_usable = false;
	loop_post(ch->loop, &ch->release);
}

bool rpc_channel_is_usable(const struct rpc_channel *ch)
{
	return ch->is_usable;
}

const struct rpc_peer *rpc_channel_peer(const struct rpc_channel *ch)
{
	return &ch->link->identity.peer;
}

// ---- beginning ----------------------------------------------------------------------------------------------------------

struct channel_start {
	struct rpc_channel *channel;
	struct transport *transport;
	const char *address;
};

static void start_conn(void *arg)
{
	struct channel_start *s = arg;
	struct rpc_channel *ch = s->channel;
	struct conn *c = conn_new(ch->loop, s->transport, &ch->limits, false);
	atomic_fetch_add(&ch->refs, 1);
	c->channel = ch;
	c->keepalive_ms = ch->keepalive_ms;
	ch->conn = c;
	ch->link = link_ref(c->link);
	c->link->identity.peer.address = arena_strdup(&c->link->identity.arena, s->address);
	conn_start(c, NULL);
}

struct rpc_channel *channel_new(struct loop *loop, struct transport *t, const struct rpc_channel_config *config,
				const char *address)
{
	struct rpc_channel *ch = mem_alloc(sizeof *ch);
	struct channel_start start = {ch, t, address};
	atomic_init(&ch->handles, 1);
	atomic_init(&ch->refs, 1);
	atomic_init(&ch->is_usable, false);
	atomic_init(&ch->keepalive_ms, config ? config->keepalive_ms : 0);
	ch->loop = loop;
	ch->release.attend = release_attend;
	if (config)
		ch->limits = config->limits;
	limits_fill(&ch->limits, false);
	ch->authority = mem_strdup(config && config->authority ? config->authority : address);
	ch->has_tls = config && config->tls;
	pthread_mutex_init(&ch->lock, NULL);
	cond_init(&ch->change);
	loop_run(loop, start_conn, &start);
	return ch;
}

int rpc_channel_adopt(struct loop *loop, int fd, const struct rpc_channel_config *config, struct rpc_channel **out,
		      struct err *err)
{
	if (net_set_nonblocking(fd, err)) {
		close(fd);
		return -1;
	}
	struct rpc_channel_config plain = config ? *config : (struct rpc_channel_config){0};
	plain.tls = NULL;
	plain.authority = plain.authority ? plain.authority : "localhost";
	struct rpc_channel *ch = channel_new(loop, transport_plain(fd), &plain, "fd");
	pthread_mutex_lock(&ch->lock);
	bool failed = ch->state == CHANNEL_FAILED;
	if (failed && err)
		*err = ch->err;
	pthread_mutex_unlock(&ch->lock);
	if (failed) {
		rpc_channel_release(ch);
		return -1;
	}
	// Its SETTINGS need not have come yet: calls may begin before (RFC 9113 3.4).
	ch->is_usable = true;
	*out = ch;
	return 0;
}

// ---- calls --------------------------------------------------------------------------------------------------------------

static void client_call_attend(struct loop_note *n)
{
	struct rpc_call *call = CONTAINER_OF(n, struct rpc_call, note);
	if (call->state == CALL_NEW && !call->conn) {
		struct conn *c = call->client.channel->conn;
		if (!call->is_over && c && c->state == CONN_OPEN) {
			session_add_call(c, call);
			session_begin_deadline(call);
		} else {
			call_over(call, RPC_UNAVAILABLE, c && c->goodbye[0] ? c->goodbye : "the connection is gone", true);
			call_enter(call, CALL_CLOSED);
		}
	}
	session_attend_call(call);
	call_unref(call);
}

static int add_metadata(struct headers *h, const char *name, const char *value, struct err *err)
{
	if (!headers_is_metadata(name, value))
		return err_set(err, ERR_USAGE, "'%s' cannot be sent as metadata", name);
	headers_add(h, name, value);
	return 0;
}

static int make_request(struct rpc_call *call, const struct rpc_call_options *o, struct err *err)
{
	struct headers *h = &call->client.request;
	struct rpc_channel *ch = call->client.channel;
	char timeout[GRPC_TIMEOUT_MAX];
	headers_add(h, ":method", "POST");
	headers_add(h, ":scheme", ch->has_tls ? "https" : "http");
	headers_add(h, ":path", call->path);
	headers_add(h, ":authority", ch->authority);
	headers_add(h, "te", "trailers");
	headers_add(h, "content-type", GRPC_CONTENT_TYPE);
	headers_add(h, "user-agent", "grpc-c-coffer/" COFFER_VERSION);
	headers_add(h, "grpc-accept-encoding", GRPC_ACCEPT_ENCODING);
	if (call->out_encoding != RPC_IDENTITY)
		headers_add(h, "grpc-encoding", grpc_encoding_name(call->out_encoding));
	if (o->deadline_ms) {
		grpc_timeout_format(timeout, o->deadline_ms);
		headers_add(h, "grpc-timeout", timeout);
	}
	if (o->authorization && add_metadata(h, "authorization", o->authorization, err))
		return -1;
	for (size_t i = 0; i < o->n_metadata; i++)
		if (add_metadata(h, o->metadata[i].name, o->metadata[i].value, err))
			return -1;
	return 0;
}

int rpc_call_start(struct rpc_channel *ch, const char *path, const struct rpc_call_options *options, struct rpc_call **out,
		   struct err *err)
{
	static const struct rpc_call_options none;
	const struct rpc_call_options *o = options ? options : &none;
	if (!ch->is_usable)
		return err_set(err, ERR_PEER, "the connection with '%s' is gone or going", ch->link->identity.peer.address);
	struct rpc_call *call = call_new(ch->loop, false, &ch->limits);
	call->client.channel = ch;
	atomic_fetch_add(&ch->refs, 1);
	call->link = link_ref(ch->link);
	call->path = mem_strdup(path);
	call->note.attend = client_call_attend;
	if (ch->link->accepted & 1u << o->encoding)
		call->out_encoding = o->encoding;
	if (o->deadline_ms)
		call->deadline_at = clock_ms() + o->deadline_ms;
	if (make_request(call, o, err)) {
		call_unref(call);
		return -1;
	}
	call_post(call);
	*out = call;
	return 0;
}

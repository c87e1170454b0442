#include "remote/call.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "remote/codec.h"
#include "remote/grpc.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// ---- links ------------------------------------------------------------------------------------------------------------

struct link *link_new(size_t max_bytes)
{
	struct link *l = mem_alloc(sizeof *l);
	atomic_init(&l->refs, 1);
	atomic_init(&l->accepted, 1u << RPC_IDENTITY);
	l->max_bytes = max_bytes;
	l->identity.peer.subject = "";
	l->identity.peer.address = "";
	return l;
}

struct link *link_ref(struct link *l)
{
	atomic_fetch_add(&l->refs, 1);
	return l;
}

void link_unref(struct link *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	arena_release(&l->identity.arena);
	free(l);
}

// ---- beginning and end --------------------------------------------------------------------------------------------------

void limits_fill(struct rpc_limits *l, bool is_server)
{
	const struct rpc_limits defaults = {
		.message_bytes = 4 << 20,
		.header_bytes = 16 << 10,
		.send_bytes = 256 << 10,
		.stream_window = 1 << 20,
		.connection_window = 32 << 20,
		.connection_bytes = 128 << 20,
		.streams = 1024,
		.calls = 8192,
		.connections = 1024,
		.connections_per_address = (l->connections ? l->connections : 1024) / 2 + 1,
		.stranger_connections = (l->connections ? l->connections : 1024) / 4 + 1,
		.stranger_ms = 10000,
		.handshake_ms = 10000,
		.first_message_ms = 10000,
		.stall_ms = is_server ? 30000 : 600000,
		.idle_ms = 30 * 60 * 1000,
		.ping_ms = 10000,
		.stack_bytes = 256 << 10,
	};
	_Static_assert(sizeof defaults % sizeof(uint32_t) == 0, "all limits are numbers");
	uint32_t *to = (uint32_t *)l;
	const uint32_t *from = (const uint32_t *)&defaults;
	for (size_t i = 0; i < sizeof defaults / sizeof *to; i++)
		to[i] = to[i] ? to[i] : from[i];
	// RFC 9113 has 31 bits for a window.
	l->stream_window = l->stream_window > INT32_MAX ? INT32_MAX : l->stream_window;
	l->connection_window = l->connection_window > INT32_MAX ? INT32_MAX : l->connection_window;
}

static void call_attend_nowhere(struct loop_note *n)
{
	call_unref(CONTAINER_OF(n, struct rpc_call, note));
}

void call_enter(struct rpc_call *call, enum call_state state)
{
	assert(state > call->state && (state != CALL_SERVED || (call->is_server && call->state == CALL_OPEN)) &&
	       (state != CALL_RESET || call->state != CALL_NEW));
	call->state = state;
}

void call_discard(struct rpc_call *call)
{
	if (call->in == IN_OPEN)
		call->in = IN_DISCARDED;
}

struct rpc_call *call_new(struct loop *loop, bool is_server, const struct rpc_limits *limits)
{
	struct rpc_call *call = mem_alloc(sizeof *call);
	atomic_init(&call->refs, 1);
	atomic_init(&call->is_over, false);
	atomic_init(&call->deadline_at, -1);
	call->loop = loop;
	call->is_server = is_server;
	call->note.attend = call_attend_nowhere;
	call->message_bytes = limits->message_bytes;
	call->send_bytes = limits->send_bytes;
	call->deframer.max_len = limits->message_bytes;
	call->inbox_last = &call->inbox;
	call->outbox_last = &call->outbox;
	call->serving.peer_accepts = 1u << RPC_IDENTITY;
	call->cancel_fd = -1;
	pthread_mutex_init(&call->lock, NULL);
	cond_init(&call->change);
	return call;
}

struct rpc_call *call_ref(struct rpc_call *call)
{
	atomic_fetch_add(&call->refs, 1);
	return call;
}

void call_drop_outbox(struct rpc_call *call)
{
	for (struct chunk *c = call->outbox, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	call->outbox = NULL;
	call->outbox_last = &call->outbox;
	call->outbox_bytes = 0;
}

// Under the lock. The bytes stay `held` until the loop has given the peer room again.
static void drop_inbox(struct rpc_call *call)
{
	for (struct message *m = call->inbox; m; m = m->next) {
		call->unread -= message_wire_size(m);
		atomic_fetch_sub(&call->link->bytes, message_wire_size(m));
	}
	messages_free(call->inbox);
	call->inbox = NULL;
	call->inbox_last = &call->inbox;
}

void call_unref(struct rpc_call *call)
{
	if (atomic_fetch_sub(&call->refs, 1) != 1)
		return;
	if (call->link)
		atomic_fetch_sub(&call->link->bytes, call->unread);
	messages_free(call->inbox);
	call_drop_outbox(call);
	deframer_release(&call->deframer);
	headers_release(&call->client.request);
	headers_release(&call->incoming);
	headers_release(&call->metadata);
	headers_release(&call->trailers);
	headers_release(&call->serving.own_headers);
	headers_release(&call->serving.own_trailers);
	if (call->cancel_fd >= 0)
		close(call->cancel_fd);
	if (call->client.channel)
		channel_unref(call->client.channel);
	link_unref(call->link);
	pthread_cond_destroy(&call->change);
	pthread_mutex_destroy(&call->lock);
	free((char *)(uintptr_t)call->status.text);
	free(call->path);
	free(call);
}

void call_post(struct rpc_call *call)
{
	call_ref(call);
	if (!loop_post(call->loop, &call->note))
		call_unref(call); // it is in the mailbox already, with a reference of its own
}

void call_over(struct rpc_call *call, enum rpc_code code, const char *text, bool unprocessed)
{
	const uint64_t one = 1;
	pthread_mutex_lock(&call->lock);
	if (!call->is_over) {
		if (!call->status.text) { // a server's may have a status that has not gone out
			call->status.code = code;
			call->status.text = mem_strdup(text);
		}
		call->status.unprocessed = unprocessed;
		if (!call->is_server && call->out != OUT_CUT)
			call->out = OUT_ENDED;
		call->is_over = true;
		call_drop_outbox(call);
		if (call->is_server)
			drop_inbox(call); // nobody can take it any more, and it counts for the connection
		pthread_cond_broadcast(&call->change);
		if (call->cancel_fd >= 0 && write(call->cancel_fd, &one, sizeof one) < 0)
			log_error("cannot tell of a cancelled call: %s", strerror(errno));
		if (call->on_cancel)
			call->on_cancel(call->on_cancel_arg);
		call->on_cancel = NULL;
	}
	pthread_mutex_unlock(&call->lock);
}

// ---- sending ----------------------------------------------------------------------------------------------------------

// Why nothing more can be sent. Under the lock.
static int cannot_send(struct rpc_call *call, struct err *err)
{
	if (call->is_server)
		return err_set(err, ERR_PEER, "the call '%s' is %s", call->path, call->is_over ? "cancelled" : "finished");
	if (call->is_over && (call->client.by_peer || call->status.code == RPC_OK))
		return 1;
	if (call->is_over)
		return err_set(err, grpc_err_of_code(call->status.code), "%s: %s", rpc_code_name(call->status.code),
			       call->status.text);
	return err_set(err, ERR_USAGE, "the call '%s' has been told that no more is sent", call->path);
}

static bool may_queue(const struct rpc_call *call, size_t n)
{
	return !call->outbox || call->outbox_bytes + n <= call->send_bytes;
}

static enum rpc_encoding encoding_now(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	enum rpc_encoding e = call->out_encoding;
	pthread_mutex_unlock(&call->lock);
	return e;
}

// The message as it goes out; takes `plain` over.
static struct chunk *make_chunk(struct rpc_call *call, struct chunk *plain)
{
	char *packed;
	size_t n;
	if (codec_compress(encoding_now(call), plain->data + MESSAGE_PREFIX, plain->len - MESSAGE_PREFIX, &packed, &n) != 1)
		return plain;
	struct chunk *c = chunk_new(n, true);
	memcpy(c->data + MESSAGE_PREFIX, packed, n);
	free(packed);
	free(plain);
	return c;
}

int call_queue(struct rpc_call *call, struct chunk *plain, bool is_last, struct err *err)
{
	struct chunk *c = make_chunk(call, plain);
	int rc = 0;
	pthread_mutex_lock(&call->lock);
	call->n_senders++;
	while (!call->is_over && call->out < OUT_ENDED && !may_queue(call, c->len))
		cond_wait_until(&call->change, &call->lock, -1);
	call->n_senders--;
	if (call->is_over || call->out >= OUT_ENDED) {
		rc = cannot_send(call, err);
	} else {
		*call->outbox_last = c;
		call->outbox_last = &c->next;
		call->outbox_bytes += c->len;
		call->out = is_last ? OUT_ENDED : OUT_BEGUN;
		if (is_last && call->is_server)
			call->status = (struct rpc_status){.code = RPC_OK, .text = mem_strdup("")};
		c = NULL;
	}
	pthread_mutex_unlock(&call->lock);
	if (!c)
		call_post(call);
	free(c);
	return rc;
}

// Four bytes tell a message's length, and the protobuf implementations stop at half of that.
static struct chunk *chunk_for(size_t n, struct err *err)
{
	if (n <= INT32_MAX)
		return chunk_new(n, false);
	err_set(err, ERR_LIMIT, "a message of %zu bytes is too large to be sent", n);
	return NULL;
}

struct chunk *chunk_of_message(const ProtobufCMessage *message, struct err *err)
{
	struct chunk *c = chunk_for(protobuf_c_message_get_packed_size(message), err);
	if (c)
		protobuf_c_message_pack(message, (uint8_t *)c->data + MESSAGE_PREFIX);
	return c;
}

bool rpc_call_may_send(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	bool may = may_queue(call, 4096);
	pthread_mutex_unlock(&call->lock);
	return may;
}

int rpc_send(struct rpc_call *call, const ProtobufCMessage *message, struct err *err)
{
	struct chunk *c = chunk_of_message(message, err);
	return c ? call_queue(call, c, false, err) : -1;
}

int rpc_send_bytes(struct rpc_call *call, const void *p, size_t n, struct err *err)
{
	struct chunk *c = chunk_for(n, err);
	if (!c)
		return -1;
	if (n)
		memcpy(c->data + MESSAGE_PREFIX, p, n);
	return call_queue(call, c, false, err);
}

void rpc_send_end(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	bool news = !call->is_server && call->out < OUT_ENDED;
	if (news)
		call->out = OUT_ENDED;
	pthread_mutex_unlock(&call->lock);
	if (news)
		call_post(call);
}

// ---- receiving --------------------------------------------------------------------------------------------------------

// There is no message: why? Under the lock.
static int no_message(struct rpc_call *call, struct err *err)
{
	if (call->is_over && call->is_server)
		return err_set(err, call->status.code == RPC_DEADLINE_EXCEEDED ? ERR_TIMEOUT : ERR_PEER, "%s: %s",
			       rpc_code_name(call->status.code), call->status.text);
	if (call->is_over && call->status.code != RPC_OK)
		return err_set(err, grpc_err_of_code(call->status.code), "%s: %s", rpc_code_name(call->status.code),
			       call->status.text);
	return 0;
}

static bool has_news(const struct rpc_call *call)
{
	return call->inbox || call->in == IN_ENDED || call->is_over;
}

// The first message of the inbox. 1, 0 or -1 as rpc_receive.
static int take_message(struct rpc_call *call, int timeout_ms, struct message **out, enum rpc_encoding *encoding,
			struct err *err)
{
	int64_t until = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	bool in_time = true, tell = false;
	int rc = 1;
	pthread_mutex_lock(&call->lock);
	while (!has_news(call) && in_time)
		in_time = cond_wait_until(&call->change, &call->lock, until);
	struct message *m = call->is_server && call->is_over ? NULL : call->inbox;
	if (m) {
		size_t n = message_wire_size(m);
		if (!(call->inbox = m->next))
			call->inbox_last = &call->inbox;
		call->unread -= n;
		atomic_fetch_sub(&call->link->bytes, n);
		tell = call->held > call->unread || (call->held && !call->inbox);
		*encoding = call->in_encoding;
		*out = m;
	} else if (has_news(call)) {
		rc = no_message(call, err);
	} else {
		rc = err_set(err, ERR_TIMEOUT, "no message has come within %d ms", timeout_ms);
	}
	pthread_mutex_unlock(&call->lock);
	if (tell)
		call_post(call);
	return rc;
}

// What came cannot be read: the call is at its end.
static void give_up(struct rpc_call *call, const struct err *err)
{
	if (call->is_server)
		rpc_finish(call, err->code == ERR_LIMIT ? RPC_RESOURCE_EXHAUSTED : RPC_INTERNAL, "%s", err->text);
	else
		rpc_cancel(call);
}

// As rpc_receive_bytes.
static int receive_plain(struct rpc_call *call, int timeout_ms, char **p, size_t *n, struct err *err)
{
	struct message *m = NULL;
	enum rpc_encoding encoding = RPC_IDENTITY;
	struct err local = ERR_INIT;
	int rc = take_message(call, timeout_ms, &m, &encoding, &local);
	if (m && m->is_compressed) {
		if (codec_decompress(encoding, m->data, m->len, call->message_bytes, p, n, &local)) {
			give_up(call, &local);
			rc = -1;
		}
		free(m);
	} else if (m) {
		// The bytes move to the front of their own memory.
		*n = m->len;
		*p = memmove(m, m->data, m->len);
	}
	if (rc < 0 && err)
		*err = local;
	return rc;
}

int rpc_receive_bytes(struct rpc_call *call, int timeout_ms, char **p, size_t *n, struct err *err)
{
	return receive_plain(call, timeout_ms, p, n, err);
}

// protobuf-c needs up to some 150 bytes for every two that it reads: many empty fields in a large message are not worth
// that.
struct budget {
	size_t left;
};
#define BUDGET_FACTOR 16
#define BUDGET_BASE ((size_t)256 << 10)

static void *budget_alloc(void *arg, size_t n)
{
	struct budget *b = arg;
	if (n > b->left)
		return NULL;
	b->left -= n;
	return malloc(n);
}

static void budget_free(void *arg, void *p)
{
	(void)arg;
	free(p);
}

int rpc_receive(struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor, int timeout_ms, void *message,
		struct err *err)
{
	AUTO_FREE char *p = NULL;
	size_t n = 0;
	struct err local = ERR_INIT;
	int rc = receive_plain(call, timeout_ms, &p, &n, &local);
	if (rc == 1) {
		struct budget budget = {BUDGET_BASE + n * BUDGET_FACTOR};
		ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
		ProtobufCMessage *m = protobuf_c_message_unpack(descriptor, &allocator, n, (const uint8_t *)p);
		if (!m) {
			rc = err_set(&local, ERR_FORMAT, "a message is no %s", descriptor->name);
			give_up(call, &local);
		}
		*(ProtobufCMessage **)message = m;
	}
	if (rc < 0 && err)
		*err = local;
	return rc;
}

bool rpc_call_has_news(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	bool news = has_news(call);
	pthread_mutex_unlock(&call->lock);
	return news;
}

// ---- what is known ----------------------------------------------------------------------------------------------------

const char *rpc_call_metadata(struct rpc_call *call, const char *name)
{
	pthread_mutex_lock(&call->lock);
	const char *value = headers_get(&call->metadata, name);
	if (!value)
		value = headers_get(&call->trailers, name);
	pthread_mutex_unlock(&call->lock);
	return value;
}

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
	return &call->link->identity.peer;
}

const char *rpc_call_path(const struct rpc_call *call)
{
	return call->path;
}

int64_t rpc_call_time_left_ms(const struct rpc_call *call)
{
	int64_t at = call->deadline_at, left = at - clock_ms();
	return at < 0 ? -1 : left < 0 ? 0 : left;
}

// ---- cancelling -------------------------------------------------------------------------------------------------------

bool rpc_call_is_cancelled(const struct rpc_call *call)
{
	return call->is_over;
}

void rpc_cancel(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	call->out = OUT_CUT;
	if (call->inbox)
		drop_inbox(call);
	call_discard(call);
	pthread_mutex_unlock(&call->lock);
	call_over(call, RPC_CANCELLED, "cancelled here", false);
	call_post(call);
}

int rpc_call_cancel_fd(struct rpc_call *call, struct err *err)
{
	const uint64_t one = 1;
	pthread_mutex_lock(&call->lock);
	if (call->cancel_fd < 0) {
		call->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (call->cancel_fd < 0)
			err_errno(err, "cannot make an eventfd");
		else if (call->is_over && write(call->cancel_fd, &one, sizeof one) < 0)
			err_errno(err, "cannot write to an eventfd");
	}
	int fd = call->cancel_fd;
	pthread_mutex_unlock(&call->lock);
	return fd;
}

void rpc_call_on_cancel(struct rpc_call *call, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&call->lock);
	if (fn && call->is_over)
		fn(arg);
	else
		call->on_cancel = fn;
	call->on_cancel_arg = arg;
	pthread_mutex_unlock(&call->lock);
}

// ---- a client's end ---------------------------------------------------------------------------------------------------

const struct rpc_status *rpc_wait_status(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	drop_inbox(call);
	call_discard(call);
	pthread_mutex_unlock(&call->lock);
	call_post(call);
	pthread_mutex_lock(&call->lock);
	while (!call->is_over)
		cond_wait_until(&call->change, &call->lock, -1);
	pthread_mutex_unlock(&call->lock);
	return &call->status;
}

void rpc_call_release(struct rpc_call *call)
{
	if (!call)
		return;
	rpc_call_on_cancel(call, NULL, NULL);
	if (!call->is_over)
		rpc_cancel(call);
	call_unref(call);
}

int rpc_unary(struct rpc_channel *channel, const char *path, const struct rpc_call_options *options,
	      const ProtobufCMessage *request, const ProtobufCMessageDescriptor *descriptor, void *reply,
	      enum rpc_code *status, struct err *err)
{
	struct rpc_call *call;
	struct err local = ERR_INIT;
	ProtobufCMessage *first = NULL, *second = NULL;
	if (status)
		*status = RPC_UNAVAILABLE;
	if (rpc_call_start(channel, path, options, &call, err))
		return -1;
	struct chunk *c = chunk_of_message(request, &local);
	int rc = c ? call_queue(call, c, true, &local) : -1;
	if (rc >= 0)
		rc = rpc_receive(call, descriptor, -1, &first, &local);
	if (rc == 0)
		rc = err_set(&local, ERR_PEER, "'%s' has answered without a message", path);
	if (rc == 1 && (rc = rpc_receive(call, descriptor, -1, &second, &local)) == 1)
		rc = err_set(&local, ERR_PEER, "'%s' has answered with more than one message", path);
	if (rc < 0) {
		if (!call->is_over)
			rpc_cancel(call);
		protobuf_c_message_free_unpacked(first, NULL);
		protobuf_c_message_free_unpacked(second, NULL);
	} else {
		*(ProtobufCMessage **)reply = first;
	}
	enum rpc_code code = rpc_wait_status(call)->code;
	if (status)
		*status = rc < 0 && code == RPC_OK ? RPC_INTERNAL : code;
	if (rc < 0 && err)
		*err = local;
	rpc_call_release(call);
	return rc;
}

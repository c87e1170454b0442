// One call, between the thread that makes or serves it and the loop. remote/call.c is the thread's half, remote/session.c
// the loop's; what they share is under `lock`. Neither waits for the other but in the few named places of rpc.h.
#ifndef COFFER_REMOTE_CALL_H
#define COFFER_REMOTE_CALL_H

#include "loop/loop.h"
#include "remote/headers.h"
#include "remote/message.h"
#include "remote/shares.h"
#include "remote/transport.h"

#include <stdatomic.h>

struct conn;

// What a connection's calls and channel share with it, and what outlives it.
struct link {
	atomic_int refs;
	struct peer_identity identity; // complete before anybody else sees it
	atomic_size_t bytes;           // received and in memory
	size_t max_bytes;
	atomic_uint accepted; // encodings that the peer has said it takes
	struct owner owner;   // server; under the lock of the shares
};
struct link *link_new(size_t max_bytes);
struct link *link_ref(struct link *l);
void link_unref(struct link *l);

// The life of a call, as the loop sees it. It only ever goes down this list (call_enter checks that).
enum call_state {
	CALL_NEW,    // client: its headers are not submitted; server: they are being received
	CALL_OPEN,   // client: on the wire; server: its headers are whole, and nobody serves it: it has no thread
	CALL_SERVED, // server: a thread has it
	CALL_RESET,  // we have sent RST_STREAM
	CALL_CLOSED, // the stream is gone
};
// How far our side of the stream is. The loop's.
enum call_wire {
	WIRE_NOTHING,   // no headers of ours
	WIRE_SUBMITTED, // nghttp2 has them
	WIRE_GOES,      // they are sent, the peer may have seen them; bytes follow as they come
	WIRE_STARVED,   // the same, and the outbox was empty when nghttp2 asked
};
// What the peer may still say. Under the lock.
enum call_in {
	IN_OPEN,
	IN_DISCARDED, // nobody will read messages any more
	IN_ENDED,     // it sends no more
};
// What we may still say. Under the lock.
enum call_out {
	OUT_FRESH, // no message has been queued
	OUT_BEGUN,
	OUT_ENDED, // no more will be; on a server `status` is what it ends with
	OUT_CUT,   // cancelled here: the stream is to be reset
};

// What only a client's call has.
struct call_client {
	struct rpc_channel *channel;
	struct headers request; // until it is submitted
	bool by_peer;           // the server itself said the status; under the lock
};

// What only a server's call has.
struct call_serving {
	struct rpc_server *server;
	const struct rpc_method *method;
	void *context;
	void (*follow)(void *arg); // the loop's
	void *follow_arg;
	struct rpc_call *next_fresh; // of those to be given to the server at the end of a batch of frames
	bool is_fresh;               // it is in that list
	bool is_silent;              // it is in the server's list of strangers' calls that have said nothing
	struct rpc_call *newer, *older;
	int http_status;                          // to be sent instead of a gRPC answer, or 0
	unsigned peer_accepts;                    // encodings
	struct headers own_headers, own_trailers; // under the lock
	struct charge charge;                     // what it takes of the server's room
	atomic_int holders;                       // of the charge: the stream and the thread
};

struct rpc_call {
	atomic_int refs;
	bool is_server;
	struct loop *loop;
	struct link *link;     // NULL until the connection is there
	struct loop_note note; // "look at this call"
	char *path;
	uint32_t send_bytes, message_bytes;
	atomic_llong deadline_at; // clock_ms(); -1: none

	struct call_client client;
	struct call_serving serving;

	// The loop's.
	struct conn *conn; // NULL: not yet, or no more
	struct rpc_call *next, *prev;
	enum call_state state;
	enum call_wire wire;
	int32_t stream;
	struct timer deadline_timer;
	struct deframer deframer;
	struct headers incoming; // of the block that is being received
	size_t incoming_bytes;
	int64_t began_at;    // its headers were complete
	int64_t progress_at; // bytes were last taken by the peer, or could have been asked of it

	pthread_mutex_t lock;
	pthread_cond_t change;
	struct message *inbox, **inbox_last;
	size_t unread;                  // bytes received and not taken: those of the inbox, and of a piece after it
	size_t held;                    // of these, for which the peer has not been given room again
	enum rpc_encoding in_encoding;  // of what arrives
	enum rpc_encoding out_encoding; // of what is sent
	struct chunk *outbox, **outbox_last;
	size_t outbox_bytes;
	unsigned n_senders;                // that wait for room in it
	struct headers metadata, trailers; // from the peer; each is whole when it is here, and then stays
	enum call_in in;
	enum call_out out;
	atomic_bool is_over;      // client: it has its status; server: cancelled
	struct rpc_status status; // its text is to be freed
	int cancel_fd;
	void (*on_cancel)(void *arg);
	void *on_cancel_arg;
};

struct rpc_call *call_new(struct loop *loop, bool is_server, const struct rpc_limits *limits);
struct rpc_call *call_ref(struct rpc_call *call);
void call_unref(struct rpc_call *call);
void call_post(struct rpc_call *call);

void call_enter(struct rpc_call *call, enum call_state state); // loop thread
static inline bool call_is_open(const struct rpc_call *call)
{
	return call->state == CALL_OPEN || call->state == CALL_SERVED;
}
static inline bool call_is_on_wire(const struct rpc_call *call)
{
	return call->wire >= WIRE_GOES;
}

// ---- for the loop's half --------------------------------------------------------------------------------------------------
// The end of a client's call, or of anybody's interest in a server's. The first one counts.
void call_over(struct rpc_call *call, enum rpc_code code, const char *text, bool unprocessed);
void call_drop_outbox(struct rpc_call *call); // under the lock
// Server: a message would go into the outbox at once. Any thread.
bool rpc_call_may_send(struct rpc_call *call);
void call_discard(struct rpc_call *call); // nobody will read more of it; under the lock

void channel_unref(struct rpc_channel *channel);
// Queues a message; with `is_last` the end after it, on a server with RPC_OK. As rpc_send.
int call_queue(struct rpc_call *call, struct chunk *plain, bool is_last, struct err *err);
struct chunk *chunk_of_message(const ProtobufCMessage *message, struct err *err); // NULL: too large

void limits_fill(struct rpc_limits *l, bool is_server); // defaults for zeros

#endif

// One call, between the thread that makes or serves it and the loop. remote/call.c is the thread's half, remote/session.c
// the loop's; what they share is under `lock`. Neither waits for the other but in the few named places of rpc.h.
#ifndef COFFER_REMOTE_CALL_H
#define COFFER_REMOTE_CALL_H

#include "remote/headers.h"
#include "remote/loop.h"
#include "remote/message.h"
#include "remote/transport.h"

#include <stdatomic.h>

struct conn;

// What a connection's calls and channel share with it, and what outlives it.
struct link {
	atomic_int refs;
	struct identity identity; // complete before anybody else sees it
	atomic_size_t bytes;      // received and in memory
	size_t max_bytes;
	atomic_uint accepted; // encodings that the peer has said it takes
};
struct link *link_new(size_t max_bytes);
struct link *link_ref(struct link *l);
void link_unref(struct link *l);

enum call_phase {
	CALL_NEW,    // client: its headers are not submitted; server: they are being received
	CALL_OPEN,   // on the wire
	CALL_CLOSED, // the stream is gone
};

struct rpc_call {
	atomic_int refs;
	bool is_server;
	struct rpc_loop *loop;
	struct link *link; // NULL until the connection is there
	struct note note;  // "look at this call"
	char *path;
	uint32_t send_bytes, message_bytes;
	atomic_llong deadline_at; // clock_ms(); -1: none

	// Client.
	struct rpc_channel *channel;
	struct headers request; // until it is submitted
	// Server.
	struct rpc_server *server;
	const struct rpc_method *method;
	void *context;

	// The loop's.
	struct conn *conn; // NULL: not yet, or no more
	struct rpc_call *next, *prev;
	struct rpc_call *next_fresh;
	enum call_phase phase;
	int32_t stream;
	struct timer deadline_timer;
	struct deframer deframer;
	struct headers incoming; // of the block that is being received
	size_t incoming_bytes;
	int64_t began_at;    // its headers were complete
	int64_t progress_at; // bytes were last taken by the peer, or could have been asked of it
	bool is_on_wire;     // client: the peer may have seen it
	bool is_starved;     // the outbox was empty when nghttp2 asked
	bool is_mid_message; // a part of a message has gone out
	bool is_reset;       // we have sent RST_STREAM
	bool has_response;   // client: the final response headers have arrived; server: ours are submitted
	bool was_dispatched; // server
	bool has_message;    // server: the first message has arrived
	int http_status;     // server: to be sent instead of a gRPC answer, or 0

	pthread_mutex_t lock;
	pthread_cond_t change;
	struct message *inbox, **inbox_last;
	size_t unread;                  // bytes received and not taken: those of the inbox, and of a piece after it
	size_t held;                    // of these, for which the peer has not been given room again
	enum rpc_encoding in_encoding;  // of what arrives
	enum rpc_encoding out_encoding; // of what is sent
	unsigned peer_accepts;          // server: encodings
	struct chunk *outbox, **outbox_last;
	size_t outbox_bytes;
	unsigned n_senders;                       // that wait for room in it
	struct headers metadata, trailers;        // from the peer; each is whole when it is here, and then stays
	struct headers own_headers, own_trailers; // server
	bool in_ended;                            // the peer sends no more messages
	bool out_ended;                           // we send no more; on a server `status` is what it ends with
	bool has_sent;                            // a message has been queued
	bool is_discarding;                       // nobody will read messages any more
	bool cancel_wanted;
	atomic_bool is_over;      // client: it has its status; server: cancelled
	struct rpc_status status; // its text is to be freed
	bool by_peer;             // client: the server itself said it
	int cancel_fd;
	void (*on_cancel)(void *arg);
	void *on_cancel_arg;
};

struct rpc_call *call_new(struct rpc_loop *loop, bool is_server, const struct rpc_limits *limits);
struct rpc_call *call_ref(struct rpc_call *call);
void call_unref(struct rpc_call *call);
void call_post(struct rpc_call *call);

// ---- for the loop's half --------------------------------------------------------------------------------------------------
// The end of a client's call, or of anybody's interest in a server's. The first one counts.
void call_over(struct rpc_call *call, enum rpc_code code, const char *text, bool unprocessed);
void call_drop_outbox(struct rpc_call *call); // under the lock

void channel_unref(struct rpc_channel *channel);
// Queues a message; with `is_last` the end after it, on a server with RPC_OK. As rpc_send.
int call_queue(struct rpc_call *call, struct chunk *plain, bool is_last, struct err *err);
struct chunk *chunk_of_message(const ProtobufCMessage *message, struct err *err); // NULL: too large

void limits_fill(struct rpc_limits *l, bool is_server); // defaults for zeros

#endif

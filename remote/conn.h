// One HTTP/2 connection: its descriptor, its handshake, its session, and the calls on it. Loop thread only.
//
// conn.c moves bytes and decides when a connection ends; session.c is what nghttp2 tells and what it is told; guard.c judges
// whether the peer behaves.
#ifndef COFFER_REMOTE_CONN_H
#define COFFER_REMOTE_CONN_H

#include "remote/address.h"
#include "remote/call.h"

#include <nghttp2/nghttp2.h>

enum conn_state {
	CONN_SHAKING,   // TLS
	CONN_OPEN,      // HTTP/2, from our own SETTINGS on
	CONN_LINGERING, // we have said goodbye and wait for the peer to read it
	CONN_DEAD,      // to be freed when the turn is over
};

// What the peer may do often, but not all the time: a bucket that fills by itself.
struct guard {
	double tokens;
	int64_t filled_at;
	int64_t last_ping_at;
	unsigned strikes;
	bool sent_since_ping;
};

struct conn {
	struct loop_source source;
	struct loop_settling settling;
	struct timer tick;
	struct loop_resident resident;
	struct loop *loop;
	struct transport *transport;
	nghttp2_session *session;
	struct link *link;
	struct rpc_limits limits;
	enum conn_state state;
	bool is_server, is_tcp;

	struct rpc_server *server;
	struct rpc_channel *channel; // with a reference
	struct conn *next, *prev;    // of the server's
	struct conn *newer, *older;  // strangers of the same bucket
	uint16_t bucket;
	bool is_stranger;           // nobody has shown yet whose it is
	struct net_address address; // if is_tcp

	struct rpc_call *calls;
	size_t n_calls;
	struct rpc_call *fresh, **fresh_last; // that are to be served, at the end of a batch of frames

	char *unsent; // what the descriptor did not take
	size_t unsent_len, unsent_at;

	int64_t began_at, heard_at, wrote_at, busy_at;
	int64_t block_at; // a header block has begun and is not whole; 0: none
	bool has_settings;
	size_t lingered; // bytes
	// What callbacks noted, for after nghttp2 has returned.
	uint32_t fault_code;
	char fault[128]; // not empty: the connection ends with it
	struct guard guard;

	// Saying goodbye.
	bool is_draining, drain_is_final, is_released, goaway_received;
	int64_t drain_at;
	char goodbye[128]; // what the peer said in its GOAWAY
	// A client's pings.
	uint32_t keepalive_ms;
	int64_t ping_at; // sent and not answered; 0: none
};

// Takes over the transport, whose descriptor is connected.
struct conn *conn_new(struct loop *loop, struct transport *t, const struct rpc_limits *limits, bool is_server);
// Begins to watch it. When it fails, the connection is dead.
int conn_start(struct conn *c, struct err *err);
void conn_dirty(struct conn *c); // there is something to be written at the end of this turn
// Ends it now: open calls fail with the text.
void conn_fail(struct conn *c, const char *text);
// Notes that it must end: GOAWAY with that code, then conn_fail. Also from nghttp2's callbacks.
__attribute__((format(printf, 3, 4))) void conn_fault(struct conn *c, uint32_t h2_code, const char *fmt, ...);
void conn_wake_tick(struct conn *c); // limits on time are looked at soon
void conn_drain(struct conn *c);     // server: no new calls; ends with the last of those there are
void conn_release(struct conn *c);   // client: the same; nobody will make calls any more

// ---- session.c: what nghttp2 tells ----------------------------------------------------------------------------------------
int session_open(struct conn *c, struct err *err);
void session_add_call(struct conn *c, struct rpc_call *call); // takes a reference
void session_remove_call(struct rpc_call *call);              // gives it back
void session_begin_deadline(struct rpc_call *call);           // by deadline_at

// ---- session_in.c: header blocks ------------------------------------------------------------------------------------------
void session_request(struct conn *c, struct rpc_call *call, bool is_end);
void session_response(struct conn *c, struct rpc_call *call, bool is_end);
void session_response_cut(struct conn *c, struct rpc_call *call); // it ends with data, and no status will come
void session_in_end(struct rpc_call *call);                       // the client sends no more
void session_freshen(struct rpc_call *call);                      // something came: is it to be served now?
void session_tell_follower(struct rpc_call *call);                // of that, or of the end

// ---- session_out.c: what nghttp2 is told ----------------------------------------------------------------------------------
// Does what the call wants by now: submits, resumes, resets, gives room.
void session_attend_call(struct rpc_call *call);
// Ends it from our side, as a limit has been passed or its bytes cannot be read.
void session_expire_call(struct rpc_call *call, enum rpc_code code, const char *text);
// Server: the same for a call that no thread serves, or will.
void session_refuse_call(struct rpc_call *call, enum rpc_code code, const char *text);
void session_reset_call(struct rpc_call *call, uint32_t h2_code);

// ---- guard.c --------------------------------------------------------------------------------------------------------------
void guard_frame(struct conn *c, const nghttp2_frame *frame); // each frame that was received
void guard_sent(struct conn *c, const nghttp2_frame *frame);
void guard_tick(struct conn *c, int64_t now); // limits on time
void guard_finish_drain(struct conn *c);      // the second GOAWAY, now that the first has arrived

// ---- what the two sides do with a connection: channel.c, server.c -----------------------------------------------------------
void channel_is_ready(struct conn *c);
void channel_is_unusable(struct conn *c, const char *text); // GOAWAY, or lost
void channel_is_annoying(struct conn *c);                   // GOAWAY "too_many_pings"
void server_dispatch(struct conn *c, struct rpc_call *call);
void server_lost_conn(struct conn *c);
const struct rpc_method *server_method(struct rpc_server *server, const char *path);
void server_count_attack(struct rpc_server *server);
int server_take(struct conn *c, struct rpc_call *call, struct err *err); // a call's share of the room; ERR_LIMIT
void server_is_heard(struct conn *c, struct rpc_call *call);             // it has said something, or is at its end
void server_end_hold(struct rpc_call *call);                             // stream or thread is at its end
void server_know(struct conn *c);                                        // is it a tenant's by now?
void server_lost_handshake(struct conn *c, enum rpc_handshake cause, const char *text);
bool server_is_short(const struct rpc_server *server); // of connections

#endif

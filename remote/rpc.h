// Calls between machines: gRPC over HTTP/2, both sides (grpc/doc/PROTOCOL-HTTP2.md, RFC 9113).
//
// A loop thread owns sockets, TLS and HTTP/2 sessions. Whoever calls or serves is a straight function on a thread of its
// own, which sleeps only in rpc_connect, rpc_send, rpc_receive, rpc_wait_status and rpc_server_drain; each of them ends by
// the deadline, by its own time limit, when the call is cancelled, or when the connection is lost. What is read from a peer
// has a limit (struct rpc_limits).
//
// Threads: every function may be called from any thread but the loop's (callbacks that say so). Of one call, one thread may
// send while another receives; rpc_cancel and the rpc_call_is_* may come from anywhere.
// The loop's threads, and those that serve calls, have all signals blocked: a child that is forked there must unblock them.
#ifndef COFFER_REMOTE_RPC_H
#define COFFER_REMOTE_RPC_H

#include "base/err.h"
#include "loop/loop.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_channel;
struct rpc_call;
struct rpc_server;
struct rpc_tls; // remote/net/tls.h

// grpc/doc/statuscodes.md
enum rpc_code {
	RPC_OK = 0,
	RPC_CANCELLED = 1,
	RPC_UNKNOWN = 2,
	RPC_INVALID_ARGUMENT = 3,
	RPC_DEADLINE_EXCEEDED = 4,
	RPC_NOT_FOUND = 5,
	RPC_ALREADY_EXISTS = 6,
	RPC_PERMISSION_DENIED = 7,
	RPC_RESOURCE_EXHAUSTED = 8,
	RPC_FAILED_PRECONDITION = 9,
	RPC_ABORTED = 10,
	RPC_OUT_OF_RANGE = 11,
	RPC_UNIMPLEMENTED = 12,
	RPC_INTERNAL = 13,
	RPC_UNAVAILABLE = 14,
	RPC_DATA_LOSS = 15,
	RPC_UNAUTHENTICATED = 16,
};
const char *rpc_code_name(enum rpc_code code); // "RESOURCE_EXHAUSTED"

struct rpc_status {
	enum rpc_code code;
	const char *text; // UTF-8, never NULL; lives as long as the call
	bool unprocessed; // the peer has certainly not begun it: it may be tried again elsewhere
};

// How messages are compressed. A wish: what the peer has not said it takes goes as RPC_IDENTITY, and so do messages that are
// short or do not shrink. Payload that is compressed already should not wish for more.
enum rpc_encoding { RPC_IDENTITY, RPC_GZIP, RPC_ZSTD };

// 0 stands for the default. There is no value for "without limit".
struct rpc_limits {
	uint32_t message_bytes;     // one message, on the wire and decompressed; 4 MiB
	uint32_t header_bytes;      // one header list as RFC 9113 6.5.2 counts it; 16 KiB
	uint32_t send_bytes;        // queued in one call before rpc_send sleeps; 256 KiB
	uint32_t stream_window;     // HTTP/2 flow control; 1 MiB
	uint32_t connection_window; // and for all streams together; 32 MiB
	uint32_t connection_bytes;  // in memory for all calls of a connection: unread messages and pieces of them; 128 MiB
	uint32_t streams;           // calls at once on one connection; 1024
	uint32_t calls;             // calls at once that a server has, each on a thread once it has begun; 8192
	uint32_t connections;       // of a server; 1024
	uint32_t connections_per_address; // half of `connections`; not where there are shares
	// Of a server that tenants and strangers reach: shares of calls and connections (remote/shares.h). Until rpc_call_admit says
	// whose a call is, it is one of so many; 0: no shares.
	uint32_t stranger_calls;
	uint32_t stranger_connections; // a quarter of `connections`; the oldest one makes room for a new one
	uint32_t stranger_ms;          // after which they are closed when room is short, and they have no call; 10 s
	uint32_t handshake_ms;         // from accept or connect to the peer's SETTINGS, and for any header block; 10 s
	uint32_t first_message_ms;     // from a call's headers to its first message; 10 s
	uint32_t stall_ms;             // no byte of what waits to be sent is taken by the peer: the call ends; 30 s
	uint32_t idle_ms;              // a server's connection without calls is closed; 30 min
	uint32_t ping_ms;     // pings that come faster, without data in between, are strikes; the third ends it; 10 s
	uint32_t stack_bytes; // of a thread that serves a call; 256 KiB, of which only what is touched counts
};

// ---- the other side -----------------------------------------------------------------------------------------------------

// Lives as long as the call or channel it was asked of.
struct rpc_peer {
	const char *address;      // "192.0.2.1:41234", "[2001:db8::1]:443", "unix", "fd"
	bool has_tls;             // the rest is empty without
	bool has_certificate;     // it showed one, and it was verified or is the pinned one
	const char *subject;      // common name, or ""
	const char *const *names; // subject alternative names, "DNS:a.example", "URI:spiffe://…", "IP:192.0.2.1", "email:…"
	size_t n_names;
	uint8_t certificate_sha256[32]; // of the DER
};

// ---- client -------------------------------------------------------------------------------------------------------------

// One HTTP/2 connection, for hundreds of calls at once. It does not connect again: remote/net/target.h does.
struct rpc_channel_config {
	struct rpc_tls *tls;       // NULL: plain text
	const char *server_name;   // for SNI and the check of its certificate by CA; NULL: the host of the address
	const uint8_t *pin_sha256; // 32 bytes: the certificate must be that very one, and nothing else about it is checked
	const char *authority;     // NULL: as the address
	// HTTP/2 pings while calls are open. 0: none, as TCP's own keepalive finds a dead peer in 30 s. Less than 5 min is
	// only for servers known to allow it. Doubled at "too_many_pings".
	uint32_t keepalive_ms;
	struct rpc_limits limits;
};

// "host:port", "[v6]:port", "unix:PATH". Sleeps until both sides have shaken hands. NULL config: the defaults.
int rpc_connect(struct loop *loop, const char *address, const struct rpc_channel_config *config, int timeout_ms,
		struct rpc_channel **channel, struct err *err);
// Takes over a connected descriptor (socket pair, vsock, serial port), also when it fails. No TLS. Does not sleep.
int rpc_channel_adopt(struct loop *loop, int fd, const struct rpc_channel_config *config, struct rpc_channel **channel,
		      struct err *err);
// Connected, and the peer has not said goodbye: rpc_call_start is worth a try.
bool rpc_channel_is_usable(const struct rpc_channel *channel);
const struct rpc_peer *rpc_channel_peer(const struct rpc_channel *channel);
// One more handle to the same connection, to be released as well.
struct rpc_channel *rpc_channel_ref(struct rpc_channel *channel);
// Calls that are open go on; the connection is closed when the last of them has ended.
void rpc_channel_release(struct rpc_channel *channel);

struct rpc_metadata {
	const char *name; // lower case; "-bin" names need their value in base64
	const char *value;
};
struct rpc_call_options {
	uint32_t deadline_ms;                // 0: none
	const char *authorization;           // or NULL: "Bearer …"
	const struct rpc_metadata *metadata; // further ones
	size_t n_metadata;
	enum rpc_encoding encoding;
};

// path: "/coffer.v1.Worker/Compile". Does not sleep. NULL options: no deadline, nothing else. ERR_PEER: the channel is not
// usable.
int rpc_call_start(struct rpc_channel *channel, const char *path, const struct rpc_call_options *options,
		   struct rpc_call **call, struct err *err);

// ---- both sides ---------------------------------------------------------------------------------------------------------

// 0: it is on its way (queued; sleeps while more than limits.send_bytes wait). 1, on a client: the server has ended the call
// and wants no more; see what it says with rpc_receive. -1: the call has failed. `rpc_send(call, &m.base, err)`.
int rpc_send(struct rpc_call *call, const ProtobufCMessage *message, struct err *err);
int rpc_send_bytes(struct rpc_call *call, const void *p, size_t n, struct err *err); // a message as bytes
// Client: no more messages follow.
void rpc_send_end(struct rpc_call *call);

// 1: *(T **)message is the next one, free it with protobuf_c_message_free_unpacked(&m->base, NULL). 0: the peer has ended
// its side; on a client also the call, with RPC_OK. -1: failed, or ERR_TIMEOUT after timeout_ms (-1: no limit but the call's
// own), after which the call goes on. On a client `err` takes over code and text of a status that is not RPC_OK.
// A message that does not parse ends the call.
int rpc_receive(struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor, int timeout_ms, void *message,
		struct err *err);
// The same as bytes, to free(). *n may be 0.
int rpc_receive_bytes(struct rpc_call *call, int timeout_ms, char **p, size_t *n, struct err *err);
// A message or the end waits: rpc_receive would not sleep. Never sleeps.
bool rpc_call_has_news(struct rpc_call *call);

// The value of the first header of that name (lower case) that the peer sent, or NULL. On a client: headers, then trailers,
// as far as they have arrived. It lives as long as the call.
const char *rpc_call_metadata(struct rpc_call *call, const char *name);
const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);
const char *rpc_call_path(const struct rpc_call *call);
// What is left until the deadline; -1: none.
int64_t rpc_call_time_left_ms(const struct rpc_call *call);

// Ends the call at once: RST_STREAM(CANCEL). Its waits return -1.
void rpc_cancel(struct rpc_call *call);
// Server: the client has gone away or its deadline has passed; nobody will see an answer. Client: the call has ended.
bool rpc_call_is_cancelled(const struct rpc_call *call);
// For threads that wait on something else, as a child. The descriptor becomes readable when rpc_call_is_cancelled does; it
// belongs to the call. -1 with err when there is none to be had.
int rpc_call_cancel_fd(struct rpc_call *call, struct err *err);
// Calls fn once: on the loop's thread, in rpc_cancel, or here and now if the call is cancelled already. fn must not sleep,
// and of the call it may use rpc_call_is_cancelled only. (NULL, NULL) takes it back: it is not running any more when that returns.
// Hold no lock that fn takes while you call rpc_cancel or this.
void rpc_call_on_cancel(struct rpc_call *call, void (*fn)(void *arg), void *arg);

// Server, a method that goes on, in serve: fn is called on the loop, with no lock held, whenever a message or the end of the call
// waits to be received (rpc_call_has_news), until fn is NULL. Then the call has no thread, and serve returns at once. The call lives as
// long; who follows it ends it, and gives it back when it is cancelled. `leave` of the server's config is called when serve returns.
// Loop thread. After rpc_server_free nothing is followed.
void rpc_call_follow(struct rpc_call *call, void (*fn)(void *arg), void *arg);
// For timers of who follows.
struct loop *rpc_call_loop(const struct rpc_call *call);

// Client: sleeps until the call has ended, dropping messages that nobody took. The result lives as long as the call.
const struct rpc_status *rpc_wait_status(struct rpc_call *call);
// Client: forgets the call; cancels it if it is open. (A server's call is released when its function returns.)
void rpc_call_release(struct rpc_call *call);

// A whole unary call. *(T **)reply as with rpc_receive. `status` may be NULL; its text is err's.
int rpc_unary(struct rpc_channel *channel, const char *path, const struct rpc_call_options *options,
	      const ProtobufCMessage *request, const ProtobufCMessageDescriptor *descriptor, void *reply,
	      enum rpc_code *status, struct err *err);

// ---- server -------------------------------------------------------------------------------------------------------------

struct rpc_method {
	const char *path; // "/package.Service/Method"
	// Serves one call, on a thread of its own, and ends it with rpc_finish or rpc_reply. When it returns the call is
	// gone. It must come back soon after the call is cancelled.
	void (*serve)(struct rpc_call *call, void *arg);
	// A call gets a thread with its first message (or when it ends without one), so that whoever says nothing holds none.
	bool speaks_first; // but this one has something to say before it has heard anything
	bool on_loop;      // it has one message, and serve never sleeps: runs on the loop, once the client has said all
	bool goes_on;      // on the loop, with more messages: runs with the first one, and then by rpc_call_follow
};

struct rpc_server_config {
	const struct rpc_method *methods; // must live as long as the server
	size_t n_methods;
	void *arg; // for serve, admit and leave
	// Before serve, on the call's own thread: who is it, and may it have one more? 0, or -1 after an rpc_finish. May be
	// NULL.
	int (*admit)(struct rpc_call *call, void *arg);
	// After serve, for each call that was admitted. May be NULL.
	void (*leave)(struct rpc_call *call, void *arg);
	struct rpc_limits limits;
};

// Serves grpc.health.v1.Health besides, without asking admit. `config` is copied; its methods must stay.
int rpc_server_new(struct loop *loop, const struct rpc_server_config *config, struct rpc_server **server, struct err *err);
#define RPC_ADDRESS_MAX 256
// "host:port" (port 0: any free one), "[v6]:port", "unix:PATH" (mode 0600; a dead socket there is replaced). As often as
// wanted. tls NULL: plain text. `bound` (may be NULL) is the address with its port.
int rpc_server_listen(struct rpc_server *server, const char *address, struct rpc_tls *tls, char bound[RPC_ADDRESS_MAX],
		      struct err *err);
int rpc_server_adopt(struct rpc_server *server, int fd, struct err *err); // takes it over, also when it fails
// "" is the whole server; services are known from the methods' paths and serve from the start.
void rpc_server_set_health(struct rpc_server *server, const char *service, bool is_serving);
// Sleeps until no connection is left (0) or timeout_ms is over (-1; a negative time is no limit). For who serves an adopted
// one.
int rpc_server_wait_gone(struct rpc_server *server, int timeout_ms);
// Takes no more connections, tells clients to go elsewhere (GOAWAY, twice), lets open calls end. Sleeps until then or
// grace_ms are over: returns how many calls are left.
size_t rpc_server_drain(struct rpc_server *server, int grace_ms);
// Cuts every connection, waits until the serving functions have returned.
void rpc_server_free(struct rpc_server *server);

// Why a handshake failed.
enum rpc_handshake {
	RPC_HANDSHAKE_OTHER,
	RPC_HANDSHAKE_EXPIRED,   // the peer's certificate has, or is not valid yet
	RPC_HANDSHAKE_UNTRUSTED, // nobody we know has signed it
	RPC_HANDSHAKE_REJECTED,  // the peer does not want ours
	RPC_HANDSHAKE_VERSION,   // no TLS 1.3, or none at all
	RPC_HANDSHAKE_PROTOCOL,  // no HTTP/2
	RPC_HANDSHAKE_HUNG_UP,
	RPC_HANDSHAKE_TIMEOUT,
	RPC_HANDSHAKES
};
const char *rpc_handshake_name(enum rpc_handshake cause); // "expired", …

struct rpc_server_stats {
	uint64_t connections, calls;             // now
	uint64_t total_connections, total_calls; // since the start
	uint64_t refused;                        // calls beyond a limit
	uint64_t attacks;                        // connections ended because of what the peer did with the protocol
	uint64_t strangers;                      // connections of which nobody has shown whose they are, now
	uint64_t crowded_out;                    // of those, closed for lack of room
	uint64_t refused_connections;            // for which there was no room
	uint64_t handshakes[RPC_HANDSHAKES];     // that failed, by cause
};
void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *stats);

// Whose the call is: who has shown it, with a token or a certificate, says so before anything that takes time. ERR_LIMIT: that one has
// its share of calls or connections; finish it with RPC_RESOURCE_EXHAUSTED. is_trusted: one of the operator's own machines.
int rpc_call_admit(struct rpc_call *call, const char *tenant, bool is_trusted, struct err *err);

// Ends the call, once: what is queued still goes out, before the status. The text is for people.
__attribute__((format(printf, 3, 4))) void rpc_finish(struct rpc_call *call, enum rpc_code code, const char *fmt, ...);
// Sends the message and ends the call with RPC_OK.
void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message);
// For unary methods: the one message and the end of the stream. Where there is none, or more, the call is finished and it
// returns -1.
int rpc_receive_one(struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor, void *message);
void rpc_call_set_encoding(struct rpc_call *call, enum rpc_encoding wish); // before the first message
// Besides what gRPC says, with the first message. At most a few.
void rpc_call_add_header(struct rpc_call *call, const char *name, const char *value);
// Besides the status, as "grpc-retry-pushback-ms". Before rpc_finish; at most a few.
void rpc_call_add_trailer(struct rpc_call *call, const char *name, const char *value);
// Something of the server's own, from admit to serve and leave.
void rpc_call_set_context(struct rpc_call *call, void *context);
void *rpc_call_context(const struct rpc_call *call);

#endif

// Bytes in and out of a connection that never sleep: a plain descriptor, or TLS over one. Loop thread.
#ifndef COFFER_REMOTE_TRANSPORT_H
#define COFFER_REMOTE_TRANSPORT_H

#include "base/mem.h"
#include "remote/rpc.h"

#include <sys/types.h>

// What is known about the other side; the strings are in the arena. Outlives the connection (it is shared by its calls).
struct peer_identity {
	struct rpc_peer peer;
	struct arena arena;
};

struct transport;
struct transport_ops {
	// 1: done, 0: later, -1: refused.
	int (*shake_hands)(struct transport *t, struct err *err);
	// Bytes, 0: not now, -1: failed, or the end of the stream (err is ERR_NONE then).
	ssize_t (*read)(struct transport *t, void *p, size_t n, struct err *err);
	ssize_t (*write)(struct transport *t, const void *p, size_t n, struct err *err);
	void (*describe)(struct transport *t, struct peer_identity *id); // after the handshake
	void (*free)(struct transport *t);                               // says goodbye if it can, and closes the descriptor
};
struct transport {
	const struct transport_ops *ops;
	int fd;
	bool wants_write;         // what was asked for last waits until the descriptor can be written, whatever it was
	bool has_more;            // bytes may be waiting that the descriptor does not show
	enum rpc_handshake cause; // why shake_hands has failed
};

// How a connection gets TLS, without the core knowing OpenSSL: remote/net/tls.c embeds this as its first member.
struct tls_setup {
	bool is_server;
	const char *name;          // a client's: for SNI and the check
	const uint8_t *pin_sha256; // or NULL
};
struct rpc_tls {
	// Takes the descriptor over, also when it fails.
	int (*open)(struct rpc_tls *tls, int fd, const struct tls_setup *setup, struct transport **t, struct err *err);
};

struct transport *transport_plain(int fd); // non-blocking already

#endif

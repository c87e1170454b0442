// TLS for calls: version 1.3 only, ALPN "h2" or no connection. The core does not need this file: a program that only talks
// over descriptors it was given links without OpenSSL.
//
// A context is read from files once and again at rpc_tls_reload; connections that stand go on with what they began with.
// Thread: any.
#ifndef COFFER_REMOTE_NET_TLS_H
#define COFFER_REMOTE_NET_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct rpc_tls;

struct rpc_tls_config {
	// Ours: PEM, leaf first. A server must have them, a client only where it is asked for one.
	const char *certificate, *key;
	// Who may sign the peer's: a PEM file. Client: NULL means the system's, unless the channel pins a certificate.
	// Server: clients may show a certificate if it is set, and then it must be good.
	const char *ca;
	bool require_client_certificate; // server: no connection without
};

int rpc_tls_client(const struct rpc_tls_config *config, struct rpc_tls **tls, struct err *err); // NULL: the defaults
int rpc_tls_server(const struct rpc_tls_config *config, struct rpc_tls **tls, struct err *err);
// Reads the files again, for connections from now on. On failure the old ones stay.
int rpc_tls_reload(struct rpc_tls *tls, struct err *err);
// SHA-256 of the DER of our own certificate: what a client pins. -1 if there is none.
int rpc_tls_fingerprint(struct rpc_tls *tls, uint8_t sha256[32]);
void rpc_tls_free(struct rpc_tls *tls); // connections keep what they need

#endif

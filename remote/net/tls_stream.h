// One TLS connection as a transport. The only users are remote/net/tls.c and, through its ops, the core.
#ifndef COFFER_REMOTE_NET_TLS_STREAM_H
#define COFFER_REMOTE_NET_TLS_STREAM_H

#include "remote/transport.h"

#include <openssl/types.h>

// Takes over the descriptor, also when it fails.
int tls_stream_open(SSL_CTX *ctx, int fd, const struct tls_setup *setup, struct transport **t, struct err *err);
// For SSL_CTX_set_cert_verify_callback of every context.
int tls_stream_verify(X509_STORE_CTX *store, void *arg);
// "what: what OpenSSL says", and its queue of errors is empty then. Returns -1.
int tls_error(struct err *err, enum err_code code, const char *what);

#endif

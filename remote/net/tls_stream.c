#include "remote/net/tls_stream.h"

#include "remote/net/tls_words.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// More names than this in one certificate are left out.
#define MAX_NAMES 64

struct tls_stream {
	struct transport base;
	SSL *ssl;
	bool has_pin, is_shaken;
	uint8_t pin[32];
};

// ---- the handshake ------------------------------------------------------------------------------------------------------

// The certificate that was shown must be the pinned one. It proves nothing else, nor has it to: who handed out the pin
// vouches.
static int verify_pin(X509_STORE_CTX *store, void *arg)
{
	const struct tls_stream *s = arg;
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	uint8_t seen[32];
	unsigned n = sizeof seen;
	if (leaf && X509_digest(leaf, EVP_sha256(), seen, &n) == 1 && CRYPTO_memcmp(seen, s->pin, sizeof seen) == 0)
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	return 0;
}

int tls_stream_verify(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_stream *s = SSL_get_app_data(ssl);
	return s->has_pin ? verify_pin(store, s) : X509_verify_cert(store);
}

static bool is_ip(const char *name)
{
	unsigned char any[16];
	return inet_pton(AF_INET, name, any) == 1 || inet_pton(AF_INET6, name, any) == 1;
}

static int expect_server(struct tls_stream *s, const struct tls_setup *setup, struct err *err)
{
	SSL_set_verify(s->ssl, SSL_VERIFY_PEER, NULL);
	if (setup->pin_sha256) {
		s->has_pin = true;
		memcpy(s->pin, setup->pin_sha256, sizeof s->pin);
	} else if (!setup->name || !*setup->name) {
		return err_set(err, ERR_USAGE, "a server without a name needs a pinned certificate");
	}
	if (!setup->name || !*setup->name)
		return 0;
	bool ip = is_ip(setup->name);
	if (!ip && SSL_set_tlsext_host_name(s->ssl, setup->name) != 1)
		return tls_error(err, ERR_USAGE, "cannot use the server's name");
	if (s->has_pin)
		return 0;
	int ok =
		ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), setup->name) : SSL_set1_host(s->ssl, setup->name);
	return ok == 1 ? 0 : tls_error(err, ERR_USAGE, "cannot use the server's name");
}

// What a failed SSL_ function means. 0: later.
static int outcome(struct tls_stream *s, int rc, const char *what, struct err *err)
{
	s->base.wants_write = false;
	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_WANT_WRITE:
		s->base.wants_write = true;
		return 0;
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return -1;
	default:
		break;
	}
	long verified = SSL_get_verify_result(s->ssl);
	const char *text;
	if (!s->is_shaken && verified != X509_V_OK) {
		s->base.cause = tls_words_of_certificate(verified, &text);
		ERR_clear_error();
		return err_set(err, ERR_ACCESS, "the certificate shown is not trusted: %s",
			       s->has_pin ? "it is not the pinned one" : text);
	}
	if (ERR_peek_error() == 0) {
		s->base.cause = RPC_HANDSHAKE_HUNG_UP;
		return s->is_shaken ? -1 : err_set(err, ERR_PEER, "the peer hung up in the handshake");
	}
	s->base.cause = tls_words_of_error(ERR_peek_last_error(), &text);
	if (!text)
		return tls_error(err, ERR_PEER, what);
	ERR_clear_error();
	return err_set(err, ERR_PEER, "%s: %s", what, text);
}

static int stream_shake_hands(struct transport *t, struct err *err)
{
	struct tls_stream *s = (struct tls_stream *)t;
	const unsigned char *alpn;
	unsigned n;
	ERR_clear_error();
	int rc = SSL_do_handshake(s->ssl);
	if (rc != 1)
		return outcome(s, rc, "the TLS handshake failed", err);
	SSL_get0_alpn_selected(s->ssl, &alpn, &n);
	s->base.cause = RPC_HANDSHAKE_PROTOCOL;
	if (n != 2 || memcmp(alpn, "h2", 2) != 0)
		return err_set(err, ERR_PEER, "the peer does not speak HTTP/2 (ALPN 'h2')");
	s->is_shaken = true;
	s->base.has_more = true;
	return 1;
}

// ---- bytes --------------------------------------------------------------------------------------------------------------

static ssize_t stream_read(struct transport *t, void *p, size_t n, struct err *err)
{
	struct tls_stream *s = (struct tls_stream *)t;
	ERR_clear_error();
	int rc = SSL_read(s->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
	s->base.has_more = rc > 0;
	return rc > 0 ? rc : outcome(s, rc, "cannot read", err);
}

static ssize_t stream_write(struct transport *t, const void *p, size_t n, struct err *err)
{
	struct tls_stream *s = (struct tls_stream *)t;
	ERR_clear_error();
	int rc = SSL_write(s->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
	s->base.wants_write = false;
	return rc > 0 ? rc : outcome(s, rc, "cannot write", err);
}

static void stream_free(struct transport *t)
{
	struct tls_stream *s = (struct tls_stream *)t;
	ERR_clear_error();
	if (s->is_shaken)
		SSL_shutdown(s->ssl); // one close_notify, if there is room for it
	ERR_clear_error();
	SSL_free(s->ssl);
	close(t->fd);
	free(s);
}

// ---- who it is ----------------------------------------------------------------------------------------------------------

static const char *alternative_name(struct arena *a, const GENERAL_NAME *g)
{
	const char *kind = g->type == GEN_DNS ? "DNS" : g->type == GEN_URI ? "URI" : g->type == GEN_EMAIL ? "email" : NULL;
	if (kind) {
		const ASN1_IA5STRING *v = g->d.ia5;
		const char *text = (const char *)ASN1_STRING_get0_data(v);
		size_t n = (size_t)ASN1_STRING_length(v);
		// "good.example\0.evil.example"
		return memchr(text, '\0', n) ? NULL : arena_printf(a, "%s:%.*s", kind, (int)n, text);
	}
	if (g->type == GEN_IPADD) {
		char text[INET6_ADDRSTRLEN];
		int n = ASN1_STRING_length(g->d.iPAddress);
		if ((n == 4 || n == 16) &&
		    inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(g->d.iPAddress), text, sizeof text))
			return arena_printf(a, "IP:%s", text);
	}
	return NULL;
}

static void describe_names(X509 *x, struct peer_identity *id)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = sk_GENERAL_NAME_num(names);
	const char **list = arena_alloc(&id->arena, sizeof(char *) * MAX_NAMES);
	for (int i = 0; i < n && id->peer.n_names < MAX_NAMES; i++) {
		const char *name = alternative_name(&id->arena, sk_GENERAL_NAME_value(names, i));
		if (name)
			list[id->peer.n_names++] = name;
	}
	id->peer.names = list;
	GENERAL_NAMES_free(names);
}

static const char *common_name(X509 *x, struct arena *a)
{
	const X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	int n = at < 0 ? -1 : ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	const char *name = n > 0 && !memchr(utf8, '\0', (size_t)n) ? arena_strndup(a, (char *)utf8, (size_t)n) : "";
	OPENSSL_free(utf8);
	return name;
}

static void stream_describe(struct transport *t, struct peer_identity *id)
{
	struct tls_stream *s = (struct tls_stream *)t;
	X509 *x = SSL_get0_peer_certificate(s->ssl);
	unsigned n = sizeof id->peer.certificate_sha256;
	id->peer.has_tls = true;
	id->peer.subject = "";
	if (!x || X509_digest(x, EVP_sha256(), id->peer.certificate_sha256, &n) != 1)
		return;
	id->peer.has_certificate = true;
	id->peer.subject = common_name(x, &id->arena);
	describe_names(x, id);
}

// ---- beginning ----------------------------------------------------------------------------------------------------------

int tls_stream_open(SSL_CTX *ctx, int fd, const struct tls_setup *setup, struct transport **out, struct err *err)
{
	static const struct transport_ops ops = {stream_shake_hands, stream_read, stream_write, stream_describe,
						 stream_free};
	struct tls_stream *s = mem_alloc(sizeof *s);
	s->base.ops = &ops;
	s->base.fd = fd;
	s->ssl = SSL_new(ctx);
	if (!s->ssl || SSL_set_fd(s->ssl, fd) != 1 || SSL_set_app_data(s->ssl, s) != 1) {
		tls_error(err, ERR_IO, "cannot make a TLS connection");
		goto failed;
	}
	SSL_set_read_ahead(s->ssl, 1);
	if (!setup->is_server && expect_server(s, setup, err))
		goto failed;
	if (setup->is_server)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	*out = &s->base;
	return 0;
failed:
	SSL_free(s->ssl);
	close(fd);
	free(s);
	return -1;
}

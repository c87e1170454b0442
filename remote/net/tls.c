#include "remote/net/tls.h"

#include "remote/net/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The names outlive a reload; the context is replaced by one.
struct tls {
	struct rpc_tls base;
	bool is_server, require_client_certificate;
	char *certificate, *key, *ca;
	pthread_mutex_t lock;
	SSL_CTX *ctx; // under the lock
};

int tls_error(struct err *err, enum err_code code, const char *what)
{
	const char *data = "", *reason = NULL;
	int flags = 0;
	unsigned long e = ERR_peek_last_error_all(NULL, NULL, NULL, &data, &flags);
	if (e)
		reason = ERR_reason_error_string(e);
	err_set(err, code, "%s%s%s%s%s", what, reason ? ": " : "", reason ? reason : "",
		reason && (flags & ERR_TXT_STRING) && *data ? ": " : "", reason && (flags & ERR_TXT_STRING) ? data : "");
	ERR_clear_error();
	return -1;
}

// ---- contexts -----------------------------------------------------------------------------------------------------------

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned len, void *arg)
{
	static const unsigned char h2[] = {2, 'h', '2'};
	(void)ssl;
	(void)arg;
	unsigned char *found;
	if (SSL_select_next_proto(&found, n, h2, sizeof h2, in, len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

// OpenSSL calls a file that is not there "system lib".
static int check_readable(const char *what, const char *path, struct err *err)
{
	return access(path, R_OK) < 0 ? err_errno(err, "cannot read the %s '%s'", what, path) : 0;
}

static int load_own(SSL_CTX *ctx, const struct tls *tls, struct err *err)
{
	AUTO_FREE char *what = NULL;
	if (!tls->certificate && !tls->key)
		return tls->is_server ? err_set(err, ERR_USAGE, "a TLS server needs a certificate and a key") : 0;
	if (!tls->certificate || !tls->key)
		return err_set(err, ERR_USAGE, "a certificate and its key belong together");
	if (check_readable("certificate", tls->certificate, err) < 0 || check_readable("key", tls->key, err) < 0)
		return -1;
	if (SSL_CTX_use_certificate_chain_file(ctx, tls->certificate) != 1) {
		what = mem_printf("cannot read the certificate '%s'", tls->certificate);
		return tls_error(err, ERR_FORMAT, what);
	}
	if (SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) == 1)
		return 0;
	if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
		what = mem_printf("the key '%s' is not the one of the certificate '%s'", tls->key, tls->certificate);
	else
		what = mem_printf("cannot read the key '%s'", tls->key);
	return tls_error(err, ERR_FORMAT, what);
}

static int load_authorities(SSL_CTX *ctx, const struct tls *tls, struct err *err)
{
	if (!tls->ca && tls->is_server)
		return tls->require_client_certificate
			       ? err_set(err, ERR_USAGE, "client certificates need an authority to verify them")
			       : 0;
	if (!tls->ca) {
		SSL_CTX_set_default_verify_paths(ctx);
		return 0;
	}
	if (SSL_CTX_load_verify_locations(ctx, tls->ca, NULL) != 1) {
		AUTO_FREE char *what = mem_printf("cannot read the authorities '%s'", tls->ca);
		return tls_error(err, ERR_FORMAT, what);
	}
	if (tls->is_server)
		SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(tls->ca));
	return 0;
}

static void set_rules(SSL_CTX *ctx, const struct tls *tls)
{
	static const unsigned char h2[] = {2, 'h', '2'};
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_mode(ctx,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_cert_verify_callback(ctx, tls_stream_verify, NULL);
	SSL_CTX_set_num_tickets(ctx, 0); // connections are few and long
	if (tls->is_server) {
		SSL_CTX_set_alpn_select_cb(ctx, choose_h2, NULL);
		if (tls->ca)
			SSL_CTX_set_verify(ctx,
					   SSL_VERIFY_PEER |
						   (tls->require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
					   NULL);
	} else {
		SSL_CTX_set_alpn_protos(ctx, h2, sizeof h2);
	}
}

static int load(const struct tls *tls, SSL_CTX **out, struct err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(tls->is_server ? TLS_server_method() : TLS_client_method());
	if (!ctx)
		return tls_error(err, ERR_IO, "cannot make a TLS context");
	set_rules(ctx, tls);
	if (load_own(ctx, tls, err) || load_authorities(ctx, tls, err)) {
		SSL_CTX_free(ctx);
		return -1;
	}
	*out = ctx;
	return 0;
}

// ---- the public half ----------------------------------------------------------------------------------------------------

static int tls_open(struct rpc_tls *base, int fd, const struct tls_setup *setup, struct transport **t, struct err *err)
{
	struct tls *tls = (struct tls *)base;
	pthread_mutex_lock(&tls->lock);
	SSL_CTX *ctx = tls->ctx;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&tls->lock);
	int rc = tls_stream_open(ctx, fd, setup, t, err);
	SSL_CTX_free(ctx);
	return rc;
}

static int tls_new(bool is_server, const struct rpc_tls_config *config, struct rpc_tls **out, struct err *err)
{
	static const struct rpc_tls_config none;
	const struct rpc_tls_config *c = config ? config : &none;
	struct tls *tls = mem_alloc(sizeof *tls);
	tls->base.open = tls_open;
	tls->is_server = is_server;
	tls->require_client_certificate = c->require_client_certificate;
	tls->certificate = c->certificate ? mem_strdup(c->certificate) : NULL;
	tls->key = c->key ? mem_strdup(c->key) : NULL;
	tls->ca = c->ca ? mem_strdup(c->ca) : NULL;
	pthread_mutex_init(&tls->lock, NULL);
	if (load(tls, &tls->ctx, err)) {
		rpc_tls_free(&tls->base);
		return -1;
	}
	*out = &tls->base;
	return 0;
}

int rpc_tls_client(const struct rpc_tls_config *config, struct rpc_tls **tls, struct err *err)
{
	return tls_new(false, config, tls, err);
}

int rpc_tls_server(const struct rpc_tls_config *config, struct rpc_tls **tls, struct err *err)
{
	return tls_new(true, config, tls, err);
}

int rpc_tls_reload(struct rpc_tls *base, struct err *err)
{
	struct tls *tls = (struct tls *)base;
	SSL_CTX *fresh;
	if (load(tls, &fresh, err))
		return -1;
	pthread_mutex_lock(&tls->lock);
	SSL_CTX *old = tls->ctx;
	tls->ctx = fresh;
	pthread_mutex_unlock(&tls->lock);
	SSL_CTX_free(old);
	return 0;
}

int rpc_tls_fingerprint(struct rpc_tls *base, uint8_t sha256[32])
{
	struct tls *tls = (struct tls *)base;
	unsigned n = 32;
	pthread_mutex_lock(&tls->lock);
	X509 *own = SSL_CTX_get0_certificate(tls->ctx);
	int rc = own && X509_digest(own, EVP_sha256(), sha256, &n) == 1 ? 0 : -1;
	pthread_mutex_unlock(&tls->lock);
	return rc;
}

void rpc_tls_free(struct rpc_tls *base)
{
	struct tls *tls = (struct tls *)base;
	if (!tls)
		return;
	SSL_CTX_free(tls->ctx);
	pthread_mutex_destroy(&tls->lock);
	free(tls->certificate);
	free(tls->key);
	free(tls->ca);
	free(tls);
}

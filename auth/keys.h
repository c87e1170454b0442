// Keys and certificates of a small site: P-256 keys, a CA of its own, leaves with names. OpenSSL does the work.
//
// Private keys are PEM (PKCS#8) of mode 0600; a file that everybody may read is refused, since then it is no secret.
// Thread: any. What comes out is freed with EVP_PKEY_free() and X509_free().
#ifndef COFFER_AUTH_KEYS_H
#define COFFER_AUTH_KEYS_H

#include "base/err.h"

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_MAX_FILE ((size_t)64 << 10)

int keys_generate(EVP_PKEY **key, struct err *err);
int keys_read_private(const char *path, EVP_PKEY **key, struct err *err);
int keys_write_private(const char *path, EVP_PKEY *key, struct err *err); // never over a file that is there
int keys_read_certificate(const char *path, X509 **certificate, struct err *err);
int keys_write_certificate(const char *path, X509 *certificate, struct err *err); // never over a file that is there

enum keys_role {
	KEYS_CA,
	KEYS_SERVER,
	KEYS_CLIENT,
	KEYS_PEER, // both
};

struct keys_plan {
	enum keys_role role;
	const char *common_name;
	const char *const *names; // "DNS:a.example", "IP:192.0.2.1", "URI:coffer://worker/w1"
	size_t n_names;
	int days;
	X509 *issuer; // NULL: signs itself
	EVP_PKEY *issuer_key;
};
int keys_make_certificate(const struct keys_plan *plan, EVP_PKEY *key, X509 **certificate, struct err *err);

// SHA-256 of the DER: what Route tells of a worker.
int keys_fingerprint(X509 *certificate, uint8_t sha256[32], struct err *err);

// The name that a plain host name or address has in a certificate: "DNS:" or "IP:" and the host. To free().
char *keys_host_name(const char *host);
// The first such name of a certificate, without what is before the ':'. To free(), or NULL.
char *keys_first_host(X509 *certificate);

// Whether the certificate in that file is good at this time, and for how long still (`left_s` may be NULL). ERR_ACCESS: it has expired, or is not valid yet.
int keys_check_time(const char *path, int64_t *left_s, struct err *err);

#endif

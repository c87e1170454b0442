// Sets of public keys (RFC 7517), by which tokens are checked. Two keys in a set are how one is changed for another.
//
// Taken are P-256 keys for ES256, Ed25519 keys for EdDSA and RSA keys of 2048 to 8192 bits for RS256; what else an identity
// provider's set holds (other curves, keys for encryption, secrets) is skipped. Thread: any; a set is read-only once it is
// there.
#ifndef COFFER_AUTH_JWKS_H
#define COFFER_AUTH_JWKS_H

#include "base/buf.h"

#include <openssl/types.h>
#include <stddef.h>

#define JWKS_MAX_FILE ((size_t)256 << 10)
enum { JWKS_MAX_KEYS = 32, JWK_MAX_ID = 256 };

enum jwk_algorithm { JWK_ES256, JWK_RS256, JWK_EDDSA, JWK_ALGORITHMS };
extern const char *const jwk_algorithm_names[JWK_ALGORITHMS]; // "ES256"

struct jwk {
	enum jwk_algorithm algorithm;
	char id[JWK_MAX_ID + 1]; // "kid"; where there is none, an EC key's thumbprint of RFC 7638, else empty
	EVP_PKEY *key;
};

struct jwks {
	struct jwk keys[JWKS_MAX_KEYS];
	size_t n; // never 0 in a set that was read
};

// ERR_FORMAT: no set, one without a key that is taken, or with two of one name.
int jwks_parse(const char *text, size_t n, struct jwks *set, struct err *err);
int jwks_read(const char *path, struct jwks *set, struct err *err);
void jwks_release(struct jwks *set);
// The one that a token names; without a name (NULL) the only one of that algorithm. NULL: there is none.
const struct jwk *jwks_find(const struct jwks *set, enum jwk_algorithm algorithm, const char *id);

// The public half of a P-256 key as a JWK, and its thumbprint.
enum { JWK_THUMBPRINT = 43 };
int jwk_thumbprint(EVP_PKEY *key, char out[JWK_THUMBPRINT + 1], struct err *err);
int jwk_write(EVP_PKEY *key, struct buf *out, struct err *err);

#endif

// Tokens: JWTs (RFC 7519) that say who may do what where, for a short time.
//
// The scheduler makes them with one P-256 key (ES256), whose public half is in a key set (auth/jwks.h) that workers have:
//   route     tenant may run jobs on an image at one worker: {iss, aud: worker, sub: tenant, image, isolation, slots, use:
// "route",
//             iat, nbf, exp, jti}; a few minutes
//   register  a worker of that name may register: {iss, aud: iss, sub: worker, use: "register", iat, nbf, exp, jti}
// Users may show tokens of the site's identity provider instead (ES256, RS256 or EdDSA), of which one claim says who it is.
//
// What is checked follows RFC 8725: the key decides on the algorithm and not the token (so neither "none" nor HS256 with a
// public key as its secret), there is one exact key, exp must be there, issuer, audience and use must be right, "crit" is
// refused, lengths are bounded, "typ" is "JWT" or "at+jwt" if it is there. Clocks may differ by TOKEN_SKEW_S. Errors are
// constant texts: until the signature has been found right it is the same for everything, so that nobody learns from it.
// (JSON is jansson's, signatures are OpenSSL's. libjwt 1.10 would read the PEM of the key for each token again, which takes
// OpenSSL 3 several times as long as the signature.) Thread: any.
#ifndef COFFER_AUTH_TOKEN_H
#define COFFER_AUTH_TOKEN_H

#include "auth/jwks.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	TOKEN_MAX = 8192, // bytes of a token's text
	TOKEN_SKEW_S = 30,
	TOKEN_ROUTE_MAX_S = 3600,           // longer routes are refused
	TOKEN_REGISTER_MAX_S = 400 * 86400, // and longer registrations
	TOKEN_NAME_MAX = 64,                // tenants, workers, issuers: A-Z a-z 0-9 . _ -
	TOKEN_IMAGE_MAX = 128,              // "sha256:" and 64 lower hex digits, or "host:" and a name
};
bool token_is_name(const char *text);
bool token_is_image(const char *text);

enum token_use { TOKEN_ROUTE, TOKEN_REGISTER };

struct token_claims {
	enum token_use use;
	char issuer[TOKEN_NAME_MAX + 1];
	char worker[TOKEN_NAME_MAX + 1];
	char tenant[TOKEN_NAME_MAX + 1]; // of a route, as all to `slots`
	char image[TOKEN_IMAGE_MAX + 1];
	int isolation; // the least, an enum Coffer__V1__Isolation
	uint32_t slots;
	int64_t not_before, expires; // seconds since 1970
	char id[33];
};

struct token_expected {
	enum token_use use;
	const char *issuer; // NULL: any that has the key
	const char *worker; // never NULL for a route; NULL for a registration: it says who
	const char *tenant; // NULL: it says who
	const char *image;  // NULL: it says which
	int isolation;      // of a route: what the worker offers
	int64_t now;        // seconds since 1970
};

// 0 with `claims`, or -1: ERR_ACCESS with a constant text.
int token_check(const struct jwks *keys, const char *text, const struct token_expected *expected,
		struct token_claims *claims, struct err *err);

// The token of an `authorization` header: what follows "Bearer ", or NULL.
const char *token_of_header(const char *authorization);

// ---- the identity provider's ----

enum { TOKEN_USER_VALUES = 32, TOKEN_USER_VALUE_MAX = 256 };

struct token_user_expected {
	const char *issuer, *audience; // both must be there; "aud" may be a list
	const char *claim;             // "sub", "groups": a text or a list of texts
	int64_t now;
};
struct token_user {
	char values[TOKEN_USER_VALUES][TOKEN_USER_VALUE_MAX + 1]; // of the claim
	size_t n;
	int64_t expires;
};
int token_check_user(const struct jwks *keys, const char *text, const struct token_user_expected *expected,
		     struct token_user *user, struct err *err);

// ---- making them ----

struct token_signer;
// From a private P-256 key as auth/keys.h reads it.
int token_signer_read(const char *path, struct token_signer **signer, struct err *err);
void token_signer_free(struct token_signer *signer);
const char *token_signer_key_id(const struct token_signer *signer);
// Signs the claims; `id` is filled in. *text is to free().
int token_make(const struct token_signer *signer, struct token_claims *claims, char **text, struct err *err);

// For people: header and claims as indented JSON, of any token, checked or not. To free(); NULL: it is none.
char *token_show(const char *text);
char *token_audience(const char *text); // what is in "aud", unchecked; to free(), or NULL

// "none", "process", "sandbox", "microvm".
const char *isolation_name(int isolation);
int isolation_of_name(const char *name); // -1: it is none

#endif

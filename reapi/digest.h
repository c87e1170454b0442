// Digests of the Remote Execution API: SHA-256 in lower hex, and the number of bytes. Thread: any.
#ifndef COFFER_REAPI_DIGEST_H
#define COFFER_REAPI_DIGEST_H

#include "base/err.h"
#include "codec/sha/sha256.h"
#include "proto/reapi.pb-c.h"

enum { REAPI_SHA256 = 1 }; // DigestFunction.Value

struct reapi_digest {
	struct sha256 hash;
	int64_t size;
};

// ERR_FORMAT: `m` is NULL, its hash is not 64 lower hex digits, or its size is negative.
int reapi_digest_read(const Reapi__Digest *m, struct reapi_digest *d, struct err *err);
struct reapi_digest reapi_digest_of(const void *p, size_t n);
static inline bool reapi_digest_equal(const struct reapi_digest *a, const struct reapi_digest *b)
{
	return a->size == b->size && sha256_equal(&a->hash, &b->hash);
}
// Of no bytes at all: it is always there.
bool reapi_digest_is_empty(const struct reapi_digest *d);

// As a message: `text` keeps its hash.
struct reapi_digest_message {
	Reapi__Digest m;
	char text[SHA256_HEX];
};
void reapi_digest_write(const struct reapi_digest *d, struct reapi_digest_message *m);

// What a request says of its digests: nothing, or SHA-256. ERR_FORMAT.
int reapi_check_function(int function, struct err *err);

#endif

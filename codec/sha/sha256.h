// SHA-256: digests of what leaves one machine's trust. (Inside of it: codec/hash.h, which is several times faster.) Thread: any.
#ifndef COFFER_CODEC_SHA_SHA256_H
#define COFFER_CODEC_SHA_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sha256 {
	uint8_t b[32];
};
#define SHA256_HEX 65 // characters of one in hex, with the final '\0'

struct sha256 sha256_of(const void *p, size_t n);
// HMAC-SHA256 over the parts, one behind the other.
struct sha256_part {
	const void *p;
	size_t n;
};
struct sha256 sha256_hmac(const void *key, size_t n_key, const struct sha256_part *parts, size_t n_parts);

void sha256_hex(const struct sha256 *d, char out[SHA256_HEX]);
bool sha256_parse(const char *hex, struct sha256 *d);                      // exactly 64 lower hex digits
bool sha256_equal_in_time(const struct sha256 *a, const struct sha256 *b); // for secrets: in the same time whatever differs
static inline bool sha256_equal(const struct sha256 *a, const struct sha256 *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

#endif

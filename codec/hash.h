// Digests inside one machine's trust: XXH3 with 128 bits. (Where bytes leave that trust, SHA-256 is used instead.)
//
// A hasher takes length-prefixed fields, so that ("ab","c") and ("a","bc") differ. Thread: any; a hasher belongs to one.
#ifndef COFFER_CODEC_HASH_H
#define COFFER_CODEC_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct digest {
	uint8_t b[16];
};
#define DIGEST_HEX 33 // characters of a digest in hex, with the final '\0'

struct hasher {
	struct XXH3_state_s *state;
};

struct digest digest_of(const void *p, size_t n);
void hasher_init(struct hasher *h);
void hasher_release(struct hasher *h);
#define AUTO_HASHER __attribute__((cleanup(hasher_release)))
void hasher_raw(struct hasher *h, const void *p, size_t n); // no length prefix: for the pieces of one stream
void hasher_bytes(struct hasher *h, const void *p, size_t n);
void hasher_str(struct hasher *h, const char *s); // NULL differs from ""
void hasher_u64(struct hasher *h, uint64_t v);
void hasher_digest(struct hasher *h, const struct digest *d);
struct digest hasher_end(const struct hasher *h);

void digest_hex(const struct digest *d, char out[DIGEST_HEX]);
bool digest_parse(const char *hex, struct digest *d); // exactly 32 hex digits
static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}
static inline bool digest_is_zero(const struct digest *d)
{
	static const struct digest zero;
	return digest_equal(d, &zero);
}
uint64_t hash64(const void *p, size_t n); // for hash tables

#endif

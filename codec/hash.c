#include "codec/hash.h"

#include "base/mem.h"

#include <stdlib.h>
#include <xxhash.h>

static struct digest canonical(XXH128_hash_t h)
{
	XXH128_canonical_t c;
	XXH128_canonicalFromHash(&c, h);
	struct digest d;
	memcpy(d.b, c.digest, sizeof d.b);
	return d;
}

struct digest digest_of(const void *p, size_t n)
{
	return canonical(XXH3_128bits(p, n));
}

void hasher_init(struct hasher *h)
{
	h->state = XXH3_createState();
	if (!h->state)
		abort();
	XXH3_128bits_reset(h->state);
}

void hasher_release(struct hasher *h)
{
	XXH3_freeState(h->state);
	h->state = NULL;
}

void hasher_raw(struct hasher *h, const void *p, size_t n)
{
	XXH3_128bits_update(h->state, p, n);
}

void hasher_u64(struct hasher *h, uint64_t v)
{
	uint8_t p[8];
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
	hasher_raw(h, p, sizeof p);
}

void hasher_bytes(struct hasher *h, const void *p, size_t n)
{
	hasher_u64(h, n);
	hasher_raw(h, p, n);
}

void hasher_str(struct hasher *h, const char *s)
{
	if (s)
		hasher_bytes(h, s, strlen(s));
	else
		hasher_u64(h, UINT64_MAX);
}

void hasher_digest(struct hasher *h, const struct digest *d)
{
	hasher_raw(h, d->b, sizeof d->b);
}

struct digest hasher_end(const struct hasher *h)
{
	return canonical(XXH3_128bits_digest(h->state));
}

void digest_hex(const struct digest *d, char out[DIGEST_HEX])
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < sizeof d->b; i++) {
		out[2 * i] = hex[d->b[i] >> 4];
		out[2 * i + 1] = hex[d->b[i] & 15];
	}
	out[2 * sizeof d->b] = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool digest_parse(const char *hex, struct digest *d)
{
	for (size_t i = 0; i < sizeof d->b; i++) {
		int hi = nibble(hex[2 * i]);
		int lo = hi < 0 ? -1 : nibble(hex[2 * i + 1]);
		if (lo < 0)
			return false;
		d->b[i] = (uint8_t)(hi << 4 | lo);
	}
	return hex[2 * sizeof d->b] == '\0';
}

uint64_t hash64(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

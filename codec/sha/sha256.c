#include "codec/sha/sha256.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct sha256 sha256_of(const void *p, size_t n)
{
	struct sha256 d;
	if (EVP_Digest(n ? p : "", n, d.b, NULL, EVP_sha256(), NULL) != 1)
		abort(); // without memory, as everywhere
	return d;
}

struct sha256 sha256_hmac(const void *key, size_t n_key, const struct sha256_part *parts, size_t n_parts)
{
	struct sha256 d;
	size_t n = 0;
	char name[] = "SHA256";
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	bool ok = ctx && EVP_MAC_init(ctx, key, n_key, params) == 1;
	for (size_t i = 0; ok && i < n_parts; i++)
		ok = EVP_MAC_update(ctx, parts[i].p, parts[i].n) == 1;
	if (!ok || EVP_MAC_final(ctx, d.b, &n, sizeof d.b) != 1 || n != sizeof d.b)
		abort();
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return d;
}

void sha256_hex(const struct sha256 *d, char out[SHA256_HEX])
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
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sha256_parse(const char *hex, struct sha256 *d)
{
	for (size_t i = 0; i < sizeof d->b; i++) {
		int high = nibble(hex[2 * i]), low = high < 0 ? -1 : nibble(hex[2 * i + 1]);
		if (low < 0)
			return false;
		d->b[i] = (uint8_t)(high << 4 | low);
	}
	return hex[2 * sizeof d->b] == '\0';
}

bool sha256_equal_in_time(const struct sha256 *a, const struct sha256 *b)
{
	return CRYPTO_memcmp(a->b, b->b, sizeof a->b) == 0;
}

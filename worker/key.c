#include "worker/key.h"

#include "base/buf.h"
#include "worker/header.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

enum { KINDS = 16 };

struct key key_of(const char *scope, const char *identity, const Coffer__V1__CompileHeader *h, const uint8_t source[32])
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct key key;
	char wanted[KINDS], number[24];
	size_t n = 0;
	for (int kind = 0; kind < KINDS; kind++)
		if (header_wants(h, kind))
			wanted[n++] = (char)kind;
	snprintf(number, sizeof number, "%zu", h->n_arguments);
	buf_add_str(&b, "coffer key 1");
	buf_add_str(&b, scope);
	buf_add_str(&b, identity);
	buf_add_str(&b, h->compiler);
	buf_add_str(&b, h->language);
	buf_add_str(&b, h->suffix);
	buf_add_str(&b, h->output_name);
	buf_add_strn(&b, wanted, n);
	buf_add_str(&b, number);
	for (size_t i = 0; i < h->n_arguments; i++)
		buf_add_str(&b, h->arguments[i]);
	buf_add_strn(&b, source, 32);
	SHA256((const uint8_t *)b.data, b.len, key.b);
	return key;
}

struct key key_aside(const struct key *key)
{
	static const char word[] = "aside";
	uint8_t bytes[sizeof word + sizeof key->b];
	struct key aside;
	memcpy(bytes, word, sizeof word);
	memcpy(bytes + sizeof word, key->b, sizeof key->b);
	SHA256(bytes, sizeof bytes, aside.b);
	return aside;
}

void key_hex(const struct key *key, char out[KEY_HEX])
{
	for (size_t i = 0; i < sizeof key->b; i++)
		snprintf(out + 2 * i, 3, "%02x", key->b[i]);
}

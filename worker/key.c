#include "worker/key.h"

#include "worker/header.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

enum { KINDS = 16 };

static void add_number(struct buf *b, size_t n)
{
	char number[24];
	snprintf(number, sizeof number, "%zu", n);
	buf_add_str(b, number);
}

static void add_list(struct buf *b, char *const *list, size_t n)
{
	add_number(b, n);
	for (size_t i = 0; i < n; i++)
		buf_add_str(b, list[i]);
}

struct key key_of(const char *scope, const char *identity, const Coffer__V1__CompileHeader *h, const uint8_t source[32])
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct key key;
	char wanted[KINDS];
	size_t n = 0;
	for (int kind = 0; kind < KINDS; kind++)
		if (header_wants(h, kind))
			wanted[n++] = (char)kind;
	buf_add_str(&b, "coffer key 1");
	buf_add_str(&b, scope);
	buf_add_str(&b, identity);
	buf_add_str(&b, h->compiler);
	buf_add_str(&b, h->language);
	buf_add_str(&b, h->suffix);
	buf_add_str(&b, h->output_name);
	buf_add_strn(&b, wanted, n);
	add_list(&b, h->arguments, h->n_arguments);
	buf_add_strn(&b, source, 32);
	SHA256((const uint8_t *)b.data, b.len, key.b);
	return key;
}

void key_add_tree(struct buf *bytes, const char *scope, const char *identity, const Coffer__V1__CompileHeader *h,
		  const uint8_t listing[32])
{
	buf_add_str(bytes, KEY_TREE);
	buf_add_str(bytes, scope);
	buf_add_str(bytes, identity);
	buf_add_str(bytes, h->compiler);
	buf_add_str(bytes, h->tree->directory);
	add_list(bytes, h->tree->environment, h->tree->n_environment);
	add_number(bytes, h->n_outputs);
	for (size_t i = 0; i < h->n_outputs; i++) {
		add_number(bytes, (size_t)h->outputs[i]->kind);
		buf_add_str(bytes, h->outputs[i]->name);
	}
	add_list(bytes, h->arguments, h->n_arguments);
	buf_add_strn(bytes, listing, 32);
}

struct key key_of_tree(const char *scope, const char *identity, const Coffer__V1__CompileHeader *h,
		       const uint8_t listing[32])
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct key key;
	key_add_tree(&b, scope, identity, h, listing);
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

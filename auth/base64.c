#include "auth/base64.h"

#include <openssl/evp.h>
#include <string.h>

// A padded block for OpenSSL has at most this many bytes.
enum { MOST = 1 << 20 };

void base64url_encode(struct buf *out, const void *p, size_t n)
{
	char *to = n <= MOST ? buf_room(out, 4 * (n / 3 + 1) + 1) : NULL;
	if (!to) {
		out->over = true;
		return;
	}
	EVP_EncodeBlock((unsigned char *)to, p, (int)n);
	size_t len = strcspn(to, "=");
	for (size_t i = 0; i < len; i++)
		to[i] = (char)(to[i] == '+' ? '-' : to[i] == '/' ? '_' : to[i]);
	buf_grew(out, len);
}

// With padding and the characters of plain base64. Not what has those already, or blanks, which OpenSSL passes over.
static bool to_plain(struct buf *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
		buf_addc(out, (char)(c == '-' ? '+' : c == '_' ? '/' : c));
	}
	while (out->len % 4)
		buf_addc(out, '=');
	return true;
}

bool base64url_decode(struct buf *out, const char *text, size_t n)
{
	AUTO_BUF struct buf plain = BUF_INIT, again = BUF_INIT;
	if (n == 0)
		return true;
	if (n > MOST || n % 4 == 1 || !to_plain(&plain, text, n))
		return false;
	unsigned char *to = (unsigned char *)buf_room(out, plain.len);
	int got = to ? EVP_DecodeBlock(to, (unsigned char *)plain.data, (int)plain.len) : -1;
	if (got < (int)(plain.len - n))
		return false;
	size_t bytes = (size_t)got - (plain.len - n);
	// The last character has bits that no byte needs, and they may be anything.
	base64url_encode(&again, to, bytes);
	if (again.len != n || memcmp(again.data, text, n) != 0)
		return false;
	buf_grew(out, bytes);
	return true;
}

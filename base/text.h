// Small questions about text. Thread: any.
#ifndef COFFER_BASE_TEXT_H
#define COFFER_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool text_begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

// Bytes of the UTF-8 character that the n bytes at p begin with. 0: they begin with none, or with one that is cut off (RFC 3629).
static inline size_t text_utf8(const char *p, size_t n)
{
	unsigned char lead = n ? (unsigned char)*p : 0xff, second = n > 1 ? (unsigned char)p[1] : 0;
	size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
	bool is_overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
	bool is_surrogate = lead == 0xed && second >= 0xa0, is_beyond = lead == 0xf4 && second >= 0x90;
	if (length > n || is_overlong || is_surrogate || is_beyond)
		return 0;
	for (size_t i = 1; i < length; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

#endif

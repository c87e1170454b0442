#include "base/json.h"

#include <string.h>

// The length of the UTF-8 character at p, or 0 if there is none (RFC 3629).
static size_t utf8_length(const unsigned char *p)
{
	if (p[0] < 0x80)
		return 1;
	size_t n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] >= 0x90))
		return 0;
	return n;
}

void json_add_str(struct buf *b, const char *s)
{
	if (!s) {
		buf_adds(b, "null");
		return;
	}
	buf_addc(b, '"');
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		size_t n = utf8_length(p);
		if (*p == '"' || *p == '\\')
			buf_addf(b, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			buf_addf(b, "\\u%04x", *p);
		else if (n == 0)
			buf_adds(b, "\\ufffd");
		else
			buf_add(b, p, n);
		p += n ? n : 1;
	}
	buf_addc(b, '"');
}

void json_add_name(struct buf *b, const char *name)
{
	char last = b->len ? b->data[b->len - 1] : '{';
	if (last != '{' && last != '[' && last != '\n')
		buf_addc(b, ',');
	buf_addf(b, "\"%s\":", name);
}

void json_add_field(struct buf *b, const char *name, const char *value)
{
	json_add_name(b, name);
	json_add_str(b, value);
}

void json_add_number(struct buf *b, const char *name, int64_t value)
{
	json_add_name(b, name);
	buf_addf(b, "%lld", (long long)value);
}

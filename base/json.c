#include "base/json.h"

#include "base/text.h"

#include <string.h>

void json_add_str(struct buf *b, const char *s)
{
	if (!s) {
		buf_adds(b, "null");
		return;
	}
	buf_addc(b, '"');
	for (const char *p = s, *end = s + strlen(s); p < end;) {
		size_t n = text_utf8(p, (size_t)(end - p));
		unsigned char c = (unsigned char)*p;
		if (*p == '"' || *p == '\\')
			buf_addf(b, "\\%c", *p);
		else if (c < 0x20 || c == 0x7f)
			buf_addf(b, "\\u%04x", c);
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

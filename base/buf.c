#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->over = false;
	if (b->data)
		b->data[0] = '\0';
}

char *buf_take(struct buf *b)
{
	char *s = b->data ? b->data : mem_strdup("");
	*b = (struct buf){.max = b->max};
	return s;
}

size_t buf_grown(const struct buf *b, size_t n)
{
	size_t cap = b->cap + b->cap / 2;
	if (b->data && b->cap - b->len >= n + 1)
		return b->cap;
	if (cap < b->len + n + 1)
		cap = b->len + n + 1;
	return cap < 64 ? 64 : cap;
}

char *buf_room(struct buf *b, size_t n)
{
	size_t max = b->max ? b->max : BUF_DEFAULT_MAX;
	if (n > max || b->len > max - n) {
		b->over = true;
		return NULL;
	}
	size_t cap = buf_grown(b, n);
	if (cap != b->cap || !b->data) {
		b->data = mem_realloc(b->data, cap);
		b->cap = cap;
	}
	return b->data + b->len;
}

void buf_grew(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	char *to = buf_room(b, n);
	if (!to)
		return;
	if (n)
		memcpy(to, p, n);
	buf_grew(b, n);
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	char *to = buf_room(b, (size_t)n);
	if (to) {
		vsnprintf(to, (size_t)n + 1, fmt, again);
		buf_grew(b, (size_t)n);
	}
	va_end(again);
}

void buf_add_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void buf_add_u32(struct buf *b, uint32_t v)
{
	uint8_t p[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
	buf_add(b, p, sizeof p);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
	buf_add_u32(b, (uint32_t)v);
	buf_add_u32(b, (uint32_t)(v >> 32));
}

void buf_add_strn(struct buf *b, const void *p, size_t n)
{
	buf_add_u32(b, (uint32_t)n);
	buf_add(b, p, n);
}

void buf_add_str(struct buf *b, const char *s)
{
	buf_add_strn(b, s, strlen(s));
}

int buf_check(const struct buf *b, const char *what, struct err *err)
{
	if (!b->over)
		return 0;
	return err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", what, b->max ? b->max : BUF_DEFAULT_MAX);
}

const void *rd_bytes(struct rd *r, size_t n)
{
	if (r->bad || rd_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	const void *p = r->p;
	r->p += n;
	return p;
}

uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);
	return p ? p[0] : 0;
}

uint32_t rd_u32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);
	return p ? p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

uint64_t rd_u64(struct rd *r)
{
	uint64_t low = rd_u32(r);
	return low | (uint64_t)rd_u32(r) << 32;
}

const char *rd_str(struct rd *r, size_t *len)
{
	size_t n = rd_u32(r);
	const char *s = rd_bytes(r, n);
	*len = s ? n : 0;
	return s;
}

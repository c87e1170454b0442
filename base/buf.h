// A growing byte buffer with a maximum, and a reader over bytes.
//
// Invariant: data[len] is always '\0', so that a buffer can be used as a string. Past `max` bytes nothing is added and
// `over` is set: check it once at the end (buf_check). Numbers are little-endian; a "string" on the wire is a u32 length
// and its bytes. Thread: a buffer belongs to one thread.
#ifndef COFFER_BASE_BUF_H
#define COFFER_BASE_BUF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len, cap;
	size_t max; // 0: BUF_DEFAULT_MAX
	bool over;  // something did not fit and was left out
};

#define BUF_DEFAULT_MAX ((size_t)1 << 30)
#define BUF_INIT                     \
	{                            \
		NULL, 0, 0, 0, false \
	}
#define AUTO_BUF __attribute__((cleanup(buf_release)))

void buf_release(struct buf *b);
void buf_clear(struct buf *b); // keeps the memory
char *buf_take(struct buf *b); // the bytes as a string to free(); the buffer is empty then
// Room for n more bytes; returns where to write them or NULL past the maximum. Then buf_grew(b, written).
char *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);
size_t buf_grown(const struct buf *b, size_t n); // how much memory it has once n more bytes are in it
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
__attribute__((format(printf, 2, 3))) void buf_addf(struct buf *b, const char *fmt, ...);
void buf_add_u8(struct buf *b, uint8_t v);
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_str(struct buf *b, const char *s); // u32 length, bytes
void buf_add_strn(struct buf *b, const void *p, size_t n);
int buf_check(const struct buf *b, const char *what, struct err *err); // ERR_LIMIT if `over`

// Reads what buf_add_* wrote. After the first short read `bad` stays set and every read gives zeros or "".
struct rd {
	const uint8_t *p, *end;
	bool bad;
};
#define RD(ptr, n)                                                          \
	{                                                                   \
		(const uint8_t *)(ptr), (const uint8_t *)(ptr) + (n), false \
	}
uint8_t rd_u8(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
const void *rd_bytes(struct rd *r, size_t n);  // NULL when short
const char *rd_str(struct rd *r, size_t *len); // not terminated; NULL when short
static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

#endif

#include "remote/message.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_PIECE ((size_t)16 << 10)

void messages_free(struct message *list)
{
	for (struct message *next; list; list = next) {
		next = list->next;
		free(list);
	}
}

static uint32_t big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int begin_message(struct deframer *d, struct err *err)
{
	if (d->prefix[0] > 1)
		return err_set(err, ERR_FORMAT, "a message begins with the unknown flags %u", d->prefix[0]);
	d->want = big_endian(d->prefix + 1);
	if (d->want > d->max_len)
		return err_set(err, ERR_LIMIT, "a message of %zu bytes is larger than the limit of %zu", d->want,
			       d->max_len);
	d->cap = d->want < FIRST_PIECE ? d->want : FIRST_PIECE;
	d->partial = mem_realloc(NULL, sizeof *d->partial + d->cap);
	*d->partial = (struct message){.is_compressed = d->prefix[0] == 1};
	return 0;
}

static void add_bytes(struct deframer *d, const uint8_t *p, size_t n)
{
	if (d->cap - d->partial->len < n) {
		size_t cap = d->cap * 2 > d->partial->len + n ? d->cap * 2 : d->partial->len + n;
		d->cap = cap < d->want ? cap : d->want;
		d->partial = mem_realloc(d->partial, sizeof *d->partial + d->cap);
	}
	memcpy(d->partial->data + d->partial->len, p, n);
	d->partial->len += n;
}

int deframe(struct deframer *d, const uint8_t *p, size_t n, struct message ***tail, struct err *err)
{
	for (;;) {
		while (!d->partial && n && d->prefix_len < MESSAGE_PREFIX) {
			d->prefix[d->prefix_len++] = *p++;
			n--;
		}
		if (!d->partial) {
			if (d->prefix_len < MESSAGE_PREFIX)
				return 0;
			if (begin_message(d, err) || !d->partial)
				return -1;
		}
		size_t left = d->want - d->partial->len, some = n < left ? n : left;
		if (some)
			add_bytes(d, p, some);
		p += some;
		n -= some;
		if (d->partial->len < d->want)
			return 0;
		**tail = d->partial;
		*tail = &d->partial->next;
		d->partial = NULL;
		d->prefix_len = 0;
	}
}

bool deframer_is_between(const struct deframer *d)
{
	return !d->partial && d->prefix_len == 0;
}

void deframer_release(struct deframer *d)
{
	free(d->partial);
	d->partial = NULL;
	d->prefix_len = 0;
}

struct chunk *chunk_new(size_t payload, bool is_compressed)
{
	struct chunk *c = mem_realloc(NULL, sizeof *c + MESSAGE_PREFIX + payload);
	*c = (struct chunk){.len = MESSAGE_PREFIX + payload};
	c->data[0] = is_compressed;
	for (int i = 0; i < 4; i++)
		c->data[1 + i] = (char)(payload >> (24 - 8 * i));
	return c;
}

#include "gateway/inflate.h"

#include "codec/zstd.h"

void inflate_begin(struct inflate *z, struct room *room)
{
	*z = (struct inflate){.zstd = zstd_take_unpacker(), .room = room};
	ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, INFLATE_WINDOW_LOG);
}

void inflate_release(struct inflate *z)
{
	if (z->zstd)
		zstd_give_unpacker(z->zstd);
	z->zstd = NULL;
}

// Where to write the next piece of `n` bytes.
static char *place(struct inflate *z, struct buf *out, size_t n, struct err *err)
{
	if (z->room && room_reach(z->room, buf_grown(out, n) + ZSTD_sizeof_DCtx(z->zstd), err) < 0)
		return NULL;
	char *to = buf_room(out, n);
	if (!to)
		buf_check(out, "a blob", err);
	return to;
}

int inflate_take(struct inflate *z, const void *p, size_t n, struct buf *out, uint64_t most, struct err *err)
{
	ZSTD_inBuffer in = {p, n, 0};
	bool is_flushed = n == 0;
	while (in.pos < in.size || !is_flushed) {
		size_t left = out->len < most ? (size_t)(most - out->len) : 0;
		size_t room = left < ZSTD_DStreamOutSize() ? left + 1 : ZSTD_DStreamOutSize();
		char *to = place(z, out, room, err);
		if (!to)
			return -1;
		ZSTD_outBuffer piece = {to, room, 0};
		size_t rc = ZSTD_decompressStream(z->zstd, &piece, &in);
		if (ZSTD_isError(rc)) {
			buf_grew(out, 0);
			return err_set(err, ERR_FORMAT, "a compressed blob does not unpack: %s", ZSTD_getErrorName(rc));
		}
		buf_grew(out, piece.pos);
		if (out->len > most)
			return err_set(err, ERR_FORMAT, "a compressed blob has more bytes than its digest says");
		z->is_inside = rc != 0;
		is_flushed = piece.pos < piece.size || (rc == 0 && in.pos == in.size);
	}
	return 0;
}

int inflate_end(const struct inflate *z, struct err *err)
{
	return z->is_inside ? err_set(err, ERR_FORMAT, "a compressed blob ends early") : 0;
}

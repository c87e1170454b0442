#include "agent/source.h"

#include "base/mem.h"
#include "codec/zstd.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROOM = 64 * 1024, WINDOW_LOG = 23 };

void source_init(struct source *s, int fd, uint64_t max, bool is_packed)
{
	*s = (struct source){.fd = fd, .max = max, .is_packed = is_packed};
	if (!is_packed)
		return;
	s->zstd = zstd_take_unpacker();
	ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, WINDOW_LOG);
	s->room = mem_realloc(NULL, ROOM);
}

void source_release(struct source *s)
{
	zstd_give_unpacker(TAKE(s->zstd));
	free(TAKE(s->room));
}

static int write_text(struct source *s, const char *p, size_t n, struct err *err)
{
	if (n > s->max - s->n)
		return err_set(err, ERR_LIMIT, "the source needs more than the scratch space of %llu bytes",
			       (unsigned long long)s->max);
	s->n += n;
	while (n) {
		ssize_t written = write(s->fd, p, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return err_errno(err, "cannot write the source");
		p += written;
		n -= (size_t)written;
	}
	return 0;
}

int source_take(struct source *s, const void *p, size_t n, struct err *err)
{
	if (!s->is_packed)
		return write_text(s, p, n, err);
	ZSTD_inBuffer in = {p, n, 0};
	bool is_full = false; // there may be more to come out than the room has taken
	while (in.pos < in.size || is_full) {
		if (s->is_whole)
			return err_set(err, ERR_FORMAT, "there are bytes behind the source's zstd frame");
		ZSTD_outBuffer out = {s->room, ROOM, 0};
		size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
		if (ZSTD_isError(left))
			return err_set(err, ERR_FORMAT, "the source is no zstd frame: %s", ZSTD_getErrorName(left));
		s->is_whole = left == 0;
		is_full = left && out.pos == out.size;
		if (write_text(s, s->room, out.pos, err) < 0)
			return -1;
	}
	return 0;
}

int source_end(struct source *s, struct err *err)
{
	return s->is_packed && !s->is_whole ? err_set(err, ERR_FORMAT, "the source's zstd frame is not whole") : 0;
}

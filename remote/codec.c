#include "remote/codec.h"

#include "base/mem.h"
#include "codec/zstd.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

// Shorter ones gain nothing that would be worth the time.
#define MIN_COMPRESS 256
#define ZSTD_LEVEL 1
// A frame can ask for a window larger than its message; this is the most that is granted.
#define ZSTD_WINDOW_LOG_MAX 23

// ---- growing within a limit -----------------------------------------------------------------------------------------

struct codec_input {
	const char *p;
	size_t n;
};
// Decodes a part of `in` into at most `cap` bytes: 1 at the end of the frame, 0, or -1.
typedef int (*step_fn)(void *context, struct codec_input *in, char *to, size_t cap, size_t *got, struct err *err);

static int expand(step_fn step, void *context, struct codec_input in, struct buf *out, struct err *err)
{
	size_t piece = in.n < 1024 ? 4096 : 65536;
	for (;;) {
		size_t cap = out->max - out->len < piece ? out->max - out->len : piece, got = 0;
		char extra; // past the limit: one byte tells whether there is more
		int rc = step(context, &in, cap ? buf_room(out, cap) : &extra, cap ? cap : 1, &got, err);
		if (rc < 0)
			return -1;
		if (!cap && got)
			return err_set(err, ERR_LIMIT, "a message is larger than %zu bytes when decompressed", out->max);
		if (cap)
			buf_grew(out, got);
		if (rc == 1 && in.n)
			return err_set(err, ERR_FORMAT, "a message has bytes after its compressed frame");
		if (rc == 1)
			return 0;
		if (!got && !in.n)
			return err_set(err, ERR_FORMAT, "a message's compressed frame is cut off");
	}
}

// ---- zstd -----------------------------------------------------------------------------------------------------------

static size_t zstd_shrink(const void *p, size_t len, char *out, size_t cap)
{
	ZSTD_CCtx *c = zstd_take_packer();
	size_t n = ZSTD_compressCCtx(c, out, cap, p, len, ZSTD_LEVEL);
	zstd_give_packer(c);
	return ZSTD_isError(n) ? 0 : n;
}

static int zstd_step(void *context, struct codec_input *in, char *to, size_t cap, size_t *got, struct err *err)
{
	ZSTD_inBuffer i = {in->p, in->n, 0};
	ZSTD_outBuffer o = {to, cap, 0};
	size_t left = ZSTD_decompressStream(context, &o, &i);
	if (ZSTD_isError(left))
		return err_set(err, ERR_FORMAT, "a message is no zstd frame: %s", ZSTD_getErrorName(left));
	in->p += i.pos;
	in->n -= i.pos;
	*got = o.pos;
	return left == 0;
}

static int zstd_expand(const void *p, size_t len, struct buf *out, struct err *err)
{
	ZSTD_DCtx *d = zstd_take_unpacker();
	ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	int rc = expand(zstd_step, d, (struct codec_input){p, len}, out, err);
	zstd_give_unpacker(d);
	return rc;
}

// ---- gzip -----------------------------------------------------------------------------------------------------------

#define GZIP_WINDOW (15 + 16) // the gzip wrapper, not zlib's

static size_t gzip_shrink(const void *p, size_t len, char *out, size_t cap)
{
	z_stream z = {0};
	size_t n = 0;
	if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)cap;
	if (deflate(&z, Z_FINISH) == Z_STREAM_END)
		n = z.total_out;
	deflateEnd(&z);
	return n;
}

static int gzip_step(void *context, struct codec_input *in, char *to, size_t cap, size_t *got, struct err *err)
{
	z_stream *z = context;
	z->next_in = (Bytef *)(uintptr_t)in->p;
	z->avail_in = (uInt)in->n;
	z->next_out = (Bytef *)to;
	z->avail_out = (uInt)cap;
	int rc = inflate(z, Z_NO_FLUSH);
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return err_set(err, ERR_FORMAT, "a message is no gzip stream: %s",
			       z->msg ? z->msg : "it asks for a dictionary");
	in->p += in->n - z->avail_in;
	in->n = z->avail_in;
	*got = cap - z->avail_out;
	return rc == Z_STREAM_END;
}

static int gzip_expand(const void *p, size_t len, struct buf *out, struct err *err)
{
	z_stream z = {0};
	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		abort();
	int rc = expand(gzip_step, &z, (struct codec_input){p, len}, out, err);
	inflateEnd(&z);
	return rc;
}

// ---- both -----------------------------------------------------------------------------------------------------------

int codec_compress(enum rpc_encoding e, const void *p, size_t len, char **out, size_t *n)
{
	if (e == RPC_IDENTITY || len < MIN_COMPRESS || len > UINT32_MAX)
		return 0;
	char *to = mem_realloc(NULL, len); // what does not fit does not shrink
	*n = e == RPC_ZSTD ? zstd_shrink(p, len, to, len - 1) : gzip_shrink(p, len, to, len - 1);
	if (*n == 0) {
		free(to);
		return 0;
	}
	*out = to;
	return 1;
}

int codec_decompress(enum rpc_encoding e, const void *p, size_t len, size_t max, char **out, size_t *n, struct err *err)
{
	AUTO_BUF struct buf b = BUF_INIT;
	b.max = max;
	int rc = -1;
	if (e == RPC_IDENTITY)
		return err_set(err, ERR_FORMAT, "a message is marked as compressed, but no grpc-encoding was given");
	rc = e == RPC_ZSTD ? zstd_expand(p, len, &b, err) : gzip_expand(p, len, &b, err);
	if (rc)
		return -1;
	*n = b.len;
	*out = buf_take(&b);
	return 0;
}

#include "worker/upload.h"

#include "base/mem.h"
#include "codec/zstd.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 * 1024, OVERLAP = 9 };

struct unpacking {
	ZSTD_DCtx *zstd;
	EVP_MD_CTX *sha256;
	char text[OVERLAP + CHUNK]; // the last bytes before, then what was unpacked
};

void upload_init(struct upload *u, uint64_t max_bytes)
{
	*u = (struct upload){.packed = {.max = (size_t)max_bytes + 1024}, .max = max_bytes};
}

static void end_unpacking(struct upload *u)
{
	if (!u->unpacking)
		return;
	zstd_give_unpacker(u->unpacking->zstd);
	EVP_MD_CTX_free(u->unpacking->sha256);
	free(TAKE(u->unpacking));
}

void upload_release(struct upload *u)
{
	end_unpacking(u);
	buf_release(&u->packed);
}

size_t upload_memory(const struct upload *u)
{
	return u->packed.cap + (u->unpacking ? sizeof *u->unpacking + ZSTD_sizeof_DCtx(u->unpacking->zstd) : 0);
}

static int begin_unpacking(struct upload *u, struct err *err)
{
	struct unpacking *x = u->unpacking = mem_alloc(sizeof *u->unpacking);
	x->zstd = zstd_take_unpacker();
	ZSTD_DCtx_setParameter(x->zstd, ZSTD_d_windowLogMax, UPLOAD_WINDOW_LOG);
	x->sha256 = EVP_MD_CTX_new();
	if (!x->sha256 || EVP_DigestInit_ex(x->sha256, EVP_sha256(), NULL) != 1)
		return err_set(err, ERR_IO, "cannot begin a digest");
	return 0;
}

// ".incbin", or ".include" and a blank, as the assembler takes them. Looks at the end of what came before, too.
static bool reads_files(const char *text, size_t n)
{
	for (const char *at = text; (at = memchr(at, '.', (size_t)(text + n - at))); at++) {
		size_t left = (size_t)(text + n - at);
		if (left >= 7 && memcmp(at, ".incbin", 7) == 0)
			return true;
		if (left >= 9 && memcmp(at, ".include", 8) == 0 && (at[8] == ' ' || at[8] == '\t'))
			return true;
	}
	return false;
}

static int take_text(struct upload *u, size_t n, struct err *err)
{
	struct unpacking *x = u->unpacking;
	EVP_DigestUpdate(x->sha256, x->text + OVERLAP, n);
	u->size += n;
	if (u->size > u->max)
		return err_set(err, ERR_LIMIT, "the source has more than the %llu bytes that are taken here",
			       (unsigned long long)u->max);
	if (u->size > UPLOAD_FREE_BYTES && u->size / UPLOAD_MAX_RATIO > u->packed.len)
		return err_set(err, ERR_USAGE, "the source unpacks to more than %d times its bytes", UPLOAD_MAX_RATIO);
	if (reads_files(x->text, OVERLAP + n))
		return err_set(err, ERR_USAGE, "the source makes the assembler read a file (.incbin or .include)");
	memmove(x->text, x->text + n, OVERLAP);
	return 0;
}

// At once when the frame is whole, as the end of the call may be long in coming.
static void finish(struct upload *u)
{
	EVP_DigestFinal_ex(u->unpacking->sha256, u->digest, NULL);
	end_unpacking(u);
	u->is_whole = true;
}

int upload_take(struct upload *u, const void *p, size_t n, struct err *err)
{
	if (u->is_whole)
		return n ? err_set(err, ERR_FORMAT, "there are bytes behind the source's zstd frame") : 0;
	if (!u->unpacking && begin_unpacking(u, err) < 0)
		return -1;
	struct unpacking *x = u->unpacking;
	buf_add(&u->packed, p, n);
	if (buf_check(&u->packed, "the source", err) < 0)
		return -1;
	ZSTD_inBuffer in = {p, n, 0};
	while (in.pos < in.size) {
		ZSTD_outBuffer out = {x->text + OVERLAP, CHUNK, 0};
		size_t rc;
		do {
			out.pos = 0;
			rc = ZSTD_decompressStream(x->zstd, &out, &in);
			if (ZSTD_isError(rc))
				return err_set(err, ERR_FORMAT, "the source is no zstd frame: %s", ZSTD_getErrorName(rc));
			if (out.pos && take_text(u, out.pos, err) < 0)
				return -1;
		} while (rc && out.pos == out.size);
		if (rc == 0) {
			finish(u);
			return upload_take(u, NULL, in.size - in.pos, err);
		}
	}
	return 0;
}

int upload_end(struct upload *u, struct err *err)
{
	if (u->is_whole)
		return 0;
	return err_set(err, ERR_FORMAT, u->unpacking ? "the source's zstd frame is not whole" : "there is no source");
}

#include "worker/output_frame.h"

#include "base/mem.h"
#include "codec/zstd.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

// The window is what a context's memory is made of, and objects are not much smaller with a larger one.
enum { LEVEL = 1, WINDOW_LOG = 17 };

struct packing {
	ZSTD_CCtx *zstd;
	EVP_MD_CTX *sha256;
};

static ZSTD_CCtx *take_context(void)
{
	ZSTD_CCtx *c = zstd_take_packer();
	ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, WINDOW_LOG);
	return c;
}

void output_frame_init(struct output_frame *p, uint64_t max_bytes)
{
	*p = (struct output_frame){.left = max_bytes};
}

static void end_packing(struct output_frame *p)
{
	if (!p->packing)
		return;
	zstd_give_packer(p->packing->zstd);
	EVP_MD_CTX_free(p->packing->sha256);
	free(TAKE(p->packing));
}

void output_frame_release(struct output_frame *p)
{
	end_packing(p);
	buf_release(&p->frame);
}

static void finish_digest(struct output_frame *p)
{
	if (p->n)
		EVP_DigestFinal_ex(p->packing->sha256, p->outputs[p->n - 1].sha256, NULL);
}

int output_frame_begin(struct output_frame *p, int kind, struct err *err)
{
	if (!p->packing) {
		p->packing = mem_alloc(sizeof *p->packing);
		p->packing->zstd = take_context();
		p->packing->sha256 = EVP_MD_CTX_new();
		if (!p->packing->sha256)
			abort();
	}
	if (p->n == HEADER_MAX_OUTPUTS)
		return err_set(err, ERR_LIMIT, "more than %d outputs", HEADER_MAX_OUTPUTS);
	finish_digest(p);
	if (EVP_DigestInit_ex(p->packing->sha256, EVP_sha256(), NULL) != 1)
		return err_set(err, ERR_IO, "cannot begin a digest");
	p->outputs[p->n++] = (struct packed_output){.kind = kind};
	return 0;
}

static int pack(struct output_frame *p, const void *bytes, size_t n, ZSTD_EndDirective end, struct err *err)
{
	ZSTD_inBuffer in = {bytes, n, 0};
	for (;;) {
		char *to = buf_room(&p->frame, ZSTD_CStreamOutSize() / 4);
		if (!to)
			return buf_check(&p->frame, "what a job has written", err);
		ZSTD_outBuffer out = {to, ZSTD_CStreamOutSize() / 4, 0};
		size_t rc = ZSTD_compressStream2(p->packing->zstd, &out, &in, end);
		if (ZSTD_isError(rc))
			return err_set(err, ERR_IO, "cannot pack an output: %s", ZSTD_getErrorName(rc));
		buf_grew(&p->frame, out.pos);
		if (end == ZSTD_e_end ? rc == 0 : in.pos == in.size)
			return 0;
	}
}

int output_frame_add(struct output_frame *p, const void *bytes, size_t n, struct err *err)
{
	if (n > p->left)
		return err_set(err, ERR_LIMIT, "the outputs have more bytes than are taken here");
	p->left -= n;
	p->outputs[p->n - 1].size += n;
	EVP_DigestUpdate(p->packing->sha256, bytes, n);
	return pack(p, bytes, n, ZSTD_e_continue, err);
}

int output_frame_end(struct output_frame *p, struct err *err)
{
	int rc = 0;
	if (p->packing) {
		finish_digest(p);
		rc = pack(p, NULL, 0, ZSTD_e_end, err);
	}
	end_packing(p);
	return rc;
}

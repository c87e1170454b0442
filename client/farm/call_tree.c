#include "client/farm/call_tree.h"

#include "base/file.h"
#include "codec/zstd.h"

#include <fcntl.h>

enum { PIECE = 64 * 1024, LEVEL = 3, MAX_FILE = 256 << 20 };

static bool has_prefix(const struct remote_tree *t)
{
	return t->prefix && t->prefix->len;
}

void remote_tree_describe(const struct remote_tree *t, struct remote_tree_header *m, Coffer__V1__CompileHeader *h)
{
	coffer__v1__compile_tree__init(&m->tree);
	m->tree.directory = (char *)(uintptr_t)t->directory;
	m->tree.environment = (char **)(uintptr_t)t->environment;
	m->tree.n_environment = t->n_environment;
	m->tree.listing_size = t->listing->len;
	if (has_prefix(t)) {
		m->prefix = sha256_of(t->prefix->data, t->prefix->len);
		m->tree.prefix = (ProtobufCBinaryData){sizeof m->prefix.b, m->prefix.b};
		m->tree.prefix_size = t->prefix->len;
	}
	h->arguments = (char **)(uintptr_t)t->arguments;
	h->n_arguments = t->n_arguments;
	h->tree = &m->tree;
}

// ---- frames ---------------------------------------------------------------------------------------------------------

// What a frame's bytes go into: messages of one kind. Listing and files stand in one place of the message.
struct packer {
	struct rpc_call *call;
	Coffer__V1__CompileRequest__KindCase kind;
	ZSTD_CCtx *zstd;
	char room[PIECE];
	size_t n;
	uint64_t *sent;
};

static int send_piece(struct packer *p, struct err *err)
{
	Coffer__V1__CompileRequest m = COFFER__V1__COMPILE_REQUEST__INIT;
	m.kind_case = p->kind;
	m.listing = (ProtobufCBinaryData){p->n, (uint8_t *)p->room};
	*p->sent += p->n;
	p->n = 0;
	return rpc_send(p->call, &m.base, err) < 0 ? -1 : 0;
}

static int pack(struct packer *p, const void *bytes, size_t n, ZSTD_EndDirective how, struct err *err)
{
	ZSTD_inBuffer in = {bytes, n, 0};
	size_t left;
	do {
		ZSTD_outBuffer out = {p->room, PIECE, p->n};
		left = ZSTD_compressStream2(p->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			return err_set(err, ERR_IO, "cannot compress: %s", ZSTD_getErrorName(left));
		p->n = out.pos;
		if (p->n == PIECE && send_piece(p, err) < 0)
			return -1;
	} while (how == ZSTD_e_end ? left != 0 : in.pos < in.size);
	return how == ZSTD_e_end && p->n ? send_piece(p, err) : 0;
}

static void begin(struct packer *p, struct rpc_call *call, Coffer__V1__CompileRequest__KindCase kind, uint64_t *sent)
{
	p->call = call;
	p->kind = kind;
	p->zstd = zstd_take_packer();
	p->n = 0;
	p->sent = sent;
	ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, LEVEL);
}

int remote_tree_send_listing(const struct remote_tree *t, bool with_prefix, struct rpc_call *call, uint64_t *sent,
			     struct err *err)
{
	struct packer p;
	begin(&p, call, COFFER__V1__COMPILE_REQUEST__KIND_LISTING, sent);
	if (with_prefix && has_prefix(t))
		ZSTD_CCtx_refPrefix(p.zstd, t->prefix->data, t->prefix->len);
	int rc = pack(&p, t->listing->data, t->listing->len, ZSTD_e_end, err);
	// An empty piece ends it.
	if (rc == 0)
		rc = send_piece(&p, err);
	zstd_give_packer(p.zstd);
	return rc;
}

// ---- files ----------------------------------------------------------------------------------------------------------

static int send_file(struct packer *p, const struct source_node *file, struct err *err)
{
	AUTO_BUF struct buf bytes = {.max = MAX_FILE + 2};
	if (file_read(AT_FDCWD, file->path, MAX_FILE, &bytes, NULL, err) < 0)
		return err->code == ERR_LIMIT ? -1 : err_set(err, ERR_NOT_FOUND, "'%s' can't be read any more", file->path);
	struct sha256 is = sha256_of(bytes.data, bytes.len);
	if (bytes.len != file->size || !sha256_equal(&is, &file->sha256))
		return err_set(err, ERR_NOT_FOUND, "'%s' has changed", file->path);
	return pack(p, bytes.data, bytes.len, ZSTD_e_continue, err);
}

int remote_tree_send_files(const struct remote_tree *t, const Coffer__V1__CompileNeeds *needs, struct rpc_call *call,
			   uint64_t *sent, struct err *err)
{
	struct packer p;
	int rc = 0;
	if (needs->n_files == 0)
		return 0;
	for (size_t i = 0; i < needs->n_files; i++)
		if (needs->files[i] >= t->tree->n_files || (i && needs->files[i] <= needs->files[i - 1]))
			return err_set(err, ERR_FORMAT, "it asks for files that are not in the listing");
	begin(&p, call, COFFER__V1__COMPILE_REQUEST__KIND_FILES, sent);
	for (size_t i = 0; i < needs->n_files && rc == 0; i++)
		rc = send_file(&p, t->tree->files[needs->files[i]], err);
	if (rc == 0)
		rc = pack(&p, NULL, 0, ZSTD_e_end, err);
	zstd_give_packer(p.zstd);
	return rc;
}

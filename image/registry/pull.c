#include "image/registry/pull.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "image/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char manifest_types[] = "Accept: application/vnd.oci.image.index.v1+json, "
				     "application/vnd.oci.image.manifest.v1+json, "
				     "application/vnd.docker.distribution.manifest.list.v2+json, "
				     "application/vnd.docker.distribution.manifest.v2+json";

// ---- manifests ------------------------------------------------------------------------------------------------------

static int hash_text(const struct buf *text, char digest[BLOB_DIGEST], struct err *err)
{
	uint8_t sha256[32];
	if (EVP_Digest(text->data ? text->data : "", text->len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return err_set(err, ERR_IO, "cannot hash a manifest");
	blob_digest_text(sha256, digest);
	return 0;
}

// `wanted`: of what was asked for by its digest; NULL: a tag. *d is what came.
static int get_manifest(struct registry *s, const char *name, const struct blob_descriptor *wanted, struct buf *text,
			struct blob_descriptor *d, struct err *err)
{
	AUTO_FREE char *path = mem_printf("manifests/%s", name);
	struct registry_get get = {.path = path, .accept = manifest_types, .max = LAYOUT_JSON_MAX, .out = text};
	char digest[BLOB_DIGEST];
	buf_clear(text);
	if (registry_get(s, &get, err) < 0 || hash_text(text, digest, err) < 0)
		return -1;
	if (wanted && strcmp(wanted->digest, digest) != 0)
		return err_set(err, ERR_FORMAT, "the registry has sent '%s' for '%s'", digest, wanted->digest);
	if (wanted && wanted->size && wanted->size != text->len)
		return err_set(err, ERR_FORMAT, "the manifest '%s' has not the %" PRIu64 " bytes that it should have",
			       digest, wanted->size);
	*d = (struct blob_descriptor){.size = text->len};
	snprintf(d->digest, sizeof d->digest, "%s", digest);
	return 0;
}

// The manifest for this machine; *first is the digest of what the reference names.
static int find_manifest(struct registry *s, const struct reference *r, char first[BLOB_DIGEST], struct buf *text,
			 struct blob_descriptor *d, struct err *err)
{
	struct blob_descriptor wanted = {.size = 0};
	snprintf(wanted.digest, sizeof wanted.digest, "%s", r->digest);
	bool by_digest = r->digest[0];
	if (get_manifest(s, by_digest ? r->digest : r->tag, by_digest ? &wanted : NULL, text, d, err) < 0)
		return -1;
	snprintf(first, BLOB_DIGEST, "%s", d->digest);
	for (int i = 0; i < LAYOUT_NESTED; i++) {
		int rc = layout_parse_index(text->data, text->len, &wanted, err);
		if (rc <= 0)
			return rc;
		if (get_manifest(s, wanted.digest, &wanted, text, d, err) < 0)
			return -1;
	}
	return 0;
}

// ---- blobs ----------------------------------------------------------------------------------------------------------

struct blob_writer {
	int fd;
	EVP_MD_CTX *hash;
	uint64_t n;
	struct err *err; // why it takes no more
};

static void begin_blob(void *ctx)
{
	struct blob_writer *w = ctx;
	w->n = 0;
	if (EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL) != 1 || ftruncate(w->fd, 0) < 0 || lseek(w->fd, 0, SEEK_SET) < 0)
		err_set(w->err, ERR_IO, "cannot begin a blob");
}

static int add_to_blob(void *ctx, const void *p, size_t n)
{
	struct blob_writer *w = ctx;
	if (w->err->code != ERR_NONE)
		return -1;
	if (EVP_DigestUpdate(w->hash, p, n) != 1)
		return err_set(w->err, ERR_IO, "cannot hash a blob");
	w->n += n;
	return file_write_fd(w->fd, p, n, w->err);
}

static int fetch_blob(struct registry *s, int fd, const struct blob_descriptor *d, struct err *err)
{
	struct err why = ERR_INIT;
	struct blob_writer w = {.fd = fd, .hash = EVP_MD_CTX_new(), .err = &why};
	char digest[BLOB_DIGEST];
	uint8_t sha256[32];
	AUTO_FREE char *path = mem_printf("blobs/%s", d->digest);
	struct registry_get get = {.path = path, .max = d->size, .sink = add_to_blob, .begin = begin_blob, .ctx = &w};
	int rc = w.hash ? registry_get(s, &get, err) : err_set(err, ERR_IO, "no hash");
	if (why.code != ERR_NONE)
		rc = err_take(err, &why);
	if (rc == 0 && EVP_DigestFinal_ex(w.hash, sha256, NULL) != 1)
		rc = err_set(err, ERR_IO, "cannot hash a blob");
	EVP_MD_CTX_free(w.hash);
	if (rc < 0)
		return -1;
	blob_digest_text(sha256, digest);
	if (w.n != d->size)
		return err_set(err, ERR_FORMAT, "the registry has sent %" PRIu64 " bytes of the %" PRIu64 " of '%s'", w.n,
			       d->size, d->digest);
	return strcmp(digest, d->digest) == 0
		       ? 0
		       : err_set(err, ERR_FORMAT, "the registry has sent '%s' for '%s'", digest, d->digest);
}

static int add_blob(struct registry *s, const char *layout, const struct blob_descriptor *d, struct err *err)
{
	AUTO_FREE char *file = mem_printf("%s/blobs/sha256/%s", layout, d->digest + 7);
	AUTO_CLOSE int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST) // the same layer twice
		return 0;
	return fd < 0 ? err_errno(err, "cannot make '%s'", file) : fetch_blob(s, fd, d, err);
}

// ---- the whole ------------------------------------------------------------------------------------------------------

static int check_sizes(const struct manifest_of *m, const struct blob_descriptor *config, struct err *err)
{
	uint64_t left = IMAGE_MAX_BYTES;
	if (config->size > LAYOUT_JSON_MAX)
		return err_set(err, ERR_LIMIT, "the image's configuration is larger than %zu bytes", LAYOUT_JSON_MAX);
	for (size_t i = 0; i < m->n_layers; i++) {
		if (m->layers[i].size > left)
			return err_set(err, ERR_LIMIT, "the layers of the image are larger than %" PRIu64 " GiB",
				       IMAGE_MAX_BYTES >> 30);
		left -= m->layers[i].size;
	}
	return 0;
}

static int fill_layout(struct registry *s, const char *layout, const struct blob_descriptor *d, const struct buf *manifest,
		       struct err *err)
{
	struct manifest_of m = {.n_layers = 0};
	struct blob_descriptor config;
	AUTO_FREE char *file = mem_printf("%s/blobs/sha256/%s", layout, d->digest + 7);
	int rc = layout_parse_manifest(manifest->data, manifest->len, &m, &config, err);
	if (rc == 0)
		rc = check_sizes(&m, &config, err);
	if (rc == 0)
		rc = layout_make(layout, err);
	if (rc == 0)
		rc = file_write_atomic(AT_FDCWD, file, manifest->data, manifest->len, 0600, err);
	if (rc == 0)
		rc = add_blob(s, layout, &config, err);
	for (size_t i = 0; i < m.n_layers && rc == 0; i++)
		rc = add_blob(s, layout, &m.layers[i], err);
	layout_release(&m);
	return rc == 0 ? layout_write_index(layout, d, err) : -1;
}

static int import(struct registry *s, const struct registry_source *from, const struct reference *r, const char *images,
		  char pinned[REFERENCE_PINNED], struct image_info *info, struct err *err)
{
	struct buf manifest = {.max = LAYOUT_JSON_MAX + 1};
	struct blob_descriptor d;
	char first[BLOB_DIGEST];
	AUTO_FREE char *layout = mem_printf("%s/.registry-%d", images, (int)getpid());
	int rc = find_manifest(s, r, first, &manifest, &d, err);
	if (rc == 0)
		reference_pinned(r, first, pinned);
	if (rc == 0 && image_read(images, d.digest, info, NULL) == 0) {
		buf_release(&manifest);
		return 1;
	}
	if (rc == 0)
		rc = fill_layout(s, layout, &d, &manifest, err);
	struct image_source source = {.layout = layout, .reference = d.digest, .from = pinned, .mkfs = from->mkfs};
	if (rc == 0)
		rc = image_import(&source, images, info, err);
	tree_remove(AT_FDCWD, layout);
	buf_release(&manifest);
	return rc;
}

int registry_import(const struct registry_config *config, const struct registry_source *source, const char *images,
		    char pinned[REFERENCE_PINNED], struct image_info *info, struct err *err)
{
	struct reference r;
	struct registry *s;
	pinned[0] = '\0';
	if (reference_parse(source->reference, &r, err) < 0 || file_make_dirs(images, 0755, err) < 0 ||
	    registry_open(config, &r, &s, err) < 0)
		return -1;
	int rc = import(s, source, &r, images, pinned, info, err);
	registry_close(s);
	return rc;
}

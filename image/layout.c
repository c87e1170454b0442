#include "image/layout.h"

#include "base/file.h"
#include "base/mem.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARCHIVE_MAX ((uint64_t)64 << 30)
#define REF_NAME "org.opencontainers.image.ref.name"
enum { MOST_FILES = 4096, PIECE = 256 * 1024 };

static void json_cleanup(json_t **j)
{
	json_decref(*j);
}
#define AUTO_JSON __attribute__((cleanup(json_cleanup)))

static json_t *parse(const char *text, size_t n, const char *what, struct err *err)
{
	json_error_t why;
	json_t *j = json_loadb(text ? text : "", n, JSON_REJECT_DUPLICATES, &why);
	if (!j)
		err_set(err, ERR_FORMAT, "%s is no JSON: %.100s", what, why.text);
	return j;
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text ? text : "";
}

static int get_descriptor(const json_t *o, struct blob_descriptor *d, struct err *err)
{
	json_int_t size = json_integer_value(json_object_get(o, "size"));
	*d = (struct blob_descriptor){.size = (uint64_t)size};
	if (!blob_is_digest(text_of(o, "digest")) || size < 0)
		return err_set(err, ERR_FORMAT, "the image has a descriptor without a SHA-256 digest or a size");
	snprintf(d->digest, sizeof d->digest, "%s", text_of(o, "digest"));
	snprintf(d->media_type, sizeof d->media_type, "%s", text_of(o, "mediaType"));
	return 0;
}

// ---- which image ----------------------------------------------------------------------------------------------------

static const char *architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#else
	return "";
#endif
}

// 0: not for this machine; else the higher, the better.
static int fits_here(const json_t *o)
{
	const json_t *platform = json_object_get(o, "platform");
	if (platform && (strcmp(text_of(platform, "os"), "linux") != 0 ||
			 strcmp(text_of(platform, "architecture"), architecture()) != 0))
		return 0;
	return platform && json_object_get(platform, "variant") ? 1 : 2;
}

static bool is_meant(const json_t *o, const char *reference)
{
	if (!reference)
		return true;
	return strcmp(text_of(o, "digest"), reference) == 0 ||
	       strcmp(text_of(json_object_get(o, "annotations"), REF_NAME), reference) == 0;
}

// The one descriptor of an index that is meant.
static int choose(const json_t *index, const char *reference, bool by_platform, struct blob_descriptor *d, struct err *err)
{
	const json_t *manifests = json_object_get(index, "manifests"), *found = NULL;
	size_t i, n = 0;
	int best = 1;
	json_t *o;
	json_array_foreach(manifests, i, o)
	{
		int fits = by_platform ? fits_here(o) : is_meant(o, reference);
		if (fits < best)
			continue;
		n = fits > best ? 1 : n + 1;
		best = fits;
		found = o;
	}
	if (n == 1)
		return get_descriptor(found, d, err);
	if (n > 1)
		return err_set(err, ERR_USAGE, "the layout has %zu images: say which one, by its name or its digest", n);
	return err_set(err, ERR_NOT_FOUND,
		       by_platform ? "the image is not for this machine's architecture (%s)"
				   : "the layout has no image '%s'",
		       by_platform ? architecture()
		       : reference ? reference
				   : "");
}

int layout_parse_index(const char *text, size_t n, struct blob_descriptor *d, struct err *err)
{
	AUTO_JSON json_t *j = parse(text, n, "the manifest", err);
	if (!j)
		return -1;
	if (!json_object_get(j, "manifests"))
		return 0;
	if (json_object_get(j, "layers") || json_object_get(j, "config"))
		return err_set(err, ERR_FORMAT, "the image has a text that is a manifest and an index");
	return choose(j, NULL, true, d, err) < 0 ? -1 : 1;
}

// ---- its parts ------------------------------------------------------------------------------------------------------

int layout_parse_manifest(const char *text, size_t n, struct manifest_of *m, struct blob_descriptor *config, struct err *err)
{
	AUTO_JSON json_t *j = parse(text, n, "the manifest", err);
	const json_t *layers = json_object_get(j, "layers");
	size_t n_layers = json_array_size(layers);
	if (!j)
		return -1;
	if (json_object_get(j, "manifests"))
		return err_set(err, ERR_FORMAT, "the image has a text that is a manifest and an index");
	if (get_descriptor(json_object_get(j, "config"), config, err) < 0)
		return -1;
	if (!json_is_array(layers) || n_layers == 0 || n_layers > LAYOUT_MAX_LAYERS)
		return err_set(err, ERR_FORMAT, "the image has no layers, or more than %d", LAYOUT_MAX_LAYERS);
	m->layers = mem_alloc(n_layers * sizeof *m->layers);
	for (m->n_layers = 0; m->n_layers < n_layers; m->n_layers++)
		if (get_descriptor(json_array_get(layers, m->n_layers), &m->layers[m->n_layers], err) < 0)
			return -1;
	return 0;
}

static int parse_config(const char *text, size_t n, struct manifest_of *m, struct err *err)
{
	AUTO_JSON json_t *j = parse(text, n, "the image's configuration", err);
	const json_t *ids = json_object_get(json_object_get(j, "rootfs"), "diff_ids");
	if (!j)
		return -1;
	if (json_array_size(ids) != m->n_layers)
		return err_set(err, ERR_FORMAT, "the image has %zu layers and %zu digests of them", m->n_layers,
			       json_array_size(ids));
	m->diff_ids = mem_alloc(m->n_layers * sizeof *m->diff_ids);
	for (size_t i = 0; i < m->n_layers; i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		if (!id || !blob_is_digest(id))
			return err_set(err, ERR_FORMAT, "a layer of the image has no SHA-256 digest");
		snprintf(m->diff_ids[i], sizeof m->diff_ids[i], "%s", id);
	}
	return 0;
}

static int find_manifest(int layout, const char *reference, struct blob_descriptor *d, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	if (file_read(layout, "index.json", LAYOUT_JSON_MAX, &text, NULL, err) < 0)
		return err_wrap(err, "it is no OCI image layout");
	AUTO_JSON json_t *index = parse(text.data, text.len, "index.json", err);
	if (!index || choose(index, reference, false, d, err) < 0)
		return -1;
	for (int i = 0, rc = 1; i < LAYOUT_NESTED && rc; i++) {
		AUTO_BUF struct buf inner = BUF_INIT;
		if (blob_read(layout, d, LAYOUT_JSON_MAX, &inner, err) < 0)
			return -1;
		rc = layout_parse_index(inner.data, inner.len, d, err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int layout_read(int layout, const char *reference, struct manifest_of *m, struct err *err)
{
	AUTO_BUF struct buf manifest = BUF_INIT;
	AUTO_BUF struct buf config_text = BUF_INIT;
	struct blob_descriptor config;
	*m = (struct manifest_of){.n_layers = 0};
	if (find_manifest(layout, reference, &m->descriptor, err) == 0 &&
	    blob_read(layout, &m->descriptor, LAYOUT_JSON_MAX, &manifest, err) == 0 &&
	    layout_parse_manifest(manifest.data, manifest.len, m, &config, err) == 0 &&
	    blob_read(layout, &config, LAYOUT_JSON_MAX, &config_text, err) == 0 &&
	    parse_config(config_text.data, config_text.len, m, err) == 0)
		return 0;
	layout_release(m);
	return -1;
}

void layout_release(struct manifest_of *m)
{
	free(TAKE(m->layers));
	free(TAKE(m->diff_ids));
}

// ---- making one -----------------------------------------------------------------------------------------------------

int layout_make(const char *directory, struct err *err)
{
	static const char version[] = "{\"imageLayoutVersion\": \"1.0.0\"}\n";
	AUTO_FREE char *blobs = mem_printf("%s/blobs/sha256", directory);
	AUTO_FREE char *file = mem_printf("%s/oci-layout", directory);
	return file_make_dirs(blobs, 0700, err) < 0 ? -1
						    : file_write_atomic(AT_FDCWD, file, version, strlen(version), 0600, err);
}

int layout_write_index(const char *directory, const struct blob_descriptor *manifest, struct err *err)
{
	AUTO_FREE char *file = mem_printf("%s/index.json", directory);
	AUTO_FREE char *text =
		mem_printf("{\"schemaVersion\": 2, \"manifests\": [{\"digest\": \"%s\", \"size\": %" PRIu64 "}]}\n",
			   manifest->digest, manifest->size);
	return file_write_atomic(AT_FDCWD, file, text, strlen(text), 0600, err);
}

// ---- archives -------------------------------------------------------------------------------------------------------

// "index.json", "oci-layout", "blobs/sha256/<hex>": nothing else of an archive is of interest.
static bool belongs(const char *name)
{
	static const char blobs[] = "blobs/sha256/";
	size_t n = strlen(blobs);
	return strcmp(name, "index.json") == 0 || strcmp(name, "oci-layout") == 0 ||
	       (strncmp(name, blobs, n) == 0 && strlen(name) == n + 64 && strspn(name + n, "0123456789abcdef") == 64);
}

static int copy_entry(struct archive *a, int dir, const char *name, uint64_t *left, struct err *err)
{
	AUTO_FREE char *piece = mem_alloc(PIECE);
	la_ssize_t n;
	AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "cannot unpack '%s'", name);
	while ((n = archive_read_data(a, piece, PIECE)) > 0) {
		if ((uint64_t)n > *left)
			return err_set(err, ERR_LIMIT, "the archive is larger than it may be");
		*left -= (uint64_t)n;
		if (write(fd, piece, (size_t)n) != (ssize_t)n)
			return err_errno(err, "cannot unpack '%s'", name);
	}
	return n < 0 ? err_set(err, ERR_FORMAT, "the archive is damaged: %.200s", archive_error_string(a)) : 0;
}

int layout_unpack(const char *path, const char *directory, struct err *err)
{
	AUTO_FREE char *blobs = mem_printf("%s/blobs/sha256", directory);
	uint64_t left = ARCHIVE_MAX;
	struct archive_entry *e;
	unsigned n = 0;
	int rc;
	if (file_make_dirs(blobs, 0700, err) < 0)
		return -1;
	AUTO_CLOSE int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct archive *a = archive_read_new();
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_format_tar(a);
	if (dir < 0 || archive_read_open_filename(a, path, PIECE) != ARCHIVE_OK) {
		archive_read_free(a);
		return err_set(err, ERR_FORMAT, "'%s' is no archive of an OCI image layout", path);
	}
	while ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK && n < MOST_FILES) {
		const char *name = archive_entry_pathname(e);
		if (name && strncmp(name, "./", 2) == 0)
			name += 2;
		if (!name || archive_entry_filetype(e) != AE_IFREG || !belongs(name))
			continue;
		n++;
		if (copy_entry(a, dir, name, &left, err) < 0) {
			archive_read_free(a);
			return -1;
		}
	}
	archive_read_free(a);
	return rc == ARCHIVE_EOF && n ? 0 : err_set(err, ERR_FORMAT, "'%s' is no archive of an OCI image layout", path);
}

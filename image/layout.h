// What an OCI image layout says: which images it has, and of one of them the layers (image-layout.md, manifest.md). Everything is
// from somebody else: sizes are bounded, digests checked. Thread: any.
#ifndef COFFER_IMAGE_LAYOUT_H
#define COFFER_IMAGE_LAYOUT_H

#include "image/blobs.h"

enum { LAYOUT_MAX_LAYERS = 256, LAYOUT_NESTED = 3 /* an index in an index … */ };
#define LAYOUT_JSON_MAX ((size_t)4 << 20) // of a manifest, an index, a configuration

struct manifest_of {
	struct blob_descriptor descriptor; // of the manifest itself
	size_t n_layers;
	struct blob_descriptor *layers; // lowest first
	char (*diff_ids)[BLOB_DIGEST];  // what each unpacks to
};
// `reference` as in image_import. Of an index with several platforms, linux on this machine's architecture.
int layout_read(int layout, const char *reference, struct manifest_of *m, struct err *err);
void layout_release(struct manifest_of *m);
// Makes a directory with one blob for each, and no image yet; then names the image in it.
int layout_make(const char *directory, struct err *err);
int layout_write_index(const char *directory, const struct blob_descriptor *manifest, struct err *err);
// From a tar archive, only what belongs to a layout, into a new directory.
int layout_unpack(const char *archive, const char *directory, struct err *err);

// The parts of it that parse. A text is a manifest or an index, never both, so that nobody reads it as the other one.
// 1: it is an index, and *d the one manifest (or index) in it for linux on this machine's architecture, without a variant (as v3)
// where there is a choice; 0: it is no index; -1: ERR_FORMAT, ERR_NOT_FOUND, ERR_USAGE (there are several).
int layout_parse_index(const char *text, size_t n, struct blob_descriptor *d, struct err *err);
int layout_parse_manifest(const char *text, size_t n, struct manifest_of *m, struct blob_descriptor *config,
			  struct err *err);

#endif

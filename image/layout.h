// What an OCI image layout says: which images it has, and of one of them the layers (image-layout.md, manifest.md). Everything is
// from somebody else: sizes are bounded, digests checked. Thread: any.
#ifndef COFFER_IMAGE_LAYOUT_H
#define COFFER_IMAGE_LAYOUT_H

#include "image/blobs.h"

enum { LAYOUT_MAX_LAYERS = 256 };

struct manifest_of {
	struct blob_descriptor descriptor; // of the manifest itself
	size_t n_layers;
	struct blob_descriptor *layers; // lowest first
	char (*diff_ids)[BLOB_DIGEST];  // what each unpacks to
};
// `reference` as in image_import. Of an index with several platforms, linux on this machine's architecture.
int layout_read(int layout, const char *reference, struct manifest_of *m, struct err *err);
void layout_release(struct manifest_of *m);
// From a tar archive, only what belongs to a layout, into a new directory.
int layout_unpack(const char *archive, const char *directory, struct err *err);

// For tests and fuzzing: the parts of it that parse.
int layout_parse_manifest(const char *text, size_t n, struct manifest_of *m, struct blob_descriptor *config,
			  struct err *err);

#endif

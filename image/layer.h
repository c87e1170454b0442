// Applies the layers of an OCI image to a directory (image-spec layer.md): files, directories, links and whiteouts.
//
// A layer is hostile until it was read: names that are absolute or go through ".." refuse the image; links never lead out of the
// root, whatever they say; devices, fifos and sockets are left out; set-user-id and set-group-id bits are taken away; everything
// belongs to whoever unpacks. Bytes and entries are bounded. Thread: any.
#ifndef COFFER_IMAGE_LAYER_H
#define COFFER_IMAGE_LAYER_H

#include "image/blobs.h"

struct layer_limits {
	uint64_t bytes;   // of all files of the image
	uint64_t entries; // of all its layers
};
struct layer_root {
	int fd; // of the directory
	struct layer_limits left;
	unsigned left_out; // entries that no compiler needs
};

// `fd` is the layer as it is in the layout (tar, gzip or zstd), whose digest was found right; `diff_id` is what its unpacked bytes
// must hash to. ERR_FORMAT, ERR_LIMIT.
int layer_apply(struct layer_root *root, int fd, const char *diff_id, struct err *err);

#endif

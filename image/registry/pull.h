// Imports an image from a registry: the manifest that is meant, then its blobs into an OCI layout beside the images, and from there
// as any other layout (image/image.h). A tag is asked for once, and all that follows goes by digests; each blob is hashed while it
// comes and may have no byte more than its manifest says. Thread: any.
#ifndef COFFER_IMAGE_REGISTRY_PULL_H
#define COFFER_IMAGE_REGISTRY_PULL_H

#include "image/image.h"
#include "image/registry/registry.h"

struct registry_source {
	const char *reference;
	const char *mkfs; // as in struct image_source
};
// `pinned`: HOST/NAME[:TAG]@sha256:…, what the reference named when it was asked for (the digest of an index, where it is one).
// 1: the image was here already; 0: it is now; -1: as registry_get() and image_import().
int registry_import(const struct registry_config *config, const struct registry_source *source, const char *images,
		    char pinned[REFERENCE_PINNED], struct image_info *info, struct err *err);

#endif

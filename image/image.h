// The images of a worker: OCI images, unpacked into a directory that is named by the manifest's digest.
//
//   IMAGES/sha256-<64 hex digits>/rootfs      the files, read-only from now on
//   IMAGES/sha256-<64 hex digits>/disk.erofs  the same as one file system, for virtual machines (image/disk.h)
//   IMAGES/sha256-<64 hex digits>/image.json  where it came from, and digests over all its files and of the disk
// An image appears whole or not at all. Thread: any.
#ifndef COFFER_IMAGE_IMAGE_H
#define COFFER_IMAGE_IMAGE_H

#include "image/blobs.h"

#define IMAGE_MAX_BYTES ((uint64_t)32 << 30)
#define IMAGE_MAX_ENTRIES ((uint64_t)2000000)

#define IMAGE_DISK "disk.erofs"

struct image_info {
	char digest[BLOB_DIGEST]; // of the manifest: the name of the toolchain in keys, routes and audit rows
	char tree[BLOB_DIGEST];   // over the unpacked files
	char disk[BLOB_DIGEST];   // of the disk, or "": it has none
	char reference[740];      // as it was asked for, or ""
	uint64_t bytes, files, disk_bytes;
	unsigned left_out; // devices and the like
};

struct image_source {
	const char *layout; // an OCI layout: a directory, or a tar archive of one
	// A digest ("sha256:…") or the name that the layout has for the image; NULL: the only one that it has.
	const char *reference;
	const char *from; // what image.json says of where it came from; NULL: the reference
	const char *mkfs; // the program that makes the disk; NULL: there is to be none
};
// 1: it was here already; 0: it is now; -1: ERR_NOT_FOUND, ERR_FORMAT, ERR_LIMIT.
int image_import(const struct image_source *source, const char *images, struct image_info *info, struct err *err);

// What image.json of one image says. `name`: "sha256:…".
int image_read(const char *images, const char *name, struct image_info *info, struct err *err);
// Whether its files and its disk are still those that were made. ERR_FORMAT: they are not.
int image_verify(const char *images, const char *name, struct image_info *info, struct err *err);
// ERR_NOT_FOUND; ERR_BUSY: a worker has sessions in it (image/use.h).
int image_remove(const char *images, const char *name, struct err *err);

// A digest over names, kinds, modes, contents and link targets of all files below a directory: the same for the same files.
int image_tree_digest(int root, char digest[BLOB_DIGEST], uint64_t *bytes, uint64_t *files, struct err *err);

#endif

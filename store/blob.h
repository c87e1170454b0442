// The blob file: bytes of one key, packed, with a header that proves whose they are and that they are whole.
//
//	 0   8  magic "coffer" '\0' and the format's number
//	 8  16  XXH3-128 over everything that follows
//	24   1  kind (enum store_kind)
//	25   1  packing: 0 raw, 1 one zstd frame
//	26   6  zero
//	32  16  key
//	48   8  raw size, little-endian
//	56      the stored bytes, up to the end of the file
//
// A bundle is several of them in one file, which has a name for each (hard links):
//
//	 0   8  magic "coffer" '\0' and the bundle's number
//	 8      for each blob its length in four bytes, little-endian, and what stands above
//
// The checksum is in front of all it covers, so that every bit of a file but magic and checksum themselves is under it,
// and a wrong key or kind is found even when somebody copies one blob's file over another's. Thread: any.
#ifndef COFFER_STORE_BLOB_H
#define COFFER_STORE_BLOB_H

#include "store/store.h"

#include <limits.h>

#define BLOB_HEADER ((size_t)56)
// No file is larger: what zstd does not make smaller is stored raw.
#define BLOB_FILE_MAX (STORE_MAX_BLOB + BLOB_HEADER)

// This thread's buffer for a blob file on its way in or out, empty. It is kept from call to call, because fresh pages
// for every blob cost more than reading it. In use until blob_scratch_done(), which lets go of the memory when one blob
// has made it large.
struct buf *blob_scratch(void);
void blob_scratch_done(struct buf *file);

// A level of zstd that leaves the bytes as they are.
#define BLOB_UNPACKED INT_MIN
// Builds the whole file in `file` (empty before). ERR_LIMIT past STORE_MAX_BLOB.
int blob_pack(enum store_kind kind, const struct digest *key, const struct store_part *parts, size_t n_parts, int level,
	      struct buf *file, struct err *err);
// For large blobs that are not packed, which need no copy: by the first BLOB_HEADER bytes of a file of `size` bytes, is what follows
// the raw bytes? And are `n` bytes that followed the blob of this kind and key?
bool blob_is_unpacked(const void *header, size_t size);
bool blob_follows(const void *header, const void *stored, size_t n, enum store_kind kind, const struct digest *key);
// Starts a bundle in `file` (empty before), and adds a blob as blob_pack() made it.
void blob_bundle_begin(struct buf *file);
void blob_bundle_add(struct buf *file, const struct buf *blob);
bool blob_is_bundle(const void *file, size_t n);
// Where in a file the blob of this kind and key stands: all of it, unless it is a bundle, whose last record of it counts. NULL: it is
// in none, or the bundle is torn before it. What is found may still be corrupt.
const void *blob_find(const void *file, size_t n, enum store_kind kind, const struct digest *key, size_t *size);
// Adds the raw bytes to `out`. ERR_FORMAT when these bytes are not the whole blob of this kind and key; ERR_LIMIT when
// `out` may not become so large. On failure nothing has been added.
int blob_unpack(const void *file, size_t n, enum store_kind kind, const struct digest *key, struct buf *out,
		struct err *err);

#endif

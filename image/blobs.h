// The blobs of an OCI image layout (image-layout.md): files named by their SHA-256 below blobs/sha256/. Nothing of a blob is used
// before its digest was found right. Thread: any.
#ifndef COFFER_IMAGE_BLOBS_H
#define COFFER_IMAGE_BLOBS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { BLOB_DIGEST = 72, BLOB_HEX = 65 }; // "sha256:" and 64 hex digits, with the final '\0'

struct blob_descriptor {
	char digest[BLOB_DIGEST];
	uint64_t size;
	char media_type[128];
};

bool blob_is_digest(const char *text);
// Opens it and checks size and digest of all its bytes; the position is at the start. -1 with ERR_NOT_FOUND, ERR_FORMAT.
int blob_open(int layout, const struct blob_descriptor *d, int *fd, struct err *err);
int blob_read(int layout, const struct blob_descriptor *d, size_t most, struct buf *out, struct err *err);
// SHA-256 of an open file from its start to its end, as text.
int blob_digest_of(int fd, char digest[BLOB_DIGEST], struct err *err);
void blob_digest_text(const uint8_t sha256[32], char digest[BLOB_DIGEST]);

#endif

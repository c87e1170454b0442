// SHA-256 of files: what names a file for other machines. Remembered by the file's identity, under the same rule as files.h:
// only of a file that was older than FILES_AGE_FLOOR_NS when it was read. Bounded; when full, it is emptied. Thread: any.
#ifndef COFFER_DEPSCAN_CONTENT_H
#define COFFER_DEPSCAN_CONTENT_H

#include "codec/hash.h"
#include "codec/sha/sha256.h"
#include "depscan/files.h"

struct contents;
struct contents *contents_new(void);
void contents_free(struct contents *c);

// Both digests are of the same bytes. 0, or -1 as files_digest().
int contents_find(struct contents *c, int dirfd, const char *path, struct sha256 *sha256, struct digest *digest,
		  struct err *err);
// The same of a regular file that has just been looked at: `id` is what it is.
int contents_of(struct contents *c, int dirfd, const char *path, const struct file_id *id, struct sha256 *sha256,
		struct digest *digest, struct err *err);

#endif

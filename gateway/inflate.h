// A blob that comes as zstd, in pieces: what is in it, and never more than it may have. Its room grows before its bytes do, and has
// zstd's window in it. Thread: one at a time.
#ifndef COFFER_GATEWAY_INFLATE_H
#define COFFER_GATEWAY_INFLATE_H

#include "gateway/blobs.h"

enum { INFLATE_WINDOW_LOG = 25 }; // 32 MiB: what a sender may make us remember

struct inflate {
	struct ZSTD_DCtx_s *zstd;
	bool is_inside; // of a frame
	struct room *room;
};
void inflate_begin(struct inflate *z, struct room *room); // of this blob only; must live as long; NULL: without an account
void inflate_release(struct inflate *z);                  // also of one that is all zero
// Adds what comes out to `out`. ERR_FORMAT: it is no zstd, or more than `most` bytes would be there; ERR_FULL, ERR_LIMIT: no room.
int inflate_take(struct inflate *z, const void *p, size_t n, struct buf *out, uint64_t most, struct err *err);
int inflate_end(const struct inflate *z, struct err *err); // ERR_FORMAT: the last frame is not whole

#endif

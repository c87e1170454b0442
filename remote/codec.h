// Compression of single messages: one frame each, without a dictionary (gRPC compression.md; gRFC A122 for zstd). Thread:
// any.
#ifndef COFFER_REMOTE_CODEC_H
#define COFFER_REMOTE_CODEC_H

#include "base/buf.h"
#include "remote/rpc.h"

// 1: *out (to be free()d) has it in *n bytes, fewer than before. 0: it is not worth it, or there is nothing to do.
int codec_compress(enum rpc_encoding e, const void *p, size_t len, char **out, size_t *n);
// *out (to be free()d) has *n bytes, at most `max`: ERR_LIMIT past it, before more memory than that is used. ERR_FORMAT.
int codec_decompress(enum rpc_encoding e, const void *p, size_t len, size_t max, char **out, size_t *n, struct err *err);

#endif

// Contexts of zstd that are used again. To make one, zstd asks the processor what it is, which in a virtual machine takes 30
// to 100 microseconds, and its fresh pages cost more than a small job's bytes.
//
// One that is taken has no parameters set and no frame begun. Of those that are given back some are kept: at most 16, with 8
// MiB in all. Out of memory aborts. Thread: any.
#ifndef COFFER_CODEC_ZSTD_H
#define COFFER_CODEC_ZSTD_H

#include <zstd.h>

ZSTD_CCtx *zstd_take_packer(void);
void zstd_give_packer(ZSTD_CCtx *c); // NULL is fine
ZSTD_DCtx *zstd_take_unpacker(void);
void zstd_give_unpacker(ZSTD_DCtx *d); // NULL is fine

#endif

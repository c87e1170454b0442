// The source as it comes in: one zstd frame in pieces, unpacked and digested on the way, kept as it came.
//
// A source may wait for minutes, so that its packed bytes are what stays in memory; a job's agent unpacks it
// once more (agent/source.h), which costs about a millisecond for a megabyte. Limits: bytes packed and unpacked, the window
// (8 MiB), and how much more comes out than goes in, so that nobody buys seconds of our time with a few bytes. Thread: one.
#ifndef COFFER_WORKER_UPLOAD_H
#define COFFER_WORKER_UPLOAD_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { UPLOAD_WINDOW_LOG = 23 };
#define UPLOAD_FREE_BYTES ((uint64_t)4 << 20) // what may come out whatever the ratio is
#define UPLOAD_MAX_RATIO 1000

struct upload {
	struct buf packed;
	uint64_t size; // unpacked
	uint64_t max;  // of it
	uint8_t digest[32];
	bool is_whole;
	struct unpacking *unpacking; // until it is whole
};

void upload_init(struct upload *u, uint64_t max_bytes);
void upload_release(struct upload *u);
// ERR_FORMAT: no zstd frame, or bytes behind it; ERR_LIMIT: larger than `max`; ERR_USAGE: it unpacks to too much, or has in
// it what the assembler would read from a file (.incbin, .include), which no digest covers.
int upload_take(struct upload *u, const void *p, size_t n, struct err *err);
// No more comes: `size` and `digest` (SHA-256) are right. ERR_FORMAT: the frame is not whole.
int upload_end(struct upload *u, struct err *err);
// Bytes of memory that it holds now.
size_t upload_memory(const struct upload *u);

#endif

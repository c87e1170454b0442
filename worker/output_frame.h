// The outputs of a job on their way out: digested, and packed one after the other into one zstd frame, as they go to the client and as
// they are kept. Memory holds the packed bytes only. Thread: one.
#ifndef COFFER_WORKER_OUTPUT_FRAME_H
#define COFFER_WORKER_OUTPUT_FRAME_H

#include "base/buf.h"
#include "worker/header.h"
#include "worker/runtime/runtime.h"

struct packed_output {
	int kind; // an enum Coffer__V1__Output__Kind
	uint8_t sha256[32];
	uint64_t size;
};

struct packer {
	struct buf frame;
	struct packed_output outputs[HEADER_MAX_OUTPUTS];
	size_t n;
	uint64_t left;           // unpacked bytes that may still come
	struct packing *packing; // while it is at work
};

void packer_init(struct packer *p, uint64_t max_bytes);
void packer_release(struct packer *p);
// From here on the bytes that the sink gets are those of the next output. One after the other.
int packer_begin(struct packer *p, int kind, struct err *err);
int packer_add(struct packer *p, const void *bytes, size_t n, struct err *err); // ERR_LIMIT past max_bytes
int packer_end(struct packer *p, struct err *err); // the frame is whole; empty if there was no output

#endif

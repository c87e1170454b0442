// The outputs of a job on their way out: digested, and packed one after the other into one zstd frame, as they go to the
// client and as they are kept. Memory holds the packed bytes only. Thread: one.
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

struct output_frame {
	struct buf frame;
	struct packed_output outputs[HEADER_MAX_OUTPUTS];
	size_t n;
	uint64_t left;           // unpacked bytes that may still come
	struct packing *packing; // while it is at work
};

void output_frame_init(struct output_frame *p, uint64_t max_bytes);
void output_frame_release(struct output_frame *p);
// From here on the bytes that the sink gets are those of the next output. One after the other.
int output_frame_begin(struct output_frame *p, int kind, struct err *err);
int output_frame_add(struct output_frame *p, const void *bytes, size_t n, struct err *err); // ERR_LIMIT past max_bytes
int output_frame_end(struct output_frame *p, struct err *err); // the frame is whole; empty if there was no output

#endif

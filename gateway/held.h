// Messages that a client has sent, or that are in a blob: unpacked, with the memory that they take in their tenant's account.
// Thread: one at a time.
#ifndef COFFER_GATEWAY_HELD_H
#define COFFER_GATEWAY_HELD_H

#include "gateway/blobs.h"

#include <protobuf-c/protobuf-c.h>

struct held {
	ProtobufCMessage *message; // NULL: none
	size_t n;                  // bytes that it came in
	struct room room;
};

// Of bytes that are in memory, and stay there until held_release. ERR_FORMAT: also of too many parts; ERR_LIMIT,
// ERR_FULL: no room.
int held_unpack(struct held *h, struct tenant_blobs *t, const ProtobufCMessageDescriptor *descriptor, const void *p,
		size_t n, struct err *err);
// Of a blob of at most `most` bytes: 1; 0: it is not there; -1 also for ERR_LIMIT.
int held_load(struct held *h, struct tenant_blobs *t, const ProtobufCMessageDescriptor *descriptor,
	      const struct reapi_digest *d, size_t most, struct err *err);
void held_release(struct held *h); // also of one that is all zero

#endif

// Why there was no known result for a compile, as far as a worker knows: from what it was last asked to make of the same source for the
// same tenant since its start. A source is preprocessed text or the listing of a tree, by its digest.
//
// The memory is a table of MISSES_REMEMBERED sources, about 400 KiB, in which a newer one may take the place of an older one. So a source of
// long ago may count as new; no other cause is ever named wrongly. Thread: any.
#ifndef COFFER_WORKER_MISSES_H
#define COFFER_WORKER_MISSES_H

#include "worker/key.h"

enum { MISSES_REMEMBERED = 8192 };

enum miss_cause {
	MISS_SOURCE,    // this source was not here before
	MISS_TOOLCHAIN, // last time it was for another compiler
	MISS_ARGUMENTS, // last time it was for the same one, with other arguments or outputs
	MISS_SAME,      // the same job was here, and no result of it is left
};

struct misses;
struct misses *misses_new(void);
void misses_free(struct misses *m); // NULL is fine

// `toolchain` is the image's or the host's identity. From now on this is the last job of the source.
enum miss_cause misses_note(struct misses *m, const char *tenant, const uint8_t source[32], const char *toolchain,
			    const char *compiler, const struct key *key);

#endif

// The source of a job on its way into the scratch directory: written as it comes, or unpacked first.
//
// The worker has unpacked and digested the same bytes before the job got its place; what comes here is still not trusted
// with more than the scratch space, and a window of 8 MiB.
#ifndef COFFER_AGENT_SOURCE_H
#define COFFER_AGENT_SOURCE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source {
	int fd;
	uint64_t n, max; // bytes that were written, and may be
	bool is_packed;  // what comes is one zstd frame
	bool is_whole;   // the frame was
	struct ZSTD_DCtx_s *zstd;
	char *room;
};

// `fd` stays the caller's.
void source_init(struct source *s, int fd, uint64_t max, bool is_packed);
void source_release(struct source *s);
// ERR_LIMIT: more than `max`; ERR_FORMAT: no zstd frame, or bytes behind it; ERR_FULL and others: it cannot be written.
int source_take(struct source *s, const void *p, size_t n, struct err *err);
int source_end(struct source *s, struct err *err); // ERR_FORMAT: the frame is not whole

#endif

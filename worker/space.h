// Is there room on disk for the files of jobs? Looked at twice a second at the most; the log has a line when it ends and one
// when it is there again. Thread: any.
#ifndef COFFER_WORKER_SPACE_H
#define COFFER_WORKER_SPACE_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SPACE_LEAST ((uint64_t)16 << 20) // free bytes, below which no job begins

struct space {
	const char *directory; // NULL: jobs have none of the disk
	pthread_mutex_t lock;
	int64_t looked_at_ms; // 0: never
	uint64_t free_bytes;
	bool is_short;
};
void space_init(struct space *s, const char *directory);
void space_release(struct space *s);
int space_check(struct space *s, struct err *err);

#endif

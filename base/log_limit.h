// A limit for lines of the log that strangers can cause: so many in a time, and the next one says how many were left out.
// All zero at the beginning. Thread: any.
#ifndef COFFER_BASE_LOG_LIMIT_H
#define COFFER_BASE_LOG_LIMIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { LOG_LIMIT_LINES = 100, LOG_LIMIT_MS = 10000 };

struct log_limit {
	pthread_mutex_t lock;
	int64_t since_ms;
	unsigned lines;
	uint64_t left_out;
};
#define LOG_LIMIT_INIT                             \
	{                                          \
		PTHREAD_MUTEX_INITIALIZER, 0, 0, 0 \
	}

// Whether there may be one more line at this time; *left_out is how many there might not, since the last one that was.
bool log_limit_take(struct log_limit *l, int64_t now_ms, uint64_t *left_out);

#endif

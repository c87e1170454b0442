// Time that only goes forwards (CLOCK_MONOTONIC), for limits and durations. For file times: clock_now_ns() in base/file.h.
#ifndef COFFER_BASE_CLOCK_H
#define COFFER_BASE_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

static inline int64_t clock_of(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t clock_ns(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

// CPU time of the calling thread.
static inline int64_t clock_thread_ns(void)
{
	return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

// Of the times in a struct rusage.
static inline uint64_t clock_us_of(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static inline int64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

#endif

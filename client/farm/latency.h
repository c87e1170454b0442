// How long jobs take somewhere: a mean that follows the last ones, and what is judged by it. Thread: the caller locks.
#ifndef COFFER_CLIENT_FARM_LATENCY_H
#define COFFER_CLIENT_FARM_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

struct latency {
	unsigned n;
	int64_t mean_ms;
};
void latency_note(struct latency *p, int64_t ms);
// The shorter one of `best_ms` (-1: none yet) and this pace, once enough is known of it.
int64_t latency_best(int64_t best_ms, const struct latency *p);
// Several times slower than the best.
bool latency_is_slow(const struct latency *p, int64_t best_ms);
// After so long a job is late: a core that is idle takes it over.
int64_t latency_patience_ms(int64_t best_ms);

#endif

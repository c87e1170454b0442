#include "client/farm/latency.h"

enum {
	KNOWN = 4,   // jobs, before anything is said of a mean
	FOLLOWS = 8, // jobs back that a mean looks
	SLOWER = 4,  // times
	SLACK_MS = 200,
	PATIENCE_MS = 5000,
};

void latency_note(struct latency *p, int64_t ms)
{
	p->n++;
	p->mean_ms += (ms - p->mean_ms) / (p->n < FOLLOWS ? (int64_t)p->n : FOLLOWS);
}

int64_t latency_best(int64_t best_ms, const struct latency *p)
{
	if (p->n < KNOWN || (best_ms >= 0 && best_ms <= p->mean_ms))
		return best_ms;
	return p->mean_ms;
}

bool latency_is_slow(const struct latency *p, int64_t best_ms)
{
	return p->n >= KNOWN && best_ms >= 0 && p->mean_ms > SLOWER * best_ms + SLACK_MS;
}

int64_t latency_patience_ms(int64_t best_ms)
{
	return SLOWER * best_ms > PATIENCE_MS ? SLOWER * best_ms : PATIENCE_MS;
}

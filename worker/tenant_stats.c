#include "worker/tenant_stats.h"

#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

// Tenants are those that the scheduler has signed tokens for.
enum { MAX_TENANTS = 4096 };

struct count {
	uint64_t answers, hits;
};

struct tenant_stats {
	pthread_mutex_t lock;
	struct map counts; // by tenant
};

struct tenant_stats *tenant_stats_new(void)
{
	struct tenant_stats *t = mem_alloc(sizeof *t);
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void tenant_stats_free(struct tenant_stats *t)
{
	if (!t)
		return;
	void *count;
	for (size_t at = 0; map_next(&t->counts, &at, NULL, NULL, &count);)
		free(count);
	map_release(&t->counts);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void tenant_stats_add(struct tenant_stats *t, const char *tenant, bool is_hit)
{
	pthread_mutex_lock(&t->lock);
	struct count *c = map_gets(&t->counts, tenant);
	if (!c && t->counts.n < MAX_TENANTS) {
		c = mem_alloc(sizeof *c);
		map_puts(&t->counts, tenant, c);
	}
	if (c) {
		c->answers++;
		c->hits += is_hit;
	}
	pthread_mutex_unlock(&t->lock);
}

void tenant_stats_of(struct tenant_stats *t, const char *tenant, uint64_t *answers, uint64_t *hits)
{
	pthread_mutex_lock(&t->lock);
	const struct count *c = map_gets(&t->counts, tenant);
	*answers = c ? c->answers : 0;
	*hits = c ? c->hits : 0;
	pthread_mutex_unlock(&t->lock);
}

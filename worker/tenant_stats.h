// How many answers each tenant has had since the start, and how many of them were known results. Thread: any.
#ifndef COFFER_WORKER_TENANT_STATS_H
#define COFFER_WORKER_TENANT_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct tenant_stats;
struct tenant_stats *tenant_stats_new(void);
void tenant_stats_free(struct tenant_stats *t); // NULL is fine

void tenant_stats_add(struct tenant_stats *t, const char *tenant, bool is_hit);
// Both are 0 of a tenant that has not been here.
void tenant_stats_of(struct tenant_stats *t, const char *tenant, uint64_t *answers, uint64_t *hits);

#endif

// How many answers each tenant has had since the start, and how many of them were known results. Thread: any.
#ifndef COFFER_WORKER_TENANT_STATS_H
#define COFFER_WORKER_TENANT_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct tally;
struct tally *tally_new(void);
void tally_free(struct tally *t); // NULL is fine

void tally_add(struct tally *t, const char *tenant, bool is_hit);
// Both are 0 of a tenant that has not been here.
void tally_of(struct tally *t, const char *tenant, uint64_t *answers, uint64_t *hits);

#endif

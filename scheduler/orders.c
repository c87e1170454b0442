#include "scheduler/orders.h"

#include "base/map.h"
#include "base/mem.h"
#include "codec/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct orders {
	struct map all;
	uint64_t questions;
};

struct ranked {
	uint64_t rank;
	struct worker *worker;
};

struct orders *orders_new(void)
{
	return mem_alloc(sizeof(struct orders));
}

void orders_forget(struct orders *o)
{
	void *value;
	for (size_t at = 0; map_next(&o->all, &at, NULL, NULL, &value);) {
		struct order *x = value;
		free(x->all);
		free(x);
	}
	map_release(&o->all);
	o->all = (struct map)MAP_INIT;
}

void orders_free(struct orders *o)
{
	if (!o)
		return;
	orders_forget(o);
	free(o);
}

uint64_t orders_question(struct orders *o)
{
	return ++o->questions;
}

static uint64_t rank_of(const char *tenant, const char *worker)
{
	char both[2 * TOKEN_NAME_MAX + 3];
	int n = snprintf(both, sizeof both, "%s/%s", tenant, worker);
	return hash64(both, (size_t)n);
}

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void make(struct order *x, const struct image_workers *from, const struct tenants *tenants,
		 const struct tenant *tenant, int isolation)
{
	AUTO_FREE struct ranked *ranked = mem_alloc((from->n + 1) * sizeof *ranked);
	size_t n = 0;
	for (size_t i = 0; i < from->n; i++) {
		struct worker *w = from->all[i];
		if (!w->draining && w->isolation >= isolation && tenant_may_use_worker(tenant, w->name) &&
		    !tenants_is_denied(tenants, w->name))
			ranked[n++] = (struct ranked){rank_of(tenant->name, w->name), w};
	}
	qsort(ranked, n, sizeof *ranked, by_rank);
	x->all = mem_realloc(x->all, (n + 1) * sizeof(struct worker *));
	for (x->n = 0; x->n < n; x->n++)
		x->all[x->n] = ranked[x->n].worker;
}

const struct order *orders_get(struct orders *o, const struct registry *registry, const struct tenants *tenants,
			       const struct tenant *tenant, const char *image, int isolation)
{
	static const struct order none;
	char key[TOKEN_NAME_MAX + TOKEN_IMAGE_MAX + 16];
	const struct image_workers *from = registry_image(registry, image);
	if (!from)
		return &none; // nothing is kept for names that anybody may think of
	int n = snprintf(key, sizeof key, "%d %s %s", isolation, tenant->name, image);
	struct order *x = map_get(&o->all, key, (size_t)n);
	if (!x) {
		if (o->all.n >= ORDERS_MAX)
			orders_forget(o);
		x = mem_alloc(sizeof *x);
		map_put(&o->all, key, (size_t)n, x);
	}
	if (x->generation != registry_generation(registry) || x->tenants != tenants) {
		make(x, from, tenants, tenant, isolation);
		x->generation = registry_generation(registry);
		x->tenants = tenants;
	}
	return x;
}

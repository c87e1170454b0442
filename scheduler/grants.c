#include "scheduler/grants.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

// How often a tenant has asked in the time that began at since_ms.
struct asked {
	int64_t since_ms;
	unsigned n;
};

struct grants {
	struct grant *all; // ordered by tenant, client, image
	size_t n, room;
	struct map asked; // by tenant
};

struct grants *grants_new(void)
{
	return mem_alloc(sizeof(struct grants));
}

static void grant_release(struct grant *g)
{
	free((char *)(uintptr_t)g->tenant);
	free((char *)(uintptr_t)g->client);
	free((char *)(uintptr_t)g->image);
	free(g->picks);
}

void grants_free(struct grants *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++)
		grant_release(&g->all[i]);
	free(g->all);
	void *value;
	const char *key;
	size_t len;
	for (size_t at = 0; map_next(&g->asked, &at, &key, &len, &value);)
		free(value);
	map_release(&g->asked);
	free(g);
}

void grants_expire(struct grants *g, int64_t now_ms)
{
	size_t kept = 0;
	for (size_t i = 0; i < g->n; i++) {
		if (g->all[i].ends_ms > now_ms)
			g->all[kept++] = g->all[i];
		else
			grant_release(&g->all[i]);
	}
	g->n = kept;
}

// The place of the grant, or where it would be.
static size_t place_of(const struct grants *g, const char *tenant, const char *client, const char *image, bool *is_there)
{
	size_t low = 0, high = g->n;
	*is_there = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct grant *at = &g->all[mid];
		int order = strcmp(at->tenant, tenant);
		order = order ? order : strcmp(at->client, client);
		order = order ? order : strcmp(at->image, image);
		if (order == 0) {
			*is_there = true;
			return mid;
		}
		if (order > 0)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

const struct grant *grants_find(const struct grants *g, const char *tenant, const char *client, const char *image)
{
	bool is_there;
	size_t at = place_of(g, tenant, client, image, &is_there);
	return is_there ? &g->all[at] : NULL;
}

void grants_put(struct grants *g, const struct grant *grant)
{
	struct grant copy = *grant;
	copy.tenant = mem_strdup(grant->tenant);
	copy.client = mem_strdup(grant->client);
	copy.image = mem_strdup(grant->image);
	copy.picks = mem_alloc((grant->n_picks ? grant->n_picks : 1) * sizeof *copy.picks);
	if (grant->n_picks)
		memcpy(copy.picks, grant->picks, grant->n_picks * sizeof *copy.picks);
	bool is_there;
	size_t at = place_of(g, grant->tenant, grant->client, grant->image, &is_there);
	if (is_there) {
		grant_release(&g->all[at]);
		g->all[at] = copy;
		return;
	}
	if (g->n == g->room) {
		g->room = g->room ? 2 * g->room : 16;
		g->all = mem_realloc(g->all, g->room * sizeof *g->all);
	}
	memmove(&g->all[at + 1], &g->all[at], (g->n++ - at) * sizeof *g->all);
	g->all[at] = copy;
}

bool grants_may_ask(struct grants *g, const char *tenant, int64_t now_ms)
{
	size_t clients = 0;
	for (size_t i = 0; i < g->n; i++)
		clients += strcmp(g->all[i].tenant, tenant) == 0;
	struct asked *asked = map_gets(&g->asked, tenant);
	if (!asked) {
		asked = mem_alloc(sizeof *asked);
		asked->since_ms = now_ms;
		map_puts(&g->asked, tenant, asked);
	}
	if (now_ms - asked->since_ms >= GRANT_QUESTIONS_MS)
		*asked = (struct asked){.since_ms = now_ms};
	return ++asked->n <= GRANT_MAX_QUESTIONS && clients < GRANT_MAX_CLIENTS;
}

size_t grants_count(const struct grants *g)
{
	return g->n;
}

const struct grant *grants_at(const struct grants *g, size_t i)
{
	return &g->all[i];
}

uint64_t grants_slots_of(const struct grants *g, const char *tenant)
{
	uint64_t slots = 0;
	for (size_t i = 0; i < g->n; i++)
		slots += strcmp(g->all[i].tenant, tenant) == 0 ? g->all[i].slots : 0;
	return slots;
}

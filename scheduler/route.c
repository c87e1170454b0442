#include "scheduler/route.h"

#include "base/mem.h"
#include "codec/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What has been given of one worker.
struct use {
	uint64_t others;         // slots of all clients but this one
	uint64_t ours;           // of them the tenant's
	uint64_t own;            // of this client
	uint64_t tenants;        // with slots there, besides ours
	uint64_t our_clients;    // of the tenant with slots there, besides this one
	const char *last_tenant; // that was counted
};

// A worker that may be chosen.
struct candidate {
	const struct worker *worker;
	const struct use *use;
	uint64_t rank; // the tenant's own order
	uint64_t room; // slots it could have there
	uint64_t part; // slots it gets
	uint64_t rest; // of the division, to give away what is left
};

// How many workers passed each question so far, for the reason why none is left.
struct funnel {
	size_t here, allowed, with_image, isolated, willing, not_avoided;
};

static int least_isolation(const struct route_question *q)
{
	return q->isolation > q->tenant->isolation ? q->isolation : q->tenant->isolation;
}

static bool is_avoided(const struct route_question *q, const char *worker)
{
	for (size_t i = 0; i < q->n_avoid; i++)
		if (strcmp(q->avoid[i], worker) == 0)
			return true;
	return false;
}

static bool is_candidate(const struct route_question *q, const struct worker *w, struct funnel *f)
{
	f->here++;
	if (!tenant_may_use_worker(q->tenant, w->name) || tenants_is_denied(q->tenants, w->name))
		return false;
	f->allowed++;
	if (!worker_has_image(w, q->image))
		return false;
	f->with_image++;
	if (w->isolation < least_isolation(q))
		return false;
	f->isolated++;
	if (w->draining)
		return false;
	f->willing++;
	if (is_avoided(q, w->name))
		return false;
	f->not_avoided++;
	return true;
}

static uint64_t rank_of(const char *tenant, const char *worker)
{
	char both[2 * TOKEN_NAME_MAX + 3];
	int n = snprintf(both, sizeof both, "%s/%s", tenant, worker);
	return hash64(both, (size_t)n);
}

static int by_rank(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static size_t find_candidates(const struct registry *registry, const struct route_question *q, int64_t now_ms,
			      const struct use *uses, struct candidate *all, struct funnel *f)
{
	size_t n = 0;
	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct worker *w = registry_at(registry, i);
		if (registry_is_alive(registry, w, now_ms) && is_candidate(q, w, f))
			all[n++] =
				(struct candidate){.worker = w, .use = &uses[i], .rank = rank_of(q->tenant->name, w->name)};
	}
	qsort(all, n, sizeof *all, by_rank);
	return n;
}

// ---- shares -------------------------------------------------------------------------------------------------------

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool is_own(const struct route_question *q, const struct grant *g)
{
	return strcmp(g->client, q->client) == 0 && strcmp(g->image, q->image) == 0 &&
	       strcmp(g->tenant, q->tenant->name) == 0;
}

// What the client may have at most because of its tenant's quota.
static uint64_t quota_part(const struct grants *grants, const struct route_question *q)
{
	uint64_t quota = q->tenant->slots, has = 0, want = 0, clients = 1;
	for (size_t i = 0; i < grants_count(grants); i++) {
		const struct grant *g = grants_at(grants, i);
		if (strcmp(g->tenant, q->tenant->name) != 0 || is_own(q, g))
			continue;
		has += g->slots;
		want += g->wanted;
		clients += g->wanted > 0;
	}
	uint64_t left = has < quota ? quota - has : 0;
	uint64_t unwanted = want < quota ? quota - want : 0;
	uint64_t part = most(unwanted, most(quota / clients, 1));
	return part < left ? part : left;
}

// Adds up what is given of each worker; `uses` is as the registry is ordered.
static void count_uses(const struct registry *registry, const struct grants *grants, const struct route_question *q,
		       struct use *uses)
{
	for (size_t i = 0; i < grants_count(grants); i++) {
		const struct grant *g = grants_at(grants, i);
		bool is_ours = strcmp(g->tenant, q->tenant->name) == 0, is_same = is_own(q, g);
		for (size_t j = 0; j < g->n_picks; j++) {
			size_t at;
			if (!registry_find(registry, g->picks[j].worker, &at))
				continue;
			struct use *use = &uses[at];
			*(is_same ? &use->own : &use->others) += g->picks[j].slots;
			if (is_ours && !is_same) {
				use->ours += g->picks[j].slots;
				use->our_clients++;
			}
			// The ledger is ordered by tenant.
			if (!is_ours && (!use->last_tenant || strcmp(use->last_tenant, g->tenant) != 0)) {
				use->last_tenant = g->tenant;
				use->tenants++;
			}
		}
	}
}

static uint64_t room_at(const struct worker *w, const struct use *use)
{
	// Jobs that nobody in the ledger stands for: those of routes that have ended, or from before a restart of the
	// scheduler.
	uint64_t busy = (uint64_t)w->running + w->waiting;
	busy = busy > use->own ? busy - use->own : 0;
	uint64_t tenants = use->tenants + 1 + (busy > use->others);
	uint64_t used = most(use->others, busy), left = used < w->slots ? w->slots - used : 0;
	uint64_t tenants_part = most(w->slots / tenants, 1);
	uint64_t clients_part = most(tenants_part / (use->our_clients + 1), 1);
	uint64_t unused_part = use->ours < tenants_part ? tenants_part - use->ours : 0;
	return most(left, most(unused_part, clients_part));
}

// ---- spreading ----------------------------------------------------------------------------------------------------

static int by_rest(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return x->rest > y->rest ? -1 : x->rest < y->rest ? 1 : by_rank(a, b);
}

// In proportion to the room; what the division leaves goes to the largest remainders.
static void spread(struct candidate *all, size_t n, uint64_t slots)
{
	uint64_t room = 0, given = 0;
	for (size_t i = 0; i < n; i++)
		room += all[i].room;
	if (!room)
		return;
	for (size_t i = 0; i < n; i++) {
		all[i].part = slots * all[i].room / room;
		all[i].rest = slots * all[i].room % room;
		given += all[i].part;
	}
	qsort(all, n, sizeof *all, by_rest);
	for (size_t i = 0; given < slots; i = (i + 1) % n) {
		bool has_room = all[i].part < all[i].room;
		all[i].part += has_room;
		given += has_room;
	}
}

// Of the first workers in the tenant's order so many that there is room for twice the slots. Returns how many they are.
static size_t choose(struct candidate *all, size_t n, uint64_t *slots)
{
	uint64_t room = 0;
	size_t chosen = 0;
	for (size_t i = 0; i < n && chosen < GRANT_MAX_PICKS && room / 2 < *slots; i++) {
		all[i].room = room_at(all[i].worker, all[i].use);
		room += all[i].room;
		if (all[i].room)
			all[chosen++] = all[i];
	}
	if (*slots > room)
		*slots = room;
	if (*slots)
		spread(all, chosen, *slots);
	return chosen;
}

static void explain(const struct route_question *q, const struct funnel *f, uint64_t quota, struct route_answer *answer)
{
	char *to = answer->reason;
	size_t room = sizeof answer->reason;
	if (!f->here)
		snprintf(to, room, "no worker is there");
	else if (!f->allowed)
		snprintf(to, room, "none of the %zu workers is for tenant '%s'", f->here, q->tenant->name);
	else if (!f->with_image)
		snprintf(to, room, "none of %zu workers has the image '%.128s'", f->allowed, q->image);
	else if (!f->isolated)
		snprintf(to, room, "none of %zu workers with this image isolates as '%s' or stronger", f->with_image,
			 isolation_name(least_isolation(q)));
	else if (!f->willing)
		snprintf(to, room, "all %zu workers with this image are being shut down", f->isolated);
	else if (!f->not_avoided)
		snprintf(to, room, "all %zu workers with this image are to be avoided", f->willing);
	else if (!quota)
		snprintf(to, room, "all %u slots of tenant '%s' are in use", q->tenant->slots, q->tenant->name);
	else
		snprintf(to, room, "all %zu workers with this image are busy", f->not_avoided);
}

static void remember(struct grants *grants, const struct route_question *q, uint64_t wanted,
		     const struct route_answer *answer, int64_t ends_ms)
{
	struct grant_pick picks[GRANT_MAX_PICKS];
	struct grant g = {.tenant = q->tenant->name,
			  .client = q->client,
			  .image = q->image,
			  .wanted = (uint32_t)wanted,
			  .picks = picks,
			  .n_picks = answer->n,
			  .ends_ms = ends_ms};
	for (size_t i = 0; i < answer->n; i++) {
		memcpy(picks[i].worker, answer->picks[i].worker->name, sizeof picks[i].worker);
		picks[i].slots = answer->picks[i].slots;
		g.slots += picks[i].slots;
	}
	grants_put(grants, &g);
}

void route_decide(const struct registry *registry, struct grants *grants, const struct route_question *q, int64_t now_ms,
		  int64_t lifetime_ms, struct route_answer *answer)
{
	struct funnel f = {0};
	*answer = (struct route_answer){.isolation = least_isolation(q)};
	grants_expire(grants, now_ms);
	size_t room = registry_count(registry) + 1;
	AUTO_FREE struct use *uses = mem_alloc(room * sizeof *uses);
	AUTO_FREE struct candidate *all = mem_alloc(room * sizeof *all);
	count_uses(registry, grants, q, uses);
	size_t n = find_candidates(registry, q, now_ms, uses, all, &f);
	uint64_t wanted = q->wanted && q->wanted < q->tenant->slots ? q->wanted : q->tenant->slots;
	uint64_t quota = quota_part(grants, q), slots = wanted < quota ? wanted : quota;
	n = choose(all, n, &slots);
	for (size_t i = 0; i < n && slots; i++)
		if (all[i].part)
			answer->picks[answer->n++] = (struct route_pick){all[i].worker, (uint32_t)all[i].part};
	if (!answer->n)
		explain(q, &f, quota, answer);
	// What nobody can give is not waited for.
	remember(grants, q, f.not_avoided ? wanted : 0, answer, now_ms + lifetime_ms);
}

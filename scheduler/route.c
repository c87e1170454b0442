#include "scheduler/route.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A worker that may be chosen.
struct candidate {
	const struct worker *worker;
	struct grant_room given;
	size_t at;     // in the tenant's own order
	uint64_t room; // slots it could have there
	uint64_t part; // slots it gets
	uint64_t rest; // of the division, to give away what is left
};

// Of that many that are looked at one gets slots, or nearly so: those to be avoided come on top.
enum { MAX_LOOKED_AT = GRANT_MAX_PICKS + ROUTE_MAX_AVOID };

// How many workers passed each question so far, for the reason why none is left.
struct funnel {
	size_t here, allowed, with_image, isolated, willing, not_avoided;
};

static int least_isolation(const struct route_question *q)
{
	return q->isolation > q->tenant->isolation ? q->isolation : q->tenant->isolation;
}

// ---- why there is nothing -----------------------------------------------------------------------------------------

static void judge(const struct route_question *q, const struct worker *w, uint64_t number, struct funnel *f)
{
	f->here++;
	if (!tenant_may_use_worker(q->tenant, w->name) || tenants_is_denied(q->tenants, w->name))
		return;
	f->allowed++;
	if (!worker_has_image(w, q->image))
		return;
	f->with_image++;
	if (w->isolation < least_isolation(q))
		return;
	f->isolated++;
	if (w->draining)
		return;
	f->willing++;
	f->not_avoided += w->avoided_in != number;
}

static struct funnel judge_all(const struct registry *registry, const struct route_question *q, uint64_t number,
			       int64_t now_ms)
{
	struct funnel f = {0};
	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct worker *w = registry_at(registry, i);
		if (registry_is_alive(registry, w, now_ms))
			judge(q, w, number, &f);
	}
	return f;
}

// ---- shares -------------------------------------------------------------------------------------------------------

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

// What the client may have at most because of its tenant's quota.
static uint64_t quota_part(const struct grant_sums *sums)
{
	uint64_t quota = sums->quota, clients = sums->wanting + 1;
	uint64_t left = sums->slots < quota ? quota - sums->slots : 0;
	uint64_t unwanted = sums->wanted < quota ? quota - sums->wanted : 0;
	uint64_t part = most(unwanted, most(quota / clients, 1));
	return part < left ? part : left;
}

static uint64_t room_at(const struct worker *w, const struct grant_room *given)
{
	// Jobs that nobody in the ledger stands for: those of routes that have ended, or from before a restart of the scheduler.
	uint64_t busy = (uint64_t)w->running + w->waiting;
	busy = busy > given->own ? busy - given->own : 0;
	uint64_t tenants = given->tenants + 1 + (busy > given->others);
	uint64_t used = most(given->others, busy), left = used < w->slots ? w->slots - used : 0;
	uint64_t tenants_part = most(w->slots / tenants, 1);
	uint64_t clients_part = most(tenants_part / (given->our_clients + 1), 1);
	uint64_t unused_part = given->ours < tenants_part ? tenants_part - given->ours : 0;
	return most(left, most(unused_part, clients_part));
}

// ---- spreading ----------------------------------------------------------------------------------------------------

static int by_rest(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return x->rest > y->rest ? -1 : x->rest < y->rest ? 1 : (x->at > y->at) - (x->at < y->at);
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
static size_t choose(const struct registry *registry, struct grants *grants, const struct order *order, uint64_t number,
		     int64_t now_ms, struct candidate *chosen, uint64_t *slots)
{
	uint64_t room = 0;
	size_t n = 0;
	for (size_t i = 0; i < order->n && i < MAX_LOOKED_AT && n < GRANT_MAX_PICKS && room / 2 < *slots; i++) {
		struct candidate *c = &chosen[n];
		*c = (struct candidate){.worker = order->all[i], .at = i};
		if (c->worker->avoided_in == number || !registry_is_alive(registry, c->worker, now_ms))
			continue;
		grants_room(grants, c->worker->name, &c->given);
		c->room = room_at(c->worker, &c->given);
		room += c->room;
		n += c->room > 0;
	}
	if (*slots > room)
		*slots = room;
	if (*slots)
		spread(chosen, n, *slots);
	return n;
}

// What the tenant's tokens claim elsewhere can't be given here as well: parts beyond that are cut.
static void cut_to_quota(struct candidate *all, size_t n, uint64_t claimable)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t claimed = all[i].given.claimed, would = all[i].given.ours + all[i].part;
		uint64_t more = would > claimed ? would - claimed : 0, cut = more > claimable ? more - claimable : 0;
		cut = cut < all[i].part ? cut : all[i].part;
		all[i].part -= cut;
		more -= cut < more ? cut : more;
		claimable -= more < claimable ? more : claimable;
	}
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

static void remember(struct grants *grants, const struct route_question *q, uint64_t wanted, struct route_answer *answer,
		     int64_t now_ms, int64_t lifetime_ms)
{
	struct grant_pick picks[GRANT_MAX_PICKS];
	struct grant g = {.tenant = q->tenant->name,
			  .client = q->client,
			  .image = q->image,
			  .wanted = (uint32_t)wanted,
			  .picks = picks,
			  .n_picks = answer->n,
			  .ends_ms = now_ms + lifetime_ms,
			  .claims_end_ms = now_ms + (q->tokens_ms > lifetime_ms ? q->tokens_ms : lifetime_ms)};
	for (size_t i = 0; i < answer->n; i++) {
		memcpy(picks[i].worker, answer->picks[i].worker->name, sizeof picks[i].worker);
		picks[i].slots = answer->picks[i].slots;
	}
	grants_put(grants, &g, now_ms);
	for (size_t i = 0; i < answer->n; i++)
		answer->picks[i].claim = picks[i].claim;
}

// Marks those that are to be avoided with the number of the question, so that no list is searched.
static uint64_t mark_avoided(const struct registry *registry, struct orders *orders, const struct route_question *q)
{
	uint64_t number = orders_question(orders);
	for (size_t i = 0; i < q->n_avoid; i++) {
		struct worker *w = registry_worker(registry, q->avoid[i]);
		if (w)
			w->avoided_in = number;
	}
	return number;
}

void route_decide(const struct registry *registry, struct grants *grants, struct orders *orders,
		  const struct route_question *q, int64_t now_ms, int64_t lifetime_ms, struct route_answer *answer)
{
	struct candidate chosen[GRANT_MAX_PICKS + 1];
	struct grant_sums sums;
	uint64_t number = mark_avoided(registry, orders, q);
	*answer = (struct route_answer){.isolation = least_isolation(q)};
	grants_begin(grants, q->tenant->name, q->client, q->image, q->tenant->slots, now_ms, &sums);
	uint64_t wanted = q->wanted && q->wanted < q->tenant->slots ? q->wanted : q->tenant->slots;
	answer->is_first = sums.is_new;
	uint64_t quota = quota_part(&sums), slots = wanted < quota ? wanted : quota;
	const struct order *order = orders_get(orders, registry, q->tenants, q->tenant, q->image, least_isolation(q));
	size_t n = choose(registry, grants, order, number, now_ms, chosen, &slots);
	bool is_somewhere = n > 0 || slots == 0;
	cut_to_quota(chosen, slots ? n : 0, sums.claimable);
	for (size_t i = 0; i < n && slots; i++)
		if (chosen[i].part)
			answer->picks[answer->n++] = (struct route_pick){chosen[i].worker, (uint32_t)chosen[i].part, 0};
	if (!answer->n) {
		bool may_walk = grants_may_walk(grants, q->tenant->name, now_ms);
		struct funnel f = {1, 1, 1, 1, 1, 1};
		if (may_walk)
			f = judge_all(registry, q, number, now_ms);
		explain(q, &f, n && slots ? 0 : quota, answer);
		is_somewhere = f.not_avoided > 0;
	}
	// What nobody can give is not waited for.
	remember(grants, q, is_somewhere ? wanted : 0, answer, now_ms, lifetime_ms);
}

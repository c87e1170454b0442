#include "scheduler/grants.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECOUNT_MS = 1000 };

// How often something was done in the time that began at since_ms.
struct window {
	int64_t since_ms;
	unsigned n;
};

// A tenant's sums; as long as the ledger.
struct account {
	char *name;
	uint64_t slots, wanted, wanting, clients;
	uint64_t claimed; // of all uses; too much while claims have ended and were not counted again
	int64_t recounted_ms;
	int64_t wanting_since_ms;
	struct grant_use *uses;
	struct window asked, walked;
	struct grant_elsewhere *elsewhere;
	size_t n_elsewhere;
};

// A worker's; as long as somebody has slots there.
struct grant_place {
	char *name;
	uint64_t slots, tenants;
	struct grant_use *uses;
};

// What a tenant has at a worker.
struct grant_use {
	struct account *account;
	struct grant_place *place;
	uint32_t slots, clients;
	uint32_t own;               // of the client that asks, until now
	uint32_t claim, next_claim; // what good tokens say at most; and those that are younger than the first of these
	int64_t claim_ends_ms, next_ends_ms;
	struct grant_use *next_of_account, **link_of_account;
	struct grant_use *next_of_place, **link_of_place;
};

struct lease_pick {
	struct grant_use *use;
	uint32_t slots;
};

// A route that was given.
struct grant_lease {
	struct account *account;
	char *key;
	uint32_t wanted, slots;
	struct lease_pick *picks;
	size_t n_picks;
	int64_t ends_ms;
	struct grant_lease *next, **link; // in the order in which they end
};

struct grants {
	struct map leases;   // by tenant, client, image
	struct map accounts; // by tenant
	struct map places;   // by worker
	struct map uses;     // by account and place
	struct grant_lease *first, **last;
	unsigned max_questions, schedulers;
	struct account *asking;  // of the question that has begun
	struct grant_lease *old; // and its route until now, out of the sums
};

// ---- accounts, places, uses -----------------------------------------------------------------------------------------

static struct account *account_of(struct grants *g, const char *tenant)
{
	struct account *a = map_gets(&g->accounts, tenant);
	if (!a) {
		a = mem_alloc(sizeof *a);
		a->name = mem_strdup(tenant);
		map_puts(&g->accounts, tenant, a);
	}
	return a;
}

struct use_key {
	const struct account *account;
	const struct grant_place *place;
};

static struct grant_use *find_use(const struct grants *g, const struct account *a, const struct grant_place *p)
{
	const struct use_key key = {a, p};
	return p ? map_get(&g->uses, &key, sizeof key) : NULL;
}

static struct grant_use *use_of(struct grants *g, struct account *a, const char *worker)
{
	struct grant_place *p = map_gets(&g->places, worker);
	if (!p) {
		p = mem_alloc(sizeof *p);
		p->name = mem_strdup(worker);
		map_puts(&g->places, worker, p);
	}
	struct grant_use *u = find_use(g, a, p);
	if (u)
		return u;
	const struct use_key key = {a, p};
	u = mem_alloc(sizeof *u);
	u->account = a;
	u->place = p;
	u->next_of_account = a->uses;
	u->link_of_account = &a->uses;
	if (a->uses)
		a->uses->link_of_account = &u->next_of_account;
	a->uses = u;
	u->next_of_place = p->uses;
	u->link_of_place = &p->uses;
	if (p->uses)
		p->uses->link_of_place = &u->next_of_place;
	p->uses = u;
	map_put(&g->uses, &key, sizeof key, u);
	return u;
}

static void set_claim(struct grant_use *u, uint32_t claim, int64_t ends_ms)
{
	u->account->claimed += claim;
	u->account->claimed -= u->claim;
	u->claim = claim;
	u->claim_ends_ms = ends_ms;
}

// What tokens that are good now claim.
static uint32_t claim_now(struct grant_use *u, int64_t now_ms)
{
	if (u->claim && u->claim_ends_ms <= now_ms) {
		bool has_next = u->next_claim && u->next_ends_ms > now_ms;
		set_claim(u, has_next ? u->next_claim : 0, u->next_ends_ms);
		u->next_claim = 0;
	}
	return u->claim;
}

static void add_claim(struct grant_use *u, uint32_t claim, int64_t ends_ms, int64_t now_ms)
{
	if (claim >= claim_now(u, now_ms)) {
		set_claim(u, claim, ends_ms);
		u->next_claim = 0;
		return;
	}
	u->next_claim = claim > u->next_claim || u->next_ends_ms <= now_ms ? claim : u->next_claim;
	u->next_ends_ms = ends_ms;
}

static void forget_use_if_empty(struct grants *g, struct grant_use *u)
{
	struct grant_place *p = u->place;
	const struct use_key key = {u->account, p};
	if (u->slots || u->own || u->claim || u->clients)
		return;
	*u->link_of_account = u->next_of_account;
	if (u->next_of_account)
		u->next_of_account->link_of_account = u->link_of_account;
	*u->link_of_place = u->next_of_place;
	if (u->next_of_place)
		u->next_of_place->link_of_place = u->link_of_place;
	map_del(&g->uses, &key, sizeof key);
	free(u);
	if (p->uses)
		return;
	map_del(&g->places, p->name, strlen(p->name));
	free(p->name);
	free(p);
}

// Claims that have ended, once a second at most: until then the tenant has rather too little.
static void recount(struct grants *g, struct account *a, int64_t now_ms)
{
	if (now_ms - a->recounted_ms < RECOUNT_MS)
		return;
	a->recounted_ms = now_ms;
	for (struct grant_use *u = a->uses, *next; u; u = next) {
		next = u->next_of_account;
		claim_now(u, now_ms);
		forget_use_if_empty(g, u);
	}
}

// ---- routes ---------------------------------------------------------------------------------------------------------

static void add_slots(struct grant_use *u, uint32_t slots)
{
	u->place->tenants += u->slots == 0;
	u->slots += slots;
	u->place->slots += slots;
	u->clients++;
}

static void remove_slots(struct grant_use *u, uint32_t slots)
{
	u->slots -= slots;
	u->place->slots -= slots;
	u->place->tenants -= u->slots == 0;
	u->clients--;
}

// Into the sums of its tenant and its workers, or out of them.
static void lease_count(struct grant_lease *l)
{
	struct account *a = l->account;
	a->slots += l->slots;
	a->wanted += l->wanted;
	a->wanting += l->wanted > 0;
	a->clients++;
	for (size_t i = 0; i < l->n_picks; i++)
		add_slots(l->picks[i].use, l->picks[i].slots);
}

static void lease_uncount(struct grant_lease *l)
{
	struct account *a = l->account;
	a->slots -= l->slots;
	a->wanted -= l->wanted;
	a->wanting -= l->wanted > 0;
	a->clients--;
	for (size_t i = 0; i < l->n_picks; i++)
		remove_slots(l->picks[i].use, l->picks[i].slots);
}

// Of a lease that is out of the sums.
static void lease_free(struct grants *g, struct grant_lease *l)
{
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	else
		g->last = l->link;
	map_del(&g->leases, l->key, strlen(l->key));
	for (size_t i = 0; i < l->n_picks; i++)
		forget_use_if_empty(g, l->picks[i].use);
	free(l->picks);
	free(l->key);
	free(l);
}

// None of the three has a blank in it.
static char *key_of(const char *tenant, const char *client, const char *image)
{
	return mem_printf("%s %s %s", tenant, client, image);
}

struct grants *grants_new(void)
{
	struct grants *g = mem_alloc(sizeof *g);
	g->last = &g->first;
	g->max_questions = GRANT_MAX_QUESTIONS;
	g->schedulers = 1;
	return g;
}

void grants_set_rate(struct grants *g, unsigned questions_a_second)
{
	g->max_questions = questions_a_second * (GRANT_QUESTIONS_MS / 1000);
}

static void free_values(struct map *m, void (*release)(void *))
{
	void *value;
	for (size_t at = 0; map_next(m, &at, NULL, NULL, &value);)
		release(value);
	map_release(m);
}

static void account_free(void *p)
{
	struct account *a = p;
	free(a->name);
	free(a->elsewhere);
	free(a);
}

static void place_free(void *p)
{
	struct grant_place *x = p;
	free(x->name);
	free(x);
}

void grants_free(struct grants *g)
{
	if (!g)
		return;
	for (struct grant_lease *l = g->first, *next; l; l = next) {
		next = l->next;
		free(l->picks);
		free(l->key);
		free(l);
	}
	map_release(&g->leases);
	free_values(&g->uses, free);
	free_values(&g->places, place_free);
	free_values(&g->accounts, account_free);
	free(g);
}

void grants_expire(struct grants *g, int64_t now_ms)
{
	while (g->first && g->first->ends_ms <= now_ms) {
		struct grant_lease *l = g->first;
		lease_uncount(l);
		lease_free(g, l);
	}
}

// ---- one question ---------------------------------------------------------------------------------------------------

static void end_question(struct grants *g)
{
	struct grant_lease *old = g->old;
	g->old = NULL;
	g->asking = NULL;
	if (!old)
		return;
	for (size_t i = 0; i < old->n_picks; i++)
		old->picks[i].use->own = 0;
	lease_free(g, old);
}

// Another scheduler has what its tokens claim, and may have its part if it wants that.
static uint64_t quota_here(const struct grants *g, const struct account *a, uint64_t quota, bool is_new)
{
	uint64_t part = quota / g->schedulers ? quota / g->schedulers : 1, taken = 0;
	if (is_new)
		return part;
	for (size_t i = 0; i < a->n_elsewhere && taken < quota; i++) {
		const struct grant_elsewhere *e = &a->elsewhere[i];
		uint64_t due = e->wanted < part ? e->wanted : part, has = e->claimed > due ? e->claimed : due;
		taken = has < quota - taken ? taken + has : quota;
	}
	return quota - taken > part ? quota - taken : part;
}

void grants_begin(struct grants *g, const char *tenant, const char *client, const char *image, uint64_t quota,
		  int64_t now_ms, struct grant_sums *sums)
{
	AUTO_FREE char *key = key_of(tenant, client, image);
	grants_expire(g, now_ms);
	struct account *a = g->asking = account_of(g, tenant);
	if (!a->wanting)
		a->wanting_since_ms = now_ms;
	struct grant_lease *l = g->old = map_gets(&g->leases, key);
	if (l)
		lease_uncount(l);
	for (size_t i = 0; l && i < l->n_picks; i++)
		l->picks[i].use->own = l->picks[i].slots;
	recount(g, a, now_ms);
	bool is_new = g->schedulers > 1 && now_ms - a->wanting_since_ms < GRANT_NEW_MS;
	quota = quota_here(g, a, quota, is_new);
	*sums = (struct grant_sums){
		.slots = a->slots,
		.wanted = a->wanted,
		.wanting = a->wanting,
		.claimable = a->claimed < quota ? quota - a->claimed : 0,
		.quota = quota,
		.is_new = is_new,
	};
}

void grants_room(struct grants *g, const char *worker, struct grant_room *room)
{
	const struct grant_place *p = map_gets(&g->places, worker);
	const struct grant_use *u = find_use(g, g->asking, p);
	*room = (struct grant_room){.others = p ? p->slots : 0, .tenants = p ? p->tenants : 0};
	if (!u)
		return;
	room->ours = u->slots;
	room->own = u->own;
	room->tenants -= u->slots > 0;
	room->our_clients = u->clients;
	room->claimed = u->claim;
}

// In steps, so that the same token does for many questions (one of 8 or more slots is up to an eighth more than what was given).
static uint32_t round_up(uint32_t slots)
{
	uint32_t step = slots / 8 ? slots / 8 : 1;
	while (step & (step - 1))
		step &= step - 1; // a power of two
	return (slots + step - 1) / step * step;
}

void grants_put(struct grants *g, const struct grant *grant, int64_t now_ms)
{
	struct grant_lease *l = mem_alloc(sizeof *l);
	struct account *a = account_of(g, grant->tenant);
	l->key = key_of(grant->tenant, grant->client, grant->image);
	l->account = a;
	l->wanted = grant->wanted;
	l->ends_ms = grant->ends_ms;
	l->picks = mem_alloc((grant->n_picks + 1) * sizeof *l->picks);
	l->n_picks = grant->n_picks;
	for (size_t i = 0; i < grant->n_picks; i++) {
		l->picks[i] = (struct lease_pick){use_of(g, a, grant->picks[i].worker), grant->picks[i].slots};
		l->slots += grant->picks[i].slots;
	}
	lease_count(l);
	for (size_t i = 0; i < grant->n_picks; i++) {
		struct grant_use *u = l->picks[i].use;
		uint32_t claimed = claim_now(u, now_ms), claim = round_up(u->slots);
		// What is rounded up must not be more than what was claimed: the quota has no room for it.
		claim = claim <= claimed || u->slots > claimed ? claim : claimed;
		grant->picks[i].claim = u->slots > claimed ? u->slots : claim;
		add_claim(u, grant->picks[i].claim, grant->claims_end_ms, now_ms);
	}
	end_question(g);
	struct grant_lease *same = map_gets(&g->leases, l->key);
	if (same) { // put without a question
		lease_uncount(same);
		lease_free(g, same);
	}
	map_puts(&g->leases, l->key, l);
	l->link = g->last;
	*g->last = l;
	g->last = &l->next;
}

static bool window_take(struct window *w, int64_t now_ms, int64_t length_ms, unsigned most)
{
	if (!w->since_ms || now_ms - w->since_ms >= length_ms)
		*w = (struct window){.since_ms = now_ms};
	return ++w->n <= most;
}

bool grants_may_ask(struct grants *g, const char *tenant, int64_t now_ms)
{
	struct account *a = account_of(g, tenant);
	return window_take(&a->asked, now_ms, GRANT_QUESTIONS_MS, g->max_questions) && a->clients < GRANT_MAX_CLIENTS;
}

bool grants_may_walk(struct grants *g, const char *tenant, int64_t now_ms)
{
	return window_take(&account_of(g, tenant)->walked, now_ms, 1000, GRANT_WALKS_A_SECOND);
}

void grants_forget_worker(struct grants *g, const char *worker)
{
	struct grant_place *p = map_gets(&g->places, worker);
	for (struct grant_use *u = p ? p->uses : NULL, *next; u; u = next) {
		next = u->next_of_place;
		set_claim(u, 0, 0);
		u->next_claim = 0;
		forget_use_if_empty(g, u); // the last one takes the place with it
	}
}

// ---- other schedulers -----------------------------------------------------------------------------------------------

void grants_set_schedulers(struct grants *g, unsigned n)
{
	g->schedulers = n ? n : 1;
}

void grants_set_elsewhere(struct grants *g, const char *tenant, const struct grant_elsewhere *all, size_t n)
{
	struct account *a = n ? account_of(g, tenant) : map_gets(&g->accounts, tenant);
	if (!a)
		return;
	a->elsewhere = mem_realloc(a->elsewhere, (n + 1) * sizeof *all);
	if (n)
		memcpy(a->elsewhere, all, n * sizeof *all);
	a->n_elsewhere = n;
}

uint64_t grants_claimed_elsewhere(const struct grants *g, const char *tenant)
{
	const struct account *a = map_gets(&g->accounts, tenant);
	uint64_t sum = 0;
	for (size_t i = 0; a && i < a->n_elsewhere; i++)
		sum += a->elsewhere[i].claimed < UINT32_MAX ? a->elsewhere[i].claimed : UINT32_MAX;
	return sum;
}

void grants_each(struct grants *g, int64_t now_ms,
		 void (*fn)(void *ctx, const char *tenant, const struct grant_elsewhere *given), void *ctx)
{
	size_t at = 0, n;
	const char *key;
	void *value;
	grants_expire(g, now_ms);
	while (map_next(&g->accounts, &at, &key, &n, &value)) {
		struct account *a = value;
		recount(g, a, now_ms);
		fn(ctx, a->name, &(const struct grant_elsewhere){a->wanted, a->claimed});
	}
}

// ---- what there is --------------------------------------------------------------------------------------------------

size_t grants_count(const struct grants *g)
{
	return g->leases.n;
}

bool grants_has(const struct grants *g, const char *tenant, const char *client, const char *image)
{
	AUTO_FREE char *key = key_of(tenant, client, image);
	return map_gets(&g->leases, key) != NULL;
}

uint64_t grants_slots_of(const struct grants *g, const char *tenant)
{
	const struct account *a = map_gets(&g->accounts, tenant);
	return a ? a->slots : 0;
}

uint64_t grants_clients_of(const struct grants *g, const char *tenant)
{
	const struct account *a = map_gets(&g->accounts, tenant);
	return a ? a->clients : 0;
}

#include "gateway/shared_actions.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/held.h"
#include "gateway/results.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE_MS = 5000, MS_PER_MIB = 250, MS_MAX = 20000, MS_PER_ACTION = 10000 };
#define ACTION_DOMAIN "coffer gateway action 1\n"

struct shared_actions {
	struct shared_store *store;
	_Atomic uint64_t hits, misses, failed, refused, given, dropped;
};

struct shared_actions *shared_actions_new(struct shared_store *store)
{
	struct shared_actions *s = mem_alloc(sizeof *s);
	s->store = store;
	return s;
}

bool shared_actions_free(struct shared_actions *s)
{
	if (s && !shared_store_close(s->store, clock_ms() + CLOSE_MS))
		return false;
	free(s);
	return true;
}

void shared_actions_counts(struct shared_actions *s, struct shared_action_counts *c)
{
	*c = (struct shared_action_counts){.hits = 0};
	if (s)
		*c = (struct shared_action_counts){s->hits, s->misses, s->failed, s->refused, s->given, s->dropped};
}

// Beside the entries of workers and clients, which have other keys, and of other tenants.
static struct tier_name name_of(const struct tenant_blobs *t, const struct reapi_digest *action)
{
	AUTO_BUF struct buf b = BUF_INIT;
	buf_adds(&b, ACTION_DOMAIN);
	buf_add_str(&b, blobs_tenant(t));
	buf_add(&b, action->hash.b, sizeof action->hash);
	buf_add_u64(&b, (uint64_t)action->size);
	return (struct tier_name){.space = TIER_ACTIONS, .id = sha256_of(b.data, b.len)};
}

// ---- from the store -----------------------------------------------------------------------------------------------------

// One result on its way from the store.
struct taking {
	struct shared_actions *shared;
	struct tenant_blobs *blobs;
	uint64_t bytes;
	size_t n;
	int64_t until_ms;
	struct err err;
};

static bool refuse(struct taking *t, const char *why)
{
	atomic_fetch_add(&t->shared->refused, 1);
	log_event(LOG_LEVEL_WARN, "shared result not taken", LOG_TEXT("tenant", blobs_tenant(t->blobs)),
		  LOG_TEXT("why", why));
	return false;
}

static bool miss(struct taking *t, int rc)
{
	atomic_fetch_add(rc == 0 ? &t->shared->misses : &t->shared->failed, 1);
	return false;
}

static int64_t time_for(uint64_t bytes)
{
	int64_t ms = (int64_t)(bytes >> 20) * MS_PER_MIB;
	return ms == 0 ? 0 : ms > MS_MAX ? MS_MAX : ms + 1000;
}

// One blob that the result names, onto this gateway's disk.
static bool take_blob(void *taking, const struct reapi_digest *d)
{
	struct taking *t = taking;
	struct tier_name name = tier_content(&d->hash, (uint64_t)d->size);
	struct room room = {.blobs = t->blobs};
	if (blobs_has(t->blobs, d))
		return true;
	if (d->size > blobs_max(t->blobs) || ++t->n > SHARED_ACTION_BLOBS ||
	    (uint64_t)d->size > SHARED_ACTION_BYTES - t->bytes)
		return refuse(t, "it has more than a result may have here");
	t->bytes += (uint64_t)d->size;
	if (clock_ms() > t->until_ms || room_add(&room, (uint64_t)d->size, &t->err) < 0)
		return miss(t, -1);
	AUTO_BUF struct buf bytes = {.max = (size_t)d->size + 1};
	int rc = shared_get(t->shared->store->shared, &name, (size_t)d->size, time_for((uint64_t)d->size), &bytes, &t->err);
	bool is_taken = rc == 1 && blobs_put(t->blobs, d, bytes.data ? bytes.data : "", bytes.len, &t->err) == 0;
	room_release(&room);
	if (rc == 1 && !is_taken)
		return refuse(t, t->err.text);
	return is_taken || miss(t, rc);
}

static bool take_result(struct taking *t, const struct reapi_digest *action, const void *p, size_t n)
{
	struct held held;
	if (n > RESULTS_MAX_BYTES || held_unpack(&held, t->blobs, &reapi__action_result__descriptor, p, n, &t->err) < 0)
		return refuse(t, "it is no result, or too large");
	const Reapi__ActionResult *r = (const Reapi__ActionResult *)held.message;
	bool is_taken = results_check(r, &t->err) == 0 || refuse(t, t->err.text);
	if (is_taken)
		is_taken = results_each_blob(t->blobs, r, take_blob, t);
	held_release(&held);
	return is_taken && blobs_put_result(t->blobs, action, p, n, &t->err) == 0;
}

int shared_actions_take(struct shared_actions *s, struct tenant_blobs *blobs, const struct reapi_digest *action)
{
	struct tier_name name = name_of(blobs, action);
	struct taking t = {.shared = s, .blobs = blobs, .until_ms = clock_ms() + MS_PER_ACTION, .err = ERR_INIT};
	AUTO_BUF struct buf entry = {.max = SHARED_ACTION_RESULT_BYTES + SEAL_OVERHEAD};
	const void *p;
	size_t n;
	int rc = shared_get(s->store->shared, &name, entry.max, 0, &entry, &t.err);
	if (rc != 1)
		return miss(&t, rc);
	if (seal_get(s->store->seal, blobs_tenant(blobs), &name, entry.data, entry.len, &p, &n, &t.err) < 0)
		return refuse(&t, t.err.text);
	if (!take_result(&t, action, p, n))
		return 0;
	atomic_fetch_add(&s->hits, 1);
	return 1;
}

// ---- to the store -------------------------------------------------------------------------------------------------------

struct gift {
	struct shared_actions *shared;
	struct tenant_blobs *blobs;
	struct reapi_digest action;
	struct err err;
};

static void gift_drop(void *arg)
{
	struct gift *g = arg;
	atomic_fetch_add(&g->shared->dropped, 1);
	free(g);
}

static bool give_blob(void *gift, const struct reapi_digest *d)
{
	struct gift *g = gift;
	struct shared *shared = g->shared->store->shared;
	struct tier_name name = tier_content(&d->hash, (uint64_t)d->size);
	struct room room = {.blobs = g->blobs};
	bool is_there;
	if (reapi_digest_is_empty(d))
		return true;
	if (shared_has(shared, &name, 1, &is_there, &g->err) < 0)
		return false;
	if (is_there)
		return true;
	if (room_add(&room, (uint64_t)d->size, &g->err) < 0)
		return false;
	AUTO_BUF struct buf bytes = BUF_INIT;
	bool is_given = blobs_get(g->blobs, d, &bytes, &g->err) == 1 &&
			shared_put(shared, &name, bytes.data, bytes.len, &g->err) == 0;
	room_release(&room);
	return is_given;
}

// The content first: an entry never names what is not there.
static bool give(struct gift *g)
{
	struct tier_name name = name_of(g->blobs, &g->action);
	AUTO_BUF struct buf bytes = {.max = RESULTS_MAX_BYTES}, entry = BUF_INIT;
	struct held held;
	if (blobs_get_result(g->blobs, &g->action, &bytes, &g->err) != 1 ||
	    held_unpack(&held, g->blobs, &reapi__action_result__descriptor, bytes.data, bytes.len, &g->err) < 0)
		return false;
	bool is_given = results_each_blob(g->blobs, (const Reapi__ActionResult *)held.message, give_blob, g) &&
			seal_put(g->shared->store->seal, blobs_tenant(g->blobs), &name, &bytes, &entry, &g->err) == 0 &&
			shared_put(g->shared->store->shared, &name, entry.data, entry.len, &g->err) == 0;
	held_release(&held);
	return is_given;
}

static void gift_run(void *arg)
{
	struct gift *g = arg;
	bool is_given = give(g);
	atomic_fetch_add(is_given ? &g->shared->given : &g->shared->dropped, 1);
	if (!is_given)
		log_event(LOG_LEVEL_INFO, "result not shared", LOG_TEXT("tenant", blobs_tenant(g->blobs)),
			  LOG_TEXT("why", g->err.text));
	free(g);
}

void shared_actions_give(struct shared_actions *s, struct tenant_blobs *t, const struct reapi_digest *action)
{
	if (s->store->access == SHARED_READ_ONLY)
		return;
	struct gift *g = mem_alloc(sizeof *g);
	*g = (struct gift){.shared = s, .blobs = t, .action = *action, .err = ERR_INIT};
	struct shared_task task = {.run = gift_run, .drop = gift_drop, .arg = g, .bytes = sizeof *g};
	shared_later(s->store->shared, &task);
}

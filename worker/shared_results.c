#include "worker/shared_results.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { FORMAT = 1, CLOSE_MS = 5000, MS_PER_MIB = 250, MS_MAX = 20000 };

struct shared_results {
	struct shared_store *store;
	size_t most;
	_Atomic uint64_t hits, misses, failed, refused, given, dropped;
};

struct shared_results *shared_results_new(struct shared_store *store, size_t most)
{
	struct shared_results *r = mem_alloc(sizeof *r);
	r->store = store;
	r->most = most;
	return r;
}

void shared_results_free(struct shared_results *r)
{
	if (!r)
		return;
	// A task that hangs in the store still uses both.
	if (shared_store_close(r->store, clock_ms() + CLOSE_MS))
		free(r);
}

void shared_results_take_counts(struct shared_results *r, struct shared_counts *counts)
{
	*counts = (struct shared_counts){.hits = atomic_exchange(&r->hits, 0),
					 .misses = atomic_exchange(&r->misses, 0),
					 .failed = atomic_exchange(&r->failed, 0),
					 .refused = atomic_exchange(&r->refused, 0),
					 .given = atomic_exchange(&r->given, 0),
					 .dropped = atomic_exchange(&r->dropped, 0)};
}

static struct tier_name name_of(const struct key *key)
{
	struct tier_name name = {.space = TIER_ACTIONS};
	memcpy(name.id.b, key->b, sizeof name.id.b);
	return name;
}

// ---- from the store -------------------------------------------------------------------------------------------------

struct entry {
	struct sha256 frame;
	uint64_t n_frame;
	const char *head;
	size_t n_head;
};

static int decode(const void *p, size_t n, size_t most, struct entry *e, struct err *err)
{
	struct rd rd = RD(p, n);
	uint32_t format = rd_u32(&rd);
	const void *frame = rd_bytes(&rd, sizeof e->frame.b);
	e->n_frame = rd_u64(&rd);
	e->head = rd_str(&rd, &e->n_head);
	if (rd.bad || rd_left(&rd) || format != FORMAT)
		return err_set(err, ERR_FORMAT, "the entry does not parse");
	if (e->n_frame > most)
		return err_set(err, ERR_LIMIT, "the outputs are larger than any here");
	memcpy(e->frame.b, frame, sizeof e->frame.b);
	return 0;
}

static int refused(struct shared_results *r, const char *tenant, const char *why)
{
	atomic_fetch_add(&r->refused, 1);
	log_event(LOG_LEVEL_WARN, "shared result not taken", LOG_TEXT("tenant", tenant), LOG_TEXT("why", why));
	return 0;
}

static int missed(struct shared_results *r, int rc)
{
	atomic_fetch_add(rc == 0 ? &r->misses : &r->failed, 1);
	return 0;
}

static int get_frame(struct shared_results *r, const char *tenant, const struct entry *e, struct buf *blob)
{
	struct tier_name name = tier_content(&e->frame, e->n_frame);
	struct err err = ERR_INIT;
	AUTO_BUF struct buf frame = {.max = (size_t)e->n_frame + 1};
	int64_t most_ms = (int64_t)(e->n_frame >> 20) * MS_PER_MIB;
	if (most_ms)
		most_ms = most_ms > MS_MAX ? MS_MAX : most_ms + 1000;
	int rc = shared_get(r->store->shared, &name, (size_t)e->n_frame, most_ms, &frame, &err);
	if (rc != 1)
		return err.code == ERR_LIMIT ? refused(r, tenant, err.text) : missed(r, rc);
	struct sha256 digest = sha256_of(frame.data, frame.len);
	if (frame.len != e->n_frame || !sha256_equal(&digest, &e->frame))
		return refused(r, tenant, "the outputs are not what their name says");
	buf_add(blob, e->head, e->n_head);
	buf_add(blob, frame.data, frame.len);
	atomic_fetch_add(&r->hits, 1);
	return 1;
}

int shared_results_get(struct shared_results *r, const char *tenant, const struct key *key, struct buf *blob)
{
	struct tier_name name = name_of(key);
	AUTO_BUF struct buf bytes = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD};
	struct err err = ERR_INIT;
	struct entry e;
	const void *sealed;
	size_t n;
	int rc = shared_get(r->store->shared, &name, bytes.max, 0, &bytes, &err);
	if (rc != 1)
		return missed(r, rc);
	if (seal_get(r->store->seal, tenant, &name, bytes.data, bytes.len, &sealed, &n, &err) < 0 ||
	    decode(sealed, n, r->most, &e, &err) < 0)
		return refused(r, tenant, err.text);
	return get_frame(r, tenant, &e, blob);
}

// ---- to the store ---------------------------------------------------------------------------------------------------

struct gift {
	struct shared_results *results;
	char *tenant;
	struct key key;
	struct buf head, frame;
};

static void gift_free(struct gift *g)
{
	buf_release(&g->head);
	buf_release(&g->frame);
	free(g->tenant);
	free(g);
}

static void gift_drop(void *arg)
{
	struct gift *g = arg;
	atomic_fetch_add(&g->results->dropped, 1);
	gift_free(g);
}

// The content first: an entry never names what is not there.
static int give(const struct gift *g, struct err *err)
{
	struct shared_store *s = g->results->store;
	struct tier_name name = name_of(&g->key);
	struct sha256 digest = sha256_of(g->frame.data, g->frame.len);
	struct shared_blob frame = {tier_content(&digest, g->frame.len), g->frame.data, g->frame.len};
	AUTO_BUF struct buf bytes = BUF_INIT, entry = BUF_INIT;
	uint64_t unused = 0;
	buf_add_u32(&bytes, FORMAT);
	buf_add(&bytes, frame.name.id.b, sizeof frame.name.id.b);
	buf_add_u64(&bytes, g->frame.len);
	buf_add_strn(&bytes, g->head.data, g->head.len);
	if (shared_put_missing(s->shared, &frame, 1, &unused, err) < 0 ||
	    seal_put(s->seal, g->tenant, &name, &bytes, &entry, err) < 0)
		return -1;
	return shared_put(s->shared, &name, entry.data, entry.len, err);
}

static void gift_run(void *arg)
{
	struct gift *g = arg;
	struct err err = ERR_INIT;
	int rc = give(g, &err);
	atomic_fetch_add(rc < 0 ? &g->results->dropped : &g->results->given, 1);
	if (rc < 0)
		log_event(LOG_LEVEL_INFO, "result not shared", LOG_TEXT("tenant", g->tenant), LOG_TEXT("why", err.text));
	gift_free(g);
}

void shared_results_put(struct shared_results *r, const char *tenant, const struct key *key, const struct buf *head,
			const void *frame, size_t n_frame)
{
	if (r->store->access == SHARED_READ_ONLY)
		return;
	struct gift *g = mem_alloc(sizeof *g);
	g->results = r;
	g->tenant = mem_strdup(tenant);
	g->key = *key;
	buf_add(&g->head, head->data, head->len);
	buf_add(&g->frame, frame, n_frame);
	struct shared_task task = {.run = gift_run, .drop = gift_drop, .arg = g, .bytes = sizeof *g + head->len + n_frame};
	shared_later(r->store->shared, &task);
}

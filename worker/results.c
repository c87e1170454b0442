#include "worker/results.h"

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/sha/sha256.h"
#include "reapi/digest.h"
#include "store/store.h"
#include "worker/shared_results.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { FORMAT = 2, STORE_LEVEL = 1, MAX_STORES = 4096 };

struct results {
	char *directory;
	uint64_t max_bytes;
	pthread_mutex_t lock;
	struct map stores;             // by tenant; stay until the end
	struct shared_results *shared; // or NULL
};

struct results *results_new(const char *directory, uint64_t max_bytes)
{
	struct results *r = mem_alloc(sizeof *r);
	r->directory = mem_strdup(directory);
	r->max_bytes = max_bytes;
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void results_free(struct results *r)
{
	if (!r)
		return;
	void *store;
	shared_results_free(r->shared);
	for (size_t at = 0; map_next(&r->stores, &at, NULL, NULL, &store);)
		store_close(store);
	map_release(&r->stores);
	pthread_mutex_destroy(&r->lock);
	free(r->directory);
	free(r);
}

static struct store *store_of(struct results *r, const char *tenant, struct err *err)
{
	pthread_mutex_lock(&r->lock);
	struct store *s = map_gets(&r->stores, tenant);
	if (!s && r->stores.n >= MAX_STORES) {
		err_set(err, ERR_LIMIT, "more than %d tenants with results", MAX_STORES);
	} else if (!s) {
		// The prefix keeps names as ".." out.
		AUTO_FREE char *path = mem_printf("%s/tenant-%s", r->directory, tenant);
		s = store_open(path, r->max_bytes, STORE_LEVEL, err);
		if (s)
			map_puts(&r->stores, tenant, s);
	}
	pthread_mutex_unlock(&r->lock);
	return s;
}

static struct digest name_of(const struct key *key)
{
	struct digest d;
	memcpy(d.b, key->b, sizeof d.b);
	return d;
}

// ---- blobs ----------------------------------------------------------------------------------------------------------

static void encode_head(const struct key *key, const struct result *x, struct buf *b)
{
	buf_add_u32(b, FORMAT);
	buf_add_u32(b, (uint32_t)x->isolation);
	buf_add(b, key->b, sizeof key->b);
	buf_add(b, x->source, sizeof x->source);
	buf_add_strn(b, x->out, x->n_out);
	buf_add_strn(b, x->errs, x->n_err);
	buf_add_u32(b, (uint32_t)x->n_outputs);
	for (size_t i = 0; i < x->n_outputs; i++) {
		buf_add_u32(b, (uint32_t)x->outputs[i].kind);
		buf_add(b, x->outputs[i].sha256, sizeof x->outputs[i].sha256);
		buf_add_u64(b, x->outputs[i].size);
	}
}

static void decode_output(struct rd *rd, struct packed_output *o)
{
	o->kind = (int)rd_u32(rd);
	const void *sha256 = rd_bytes(rd, sizeof o->sha256);
	if (sha256)
		memcpy(o->sha256, sha256, sizeof o->sha256);
	o->size = rd_u64(rd);
}

int result_decode(const void *blob, size_t n, const struct key *key, struct result *x, struct err *err)
{
	struct rd rd = RD(blob, n);
	*x = (struct result){.out = ""};
	if (rd_u32(&rd) != FORMAT)
		return err_set(err, ERR_FORMAT, "a result of another format");
	uint32_t isolation = rd_u32(&rd);
	const void *whole = rd_bytes(&rd, sizeof key->b), *source = rd_bytes(&rd, sizeof x->source);
	x->out = rd_str(&rd, &x->n_out);
	x->errs = rd_str(&rd, &x->n_err);
	x->n_outputs = rd_u32(&rd);
	if (rd.bad || x->n_outputs > HEADER_MAX_OUTPUTS || isolation > ISOLATION_MICROVM ||
	    memcmp(whole, key->b, sizeof key->b) != 0)
		return err_set(err, ERR_FORMAT, "not the result of this key");
	memcpy(x->source, source, sizeof x->source);
	x->isolation = (enum isolation)isolation;
	uint64_t all = 0;
	for (size_t i = 0; i < x->n_outputs && !rd.bad; i++) {
		decode_output(&rd, &x->outputs[i]);
		rd.bad |= x->outputs[i].size > STORE_MAX_BLOB - all;
		all += rd.bad ? 0 : x->outputs[i].size;
	}
	if (rd.bad)
		return err_set(err, ERR_FORMAT, "a result that is cut off");
	x->n_frame = rd_left(&rd);
	x->frame = (const char *)rd.p;
	return 0;
}

void results_share(struct results *r, struct shared_results *shared)
{
	r->shared = shared;
}

struct shared_results *results_shared(struct results *r)
{
	return r->shared;
}

// What another worker has compiled is kept on this disk from now on. A disk that is full keeps nobody from the answer.
static int get_shared(struct results *r, struct store *s, const char *tenant, const struct key *key, enum isolation least,
		      struct buf *blob, struct result *x)
{
	struct digest name = name_of(key);
	struct err err = ERR_INIT;
	buf_clear(blob);
	if (shared_results_get(r->shared, tenant, key, blob) != 1)
		return 0;
	if (result_decode(blob->data, blob->len, key, x, &err) < 0) {
		log_event(LOG_LEVEL_WARN, "shared result not taken", LOG_TEXT("tenant", tenant), LOG_TEXT("why", err.text));
		return 0;
	}
	if (x->isolation < least)
		return 0;
	struct store_part part = {blob->data, blob->len};
	store_put(s, STORE_RESULT, &name, &part, 1, NULL);
	return 1;
}

int results_get(struct results *r, const char *tenant, const struct key *key, enum isolation least, struct buf *blob,
		struct result *x, struct err *err)
{
	struct digest name = name_of(key);
	struct store *s = store_of(r, tenant, err);
	buf_clear(blob);
	int rc = s ? store_get(s, STORE_RESULT, &name, blob, err) : -1;
	bool is_whole = rc == 1 && result_decode(blob->data, blob->len, key, x, err) == 0;
	if (is_whole && x->isolation >= least)
		return 1;
	if (rc == 1 && !is_whole)
		store_remove(s, STORE_RESULT, &name);
	return rc >= 0 && r->shared ? get_shared(r, s, tenant, key, least, blob, x) : rc == 1 ? 0 : rc;
}

static bool are_same(const struct result *a, const struct result *b)
{
	if (a->n_out != b->n_out || a->n_err != b->n_err || a->n_outputs != b->n_outputs ||
	    (a->n_out && memcmp(a->out, b->out, a->n_out) != 0) || (a->n_err && memcmp(a->errs, b->errs, a->n_err) != 0))
		return false;
	for (size_t i = 0; i < a->n_outputs; i++)
		if (a->outputs[i].kind != b->outputs[i].kind ||
		    (!output_kind_is_passing(a->outputs[i].kind) &&
		     memcmp(a->outputs[i].sha256, b->outputs[i].sha256, sizeof a->outputs[i].sha256) != 0))
			return false;
	return true;
}

static int put(struct store *s, const struct key *key, const struct result *x, struct err *err)
{
	AUTO_BUF struct buf head = BUF_INIT;
	struct digest name = name_of(key);
	encode_head(key, x, &head);
	struct store_part parts[] = {{head.data, head.len}, {x->frame, x->n_frame}};
	return store_put(s, STORE_RESULT, &name, parts, COUNT_OF(parts), err);
}

bool results_has_tenant(struct results *r, const char *tenant)
{
	AUTO_FREE char *path = mem_printf("%s/tenant-%s", r->directory, tenant);
	return access(path, F_OK) == 0;
}

bool results_has(struct results *r, const char *tenant, const struct key *key)
{
	struct digest name = name_of(key);
	struct store *s = results_has_tenant(r, tenant) ? store_of(r, tenant, NULL) : NULL;
	return s && store_has(s, STORE_RESULT, &name);
}

bool results_has_source(struct results *r, const char *tenant, const uint8_t digest[32])
{
	struct digest name;
	struct store *s = results_has_tenant(r, tenant) ? store_of(r, tenant, NULL) : NULL;
	memcpy(name.b, digest, sizeof name.b);
	return s && store_has(s, STORE_TEXT, &name);
}

// Unpacks the whole frame, as the outputs stand one behind the other in it.
int result_unpack(const struct result *x, size_t i, struct buf *bytes, struct err *err)
{
	uint64_t before = 0, size = x->outputs[i].size, all = 0;
	for (size_t k = 0; k < x->n_outputs; k++) {
		before += k < i ? x->outputs[k].size : 0;
		all += x->outputs[k].size;
	}
	AUTO_BUF struct buf frame = {.max = STORE_MAX_BLOB};
	char *room = all < STORE_MAX_BLOB ? buf_room(&frame, all + 1) : NULL;
	size_t n = room ? ZSTD_decompress(room, all, x->frame, x->n_frame) : 0;
	if (!room || n != all)
		return err_set(err, ERR_FORMAT, "the outputs of a result are not in it");
	struct sha256 digest = sha256_of(room + before, size);
	if (memcmp(digest.b, x->outputs[i].sha256, sizeof digest.b) != 0)
		return err_set(err, ERR_FORMAT, "an output of a result has another digest");
	buf_add(bytes, room + before, size);
	return 0;
}

int results_put(struct results *r, const char *tenant, const struct key *key, const struct result *x, enum result_put *what,
		struct err *err)
{
	AUTO_BUF struct buf blob = BUF_INIT;
	struct result there;
	*what = RESULT_STORED;
	struct store *s = store_of(r, tenant, err);
	if (!s)
		return -1;
	struct digest name = name_of(key);
	if (store_has(s, STORE_RESULT, &name) && results_get(r, tenant, key, ISOLATION_NONE, &blob, &there, NULL) == 1) {
		// The one that was made behind the stronger boundary has the key; a different other one is kept beside it.
		bool is_stronger = x->isolation > there.isolation;
		struct key aside = key_aside(key);
		*what = are_same(x, &there) ? RESULT_SAME : RESULT_DIFFERS;
		if (!is_stronger)
			return *what == RESULT_SAME ? 0 : put(s, &aside, x, err);
		if (*what == RESULT_DIFFERS && put(s, &aside, &there, err) < 0)
			return -1;
		store_remove(s, STORE_RESULT, &name);
	}
	if (r->shared) {
		AUTO_BUF struct buf head = BUF_INIT;
		encode_head(key, x, &head);
		shared_results_put(r->shared, tenant, key, &head, x->frame, x->n_frame);
	}
	return put(s, key, x, err);
}

// ---- upkeep ---------------------------------------------------------------------------------------------------------

// The stores as they are now; they stay open until the end.
static size_t list(struct results *r, struct store ***stores)
{
	size_t n = 0;
	void *store;
	pthread_mutex_lock(&r->lock);
	*stores = mem_alloc((r->stores.n + 1) * sizeof **stores);
	for (size_t at = 0; map_next(&r->stores, &at, NULL, NULL, &store);)
		(*stores)[n++] = store;
	pthread_mutex_unlock(&r->lock);
	return n;
}

int results_put_source(struct results *r, const char *tenant, const uint8_t digest[32], const struct buf *packed,
		       struct err *err)
{
	struct digest name;
	struct store *s = store_of(r, tenant, err);
	struct store_part part = {packed->data, packed->len};
	memcpy(name.b, digest, sizeof name.b);
	if (!s)
		return -1;
	return store_has(s, STORE_TEXT, &name) ? 0 : store_put(s, STORE_TEXT, &name, &part, 1, err);
}

int results_get_source(struct results *r, const char *tenant, const uint8_t digest[32], struct buf *packed, struct err *err)
{
	struct digest name;
	struct store *s = store_of(r, tenant, err);
	memcpy(name.b, digest, sizeof name.b);
	return s ? store_get(s, STORE_TEXT, &name, packed, err) : -1;
}

static struct digest unit_name(const uint8_t unit[16])
{
	struct digest name;
	memcpy(name.b, unit, sizeof name.b);
	return name;
}

int results_put_unit(struct results *r, const char *tenant, const uint8_t unit[16], const struct buf *bytes, struct err *err)
{
	struct digest name = unit_name(unit);
	struct store *s = store_of(r, tenant, err);
	struct store_part part = {bytes->data, bytes->len};
	return s ? store_put(s, STORE_UNIT, &name, &part, 1, err) : -1;
}

int results_get_unit(struct results *r, const char *tenant, const uint8_t unit[16], struct buf *bytes)
{
	struct digest name = unit_name(unit);
	struct store *s = store_of(r, tenant, NULL);
	return s ? store_get(s, STORE_UNIT, &name, bytes, NULL) : -1;
}

static struct digest content_name(const struct reapi_digest *d)
{
	struct digest name;
	memcpy(name.b, d->hash.b, sizeof name.b);
	return name;
}

int results_get_content(struct results *r, const char *tenant, const struct reapi_digest *d, struct buf *out,
			struct err *err)
{
	struct digest name = content_name(d);
	struct store *s = store_of(r, tenant, err);
	size_t before = out->len;
	int found = s ? store_get(s, STORE_CONTENT, &name, out, err) : -1;
	if (found != 1)
		return found;
	struct reapi_digest is = reapi_digest_of(out->data + before, out->len - before);
	if (d->size < 0 ? sha256_equal(&is.hash, &d->hash) : reapi_digest_equal(&is, d))
		return 1;
	out->len = before;
	out->data[before] = '\0';
	return 0;
}

int results_put_content(struct results *r, const char *tenant, const struct reapi_digest *d, const void *p, size_t n,
			struct err *err)
{
	struct digest name = content_name(d);
	struct store *s = store_of(r, tenant, err);
	return s ? store_put(s, STORE_CONTENT, &name, &(struct store_part){p, n}, 1, err) : -1;
}

bool results_has_content(struct results *r, const char *tenant, const struct reapi_digest *d)
{
	struct digest name = content_name(d);
	struct store *s = store_of(r, tenant, NULL);
	return s && store_uses(s, STORE_CONTENT, &name);
}

uint64_t results_bytes(struct results *r)
{
	AUTO_FREE struct store **stores = NULL;
	uint64_t sum = 0;
	size_t n = list(r, &stores);
	for (size_t i = 0; i < n; i++)
		sum += store_bytes(stores[i]);
	return sum;
}

uint64_t results_take_corrupt(struct results *r)
{
	AUTO_FREE struct store **stores = NULL;
	uint64_t sum = 0;
	size_t n = list(r, &stores);
	for (size_t i = 0; i < n; i++)
		sum += store_take_corrupt(stores[i]);
	return sum;
}

void results_tidy(struct results *r)
{
	AUTO_FREE struct store **stores = NULL;
	size_t n = list(r, &stores);
	for (size_t i = 0; i < n; i++) {
		struct err err = ERR_INIT;
		uint64_t removed = 0;
		if (store_is_over(stores[i]) && store_evict_some(stores[i], &removed, &err) < 0)
			log_event(LOG_LEVEL_WARN, "results not made fewer", LOG_TEXT("why", err.text));
		else if (removed)
			log_event(LOG_LEVEL_DEBUG, "results made fewer", LOG_NUMBER("removed", removed));
	}
}

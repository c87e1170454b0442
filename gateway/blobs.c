#include "gateway/blobs.h"

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct tenant_blobs {
	struct blobs *all;
	char *name;
	struct store *store;
	atomic_uint_fast64_t memory;
};

struct blobs {
	struct blobs_config config;
	char *directory;
	atomic_uint_fast64_t memory;
	pthread_mutex_t lock; // over the map
	struct map tenants;
};

struct blobs *blobs_new(const struct blobs_config *config)
{
	struct blobs *b = mem_alloc(sizeof *b);
	b->config = *config;
	b->directory = mem_strdup(config->directory);
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

void blobs_free(struct blobs *b)
{
	void *value;
	if (!b)
		return;
	for (size_t at = 0; map_next(&b->tenants, &at, NULL, NULL, &value);) {
		struct tenant_blobs *t = value;
		store_close(t->store);
		free(t->name);
		free(t);
	}
	map_release(&b->tenants);
	pthread_mutex_destroy(&b->lock);
	free(b->directory);
	free(b);
}

static struct tenant_blobs *open_tenant(struct blobs *b, const char *tenant, struct err *err)
{
	AUTO_FREE char *path = mem_printf("%s/%s", b->directory, tenant);
	struct store *store = store_open(path, b->config.tenant_bytes, b->config.level, err);
	if (!store)
		return NULL;
	struct tenant_blobs *t = mem_alloc(sizeof *t);
	t->all = b;
	t->name = mem_strdup(tenant);
	t->store = store;
	map_puts(&b->tenants, tenant, t);
	return t;
}

int blobs_of(struct blobs *b, const char *tenant, struct tenant_blobs **t, struct err *err)
{
	pthread_mutex_lock(&b->lock);
	*t = map_gets(&b->tenants, tenant);
	if (!*t)
		*t = open_tenant(b, tenant, err);
	pthread_mutex_unlock(&b->lock);
	return *t ? 0 : -1;
}

const char *blobs_tenant(const struct tenant_blobs *t)
{
	return t->name;
}

struct shared_actions *blobs_shared(const struct tenant_blobs *t)
{
	return t->all->config.shared;
}

int64_t blobs_max(const struct tenant_blobs *t)
{
	return t->all->config.max_blob_bytes;
}

// ---- all tenants --------------------------------------------------------------------------------------------------------

// Stores are never closed before the end, so what is found under the lock stays good without it.
static size_t list(struct blobs *b, struct tenant_blobs ***all)
{
	size_t n = 0;
	void *value;
	pthread_mutex_lock(&b->lock);
	*all = mem_alloc((b->tenants.n + 1) * sizeof **all);
	for (size_t at = 0; map_next(&b->tenants, &at, NULL, NULL, &value);)
		(*all)[n++] = value;
	pthread_mutex_unlock(&b->lock);
	return n;
}

void blobs_tidy(struct blobs *b)
{
	AUTO_FREE struct tenant_blobs **all = NULL;
	size_t n = list(b, &all);
	for (size_t i = 0; i < n; i++) {
		uint64_t removed = 0;
		struct err err = ERR_INIT;
		if (store_is_over(all[i]->store) && store_evict_some(all[i]->store, &removed, &err) < 0)
			log_event(LOG_LEVEL_WARN, "blobs not tidied", LOG_TEXT("tenant", all[i]->name),
				  LOG_TEXT("why", err.text));
	}
}

uint64_t blobs_bytes(struct blobs *b)
{
	AUTO_FREE struct tenant_blobs **all = NULL;
	uint64_t bytes = 0;
	for (size_t n = list(b, &all); n--;)
		bytes += store_bytes(all[n]->store);
	return bytes;
}

uint64_t blobs_memory(struct blobs *b)
{
	return b->memory;
}

// ---- rooms --------------------------------------------------------------------------------------------------------------

int room_add(struct room *r, uint64_t bytes, struct err *err)
{
	struct tenant_blobs *t = r->blobs;
	struct blobs *b = t->all;
	uint64_t most = b->config.memory_bytes;
	if (bytes > most / 2 || r->bytes > most / 2 - bytes)
		return err_set(err, ERR_LIMIT, "%llu bytes at once are more than one tenant gets here",
			       (unsigned long long)bytes);
	uint64_t all = atomic_fetch_add(&b->memory, bytes) + bytes, own = atomic_fetch_add(&t->memory, bytes) + bytes;
	r->bytes += bytes;
	if (all <= most && own <= most / 2)
		return 0;
	room_shrink(r, r->bytes - bytes);
	return err_set(err, ERR_FULL, "no memory for one more blob or message now: others come and go");
}

int room_reach(struct room *r, uint64_t bytes, struct err *err)
{
	return bytes <= r->bytes ? 0 : room_add(r, bytes - r->bytes, err);
}

void room_shrink(struct room *r, uint64_t bytes)
{
	if (bytes >= r->bytes)
		return;
	atomic_fetch_sub(&r->blobs->all->memory, r->bytes - bytes);
	atomic_fetch_sub(&r->blobs->memory, r->bytes - bytes);
	r->bytes = bytes;
}

void room_release(struct room *r)
{
	room_shrink(r, 0);
}

// ---- content ------------------------------------------------------------------------------------------------------------

// The store names a blob by half of its hash, with the size in it: a digest with another size names nothing. (What goes in is
// compared with both, and so is what goes out.)
static struct digest key_of(const struct reapi_digest *d)
{
	struct digest key;
	uint64_t size = (uint64_t)d->size;
	memcpy(key.b, d->hash.b, sizeof key.b);
	for (size_t i = 0; i < sizeof size; i++)
		key.b[sizeof key.b - 1 - i] ^= (uint8_t)(size >> (8 * i));
	return key;
}

int blobs_get(struct tenant_blobs *t, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	struct digest key = key_of(d);
	size_t before = out->len;
	if (reapi_digest_is_empty(d))
		return 1;
	if (d->size > blobs_max(t))
		return 0;
	int found = store_get(t->store, STORE_CONTENT, &key, out, err);
	if (found != 1)
		return found;
	struct reapi_digest is = reapi_digest_of(out->data + before, out->len - before);
	if (reapi_digest_equal(&is, d))
		return 1;
	out->len = before;
	out->data[before] = '\0';
	return 0;
}

int blobs_put(struct tenant_blobs *t, const struct reapi_digest *d, const void *p, size_t n, struct err *err)
{
	struct digest key = key_of(d);
	struct reapi_digest is = reapi_digest_of(p, n);
	char hex[SHA256_HEX];
	sha256_hex(&is.hash, hex);
	if (!reapi_digest_equal(&is, d))
		return err_set(err, ERR_FORMAT, "these are %zu bytes with the digest %s", n, hex);
	if (n == 0)
		return 0;
	return store_put(t->store, STORE_CONTENT, &key, &(struct store_part){p, n}, 1, err);
}

bool blobs_has(struct tenant_blobs *t, const struct reapi_digest *d)
{
	struct digest key = key_of(d);
	return reapi_digest_is_empty(d) || store_use(t->store, STORE_CONTENT, &key);
}

bool blobs_uses(struct tenant_blobs *t, const struct reapi_digest *d)
{
	struct digest key = key_of(d);
	return reapi_digest_is_empty(d) || store_uses(t->store, STORE_CONTENT, &key);
}

// ---- results ------------------------------------------------------------------------------------------------------------

// The whole name stands in front of the bytes.
int blobs_get_result(struct tenant_blobs *t, const struct reapi_digest *action, struct buf *out, struct err *err)
{
	struct digest key = key_of(action);
	size_t n_name = sizeof action->hash;
	AUTO_BUF struct buf blob = BUF_INIT;
	int found = store_get(t->store, STORE_ACTION, &key, &blob, err);
	if (found != 1)
		return found;
	if (blob.len < n_name || memcmp(blob.data, action->hash.b, n_name) != 0)
		return 0;
	buf_add(out, blob.data + n_name, blob.len - n_name);
	return 1;
}

int blobs_put_result(struct tenant_blobs *t, const struct reapi_digest *action, const void *p, size_t n, struct err *err)
{
	struct digest key = key_of(action);
	const struct store_part parts[] = {{action->hash.b, sizeof action->hash}, {p, n}};
	return store_put(t->store, STORE_ACTION, &key, parts, 2, err);
}

void blobs_remove_result(struct tenant_blobs *t, const struct reapi_digest *action)
{
	struct digest key = key_of(action);
	store_remove(t->store, STORE_ACTION, &key);
}

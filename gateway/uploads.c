#include "gateway/uploads.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE = 256 << 10 };

struct uploads {
	pthread_mutex_t lock;
	struct map left; // key -> struct incoming
};

struct uploads *uploads_new(void)
{
	struct uploads *u = mem_alloc(sizeof *u);
	pthread_mutex_init(&u->lock, NULL);
	return u;
}

void uploads_free(struct uploads *u)
{
	void *value;
	if (!u)
		return;
	for (size_t at = 0; map_next(&u->left, &at, NULL, NULL, &value);)
		incoming_drop(value);
	map_release(&u->left);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

// ---- one ----------------------------------------------------------------------------------------------------------------

void incoming_drop(struct incoming *u)
{
	if (!u)
		return;
	incoming_restart(u);
	inflate_release(&u->zstd);
	buf_release(&u->bytes);
	free(u->key);
	free(u);
}

void incoming_restart(struct incoming *u)
{
	u->committed = 0;
	buf_release(&u->bytes);
	u->bytes.max = (size_t)u->digest.size + SPARE;
	inflate_release(&u->zstd);
	room_release(&u->room);
	if (u->is_zstd)
		inflate_begin(&u->zstd, &u->room);
}

int incoming_add(struct incoming *u, const void *p, size_t n, struct err *err)
{
	u->committed += n;
	if (u->is_zstd)
		return inflate_take(&u->zstd, p, n, &u->bytes, (uint64_t)u->digest.size, err);
	if (n > (uint64_t)u->digest.size - u->bytes.len)
		return err_set(err, ERR_FORMAT, "more bytes than the digest says: %lld", (long long)u->digest.size);
	if (room_reach(&u->room, buf_grown(&u->bytes, n), err) < 0)
		return -1;
	buf_add(&u->bytes, p, n);
	return buf_check(&u->bytes, "a blob", err);
}

int incoming_finish(struct incoming *u, struct err *err)
{
	if (u->is_zstd && inflate_end(&u->zstd, err) < 0)
		return -1;
	if (u->bytes.len != (uint64_t)u->digest.size)
		return err_set(err, ERR_FORMAT, "%zu bytes, and the digest says %lld", u->bytes.len,
			       (long long)u->digest.size);
	return blobs_put(u->blobs, &u->digest, u->bytes.data ? u->bytes.data : "", u->bytes.len, err);
}

// ---- those that were left behind ------------------------------------------------------------------------------------------

static char *make_key(const struct tenant_blobs *blobs, const char *name, size_t *n)
{
	const char *tenant = blobs_tenant(blobs);
	*n = strlen(tenant) + 1 + strlen(name);
	return mem_printf("%s/%s", tenant, name);
}

struct incoming *uploads_take(struct uploads *all, struct tenant_blobs *blobs, const char *name,
			      const struct reapi_resource *r)
{
	size_t n;
	AUTO_FREE char *key = make_key(blobs, name, &n);
	pthread_mutex_lock(&all->lock);
	struct incoming *u = map_del(&all->left, key, n);
	pthread_mutex_unlock(&all->lock);
	if (u)
		return u;
	u = mem_alloc(sizeof *u);
	u->key = TAKE(key);
	u->n_key = n;
	u->blobs = u->room.blobs = blobs;
	u->digest = r->digest;
	u->is_zstd = r->is_zstd;
	incoming_restart(u);
	return u;
}

void uploads_keep(struct uploads *all, struct incoming *u)
{
	struct incoming *other = u;
	pthread_mutex_lock(&all->lock);
	if (u->committed && all->left.n < UPLOADS_KEPT) {
		u->left_ms = clock_ms();
		other = map_put(&all->left, u->key, u->n_key, u);
	}
	pthread_mutex_unlock(&all->lock);
	incoming_drop(other);
}

uint64_t uploads_committed(struct uploads *all, const struct tenant_blobs *blobs, const char *name)
{
	size_t n;
	AUTO_FREE char *key = make_key(blobs, name, &n);
	pthread_mutex_lock(&all->lock);
	const struct incoming *u = map_get(&all->left, key, n);
	uint64_t committed = u ? u->committed : 0;
	pthread_mutex_unlock(&all->lock);
	return committed;
}

void uploads_tidy(struct uploads *all)
{
	int64_t before = clock_ms() - UPLOADS_KEEP_MS;
	const char *key;
	size_t n;
	void *value;
	pthread_mutex_lock(&all->lock);
	for (size_t at = 0; map_next(&all->left, &at, &key, &n, &value);)
		if (((struct incoming *)value)->left_ms < before) {
			struct incoming *u = value;
			map_del(&all->left, u->key, u->n_key);
			incoming_drop(u);
		}
	pthread_mutex_unlock(&all->lock);
}

#include "client/services/manifests.h"

#include "base/map.h"

#include <stdlib.h>

// Two generations instead of a list of uses: what is found in the old one moves to the young one; when the young one has
// reached half of the bound, the old one is dropped.
struct generation {
	struct map by_key;
	size_t bytes;
};

struct manifests {
	struct store *store;
	pthread_mutex_t lock;        // of the generations
	pthread_mutex_t writers[16]; // one at a time for a key
	struct generation young, old;
};

struct manifests *manifests_new(struct store *store)
{
	struct manifests *ms = mem_alloc(sizeof *ms);
	ms->store = store;
	pthread_mutex_init(&ms->lock, NULL);
	for (size_t i = 0; i < COUNT_OF(ms->writers); i++)
		pthread_mutex_init(&ms->writers[i], NULL);
	return ms;
}

static void generation_drop(struct generation *g)
{
	size_t at = 0;
	void *m;
	while (map_next(&g->by_key, &at, NULL, NULL, &m))
		manifest_unref(m);
	map_release(&g->by_key);
	g->bytes = 0;
}

void manifests_forget(struct manifests *ms)
{
	pthread_mutex_lock(&ms->lock);
	generation_drop(&ms->young);
	generation_drop(&ms->old);
	pthread_mutex_unlock(&ms->lock);
}

void manifests_free(struct manifests *ms)
{
	if (!ms)
		return;
	manifests_forget(ms);
	pthread_mutex_destroy(&ms->lock);
	for (size_t i = 0; i < COUNT_OF(ms->writers); i++)
		pthread_mutex_destroy(&ms->writers[i]);
	free(ms);
}

static struct manifest *generation_take(struct generation *g, const struct digest *key)
{
	struct manifest *m = map_del(&g->by_key, key, sizeof *key);
	if (m)
		g->bytes -= m->memory;
	return m;
}

// Under the lock; takes over the reference.
static void remember(struct manifests *ms, struct manifest *m)
{
	manifest_unref(generation_take(&ms->old, &m->key));
	manifest_unref(generation_take(&ms->young, &m->key));
	if (ms->young.bytes + m->memory > MANIFESTS_MAX_BYTES / 2) {
		generation_drop(&ms->old);
		ms->old = ms->young;
		ms->young = (struct generation){MAP_INIT, 0};
	}
	map_put(&ms->young.by_key, &m->key, sizeof m->key, m);
	ms->young.bytes += m->memory;
}

static struct manifest *in_memory(struct manifests *ms, const struct digest *key)
{
	pthread_mutex_lock(&ms->lock);
	struct manifest *m = map_get(&ms->young.by_key, key, sizeof *key);
	if (!m) {
		m = generation_take(&ms->old, key);
		if (m)
			remember(ms, m);
	}
	if (m)
		manifest_ref(m);
	pthread_mutex_unlock(&ms->lock);
	return m;
}

static struct manifest *from_store(struct manifests *ms, const struct digest *key)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	if (store_get(ms->store, STORE_MANIFEST, key, &bytes, NULL) != 1)
		return NULL;
	struct manifest *m = manifest_decode(key, bytes.data, bytes.len, NULL);
	if (!m)
		store_remove(ms->store, STORE_MANIFEST, key);
	return m;
}

struct manifest *manifests_get(struct manifests *ms, const struct digest *key)
{
	struct manifest *m = in_memory(ms, key);
	if (m)
		return m;
	m = from_store(ms, key);
	if (!m)
		return NULL;
	pthread_mutex_lock(&ms->lock);
	remember(ms, manifest_ref(m));
	pthread_mutex_unlock(&ms->lock);
	return m;
}

int manifests_add_with(struct manifests *ms, const struct digest *key, const struct manifest_entry *fresh, size_t most,
		       const struct store_blob *beside, size_t n, struct err *err)
{
	pthread_mutex_t *turn = &ms->writers[key->b[0] % COUNT_OF(ms->writers)];
	pthread_mutex_lock(turn);
	struct manifest *old = manifests_get(ms, key);
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct manifest *m = manifest_with(old, key, fresh, most, &bytes);
	manifest_unref(old);
	struct store_part part = {bytes.data, bytes.len};
	struct store_blob all[MANIFESTS_MAX_BESIDE + 1];
	n = n < MANIFESTS_MAX_BESIDE ? n : MANIFESTS_MAX_BESIDE;
	for (size_t i = 0; i < n; i++)
		all[i] = beside[i];
	all[n] = (struct store_blob){STORE_MANIFEST, *key, &part, 1};
	int rc = n ? store_put_together(ms->store, all, n + 1, err)
		   : store_put_beside(ms->store, &all[0], STORE_RESULT, &fresh->result, err);
	// What stands beside it may not be there either.
	if (rc < 0 && n) {
		manifest_unref(m);
	} else {
		pthread_mutex_lock(&ms->lock);
		remember(ms, m);
		pthread_mutex_unlock(&ms->lock);
	}
	pthread_mutex_unlock(turn);
	return rc;
}

int manifests_add(struct manifests *ms, const struct digest *key, const struct manifest_entry *fresh, size_t most,
		  struct err *err)
{
	return manifests_add_with(ms, key, fresh, most, NULL, 0, err);
}

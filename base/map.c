#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static char tomb;
#define MAP_TOMB (&tomb)

// Keys come from peers too, so the seed is another one in each process: nobody outside can make them collide.
static uint64_t seed;
__attribute__((constructor)) static void pick_seed(void)
{
	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
		seed = (uint64_t)getpid() * 0x9e3779b97f4a7c15U;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15U) * (b ^ seed ^ 0xd1b54a32d192ed03U);
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Eight bytes a step, folded by a wide multiplication. Of one process only; digests that are kept are codec/hash's.
static uint32_t hash_of(const void *key, size_t len)
{
	const unsigned char *p = key;
	uint64_t hash = mix(len, seed), word;
	for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
		memcpy(&word, p, sizeof word);
		hash = mix(hash ^ word, word);
	}
	word = 0;
	memcpy(&word, p, len);
	return (uint32_t)mix(hash ^ word, hash);
}

static bool is_live(const struct map_slot *s)
{
	return s->key && s->key != MAP_TOMB;
}

static struct map_slot *find(const struct map *m, const void *key, size_t len, uint32_t hash)
{
	if (!m->cap)
		return NULL;
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];
		if (!s->key)
			return NULL;
		if (is_live(s) && s->hash == hash && s->key_len == len && memcmp(s->key, key, len) == 0)
			return s;
	}
}

static const char *keep_key(const struct map *m, const void *key, size_t len)
{
	if (m->borrows)
		return key;
	char *copy = mem_alloc(len + 1);
	memcpy(copy, key, len);
	return copy;
}

static void free_key(const struct map *m, const char *key)
{
	if (!m->borrows)
		free((void *)(uintptr_t)key);
}

static struct map_slot *first_free(struct map *m, uint32_t hash)
{
	size_t i = hash & (m->cap - 1);
	while (is_live(&m->slots[i]))
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

static void grow(struct map *m)
{
	struct map old = *m;
	m->cap = old.n * 4 < 16 ? 16 : old.cap;
	while (m->cap < old.n * 3)
		m->cap *= 2;
	m->slots = mem_alloc(m->cap * sizeof *m->slots);
	m->used = m->n;
	for (size_t i = 0; i < old.cap; i++)
		if (is_live(&old.slots[i]))
			*first_free(m, old.slots[i].hash) = old.slots[i];
	free(old.slots);
}

void *map_get(const struct map *m, const void *key, size_t len)
{
	struct map_slot *s = find(m, key, len, hash_of(key, len));
	return s ? s->value : NULL;
}

void *map_put(struct map *m, const void *key, size_t len, void *value)
{
	uint32_t hash = hash_of(key, len);
	struct map_slot *s = find(m, key, len, hash);
	if (s) {
		void *old = s->value;
		s->value = value;
		return old;
	}
	if ((m->used + 1) * 4 > m->cap * 3)
		grow(m);
	s = first_free(m, hash);
	if (!s->key)
		m->used++;
	m->n++;
	*s = (struct map_slot){keep_key(m, key, len), (uint32_t)len, hash, value};
	return NULL;
}

void *map_del(struct map *m, const void *key, size_t len)
{
	struct map_slot *s = find(m, key, len, hash_of(key, len));
	if (!s)
		return NULL;
	free_key(m, s->key);
	s->key = MAP_TOMB;
	m->n--;
	return TAKE(s->value);
}

void *map_gets(const struct map *m, const char *key)
{
	return map_get(m, key, strlen(key));
}

void *map_puts(struct map *m, const char *key, void *value)
{
	return map_put(m, key, strlen(key), value);
}

bool map_next(const struct map *m, size_t *at, const char **key, size_t *len, void **value)
{
	for (; *at < m->cap; ++*at) {
		struct map_slot *s = &m->slots[*at];
		if (!is_live(s))
			continue;
		if (key)
			*key = s->key;
		if (len)
			*len = s->key_len;
		if (value)
			*value = s->value;
		++*at;
		return true;
	}
	return false;
}

void map_release(struct map *m)
{
	for (size_t i = 0; i < m->cap && !m->borrows; i++)
		if (is_live(&m->slots[i]))
			free_key(m, m->slots[i].key);
	free(m->slots);
	*m = (struct map){.borrows = m->borrows};
}

void map_release_all(struct map *m)
{
	size_t at = 0;
	void *value;
	while (map_next(m, &at, NULL, NULL, &value))
		free(value);
	map_release(m);
}

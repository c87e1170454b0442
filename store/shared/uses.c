#include "store/shared/uses.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

static const char magic[8] = "cofferU1";

struct uses {
	pthread_mutex_t lock;
	struct map noted; // id -> clock_ms()
	int64_t written_ms;
};

uint64_t uses_id(const struct sha256 *name)
{
	uint64_t id;
	memcpy(&id, name->b, sizeof id);
	return id;
}

struct uses *uses_new(void)
{
	struct uses *u = mem_alloc(sizeof *u);
	pthread_mutex_init(&u->lock, NULL);
	u->written_ms = clock_ms();
	return u;
}

void uses_free(struct uses *u)
{
	if (!u)
		return;
	pthread_mutex_destroy(&u->lock);
	map_release(&u->noted);
	free(u);
}

bool uses_note(struct uses *u, const struct tier_name *name)
{
	uint64_t id = uses_id(&name->id);
	int64_t now = clock_ms();
	pthread_mutex_lock(&u->lock);
	if (u->noted.n < USES_MOST)
		map_put(&u->noted, &id, sizeof id, (void *)(uintptr_t)now);
	bool is_due = u->noted.n == USES_MOST || now - u->written_ms > USES_EVERY_MS;
	pthread_mutex_unlock(&u->lock);
	return is_due;
}

bool uses_take(struct uses *u, struct buf *record)
{
	pthread_mutex_lock(&u->lock);
	struct map noted = u->noted;
	u->noted = (struct map)MAP_INIT;
	u->written_ms = clock_ms();
	pthread_mutex_unlock(&u->lock);
	if (!noted.n)
		return false;
	AUTO_FREE struct store_use *all = mem_alloc(noted.n * sizeof *all);
	const char *key;
	void *at_ms;
	uint32_t n = 0;
	for (size_t at = 0; map_next(&noted, &at, &key, NULL, &at_ms); n++) {
		memcpy(&all[n].id, key, sizeof all[n].id);
		all[n].minutes = (uint32_t)((clock_ms() - (int64_t)(uintptr_t)at_ms) / 60000);
	}
	map_release(&noted);
	uses_encode(all, n, record);
	return true;
}

void uses_encode(const struct store_use *uses, uint32_t n, struct buf *record)
{
	buf_add(record, magic, sizeof magic);
	buf_add_u32(record, n);
	for (uint32_t i = 0; i < n; i++) {
		buf_add(record, &uses[i].id, sizeof uses[i].id);
		buf_add_u32(record, uses[i].minutes);
	}
}

int uses_decode(const void *p, size_t n, struct buf *out, struct err *err)
{
	struct rd r = RD(p, n);
	const char *begin = rd_bytes(&r, sizeof magic);
	uint32_t number = rd_u32(&r);
	if (!begin || r.bad || memcmp(begin, magic, sizeof magic) != 0 || number > USES_MOST ||
	    rd_left(&r) != (size_t)number * 12)
		return err_set(err, ERR_FORMAT, "this is no record of uses");
	for (uint32_t i = 0; i < number; i++) {
		struct store_use use = {0};
		const void *id = rd_bytes(&r, sizeof use.id);
		memcpy(&use.id, id, sizeof use.id);
		use.minutes = rd_u32(&r);
		buf_add(out, &use, sizeof use);
	}
	return buf_check(out, "the uses of a store", err);
}

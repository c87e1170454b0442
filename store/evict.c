#include "store/disk.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	// Blobs that are compared with each other. Most stores have fewer, and for them eviction is exactly by last use;
	// larger ones are taken in pieces of some shards each, which are samples of the whole because keys are digests.
	BATCH = 64 * 1024,
	ROUNDS = 3, // the first one may find the counts wrong
	MAKE_ROOM_MS = 600000,
};

struct candidate {
	struct digest key;
	enum store_kind kind;
	int64_t used_ns;
	uint64_t size, bytes;
};

struct batch {
	struct candidate *all;
	size_t n, cap;
	uint64_t bytes;
};

static void batch_release(struct batch *b)
{
	free(b->all);
}

static enum walk_verdict batch_add(void *arg, const struct walk_blob *blob)
{
	struct batch *b = arg;
	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 1024;
		b->all = mem_realloc(b->all, b->cap * sizeof *b->all);
	}
	b->all[b->n++] = (struct candidate){blob->key, blob->kind, blob->used_ns, blob->size, blob->bytes};
	b->bytes += blob->bytes;
	return WALK_KEEP;
}

static int by_use(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

// Removes the blob unless it has been used or replaced since the walk. True when it is gone by our hand.
static bool remove_unused(struct store *s, const struct candidate *c)
{
	char hex[DIGEST_HEX];
	digest_hex(&c->key, hex);
	AUTO_CLOSE int directory = walk_open_directory(s, c->kind, shard_of(&c->key));
	struct stat st;
	if (directory < 0 || fstatat(directory, hex + 2, &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_blob_file(&st) ||
	    (uint64_t)st.st_size != c->size || file_id_of(&st).mtime_ns > c->used_ns || unlinkat(directory, hex + 2, 0) < 0)
		return false;
	disk_forget(s, c->kind, &c->key);
	usage_add(s->usage, shard_of(&c->key), -(int64_t)c->bytes);
	return true;
}

// Removes the least recently used blobs until the batch has `keep` bytes or the store is down to `goal`.
static uint64_t batch_trim(struct store *s, struct batch *b, uint64_t keep, uint64_t goal)
{
	uint64_t removed = 0, total = store_bytes(s);
	qsort(b->all, b->n, sizeof *b->all, by_use);
	for (size_t i = 0; i < b->n && b->bytes > keep && total > goal; i++) {
		if (!remove_unused(s, &b->all[i]))
			continue;
		b->bytes -= b->all[i].bytes;
		total -= b->all[i].bytes < total ? b->all[i].bytes : total;
		removed++;
	}
	b->n = 0;
	b->bytes = 0;
	return removed;
}

struct fullness {
	unsigned shard;
	uint64_t bytes;
};

static int fullest_first(const void *a, const void *b)
{
	const struct fullness *x = a, *y = b;
	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

// Goes through the shards, the fullest first, until the store is down to `goal`.
static int evict_round(struct store *s, uint64_t max, uint64_t goal, uint64_t *removed, struct err *err)
{
	uint64_t counts[USAGE_SHARDS];
	uint64_t total = usage_read(s->usage, counts);
	if (total <= goal)
		return 0;
	struct fullness order[USAGE_SHARDS];
	for (unsigned i = 0; i < USAGE_SHARDS; i++)
		order[i] = (struct fullness){i, counts[i]};
	qsort(order, USAGE_SHARDS, sizeof *order, fullest_first);
	// A batch that is not the whole store gives a little more than its part, so that not every shard needs a walk.
	double keep_part = 0.9 * (double)max / (double)total;
	__attribute__((cleanup(batch_release))) struct batch b = {NULL, 0, 0, 0};
	for (unsigned i = 0; i < USAGE_SHARDS && store_bytes(s) > goal; i++) {
		if (walk_shard(s, order[i].shard, batch_add, &b, err) < 0)
			return -1;
		if (b.n >= BATCH || i == USAGE_SHARDS - 1)
			*removed += batch_trim(s, &b, (uint64_t)(keep_part * (double)b.bytes), goal);
	}
	return 0;
}

static enum walk_verdict keep(void *arg, const struct walk_blob *b)
{
	(void)arg;
	(void)b;
	return WALK_KEEP;
}

static int evict_locked(struct store *s, uint64_t *removed, struct err *err)
{
	if (!usage_is_complete(s->usage) && walk_all(s, keep, NULL, err) < 0)
		return -1;
	uint64_t max = s->max_bytes, total = store_bytes(s);
	// Somebody else has filled the disk: a tenth and some makes room for a while. Not again and again: whoever it is may fill that as
	// well, and the cache would be gone for nothing.
	if (atomic_exchange(&s->disk_is_full, false) && clock_ms() >= s->next_room_ms &&
	    (max == 0 || max > total - total / 10)) {
		max = total - total / 10;
		s->next_room_ms = clock_ms() + MAKE_ROOM_MS;
	}
	uint64_t goal = max - max / 20;
	if (max == 0 || total <= max)
		return 0;
	for (int round = 0; round < ROUNDS && store_bytes(s) > goal; round++) {
		if (evict_round(s, max, goal, removed, err) < 0)
			return -1;
	}
	return 0;
}

int store_evict_some(struct store *s, uint64_t *removed, struct err *err)
{
	*removed = 0;
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/lock", s->v1);
	AUTO_CLOSE int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (lock < 0)
		return err_errno(err, "cannot open '%s'", path);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : err_errno(err, "cannot lock '%s'", path);
	return evict_locked(s, removed, err);
}

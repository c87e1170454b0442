#include "audit/tiles.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_TILE = 96 };

// "tile/0/x001/x234/067", and for w hashes of 256 ".p/W" behind it.
static void tile_name(char name[NAME_MAX_TILE], unsigned level, uint64_t index, unsigned w)
{
	unsigned groups[7];
	int n = 0;
	do {
		groups[n++] = (unsigned)(index % 1000);
		index /= 1000;
	} while (index);
	int at = snprintf(name, NAME_MAX_TILE, "tile/%u", level);
	while (n-- > 0)
		at += snprintf(name + at, (size_t)(NAME_MAX_TILE - at), n ? "/x%03u" : "/%03u", groups[n]);
	if (w)
		snprintf(name + at, (size_t)(NAME_MAX_TILE - at), ".p/%u", w);
}

// ---- reading --------------------------------------------------------------------------------------------------------

void tiles_init(struct tiles *t, int dirfd, uint64_t size)
{
	*t = (struct tiles){.dirfd = dirfd, .size = size};
}

static int read_tile(int dirfd, unsigned level, uint64_t index, unsigned n, struct merkle_hash *hashes, struct err *err)
{
	char name[NAME_MAX_TILE];
	AUTO_BUF struct buf b = BUF_INIT;
	tile_name(name, level, index, n % TILE_HASHES);
	if (file_read(dirfd, name, TILE_HASHES * sizeof *hashes, &b, NULL, err) < 0)
		return -1;
	if (b.len != n * sizeof *hashes)
		return err_set(err, ERR_FORMAT, "the tile '%s' has %zu bytes instead of %zu", name, b.len,
			       n * sizeof *hashes);
	memcpy(hashes, b.data, b.len);
	return 0;
}

static int load(struct tiles *t, unsigned level, uint64_t index, struct err *err)
{
	uint64_t all = t->size >> (TILE_BITS * level), before = index << TILE_BITS;
	if (t->last[level].is_known && t->last[level].index == index)
		return 0;
	unsigned n = all - before < TILE_HASHES ? (unsigned)(all - before) : TILE_HASHES;
	t->last[level].is_known = false;
	if (read_tile(t->dirfd, level, index, n, t->last[level].hashes, err) < 0)
		return -1;
	t->last[level].is_known = true;
	t->last[level].index = index;
	t->last[level].n = n;
	return 0;
}

static int full(void *ctx, unsigned height, uint64_t index, struct merkle_hash *out, struct err *err)
{
	struct tiles *t = ctx;
	unsigned level = height / TILE_BITS, bits = height % TILE_BITS;
	uint64_t first = index << bits;
	if (level >= TILE_LEVELS || load(t, level, first >> TILE_BITS, err) < 0)
		return level >= TILE_LEVELS ? err_set(err, ERR_LIMIT, "the log is too large") : -1;
	unsigned from = (unsigned)(first % TILE_HASHES), n = 1u << bits;
	if (from + n > t->last[level].n)
		return err_set(err, ERR_FORMAT, "a tile of level %u has too few hashes", level);
	struct merkle_hash fold[TILE_HASHES];
	memcpy(fold, t->last[level].hashes + from, n * sizeof *fold);
	for (; n > 1; n /= 2)
		for (unsigned i = 0; i < n / 2; i++)
			fold[i] = merkle_node(&fold[2 * i], &fold[2 * i + 1]);
	*out = fold[0];
	return 0;
}

struct merkle_tree tiles_tree(struct tiles *t)
{
	return (struct merkle_tree){full, t};
}

int tiles_leaf(struct tiles *t, uint64_t index, struct merkle_hash *out, struct err *err)
{
	return full(t, 0, index, out, err);
}

// ---- writing --------------------------------------------------------------------------------------------------------

struct full_tile {
	struct full_tile *next;
	unsigned level;
	uint64_t index;
	struct merkle_hash hashes[TILE_HASHES];
};

int tile_writer_open(struct tile_writer *w, int dirfd, uint64_t size, struct err *err)
{
	*w = (struct tile_writer){.dirfd = dirfd, .size = size};
	w->last = &w->unwritten;
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		uint64_t all = size >> (TILE_BITS * level);
		w->n[level] = w->on_disk[level] = (unsigned)(all % TILE_HASHES);
		if (w->n[level] && read_tile(dirfd, level, all >> TILE_BITS, w->n[level], w->hashes[level], err) < 0)
			return -1;
	}
	return 0;
}

static int write_tile(const struct tile_writer *w, unsigned level, uint64_t index, const struct merkle_hash *hashes,
		      unsigned n, struct err *err)
{
	char name[NAME_MAX_TILE], dir[NAME_MAX_TILE];
	tile_name(name, level, index, n % TILE_HASHES);
	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(dir, sizeof dir, "%.*s", (int)(slash - name), name);
		if (mkdirat(w->dirfd, dir, 0755) < 0 && errno != EEXIST)
			return err_errno(err, "cannot make the directory '%s' of the audit log", dir);
	}
	return file_write_atomic(w->dirfd, name, hashes, n * sizeof *hashes, 0644, err);
}

void tile_writer_release(struct tile_writer *w)
{
	for (struct full_tile *t = w->unwritten, *next; t; t = next) {
		next = t->next;
		free(t);
	}
	w->unwritten = NULL;
}

// The partial tile of the last flush is replaced by one with more hashes. It goes when no checkpoint needs it.
static void retire_partial(struct tile_writer *w, unsigned level, uint64_t index)
{
	if (w->on_disk[level]) {
		w->stale.of[level].index = index;
		w->stale.of[level].n = w->on_disk[level];
	}
	w->on_disk[level] = 0;
}

void stale_tiles_remove(const struct stale_tiles *stale, int dirfd)
{
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		char name[NAME_MAX_TILE];
		if (!stale->of[level].n)
			continue;
		tile_name(name, level, stale->of[level].index, stale->of[level].n);
		unlinkat(dirfd, name, 0);
		*strrchr(name, '/') = '\0';
		unlinkat(dirfd, name, AT_REMOVEDIR); // stays where a newer one is in it
	}
}

static struct merkle_hash root_of_tile(const struct merkle_hash *hashes)
{
	struct merkle_edge e = {.n = 0};
	for (unsigned i = 0; i < TILE_HASHES; i++)
		merkle_edge_add(&e, &hashes[i]);
	return merkle_edge_root(&e);
}

void tile_writer_add(struct tile_writer *w, const struct merkle_hash *leaf)
{
	struct merkle_hash hash = *leaf;
	w->size++;
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		w->hashes[level][w->n[level]++] = hash;
		if (w->n[level] < TILE_HASHES)
			return;
		struct full_tile *t = mem_alloc(sizeof *t);
		t->level = level;
		t->index = (w->size >> (TILE_BITS * (level + 1))) - 1;
		memcpy(t->hashes, w->hashes[level], sizeof t->hashes);
		*w->last = t;
		w->last = &t->next;
		w->n_unwritten++;
		retire_partial(w, level, t->index);
		hash = root_of_tile(w->hashes[level]);
		w->n[level] = 0;
	}
}

int tile_writer_flush(struct tile_writer *w, struct stale_tiles *stale, struct err *err)
{
	while (w->unwritten) {
		struct full_tile *t = w->unwritten;
		if (write_tile(w, t->level, t->index, t->hashes, TILE_HASHES, err) < 0)
			return -1;
		w->unwritten = t->next;
		if (!w->unwritten)
			w->last = &w->unwritten;
		w->n_unwritten--;
		free(t);
	}
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		uint64_t index = w->size >> (TILE_BITS * (level + 1));
		unsigned n = w->n[level];
		if (!n || n == w->on_disk[level])
			continue;
		if (write_tile(w, level, index, w->hashes[level], n, err) < 0)
			return -1;
		retire_partial(w, level, index);
		w->on_disk[level] = n;
	}
	*stale = w->stale;
	w->stale = (struct stale_tiles){0};
	return 0;
}

// From the lowest level upwards: every hash there is a full subtree, right of all that are larger.
struct merkle_hash tile_writer_root(const struct tile_writer *w)
{
	struct merkle_hash root = merkle_empty();
	bool any = false;
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		struct merkle_edge e = {.n = 0};
		for (unsigned i = 0; i < w->n[level]; i++)
			merkle_edge_add(&e, &w->hashes[level][i]);
		for (unsigned i = e.n; i-- > 0;) {
			root = any ? merkle_node(&e.hashes[i], &root) : e.hashes[i];
			any = true;
		}
	}
	return root;
}

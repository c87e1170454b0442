// The walks that somebody asks for: `coffer cache gc|verify|clear`.
#include "store/disk.h"

#include "base/buf.h"
#include "base/mem.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void count(struct store_report *r, const struct walk_blob *b)
{
	r->blobs[b->kind]++;
	r->bytes[b->kind] += b->bytes;
}

static enum walk_verdict count_and_keep(void *arg, const struct walk_blob *b)
{
	count(arg, b);
	return WALK_KEEP;
}

int store_gc(struct store *s, struct store_report *r, struct err *err)
{
	*r = (struct store_report){.stray_temps = walk_drop_temps(s)};
	struct store_report found = *r;
	if (walk_all(s, count_and_keep, &found, err) < 0 || store_evict_some(s, &found.evicted, err) < 0)
		return -1;
	if (!found.evicted) {
		*r = found;
		return 0;
	}
	r->evicted = found.evicted;
	return walk_all(s, count_and_keep, r, err);
}

struct verify {
	struct store *store;
	struct store_report *report;
	struct buf raw;
};

static enum walk_verdict verify_blob(void *arg, const struct walk_blob *b)
{
	struct verify *v = arg;
	struct err why = ERR_INIT;
	struct stat st;
	AUTO_CLOSE int fd = openat(b->directory, b->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	buf_clear(&v->raw);
	if (fd >= 0 && disk_load(fd, b->kind, &b->key, &v->raw, &st, &why) < 0 && disk_is_useless(&why)) {
		v->store->corrupt++;
		v->report->corrupt++;
		return WALK_DROP;
	}
	count(v->report, b);
	return WALK_KEEP;
}

int store_verify(struct store *s, struct store_report *r, struct err *err)
{
	*r = (struct store_report){0};
	struct verify v = {s, r, BUF_INIT};
	int done = walk_all(s, verify_blob, &v, err);
	buf_release(&v.raw);
	return done;
}

static enum walk_verdict count_and_drop(void *arg, const struct walk_blob *b)
{
	count(arg, b);
	return WALK_DROP;
}

int store_clear(struct store *s, struct store_report *r, struct err *err)
{
	*r = (struct store_report){.stray_temps = walk_drop_temps(s)};
	return walk_all(s, count_and_drop, r, err);
}

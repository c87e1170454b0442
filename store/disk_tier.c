#include "store/tier.h"

#include "base/mem.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

// The store names a blob by half of its name; the whole name of an action stands in front of its bytes. Content is compared with
// its name by whoever gets it.
struct disk_tier {
	struct tier tier;
	struct store *store;
};

void tier_path(const struct tier_name *name, char path[TIER_PATH_ROOM])
{
	int n = snprintf(path, TIER_PATH_ROOM, "%s/", tier_space_name(name->space));
	sha256_hex(&name->id, path + n);
}

const char *tier_space_name(enum tier_space space)
{
	static const char *const names[TIER_SPACES] = {
		[TIER_ACTIONS] = "ac", [TIER_CONTENT] = "cas", [TIER_USES] = "use", [TIER_LEASES] = "lease"};
	return names[space];
}

static enum store_kind kind_of(const struct tier_name *name)
{
	return name->space == TIER_CONTENT ? STORE_CONTENT : STORE_ACTION;
}

static struct digest half_of(const struct tier_name *name)
{
	struct digest d;
	memcpy(d.b, name->id.b, sizeof d.b);
	return d;
}

static int disk_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		    struct err *err)
{
	(void)until_ms;
	struct store *s = ((struct disk_tier *)t)->store;
	struct digest key = half_of(name);
	size_t head = name->space != TIER_CONTENT ? sizeof name->id : 0;
	AUTO_BUF struct buf blob = {.max = max + head};
	int rc = store_get(s, kind_of(name), &key, &blob, err);
	if (rc != 1)
		return rc;
	if (blob.len < head || (head && memcmp(blob.data, name->id.b, head) != 0))
		return 0;
	buf_add(out, blob.data + head, blob.len - head);
	return buf_check(out, "an entry", err) < 0 ? -1 : 1;
}

static int disk_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms, struct err *err)
{
	(void)until_ms;
	struct store *s = ((struct disk_tier *)t)->store;
	struct digest key = half_of(name);
	struct store_part parts[] = {{name->id.b, sizeof name->id}, {p, n}};
	bool has_head = name->space != TIER_CONTENT;
	return store_put(s, kind_of(name), &key, has_head ? parts : parts + 1, has_head ? 2 : 1, err);
}

static int disk_has(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms, struct err *err)
{
	(void)until_ms, (void)err;
	struct store *s = ((struct disk_tier *)t)->store;
	for (size_t i = 0; i < n; i++) {
		struct digest key = half_of(&names[i]);
		there[i] = store_has(s, kind_of(&names[i]), &key);
	}
	return 0;
}

static void disk_close(struct tier *t)
{
	free(t);
}

struct tier *tier_of_disk(struct store *s)
{
	static const struct tier_ops ops = {
		.kind = "disk", .get = disk_get, .put = disk_put, .has = disk_has, .close = disk_close};
	struct disk_tier *t = mem_alloc(sizeof *t);
	t->tier.ops = &ops;
	t->store = s;
	return &t->tier;
}

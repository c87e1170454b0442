#include "client/job/variants.h"
#include "client/job/toolchain_parts.h"
#include "client/job/variant.h"

#include <string.h>

enum { UNIT_FORMAT = 1, VARIANTS = 6 };

struct kept_variant {
	struct digest key; // manifest key
	struct digest toolchain;
	struct variant words;
};

static void get_digest(struct rd *r, struct digest *d)
{
	const void *p = rd_bytes(r, sizeof d->b);
	if (p)
		memcpy(d->b, p, sizeof d->b);
}

static unsigned variants_load(struct store *s, const struct digest *unit, struct arena *a, struct kept_variant v[VARIANTS])
{
	AUTO_BUF struct buf b = BUF_INIT;
	if (store_get(s, STORE_UNIT, unit, &b, NULL) != 1)
		return 0;
	struct rd r = RD(b.data, b.len);
	uint32_t n = rd_u32(&r) == UNIT_FORMAT ? rd_u32(&r) : 0;
	if (n > VARIANTS)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		v[i] = (struct kept_variant){0};
		get_digest(&r, &v[i].key);
		get_digest(&r, &v[i].toolchain);
		variant_get(&r, a, &v[i].words);
	}
	return r.bad ? 0 : n;
}

bool variants_find(struct store *s, const struct digest *unit, const struct digest *key, struct arena *a, struct variant *v)
{
	struct kept_variant kept[VARIANTS];
	unsigned n = variants_load(s, unit, a, kept);
	for (unsigned i = 0; i < n; i++)
		if (digest_equal(&kept[i].key, key)) {
			*v = kept[i].words;
			return true;
		}
	return false;
}

void variants_encode(const struct plan *p, struct store *s, struct buf *b)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct kept_variant v[VARIANTS + 1] = {
		{.key = p->manifest_key, .toolchain = p->toolchain, .words = variant_of(p, &a)}};
	unsigned n = variants_load(s, &p->unit_key, &a, v + 1) + 1, kept = 1;
	toolchain_parts_remember(p, s);
	// Known under the same key already: nothing that could be told apart later has changed.
	for (unsigned i = 1; i < n; i++) {
		if (digest_equal(&v[i].key, &p->manifest_key))
			return;
	}
	kept = n > VARIANTS ? VARIANTS : n;
	buf_add_u32(b, UNIT_FORMAT);
	buf_add_u32(b, kept);
	for (unsigned i = 0; i < kept; i++) {
		buf_add(b, v[i].key.b, sizeof v[i].key.b);
		buf_add(b, v[i].toolchain.b, sizeof v[i].toolchain.b);
		variant_put(b, &v[i].words);
	}
}

void variants_remember(const struct plan *p, struct store *s)
{
	AUTO_BUF struct buf b = BUF_INIT;
	variants_encode(p, s, &b);
	struct store_part part = {b.data, b.len};
	if (b.len)
		store_put(s, STORE_UNIT, &p->unit_key, &part, 1, NULL);
}

// A compiler of the same name with other files counts as much as one word.
static unsigned distance(const struct plan *p, const struct kept_variant *was, const struct variant *now, struct arena *a)
{
	bool same_name = strcmp(was->words.compiler, now->compiler) == 0;
	return variant_distance(&was->words, now, a) + (same_name && !digest_equal(&was->toolchain, &p->toolchain));
}

void variants_compare(const struct plan *p, struct store *s, struct arena *a, struct cause *c)
{
	struct kept_variant v[VARIANTS];
	struct variant now = variant_of(p, a);
	unsigned n = variants_load(s, &p->unit_key, a, v), best = 0;
	c->kind = CAUSE_FIRST;
	if (!n)
		return;
	for (unsigned i = 1; i < n; i++)
		if (distance(p, &v[i], &now, a) < distance(p, &v[best], &now, a))
			best = i;
	if (digest_equal(&v[best].key, &p->manifest_key)) {
		c->kind = CAUSE_EVICTED;
		return;
	}
	if (variant_compare(&v[best].words, &now, a, c))
		return;
	if (!digest_equal(&v[best].toolchain, &p->toolchain)) {
		c->kind = CAUSE_TOOLCHAIN;
		toolchain_parts_compare(p, s, &v[best].toolchain, a, c);
	} else if (c->kind != CAUSE_ORDER) {
		c->kind = CAUSE_SETTINGS;
	}
}

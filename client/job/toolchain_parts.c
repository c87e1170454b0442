#include "client/job/toolchain_parts.h"

#include "base/map.h"

#include <string.h>

enum { FORMAT = 1, PARTS_MAX = 40000 };

struct part_of {
	const char *name;
	uint32_t kind; // enum finding_kind
	struct digest digest;
};

struct parts {
	struct arena *arena;
	struct part_of *list;
	uint32_t n, room;
};

static void add(struct parts *parts, const char *name, uint32_t kind, const struct digest *digest)
{
	if (parts->n == parts->room) {
		uint32_t room = parts->room ? parts->room * 2 : 256;
		struct part_of *list = arena_alloc(parts->arena, room * sizeof *list);
		if (parts->n)
			memcpy(list, parts->list, parts->n * sizeof *list);
		parts->list = list;
		parts->room = room;
	}
	parts->list[parts->n++] = (struct part_of){name, kind, *digest};
}

static int add_finding(void *arg, const struct finding *found, const char *below)
{
	(void)below;
	add(arg, found->path, (uint32_t)found->kind, &found->digest);
	return 0;
}

static struct parts parts_now(const struct plan *p, struct arena *a)
{
	struct parts parts = {.arena = a};
	size_t n;
	const struct compiler_part *own = compiler_parts(p->compiler, a, &n);
	for (size_t i = 0; i < n; i++)
		add(&parts, own[i].path, FOUND_CONTENT, &own[i].digest);
	if (p->view)
		findings_each(view_findings(p->view), p->root, p->root_real, add_finding, &parts);
	return parts;
}

static struct digest key_of(const struct digest *toolchain)
{
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "coffer toolchain parts 1");
	hasher_digest(&h, toolchain);
	return hasher_end(&h);
}

void toolchain_parts_remember(const struct plan *p, struct store *s)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	struct digest key = key_of(&p->toolchain);
	if (store_use(s, STORE_TOOLCHAIN, &key))
		return;
	struct parts parts = parts_now(p, &a);
	buf_add_u32(&b, FORMAT);
	buf_add_u32(&b, parts.n);
	for (uint32_t i = 0; i < parts.n; i++) {
		buf_add_str(&b, parts.list[i].name);
		buf_add_u32(&b, parts.list[i].kind);
		buf_add(&b, parts.list[i].digest.b, sizeof parts.list[i].digest.b);
	}
	struct store_part part = {b.data, b.len};
	store_put(s, STORE_TOOLCHAIN, &key, &part, 1, NULL);
}

static bool parts_load(struct store *s, const struct digest *toolchain, struct parts *parts)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct digest key = key_of(toolchain);
	if (store_get(s, STORE_TOOLCHAIN, &key, &b, NULL) != 1)
		return false;
	struct rd r = RD(b.data, b.len);
	uint32_t format = rd_u32(&r), n = rd_u32(&r);
	if (format != FORMAT || n > PARTS_MAX)
		return false;
	for (uint32_t i = 0; i < n && !r.bad; i++) {
		size_t len;
		const char *name = rd_str(&r, &len);
		uint32_t kind = rd_u32(&r);
		const void *bytes = rd_bytes(&r, sizeof(struct digest));
		struct digest digest;
		if (r.bad)
			break;
		memcpy(digest.b, bytes, sizeof digest.b);
		add(parts, arena_strndup(parts->arena, name, len), kind, &digest);
	}
	return !r.bad;
}

static const char *hex(struct arena *a, const struct digest *d)
{
	char text[DIGEST_HEX];
	digest_hex(d, text);
	return arena_strdup(a, text);
}

// A name may be a part twice, as a link and as what it leads to.
static const char *in_its_kind(struct arena *a, const struct part_of *part)
{
	return arena_printf(a, "%u %s", part->kind, part->name);
}

// What is in one and not, or as another, in the other. Each name once.
static void compare(const struct parts *was, const struct parts *now, struct arena *a, struct cause *c)
{
	struct map before = MAP_INIT, seen = MAP_INIT, told = MAP_INIT;
	for (uint32_t i = 0; i < was->n; i++)
		map_puts(&before, in_its_kind(a, &was->list[i]), &was->list[i]);
	for (uint32_t i = 0; i < now->n; i++) {
		struct part_of *is = &now->list[i];
		const char *key = in_its_kind(a, is);
		const struct part_of *old = map_del(&before, key, strlen(key));
		if (map_puts(&seen, key, is))
			continue;
		if ((!old || !digest_equal(&old->digest, &is->digest)) && !map_puts(&told, is->name, is))
			cause_add(c, is->name, old ? hex(a, &old->digest) : NULL, hex(a, &is->digest));
	}
	for (uint32_t i = 0; i < was->n; i++)
		if (map_gets(&before, in_its_kind(a, &was->list[i])) && !map_puts(&told, was->list[i].name, &was->list[i]))
			cause_add(c, was->list[i].name, hex(a, &was->list[i].digest), NULL);
	map_release(&before);
	map_release(&seen);
	map_release(&told);
}

void toolchain_parts_compare(const struct plan *p, struct store *s, const struct digest *was, struct arena *a,
			     struct cause *c)
{
	struct parts before = {.arena = a};
	if (!parts_load(s, was, &before))
		return;
	struct parts now = parts_now(p, a);
	compare(&before, &now, a, c);
}

#include "client/job/shared_unit.h"
#include "client/job/shared_entry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FORMAT = 0x31494e55 }; // "UNI1"; an action's entry begins with another number

void shared_maker(const struct settings *config, char maker[SHARED_UNIT_MAKER_MAX + 1])
{
	char host[SHARED_UNIT_MAKER_MAX + 1] = "";
	const char *name = setting_text(config, SETTING_shared_store_name);
	if (!*name)
		gethostname(host, sizeof host - 1);
	snprintf(maker, SHARED_UNIT_MAKER_MAX + 1, "%s", *name ? name : host);
}

struct tier_name shared_unit_name(const char *scope, const struct digest *unit)
{
	AUTO_BUF struct buf text = BUF_INIT;
	buf_add_str(&text, "coffer shared unit 1");
	buf_add_str(&text, scope);
	buf_add(&text, unit->b, sizeof unit->b);
	return (struct tier_name){.space = TIER_ACTIONS, .id = sha256_of(text.data, text.len)};
}

// ---- decoding -------------------------------------------------------------------------------------------------------

static void get_variant(struct rd *r, struct arena *a, struct shared_variant *v)
{
	size_t len;
	const char *maker = rd_str(r, &len);
	if (!maker || len > SHARED_UNIT_MAKER_MAX) {
		r->bad = true;
		return;
	}
	v->maker = arena_strndup(a, maker, len);
	v->made_at = (int64_t)rd_u64(r);
	shared_get_sha256(r, &v->source);
	shared_get_sha256(r, &v->toolchain);
	shared_get_sha256(r, &v->action);
	variant_get(r, a, &v->words);
}

static int decode_plain(const struct buf *plain, struct shared_unit *u, struct err *err)
{
	struct rd r = RD(plain->data, plain->len);
	if (rd_u32(&r) != FORMAT)
		return err_set(err, ERR_FORMAT, "a unit of another format");
	u->n = rd_u32(&r);
	if (u->n > SHARED_UNIT_VARIANTS)
		return err_set(err, ERR_LIMIT, "a unit of more than %d variants", SHARED_UNIT_VARIANTS);
	for (unsigned i = 0; i < u->n && !r.bad; i++)
		get_variant(&r, &u->arena, &u->variants[i]);
	return r.bad || rd_left(&r) ? err_set(err, ERR_FORMAT, "a unit does not parse") : 0;
}

int shared_unit_decode(const void *p, size_t n, struct shared_unit *u, struct err *err)
{
	AUTO_BUF struct buf plain = {.max = SHARED_UNIT_MAX};
	*u = (struct shared_unit){.arena = ARENA_INIT};
	if (shared_unpack_all(p, n, &plain, err) == 0 && decode_plain(&plain, u, err) == 0)
		return 0;
	shared_unit_release(u);
	return -1;
}

void shared_unit_release(struct shared_unit *u)
{
	arena_release(&u->arena);
}

bool shared_unit_has(const struct shared_unit *u, const struct sha256 *action)
{
	for (unsigned i = 0; i < u->n; i++)
		if (sha256_equal(&u->variants[i].action, action))
			return true;
	return false;
}

// ---- encoding -------------------------------------------------------------------------------------------------------

static void put_variant(struct buf *b, const struct shared_variant *v)
{
	buf_add_strn(b, v->maker, strnlen(v->maker, SHARED_UNIT_MAKER_MAX));
	buf_add_u64(b, (uint64_t)v->made_at);
	buf_add(b, v->source.b, sizeof v->source.b);
	buf_add(b, v->toolchain.b, sizeof v->toolchain.b);
	buf_add(b, v->action.b, sizeof v->action.b);
	variant_put(b, &v->words);
}

// Adds one, unless it makes the whole too long.
static void add_variant(struct buf *list, unsigned *n, const struct shared_variant *v)
{
	AUTO_BUF struct buf one = BUF_INIT;
	put_variant(&one, v);
	if (*n == SHARED_UNIT_VARIANTS || list->len + one.len > SHARED_UNIT_MAX - 2 * sizeof(uint32_t))
		return;
	buf_add(list, one.data, one.len);
	++*n;
}

void shared_unit_encode(const struct shared_unit *newer, const struct shared_unit *older, struct buf *out)
{
	AUTO_BUF struct buf list = BUF_INIT, plain = BUF_INIT;
	unsigned n = 0;
	for (unsigned i = 0; i < newer->n; i++)
		add_variant(&list, &n, &newer->variants[i]);
	for (unsigned i = 0; older && i < older->n; i++)
		if (!shared_unit_has(newer, &older->variants[i].action))
			add_variant(&list, &n, &older->variants[i]);
	buf_add_u32(&plain, FORMAT);
	buf_add_u32(&plain, n);
	buf_add(&plain, list.data, list.len);
	shared_pack(plain.data, plain.len, out);
}

#include "depscan/manifest.h"

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

// ---- encoding: a table of all names once, then the entries with indexes into it ------------------------------------

enum { MANIFEST_FORMAT = 2 };

struct names {
	struct map index; // name -> 1 + its number
	struct buf text;
	uint32_t n;
};

static uint32_t name_number(struct names *t, const char *name)
{
	uintptr_t at = (uintptr_t)map_gets(&t->index, name);
	if (!at) {
		at = ++t->n;
		map_puts(&t->index, name, (void *)at);
		buf_add_str(&t->text, name);
	}
	return (uint32_t)at - 1;
}

static void encode_entry(const struct manifest_entry *e, struct names *t, struct buf *out)
{
	buf_add(out, e->result.b, sizeof e->result.b);
	buf_add(out, e->messages_context.b, sizeof e->messages_context.b);
	buf_add(out, e->time_context.b, sizeof e->time_context.b);
	buf_add(out, e->place_context.b, sizeof e->place_context.b);
	buf_add_u64(out, (uint64_t)e->made_at);
	buf_add_u64(out, e->wall_us);
	buf_add_u32(out, e->dep_main);
	buf_add_u32(out, e->dep_spaced);
	buf_add_u32(out, e->n_inputs);
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		const struct manifest_input *in = &e->inputs[i];
		buf_add_u32(out, name_number(t, in->name));
		buf_add_u32(out, in->flags);
		buf_add(out, in->digest.b, sizeof in->digest.b);
		buf_add(out, in->code.b, sizeof in->code.b);
	}
	buf_add_u32(out, e->n_absent);
	for (uint32_t i = 0; i < e->n_absent; i++) {
		const struct absent_group *g = &e->absent[i];
		buf_add_u32(out, name_number(t, g->dir));
		buf_add_u32(out, g->n_names);
		for (uint32_t k = 0; k < g->n_names; k++)
			buf_add_u32(out, name_number(t, g->names[k]));
	}
	buf_add_u32(out, e->n_present);
	for (uint32_t i = 0; i < e->n_present; i++)
		buf_add_u32(out, name_number(t, e->present[i]));
	buf_add_u32(out, e->n_links);
	for (uint32_t i = 0; i < e->n_links; i++) {
		buf_add_u32(out, name_number(t, e->links[i].dir));
		buf_add_u32(out, name_number(t, e->links[i].real));
	}
}

void manifest_encode(const struct manifest_entry *entries, size_t n, struct buf *out)
{
	struct names t = {MAP_OF_CALLERS_KEYS, BUF_INIT, 0};
	AUTO_BUF struct buf body = BUF_INIT;
	for (size_t i = 0; i < n; i++)
		encode_entry(&entries[i], &t, &body);
	buf_add_u32(out, MANIFEST_FORMAT);
	buf_add_u32(out, t.n);
	buf_add(out, t.text.data, t.text.len);
	buf_add_u32(out, (uint32_t)n);
	buf_add(out, body.data, body.len);
	map_release(&t.index);
	buf_release(&t.text);
}

// ---- decoding: every count is checked against what is left, so that a bad blob can't ask for much memory -------------

struct decoder {
	struct rd rd;
	struct arena *arena;
	const char **names;
	uint32_t n_names;
};

static uint32_t get_count(struct decoder *d, uint32_t max, size_t least_bytes_each)
{
	uint32_t n = rd_u32(&d->rd);
	if (n > max || (size_t)n * least_bytes_each > rd_left(&d->rd))
		d->rd.bad = true;
	return d->rd.bad ? 0 : n;
}

static const char *get_name(struct decoder *d)
{
	uint32_t i = rd_u32(&d->rd);
	if (i < d->n_names)
		return d->names[i];
	d->rd.bad = true;
	return "";
}

static void get_digest(struct decoder *d, struct digest *digest)
{
	const void *p = rd_bytes(&d->rd, sizeof digest->b);
	if (p)
		memcpy(digest->b, p, sizeof digest->b);
}

static const char **get_names(struct decoder *d, uint32_t *n)
{
	*n = get_count(d, MANIFEST_MAX_NAMES, 4);
	const char **names = arena_alloc(d->arena, *n * sizeof *names);
	for (uint32_t i = 0; i < *n; i++)
		names[i] = get_name(d);
	return names;
}

static void decode_entry(struct decoder *d, struct manifest_entry *e)
{
	get_digest(d, &e->result);
	get_digest(d, &e->messages_context);
	get_digest(d, &e->time_context);
	get_digest(d, &e->place_context);
	e->made_at = (int64_t)rd_u64(&d->rd);
	e->wall_us = rd_u64(&d->rd);
	e->dep_main = rd_u32(&d->rd);
	e->dep_spaced = rd_u32(&d->rd);
	e->n_inputs = get_count(d, MANIFEST_MAX_INPUTS, 40);
	e->inputs = arena_alloc(d->arena, e->n_inputs * sizeof *e->inputs);
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		e->inputs[i].name = get_name(d);
		e->inputs[i].flags = rd_u32(&d->rd);
		get_digest(d, &e->inputs[i].digest);
		get_digest(d, &e->inputs[i].code);
	}
	e->n_absent = get_count(d, MANIFEST_MAX_NAMES, 8);
	e->absent = arena_alloc(d->arena, e->n_absent * sizeof *e->absent);
	for (uint32_t i = 0; i < e->n_absent; i++) {
		e->absent[i].dir = get_name(d);
		e->absent[i].names = get_names(d, &e->absent[i].n_names);
	}
	e->present = get_names(d, &e->n_present);
	e->n_links = get_count(d, MANIFEST_MAX_NAMES, 8);
	e->links = arena_alloc(d->arena, e->n_links * sizeof *e->links);
	for (uint32_t i = 0; i < e->n_links; i++) {
		e->links[i].dir = get_name(d);
		e->links[i].real = get_name(d);
	}
}

static struct manifest *manifest_new(const struct digest *key)
{
	struct manifest *m = mem_alloc(sizeof *m);
	m->refs = 1;
	m->key = *key;
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

struct manifest *manifest_decode(const struct digest *key, const void *p, size_t n, struct err *err)
{
	struct manifest *m = manifest_new(key);
	struct decoder d = {RD(p, n), &m->arena, NULL, 0};
	if (rd_u32(&d.rd) != MANIFEST_FORMAT)
		d.rd.bad = true;
	uint32_t names = get_count(&d, MANIFEST_MAX_NAMES, 4);
	d.names = arena_alloc(&m->arena, names * sizeof *d.names);
	for (; d.n_names < names; d.n_names++) {
		size_t len;
		const char *s = rd_str(&d.rd, &len);
		d.names[d.n_names] = arena_strndup(&m->arena, s ? s : "", len);
	}
	m->n_entries = get_count(&d, MANIFEST_MAX_ENTRIES, 60);
	m->entries = arena_alloc(&m->arena, m->n_entries * sizeof *m->entries);
	for (uint32_t i = 0; i < m->n_entries && !d.rd.bad; i++)
		decode_entry(&d, &m->entries[i]);
	m->memory = sizeof *m + m->arena.total;
	if (d.rd.bad || rd_left(&d.rd)) {
		manifest_unref(m);
		err_set(err, ERR_FORMAT, "a manifest does not parse");
		return NULL;
	}
	return m;
}

// The result's key follows from everything else; only a result taken over across comments stands for other inputs.
static bool is_same(const struct manifest_entry *a, const struct manifest_entry *b)
{
	if (a->n_inputs != b->n_inputs || !digest_equal(&a->result, &b->result))
		return false;
	for (uint32_t i = 0; i < a->n_inputs; i++)
		if (!digest_equal(&a->inputs[i].digest, &b->inputs[i].digest) ||
		    strcmp(a->inputs[i].name, b->inputs[i].name) != 0)
			return false;
	return true;
}

struct manifest *manifest_with(const struct manifest *old, const struct digest *key, const struct manifest_entry *fresh,
			       size_t most, struct buf *bytes)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	uint32_t n_old = old ? old->n_entries : 0;
	struct manifest_entry *all = arena_alloc(&a, (n_old + 1) * sizeof *all);
	size_t n = 0;
	all[n++] = *fresh;
	for (uint32_t i = 0; i < n_old && n < most; i++)
		if (!is_same(&old->entries[i], fresh))
			all[n++] = old->entries[i];
	// By way of the encoding: one piece of code that copies, and names stand in memory once.
	buf_clear(bytes);
	manifest_encode(all, n, bytes);
	return manifest_decode(key, bytes->data, bytes->len, NULL);
}

struct manifest *manifest_ref(struct manifest *m)
{
	atomic_fetch_add(&m->refs, 1);
	return m;
}

void manifest_unref(struct manifest *m)
{
	if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&m->lock);
	arena_release(&m->arena);
	free(m);
}

#include "client/job/shared_entry.h"

#include "codec/zstd.h"

#include <stdlib.h>

enum { FORMAT = 1, LEVEL = 1 };

// ---- frames ---------------------------------------------------------------------------------------------------------

void shared_pack(const void *p, size_t n, struct buf *out)
{
	size_t room = ZSTD_compressBound(n);
	char *to = buf_room(out, room);
	if (!to)
		return;
	ZSTD_CCtx *c = zstd_take_packer();
	size_t packed = ZSTD_compressCCtx(c, to, room, n ? p : "", n, LEVEL);
	zstd_give_packer(c);
	if (ZSTD_isError(packed))
		abort(); // without memory
	buf_grew(out, packed);
}

int shared_unpack(const void *p, size_t n, uint64_t size, struct buf *out, struct err *err)
{
	// The sizes must agree before any memory is asked for.
	if (ZSTD_getFrameContentSize(p, n) != size)
		return err_set(err, ERR_FORMAT, "a frame of another size than told");
	char *to = buf_room(out, (size_t)size);
	if (!to)
		return buf_check(out, "a frame", err);
	ZSTD_DCtx *d = zstd_take_unpacker();
	size_t got = ZSTD_decompressDCtx(d, to, (size_t)size, p, n);
	zstd_give_unpacker(d);
	buf_grew(out, ZSTD_isError(got) || got != size ? 0 : got);
	return ZSTD_isError(got) || got != size ? err_set(err, ERR_FORMAT, "a frame does not unpack") : 0;
}

int shared_unpack_all(const void *p, size_t n, struct buf *out, struct err *err)
{
	uint64_t size = ZSTD_getFrameContentSize(p, n);
	if (size > out->max)
		return err_set(err, ERR_FORMAT, "no frame, or one that is too long");
	return shared_unpack(p, n, size, out, err);
}

// ---- decoding -------------------------------------------------------------------------------------------------------

void shared_get_sha256(struct rd *r, struct sha256 *to)
{
	const void *p = rd_bytes(r, sizeof to->b);
	if (p)
		memcpy(to->b, p, sizeof to->b);
}

static void get_result(struct rd *r, struct shared_result *x, uint32_t n_inputs, struct arena *a)
{
	bool seen[PART_COUNT] = {false};
	x->n_outputs = rd_u32(r);
	if (x->n_outputs > PART_COUNT)
		r->bad = true;
	for (uint32_t i = 0; i < x->n_outputs && !r->bad; i++) {
		uint32_t part = rd_u32(r);
		if (part >= PART_COUNT || seen[part]) {
			r->bad = true;
			return;
		}
		seen[part] = true;
		x->outputs[i].part = (enum part)part;
		shared_get_sha256(r, &x->outputs[i].blob);
		x->outputs[i].blob_size = rd_u64(r);
		x->outputs[i].size = rd_u64(r);
	}
	if ((size_t)n_inputs * sizeof *x->inputs > rd_left(r))
		r->bad = true;
	if (r->bad)
		return;
	x->inputs = arena_alloc(a, (n_inputs + 1) * sizeof *x->inputs);
	for (uint32_t i = 0; i < n_inputs; i++)
		shared_get_sha256(r, &x->inputs[i]);
}

static int decode_plain(const struct buf *plain, struct shared_entry *e, struct err *err)
{
	static const struct digest nobody;
	struct rd r = RD(plain->data, plain->len);
	size_t n;
	if (rd_u32(&r) != FORMAT)
		return err_set(err, ERR_FORMAT, "an entry of another format");
	const char *manifest = rd_str(&r, &n);
	if (!manifest)
		return err_set(err, ERR_FORMAT, "an entry that is cut off");
	e->manifest = manifest_decode(&nobody, manifest, n, err);
	if (!e->manifest)
		return -1;
	if (e->manifest->n_entries > SHARED_ENTRY_RESULTS)
		return err_set(err, ERR_LIMIT, "an entry of more than %d results", SHARED_ENTRY_RESULTS);
	e->results = arena_alloc(&e->arena, (e->manifest->n_entries + 1) * sizeof *e->results);
	for (uint32_t i = 0; i < e->manifest->n_entries && !r.bad; i++)
		get_result(&r, &e->results[i], e->manifest->entries[i].n_inputs, &e->arena);
	return r.bad || rd_left(&r) ? err_set(err, ERR_FORMAT, "an entry does not parse") : 0;
}

int shared_entry_decode(const void *p, size_t n, struct shared_entry *e, struct err *err)
{
	AUTO_BUF struct buf plain = {.max = SHARED_ENTRY_MAX};
	*e = (struct shared_entry){.arena = ARENA_INIT};
	if (shared_unpack_all(p, n, &plain, err) == 0 && decode_plain(&plain, e, err) == 0)
		return 0;
	shared_entry_release(e);
	return -1;
}

void shared_entry_release(struct shared_entry *e)
{
	manifest_unref(TAKE(e->manifest));
	arena_release(&e->arena);
}

// ---- encoding -------------------------------------------------------------------------------------------------------

static void put_result(struct buf *b, const struct shared_result *x, uint32_t n_inputs)
{
	buf_add_u32(b, x->n_outputs);
	for (uint32_t i = 0; i < x->n_outputs; i++) {
		buf_add_u32(b, x->outputs[i].part);
		buf_add(b, x->outputs[i].blob.b, sizeof x->outputs[i].blob.b);
		buf_add_u64(b, x->outputs[i].blob_size);
		buf_add_u64(b, x->outputs[i].size);
	}
	for (uint32_t i = 0; i < n_inputs; i++)
		buf_add(b, x->inputs[i].b, sizeof x->inputs[i].b);
}

// Digests within one machine's trust stay there.
static struct manifest_entry without_digests(const struct manifest_entry *e, struct arena *a)
{
	struct manifest_entry copy = *e;
	copy.result = (struct digest){0};
	copy.inputs = arena_alloc(a, (e->n_inputs + 1) * sizeof *copy.inputs);
	for (uint32_t i = 0; i < e->n_inputs; i++)
		copy.inputs[i] = (struct manifest_input){.name = e->inputs[i].name, .flags = e->inputs[i].flags};
	return copy;
}

static bool has_inputs(const struct shared_entry *e, uint32_t i, const struct manifest_entry *inputs,
		       const struct shared_result *result)
{
	const struct manifest_entry *there = &e->manifest->entries[i];
	if (there->n_inputs != inputs->n_inputs || !digest_equal(&there->messages_context, &inputs->messages_context) ||
	    !digest_equal(&there->time_context, &inputs->time_context) ||
	    !digest_equal(&there->place_context, &inputs->place_context))
		return false;
	for (uint32_t k = 0; k < inputs->n_inputs; k++)
		if (!sha256_equal(&e->results[i].inputs[k], &result->inputs[k]) ||
		    strcmp(there->inputs[k].name, inputs->inputs[k].name) != 0)
			return false;
	return true;
}

static bool has_outputs(const struct shared_result *a, const struct shared_result *b)
{
	bool same = a->n_outputs == b->n_outputs;
	for (uint32_t i = 0; i < a->n_outputs && same; i++)
		same = a->outputs[i].part == b->outputs[i].part && sha256_equal(&a->outputs[i].blob, &b->outputs[i].blob);
	return same;
}

bool shared_entry_has(const struct shared_entry *e, const struct manifest_entry *inputs, const struct shared_result *result)
{
	for (uint32_t i = 0; i < e->manifest->n_entries; i++)
		if (has_inputs(e, i, inputs, result) && has_outputs(&e->results[i], result))
			return true;
	return false;
}

int shared_entry_encode(const struct manifest_entry *inputs, const struct shared_result *result,
			const struct shared_entry *old, struct buf *out, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf manifest = BUF_INIT, plain = {.max = SHARED_ENTRY_MAX};
	struct manifest_entry entries[SHARED_ENTRY_RESULTS];
	const struct shared_result *results[SHARED_ENTRY_RESULTS] = {result};
	size_t n = 0;
	entries[n++] = without_digests(inputs, &a);
	for (uint32_t i = 0; old && i < old->manifest->n_entries && n < SHARED_ENTRY_RESULTS; i++) {
		if (has_inputs(old, i, inputs, result))
			continue;
		results[n] = &old->results[i];
		entries[n++] = without_digests(&old->manifest->entries[i], &a);
	}
	manifest_encode(entries, n, &manifest);
	buf_add_u32(&plain, FORMAT);
	buf_add_strn(&plain, manifest.data, manifest.len);
	for (size_t i = 0; i < n; i++)
		put_result(&plain, results[i], entries[i].n_inputs);
	if (buf_check(&plain, "a shared entry", err) < 0)
		return -1;
	shared_pack(plain.data, plain.len, out);
	return 0;
}

int shared_entry_join(const struct shared_entry *mine, const struct shared_entry *theirs, struct buf *out, struct err *err)
{
	struct shared_entry all = {.arena = ARENA_INIT};
	int rc = 0;
	for (uint32_t i = mine->manifest->n_entries; rc == 0 && i-- > 0;) {
		buf_clear(out);
		rc = shared_entry_encode(&mine->manifest->entries[i], &mine->results[i], all.manifest ? &all : theirs, out,
					 err);
		if (all.manifest)
			shared_entry_release(&all);
		all = (struct shared_entry){.arena = ARENA_INIT};
		if (rc == 0 && i)
			rc = shared_entry_decode(out->data, out->len, &all, err);
	}
	if (all.manifest)
		shared_entry_release(&all);
	return rc;
}

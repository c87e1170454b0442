#include "client/job/share.h"
#include "client/job/share_name.h"
#include "client/job/shared_entry.h"
#include "client/job/shared_unit.h"

#include "base/log.h"
#include "base/path.h"
#include "client/services/share_log.h"
#include "client/services/shared_stores.h"

#include <fcntl.h>
#include <stdlib.h>

// A result on its way to a shared store. It holds copies: the job that made it has ended by then.
struct offer {
	struct arena arena;
	struct services *services;
	struct shared_store *store;
	struct share_name name;
	const char *tree;          // of the build
	struct digest unit;        // its key
	struct buf words;          // its variant, as variant_put() writes it; empty: others are not told
	const char *maker;         // who we are to them
	struct manifest *manifest; // with one entry
	const char **paths;        // of its inputs, absolute
	uint32_t source;           // which of them is the source
	struct buf parts[PART_COUNT];
	bool has[PART_COUNT];
};

static void offer_free(void *arg)
{
	struct offer *o = arg;
	manifest_unref(o->manifest);
	share_name_release(&o->name);
	for (int part = 0; part < PART_COUNT; part++)
		buf_release(&o->parts[part]);
	buf_release(&o->words);
	arena_release(&o->arena);
	free(o);
}

static void offer_drop(void *arg)
{
	struct offer *o = arg;
	stats_add(o->services->stats, STAT_shared_dropped, 1);
	offer_free(o);
}

// ---- by the store's thread --------------------------------------------------------------------------------------------

// The inputs by SHA-256, as long as they still are what was compiled.
static int name_inputs(struct offer *o, struct shared_result *x, struct err *err)
{
	const struct manifest_entry *e = &o->manifest->entries[0];
	x->inputs = arena_alloc(&o->arena, (e->n_inputs + 1) * sizeof *x->inputs);
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		struct digest now;
		if (contents_find(o->services->contents, AT_FDCWD, o->paths[i], &x->inputs[i], &now, err) < 0)
			return -1;
		if (!digest_equal(&now, &e->inputs[i].digest))
			return err_set(err, ERR_FORMAT, "'%s' has changed since", o->paths[i]);
	}
	return 0;
}

static void pack_outputs(struct offer *o, struct shared_result *x, struct buf blobs[PART_COUNT])
{
	for (int part = 0; part < PART_COUNT; part++) {
		if (!o->has[part])
			continue;
		struct buf *blob = &blobs[x->n_outputs];
		shared_pack(o->parts[part].data, o->parts[part].len, blob);
		x->outputs[x->n_outputs++] = (struct shared_output){.part = (enum part)part,
								    .blob = sha256_of(blob->data, blob->len),
								    .blob_size = blob->len,
								    .size = o->parts[part].len};
	}
}

// What is to be pushed later is on this machine's disk until then.
static int keep(struct offer *o, const struct tier_name *name, const struct buf *bytes, struct err *err)
{
	struct tier *kept = tier_of_disk(o->services->store);
	int rc = tier_put(kept, name, bytes->data, bytes->len, INT64_MAX, err);
	tier_close(kept);
	return rc;
}

static int put_sealed(struct offer *o, const struct tier_name *name, const struct buf *bytes, struct buf *entry,
		      struct err *err)
{
	if (seal_put(o->store->seal, o->name.scope, name, bytes, entry, err) < 0)
		return -1;
	if (o->store->access == SHARED_PUSH)
		return keep(o, name, entry, err);
	return shared_put(o->store->shared, name, entry->data, entry->len, err);
}

// What is there under the name, if it is by one who may write it: *bytes points into `entry`.
static bool get_sealed(struct offer *o, const struct tier_name *name, struct buf *entry, const void **bytes, size_t *n)
{
	int rc;
	if (o->store->access == SHARED_PUSH) {
		struct tier *kept = tier_of_disk(o->services->store);
		rc = tier_get(kept, name, entry->max, entry, INT64_MAX, NULL);
		tier_close(kept);
	} else {
		rc = shared_get(o->store->shared, name, entry->max, 0, entry, NULL);
	}
	return rc == 1 && seal_get(o->store->seal, o->name.scope, name, entry->data, entry->len, bytes, n, NULL) == 0;
}

static int keep_blobs(struct offer *o, const struct shared_result *x, const struct buf *blobs, uint64_t *bytes,
		      struct err *err)
{
	for (uint32_t i = 0; i < x->n_outputs; i++) {
		struct tier_name name = tier_content(&x->outputs[i].blob, x->outputs[i].blob_size);
		if (keep(o, &name, &blobs[i], err) < 0)
			return -1;
		*bytes += blobs[i].len;
	}
	return 0;
}

static int put_blobs(struct offer *o, const struct shared_result *x, const struct buf *blobs, uint64_t *bytes,
		     struct err *err)
{
	struct shared_blob all[PART_COUNT];
	if (o->store->access == SHARED_PUSH)
		return keep_blobs(o, x, blobs, bytes, err);
	for (uint32_t i = 0; i < x->n_outputs; i++)
		all[i] = (struct shared_blob){tier_content(&x->outputs[i].blob, blobs[i].len), blobs[i].data, blobs[i].len};
	return shared_put_missing(o->store->shared, all, x->n_outputs, bytes, err);
}

static bool get_there(struct offer *o, const struct tier_name *action, struct shared_entry *there)
{
	AUTO_BUF struct buf entry = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD};
	const void *bytes;
	size_t n;
	return get_sealed(o, action, &entry, &bytes, &n) && shared_entry_decode(bytes, n, there, NULL) == 0;
}

// How it was made, for explanations on other machines. What is lost of that is not missed.
static void tell_others(struct offer *o, const struct tier_name *action, const struct sha256 *source)
{
	struct shared_unit now = {.arena = ARENA_INIT, .n = 1}, there = {.arena = ARENA_INIT};
	struct tier_name name = shared_unit_name(o->name.scope, &o->unit);
	AUTO_BUF struct buf old = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD}, packed = BUF_INIT, entry = BUF_INIT;
	struct rd r = RD(o->words.data, o->words.len);
	const void *bytes;
	size_t n;
	if (!o->words.len)
		return;
	now.variants[0] = (struct shared_variant){.maker = o->maker,
						  .made_at = o->manifest->entries[0].made_at,
						  .source = *source,
						  .toolchain = o->name.toolchain,
						  .action = action->id};
	variant_get(&r, &now.arena, &now.variants[0].words);
	if (r.bad) {
		shared_unit_release(&now);
		return;
	}
	bool has_unit = get_sealed(o, &name, &old, &bytes, &n) && shared_unit_decode(bytes, n, &there, NULL) == 0;
	if (!has_unit || !shared_unit_has(&there, &action->id)) {
		shared_unit_encode(&now, has_unit ? &there : NULL, &packed);
		if (put_sealed(o, &name, &packed, &entry, NULL) == 0 && o->store->access == SHARED_PUSH)
			share_log_add(o->services->cache_dir, o->tree, &name, 1);
	}
	shared_unit_release(&now);
	shared_unit_release(&there);
}

// The blobs first: an entry never names what is not there.
static int put_all(struct offer *o, const struct shared_result *x, const struct buf *blobs, struct err *err)
{
	const struct manifest_entry *e = &o->manifest->entries[0];
	struct tier_name action = share_name_of(&o->name, &x->inputs[o->source]);
	__attribute__((cleanup(shared_entry_release))) struct shared_entry there = {.arena = ARENA_INIT};
	bool has_entry = get_there(o, &action, &there);
	AUTO_BUF struct buf packed = BUF_INIT, entry = BUF_INIT;
	uint64_t bytes = 0;
	// Also where the entry is there: the store may have lost what it names.
	if (put_blobs(o, x, blobs, &bytes, err) < 0)
		return -1;
	share_log(o->services, o->tree, &action, x);
	if (has_entry && shared_entry_has(&there, e, x) && !bytes)
		return 0;
	if (shared_entry_encode(e, x, has_entry ? &there : NULL, &packed, err) < 0 ||
	    put_sealed(o, &action, &packed, &entry, err) < 0)
		return -1;
	tell_others(o, &action, &x->inputs[o->source]);
	stats_add(o->services->stats, STAT_shared_stored, 1);
	stats_add(o->services->stats, STAT_shared_bytes_written, bytes + entry.len);
	return 0;
}

static void offer_run(void *arg)
{
	struct offer *o = arg;
	struct shared_result x = {.n_outputs = 0};
	struct buf blobs[PART_COUNT] = {BUF_INIT};
	struct err err = ERR_INIT;
	int rc = name_inputs(o, &x, &err);
	if (rc == 0) {
		pack_outputs(o, &x, blobs);
		rc = put_all(o, &x, blobs, &err);
	}
	if (rc < 0) {
		stats_add(o->services->stats, STAT_shared_dropped, 1);
		log_info("a result for '%s' is not shared: %s", o->paths[o->source], err.text);
	}
	for (int i = 0; i < PART_COUNT; i++)
		buf_release(&blobs[i]);
	offer_free(o);
}

// ---- by the job -----------------------------------------------------------------------------------------------------

static struct manifest *copy_entry(const struct manifest_entry *e)
{
	static const struct digest nobody;
	AUTO_BUF struct buf bytes = BUF_INIT;
	manifest_encode(e, 1, &bytes);
	return manifest_decode(&nobody, bytes.data, bytes.len, NULL);
}

// False: others would not take it, since it reads from where the command line does not lead (`#include "/x/y.h"`); or its source is
// not among its inputs.
static bool copy_names(struct offer *o, const struct plan *p, const struct manifest_entry *e)
{
	struct share_places places;
	bool has_source = false;
	share_places_make(p, &places);
	o->paths = arena_alloc(&o->arena, (e->n_inputs + 1) * sizeof *o->paths);
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		if (!share_may_read(&places, e->inputs[i].name))
			return false;
		o->paths[i] = path_join(&o->arena, p->cwd, plan_real_path(p, &o->arena, e->inputs[i].name));
		if (!has_source && strcmp(e->inputs[i].name, p->source) == 0) {
			o->source = i;
			has_source = true;
		}
	}
	return has_source;
}

static void copy_words(struct offer *o, const struct plan *p)
{
	char maker[SHARED_UNIT_MAKER_MAX + 1];
	if (!setting_bool(p->config, SETTING_shared_store_explain))
		return;
	shared_maker(p->config, maker);
	struct variant words = variant_of(p, p->arena);
	variant_put(&o->words, &words);
	o->unit = p->unit_key;
	o->maker = arena_strdup(&o->arena, maker);
}

void share_offer(const struct plan *p, const struct manifest_entry *e, const struct store_part parts[PART_COUNT])
{
	struct shared_store *store = shared_stores_find(p->services->shared_stores, p->config);
	struct err err = ERR_INIT;
	if (!store || store->access == SHARED_READ_ONLY)
		return;
	struct offer *o = mem_alloc(sizeof *o);
	o->services = p->services;
	o->store = store;
	struct shared_task task = {.run = offer_run,
				   .drop = offer_drop,
				   .arg = o,
				   .bytes = sizeof *o,
				   .is_local = store->access == SHARED_PUSH};
	for (int part = 0; part < PART_COUNT; part++) {
		o->has[part] = parts[part].p != NULL;
		buf_add(&o->parts[part], parts[part].p, o->has[part] ? parts[part].n : 0);
		task.bytes += o->parts[part].cap;
	}
	o->tree = arena_strdup(&o->arena, share_tree(p));
	copy_words(o, p);
	o->manifest = copy_entry(e);
	if (!o->manifest || !copy_names(o, p, e) || share_name_make(p, &o->name, &err) < 0) {
		log_debug("'%s' has no name in the shared store: %s", p->line.source, err.text);
		offer_free(o);
		return;
	}
	task.bytes += o->manifest->memory + o->arena.total + o->words.cap;
	shared_later(store->shared, &task);
}

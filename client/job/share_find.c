#include "client/job/publish.h"
#include "client/job/share.h"
#include "client/job/share_name.h"
#include "client/job/shared_entry.h"

#include "base/log.h"
#include "client/services/shared_stores.h"

enum { BLOB_MS_PER_MIB = 250, BLOB_MS_MAX = 20000 };

// One look-up in a shared store.
struct finder {
	struct lookup *lookup;
	struct shared_store *store;
	struct tier *kept; // on this machine's disk: what was pulled, or is to be pushed; NULL: the store is asked
	struct tier_name action;
	struct shared_entry entry;
	struct buf parts[PART_COUNT];
	bool has[PART_COUNT];
};

static void finder_release(struct finder *f)
{
	shared_entry_release(&f->entry);
	for (int part = 0; part < PART_COUNT; part++)
		buf_release(&f->parts[part]);
}

static void count(const struct finder *f, enum stat_counter what)
{
	stats_add(f->lookup->plan->services->stats, what, 1);
}

// What is not on this disk is looked for in the store next, and counted then.
static void count_unless_kept(const struct finder *f, enum stat_counter what)
{
	if (!f->kept)
		count(f, what);
}

// Somebody put into the store what is none of ours, or the wrong thing under our name.
static int refused(const struct finder *f, const char *why)
{
	count(f, STAT_shared_refused);
	log_warn("an entry of the shared store for '%s' is not taken: %s", f->lookup->plan->line.source, why);
	return 0;
}

static bool make_name(struct finder *f, struct share_name *name)
{
	const struct plan *p = f->lookup->plan;
	struct err err = ERR_INIT;
	struct sha256 source;
	struct digest unused;
	if (share_name_make(p, name, &err) < 0 ||
	    contents_find(p->services->contents, p->cwd_fd, p->line.source, &source, &unused, &err) < 0) {
		log_debug("'%s' has no name in the shared store: %s", p->line.source, err.text);
		return false;
	}
	f->action = share_name_of(name, &source);
	return true;
}

static int get(struct finder *f, const struct tier_name *name, size_t max, int64_t most_ms, struct buf *out, struct err *err)
{
	if (f->kept)
		return tier_get(f->kept, name, max, out, INT64_MAX, err);
	return shared_get(f->store->shared, name, max, most_ms, out, err);
}

static int get_entry(struct finder *f, const struct share_name *name)
{
	const struct plan *p = f->lookup->plan;
	AUTO_BUF struct buf bytes = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD};
	struct err err = ERR_INIT;
	int rc = get(f, &f->action, bytes.max, 0, &bytes, &err);
	if (rc != 1) {
		count_unless_kept(f, rc == 0 ? STAT_shared_misses : STAT_shared_failed);
		return 0;
	}
	const void *sealed;
	size_t n;
	if (seal_get(f->store->seal, name->scope, &f->action, bytes.data, bytes.len, &sealed, &n, &err) < 0 ||
	    shared_entry_decode(sealed, n, &f->entry, &err) < 0)
		return refused(f, err.text);
	if (!f->kept)
		stats_add(p->services->stats, STAT_shared_bytes_read, bytes.len);
	return 1;
}

// May all names of the entry be looked at?
static bool names_are_allowed(struct finder *f)
{
	const struct plan *p = f->lookup->plan;
	const struct manifest *m = f->entry.manifest;
	struct share_places places;
	share_places_make(p, &places);
	for (uint32_t i = 0; i < m->n_entries; i++) {
		const struct manifest_entry *e = &m->entries[i];
		bool ok = e->dep_main <= e->n_inputs && e->dep_spaced <= 1 && e->n_inputs > 0;
		for (uint32_t k = 0; k < e->n_inputs && ok; k++)
			ok = share_may_read(&places, e->inputs[k].name);
		if (!ok)
			return false;
	}
	return true;
}

// Have all inputs these contents? Then they have got this machine's digests.
static bool inputs_match(struct finder *f, uint32_t i)
{
	const struct plan *p = f->lookup->plan;
	struct manifest_entry *e = &f->entry.manifest->entries[i];
	for (uint32_t k = 0; k < e->n_inputs; k++) {
		struct manifest_input *in = &e->inputs[k];
		const char *path = plan_real_path(p, p->arena, in->name);
		struct sha256 now;
		if (contents_find(p->services->contents, p->cwd_fd, path, &now, &in->digest, NULL) < 0 ||
		    !sha256_equal(&now, &f->entry.results[i].inputs[k]))
			return false;
		if (in->flags & INPUT_NO_CODE)
			continue;
		struct file_facts facts;
		if (files_facts(p->services->files, p->cwd_fd, path, p->arena, &facts, NULL) < 0 ||
		    !digest_equal(&facts.digest, &in->digest))
			return false;
		in->code = facts.scan.code;
	}
	return true;
}

// The outputs that this compile has, no others, and none larger than may be.
static bool outputs_fit(const struct plan *p, const struct shared_result *x)
{
	uint64_t most = (uint64_t)setting_number(p->config, SETTING_max_output);
	bool has[PART_COUNT] = {false};
	for (uint32_t i = 0; i < x->n_outputs; i++) {
		has[x->outputs[i].part] = true;
		if (x->outputs[i].size > most || x->outputs[i].blob_size > most + most / 128 + 1024)
			return false;
	}
	return plan_outputs_fit(p, has);
}

static int get_output(struct finder *f, const struct shared_output *o)
{
	struct err err = ERR_INIT;
	struct tier_name name = tier_content(&o->blob, o->blob_size);
	AUTO_BUF struct buf blob = {.max = (size_t)o->blob_size};
	int64_t most_ms = (int64_t)(o->blob_size >> 20) * BLOB_MS_PER_MIB;
	if (most_ms)
		most_ms = most_ms > BLOB_MS_MAX ? BLOB_MS_MAX : most_ms + 1000;
	int rc = get(f, &name, (size_t)o->blob_size, most_ms, &blob, &err);
	if (rc < 0)
		count_unless_kept(f, err.code == ERR_LIMIT ? STAT_shared_refused : STAT_shared_failed);
	if (rc == 0) // evicted there, and the entry that names it not yet
		count_unless_kept(f, STAT_shared_misses);
	if (rc != 1)
		return 0;
	struct sha256 digest = sha256_of(blob.data, blob.len);
	if (!sha256_equal(&digest, &o->blob))
		return refused(f, "a blob is not what its name says");
	f->parts[o->part] = (struct buf){.max = (size_t)o->size + 1};
	if (shared_unpack(blob.data, blob.len, o->size, &f->parts[o->part], &err) < 0)
		return refused(f, err.text);
	f->has[o->part] = true;
	if (!f->kept)
		stats_add(f->lookup->plan->services->stats, STAT_shared_bytes_read, blob.len);
	return 1;
}

static int take(struct finder *f, uint32_t i, struct manifest_entry *entry, struct buf *result)
{
	const struct plan *p = f->lookup->plan;
	const struct shared_result *x = &f->entry.results[i];
	if (!outputs_fit(p, x))
		return refused(f, "it has other outputs than this compile");
	for (uint32_t k = 0; k < x->n_outputs; k++)
		if (!get_output(f, &x->outputs[k]))
			return 0;
	*entry = f->entry.manifest->entries[i];
	publish_fetched(p, entry, f->parts, f->has, result);
	lookup_take_manifest(f->lookup, TAKE(f->entry.manifest));
	f->lookup->shared = f->store;
	if (!f->kept)
		shared_note_saved(f->store->shared, (int64_t)(entry->wall_us / 1000));
	share_log(p->services, share_tree(p), &f->action, x);
	return 1;
}

static int look(struct finder *f, const struct share_name *name, struct manifest_entry *entry, struct buf *result)
{
	if (!get_entry(f, name))
		return 0;
	if (!names_are_allowed(f))
		return refused(f, "it names files that this compile can't read");
	for (uint32_t i = 0; i < f->entry.manifest->n_entries; i++)
		if (inputs_match(f, i) && lookup_holds(f->lookup, f->entry.manifest, &f->entry.manifest->entries[i])) {
			int found = take(f, i, entry, result);
			if (found)
				count(f, STAT_shared_hits);
			return found;
		}
	count_unless_kept(f, STAT_shared_misses);
	return 0;
}

int share_find(struct lookup *l, struct manifest_entry *entry, struct buf *result)
{
	const struct plan *p = l->plan;
	__attribute__((cleanup(share_name_release))) struct share_name name = {.fields = BUF_INIT};
	struct shared_store *store = shared_stores_find(p->services->shared_stores, p->config);
	if (!store)
		return 0;
	bool is_used = shared_is_used(store->shared), has_kept = store_has_kind(p->services->store, STORE_ACTION);
	struct finder here = {.lookup = l, .store = store}, there = here;
	if ((!is_used && !has_kept) || !make_name(&here, &name))
		return 0;
	there.action = here.action;
	l->ids = arena_alloc(p->arena, sizeof *l->ids);
	*l->ids = (struct shared_ids){.action = here.action.id, .toolchain = name.toolchain};
	int found = 0;
	if (has_kept) {
		here.kept = tier_of_disk(p->services->store);
		found = look(&here, &name, entry, result);
		tier_close(here.kept);
	}
	if (!found && is_used)
		found = look(&there, &name, entry, result);
	finder_release(&here);
	finder_release(&there);
	return found;
}

#include "client/job/local_copy.h"

#include "base/log.h"
#include "client/job/variants.h"
#include "client/services/shared_stores.h"

#include <stdlib.h>

struct local_copy {
	struct services *services;
	struct digest manifest_key, unit_key;
	struct manifest *manifest; // of the entry
	struct manifest_entry entry;
	size_t most_entries;
	struct buf result, unit; // no bytes in `unit`: it is known
};

static void copy_free(void *arg)
{
	struct local_copy *c = arg;
	manifest_unref(c->manifest);
	buf_release(&c->result);
	buf_release(&c->unit);
	free(c);
}

// The result first: a manifest never names what was not published.
static void copy_write(void *arg)
{
	struct local_copy *c = arg;
	struct services *s = c->services;
	struct store_part all = {c->result.data, c->result.len}, unit = {c->unit.data, c->unit.len};
	struct err err = ERR_INIT;
	const struct store_blob blobs[] = {{STORE_RESULT, c->entry.result, &all, 1}, {STORE_UNIT, c->unit_key, &unit, 1}};
	if (manifests_add_with(s->manifests, &c->manifest_key, &c->entry, c->most_entries, blobs, c->unit.len ? 2 : 1,
			       &err) < 0)
		log_warn("cannot store a result of the shared store: %s", err.text);
	copy_free(c);
}

void local_copy_keep(const struct plan *p, struct shared_store *store, const struct manifest_entry *entry,
		     struct manifest *manifest, const struct buf *result)
{
	if (setting_bool(p->config, SETTING_read_only))
		return;
	struct local_copy *c = mem_alloc(sizeof *c);
	*c = (struct local_copy){.services = p->services,
				 .manifest_key = p->manifest_key,
				 .unit_key = p->unit_key,
				 .manifest = manifest_ref(manifest),
				 .entry = *entry,
				 .most_entries = (size_t)setting_number(p->config, SETTING_max_manifest_entries)};
	buf_add(&c->result, result->data, result->len);
	variants_encode(p, p->services->store, &c->unit);
	struct shared_task task = {.run = copy_write,
				   .drop = copy_free,
				   .arg = c,
				   .bytes = sizeof *c + c->result.cap + c->unit.cap + manifest->memory,
				   .is_local = true};
	shared_later(store->shared, &task);
}

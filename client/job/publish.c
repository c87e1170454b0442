#include "client/job/publish.h"
#include "client/job/inputs.h"
#include "client/job/lookup.h"
#include "client/job/place.h"
#include "client/job/precompiled.h"
#include "client/job/quoted.h"
#include "client/job/recheck.h"
#include "client/job/share.h"
#include "client/job/texts.h"
#include "client/job/variants.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

// Follows from all that the result depends on, so that the same compile has the same key wherever it ran. The names that
// must be absent or present are part of it: with __has_include two results can have the same inputs.
static struct digest result_key(const struct plan *p, const struct manifest_entry *e)
{
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "coffer result 2");
	hasher_digest(&h, &p->manifest_key);
	hasher_digest(&h, &e->messages_context);
	hasher_digest(&h, &e->time_context);
	hasher_digest(&h, &e->place_context);
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		hasher_str(&h, e->inputs[i].name);
		hasher_digest(&h, &e->inputs[i].digest);
	}
	for (uint32_t i = 0; i < e->n_absent; i++) {
		hasher_str(&h, e->absent[i].dir);
		for (uint32_t k = 0; k < e->absent[i].n_names; k++)
			hasher_str(&h, e->absent[i].names[k]);
	}
	for (uint32_t i = 0; i < e->n_present; i++)
		hasher_str(&h, e->present[i]);
	for (uint32_t i = 0; i < e->n_links; i++)
		hasher_str(&h, e->links[i].real);
	return hasher_end(&h);
}

enum { SOURCE_MOST = 64 << 20 };

struct outputs {
	struct buf parts[PART_COUNT];
	bool has[PART_COUNT];
};

static void outputs_release(struct outputs *o)
{
	for (int part = 0; part < PART_COUNT; part++)
		buf_release(&o->parts[part]);
}

static struct refusal read_output(const struct plan *p, const struct baseline *b, enum part part, const char *name,
				  struct outputs *o)
{
	struct err err = ERR_INIT;
	size_t most = (size_t)setting_number(p->config, SETTING_max_output);
	switch (output_fate(p, name, &b->outputs.parts[part], b->start_ns)) {
	case OUTPUT_LEFT_OUT:
		return plan_output_may_be_missing(p, part) ? NO_REFUSAL : refuse(REASON_output_missing, name);
	case OUTPUT_UNKNOWN:
		return refuse(REASON_output_missing, name);
	case OUTPUT_MADE:
		break;
	}
	o->has[part] = true;
	if (file_read(p->cwd_fd, name, most, &o->parts[part], NULL, &err) < 0)
		return refuse(err.code == ERR_LIMIT ? REASON_output_too_large : REASON_output_missing, name);
	return NO_REFUSAL;
}

static struct refusal read_outputs(const struct plan *p, const struct baseline *b, const int fds[WIRE_MAX_FDS],
				   struct outputs *o)
{
	struct err err = ERR_INIT;
	size_t most = (size_t)setting_number(p->config, SETTING_max_output);
	for (enum part part = 0; part < PART_COUNT; part++) {
		const char *name = plan_output_name(p, part);
		struct refusal refusal = name ? read_output(p, b, part, name, o) : NO_REFUSAL;
		if (is_refused(refusal))
			return refusal;
	}
	for (int i = 0; i < 2; i++) {
		enum part part = PART_STDOUT + (enum part)i;
		if (lseek(fds[i], 0, SEEK_SET) < 0 || file_read_fd(fds[i], most, &o->parts[part], &err) < 0)
			return refuse(REASON_messages_too_large, NULL);
		o->has[part] = o->parts[part].len > 0;
	}
	return NO_REFUSAL;
}

// Some compilers put absolute names into the object whatever the maps say, and messages name files as they were given. Some
// messages (SARIF) have names as URIs, in which a search finds no name with odd characters.
static bool names_the_tree(const struct plan *p, const struct outputs *o)
{
	const char *names[] = {p->root, p->root_real};
	for (int part = 0; part < PART_COUNT; part++) {
		if (part_is_message((enum part)part) && o->has[part] &&
		    memmem(o->parts[part].data, o->parts[part].len, "file:", 5))
			return true;
		for (size_t i = 0; i < COUNT_OF(names); i++)
			if (o->has[part] && names[i] && o->parts[part].len &&
			    memmem(o->parts[part].data, o->parts[part].len, names[i], strlen(names[i])))
				return true;
	}
	return false;
}

// Files in which a search does not find all names: packed ones, and those that spell odd characters in ways of their own.
static bool may_hide_names(const struct plan *p, const struct outputs *o)
{
	bool odd = !place_is_plain(p->root) || (p->root_real && !place_is_plain(p->root_real));
	return o->has[PART_REMARKS] && (odd || p->compiler->family == FAMILY_GCC);
}

// What says which parts follow (deliver.c reads it).
static void add_head(struct buf *head, const struct buf parts[PART_COUNT], const bool has[PART_COUNT])
{
	uint32_t count = 0;
	for (int part = 0; part < PART_COUNT; part++)
		count += has[part];
	buf_add_u32(head, count);
	for (int part = 0; part < PART_COUNT; part++) {
		if (!has[part])
			continue;
		buf_add_u32(head, (uint32_t)part);
		buf_add_u32(head, (uint32_t)parts[part].len);
	}
}

// What belongs to one compile, as the store takes it.
struct kept {
	struct buf head, variant;
	struct store_part result[PART_COUNT + 1], unit, texts[TEXTS_ASIDE];
	struct store_blob blobs[TEXTS_ASIDE + 2];
	size_t n, bytes; // of the outputs
};
_Static_assert(TEXTS_ASIDE + 2 <= MANIFESTS_MAX_BESIDE, "all of it is stored beside the manifest");

static void kept_release(struct kept *k)
{
	buf_release(&k->head);
	buf_release(&k->variant);
}

// The result first: a manifest never names what was not published.
static void kept_gather(struct kept *k, const struct plan *p, const struct digest *key, const struct outputs *o,
			const struct texts_aside *texts)
{
	size_t n = 1;
	add_head(&k->head, o->parts, o->has);
	for (int part = 0; part < PART_COUNT; part++) {
		const struct buf *bytes_of = &o->parts[part];
		if (!o->has[part])
			continue;
		k->result[n++] = (struct store_part){bytes_of->data ? bytes_of->data : "", bytes_of->len};
		k->bytes += bytes_of->len;
	}
	k->result[0] = (struct store_part){k->head.data, k->head.len};
	k->blobs[k->n++] = (struct store_blob){STORE_RESULT, *key, k->result, n};
	for (size_t i = 0; i < texts->n; i++) {
		k->texts[i] = (struct store_part){texts->text[i].data ? texts->text[i].data : "", texts->text[i].len};
		k->blobs[k->n++] = (struct store_blob){STORE_TEXT, texts->digest[i], &k->texts[i], 1};
	}
	variants_encode(p, p->services->store, &k->variant);
	k->unit = (struct store_part){k->variant.data, k->variant.len};
	if (k->variant.len)
		k->blobs[k->n++] = (struct store_blob){STORE_UNIT, p->unit_key, &k->unit, 1};
}

static void share(const struct plan *p, const struct manifest_entry *e, const struct outputs *o)
{
	struct store_part parts[PART_COUNT] = {{0}};
	for (int part = 0; part < PART_COUNT; part++)
		if (o->has[part])
			parts[part] =
				(struct store_part){o->parts[part].data ? o->parts[part].data : "", o->parts[part].len};
	share_offer(p, e, parts);
}

void publish_fetched(const struct plan *p, struct manifest_entry *e, const struct buf parts[PART_COUNT],
		     const bool has[PART_COUNT], struct buf *result)
{
	add_head(result, parts, has);
	for (int part = 0; part < PART_COUNT; part++)
		if (has[part])
			buf_add(result, parts[part].data, parts[part].len);
	e->result = result_key(p, e);
}

static enum reason store_all(struct publication *pub, struct manifest_entry *e, const struct outputs *o,
			     const struct texts_aside *texts)
{
	struct err err = ERR_INIT;
	const struct plan *p = pub->plan;
	struct manifests *manifests = p->services->manifests;
	size_t most = (size_t)setting_number(p->config, SETTING_max_manifest_entries);
	struct digest text;
	e->result = result_key(p, e);
	e->made_at = clock_now_ns() / 1000000000;
	e->wall_us = pub->wall_us;
	pub->result = e->result;
	if (setting_bool(p->config, SETTING_recache) || pub->differs)
		store_remove(p->services->store, STORE_RESULT, &e->result);
	__attribute__((cleanup(kept_release))) struct kept kept = {.n = 0};
	kept_gather(&kept, p, &e->result, o, texts);
	if (manifests_add_with(manifests, &p->manifest_key, e, most, kept.blobs, kept.n, &err) < 0 ||
	    (pub->is_crowded && lookup_text_key(p, &text) == 0 && manifests_add(manifests, &text, e, most, &err) < 0)) {
		log_warn("cannot store a result: %s", err.text);
		return REASON_store_failed;
	}
	stats_renew(p->services->stats);
	stats_add(p->services->stats, STAT_stored, 1);
	stats_add(p->services->stats, STAT_bytes_written, kept.bytes);
	if (p->line.makes_pch)
		precompiled_keep(p, e, &o->parts[PART_OBJECT]);
	pub->entry = *e;
	pub->is_stored = true;
	if (!p->line.makes_pch && plan_has_object(p))
		share(p, e, o);
	return REASON_NONE;
}

// Does a text that is not the system's have the word? What can't be read may have it.
static bool asks_for_names(const struct plan *p, const struct manifest_entry *e)
{
	static const char word[] = "__PRETTY_FUNCTION__";
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		const char *path = plan_real_path(p, p->arena, e->inputs[i].name);
		if (strncmp(path, "/usr/", 5) == 0)
			continue;
		if ((e->inputs[i].flags & INPUT_BINARY) || file_read(p->cwd_fd, path, SOURCE_MOST, &text, NULL, NULL) < 0 ||
		    (text.len && memmem(text.data, text.len, word, strlen(word))))
			return true;
	}
	return false;
}

static struct refusal publish_outputs(struct publication *pub, struct manifest_entry *entry, const struct outputs *o)
{
	const struct plan *p = pub->plan;
	const char *culprit;
	// The compiler may have met what has come meanwhile.
	if (!view_holds(p->services->views, p->view, watch_epoch(p->services->watch), &culprit))
		return refuse(REASON_input_changed, culprit);
	if (o->has[PART_STDOUT] || o->has[PART_STDERR])
		entry->messages_context = p->messages_context;
	if (p->reproducible &&
	    (may_hide_names(p, o) || names_the_tree(p, o) || (place_names_types(p) && asks_for_names(p, entry))))
		entry->place_context = p->place;
	__attribute__((cleanup(texts_release))) struct texts_aside texts = {.n = 0};
	for (uint32_t i = 0; i < entry->n_inputs; i++)
		if (!(entry->inputs[i].flags & INPUT_BINARY))
			texts_keep(p, plan_real_path(p, p->arena, entry->inputs[i].name), &entry->inputs[i].digest, &texts);
	return refuse(store_all(pub, entry, o, &texts), NULL);
}

struct refusal publish(struct publication *pub, const struct baseline *b, const struct wire_result *r, const int *fds)
{
	struct manifest_entry entry = {0};
	__attribute__((cleanup(outputs_release))) struct outputs outputs = {0};
	if (r->overflow)
		return refuse(REASON_messages_too_large, NULL);
	int next = 2;
	int dep_fd = r->has & RUN_DEPFILE ? fds[next++] : -1;
	int asm_dep_fd = r->has & RUN_ASM_DEPFILE ? fds[next++] : -1;
	struct refusal refusal = read_outputs(pub->plan, b, fds, &outputs);
	if (is_refused(refusal))
		return refusal;
	if (pub->stored)
		pub->differs = recheck_compare(pub->plan, pub->stored, outputs.parts, outputs.has);
	refusal = inputs_find(pub->plan, b, NULL, dep_fd, asm_dep_fd, &entry);
	if (!is_refused(refusal))
		refusal = quoted_add(pub->plan, b, &outputs.parts[PART_STDERR], &entry);
	return is_refused(refusal) ? refusal : publish_outputs(pub, &entry, &outputs);
}

static struct buf as_buf(const struct store_part *part)
{
	return (struct buf){.data = (char *)(uintptr_t)part->p, .len = part->n};
}

struct refusal publish_from_elsewhere(struct publication *pub, struct manifest_entry *entry, const struct made_elsewhere *m)
{
	const struct outputs outputs = {.parts = {[PART_OBJECT] = as_buf(&m->object),
						  [PART_DWO] = as_buf(&m->dwo),
						  [PART_STDOUT] = as_buf(&m->out),
						  [PART_STDERR] = as_buf(&m->errs)},
					.has = {[PART_OBJECT] = true,
						[PART_DWO] = pub->plan->line.dwo,
						[PART_STDOUT] = m->out.n,
						[PART_STDERR] = m->errs.n}};
	return publish_outputs(pub, entry, &outputs);
}

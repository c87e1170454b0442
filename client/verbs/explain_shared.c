#include "client/verbs/explain_shared.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/path.h"
#include "client/job/shared_entry.h"
#include "client/job/shared_unit.h"
#include "client/job/variants.h"
#include "client/services/shared_stores.h"
#include "client/verbs/format.h"
#include "client/verbs/history.h"
#include "client/verbs/verbs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 2000, INPUT_MAX = 64 << 20 };

struct comparison {
	struct arena *arena;
	const json_t *miss;
	struct store *disk;
	struct settings config;
	const char *scope;
	struct shared_store *store;
	int64_t until_ms;
	struct shared_ids ids; // of the miss
	struct digest unit, key;
	struct variant words;              // of the miss
	struct manifest *manifest;         // of the miss
	const struct manifest_entry *ours; // in it
	const char *root, *root_real;      // of the build tree; NULL: not known
};

// ---- what is known of the miss --------------------------------------------------------------------------------------

static bool find_ids(struct comparison *c)
{
	return sha256_parse(record_text(c->miss, "shared_action"), &c->ids.action) &&
	       sha256_parse(record_text(c->miss, "shared_toolchain"), &c->ids.toolchain) &&
	       digest_parse(record_text(c->miss, "unit"), &c->unit) && digest_parse(record_text(c->miss, "key"), &c->key);
}

// The entry of the very result, in the manifest under the compile's key.
static bool find_entry(struct comparison *c)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct digest result;
	if (!digest_parse(record_text(c->miss, "result"), &result) ||
	    store_get(c->disk, STORE_MANIFEST, &c->key, &bytes, NULL) != 1)
		return false;
	c->manifest = manifest_decode(&c->key, bytes.data, bytes.len, NULL);
	for (uint32_t i = 0; c->manifest && i < c->manifest->n_entries && !c->ours; i++)
		if (digest_equal(&c->manifest->entries[i].result, &result))
			c->ours = &c->manifest->entries[i];
	return c->ours != NULL;
}

// The source's name in the manifest, where that is below the tree, tells which one it was. Another input may end alike, but is shorter.
static void find_root(struct comparison *c)
{
	const char *source = record_text(c->miss, "source");
	size_t n = strlen(source), longest = 0;
	for (uint32_t i = 0; i < c->ours->n_inputs; i++) {
		const char *name = c->ours->inputs[i].name, *tail = name + 1;
		size_t len = strlen(tail);
		if (name[0] != PATH_TREE || len <= longest || len + 1 >= n || source[n - len - 1] != '/' ||
		    strcmp(source + n - len, tail) != 0)
			continue;
		longest = len;
		c->root = arena_strndup(c->arena, source, n - len - 1);
	}
	AUTO_FREE char *real = c->root ? realpath(c->root, NULL) : NULL;
	c->root_real = real ? arena_strdup(c->arena, real) : c->root;
}

// In the arena. NULL: the name is in a build tree, and none is known.
static const char *path_of(struct comparison *c, const char *name)
{
	const char *root = name[0] == PATH_TREE ? c->root : name[0] == PATH_TREE_REAL ? c->root_real : "";
	if (!root)
		return NULL;
	return root[0] ? path_join(c->arena, root, name + 1) : path_join(c->arena, record_text(c->miss, "cwd"), name);
}

// SHA-256 of a file, if it still is what went into the compile.
static bool input_now(struct comparison *c, const struct manifest_input *in, struct sha256 *now)
{
	AUTO_BUF struct buf text = BUF_INIT;
	const char *path = path_of(c, in->name);
	if (!path || file_read(AT_FDCWD, path, INPUT_MAX, &text, NULL, NULL) < 0)
		return false;
	struct digest digest = digest_of(text.data, text.len);
	*now = sha256_of(text.data, text.len);
	return digest_equal(&digest, &in->digest);
}

// ---- what the store has ---------------------------------------------------------------------------------------------

// What it has under the name, or what was pulled from there or is to be pushed. 1 and *bytes points into `entry`, 0, -1.
static int get(struct comparison *c, const struct tier_name *name, struct buf *entry, const void **bytes, size_t *n,
	       struct err *err)
{
	int rc = tier_get(c->store->tier, name, entry->max, entry, c->until_ms, err);
	if (rc != 1) {
		struct tier *kept = tier_of_disk(c->disk);
		int here = tier_get(kept, name, entry->max, entry, c->until_ms, NULL);
		tier_close(kept);
		rc = here == 1 ? 1 : rc;
	}
	if (rc == 1 && seal_get(c->store->seal, c->scope, name, entry->data, entry->len, bytes, n, err) < 0)
		return -1;
	return rc;
}

static const char *hex_of(struct arena *a, const struct sha256 *d)
{
	char hex[SHA256_HEX];
	sha256_hex(d, hex);
	return arena_strdup(a, hex);
}

// ---- the same action: inputs ----------------------------------------------------------------------------------------

static const struct manifest_input *input_named(const struct manifest_entry *e, const char *name, uint32_t *at)
{
	for (*at = 0; *at < e->n_inputs; ++*at)
		if (strcmp(e->inputs[*at].name, name) == 0)
			return &e->inputs[*at];
	return NULL;
}

// "\1x.h" of a tree that is not known is shown as x.h.
static const char *shown_path(struct comparison *c, const char *name)
{
	const char *path = path_of(c, name);
	return path ? path : arena_strdup(c->arena, name + 1);
}

// Files that the result's compile has read and ours has not, or the other way round.
static void add_unmatched(struct comparison *c, const struct manifest_entry *theirs, const struct shared_result *result,
			  struct cause *cause)
{
	uint32_t at;
	for (uint32_t i = 0; i < theirs->n_inputs; i++)
		if (!input_named(c->ours, theirs->inputs[i].name, &at))
			cause_add(cause, shown_path(c, theirs->inputs[i].name), hex_of(c->arena, &result->inputs[i]), NULL);
	for (uint32_t i = 0; i < c->ours->n_inputs; i++) {
		struct sha256 now = {0};
		if (!input_named(theirs, c->ours->inputs[i].name, &at) && input_now(c, &c->ours->inputs[i], &now))
			cause_add(cause, shown_path(c, c->ours->inputs[i].name), NULL, hex_of(c->arena, &now));
	}
}

// In what the result's inputs differ from ours: files of both with other texts, else files that one of them has not read.
static void compare_inputs(struct comparison *c, const struct manifest_entry *theirs, const struct shared_result *result,
			   struct cause *cause)
{
	*cause = (struct cause){.kind = CAUSE_INPUT};
	for (uint32_t i = 0; i < c->ours->n_inputs; i++) {
		const struct manifest_input *in = &c->ours->inputs[i];
		struct sha256 now;
		uint32_t at;
		if (!input_named(theirs, in->name, &at) || !input_now(c, in, &now) ||
		    sha256_equal(&now, &result->inputs[at]))
			continue;
		cause_add(cause, path_of(c, in->name), hex_of(c->arena, &result->inputs[at]), hex_of(c->arena, &now));
	}
	if (!cause->n_all)
		add_unmatched(c, theirs, result, cause);
}

// The nearest result under the miss's own action; made by this very compile it has no cause.
static bool compare_action(struct comparison *c, struct cause *best, int64_t *made_at)
{
	AUTO_BUF struct buf entry = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD};
	struct tier_name name = {.space = TIER_ACTIONS, .id = c->ids.action};
	struct shared_entry e;
	const void *bytes;
	size_t n;
	*best = (struct cause){.kind = CAUSE_NONE};
	if (get(c, &name, &entry, &bytes, &n, NULL) != 1 || shared_entry_decode(bytes, n, &e, NULL) < 0)
		return false;
	for (uint32_t i = 0; i < e.manifest->n_entries; i++) {
		struct cause cause;
		compare_inputs(c, &e.manifest->entries[i], &e.results[i], &cause);
		if (!cause.n_all || (best->n_all && best->n_all <= cause.n_all))
			continue;
		*best = cause;
		*made_at = e.manifest->entries[i].made_at;
	}
	shared_entry_release(&e);
	return best->n_all > 0;
}

// ---- another action: words, source, toolchain -----------------------------------------------------------------------

static bool source_now(struct comparison *c, const char **path, struct sha256 *now)
{
	const char *source = record_text(c->miss, "source");
	for (uint32_t i = 0; i < c->ours->n_inputs; i++) {
		*path = path_of(c, c->ours->inputs[i].name);
		if (*path && strcmp(path_tidy(c->arena, *path), source) == 0)
			return input_now(c, &c->ours->inputs[i], now);
	}
	return false;
}

static void compare_variant(struct comparison *c, const struct shared_variant *v, struct cause *cause)
{
	const char *path;
	struct sha256 now;
	*cause = (struct cause){.kind = CAUSE_NONE};
	if (variant_compare(&v->words, &c->words, c->arena, cause))
		return;
	if (source_now(c, &path, &now) && !sha256_equal(&now, &v->source)) {
		cause->kind = CAUSE_INPUT;
		cause_add(cause, path, hex_of(c->arena, &v->source), hex_of(c->arena, &now));
	} else if (!sha256_equal(&v->toolchain, &c->ids.toolchain)) {
		cause->kind = CAUSE_TOOLCHAIN;
	} else if (cause->kind != CAUSE_ORDER) {
		cause->kind = CAUSE_SETTINGS;
	}
}

static const struct shared_variant *nearest(struct comparison *c, const struct shared_unit *u)
{
	const struct shared_variant *best = NULL;
	unsigned least = 0;
	for (unsigned i = 0; i < u->n; i++) {
		unsigned distance = variant_distance(&u->variants[i].words, &c->words, c->arena);
		if (sha256_equal(&u->variants[i].action, &c->ids.action) || (best && distance >= least))
			continue;
		best = &u->variants[i];
		least = distance;
	}
	return best;
}

// ---- the answer -----------------------------------------------------------------------------------------------------

static json_t *text_or_null(const char *text)
{
	return text ? json_text(text) : json_null();
}

static json_t *cause_json(const struct cause *cause)
{
	json_t *changes = json_array();
	for (unsigned i = 0; i < cause->n_changes; i++) {
		const struct change *x = &cause->changes[i];
		json_array_append_new(changes, json_pack("{s:o, s:o, s:o}", "name", text_or_null(x->name), "was",
							 text_or_null(x->was), "now", text_or_null(x->now)));
	}
	return json_pack("{s:s, s:i, s:o}", "kind", cause_name(cause->kind), "all", (int)cause->n_all, "changes", changes);
}

// The unit names who first made a result of the action; another one, of other headers, may be by somebody else.
static json_t *told(const struct shared_variant *v, int64_t made_at, const struct cause *cause)
{
	return json_pack("{s:o, s:I, s:o}", "made_by", text_or_null(made_at == v->made_at ? v->maker : NULL), "made_at",
			 (json_int_t)made_at, "cause", cause_json(cause));
}

static json_t *why_not(const char *text)
{
	return json_pack("{s:o}", "why_not", json_text(text));
}

static json_t *compare_unit(struct comparison *c, const struct shared_unit *u)
{
	struct cause cause;
	int64_t made_at = 0;
	for (unsigned i = 0; i < u->n; i++)
		if (sha256_equal(&u->variants[i].action, &c->ids.action) && compare_action(c, &cause, &made_at))
			return told(&u->variants[i], made_at, &cause);
	const struct shared_variant *v = nearest(c, u);
	if (!v)
		return why_not("it has no other result of this source");
	compare_variant(c, v, &cause);
	return told(v, v->made_at, &cause);
}

static json_t *compare(struct comparison *c)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf entry = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD};
	struct tier_name name = shared_unit_name(c->scope, &c->unit);
	struct shared_unit u;
	const void *bytes;
	size_t n;
	if (shared_stores_open(&c->config, &c->store, &err) < 0)
		return why_not(err.text);
	if (!c->store)
		return NULL;
	c->until_ms = clock_ms() + ANSWER_MS;
	int rc = get(c, &name, &entry, &bytes, &n, &err);
	if (rc == 0)
		return why_not("it has no result of this source");
	if (rc < 0 || shared_unit_decode(bytes, n, &u, &err) < 0)
		return why_not(err.text);
	json_t *answer = compare_unit(c, &u);
	shared_unit_release(&u);
	return answer;
}

json_t *explain_shared(struct arena *a, struct store *disk, const json_t *miss)
{
	struct comparison c = {.arena = a, .miss = miss, .disk = disk};
	json_t *answer = NULL;
	if (!disk || !find_ids(&c) || !variants_find(disk, &c.unit, &c.key, a, &c.words) || !find_entry(&c))
		goto out;
	find_root(&c);
	if (verb_load_config(&c.config, NULL) == 0) {
		c.scope = setting_text(&c.config, SETTING_tenant);
		answer = compare(&c);
		shared_store_close(c.store, 0);
	}
	settings_release(&c.config);
out:
	manifest_unref(c.manifest);
	return answer;
}

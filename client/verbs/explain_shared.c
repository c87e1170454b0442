#include "client/verbs/explain_shared.h"
#include "client/verbs/explain_known.h"

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

// One of our inputs as it is now.
struct input_state {
	struct sha256 sha256;
	bool is_read, is_same;
};

struct comparison {
	struct arena *arena;
	struct known_miss known;
	struct store *disk;
	struct settings config;
	const char *scope;
	struct shared_store *store;
	int64_t until_ms;
	struct shared_ids ids;      // of the miss
	struct input_state *inputs; // as many as known.ours has
};

// ---- what is known of the miss --------------------------------------------------------------------------------------

static bool find_ids(struct comparison *c)
{
	return sha256_parse(record_text(c->known.miss, "shared_action"), &c->ids.action) &&
	       sha256_parse(record_text(c->known.miss, "shared_toolchain"), &c->ids.toolchain);
}

// SHA-256 of one of our inputs, if it still is what went into the compile. Each is read once, and none after the time is over.
static bool input_now(struct comparison *c, uint32_t i, struct sha256 *now)
{
	const struct manifest_input *in = &c->known.ours->inputs[i];
	struct input_state *state = &c->inputs[i];
	AUTO_BUF struct buf text = BUF_INIT;
	const char *path = known_miss_path(&c->known, in->name);
	if (!state->is_read && path && clock_ms() < c->until_ms &&
	    file_read(AT_FDCWD, path, INPUT_MAX, &text, NULL, NULL) == 0) {
		struct digest digest = digest_of(text.data, text.len);
		state->sha256 = sha256_of(text.data, text.len);
		state->is_same = digest_equal(&digest, &in->digest);
	}
	state->is_read = true;
	*now = state->sha256;
	return state->is_same;
}

// ---- what the store has ---------------------------------------------------------------------------------------------

static int unseal(struct comparison *c, const struct tier_name *name, const struct buf *entry, const void **bytes, size_t *n,
		  struct err *err)
{
	return seal_get(c->store->seal, c->scope, name, entry->data, entry->len, bytes, n, err) < 0 ? -1 : 1;
}

// What it has under the name, or where that is nothing or no good, what was pulled from there or is to be pushed. 1 and *bytes points into
// `entry`, 0, -1.
static int get(struct comparison *c, const struct tier_name *name, struct buf *entry, const void **bytes, size_t *n,
	       struct err *err)
{
	int rc = tier_get(c->store->tier, name, entry->max, entry, c->until_ms, err);
	if (rc == 1)
		rc = unseal(c, name, entry, bytes, n, err);
	if (rc == 1)
		return 1;
	struct tier *kept = tier_of_disk(c->disk);
	buf_clear(entry);
	int here = tier_get(kept, name, entry->max, entry, c->until_ms, NULL);
	tier_close(kept);
	return here == 1 && unseal(c, name, entry, bytes, n, NULL) == 1 ? 1 : rc;
}

static const char *hex_of(struct arena *a, const struct sha256 *d)
{
	char hex[SHA256_HEX];
	sha256_hex(d, hex);
	return arena_strdup(a, hex);
}

// ---- the same action: inputs ----------------------------------------------------------------------------------------

// Files that the result's compile has read and ours has not, or the other way round.
static void add_unmatched(struct comparison *c, const struct manifest_entry *theirs, const struct shared_result *result,
			  struct cause *cause)
{
	uint32_t at;
	for (uint32_t i = 0; i < theirs->n_inputs; i++)
		if (!known_input(c->known.ours, theirs->inputs[i].name, &at))
			cause_add(cause, known_miss_shown(&c->known, theirs->inputs[i].name),
				  hex_of(c->arena, &result->inputs[i]), NULL);
	for (uint32_t i = 0; i < c->known.ours->n_inputs; i++) {
		struct sha256 now = {0};
		if (!known_input(theirs, c->known.ours->inputs[i].name, &at) && input_now(c, i, &now))
			cause_add(cause, known_miss_shown(&c->known, c->known.ours->inputs[i].name), NULL,
				  hex_of(c->arena, &now));
	}
}

// In what the result's inputs differ from ours: files of both with other texts, else files that one of them has not read.
static void compare_inputs(struct comparison *c, const struct manifest_entry *theirs, const struct shared_result *result,
			   struct cause *cause)
{
	*cause = (struct cause){.kind = CAUSE_INPUT};
	for (uint32_t i = 0; i < c->known.ours->n_inputs; i++) {
		const struct manifest_input *in = &c->known.ours->inputs[i];
		struct sha256 now;
		uint32_t at;
		if (!known_input(theirs, in->name, &at) || !input_now(c, i, &now) || sha256_equal(&now, &result->inputs[at]))
			continue;
		cause_add(cause, known_miss_path(&c->known, in->name), hex_of(c->arena, &result->inputs[at]),
			  hex_of(c->arena, &now));
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
	const char *source = record_text(c->known.miss, "source");
	for (uint32_t i = 0; i < c->known.ours->n_inputs; i++) {
		*path = known_miss_path(&c->known, c->known.ours->inputs[i].name);
		if (*path && strcmp(path_tidy(c->arena, *path), source) == 0)
			return input_now(c, i, now);
	}
	return false;
}

static void compare_variant(struct comparison *c, const struct shared_variant *v, struct cause *cause)
{
	const char *path;
	struct sha256 now;
	*cause = (struct cause){.kind = CAUSE_NONE};
	if (variant_compare(&v->words, &c->known.words, c->arena, cause))
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
		unsigned distance = variant_distance(&u->variants[i].words, &c->known.words, c->arena);
		if (sha256_equal(&u->variants[i].action, &c->ids.action) || (best && distance >= least))
			continue;
		best = &u->variants[i];
		least = distance;
	}
	return best;
}

// ---- the answer -----------------------------------------------------------------------------------------------------

// The unit names who first made a result of the action; another one, of other headers, may be by somebody else.
static json_t *told(const struct shared_variant *v, int64_t made_at, const struct cause *cause)
{
	return explain_told(made_at == v->made_at ? v->maker : NULL, made_at, cause);
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
		return explain_why_not("it has no other result of this source");
	compare_variant(c, v, &cause);
	return told(v, v->made_at, &cause);
}

static json_t *compare(struct comparison *c)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf entry = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD};
	struct tier_name name = shared_unit_name(c->scope, &c->known.unit);
	struct shared_unit u;
	const void *bytes;
	size_t n;
	if (shared_stores_open(&c->config, &c->store, &err) < 0)
		return explain_why_not(err.text);
	if (!c->store)
		return NULL;
	c->until_ms = clock_ms() + ANSWER_MS;
	c->inputs = arena_alloc(c->arena, (c->known.ours->n_inputs + 1) * sizeof *c->inputs);
	int rc = get(c, &name, &entry, &bytes, &n, &err);
	if (rc == 0)
		return explain_why_not("it has no result of this source");
	if (rc < 0 || shared_unit_decode(bytes, n, &u, &err) < 0)
		return explain_why_not(err.text);
	json_t *answer = compare_unit(c, &u);
	shared_unit_release(&u);
	return answer;
}

json_t *explain_shared(struct arena *a, struct store *disk, const json_t *miss)
{
	struct comparison c = {.arena = a, .disk = disk};
	json_t *answer = NULL;
	if (known_miss_find(&c.known, a, disk, miss) && find_ids(&c) && verb_load_config(&c.config, NULL) == 0) {
		c.scope = setting_text(&c.config, SETTING_tenant);
		answer = compare(&c);
		shared_store_close(c.store, 0);
	}
	settings_release(&c.config);
	known_miss_release(&c.known);
	return answer;
}

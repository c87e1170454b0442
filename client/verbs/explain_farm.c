#include "client/verbs/explain_farm.h"
#include "client/verbs/explain_known.h"

#include "client/farm/farm.h"
#include "client/job/account.h"
#include "client/job/shared_unit.h"
#include "client/verbs/format.h"
#include "client/verbs/history.h"
#include "client/verbs/verbs.h"

#include <string.h>

enum { ANSWER_MS = 2000 };

enum { EQUALS = 16 };

// An account of the very words and texts.
struct equal {
	const char *worker, *maker, *identity;
	int64_t made_at;
};

// The nearest account so far.
struct nearest {
	struct arena *arena;
	struct known_miss known;
	const char *own_name;
	struct equal equals[EQUALS]; // ours among them, where a worker made it
	unsigned n_equals;
	bool is_asked, is_there; // somebody has told something; it differs from ours
	bool same_words;         // then `distance` counts files, else words
	unsigned distance;
	const char *worker, *maker;
	int64_t made_at;
	struct cause cause; // in the arena
};

static const char *hex_of(struct arena *a, const struct digest *d)
{
	char hex[DIGEST_HEX];
	digest_hex(d, hex);
	return arena_strdup(a, hex);
}

// ---- differences ----------------------------------------------------------------------------------------------------

// Files of both with other texts, else files that one of them has not read.
static void compare_inputs(struct nearest *n, const struct manifest_entry *theirs, struct cause *cause)
{
	const struct manifest_entry *ours = n->known.ours;
	uint32_t at;
	*cause = (struct cause){.kind = CAUSE_INPUT};
	for (uint32_t i = 0; i < ours->n_inputs; i++) {
		const struct manifest_input *in = &ours->inputs[i], *there = known_input(theirs, in->name, &at);
		if (there && !digest_equal(&in->digest, &there->digest))
			cause_add(cause, known_miss_shown(&n->known, in->name), hex_of(n->arena, &there->digest),
				  hex_of(n->arena, &in->digest));
	}
	if (cause->n_all)
		return;
	for (uint32_t i = 0; i < theirs->n_inputs; i++)
		if (!known_input(ours, theirs->inputs[i].name, &at))
			cause_add(cause, known_miss_shown(&n->known, theirs->inputs[i].name),
				  hex_of(n->arena, &theirs->inputs[i].digest), NULL);
	for (uint32_t i = 0; i < ours->n_inputs; i++)
		if (!known_input(theirs, ours->inputs[i].name, &at))
			cause_add(cause, known_miss_shown(&n->known, ours->inputs[i].name), NULL,
				  hex_of(n->arena, &ours->inputs[i].digest));
}

// The strings of a cause outlive the account that they point into.
static struct cause keep_cause(struct arena *a, const struct cause *c)
{
	struct cause kept = {.kind = c->kind};
	for (unsigned i = 0; i < c->n_changes; i++) {
		const struct change *x = &c->changes[i];
		cause_add(&kept, x->name ? arena_strdup(a, x->name) : NULL, x->was ? arena_strdup(a, x->was) : NULL,
			  x->now ? arena_strdup(a, x->now) : NULL);
	}
	kept.n_all = c->n_all;
	return kept;
}

// False: it is the same compile, of the same texts.
static bool compare(struct nearest *n, const struct account_of_result *x, struct cause *cause, unsigned *distance,
		    bool *same_words)
{
	*cause = (struct cause){.kind = CAUSE_NONE};
	*same_words = !variant_compare(&x->words, &n->known.words, n->arena, cause);
	*distance = variant_distance(&x->words, &n->known.words, n->arena);
	if (!*same_words || cause->kind == CAUSE_ORDER)
		return true;
	compare_inputs(n, &x->manifest->entries[0], cause);
	*distance = cause->n_all;
	return cause->n_all > 0;
}

static void keep_equal(struct nearest *n, const struct account_of_result *x, const char *worker, const char *maker,
		       int64_t time_s)
{
	if (n->n_equals < EQUALS)
		n->equals[n->n_equals++] = (struct equal){.worker = arena_strdup(n->arena, worker),
							  .maker = arena_strdup(n->arena, maker),
							  .identity = arena_strdup(n->arena, x->identity),
							  .made_at = time_s};
}

// All is alike but the worker's compiler: what we were told last by ourselves says which one ours was.
static void compare_compilers(struct nearest *n)
{
	const struct equal *own = NULL, *other = NULL;
	for (unsigned i = 0; i < n->n_equals; i++)
		if (strcmp(n->equals[i].maker, n->own_name) == 0 && (!own || n->equals[i].made_at > own->made_at))
			own = &n->equals[i];
	for (unsigned i = 0; own && i < n->n_equals; i++)
		if (strcmp(n->equals[i].identity, own->identity) != 0 && (!other || n->equals[i].made_at > other->made_at))
			other = &n->equals[i];
	if (!other || (n->is_there && n->same_words))
		return;
	n->is_there = true;
	n->worker = other->worker;
	n->maker = other->maker;
	n->made_at = other->made_at;
	n->cause = (struct cause){.kind = CAUSE_TOOLCHAIN};
	cause_add(&n->cause, NULL, other->identity, own->identity);
}

// By farm_explain().
static void take(void *ctx, const char *worker, const char *maker, int64_t time_s, const void *how, size_t n_how)
{
	struct nearest *n = ctx;
	struct account_of_result x;
	struct cause cause;
	unsigned distance;
	bool same_words;
	if (account_decode(how, n_how, &x, NULL) < 0)
		return;
	n->is_asked = true;
	bool differs = compare(n, &x, &cause, &distance, &same_words);
	if (!differs)
		keep_equal(n, &x, worker, maker, time_s);
	bool is_better = differs && (!n->is_there || same_words > n->same_words ||
				     (same_words == n->same_words &&
				      (distance < n->distance || (distance == n->distance && time_s > n->made_at))));
	if (is_better) {
		n->is_there = true;
		n->same_words = same_words;
		n->distance = distance;
		n->worker = arena_strdup(n->arena, worker);
		n->maker = arena_strdup(n->arena, maker);
		n->made_at = time_s;
		n->cause = keep_cause(n->arena, &cause);
	}
	account_release(&x);
}

// ---- the answer -----------------------------------------------------------------------------------------------------

static json_t *answer_of(struct nearest *n)
{
	compare_compilers(n);
	if (!n->is_there)
		return explain_why_not(n->is_asked ? "no worker has another result of this source"
						   : "no worker has a result of this source");
	json_t *told = explain_told(n->maker[0] ? n->maker : NULL, n->made_at, &n->cause);
	json_object_set_new(told, "worker", json_text(n->worker));
	return told;
}

static json_t *ask(struct nearest *n, const struct settings *config)
{
	struct err err = ERR_INIT;
	struct farm *farm = NULL;
	char name[SHARED_UNIT_MAKER_MAX + 1];
	shared_maker(config, name);
	n->own_name = name;
	if (farm_open(config, &farm, &err) < 0)
		return explain_why_not(err.text);
	if (!farm)
		return NULL;
	json_t *answer =
		farm_explain(farm, n->known.unit.b, ANSWER_MS, take, n, &err) < 0 ? explain_why_not(err.text) : answer_of(n);
	farm_free(farm);
	return answer;
}

json_t *explain_farm(struct arena *a, struct store *disk, const json_t *miss)
{
	struct nearest n = {.arena = a};
	struct settings config = {0};
	json_t *answer = NULL;
	if (known_miss_find(&n.known, a, disk, miss) && verb_load_config(&config, NULL) == 0)
		answer = ask(&n, &config);
	settings_release(&config);
	known_miss_release(&n.known);
	return answer;
}

// `coffer cache push|pull`: what a build consists of goes into the shared store under its name, and comes from there in one go.
#include "client/job/shared_entry.h"
#include "client/job/shared_unit.h"
#include "client/services/share_log.h"
#include "client/services/shared_stores.h"
#include "client/verbs/cache_store.h"
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include "base/clock.h"
#include "base/path.h"
#include "base/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CALL_MS = 30000, END_MS = 2000 };

struct sharing {
	struct arena arena;
	const char *cache_dir, *tree, *build, *scope;
	struct tier_name name; // of the build's list
	struct shared_store *store;
	struct store *disk;
	struct tier *kept;
	uint64_t max_bytes;
	int64_t since_s;
};

static void sharing_end(struct sharing *s)
{
	tier_close(s->kept);
	store_close(s->disk);
	shared_store_close(s->store, clock_ms() + END_MS);
	arena_release(&s->arena);
}

static int parse_words(struct sharing *s, const struct cache_share_words *words, struct err *err)
{
	int64_t since = 0, size = 0;
	if (words->since && value_parse(VALUE_DURATION, NULL, words->since, &since))
		return err_set(err, ERR_USAGE, "--since takes a time, as 2h, not '%.60s'", words->since);
	if (words->max_size && value_parse(VALUE_SIZE, NULL, words->max_size, &size))
		return err_set(err, ERR_USAGE, "--max-size takes a size, as 2G, not '%.60s'", words->max_size);
	s->since_s = since ? (int64_t)time(NULL) - since / 1000 : 0;
	s->max_bytes = (uint64_t)size;
	s->build = words->build ? words->build : path_base(s->tree);
	if (!*s->build || strlen(s->build) > BUILD_NAME_MAX)
		return err_set(err, ERR_USAGE, "the name of a build has 1 to %d characters", BUILD_NAME_MAX);
	return 0;
}

static int begin(struct sharing *s, const struct cache_share_words *words, const struct settings *config, struct err *err)
{
	AUTO_FREE char *cwd = verb_working_directory();
	const char *tree = cwd ? config_find_tree(&s->arena, cwd) : NULL;
	if (!cwd)
		return err_set(err, ERR_NOT_FOUND, "there is no working directory");
	s->tree = tree ? tree : arena_strdup(&s->arena, cwd);
	s->scope = setting_text(config, SETTING_tenant);
	s->cache_dir = verb_cache_dir(&s->arena, err);
	if (!s->cache_dir || parse_words(s, words, err) < 0 || shared_stores_open(config, &s->store, err) < 0)
		return -1;
	if (!s->store)
		return err_set(err, ERR_USAGE, "the setting 'shared_store' names no store");
	if (setting_bool(config, SETTING_paranoid))
		return err_set(err, ERR_USAGE, "with 'paranoid' on nothing is kept on this machine");
	s->name = build_list_name(s->scope, s->build);
	s->disk = store_open(s->cache_dir, (uint64_t)setting_number(config, SETTING_max_size),
			     (int)setting_number(config, SETTING_compression), err);
	if (!s->disk)
		return -1;
	s->kept = tier_of_disk(s->disk);
	return 0;
}

static void put_copied(const struct sharing *s, const char *what, size_t n, const struct copy_report *r)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	printf("build '%s': %zu entries\n  %-18s %10llu  %s\n  %-18s %10llu\n", format_shown(&a, s->build), n, what,
	       (unsigned long long)r->copied, format_bytes(&a, r->bytes), "there already", (unsigned long long)r->there);
	if (r->absent)
		printf("  %-18s %10llu  (removed since: not on this machine, nor in the store)\n", "gone",
		       (unsigned long long)r->absent);
	if (r->refused)
		printf("  %-18s %10llu  (their seal or contents are not right)\n", "refused",
		       (unsigned long long)r->refused);
	if (r->left_out)
		printf("  %-18s %10llu  (too large, or not there in time)\n", "left out", (unsigned long long)r->left_out);
	if (r->is_cut_short)
		puts("--max-size is reached: the rest is left out");
}

// ---- entries --------------------------------------------------------------------------------------------------------

// What stands in a seal: an action, or a unit that tells of some. `kind` KIND_NONE: neither, or the seal is not right.
struct unsealed {
	enum { KIND_NONE, KIND_ENTRY, KIND_UNIT } kind;
	struct shared_entry entry;
	struct shared_unit unit;
};
#define AUTO_UNSEALED __attribute__((cleanup(unsealed_release)))

static void unseal(const struct sharing *s, const struct tier_name *name, const struct buf *entry, struct unsealed *u)
{
	const void *sealed;
	size_t n;
	u->kind = KIND_NONE;
	if (seal_get(s->store->seal, s->scope, name, entry->data, entry->len, &sealed, &n, NULL) < 0)
		return;
	if (shared_entry_decode(sealed, n, &u->entry, NULL) == 0)
		u->kind = KIND_ENTRY;
	else if (shared_unit_decode(sealed, n, &u->unit, NULL) == 0)
		u->kind = KIND_UNIT;
}

static void unsealed_release(struct unsealed *u)
{
	if (u->kind == KIND_ENTRY)
		shared_entry_release(&u->entry);
	else if (u->kind == KIND_UNIT)
		shared_unit_release(&u->unit);
}

static int join_units(const struct sharing *s, const struct tier_name *name, const struct shared_unit *mine,
		      const struct shared_unit *theirs, struct buf *entry)
{
	AUTO_BUF struct buf joined = BUF_INIT;
	bool is_new = false;
	for (unsigned i = 0; i < mine->n; i++)
		is_new |= !shared_unit_has(theirs, &mine->variants[i].action);
	shared_unit_encode(mine, theirs, &joined);
	return is_new && seal_put(s->store->seal, s->scope, name, &joined, entry, NULL) == 0;
}

static int join_entries(const struct sharing *s, const struct tier_name *name, const struct shared_entry *mine,
			const struct shared_entry *theirs, struct buf *entry)
{
	AUTO_BUF struct buf joined = BUF_INIT;
	bool is_new = false;
	for (uint32_t i = 0; i < mine->manifest->n_entries; i++)
		is_new |= !shared_entry_has(theirs, &mine->manifest->entries[i], &mine->results[i]);
	return is_new && shared_entry_join(mine, theirs, &joined, NULL) == 0 &&
	       seal_put(s->store->seal, s->scope, name, &joined, entry, NULL) == 0;
}

// Of one source with different headers both results stay.
static int join(void *arg, const struct tier_name *name, const struct buf *from, const struct buf *to, struct buf *entry)
{
	const struct sharing *s = arg;
	AUTO_UNSEALED struct unsealed mine = {.kind = KIND_NONE}, theirs = {.kind = KIND_NONE};
	if (from->len == to->len && memcmp(from->data, to->data, from->len) == 0)
		return 0;
	unseal(s, name, from, &mine);
	unseal(s, name, to, &theirs);
	if (theirs.kind == KIND_NONE || (mine.kind != KIND_NONE && mine.kind != theirs.kind)) {
		buf_add(entry, from->data, from->len);
		return 1;
	}
	switch (mine.kind) {
	case KIND_ENTRY:
		return join_entries(s, name, &mine.entry, &theirs.entry, entry);
	case KIND_UNIT:
		return join_units(s, name, &mine.unit, &theirs.unit, entry);
	default:
		return 0;
	}
}

static bool names_any(const struct shared_result *x, const struct map *missing)
{
	for (uint32_t i = 0; i < x->n_outputs; i++)
		if (map_get(missing, &x->outputs[i].blob, sizeof x->outputs[i].blob))
			return true;
	return false;
}

// The results stay whose content is there. 1: what of the entry is in `packed`; 0: all; -1: none.
static int pack_whole(const struct sharing *s, struct shared_entry *e, const struct map *missing, struct buf *packed)
{
	uint32_t n = 0, all = e->manifest->n_entries;
	for (uint32_t i = 0; i < all; i++)
		if (!names_any(&e->results[i], missing)) {
			e->manifest->entries[n] = e->manifest->entries[i];
			e->results[n++] = e->results[i];
		}
	e->manifest->n_entries = n;
	if (n == 0)
		return -1;
	// Whoever has only the keys to read takes it as it is: what is not there is a miss.
	if (n == all || !seal_can_write(s->store->seal))
		return 0;
	return shared_entry_join(e, NULL, packed, NULL) < 0 ? -1 : 1;
}

static int whole(void *arg, const struct tier_name *name, const struct buf *bytes, const struct map *missing,
		 struct buf *entry)
{
	const struct sharing *s = arg;
	AUTO_UNSEALED struct unsealed u = {.kind = KIND_NONE};
	AUTO_BUF struct buf packed = BUF_INIT;
	unseal(s, name, bytes, &u);
	if (u.kind != KIND_ENTRY)
		return u.kind == KIND_UNIT ? 0 : -1; // a unit tells of results, and names no content
	int rc = pack_whole(s, &u.entry, missing, &packed);
	if (rc == 1 && seal_put(s->store->seal, s->scope, name, &packed, entry, NULL) < 0)
		rc = -1;
	return rc;
}

// ---- push -----------------------------------------------------------------------------------------------------------

static int put_list(struct sharing *s, const struct build_list *l, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT, entry = BUF_INIT;
	build_list_encode(l, &bytes);
	if (seal_put(s->store->seal, s->scope, &s->name, &bytes, &entry, err) < 0)
		return -1;
	return tier_put(s->store->tier, &s->name, entry.data, entry.len, clock_ms() + CALL_MS, err);
}

static int push(struct sharing *s, struct err *err)
{
	struct build_list l = {0};
	struct copy_report r;
	struct copy_config c = {.from = s->kept,
				.to = s->store->tier,
				.join = join,
				.whole = whole,
				.arg = s,
				.seal = s->store->seal,
				.scope = s->scope,
				.max_bytes = s->max_bytes};
	int rc = share_log_read(s->cache_dir, s->tree, s->since_s, &l, err);
	if (rc == 0 && !l.n)
		rc = err_set(
			err, ERR_NOT_FOUND,
			"nothing is known of a build in '%s': it has to run with shared_store and shared_store_access set",
			s->tree);
	if (rc == 0)
		rc = build_list_copy(&l, &c, &r, err);
	// What is there already is used by this build, too.
	if (rc == 0)
		rc = build_list_note_uses(&l, s->store->tier, err);
	if (rc == 0)
		rc = put_list(s, &l, err);
	if (rc == 0)
		put_copied(s, "pushed", l.n, &r);
	build_list_release(&l);
	return rc;
}

int cache_push(const struct cache_share_words *words, const struct settings *config, struct err *err)
{
	struct sharing s = {.arena = ARENA_INIT};
	int rc = begin(&s, words, config, err);
	if (rc == 0 && !seal_can_write(s.store->seal))
		rc = err_set(err, ERR_USAGE,
			     "to write with signatures there must be a signer's key: set shared_store_signer");
	if (rc == 0)
		rc = push(&s, err);
	sharing_end(&s);
	return rc;
}

// ---- pull -----------------------------------------------------------------------------------------------------------

static int get_list(struct sharing *s, struct build_list *l, struct err *err)
{
	AUTO_BUF struct buf entry = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD};
	const void *sealed;
	size_t n;
	int rc = tier_get(s->store->tier, &s->name, entry.max, &entry, clock_ms() + CALL_MS, err);
	if (rc == 0)
		return err_set(err, ERR_NOT_FOUND, "the store has no build '%s'; 'coffer cache push' puts one there",
			       s->build);
	if (rc < 0 || seal_get(s->store->seal, s->scope, &s->name, entry.data, entry.len, &sealed, &n, err) < 0)
		return -1;
	return build_list_decode(sealed, n, l, err);
}

int cache_pull(const struct cache_share_words *words, const struct settings *config, struct err *err)
{
	struct sharing s = {.arena = ARENA_INIT};
	struct build_list l = {0};
	struct copy_report r;
	int rc = begin(&s, words, config, err);
	if (rc == 0)
		rc = get_list(&s, &l, err);
	if (rc == 0) {
		struct copy_config c = {.from = s.store->tier,
					.to = s.kept,
					// Without a key to write with nothing is kept here to be pushed.
					.join = seal_can_write(s.store->seal) ? join : NULL,
					.whole = whole,
					.arg = &s,
					.seal = s.store->seal,
					.scope = s.scope,
					.max_bytes = s.max_bytes};
		rc = build_list_copy(&l, &c, &r, err);
	}
	struct err why = ERR_INIT;
	if (rc == 0 && s.store->access != SHARED_READ_ONLY && build_list_note_uses(&l, s.store->tier, &why) < 0)
		fprintf(stderr, "coffer: the store is not told what was used: %s\n", why.text);
	if (rc == 0)
		put_copied(&s, "pulled", l.n, &r);
	build_list_release(&l);
	sharing_end(&s);
	return rc;
}

#include "store/shared/upkeep.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/shared/lease.h"
#include "store/shared/uses.h"

#include <stdlib.h>
#include <time.h>

enum { BATCH = 1000, CALL_MS = 120000, RECORDS_MOST = 100000, FOLD_FROM = 16 };
#define USES_IN_MEMORY ((size_t)1 << 30) // bytes: 64 million uses

struct entry {
	struct tier_name name;
	uint64_t bytes;
	int64_t used_s;
};

struct upkeep {
	struct tier *tier;
	const struct upkeep_config *config;
	struct upkeep_report *report;
	struct store_lease lease;
	int64_t now_s; // by the store's clock
	struct entry *entries;
	size_t n, room;
	struct entry *records; // of uses
	size_t n_records, room_records;
	struct buf uses; // struct store_use; `minutes` is the age by now
};

static int64_t call_until(const struct upkeep *u)
{
	int64_t until = clock_ms() + CALL_MS;
	return !u->config->is_dry_run && u->lease.until_ms < until ? u->lease.until_ms : until;
}

// ---- what is there --------------------------------------------------------------------------------------------------

static void add_entry(struct entry **all, size_t *n, size_t *room, const struct tier_item *item)
{
	if (*n == *room) {
		*room = *room ? *room * 2 : 1024;
		*all = mem_realloc(*all, *room * sizeof **all);
	}
	(*all)[(*n)++] = (struct entry){item->name, item->bytes, item->used_s};
}

static int found_entry(void *arg, const struct tier_item *item)
{
	struct upkeep *u = arg;
	if (u->n == UPKEEP_MOST_ENTRIES)
		return -1;
	add_entry(&u->entries, &u->n, &u->room, item);
	u->report->bytes += item->bytes;
	return 0;
}

static int found_record(void *arg, const struct tier_item *item)
{
	struct upkeep *u = arg;
	if (item->bytes > USES_BYTES)
		u->report->records_bad++;
	else if (u->n_records == RECORDS_MOST)
		u->report->records_unread++;
	else
		add_entry(&u->records, &u->n_records, &u->room_records, item);
	return 0;
}

static int find_all(struct upkeep *u, struct err *err)
{
	static const enum tier_space spaces[] = {TIER_ACTIONS, TIER_CONTENT};
	for (size_t i = 0; i < COUNT_OF(spaces); i++)
		if (tier_list(u->tier, spaces[i], found_entry, u, call_until(u) + CALL_MS * 10, err) < 0)
			return u->n == UPKEEP_MOST_ENTRIES
				       ? err_set(err, ERR_LIMIT, "the store has more than %zu entries", UPKEEP_MOST_ENTRIES)
				       : -1;
	u->report->entries = u->n;
	if (!u->tier->ops->is_told_of_uses)
		return 0;
	int rc = tier_list(u->tier, TIER_USES, found_record, u, call_until(u), err);
	u->report->records = u->n_records;
	return rc;
}

// ---- uses -----------------------------------------------------------------------------------------------------------

// False: what it says is not known.
static bool read_record(struct upkeep *u, const struct entry *record)
{
	AUTO_BUF struct buf bytes = {.max = USES_BYTES + 1}, uses = BUF_INIT;
	if (tier_get(u->tier, &record->name, USES_BYTES, &bytes, call_until(u), NULL) != 1)
		return false;
	if (uses_decode(bytes.data, bytes.len, &uses, NULL) < 0) {
		u->report->records_bad++;
		return true;
	}
	if (uses.len > u->uses.max - u->uses.len)
		return false;
	int64_t age = u->now_s > record->used_s ? (u->now_s - record->used_s) / 60 : 0;
	for (size_t at = 0; at < uses.len; at += sizeof(struct store_use)) {
		struct store_use *use = (struct store_use *)(void *)(uses.data + at);
		int64_t minutes = use->minutes + age;
		use->minutes = minutes > UINT32_MAX ? UINT32_MAX : (uint32_t)minutes;
	}
	buf_add(&u->uses, uses.data, uses.len);
	return true;
}

// By name, the youngest first.
static int compare_uses(const void *a, const void *b)
{
	const struct store_use *x = a, *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->minutes > y->minutes) - (x->minutes < y->minutes);
}

// Afterwards `records` are those that were read.
static void read_uses(struct upkeep *u)
{
	size_t n_read = 0;
	for (size_t i = 0; i < u->n_records; i++)
		if (read_record(u, &u->records[i]))
			u->records[n_read++] = u->records[i];
	u->report->records_unread += u->n_records - n_read;
	u->n_records = n_read;
	struct store_use *all = (struct store_use *)(void *)u->uses.data;
	size_t n = u->uses.len / sizeof *all, kept = 0;
	if (!n)
		return;
	qsort(all, n, sizeof *all, compare_uses);
	for (size_t i = 0; i < n; i++)
		if (!kept || all[kept - 1].id != all[i].id)
			all[kept++] = all[i];
	u->uses.len = kept * sizeof *all;
}

static const struct store_use *use_of(const struct upkeep *u, const struct sha256 *name)
{
	const struct store_use *all = (const struct store_use *)(const void *)u->uses.data;
	uint64_t id = uses_id(name);
	size_t low = 0, high = u->uses.len / sizeof *all;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (all[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < u->uses.len / sizeof *all && all[low].id == id ? &all[low] : NULL;
}

static void apply_uses(struct upkeep *u)
{
	for (size_t i = 0; i < u->n; i++) {
		const struct store_use *use = use_of(u, &u->entries[i].name.id);
		int64_t used = use ? u->now_s - (int64_t)use->minutes * 60 : 0;
		if (used > u->entries[i].used_s)
			u->entries[i].used_s = used;
	}
}

static bool is_time_over(struct upkeep *u)
{
	u->report->is_cut_short |= !u->config->is_dry_run && clock_ms() >= u->lease.until_ms - 1000;
	return u->report->is_cut_short;
}

static int remove_records(struct upkeep *u, struct err *err)
{
	struct tier_name names[BATCH];
	for (size_t at = 0, some; at < u->n_records && !is_time_over(u); at += some) {
		for (some = 0; some < BATCH && at + some < u->n_records; some++)
			names[some] = u->records[at + some].name;
		if (tier_remove(u->tier, names, some, call_until(u), err) < 0)
			return -1;
	}
	return 0;
}

// The uses of what is there, in few records; then those that were read go. If this ends between the two, nothing is lost.
static int fold(struct upkeep *u, struct err *err)
{
	if (u->config->is_dry_run || u->n_records < FOLD_FROM || is_time_over(u))
		return 0;
	AUTO_FREE struct store_use *kept = mem_alloc(USES_MOST * sizeof *kept);
	uint32_t n = 0;
	for (size_t i = 0; i <= u->n; i++) {
		const struct store_use *use = i < u->n ? use_of(u, &u->entries[i].name.id) : NULL;
		if (use)
			kept[n++] = *use;
		if (n && (n == USES_MOST || i == u->n)) {
			AUTO_BUF struct buf record = BUF_INIT;
			uses_encode(kept, n, &record);
			struct tier_name name = {.space = TIER_USES, .id = sha256_of(record.data, record.len)};
			if (tier_put(u->tier, &name, record.data, record.len, call_until(u), err) < 0)
				return -1;
			for (size_t k = 0; k < u->n_records; k++) // the same bytes again: it is no old one any more
				if (sha256_equal(&u->records[k].name.id, &name.id))
					u->records[k--] = u->records[--u->n_records];
			n = 0;
		}
	}
	return remove_records(u, err);
}

// ---- removing -------------------------------------------------------------------------------------------------------

// The least recently used first; of one moment, actions before what they name.
static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->used_s != y->used_s)
		return x->used_s < y->used_s ? -1 : 1;
	return (x->name.space > y->name.space) - (x->name.space < y->name.space);
}

// The first entries are those that must go: returns how many.
static size_t choose(struct upkeep *u)
{
	const struct upkeep_config *c = u->config;
	uint64_t left = u->report->bytes;
	size_t n = 0;
	if (u->n)
		qsort(u->entries, u->n, sizeof *u->entries, compare_entries);
	for (; n < u->n; n++) {
		const struct entry *e = &u->entries[n];
		int64_t age = u->now_s - e->used_s;
		bool is_old = c->max_age_s && age > c->max_age_s, is_too_much = c->max_bytes && left > c->max_bytes;
		if ((!is_old && !is_too_much) || age < c->grace_s) // and so are all behind it
			break;
		left -= e->bytes;
	}
	u->report->oldest_s = n < u->n ? u->now_s - u->entries[n].used_s : 0;
	return n;
}

static int remove_first(struct upkeep *u, size_t n, struct err *err)
{
	struct tier_name names[BATCH];
	for (size_t at = 0; at < n && !is_time_over(u);) {
		size_t some = 0;
		uint64_t bytes = 0;
		for (; some < BATCH && at + some < n; some++) {
			names[some] = u->entries[at + some].name;
			bytes += u->entries[at + some].bytes;
		}
		if (!u->config->is_dry_run && tier_remove(u->tier, names, some, call_until(u), err) < 0)
			return -1;
		u->report->removed += some;
		u->report->removed_bytes += bytes;
		at += some;
	}
	return 0;
}

// ---- the whole ------------------------------------------------------------------------------------------------------

static int check(struct tier *t, const struct upkeep_config *c, struct err *err)
{
	if (!tier_can_list(t))
		return err_set(err, ERR_NOT_FOUND, "a store of this kind (%s) makes room by itself", t->ops->kind);
	if (!c->max_bytes && !c->max_age_s)
		return err_set(err, ERR_USAGE, "there is no limit of size or age");
	if (c->time_limit_s <= 0 || c->time_limit_s > LEASE_MAX_S)
		return err_set(err, ERR_USAGE, "the time limit is between a second and a day");
	return 0;
}

static int run(struct upkeep *u, struct err *err)
{
	if (find_all(u, err) < 0)
		return -1;
	read_uses(u);
	// First, so that what could not be read now is less the next time.
	if (fold(u, err) < 0)
		return -1;
	// What is not known to have been used may have been.
	if (u->report->records_unread)
		return 0;
	apply_uses(u);
	return remove_first(u, choose(u), err);
}

int upkeep_run(struct tier *t, const struct upkeep_config *config, struct upkeep_report *report, struct err *err)
{
	struct upkeep u = {.tier = t, .config = config, .report = report, .uses = {.max = USES_IN_MEMORY}};
	*report = (struct upkeep_report){0};
	if (check(t, config, err) < 0)
		return -1;
	if (!config->is_dry_run && lease_take(t, config->time_limit_s, &u.lease, clock_ms() + CALL_MS, err) < 0)
		return -1;
	u.now_s = config->is_dry_run ? (int64_t)time(NULL) : u.lease.now_s;
	int rc = run(&u, err);
	if (!config->is_dry_run)
		lease_drop(t, &u.lease);
	free(u.entries);
	free(u.records);
	buf_release(&u.uses);
	return rc;
}

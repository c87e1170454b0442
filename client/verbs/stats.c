// `coffer stats`: what came of the compiles so far.
#include "client/stats.h"

#include "base/path.h"
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"
#include "client/wire/place.h"

#include <stdio.h>
#include <unistd.h>

static const char usage[] = "usage: coffer stats [--tsv | --json | --zero]\n"
			    "\n"
			    "Shows hits, misses, what was not cached and why, and the size of the cache.\n"
			    "\n"
			    "  --tsv   every counter as NAME<tab>VALUE, zeros too\n"
			    "  --json  the same as one JSON object\n"
			    "  --zero  set all counters to zero (the cache keeps its results)\n";

struct stats_view {
	struct arena arena;
	struct stats *stats; // NULL: there is no cache yet
	const char *cache_dir;
	uint64_t cache_bytes, cache_limit;
};

static uint64_t value(const struct stats_view *v, enum stat_counter c)
{
	return stats_value(v->stats, c);
}

// ---- for people ---------------------------------------------------------------------------------------------------

static void put_count(struct stats_view *v, const char *text, uint64_t n, uint64_t whole)
{
	printf("  %-32s %12llu", text, (unsigned long long)n);
	if (whole)
		printf("  %8s", format_percent(&v->arena, n, whole));
	putchar('\n');
}

static void put_line(const char *text, const char *what)
{
	printf("  %-32s %12s\n", text, what);
}

static void put_compiles(struct stats_view *v)
{
	uint64_t all = value(v, STAT_compiles), misses = value(v, STAT_misses);
	uint64_t hits = value(v, STAT_direct_hits) + value(v, STAT_preprocessed_hits);
	printf("%scompiles%s\n", format_style(STYLE_HEADING), format_plain());
	put_count(v, "all", all, 0);
	for (enum stat_counter c = STAT_direct_hits; c <= STAT_not_cached; c++)
		put_count(v, stats_text(c), value(v, c), all);
	if (hits + misses)
		printf("  %-32s %s%22s%s\n", "hits of what can be cached", format_style(STYLE_GOOD),
		       format_percent(&v->arena, hits, hits + misses), format_plain());
	if (value(v, STAT_text_runs)) {
		put_count(v, stats_text(STAT_text_hits), value(v, STAT_text_hits), 0);
		put_line(stats_text(STAT_text_runs),
			 arena_printf(&v->arena, "%llu, %s", (unsigned long long)value(v, STAT_text_runs),
				      format_duration(&v->arena, value(v, STAT_text_us))));
	}
	put_line("time saved", format_duration(&v->arena, value(v, STAT_time_saved_us)));
	put_line("time spent on misses", format_duration(&v->arena, value(v, STAT_time_compiling_us)));
}

static void put_cache(struct stats_view *v)
{
	struct arena *a = &v->arena;
	printf("%scache%s\n", format_style(STYLE_HEADING), format_plain());
	put_line("folder", v->cache_dir);
	put_line("size", v->cache_limit ? arena_printf(a, "%s of %s (%s)", format_bytes(a, v->cache_bytes),
						       format_bytes(a, v->cache_limit),
						       format_percent(a, v->cache_bytes, v->cache_limit))
					: arena_printf(a, "%s, no limit", format_bytes(a, v->cache_bytes)));
	put_line("written", format_bytes(a, value(v, STAT_bytes_written)));
	put_line("served", format_bytes(a, value(v, STAT_bytes_read)));
	put_count(v, stats_text(STAT_stored), value(v, STAT_stored), 0);
	if (value(v, STAT_evicted))
		put_count(v, stats_text(STAT_evicted), value(v, STAT_evicted), 0);
	for (int i = 0; i < 2; i++) {
		enum stat_counter c = i ? STAT_errors : STAT_corrupt;
		if (!value(v, c))
			continue;
		printf("%s", format_style(STYLE_BAD));
		put_count(v, stats_text(c), value(v, c), 0);
		printf("%s", format_plain());
	}
}

static void put_shared(struct stats_view *v)
{
	struct arena *a = &v->arena;
	bool is_used = false;
	for (enum stat_counter c = STAT_shared_hits; c <= STAT_shared_bytes_written; c++)
		is_used |= value(v, c) != 0;
	if (!is_used)
		return;
	printf("%sshared store%s\n", format_style(STYLE_HEADING), format_plain());
	for (enum stat_counter c = STAT_shared_hits; c <= STAT_shared_dropped; c++) {
		bool is_bad = value(v, c) && (c == STAT_shared_failed || c == STAT_shared_refused);
		printf("%s", is_bad ? format_style(STYLE_BAD) : "");
		put_count(v, stats_text(c), value(v, c), 0);
		printf("%s", is_bad ? format_plain() : "");
	}
	put_line("read", format_bytes(a, value(v, STAT_shared_bytes_read)));
	put_line("written", format_bytes(a, value(v, STAT_shared_bytes_written)));
}

static void put_farm(struct stats_view *v)
{
	bool is_first = true;
	for (enum stat_counter c = STAT_remote_compiles; c < STAT_FIRST_REASON; c++) {
		bool is_no_tree = c > stats_of_no_tree(NO_TREE_NONE);
		if (!value(v, c) || (c > STAT_remote_bytes_sent && !is_no_tree))
			continue;
		if (is_first)
			printf("%sfarm%s\n", format_style(STYLE_HEADING), format_plain());
		is_first = false;
		printf("  %10llu  %s%s\n", (unsigned long long)value(v, c),
		       is_no_tree ? "not as the user's own files: " : "", stats_text(c));
	}
}

static void put_reasons(struct stats_view *v)
{
	bool is_first = true;
	for (enum stat_counter c = STAT_FIRST_REASON; c < STAT_COUNT; c++) {
		if (!value(v, c))
			continue;
		if (is_first)
			printf("%snot cached because%s\n", format_style(STYLE_HEADING), format_plain());
		is_first = false;
		printf("  %10llu  %s\n", (unsigned long long)value(v, c), stats_text(c));
	}
}

static void put_people(struct stats_view *v)
{
	put_compiles(v);
	put_cache(v);
	put_shared(v);
	put_farm(v);
	put_reasons(v);
	if (v->stats)
		printf("counted since %s\n", format_date(&v->arena, stats_zeroed_at(v->stats)));
}

// ---- for programs -------------------------------------------------------------------------------------------------

static void put_tsv(const struct stats_view *v)
{
	for (enum stat_counter c = 0; c < STAT_COUNT; c++)
		printf("%s\t%llu\n", stats_name(c), (unsigned long long)value(v, c));
	printf("cache_bytes\t%llu\n", (unsigned long long)v->cache_bytes);
	printf("cache_limit_bytes\t%llu\n", (unsigned long long)v->cache_limit);
	printf("zeroed_at\t%lld\n", (long long)stats_zeroed_at(v->stats));
}

static void put_object(const struct stats_view *v)
{
	json_t *o = json_object();
	for (enum stat_counter c = 0; c < STAT_COUNT; c++)
		json_object_set_new(o, stats_name(c), json_integer((json_int_t)value(v, c)));
	json_object_set_new(o, "cache_bytes", json_integer((json_int_t)v->cache_bytes));
	json_object_set_new(o, "cache_limit_bytes", json_integer((json_int_t)v->cache_limit));
	json_object_set_new(o, "zeroed_at", json_integer(stats_zeroed_at(v->stats)));
	put_json(o);
}

// ---- the verb -----------------------------------------------------------------------------------------------------

static int open_view(struct stats_view *v, struct err *err)
{
	v->cache_dir = verb_cache_dir(&v->arena, err);
	if (!v->cache_dir)
		return -1;
	if (access(v->cache_dir, F_OK) < 0)
		return 0;
	v->stats = stats_open(v->cache_dir, err);
	if (!v->stats)
		return -1;
	struct wire_place place;
	if (wire_find_place(&place, &v->arena, process_env, NULL))
		stats_take_lost(v->stats, place.dir);
	return 0;
}

static int read_size(struct stats_view *v, struct err *err)
{
	AUTO_SETTINGS struct settings c = {0};
	if (verb_load_config(&c, err) < 0)
		return -1;
	v->cache_limit = (uint64_t)setting_number(&c, SETTING_max_size);
	return verb_cache_bytes(v->cache_dir, &c, &v->cache_bytes, err);
}

static void close_view(struct stats_view *v)
{
	stats_close(v->stats);
	arena_release(&v->arena);
}

int verb_stats(int argc, char **argv)
{
	int tsv = 0, json = 0, zero = 0;
	const struct option options[] = {
		{"tsv", no_argument, &tsv, 1}, {"json", no_argument, &json, 1}, {"zero", no_argument, &zero, 1}, {0}};
	struct verb_args args = {.usage = usage, .options = options};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	if (tsv + json + zero > 1)
		return verb_wrong("stats", "--tsv, --json and --zero exclude each other");
	struct err err = ERR_INIT;
	__attribute__((cleanup(close_view))) struct stats_view v = {.arena = ARENA_INIT};
	if (open_view(&v, &err) < 0 || (!zero && read_size(&v, &err) < 0))
		return verb_fail(&err);
	if (zero && v.stats)
		stats_zero(v.stats);
	if (zero)
		puts("all counters are zero");
	else if (tsv)
		put_tsv(&v);
	else if (json)
		put_object(&v);
	else
		put_people(&v);
	return 0;
}

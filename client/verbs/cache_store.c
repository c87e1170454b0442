#include "client/verbs/cache_store.h"
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include "base/value.h"
#include "store/remote/remote.h"
#include "store/shared/upkeep.h"

#include <stdio.h>
#include <unistd.h>

static bool parse(const char *option, enum value_type type, const char *text, int64_t unit, int64_t *to)
{
	int64_t number;
	const char *expected = text ? value_parse(type, NULL, text, &number) : NULL;
	if (expected || (text && number < 0)) {
		verb_wrong("cache", "--%s takes %s, not '%s'", option, expected ? expected : "nothing below 0", text);
		return false;
	}
	if (text)
		*to = number / unit;
	return true;
}

static void put_report(const struct upkeep_config *c, const struct upkeep_report *r)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	printf("in the store\n  %-18s %10llu  %s\n", "entries", (unsigned long long)r->entries, format_bytes(&a, r->bytes));
	if (r->records)
		printf("  %-18s %10llu\n", "records of uses", (unsigned long long)r->records);
	if (r->records_bad)
		printf("  %-18s %10llu  (they are none)\n", "bad records", (unsigned long long)r->records_bad);
	if (r->records_unread)
		printf("  %-18s %10llu\n", "records not read", (unsigned long long)r->records_unread);
	printf("%s\n  %-18s %10llu  %s\n", c->is_dry_run ? "would be removed" : "removed", "entries",
	       (unsigned long long)r->removed, format_bytes(&a, r->removed_bytes));
	if (r->records_unread)
		return;
	if (r->entries > r->removed)
		printf("what stays was used within %s\n", format_duration(&a, (uint64_t)r->oldest_s * 1000000));
	if (r->is_cut_short)
		puts("the time limit is over: the next run goes on");
	else if (c->max_bytes && r->bytes - r->removed_bytes > c->max_bytes)
		printf("it stays above the limit of %s: the rest was used within the grace\n",
		       format_bytes(&a, c->max_bytes));
}

int cache_gc_store(const struct cache_gc_words *words, const struct settings *config)
{
	struct upkeep_config c = {
		.grace_s = UPKEEP_GRACE_S, .time_limit_s = UPKEEP_TIME_LIMIT_S, .is_dry_run = words->is_dry_run};
	struct remote_config remote = {.url = *words->store ? words->store : setting_text(config, SETTING_shared_store),
				       .credentials = setting_text(config, SETTING_shared_store_credentials),
				       .ca = setting_text(config, SETTING_shared_store_ca)};
	int64_t max_bytes = 0;
	if (!parse("max-size", VALUE_SIZE, words->max_size, 1, &max_bytes) ||
	    !parse("max-age", VALUE_DURATION, words->max_age, 1000, &c.max_age_s) ||
	    !parse("grace", VALUE_DURATION, words->grace, 1000, &c.grace_s) ||
	    !parse("time-limit", VALUE_DURATION, words->time_limit, 1000, &c.time_limit_s))
		return 2;
	c.max_bytes = (uint64_t)max_bytes;
	if (!c.max_bytes && !c.max_age_s)
		return verb_wrong("cache", "gc --store needs --max-size or --max-age");
	struct tier *tier = NULL;
	struct upkeep_report report;
	struct err err = ERR_INIT;
	if (remote_open(&remote, &tier, &err) < 0)
		return verb_fail(&err);
	int rc = upkeep_run(tier, &c, &report, &err);
	tier_close(tier);
	if (rc < 0 && err.code == ERR_BUSY) {
		printf("nothing is done: %s\n", err.text);
		return 0;
	}
	if (rc < 0)
		return verb_fail(&err);
	put_report(&c, &report);
	if (report.records_unread) {
		err_set(&err, ERR_IO,
			"%llu records of uses could not be read, so nothing is removed; run it again when the store answers",
			(unsigned long long)report.records_unread);
		return verb_fail(&err);
	}
	return 0;
}

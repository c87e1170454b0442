// `coffer cache`: the directory with the results, and room in a store that others use too.
#include "client/stats.h"
#include "client/verbs/cache_store.h"
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: coffer cache path | gc | verify | clear\n"
	"       coffer cache push | pull [--build NAME] [--max-size SIZE]\n"
	"       coffer cache gc --store URL --max-size SIZE | --max-age DURATION [OPTIONS]\n"
	"\n"
	"  path    print the name of the cache folder\n"
	"  gc      count again what is there, remove leftovers and what is above max_size\n"
	"  verify  read every entry and remove what is corrupt; ends with 1 if there was any\n"
	"  clear   remove every entry (the counters stay)\n"
	"  push    give the shared store what the builds in this tree consist of, under a name\n"
	"  pull    take all that has that name there, so that the next build finds it here\n"
	"\n"
	"push and pull, with the settings shared_store and so on:\n"
	"\n"
	"  --build NAME           instead of the name of the tree's directory\n"
	"  --since DURATION       push: only what the builds of this time gave and took\n"
	"  --max-size SIZE        no more than this, about\n"
	"\n"
	"gc in a store that others use too, which keeps what was used last; one machine does it at a time:\n"
	"\n"
	"  --store URL            s3://..., http://... (WebDAV) or file:/...; '' is the setting shared_store\n"
	"  --max-size SIZE        remove what was used longest ago until the rest is so large\n"
	"  --max-age DURATION     remove what nobody has used for so long\n"
	"  --grace DURATION       never remove what was used within this time (1h)\n"
	"  --time-limit DURATION  end after this time, and let others at it then (1h)\n"
	"  --dry-run              only say what would be removed\n";

enum { OPT_STORE = 1, OPT_MAX_SIZE, OPT_MAX_AGE, OPT_GRACE, OPT_TIME_LIMIT, OPT_DRY_RUN, OPT_BUILD, OPT_SINCE };
static const struct option options[] = {{"store", required_argument, NULL, OPT_STORE},
					{"max-size", required_argument, NULL, OPT_MAX_SIZE},
					{"max-age", required_argument, NULL, OPT_MAX_AGE},
					{"grace", required_argument, NULL, OPT_GRACE},
					{"time-limit", required_argument, NULL, OPT_TIME_LIMIT},
					{"dry-run", no_argument, NULL, OPT_DRY_RUN},
					{"build", required_argument, NULL, OPT_BUILD},
					{"since", required_argument, NULL, OPT_SINCE},
					{NULL, 0, NULL, 0}};

// Which options go with which words.
static const struct {
	const char *word;
	bool is_of_store;
	int options[6]; // up to 0
} takes[] = {{"gc", true, {OPT_MAX_SIZE, OPT_MAX_AGE, OPT_GRACE, OPT_TIME_LIMIT, OPT_DRY_RUN}},
	     {"push", false, {OPT_BUILD, OPT_SINCE, OPT_MAX_SIZE}},
	     {"pull", false, {OPT_BUILD, OPT_MAX_SIZE}}};

static const char *const kind_names[STORE_KINDS] = {
	[STORE_RESULT] = "results",   [STORE_MANIFEST] = "manifests",   [STORE_UNIT] = "translation units",
	[STORE_TEXT] = "texts",       [STORE_TOOLCHAIN] = "toolchains", [STORE_ACTION] = "actions",
	[STORE_CONTENT] = "contents",
};

static void put_blobs(const struct store_report *r, struct arena *a)
{
	uint64_t blobs = 0, bytes = 0;
	for (size_t k = 0; k < STORE_KINDS; k++) {
		printf("  %-18s %10llu  %s\n", kind_names[k], (unsigned long long)r->blobs[k], format_bytes(a, r->bytes[k]));
		blobs += r->blobs[k];
		bytes += r->bytes[k];
	}
	printf("  %-18s %10llu  %s\n", "all", (unsigned long long)blobs, format_bytes(a, bytes));
}

static int gc(struct store *s, struct store_report *r, struct arena *a, struct err *err)
{
	if (store_gc(s, r, err) < 0)
		return verb_fail(err);
	puts("in the cache");
	put_blobs(r, a);
	printf("removed\n  %-18s %10llu\n  %-18s %10llu\n", "leftovers", (unsigned long long)r->stray_temps, "to make room",
	       (unsigned long long)r->evicted);
	return 0;
}

static int verify(struct store *s, struct store_report *r, struct arena *a, struct err *err)
{
	if (store_verify(s, r, err) < 0)
		return verb_fail(err);
	puts("sound");
	put_blobs(r, a);
	if (!r->corrupt)
		return 0;
	printf("corrupt and removed: %llu\n", (unsigned long long)r->corrupt);
	return 1;
}

static int clear(struct store *s, struct store_report *r, struct arena *a, struct err *err)
{
	if (store_clear(s, r, err) < 0)
		return verb_fail(err);
	puts("removed");
	put_blobs(r, a);
	return 0;
}

static const struct {
	const char *word;
	int (*run)(struct store *s, struct store_report *r, struct arena *a, struct err *err);
} walks[] = {{"gc", gc}, {"verify", verify}, {"clear", clear}};

static int walk(const char *dir, size_t which, struct arena *a)
{
	struct err err = ERR_INIT;
	AUTO_SETTINGS struct settings c = {0};
	if (verb_load_config(&c, &err) < 0)
		return verb_fail(&err);
	if (access(dir, F_OK) < 0) {
		printf("there is no cache yet at %s\n", dir);
		return 0;
	}
	struct store *s = store_open(dir, (uint64_t)setting_number(&c, SETTING_max_size),
				     (int)setting_number(&c, SETTING_compression), &err);
	if (!s)
		return verb_fail(&err);
	struct store_report report = {0};
	int status = walks[which].run(s, &report, a, &err);
	store_close(s);
	return status;
}

static int gc_of_store(const struct verb_args *args)
{
	const struct cache_gc_words words = {.store = args->values[OPT_STORE],
					     .max_size = args->values[OPT_MAX_SIZE],
					     .max_age = args->values[OPT_MAX_AGE],
					     .grace = args->values[OPT_GRACE],
					     .time_limit = args->values[OPT_TIME_LIMIT],
					     .is_dry_run = args->values[OPT_DRY_RUN] != NULL};
	struct err err = ERR_INIT;
	AUTO_SETTINGS struct settings c = {0};
	return verb_load_config(&c, &err) < 0 ? verb_fail(&err) : cache_gc_store(&words, &c);
}

static int share(const struct verb_args *args)
{
	const struct cache_share_words words = {
		.build = args->values[OPT_BUILD], .since = args->values[OPT_SINCE], .max_size = args->values[OPT_MAX_SIZE]};
	struct err err = ERR_INIT;
	AUTO_SETTINGS struct settings c = {0};
	int rc = verb_load_config(&c, &err);
	if (rc == 0)
		rc = strcmp(args->words[0], "push") == 0 ? cache_push(&words, &c, &err) : cache_pull(&words, &c, &err);
	return rc < 0 ? verb_fail(&err) : 0;
}

static bool may_have(const char *word, bool is_of_store, int option)
{
	for (size_t i = 0; i < COUNT_OF(takes); i++) {
		if (strcmp(takes[i].word, word) != 0 || takes[i].is_of_store != is_of_store)
			continue;
		for (const int *o = takes[i].options; *o; o++)
			if (*o == option)
				return true;
		return is_of_store && option == OPT_STORE;
	}
	return false;
}

int verb_cache(int argc, char **argv)
{
	struct verb_args args = {.usage = usage, .options = options, .min_words = 1, .max_words = 1};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	bool is_of_store = args.values[OPT_STORE] != NULL;
	for (int i = OPT_STORE; i <= OPT_SINCE; i++)
		if (args.values[i] && !may_have(args.words[0], is_of_store, i))
			return verb_wrong("cache", "--%s does not go with '%s'", options[i - OPT_STORE].name, args.words[0]);
	if (is_of_store)
		return gc_of_store(&args);
	if (strcmp(args.words[0], "push") == 0 || strcmp(args.words[0], "pull") == 0)
		return share(&args);
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	const char *dir = verb_cache_dir(&a, &err);
	static const char *const known[] = {"gc", "verify", "clear", "path", "push", "pull"};
	bool is_path = strcmp(args.words[0], "path") == 0;
	size_t which = 0;
	while (which < COUNT_OF(walks) && strcmp(walks[which].word, args.words[0]) != 0)
		which++;
	if (!is_path && which == COUNT_OF(walks))
		return verb_wrong_word("cache", args.words[0], known, COUNT_OF(known));
	if (!dir)
		return verb_fail(&err);
	if (!is_path)
		return walk(dir, which, &a);
	puts(dir);
	return 0;
}

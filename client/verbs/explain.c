// `coffer explain FILE|last`: why a compile was not a hit.
#include "base/file.h"
#include "base/path.h"
#include "base/value.h"
#include "client/no_tree.h"
#include "client/verbs/explain_farm.h"
#include "client/verbs/explain_shared.h"
#include "client/verbs/format.h"
#include "client/verbs/history.h"
#include "client/verbs/report.h"
#include "client/verbs/verbs.h"
#include "codec/hash.h"
#include "compiler/reason.h"
#include "depscan/linediff.h"
#include "store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_LINES = 12 }; // of a difference that are shown to people

struct explanation {
	struct arena arena;
	struct store *store; // NULL if it can't be opened: then no lines are shown
	const struct history *history;
	const json_t *record; // the compile
	const json_t *miss;   // what is explained: the compile itself, or the last one of the file that was no hit
	json_t *shared;       // what others made of it (explain_shared.h), or NULL
	json_t *farm;         // what workers made of it for others (explain_farm.h), or NULL
	size_t same;          // other records with the same cause
	double lost;          // seconds, in all of them together
};

// ---- finding --------------------------------------------------------------------------------------------------------

static bool is_about(const json_t *record, const char *file)
{
	return strcmp(record_text(record, "source"), file) == 0 || strcmp(record_text(record, "output"), file) == 0;
}

// `file` NULL is any file. The newest record, and the newest that was no hit.
static void find(struct explanation *x, const char *file)
{
	for (size_t i = json_array_size(x->history->records); i-- > 0 && !x->miss;) {
		const json_t *r = json_array_get(x->history->records, i);
		if (file && !is_about(r, file))
			continue;
		if (!x->record)
			x->record = r;
		if (!record_is_hit(r))
			x->miss = r;
	}
	if (!file)
		x->record = x->miss;
	if (!x->miss)
		return;
	for (size_t i = 0; i < json_array_size(x->history->records); i++) {
		const json_t *r = json_array_get(x->history->records, i);
		if (!record_same_cause(r, x->miss))
			continue;
		x->same += r != x->miss;
		x->lost += record_seconds(r);
	}
}

// ---- what changed in a file -----------------------------------------------------------------------------------------

static bool load_text(struct store *store, const char *hex, const char *path, struct buf *out)
{
	struct digest d;
	if (!hex || !digest_parse(hex, &d))
		return false;
	if (store && store_get(store, STORE_TEXT, &d, out, NULL) == 1)
		return true;
	// The text may still be in the file itself.
	buf_clear(out);
	if (file_read(AT_FDCWD, path, 16 << 20, out, NULL, NULL) < 0)
		return false;
	struct digest now = digest_of(out->data, out->len);
	return digest_equal(&now, &d);
}

unsigned explain_lines(struct arena *a, struct store *store, const json_t *record, const json_t *change,
		       struct line_change **lines, unsigned *n_all)
{
	AUTO_BUF struct buf was = BUF_INIT;
	AUTO_BUF struct buf now = BUF_INIT;
	const char *path = path_join(a, record_text(record, "cwd"), record_text(change, "name"));
	*n_all = 0;
	if (!load_text(store, json_string_value(json_object_get(change, "was")), path, &was) ||
	    !load_text(store, json_string_value(json_object_get(change, "now")), path, &now))
		return 0;
	return linediff(a, was.data, was.len, now.data, now.len, lines, n_all);
}

static unsigned changed_lines(struct explanation *x, const json_t *change, struct line_change **lines, unsigned *n_all)
{
	return explain_lines(&x->arena, x->store, x->miss, change, lines, n_all);
}

// ---- for people -----------------------------------------------------------------------------------------------------

static void print_lines(struct explanation *x, const json_t *change)
{
	struct line_change *lines;
	unsigned n_all, n = changed_lines(x, change, &lines, &n_all);
	printf("'%s' has changed", format_shown(&x->arena, record_text(change, "name")));
	if (n)
		printf(", line %u", lines[0].line);
	printf("\n");
	for (unsigned i = 0; i < n && i < MOST_LINES; i++)
		printf("    %s%5u %c %s%s\n", format_style(lines[i].sign == '-' ? STYLE_BAD : STYLE_GOOD), lines[i].line,
		       lines[i].sign, format_shown(&x->arena, lines[i].text), format_plain());
	if (n_all > MOST_LINES)
		printf("    … %u more lines\n", n_all - MOST_LINES);
}

static void print_was_now(struct explanation *x, const json_t *change)
{
	const char *was = json_string_value(json_object_get(change, "was"));
	const char *now = json_string_value(json_object_get(change, "now"));
	const char *name = format_shown(&x->arena, record_text(change, "name")),
		   *subject = name[0] ? arena_printf(&x->arena, "%s: ", name) : "";
	was = was ? format_shown(&x->arena, was) : NULL;
	now = now ? format_shown(&x->arena, now) : NULL;
	if (was && now)
		printf("    %s%s%s%s, now %s%s%s\n", subject, format_style(STYLE_BAD), was, format_plain(),
		       format_style(STYLE_GOOD), now, format_plain());
	else if (was)
		printf("    %s%s%s%s is gone\n", subject, format_style(STYLE_BAD), was, format_plain());
	else
		printf("    %s%s%s%s is new\n", subject, format_style(STYLE_GOOD), now ? now : "", format_plain());
}

// A file of a toolchain: was and now are digests.
static void print_part(const json_t *change, const char *name)
{
	bool was = json_is_string(json_object_get(change, "was")), now = json_is_string(json_object_get(change, "now"));
	printf("  '%s' %s\n", name, was && now ? "has changed" : was ? "is no longer there" : "is there now");
}

static void print_changes(struct explanation *x, const char *kind, const json_t *changes)
{
	size_t n = json_array_size(changes);
	for (size_t i = 0; i < n; i++) {
		const json_t *c = json_array_get(changes, i);
		const char *name = format_shown(&x->arena, record_text(c, "name"));
		if (strcmp(kind, "input") == 0 || strcmp(kind, "vanished") == 0) {
			printf("  ");
			if (json_string_value(json_object_get(c, "now")))
				print_lines(x, c);
			else
				printf("'%s' is no longer there\n", name);
		} else if (strcmp(kind, "appeared") == 0) {
			printf("  '%s' is there now, where the compiler looks before the file that it used\n", name);
		} else if (strcmp(kind, "toolchain") == 0 && name[0] == '/') {
			print_part(c, name);
		} else {
			print_was_now(x, c);
		}
	}
}

const char *explain_cause_text(const char *kind)
{
	static const struct {
		const char *kind, *text;
	} texts[] = {
		{"first", "this source has not been compiled before, or not within what the cache remembers"},
		{"arguments", "the command line is another one"},
		{"environment", "the environment is another one"},
		{"toolchain", "the compiler, or a file that it looks at, is another one"},
		{"input", "an input has changed"},
		{"appeared", "a file has appeared"},
		{"link", "a folder of the include path is a symlink that leads elsewhere now"},
		{"vanished", "a file has gone"},
		{"messages", "the stored result has messages, made for another terminal or language"},
		{"place", "the stored result has the name of the build tree that it was made in"},
		{"time", "__DATE__ or __TIME__ is used, and SOURCE_DATE_EPOCH is another one"},
		{"evicted", "the result was known, but had been evicted to keep the cache within its limit, or cleared"},
		{"corrupt", "the result was known, but had been damaged on the disk, and was removed"},
		{"order", "the words of the command line are the same in another order"},
		{"settings",
		 "a setting of coffer, or the name of the directory or of the output, which is in the key, is another one"},
		{"recache", "the setting 'recache' asked for a new compile"},
		{"paranoid", "the setting 'paranoid' keeps nothing on this machine"},
		{"checked", "it was a hit, compiled all the same to be compared, and is equal ('recompile_check')"},
		{"differs", "it was a hit, compiled all the same to be compared, and differs ('recompile_check')"},
		{"policy", "the policy of the farm is that nothing is kept on this machine, as with 'paranoid = on'"},
	};
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		if (strcmp(texts[i].kind, kind) == 0)
			return texts[i].text;
	return "the cause was not recorded";
}

static void print_miss(struct explanation *x)
{
	const json_t *cause = json_object_get(x->miss, "cause"), *changes = json_object_get(cause, "changes");
	const char *reason = record_text(x->miss, "reason");
	if (reason[0]) {
		const char *culprit = format_shown(&x->arena, record_text(x->miss, "culprit"));
		printf("  not cached: %s%s%s%s (%s)\n", reason_text(reason_by_name(reason)), culprit[0] ? ": '" : "",
		       culprit, culprit[0] ? "'" : "", reason);
	} else {
		printf("  because %s\n", explain_cause_text(record_text(cause, "kind")));
		print_changes(x, record_text(cause, "kind"), changes);
		size_t all = (size_t)json_integer_value(json_object_get(cause, "all"));
		if (all > json_array_size(changes))
			printf("    … %zu more changes\n", all - json_array_size(changes));
	}
	if (x->same)
		printf("  %zu more compile%s missed for the same reason; %s lost in all\n", x->same, x->same == 1 ? "" : "s",
		       format_duration(&x->arena, (uint64_t)(x->lost * 1e6)));
}

// How it went to a worker, and what that cost here.
static void print_sending(struct explanation *x, const json_t *r)
{
	const char *as = record_text(r, "sent_as"), *culprit = format_shown(&x->arena, record_text(r, "no_tree_culprit"));
	enum no_tree_reason no_tree = no_tree_by_name(record_text(r, "no_tree"));
	if (as[0])
		printf("  compiled by worker '%s' from %s; that took %s of CPU here, and %s were sent\n",
		       format_shown(&x->arena, record_text(r, "worker")),
		       strcmp(as, "tree") == 0 ? "the files themselves" : "preprocessed text",
		       format_duration(&x->arena, (uint64_t)json_integer_value(json_object_get(r, "sent_us"))),
		       format_bytes(&x->arena, (uint64_t)json_integer_value(json_object_get(r, "sent_bytes"))));
	if (no_tree)
		printf("  the files themselves did not go to a worker: %s%s%s%s (%s)\n", no_tree_text(no_tree),
		       culprit[0] ? ": '" : "", culprit, culprit[0] ? "'" : "", no_tree_name(no_tree));
}

// What is in the store came from elsewhere, and differs; nothing has changed.
static void print_shared_input(struct explanation *x, const json_t *change)
{
	bool there = json_is_string(json_object_get(change, "was")), here = json_is_string(json_object_get(change, "now"));
	printf("    '%s' %s\n", format_shown(&x->arena, record_text(change, "name")),
	       there && here ? "has another text here"
	       : there       ? "was read there, and is not here"
			     : "is read here, and was not there");
}

static void print_others(struct explanation *x, const json_t *others, const char *where)
{
	const json_t *cause = json_object_get(others, "cause"), *changes = json_object_get(cause, "changes");
	const char *kind = record_text(cause, "kind"), *worker = record_text(others, "worker");
	if (!cause) {
		printf("  %s can't be compared with: %s\n", where, format_shown(&x->arena, record_text(others, "why_not")));
		return;
	}
	const char *maker = record_text(others, "made_by");
	if (worker[0])
		where = arena_printf(&x->arena, "worker '%s'", format_shown(&x->arena, worker));
	printf("  %s has what %s made on %s; here %s\n", where,
	       maker[0] ? arena_printf(&x->arena, "'%s'", format_shown(&x->arena, maker)) : "somebody",
	       format_date(&x->arena, (int64_t)json_integer_value(json_object_get(others, "made_at"))),
	       explain_cause_text(kind));
	for (size_t i = 0; i < json_array_size(changes); i++)
		if (strcmp(kind, "input") == 0)
			print_shared_input(x, json_array_get(changes, i));
		else
			print_was_now(x, json_array_get(changes, i));
	size_t all = (size_t)json_integer_value(json_object_get(cause, "all"));
	if (all > json_array_size(changes))
		printf("    … %zu more\n", all - json_array_size(changes));
}

static void print_record(struct explanation *x, const json_t *r, const char *what)
{
	const char *source = record_text(r, "source");
	printf("%s%s%s: %s, %s", format_style(STYLE_HEADING),
	       format_shown(&x->arena, source[0] ? source : record_text(r, "command")), format_plain(), what,
	       format_date(&x->arena, (int64_t)(json_integer_value(json_object_get(r, "time_ms")) / 1000)));
	if (record_seconds(r) > 0)
		printf(", %s%s", format_duration(&x->arena, (uint64_t)(record_seconds(r) * 1e6)),
		       record_is_hit(r) ? " saved" : "");
	printf("\n");
}

// A hit by the text that the compiler sees has the cause for which it was no direct hit.
static const char *hit_text(struct explanation *x)
{
	const char *kind = record_text(json_object_get(x->record, "cause"), "kind");
	if (strcmp(record_text(x->record, "outcome"), "direct_hit") == 0)
		return "a hit";
	return kind[0] ? arena_printf(&x->arena, "a hit by the preprocessed text (%s, and the compiler sees nothing of it)",
				      explain_cause_text(kind))
		       : "a hit, but for comments";
}

static void print_text(struct explanation *x)
{
	if (x->record != x->miss)
		print_record(x, x->record, hit_text(x));
	if (!x->miss)
		return;
	print_record(x, x->miss, record_text(x->miss, "reason")[0] ? "not cached" : "a miss");
	print_miss(x);
	print_sending(x, x->miss);
	if (x->shared)
		print_others(x, x->shared, "the shared store");
	if (x->farm)
		print_others(x, x->farm, "the farm");
}

// ---- for programs ---------------------------------------------------------------------------------------------------

static json_t *change_json(struct explanation *x, const json_t *change)
{
	struct line_change *lines;
	unsigned n_all, n = changed_lines(x, change, &lines, &n_all);
	json_t *out = json_deep_copy(change), *list = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s#, s:i, s:o}", "sign", &lines[i].sign, 1, "line",
						      (int)lines[i].line, "text", json_text(lines[i].text)));
	if (n)
		json_object_set_new(out, "lines", list);
	else
		json_decref(list);
	return out;
}

static void print_json(struct explanation *x)
{
	json_t *out = json_object();
	json_object_set_new(out, "compile", json_deep_copy(x->record));
	if (x->miss) {
		json_t *miss = json_deep_copy(x->miss), *list = json_array();
		const json_t *changes = json_object_get(json_object_get(x->miss, "cause"), "changes");
		for (size_t i = 0; i < json_array_size(changes); i++)
			json_array_append_new(list, change_json(x, json_array_get(changes, i)));
		if (json_object_get(miss, "cause"))
			json_object_set(json_object_get(miss, "cause"), "changes", list);
		json_decref(list);
		json_object_set_new(out, "miss", miss);
		if (x->shared)
			json_object_set(out, "shared", x->shared);
		if (x->farm)
			json_object_set(out, "farm", x->farm);
		json_object_set_new(out, "same_cause", json_integer((json_int_t)x->same));
		json_object_set_new(out, "seconds_lost", json_real(x->lost));
	}
	put_json(out);
}

// ---- the verb -------------------------------------------------------------------------------------------------------

// The name as the journal has it: absolute, by $PWD as the compiler saw it or else by the real directory.
static bool find_file(struct explanation *x, const char *name)
{
	char cwd[4096];
	const char *pwd = getenv("PWD");
	if (pwd && pwd[0] == '/')
		find(x, path_tidy(&x->arena, path_join(&x->arena, pwd, name)));
	if (!x->record && getcwd(cwd, sizeof cwd))
		find(x, path_tidy(&x->arena, path_join(&x->arena, cwd, name)));
	AUTO_FREE char *real = x->record ? NULL : realpath(name, NULL);
	if (real)
		find(x, real);
	return x->record != NULL;
}

static int explain(struct explanation *x, const char *what, bool json)
{
	bool last = strcmp(what, "last") == 0;
	if (last)
		find(x, NULL);
	if (last ? !x->record : !find_file(x, what)) {
		if (last)
			fprintf(stderr, "coffer: no compile that missed is on record\n"
					"coffer: name a source or an object to see its last compile\n");
		else
			fprintf(stderr,
				"coffer: no compile of '%s' is on record\ncoffer: name the source or the object of a "
				"compile "
				"that went through coffer\n",
				what);
		return 1;
	}
	x->shared = x->miss ? explain_shared(&x->arena, x->store, x->miss) : NULL;
	x->farm = x->miss ? explain_farm(&x->arena, x->store, x->miss) : NULL;
	if (json)
		print_json(x);
	else
		print_text(x);
	json_decref(x->shared);
	json_decref(x->farm);
	return 0;
}

static int write_html(struct report *r, const char *file)
{
	AUTO_BUF struct buf page = BUF_INIT;
	struct err err = ERR_INIT;
	report_html(r, &page);
	if (strcmp(file, "-") == 0) {
		fwrite(page.data, 1, page.len, stdout);
		return 0;
	}
	if (file_write_atomic(AT_FDCWD, file, page.data, page.len, 0644, &err) < 0)
		return verb_fail(&err);
	printf("the report is in '%s'\n", file);
	return 0;
}

static int explain_build(struct explanation *x, int64_t since_s, const char *html, bool json)
{
	__attribute__((cleanup(report_release))) struct report r = {.store = x->store};
	report_make(&r, x->history, since_s);
	if (!r.compiles) {
		fprintf(stderr, "coffer: no compile is on record\ncoffer: build something through coffer first\n");
		return 1;
	}
	if (html)
		return write_html(&r, html);
	if (json)
		put_json(report_json(&r));
	else
		report_print(&r);
	return 0;
}

int verb_explain(int argc, char **argv)
{
	enum { OPT_BUILD = 1, OPT_SINCE, OPT_HTML, OPT_JSON };
	static const struct option options[] = {{"build", no_argument, NULL, OPT_BUILD},
						{"since", required_argument, NULL, OPT_SINCE},
						{"html", required_argument, NULL, OPT_HTML},
						{"json", no_argument, NULL, OPT_JSON},
						{0}};
	struct verb_args args = {
		.usage = "usage: coffer explain FILE|last [--json]\n"
			 "       coffer explain --build [--since TIME] [--html FILE | --json]\n"
			 "\n"
			 "Says why the last compile of a source or an object was not a hit: which flag, which\n"
			 "header and line, the environment, the compiler, or why it can't be cached at all.\n"
			 "`last` is the last compile of all that was no hit.\n"
			 "\n"
			 "  --build       the whole last build: hits, misses, and what they have cost, by cause\n"
			 "  --since TIME  all of the last 90m, 8h, 2d instead\n"
			 "  --html FILE   as a page, in one file\n"
			 "  --json        one object; its form is in docs/explain.md\n",
		.options = options,
		.min_words = 0,
		.max_words = 1};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	bool is_build = args.values[OPT_BUILD], json = args.values[OPT_JSON];
	const char *since = args.values[OPT_SINCE], *html = args.values[OPT_HTML];
	int64_t since_ms = 0;
	if (is_build == (args.n_words == 1) || (!is_build && (since || html)) || (html && json))
		return verb_wrong("explain", "it takes a FILE, 'last', or --build with --since and --html or --json");
	if (since && (value_parse(VALUE_DURATION, NULL, since, &since_ms) || since_ms < 1000))
		return verb_wrong("explain", "'%s' is no time like 90m, 8h or 2d", since);
	struct err err = ERR_INIT;
	AUTO_HISTORY struct history history = {0};
	struct explanation x = {.history = &history};
	char *cache_dir = verb_cache_dir(&x.arena, &err);
	if (!cache_dir || history_load(&history, cache_dir, &err) < 0)
		return verb_fail(&err);
	if (json_array_size(history.records))
		x.store = store_open(cache_dir, 0, 1, NULL);
	int status = is_build ? explain_build(&x, since_ms / 1000, html, json) : explain(&x, args.words[0], json);
	if (x.store)
		store_close(x.store);
	arena_release(&x.arena);
	return status;
}

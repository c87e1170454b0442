// `coffer inspect WHAT`: all that an audit log knows of a digest: which rows name it, who made it and in which isolation, how
// often it was given out since, and whether the worker still has it (docs/audit.md).
#include "client/verbs/audit_ls.h"
#include "client/verbs/audit_provenance.h"
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include "auth/token.h"
#include "base/map.h"
#include "worker/tree_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPT_LOG = 1, OPT_FOLDER, OPT_LAST, OPT_JSON, MOST_ROWS = 200000, MOST_SHOWN = 20 };

static const char usage[] = "usage: coffer inspect [OPTIONS] DIGEST|JOB|FILE\n"
			    "\n"
			    "Says what the audit log knows of a key, a source, an output, a toolchain or a job: who made "
			    "it, in which isolation, how\n"
			    "often it was given out since, and whether the worker still has it. The first eight digits of a "
			    "digest are enough. Of a\n"
			    "FILE, an object for instance, its SHA-256 is looked for.\n"
			    "\n"
			    "  --log DIR       the log; else $COFFER_AUDIT_LOG, else that of this machine's worker\n"
			    "  --folder DIR    the worker's folder, with its results; else the one that the log is in\n"
			    "  --last N        print the last N rows too (of a toolchain: 10)\n"
			    "  --json          one JSON object\n";

static const struct option options[] = {{"log", required_argument, NULL, OPT_LOG},
					{"folder", required_argument, NULL, OPT_FOLDER},
					{"last", required_argument, NULL, OPT_LAST},
					{"json", no_argument, NULL, OPT_JSON},
					{NULL, 0, NULL, 0}};

// A result, by its key and tenant: the row that made it, and what became of it.
struct made {
	const char *key, *tenant;
	struct audit_row row; // of the run that made it; if it is not in the log, the first that named it
	uint64_t index;
	uint64_t runs, hits;
	const char *last; // time of the last row
};

struct inspection {
	struct arena arena;
	struct audit_source source;
	const char *folder; // the worker's
	char what[AUDIT_VALUE_MAX];
	unsigned names; // what it is in these rows: bits of enum audit_name
	struct audit_rows rows;
	uint64_t refused, failed, others; // rows without a result
	const char *first, *last;
	struct map by_key; // "KEY TENANT" -> struct made
	struct made **made;
	size_t n_made;
};

static void inspection_end(struct inspection *x)
{
	audit_source_close(&x->source);
	free(x->rows.rows);
	free(x->made);
	map_release(&x->by_key);
	arena_release(&x->arena);
}

// ---- gathering ------------------------------------------------------------------------------------------------------

static const char *text_of(const struct audit_row *row, enum audit_column c)
{
	return row->value[c] ? row->value[c] : "-";
}

static bool has_outcome(const struct audit_row *row, const char *outcome)
{
	return strcmp(text_of(row, AUDIT_outcome), outcome) == 0;
}

static struct audit_row copy_row(struct arena *a, const struct audit_row *row)
{
	struct audit_row copy = {0};
	for (enum audit_column c = 0; c < AUDIT_COLUMNS; c++)
		copy.value[c] = row->value[c] ? arena_strdup(a, row->value[c]) : NULL;
	return copy;
}

static struct made *made_of(struct inspection *x, const struct audit_row *row, uint64_t index)
{
	const char *id = arena_printf(&x->arena, "%s %s", text_of(row, AUDIT_key), text_of(row, AUDIT_tenant));
	struct made *m = map_gets(&x->by_key, id);
	if (m)
		return m;
	m = arena_alloc(&x->arena, sizeof *m);
	*m = (struct made){.row = copy_row(&x->arena, row), .index = index};
	m->key = text_of(&m->row, AUDIT_key);
	m->tenant = text_of(&m->row, AUDIT_tenant);
	map_puts(&x->by_key, id, m);
	x->made = mem_realloc(x->made, (x->n_made + 1) * sizeof *x->made);
	return x->made[x->n_made++] = m;
}

static void count_row(struct inspection *x, const struct audit_row *row, uint64_t index)
{
	const char *time = arena_strdup(&x->arena, text_of(row, AUDIT_time));
	if (!x->first)
		x->first = time;
	x->last = time;
	bool is_run = has_outcome(row, "run"), is_hit = has_outcome(row, "hit");
	if (!is_run && !is_hit) {
		x->failed += has_outcome(row, "failed");
		x->refused += has_outcome(row, "refused");
		x->others += !has_outcome(row, "failed") && !has_outcome(row, "refused");
		return;
	}
	struct made *m = made_of(x, row, index);
	if (is_run && m->runs == 0) {
		m->row = copy_row(&x->arena, row);
		m->index = index;
	}
	m->runs += is_run;
	m->hits += is_hit;
	m->last = time;
}

// Reads each row that the index names. What is another digest with the same beginning is left out of `rows`.
static int gather(struct inspection *x, struct err *err)
{
	size_t kept = 0;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < x->rows.n && i < MOST_ROWS; i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		rc = audit_source_row(&x->source, x->rows.rows[i], &a, &row, err);
		unsigned names = rc == 0 ? audit_row_names(&row, x->what) : 0;
		if (!names)
			continue;
		x->names |= names;
		x->rows.rows[kept++] = x->rows.rows[i];
		count_row(x, &row, x->rows.rows[i]);
	}
	x->rows.n = kept;
	return rc;
}

static int find(struct inspection *x, const char *typed, struct err *err)
{
	struct sha256 digest;
	bool is_file = !audit_is_digest(typed) && access(typed, R_OK) == 0;
	snprintf(x->what, sizeof x->what, "%s", typed);
	if (is_file && audit_digest_file(typed, &digest, err) < 0)
		return -1;
	if (is_file)
		sha256_hex(&digest, x->what);
	return audit_index_find(x->source.index, x->what, &x->rows, err) < 0 ? -1 : gather(x, err);
}

// ---- what the worker still has --------------------------------------------------------------------------------------

enum kept { KEPT, KEPT_NOT, KEPT_UNKNOWN }; // unknown: the results can't be read from here
static const char *const kept_words[] = {"kept", "no longer kept", "unknown"};

static bool key_of_text(const char *text, struct key *key)
{
	struct sha256 digest;
	if (!audit_digest_read(text, &digest))
		return false;
	memcpy(key->b, digest.b, sizeof key->b);
	return true;
}

// Of the user's own text: the listing, and all that it names.
static bool has_files(struct results *results, const char *tenant, const struct key *listing)
{
	struct tree_source s;
	struct sha256 digest;
	memcpy(digest.b, listing->b, sizeof digest.b);
	tree_source_init(&s, results, tenant, UINT64_MAX);
	bool has = results_has_tenant(results, tenant) && tree_source_load(&s, &digest, NULL) == 1 && s.n_wanted == 0;
	tree_source_release(&s);
	return has;
}

static bool has_source(struct results *results, const struct made *m, const struct key *source)
{
	return strcmp(text_of(&m->row, AUDIT_language), "tree") == 0 ? has_files(results, m->tenant, source)
								     : results_has_source(results, m->tenant, source->b);
}

// Only as the user whose results they are: opening a store can leave files in it that are another user's then.
static enum kept kept_of(const struct inspection *x, const struct made *m, enum audit_column which)
{
	struct stat st;
	struct key key = {{0}};
	AUTO_FREE char *path = mem_printf("%s/results", x->folder);
	if (stat(path, &st) < 0 || st.st_uid != geteuid() || !token_is_name(m->tenant) ||
	    !key_of_text(text_of(&m->row, which), &key))
		return KEPT_UNKNOWN;
	struct results *results = results_new(path, UINT64_MAX);
	bool is_kept = which == AUDIT_key ? results_has(results, m->tenant, &key) : has_source(results, m, &key);
	results_free(results);
	return is_kept ? KEPT : KEPT_NOT;
}

// ---- printing -------------------------------------------------------------------------------------------------------

static const char *const name_words[AUDIT_NAMES] = {"key", "source", "output", "job"};

static const char *names_text(struct inspection *x)
{
	AUTO_BUF struct buf b = BUF_INIT;
	for (unsigned i = 0; i < AUDIT_NAMES; i++)
		if (x->names & 1U << i)
			buf_addf(&b, "%s%s", b.len ? ", " : "", name_words[i]);
	return arena_strndup(&x->arena, b.data ? b.data : "", b.len);
}

static void print_made(struct inspection *x, const struct made *m)
{
	const struct audit_row *row = &m->row;
	const char *duration = row->value[AUDIT_duration];
	printf("\nkey        %s  (%s)\n", m->key, kept_words[kept_of(x, m, AUDIT_key)]);
	printf("  source   %s  (%s)\n", text_of(row, AUDIT_source_digest), kept_words[kept_of(x, m, AUDIT_source_digest)]);
	printf("  output   %s\n", text_of(row, AUDIT_output_digest));
	printf("  made     %s%s by %s, in %s%s%s, for tenant %s%s%s: row %" PRIu64 ", job %s\n",
	       m->runs ? "" : "before this log began; first given out ", text_of(row, AUDIT_time),
	       text_of(row, AUDIT_worker), text_of(row, AUDIT_isolation), row->value[AUDIT_monitor] ? " under " : "",
	       row->value[AUDIT_monitor] ? row->value[AUDIT_monitor] : "", m->tenant, duration ? ", in " : "",
	       duration ? format_duration(&x->arena, strtoull(duration, NULL, 10)) : "", m->index, text_of(row, AUDIT_job));
	printf("  from     %s %s\n", text_of(row, AUDIT_compiler), text_of(row, AUDIT_flags));
	printf("  of       %s\n", text_of(row, AUDIT_image_digest));
	printf("  since    made %" PRIu64 " times, given out %" PRIu64 " times; last %s\n", m->runs, m->hits, m->last);
}

static int print_last(struct inspection *x, size_t most, struct err *err)
{
	for (size_t i = x->rows.n > most ? x->rows.n - most : 0; i < x->rows.n; i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		AUTO_BUF struct buf line = BUF_INIT;
		struct audit_row row;
		if (audit_source_row(&x->source, x->rows.rows[i], &a, &row, err) < 0)
			return -1;
		audit_row_write(&row, &line);
		printf("%s%" PRIu64 "\t%s\n", i + most == x->rows.n || i == 0 ? "\n" : "", x->rows.rows[i], line.data);
	}
	return 0;
}

static int print_text(struct inspection *x, size_t last, struct err *err)
{
	printf("%s: %s of %s%zu rows, from %s to %s\n", x->what, names_text(x), x->rows.n == MOST_ROWS ? "at least " : "",
	       x->rows.n, x->first, x->last);
	for (size_t i = 0; i < x->n_made && i < MOST_SHOWN; i++)
		print_made(x, x->made[i]);
	if (x->n_made > MOST_SHOWN)
		printf("\n… and %zu more results\n", x->n_made - MOST_SHOWN);
	if (x->failed || x->refused || x->others)
		printf("\nwithout a result: %" PRIu64 " failed, %" PRIu64 " refused, %" PRIu64 " ended otherwise\n",
		       x->failed, x->refused, x->others);
	return last ? print_last(x, last, err) : 0;
}

static json_t *row_json(uint64_t index, const struct audit_row *row)
{
	AUTO_BUF struct buf text = BUF_INIT;
	audit_row_json(&text, index, row);
	return json_loadb(text.data, text.len, 0, NULL);
}

static json_t *made_json(struct inspection *x, const struct made *m)
{
	json_t *o = json_object();
	json_object_set_new(o, "key", json_text(m->key));
	json_object_set_new(o, "tenant", json_text(m->tenant));
	json_object_set_new(o, "made", m->runs ? row_json(m->index, &m->row) : json_null());
	json_object_set_new(o, "runs", json_integer((json_int_t)m->runs));
	json_object_set_new(o, "hits", json_integer((json_int_t)m->hits));
	json_object_set_new(o, "last", json_text(m->last));
	json_object_set_new(o, "result", json_text(kept_words[kept_of(x, m, AUDIT_key)]));
	json_object_set_new(o, "source", json_text(kept_words[kept_of(x, m, AUDIT_source_digest)]));
	return o;
}

static void print_json(struct inspection *x)
{
	json_t *o = json_object(), *is = json_array(), *results = json_array(), *rows = json_array();
	for (unsigned i = 0; i < AUDIT_NAMES; i++)
		if (x->names & 1U << i)
			json_array_append_new(is, json_text(name_words[i]));
	for (size_t i = 0; i < x->n_made; i++)
		json_array_append_new(results, made_json(x, x->made[i]));
	for (size_t i = 0; i < x->rows.n; i++)
		json_array_append_new(rows, json_integer((json_int_t)x->rows.rows[i]));
	json_object_set_new(o, "what", json_text(x->what));
	json_object_set_new(o, "is", is);
	json_object_set_new(o, "first", json_text(x->first));
	json_object_set_new(o, "last", json_text(x->last));
	json_object_set_new(o, "failed", json_integer((json_int_t)x->failed));
	json_object_set_new(o, "refused", json_integer((json_int_t)x->refused));
	json_object_set_new(o, "results", results);
	json_object_set_new(o, "rows", rows);
	put_json(o);
}

// ---- toolchains -----------------------------------------------------------------------------------------------------

// Nearly every row names one, so only the end of the log is read: until `most` rows of it are found.
static int last_rows_of(struct inspection *x, const struct audit_image *image, size_t most, struct err *err)
{
	enum { STEP = 1024 };
	size_t found = 0;
	x->rows.rows = mem_alloc(most * sizeof *x->rows.rows);
	for (uint64_t end = image->last + 1; found < most && end > image->first;) {
		uint64_t from = end > STEP ? end - STEP : 0, hits[STEP];
		struct audit_reader r;
		const char *line;
		size_t n, n_hits = 0;
		audit_reader_init(&r, x->source.dirfd);
		int rc = audit_index_seek(x->source.index, &r, from, err);
		while (rc == 0 && r.index < end) {
			AUTO_ARENA struct arena a = ARENA_INIT;
			struct audit_row row;
			int next = audit_reader_next(&r, &line, &n, err);
			rc = next == 1   ? audit_row_read(line, n, &a, &row, err)
			     : next == 0 ? err_set(err, ERR_NOT_FOUND, "row %" PRIu64 " is not in the audit log's files",
						   r.index)
					 : -1;
			if (rc == 0 && strcmp(text_of(&row, AUDIT_image_digest), image->digest) == 0)
				hits[n_hits++] = r.index - 1;
		}
		audit_reader_release(&r);
		if (rc < 0)
			return -1;
		while (found < most && n_hits)
			x->rows.rows[most - ++found] = hits[--n_hits];
		end = from;
	}
	memmove(x->rows.rows, x->rows.rows + most - found, found * sizeof *x->rows.rows);
	x->rows.n = found;
	return 0;
}

static int inspect_image(struct inspection *x, const struct audit_image *image, size_t last, bool as_json, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct audit_row first, newest;
	if (audit_source_row(&x->source, image->first, &a, &first, err) < 0 ||
	    audit_source_row(&x->source, image->last, &a, &newest, err) < 0)
		return -1;
	if (as_json) {
		json_t *o = json_object();
		json_object_set_new(o, "what", json_text(image->digest));
		json_object_set_new(o, "is", json_pack("[s]", "toolchain"));
		json_object_set_new(o, "rows", json_integer((json_int_t)image->rows));
		json_object_set_new(o, "first", row_json(image->first, &first));
		json_object_set_new(o, "last", row_json(image->last, &newest));
		put_json(o);
		return 0;
	}
	printf("%s: toolchain of %" PRIu64 " rows, from %s to %s\n", image->digest, image->rows, text_of(&first, AUDIT_time),
	       text_of(&newest, AUDIT_time));
	last = last ? last : 10;
	return last_rows_of(x, image, last, err) < 0 ? -1 : print_last(x, last, err);
}

// ---- the verb -------------------------------------------------------------------------------------------------------

static int inspect(struct inspection *x, const struct verb_args *args, size_t last)
{
	struct err err = ERR_INIT;
	struct audit_image image;
	bool as_json = args->values[OPT_JSON] != NULL;
	if (audit_source_open(&x->source, args->values[OPT_LOG], &x->arena, &err) < 0 ||
	    audit_source_index(&x->source, &err) < 0)
		return verb_fail(&err);
	x->folder =
		args->values[OPT_FOLDER] ? args->values[OPT_FOLDER] : arena_printf(&x->arena, "%s/..", x->source.directory);
	int is_image = audit_index_image(x->source.index, args->words[0], &image, &err);
	if (is_image == 1)
		return inspect_image(x, &image, last, as_json, &err) < 0 ? verb_fail(&err) : 0;
	if (is_image < 0 || find(x, args->words[0], &err) < 0)
		return verb_fail(&err);
	if (x->rows.n == 0) {
		fprintf(stderr, "coffer: no row of '%s' names '%s'\n", x->source.directory, x->what);
		return 1;
	}
	if (as_json)
		print_json(x);
	else if (print_text(x, last, &err) < 0)
		return verb_fail(&err);
	return 0;
}

int verb_inspect(int argc, char **argv)
{
	struct verb_args args = {.usage = usage, .options = options, .min_words = 1, .max_words = 1};
	struct inspection x = {.source = AUDIT_SOURCE_INIT};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	const char *last = args.values[OPT_LAST];
	size_t n = last ? strtoull(last, NULL, 10) : 0;
	if (last && (n == 0 || n > MOST_ROWS))
		return verb_wrong("inspect", "--last takes a number from 1 to %d", MOST_ROWS);
	int status = inspect(&x, &args, n);
	inspection_end(&x);
	return status;
}

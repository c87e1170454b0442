// `coffer audit`: looks at an audit log, checks it, and makes and checks proofs about it (docs/audit.md).
#include "client/verbs/audit_log.h"
#include "client/verbs/verbs.h"

#include "audit/proof.h"
#include "audit/reader.h"
#include "audit/verify.h"
#include "base/file.h"
#include "base/json.h"
#include "settings/nearest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_LOG = 1, OPT_KEY, OPT_FROM, OPT_FORMAT, OPT_WHERE, OPT_SINCE, OPT_UNTIL, OPT_LAST };

static const char usage[] =
	"usage: coffer audit ls      [--where COLUMN=VALUE[,…]] [--since TIME] [--until TIME] [--last N] [--format "
	"tsv|json|csv]\n"
	"       coffer audit verify  [--key VERIFIER] [--from CHECKPOINT]\n"
	"       coffer audit prove   ROW|JOB\n"
	"       coffer audit prove   --from CHECKPOINT\n"
	"       coffer audit check   PROOF --key VERIFIER\n"
	"       coffer audit key\n"
	"\n"
	"  ls       print rows; times are as in the rows (2026-11-29 or 2026-11-29T10:00), a value may end with '*'\n"
	"  verify   check every row against the signed checkpoint; with --from also against one that you have kept\n"
	"  prove    print a proof that a row is in the log, or that the log continues an older checkpoint\n"
	"  check    check such a proof, offline: needs nothing but the file and the key\n"
	"  key      print the log's verifier key: keep it, and a checkpoint, where the worker's operator cannot change "
	"them\n"
	"\n"
	"  --log DIR       the log; else $COFFER_AUDIT_LOG, else that of this machine's worker\n"
	"  --key VERIFIER  the verifier key, or the name of a file with it\n";

static const struct option options[] = {{"log", required_argument, NULL, OPT_LOG},
					{"key", required_argument, NULL, OPT_KEY},
					{"from", required_argument, NULL, OPT_FROM},
					{"format", required_argument, NULL, OPT_FORMAT},
					{"where", required_argument, NULL, OPT_WHERE},
					{"since", required_argument, NULL, OPT_SINCE},
					{"until", required_argument, NULL, OPT_UNTIL},
					{"last", required_argument, NULL, OPT_LAST},
					{NULL, 0, NULL, 0}};

// ---- where --------------------------------------------------------------------------------------------------------

static int open_log(const struct verb_args *args, struct arena *a, struct err *err)
{
	const char *dir = audit_directory(a, args->values[OPT_LOG]);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err_errno(err, "cannot open the audit log '%s' (--log DIR names another one)", dir);
	return fd;
}

// A verifier key, or the name of a file with one.
static const char *verifier_of(struct arena *a, const char *given, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	if (!given || strchr(given, '+'))
		return given;
	if (file_read(AT_FDCWD, given, NOTE_KEY_MAX, &text, NULL, err) < 0)
		return NULL;
	return arena_strndup(a, text.data, strcspn(text.data ? text.data : "", "\r\n"));
}

static int read_kept(const char *path, struct buf *note, struct err *err)
{
	return file_read(AT_FDCWD, path, NOTE_MAX, note, NULL, err);
}

// ---- ls -----------------------------------------------------------------------------------------------------------

enum { MOST_FILTERS = 16 };

struct filter {
	enum audit_column column;
	const char *value;
	size_t n; // of it; without a final '*'
	bool is_prefix;
};
struct selection {
	struct filter filters[MOST_FILTERS];
	unsigned n;
	const char *since, *until;
};

static int add_filter(struct selection *s, struct arena *a, const char *text)
{
	const char *names[AUDIT_COLUMNS], *equals = strchr(text, '=');
	const char *name = arena_strndup(a, text, equals ? (size_t)(equals - text) : strlen(text));
	enum audit_column c = audit_column_by_name(name);
	for (enum audit_column i = 0; i < AUDIT_COLUMNS; i++)
		names[i] = audit_column_name(i);
	if (!equals || c == AUDIT_COLUMNS || s->n == MOST_FILTERS) {
		const char *near = nearest_word(name, names, AUDIT_COLUMNS);
		return verb_wrong("audit", "'%s' is no COLUMN=VALUE%s%s%s", text,
				  near && c == AUDIT_COLUMNS ? "; did you mean '" : "",
				  near && c == AUDIT_COLUMNS ? near : "", near && c == AUDIT_COLUMNS ? "'?" : "");
	}
	size_t n = strlen(equals + 1);
	bool is_prefix = n && equals[n] == '*';
	s->filters[s->n++] = (struct filter){c, equals + 1, is_prefix ? n - 1 : n, is_prefix};
	return 0;
}

static int read_selection(struct selection *s, struct arena *a, const struct verb_args *args)
{
	char *list = args->values[OPT_WHERE] ? arena_strdup(a, args->values[OPT_WHERE]) : NULL, *save = NULL;
	*s = (struct selection){.since = args->values[OPT_SINCE], .until = args->values[OPT_UNTIL]};
	for (char *one = list ? strtok_r(list, ",", &save) : NULL; one; one = strtok_r(NULL, ",", &save)) {
		int rc = add_filter(s, a, one);
		if (rc)
			return rc;
	}
	return 0;
}

static bool is_selected(const struct selection *s, const struct audit_row *row)
{
	const char *time = row->value[AUDIT_time] ? row->value[AUDIT_time] : "";
	if ((s->since && strcmp(time, s->since) < 0) || (s->until && strcmp(time, s->until) >= 0))
		return false;
	for (unsigned i = 0; i < s->n; i++) {
		const struct filter *f = &s->filters[i];
		const char *value = row->value[f->column] ? row->value[f->column] : "-";
		if (strncmp(value, f->value, f->n) != 0 || (!f->is_prefix && value[f->n]))
			return false;
	}
	return true;
}

static void put_json(struct buf *out, uint64_t index, const struct audit_row *row)
{
	buf_addc(out, '{');
	json_add_number(out, "row", (int64_t)index);
	for (enum audit_column c = 0; c < AUDIT_COLUMNS; c++)
		json_add_field(out, audit_column_name(c), row->value[c]);
	buf_adds(out, "}\n");
}

// As in the rows themselves, so that nothing in a value does anything to a terminal or a spreadsheet.
static void put_csv(struct buf *out, const struct audit_row *row)
{
	for (enum audit_column c = 0; c < AUDIT_COLUMNS; c++) {
		const char *value = row->value[c] ? row->value[c] : "";
		buf_adds(out, c ? ",\"" : "\"");
		if (*value && strchr("=+-@", *value))
			buf_addc(out, '\'');
		for (const char *p = value; *p; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				buf_addf(out, "\\x%02x", (unsigned char)*p);
			else
				buf_addf(out, *p == '"' ? "\"%c" : "%c", *p);
		buf_addc(out, '"');
	}
	buf_addc(out, '\n');
}

enum format { FORMAT_TSV, FORMAT_JSON, FORMAT_CSV, FORMATS };

static enum format format_of(const char *name)
{
	static const char *const names[] = {"tsv", "json", "csv"};
	enum format f = 0;
	while (name && f < FORMATS && strcmp(name, names[f]) != 0)
		f++;
	return f;
}

static void put_row(struct buf *out, enum format format, uint64_t index, const struct audit_row *row)
{
	if (format == FORMAT_JSON)
		put_json(out, index, row);
	else if (format == FORMAT_CSV)
		put_csv(out, row);
	else {
		audit_row_write(row, out);
		buf_addc(out, '\n');
	}
}

static void put_head(enum format format)
{
	for (enum audit_column c = 0; c < AUDIT_COLUMNS && format != FORMAT_JSON; c++)
		printf("%s%s",
		       !c                     ? (format == FORMAT_TSV ? "#" : "")
		       : format == FORMAT_CSV ? ","
					      : "\t",
		       audit_column_name(c));
	if (format != FORMAT_JSON)
		putchar('\n');
}

static int ls(const struct verb_args *args, struct arena *a, int dirfd, struct err *err)
{
	struct selection s;
	struct audit_reader r;
	const char *line;
	size_t n, last = args->values[OPT_LAST] ? strtoull(args->values[OPT_LAST], NULL, 10) : 0, at = 0;
	enum format format = format_of(args->values[OPT_FORMAT]);
	int rc = read_selection(&s, a, args);
	if (rc)
		return rc;
	if (format == FORMATS || last > 1000000)
		return verb_wrong("audit", "--format is tsv, json or csv, --last at most 1000000");
	char **ring = last ? mem_alloc(last * sizeof *ring) : NULL;
	put_head(format);
	audit_reader_init(&r, dirfd);
	while ((rc = audit_reader_next(&r, &line, &n, err)) == 1) {
		AUTO_ARENA struct arena rows = ARENA_INIT;
		AUTO_BUF struct buf out = BUF_INIT;
		struct audit_row row;
		if (audit_row_read(line, n, &rows, &row, err) < 0) {
			rc = err_wrap(err, "row %" PRIu64, r.index - 1);
			break;
		}
		if (!is_selected(&s, &row))
			continue;
		put_row(&out, format, r.index - 1, &row);
		if (!ring) {
			fwrite(out.data, 1, out.len, stdout);
			continue;
		}
		free(ring[at % last]);
		ring[at++ % last] = mem_strndup(out.data, out.len);
	}
	for (size_t i = at > last ? at - last : 0; ring && i < at; i++)
		fputs(ring[i % last], stdout);
	for (size_t i = 0; ring && i < last; i++)
		free(ring[i]);
	free(ring);
	audit_reader_release(&r);
	return rc < 0 ? verb_fail(err) : 0;
}

// ---- verify, prove, check, key ------------------------------------------------------------------------------------

static int verify(const struct verb_args *args, struct arena *a, int dirfd, struct err *err)
{
	AUTO_BUF struct buf kept = BUF_INIT;
	struct audit_verified v;
	const char *verifier = verifier_of(a, args->values[OPT_KEY], err), *from = args->values[OPT_FROM];
	if ((args->values[OPT_KEY] && !verifier) || (from && read_kept(from, &kept, err) < 0) ||
	    audit_verify(dirfd, verifier, from ? &kept : NULL, &v, err) < 0)
		return verb_fail(err);
	printf("%" PRIu64 " rows of '%s' are as they were signed", v.rows, v.checkpoint.origin);
	if (from)
		printf(", and continue the checkpoint in '%s'", from);
	printf("\n");
	if (v.unsigned_rows)
		printf("%" PRIu64 " rows behind them have no signature yet\n", v.unsigned_rows);
	if (!verifier)
		printf("the key is the log's own: whoever can write the log could have changed it too; --key names one you "
		       "have kept\n");
	return 0;
}

static int prove(const struct verb_args *args, struct arena *a, int dirfd, struct err *err)
{
	AUTO_BUF struct buf proof = BUF_INIT;
	AUTO_BUF struct buf old = BUF_INIT;
	uint64_t index;
	const char *from = args->values[OPT_FROM];
	(void)a;
	if (!from == (args->n_words < 2))
		return verb_wrong("audit", "prove takes a row or job, or --from CHECKPOINT");
	int rc =
		from ? (read_kept(from, &old, err) < 0 ? -1 : audit_prove_consistency(dirfd, &old, &proof, err))
		     : (audit_find_row(dirfd, args->words[1], &index, err) < 0 ? -1
									       : audit_prove_row(dirfd, index, &proof, err));
	if (rc < 0)
		return verb_fail(err);
	fwrite(proof.data, 1, proof.len, stdout);
	return 0;
}

static int check(const struct verb_args *args, struct arena *a, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct audit_proven p = {.row = BUF_INIT};
	if (args->n_words < 2 || !args->values[OPT_KEY])
		return verb_wrong("audit", "check takes a file and --key VERIFIER");
	const char *verifier = verifier_of(a, args->values[OPT_KEY], err);
	if (!verifier || file_read(AT_FDCWD, args->words[1], PROOF_MAX, &text, NULL, err) < 0 ||
	    audit_check_proof(text.data ? text.data : "", text.len, verifier, &p, err) < 0) {
		audit_proven_release(&p);
		return verb_fail(err);
	}
	if (p.is_consistency)
		printf("the log of '%s' with %" PRIu64 " rows continues the one with %" PRIu64 "\n", p.checkpoint.origin,
		       p.checkpoint.size, p.old.size);
	else
		printf("row %" PRIu64 " of %" PRIu64 " in the log of '%s':\n%.*s\n", p.index, p.checkpoint.size,
		       p.checkpoint.origin, (int)p.row.len, p.row.data);
	audit_proven_release(&p);
	return 0;
}

static int key(int dirfd, struct err *err)
{
	char verifier[NOTE_KEY_MAX];
	if (audit_read_verifier(dirfd, verifier, err) < 0)
		return verb_fail(err);
	printf("%s\n", verifier);
	return 0;
}

int verb_audit(int argc, char **argv)
{
	static const char *const subs[] = {"ls", "verify", "prove", "check", "key"};
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct verb_args args = {.usage = usage, .options = options, .min_words = 1, .max_words = 2};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	const char *sub = args.words[0];
	if (strcmp(sub, "check") == 0)
		return check(&args, &a, &err);
	size_t which = 0;
	while (which < COUNT_OF(subs) && strcmp(sub, subs[which]) != 0)
		which++;
	if (which == COUNT_OF(subs)) {
		const char *near = nearest_word(sub, subs, COUNT_OF(subs));
		return verb_wrong("audit", "there is no 'coffer audit %s'%s%s%s", sub, near ? "; did you mean '" : "",
				  near ? near : "", near ? "'?" : "");
	}
	AUTO_CLOSE int dirfd = open_log(&args, &a, &err);
	if (dirfd < 0)
		return verb_fail(&err);
	switch (which) {
	case 0:
		return ls(&args, &a, dirfd, &err);
	case 1:
		return verify(&args, &a, dirfd, &err);
	case 2:
		return prove(&args, &a, dirfd, &err);
	default:
		return key(dirfd, &err);
	}
}

// `coffer audit`: looks at an audit log, checks it, and makes and checks proofs about it (docs/audit.md).
#include "client/verbs/audit_log.h"
#include "client/verbs/audit_ls.h"
#include "client/verbs/audit_provenance.h"
#include "client/verbs/verbs.h"

#include "audit/proof.h"
#include "audit/verify.h"
#include "base/file.h"
#include "settings/nearest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	OPT_LOG = 1,
	OPT_KEY,
	OPT_FROM,
	OPT_FORMAT,
	OPT_WHERE,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_LAST,
	OPT_REBUILD,
	OPT_SIGNING_KEY,
	OPT_BUILDER,
	MOST_OBJECTS = 10000
};

static const char usage[] =
	"usage: coffer audit ls      [--where COLUMN=VALUE[,…]] [--since TIME] [--until TIME] [--last N]\n"
	"                            [--format tsv|json|csv]\n"
	"       coffer audit verify  [--key VERIFIER] [--from CHECKPOINT]\n"
	"       coffer audit prove   ROW|JOB\n"
	"       coffer audit prove   --from CHECKPOINT\n"
	"       coffer audit check   PROOF --key VERIFIER\n"
	"       coffer audit provenance ROW|JOB|OBJECT [--builder URI] [--signing-key FILE]\n"
	"       coffer audit verify-provenance ENVELOPE --key VERIFIER [OBJECT…]\n"
	"       coffer audit key\n"
	"       coffer audit index   [--rebuild]\n"
	"\n"
	"  ls       print rows; times are as in the rows (2026-11-29 or 2026-11-29T10:00), a value may end with '*', and\n"
	"           isolation<sandbox finds what ran in less\n"
	"  verify   check every row against the signed checkpoint; with --from also against one that you have kept\n"
	"  prove    print a proof that a row is in the log, or that the log continues an older checkpoint\n"
	"  check    check such a proof, offline: needs nothing but the file and the key\n"
	"  provenance         print who made an object, and from what: SLSA provenance (in-toto, DSSE), signed with the "
	"log's key\n"
	"  verify-provenance  check that, offline, and that the objects are those that it is about\n"
	"  key      print the log's verifier key: keep it, and a checkpoint, where the worker's operator cannot change "
	"them\n"
	"  index    bring the index of the rows up to date (look-ups do so themselves), or make it again from the rows\n"
	"\n"
	"  --log DIR       the log; else $COFFER_AUDIT_LOG, else that of this machine's worker, else "
	"$COFFER_AUDIT_DIRECTORY\n"
	"  --key VERIFIER  the verifier key, or the name of a file with it\n";

static const struct option options[] = {
	{"log", required_argument, NULL, OPT_LOG},         {"key", required_argument, NULL, OPT_KEY},
	{"from", required_argument, NULL, OPT_FROM},       {"format", required_argument, NULL, OPT_FORMAT},
	{"where", required_argument, NULL, OPT_WHERE},     {"since", required_argument, NULL, OPT_SINCE},
	{"until", required_argument, NULL, OPT_UNTIL},     {"last", required_argument, NULL, OPT_LAST},
	{"rebuild", no_argument, NULL, OPT_REBUILD},       {"signing-key", required_argument, NULL, OPT_SIGNING_KEY},
	{"builder", required_argument, NULL, OPT_BUILDER}, {NULL, 0, NULL, 0},
};

struct asked {
	char *const *words; // behind the subcommand's name
	int n_words;
	const char *const *values; // of the options
	struct audit_source source;
	struct arena arena;
	struct err err; // why a function returned -1
};

// A verifier key, or the name of a file with one. NULL with an error; or without one: none is given.
static const char *verifier_of(struct asked *q)
{
	AUTO_BUF struct buf text = BUF_INIT;
	const char *given = q->values[OPT_KEY];
	if (!given || strchr(given, '+'))
		return given;
	if (file_read(AT_FDCWD, given, NOTE_KEY_MAX, &text, NULL, &q->err) < 0)
		return NULL;
	return arena_strndup(&q->arena, text.data ? text.data : "", strcspn(text.data ? text.data : "", "\r\n"));
}

static int read_kept(struct asked *q, struct buf *note)
{
	return file_read(AT_FDCWD, q->values[OPT_FROM], NOTE_MAX, note, NULL, &q->err);
}

static int ls(struct asked *q)
{
	struct audit_ls ls = {.where = q->values[OPT_WHERE],
			      .since = q->values[OPT_SINCE],
			      .until = q->values[OPT_UNTIL],
			      .last = q->values[OPT_LAST],
			      .format = q->values[OPT_FORMAT]};
	return audit_ls(&q->source, &ls, &q->arena);
}

static int verify(struct asked *q)
{
	AUTO_BUF struct buf kept = BUF_INIT;
	struct audit_verified v;
	const char *verifier = verifier_of(q), *from = q->values[OPT_FROM];
	if ((q->values[OPT_KEY] && !verifier) || (from && read_kept(q, &kept) < 0) ||
	    audit_verify(q->source.dirfd, verifier, from ? &kept : NULL, &v, &q->err) < 0)
		return -1;
	printf("%" PRIu64 " rows of '%s' are as they were signed", v.rows, v.checkpoint.origin);
	if (from)
		printf(", and continue the checkpoint in '%s'", from);
	printf("\n");
	if (v.unsigned_rows)
		printf("%" PRIu64 " rows behind them have no signature yet\n", v.unsigned_rows);
	if (!verifier)
		printf("the key is the log's own: whoever can write the log could have changed it too; --key names one you "
		       "have "
		       "kept\n");
	return 0;
}

static int prove(struct asked *q)
{
	AUTO_BUF struct buf proof = BUF_INIT;
	AUTO_BUF struct buf old = BUF_INIT;
	uint64_t index;
	bool is_of_row = !q->values[OPT_FROM];
	if (is_of_row != (q->n_words == 1))
		return verb_wrong("audit", "prove takes a row or job, or --from CHECKPOINT");
	int rc = is_of_row ? audit_source_find(&q->source, q->words[0], &index, &q->err) : read_kept(q, &old);
	if (rc == 0)
		rc = is_of_row ? audit_prove_row(q->source.dirfd, index, &proof, &q->err)
			       : audit_prove_consistency(q->source.dirfd, &old, &proof, &q->err);
	if (rc == 0)
		fwrite(proof.data, 1, proof.len, stdout);
	return rc;
}

static int check(struct asked *q)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct audit_proven p = {.row = BUF_INIT};
	if (!q->values[OPT_KEY])
		return verb_wrong("audit", "check takes a file and --key VERIFIER");
	const char *verifier = verifier_of(q);
	int rc = verifier ? file_read(AT_FDCWD, q->words[0], PROOF_MAX, &text, NULL, &q->err) : -1;
	if (rc == 0)
		rc = audit_check_proof(text.data ? text.data : "", text.len, verifier, &p, &q->err);
	if (rc == 0 && p.is_consistency)
		printf("the log of '%s' with %" PRIu64 " rows continues the one with %" PRIu64 "\n", p.checkpoint.origin,
		       p.checkpoint.size, p.old.size);
	else if (rc == 0)
		printf("row %" PRIu64 " of %" PRIu64 " in the log of '%s':\n%.*s\n", p.index, p.checkpoint.size,
		       p.checkpoint.origin, (int)p.row.len, p.row.data);
	audit_proven_release(&p);
	return rc;
}

static int provenance(struct asked *q)
{
	return audit_print_provenance(&q->source, q->words[0], q->values[OPT_SIGNING_KEY], q->values[OPT_BUILDER], &q->err);
}

static int verify_provenance(struct asked *q)
{
	if (!q->values[OPT_KEY])
		return verb_wrong("audit", "verify-provenance takes a file and --key VERIFIER");
	const char *verifier = verifier_of(q);
	return verifier ? audit_verify_provenance(q->words[0], verifier, q->words + 1, q->n_words - 1, &q->err) : -1;
}

static int key(struct asked *q)
{
	char verifier[NOTE_KEY_MAX];
	if (audit_read_verifier(q->source.dirfd, verifier, &q->err) < 0)
		return -1;
	printf("%s\n", verifier);
	return 0;
}

static int make_index(struct asked *q)
{
	uint64_t rows;
	if (audit_source_index(&q->source, &q->err) < 0 ||
	    (q->values[OPT_REBUILD] && audit_index_clear(q->source.index, &q->err) < 0) ||
	    audit_index_catch_up(q->source.index, &rows, &q->err) < 0)
		return -1;
	printf("%" PRIu64 " rows are in the index\n", rows);
	return 0;
}

static const struct subcommand {
	const char *name;
	int (*run)(struct asked *q); // the exit status, or -1
	bool needs_log;
	int min_words, max_words;
} subcommands[] = {
	{"ls", ls, true, 0, 0},
	{"verify", verify, true, 0, 0},
	{"prove", prove, true, 0, 1},
	{"check", check, false, 1, 1},
	{"provenance", provenance, true, 1, 1},
	{"verify-provenance", verify_provenance, false, 1, MOST_OBJECTS},
	{"key", key, true, 0, 0},
	{"index", make_index, true, 0, 0},
};

// NULL, with everything said: there is none.
static const struct subcommand *subcommand_of(const char *name)
{
	const char *names[COUNT_OF(subcommands)];
	for (size_t i = 0; i < COUNT_OF(subcommands); i++) {
		names[i] = subcommands[i].name;
		if (strcmp(name, names[i]) == 0)
			return &subcommands[i];
	}
	const char *near = nearest_word(name, names, COUNT_OF(names));
	verb_wrong("audit", "there is no 'coffer audit %s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
		   near ? "'?" : "");
	return NULL;
}

static int ask(const struct subcommand *s, struct asked *q)
{
	if (q->n_words < s->min_words || q->n_words > s->max_words)
		return verb_wrong("audit", "%s takes %s", s->name,
				  s->max_words == 0   ? "no further word"
				  : s->max_words == 1 ? "one word more"
						      : "at least one word more");
	int rc = s->needs_log ? audit_source_open(&q->source, q->values[OPT_LOG], &q->arena, &q->err) : 0;
	if (rc == 0)
		rc = s->run(q);
	return rc < 0 ? verb_fail(&q->err) : rc;
}

int verb_audit(int argc, char **argv)
{
	struct verb_args args = {.usage = usage, .options = options, .min_words = 1, .max_words = MOST_OBJECTS};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	struct asked q = {.words = args.words + 1,
			  .n_words = args.n_words - 1,
			  .values = args.values,
			  .source = AUDIT_SOURCE_INIT,
			  .err = ERR_INIT};
	const struct subcommand *s = subcommand_of(args.words[0]);
	int status = s ? ask(s, &q) : 2;
	audit_source_close(&q.source);
	arena_release(&q.arena);
	return status;
}

// `coffer audit`: looks at an audit log, checks it, and makes and checks proofs about it (docs/audit.md).
#include "client/verbs/audit_log.h"
#include "client/verbs/audit_ls.h"
#include "client/verbs/verbs.h"

#include "audit/proof.h"
#include "audit/verify.h"
#include "base/file.h"
#include "settings/nearest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_LOG = 1, OPT_KEY, OPT_FROM, OPT_FORMAT, OPT_WHERE, OPT_SINCE, OPT_UNTIL, OPT_LAST, OPT_REBUILD };

static const char usage[] =
	"usage: coffer audit ls      [--where COLUMN=VALUE[,…]] [--since TIME] [--until TIME] [--last N] [--format "
	"tsv|json|csv]\n"
	"       coffer audit verify  [--key VERIFIER] [--from CHECKPOINT]\n"
	"       coffer audit prove   ROW|JOB\n"
	"       coffer audit prove   --from CHECKPOINT\n"
	"       coffer audit check   PROOF --key VERIFIER\n"
	"       coffer audit key\n"
	"       coffer audit index   [--rebuild]\n"
	"\n"
	"  ls       print rows; times are as in the rows (2026-11-29 or 2026-11-29T10:00), a value may end with '*'\n"
	"  verify   check every row against the signed checkpoint; with --from also against one that you have kept\n"
	"  prove    print a proof that a row is in the log, or that the log continues an older checkpoint\n"
	"  check    check such a proof, offline: needs nothing but the file and the key\n"
	"  key      print the log's verifier key: keep it, and a checkpoint, where the worker's operator cannot change "
	"them\n"
	"  index    bring the index up to date that look-ups use (they do that themselves), or make it anew from the rows\n"
	"\n"
	"  --log DIR       the log; else $COFFER_AUDIT_LOG, else that of this machine's worker\n"
	"  --key VERIFIER  the verifier key, or the name of a file with it\n";

static const struct option options[] = {
	{"log", required_argument, NULL, OPT_LOG},     {"key", required_argument, NULL, OPT_KEY},
	{"from", required_argument, NULL, OPT_FROM},   {"format", required_argument, NULL, OPT_FORMAT},
	{"where", required_argument, NULL, OPT_WHERE}, {"since", required_argument, NULL, OPT_SINCE},
	{"until", required_argument, NULL, OPT_UNTIL}, {"last", required_argument, NULL, OPT_LAST},
	{"rebuild", no_argument, NULL, OPT_REBUILD},   {NULL, 0, NULL, 0}};

// ---- what is given --------------------------------------------------------------------------------------------------------

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

// ---- verify, prove, check, key ------------------------------------------------------------------------------------

static int verify(const struct verb_args *args, struct arena *a, struct audit_source *s, struct err *err)
{
	AUTO_BUF struct buf kept = BUF_INIT;
	struct audit_verified v;
	const char *verifier = verifier_of(a, args->values[OPT_KEY], err), *from = args->values[OPT_FROM];
	if ((args->values[OPT_KEY] && !verifier) || (from && read_kept(from, &kept, err) < 0) ||
	    audit_verify(s->dirfd, verifier, from ? &kept : NULL, &v, err) < 0)
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

static int prove(const struct verb_args *args, struct audit_source *s, struct err *err)
{
	AUTO_BUF struct buf proof = BUF_INIT;
	AUTO_BUF struct buf old = BUF_INIT;
	uint64_t index;
	const char *from = args->values[OPT_FROM];
	if (!from == (args->n_words < 2))
		return verb_wrong("audit", "prove takes a row or job, or --from CHECKPOINT");
	int rc = from ? read_kept(from, &old, err) : audit_source_find(s, args->words[1], &index, err);
	if (rc == 0)
		rc = from ? audit_prove_consistency(s->dirfd, &old, &proof, err)
			  : audit_prove_row(s->dirfd, index, &proof, err);
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

static int key(const struct audit_source *s, struct err *err)
{
	char verifier[NOTE_KEY_MAX];
	if (audit_read_verifier(s->dirfd, verifier, err) < 0)
		return verb_fail(err);
	printf("%s\n", verifier);
	return 0;
}

static int make_index(const struct verb_args *args, struct audit_source *s, struct err *err)
{
	uint64_t rows;
	if (audit_source_index(s, err) < 0 || (args->values[OPT_REBUILD] && audit_index_clear(s->index, err) < 0) ||
	    audit_index_catch_up(s->index, &rows, err) < 0)
		return verb_fail(err);
	printf("%" PRIu64 " rows are in the index\n", rows);
	return 0;
}

int verb_audit(int argc, char **argv)
{
	static const char *const subs[] = {"ls", "verify", "prove", "key", "index"};
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_AUDIT_SOURCE struct audit_source source = AUDIT_SOURCE_INIT;
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
	if (audit_source_open(&source, args.values[OPT_LOG], &a, &err) < 0)
		return verb_fail(&err);
	switch (which) {
	case 0: {
		struct audit_ls ls = {.where = args.values[OPT_WHERE],
				      .since = args.values[OPT_SINCE],
				      .until = args.values[OPT_UNTIL],
				      .last = args.values[OPT_LAST],
				      .format = args.values[OPT_FORMAT]};
		return audit_ls(&source, &ls, &a);
	}
	case 1:
		return verify(&args, &a, &source, &err);
	case 2:
		return prove(&args, &source, &err);
	case 3:
		return key(&source, &err);
	default:
		return make_index(&args, &source, &err);
	}
}

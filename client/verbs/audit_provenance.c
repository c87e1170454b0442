#include "client/verbs/audit_provenance.h"

#include "audit/proof.h"
#include "audit/provenance.h"
#include "audit/verify.h"
#include "auth/token.h"
#include "base/file.h"
#include "base/path.h"
#include "client/verbs/audit_action.h"
#include "worker/tree_request.h"
#include "worker/tree_source.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OBJECT_MOST = 1 << 30 };

int audit_digest_file(const char *file, struct sha256 *digest, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	if (file_read(AT_FDCWD, file, OBJECT_MOST, &bytes, NULL, err) < 0)
		return -1;
	*digest = sha256_of(bytes.data, bytes.len);
	return 0;
}

// ---- which rows -----------------------------------------------------------------------------------------------------

static bool same(const struct audit_row *a, const struct audit_row *b, enum audit_column c)
{
	const char *x = a->value[c], *y = b->value[c];
	return x == y || (x && y && strcmp(x, y) == 0);
}

static bool is_run(const struct audit_row *row)
{
	return audit_row_is(row, AUDIT_outcome, "run");
}

typedef bool (*row_fits)(const struct audit_row *row, uint64_t index, const void *ctx);

// The first, or the last, of the rows that `name` finds and that fit. ERR_NOT_FOUND.
static int pick(struct audit_source *s, const char *name, bool last, row_fits fits, const void *ctx, uint64_t *index,
		struct err *err)
{
	struct audit_rows found;
	bool is_found = false;
	int rc = 0;
	if (audit_source_index(s, err) < 0 || audit_index_find(s->index, name, &found, err) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < found.n && (last || !is_found); i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		rc = audit_source_row(s, found.rows[i], &a, &row, err);
		if (rc == 0 && fits(&row, found.rows[i], ctx)) {
			is_found = true;
			*index = found.rows[i];
		}
	}
	free(found.rows);
	return rc < 0 || is_found ? rc : err_set(err, ERR_NOT_FOUND, "no row is about '%s'", name);
}

static bool made_it(const struct audit_row *row, uint64_t index, const void *name)
{
	(void)index;
	return is_run(row) && (audit_row_names(row, name) & 1U << AUDIT_NAME_OUTPUT);
}

struct served {
	const struct audit_row *row;
	uint64_t index;
};

// What was given out had been made before.
static bool is_run_of(const struct audit_row *row, uint64_t index, const void *ctx)
{
	const struct served *s = ctx;
	return index < s->index && is_run(row) && same(row, s->row, AUDIT_key) && same(row, s->row, AUDIT_tenant) &&
	       same(row, s->row, AUDIT_output_digest);
}

// A row, a job, or the first run that made this object.
static int find_row(struct audit_source *s, const char *what, uint64_t *index, struct err *err)
{
	struct sha256 digest;
	char hex[SHA256_HEX];
	struct err no_row = ERR_INIT;
	if (audit_source_find(s, what, index, &no_row) == 0)
		return 0;
	if (no_row.code != ERR_NOT_FOUND || access(what, F_OK) < 0)
		return err_set(err, no_row.code, "%s, and no file of that name", no_row.text);
	if (audit_digest_file(what, &digest, err) < 0)
		return -1;
	sha256_hex(&digest, hex);
	return pick(s, hex, false, made_it, hex, index, err) < 0 ? err_wrap(err, "'%s'", what) : 0;
}

// ---- provenance -----------------------------------------------------------------------------------------------------

// A row as the log has signed it: under a checkpoint of that key, and not only in a file.
static int signed_row(struct audit_source *s, uint64_t index, const char *verifier, struct arena *a, struct audit_row *row,
		      const char **origin, struct err *err)
{
	AUTO_BUF struct buf proof = BUF_INIT;
	struct audit_proven p = {.row = BUF_INIT};
	int rc = audit_prove_row(s->dirfd, index, &proof, err);
	if (rc == 0)
		rc = audit_check_proof(proof.data, proof.len, verifier, &p, err);
	if (rc == 0)
		rc = audit_row_read(p.row.data, p.row.len, a, row, err);
	if (rc == 0)
		*origin = arena_strdup(a, p.checkpoint.origin);
	audit_proven_release(&p);
	return rc < 0 ? err_wrap(err, "row %" PRIu64, index) : 0;
}

// What the row's key stands for, where the worker still has it: it and the listing are what their digests in the row say.
struct files_of_row {
	struct arena arena;
	struct tree_request request;
	struct tree_source source;
	struct provenance_tree tree;
};

static bool find_files(struct files_of_row *f, struct results *results, const struct audit_row *row)
{
	struct sha256 digest;
	struct key key;
	const char *tenant = row->value[AUDIT_tenant];
	if (!audit_digest_read(row->value[AUDIT_key], &digest))
		return false;
	memcpy(key.b, digest.b, sizeof key.b);
	tree_source_init(&f->source, results, tenant, UINT64_MAX);
	return tree_request_load(results, tenant, &key, &f->arena, &f->request, NULL) == 1 &&
	       tree_source_load(&f->source, &f->request.listing, NULL) == 1;
}

static void describe_files(struct files_of_row *f)
{
	const Coffer__V1__CompileHeader *h = &f->request.header;
	f->tree = (struct provenance_tree){.directory = h->tree->directory,
					   .environment = h->tree->environment,
					   .n_environment = h->tree->n_environment,
					   .arguments = h->arguments,
					   .n_arguments = h->n_arguments,
					   .n_files = f->source.tree.n_files,
					   .files = &f->source,
					   .file = tree_source_file};
}

// The worker's results, where they are this user's, and the row's tenant has some; NULL. Opening a store can leave files in it that are
// another user's then.
static struct results *results_of_row(const char *folder, const struct audit_row *row)
{
	struct stat st;
	AUTO_FREE char *path = mem_printf("%s/results", folder);
	const char *tenant = row->value[AUDIT_tenant];
	if (!tenant || !token_is_name(tenant) || stat(path, &st) < 0 || st.st_uid != geteuid())
		return NULL;
	struct results *results = results_new(path, UINT64_MAX);
	if (results_has_tenant(results, tenant))
		return results;
	results_free(results);
	return NULL;
}

static int write_statement(struct provenance *p, const char *folder, struct buf *statement, struct err *err)
{
	struct files_of_row f = {.arena = ARENA_INIT};
	struct audit_action *action = NULL;
	bool is_tree = audit_row_is(p->run, AUDIT_language, "tree"),
	     is_action = audit_row_is(p->run, AUDIT_language, "action");
	struct results *results = is_tree || is_action ? results_of_row(folder, p->run) : NULL;
	if (results && is_tree && find_files(&f, results, p->run)) {
		describe_files(&f);
		p->tree = &f.tree;
	}
	if (results && is_action && (action = audit_action_load(results, p->run)))
		p->tree = audit_action_tree(action);
	int rc = provenance_write(p, statement, err);
	p->tree = NULL;
	audit_action_free(action);
	tree_source_release(&f.source);
	results_free(results);
	arena_release(&f.arena);
	return rc;
}

static int make(struct audit_source *s, const char *what, const struct note_signer *signer, const char *builder,
		struct buf *envelope, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf statement = BUF_INIT;
	const char *verifier = note_signer_verifier(signer);
	struct audit_row row, run;
	struct provenance p = {.run = &row, .builder = builder};
	if (find_row(s, what, &p.run_index, err) < 0 || signed_row(s, p.run_index, verifier, &a, &row, &p.origin, err) < 0)
		return -1;
	if (!is_run(&row)) {
		struct served served = {&row, p.run_index};
		p.served = &row;
		p.served_index = p.run_index;
		p.run = &run;
		int rc = row.value[AUDIT_key] ? pick(s, row.value[AUDIT_key], true, is_run_of, &served, &p.run_index, err)
					      : err_set(err, ERR_NOT_FOUND, "it has no result");
		if (rc < 0 && err->code == ERR_NOT_FOUND)
			return err_set(err, ERR_NOT_FOUND,
				       "row %" PRIu64
				       " is no run, and the run that made its outputs is not before it in this log",
				       p.served_index);
		if (rc < 0 || signed_row(s, p.run_index, verifier, &a, &run, &p.origin, err) < 0)
			return -1;
	}
	if (write_statement(&p, path_dir(&a, s->directory), &statement, err) < 0)
		return -1;
	return dsse_sign(signer, PROVENANCE_PAYLOAD, &statement, envelope, err);
}

int audit_print_provenance(struct audit_source *s, const char *what, const char *key, const char *builder, struct err *err)
{
	AUTO_BUF struct buf envelope = BUF_INIT;
	AUTO_BUF struct buf note = BUF_INIT;
	AUTO_FREE char *own = mem_printf("%s/key", s->directory);
	struct checkpoint c;
	struct note_signer *signer;
	if (audit_read_checkpoint(s->dirfd, NULL, &c, &note, err) < 0 ||
	    note_signer_open(key ? key : own, c.origin, false, &signer, err) < 0)
		return -1;
	int rc = make(s, what, signer, builder, &envelope, err);
	note_signer_free(signer);
	if (rc == 0)
		fwrite(envelope.data, 1, envelope.len, stdout);
	return rc;
}

// ---- checking -------------------------------------------------------------------------------------------------------

static int is_subject(const struct provenance_said *said, const char *object, struct err *err)
{
	struct sha256 digest;
	if (audit_digest_file(object, &digest, err) < 0)
		return -1;
	for (size_t i = 0; i < said->n_subjects; i++)
		if (memcmp(said->subjects[i].sha256, digest.b, sizeof digest.b) == 0) {
			printf("'%s' is its %s\n", object, said->subjects[i].name);
			return 0;
		}
	return err_set(err, ERR_ACCESS, "it says nothing of '%s': that is another file, or was changed since", object);
}

int audit_verify_provenance(const char *file, const char *verifier, char *const *objects, int n, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	struct provenance_said said;
	if (file_read(AT_FDCWD, file, DSSE_MAX, &text, NULL, err) < 0)
		return -1;
	if (provenance_open(text.data ? text.data : "", text.len, verifier, &a, &said, err) < 0)
		return err_wrap(err, "'%s'", file);
	for (int i = 0; i < n; i++)
		if (is_subject(&said, objects[i], err) < 0)
			return -1;
	printf("made by %s in job %s%s%s\nsource    %s\ntoolchain %s\n", said.builder, said.invocation,
	       said.finished ? ", " : "", said.finished ? said.finished : "", said.source, said.toolchain);
	return 0;
}

#include "client/verbs/audit_provenance.h"

#include "audit/provenance.h"
#include "audit/verify.h"
#include "base/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OBJECT_MOST = 1 << 30 };

int audit_digest_file(const char *file, uint8_t sha256[32], struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	if (file_read(AT_FDCWD, file, OBJECT_MOST, &bytes, NULL, err) < 0)
		return -1;
	if (EVP_Digest(bytes.data ? bytes.data : "", bytes.len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return err_set(err, ERR_IO, "cannot hash '%s'", file);
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
	return row->value[AUDIT_outcome] && strcmp(row->value[AUDIT_outcome], "run") == 0;
}

// Calls `fits` for each row that `name` finds; the first, or the last, that does. ERR_NOT_FOUND.
static int pick(struct audit_source *s, const char *name, bool last, bool (*fits)(const struct audit_row *, const void *),
		const void *ctx, uint64_t *index, struct err *err)
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
		if (rc == 0 && fits(&row, ctx)) {
			is_found = true;
			*index = found.rows[i];
		}
	}
	free(found.rows);
	return rc < 0 || is_found ? rc : err_set(err, ERR_NOT_FOUND, "no row is about '%s'", name);
}

static bool made_it(const struct audit_row *row, const void *name)
{
	return is_run(row) && (audit_row_names(row, name) & 1U << AUDIT_NAME_OUTPUT);
}

static bool is_run_of(const struct audit_row *row, const void *served)
{
	return is_run(row) && same(row, served, AUDIT_key) && same(row, served, AUDIT_tenant) &&
	       same(row, served, AUDIT_output_digest);
}

// A row, a job, or the first run that made this object.
static int find_row(struct audit_source *s, const char *what, uint64_t *index, struct err *err)
{
	uint8_t sha256[32];
	char hex[65];
	struct err no_row = ERR_INIT;
	if (audit_source_find(s, what, index, &no_row) == 0)
		return 0;
	if (no_row.code != ERR_NOT_FOUND || access(what, F_OK) < 0)
		return err_set(err, no_row.code, "%s, and no file of that name", no_row.text);
	if (audit_digest_file(what, sha256, err) < 0)
		return -1;
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
	return pick(s, hex, false, made_it, hex, index, err) < 0 ? err_wrap(err, "'%s'", what) : 0;
}

// ---- provenance -----------------------------------------------------------------------------------------------------

int audit_print_provenance(struct audit_source *s, const char *what, const char *key, const char *builder, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf statement = BUF_INIT;
	AUTO_BUF struct buf envelope = BUF_INIT;
	AUTO_BUF struct buf note = BUF_INIT;
	struct audit_row row, run;
	struct checkpoint c;
	struct note_signer *signer;
	struct provenance p = {.run = &row, .builder = builder};
	if (find_row(s, what, &p.run_index, err) < 0 || audit_source_row(s, p.run_index, &a, &row, err) < 0 ||
	    audit_read_checkpoint(s->dirfd, NULL, &c, &note, err) < 0)
		return -1;
	p.origin = c.origin;
	if (!is_run(&row)) {
		p.served = &row;
		p.served_index = p.run_index;
		p.run = &run;
		if (!row.value[AUDIT_key] || pick(s, row.value[AUDIT_key], true, is_run_of, &row, &p.run_index, err) < 0)
			return err_set(err, ERR_NOT_FOUND,
				       "row %" PRIu64 " is no run, and the run that made its outputs is not in this log",
				       p.served_index);
		if (audit_source_row(s, p.run_index, &a, &run, err) < 0)
			return -1;
	}
	if (provenance_write(&p, &statement, err) < 0 ||
	    note_signer_open(key ? key : arena_printf(&a, "%s/key", s->directory), c.origin, false, &signer, err) < 0)
		return -1;
	int rc = dsse_sign(signer, PROVENANCE_PAYLOAD, &statement, &envelope, err);
	note_signer_free(signer);
	if (rc == 0)
		fwrite(envelope.data, 1, envelope.len, stdout);
	return rc;
}

// ---- checking -------------------------------------------------------------------------------------------------------

static int is_subject(const struct provenance_said *said, const char *object, struct err *err)
{
	uint8_t sha256[32];
	if (audit_digest_file(object, sha256, err) < 0)
		return -1;
	for (size_t i = 0; i < said->n_subjects; i++)
		if (memcmp(said->subjects[i].sha256, sha256, 32) == 0) {
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

#include "audit/verify.h"

#include "audit/reader.h"
#include "audit/tiles.h"
#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int audit_read_verifier(int dirfd, char verifier[NOTE_KEY_MAX], struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	if (file_read(dirfd, "key.pub", NOTE_KEY_MAX - 1, &text, NULL, err) < 0)
		return err_wrap(err, "cannot read the log's verifier key");
	snprintf(verifier, NOTE_KEY_MAX, "%.*s", (int)strcspn(text.data ? text.data : "", "\r\n"),
		 text.data ? text.data : "");
	return 0;
}

int audit_read_checkpoint(int dirfd, const char *verifier, struct checkpoint *c, struct buf *note, struct err *err)
{
	if (file_read(dirfd, "checkpoint", NOTE_MAX, note, NULL, err) < 0)
		return err_wrap(err, "cannot read the log's checkpoint");
	return note_open(note->data, note->len, verifier, c, err);
}

// Which row does not hash to its leaf? The tiles say what it was.
static int find_changed(int dirfd, uint64_t size, struct err *err)
{
	struct tiles *tiles = mem_alloc(sizeof *tiles);
	struct audit_reader r;
	const char *line;
	size_t n;
	int rc;
	tiles_init(tiles, dirfd, size);
	audit_reader_init(&r, dirfd);
	while (r.index < size && (rc = audit_reader_next(&r, &line, &n, err)) == 1) {
		struct merkle_hash leaf = merkle_leaf(line, n), was;
		if (tiles_leaf(tiles, r.index - 1, &was, err) < 0)
			break;
		if (!merkle_equal(&leaf, &was)) {
			err_set(err, ERR_FORMAT, "row %" PRIu64 " is not the one that was signed", r.index - 1);
			break;
		}
	}
	if (r.index >= size && err->code == ERR_NONE)
		err_set(err, ERR_FORMAT, "rows and hashes were changed together: they are not what was signed");
	audit_reader_release(&r);
	free(tiles);
	return -1;
}

static int check_row(const char *line, size_t n, uint64_t index, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct audit_row row;
	return audit_row_read(line, n, &a, &row, err) < 0 ? err_wrap(err, "row %" PRIu64, index) : 0;
}

static int check_root(const struct merkle_edge *edge, const struct checkpoint *c, const char *what, struct err *err)
{
	struct merkle_hash root = merkle_edge_root(edge);
	return merkle_equal(&root, &c->root)
		       ? 0
		       : err_set(err, ERR_ACCESS, "the first %" PRIu64 " rows are not those of %s", c->size, what);
}

int audit_verify(int dirfd, const char *given, const struct buf *kept_note, struct audit_verified *v, struct err *err)
{
	char own[NOTE_KEY_MAX];
	AUTO_BUF struct buf note = BUF_INIT;
	struct checkpoint kept = {0};
	struct merkle_edge edge = {.n = 0};
	struct audit_reader r;
	const char *line, *verifier = given ? given : own;
	size_t n;
	int rc = 0;
	*v = (struct audit_verified){0};
	if ((!given && audit_read_verifier(dirfd, own, err) < 0) ||
	    audit_read_checkpoint(dirfd, verifier, &v->checkpoint, &note, err) < 0)
		return -1;
	if (kept_note && note_open(kept_note->data ? kept_note->data : "", kept_note->len, verifier, &kept, err) < 0)
		return err_wrap(err, "the checkpoint that was kept");
	if (kept.size > v->checkpoint.size || (kept_note && strcmp(kept.origin, v->checkpoint.origin) != 0))
		return err_set(err, ERR_ACCESS,
			       "the log of '%s' has %" PRIu64 " rows; the checkpoint that was kept has %" PRIu64 " of '%s'",
			       v->checkpoint.origin, v->checkpoint.size, kept.size, kept.origin);
	audit_reader_init(&r, dirfd);
	while (rc == 0 && edge.size < v->checkpoint.size) {
		rc = audit_reader_next(&r, &line, &n, err);
		if (rc != 1) {
			rc = rc < 0 ? -1
				    : err_set(err, ERR_FORMAT, "the log has %" PRIu64 " rows, %" PRIu64 " were signed",
					      edge.size, v->checkpoint.size);
			break;
		}
		struct merkle_hash leaf = merkle_leaf(line, n);
		rc = check_row(line, n, edge.size, err);
		merkle_edge_add(&edge, &leaf);
		if (rc == 0 && kept_note && edge.size == kept.size)
			rc = check_root(&edge, &kept, "the checkpoint that was kept", err);
	}
	v->rows = edge.size;
	if (rc == 0) {
		struct merkle_hash root = merkle_edge_root(&edge);
		rc = merkle_equal(&root, &v->checkpoint.root) ? 0 : find_changed(dirfd, v->checkpoint.size, err);
	}
	while (rc == 0 && (rc = audit_reader_next(&r, &line, &n, err)) == 1) {
		v->unsigned_rows++;
		rc = 0;
	}
	audit_reader_release(&r);
	return rc;
}

#include "audit/proof.h"

#include "audit/reader.h"
#include "audit/tiles.h"
#include "audit/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROW_HEAD "c2sp.org/tlog-proof@v1\n"
#define CONSISTENCY_HEAD "coffer consistency 1\n"

// ---- making them ----------------------------------------------------------------------------------------------------

static void put_hashes(struct buf *b, const struct merkle_hash *hashes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		base64_encode(b, hashes[i].b, sizeof hashes[i].b);
		buf_addc(b, '\n');
	}
	buf_addc(b, '\n');
}

int audit_prove_row(int dirfd, uint64_t index, struct buf *proof, struct err *err)
{
	AUTO_BUF struct buf note = BUF_INIT;
	AUTO_FREE struct tiles *tiles = mem_alloc(sizeof *tiles);
	struct merkle_hash hashes[MERKLE_MAX_PROOF];
	struct checkpoint c;
	struct audit_reader r;
	const char *line;
	size_t n = 0, n_line;
	if (audit_read_checkpoint(dirfd, NULL, &c, &note, err) < 0)
		return -1;
	tiles_init(tiles, dirfd, c.size);
	struct merkle_tree tree = tiles_tree(tiles);
	if (merkle_prove_inclusion(&tree, index, c.size, hashes, &n, err) < 0)
		return -1;
	audit_reader_init(&r, dirfd);
	int rc = audit_reader_seek(&r, index, err);
	if (rc == 0)
		rc = audit_reader_next(&r, &line, &n_line, err) == 1 ? 0
								     : err_set(err, ERR_FORMAT, "the log has lost its row");
	if (rc == 0) {
		buf_adds(proof, ROW_HEAD "extra ");
		base64_encode(proof, line, n_line);
		buf_addf(proof, "\nindex %" PRIu64 "\n", index);
		put_hashes(proof, hashes, n);
		buf_add(proof, note.data, note.len);
	}
	audit_reader_release(&r);
	return rc;
}

int audit_prove_consistency(int dirfd, const struct buf *old_note, struct buf *proof, struct err *err)
{
	AUTO_BUF struct buf note = BUF_INIT;
	AUTO_FREE struct tiles *tiles = mem_alloc(sizeof *tiles);
	struct merkle_hash hashes[MERKLE_MAX_PROOF];
	struct checkpoint c, old;
	size_t n = 0;
	if (note_open(old_note->data ? old_note->data : "", old_note->len, NULL, &old, err) < 0 ||
	    audit_read_checkpoint(dirfd, NULL, &c, &note, err) < 0)
		return -1;
	tiles_init(tiles, dirfd, c.size);
	struct merkle_tree tree = tiles_tree(tiles);
	if (old.size && merkle_prove_consistency(&tree, old.size, c.size, hashes, &n, err) < 0)
		return -1;
	buf_adds(proof, CONSISTENCY_HEAD);
	put_hashes(proof, hashes, n);
	buf_add(proof, old_note->data, old_note->len);
	buf_addc(proof, '\n');
	buf_add(proof, note.data, note.len);
	return 0;
}

// ---- checking them --------------------------------------------------------------------------------------------------

static int no_proof(struct err *err)
{
	return err_set(err, ERR_FORMAT, "it is no proof of an audit log");
}

static bool skip(const char **at, const char *end, const char *head)
{
	size_t n = strlen(head);
	if ((size_t)(end - *at) < n || memcmp(*at, head, n) != 0)
		return false;
	*at += n;
	return true;
}

// The hashes up to the empty line; -1: they are none.
static int get_hashes(const char **at, const char *end, struct merkle_hash hashes[MERKLE_MAX_PROOF], size_t *n)
{
	for (*n = 0;;) {
		AUTO_BUF struct buf raw = BUF_INIT;
		const char *stop = memchr(*at, '\n', (size_t)(end - *at));
		if (!stop)
			return -1;
		size_t length = (size_t)(stop - *at);
		if (length == 0) {
			*at = stop + 1;
			return 0;
		}
		if (*n == MERKLE_MAX_PROOF || !base64_decode(&raw, *at, length) || raw.len != sizeof hashes->b)
			return -1;
		memcpy(hashes[(*n)++].b, raw.data, raw.len);
		*at = stop + 1;
	}
}

static int check_row(const char *at, const char *end, const char *verifier, struct audit_proven *p, struct err *err)
{
	struct merkle_hash hashes[MERKLE_MAX_PROOF];
	size_t n, digits;
	const char *stop = skip(&at, end, "extra ") ? memchr(at, '\n', (size_t)(end - at)) : NULL;
	if (!stop || !base64_decode(&p->row, at, (size_t)(stop - at)))
		return no_proof(err);
	at = stop + 1;
	if (!skip(&at, end, "index ") || !(stop = memchr(at, '\n', (size_t)(end - at))))
		return no_proof(err);
	digits = strspn(at, "0123456789");
	if (digits == 0 || digits > 18 || at + digits != stop || (at[0] == '0' && digits > 1))
		return no_proof(err);
	p->index = strtoull(at, NULL, 10);
	at = stop + 1;
	if (get_hashes(&at, end, hashes, &n) < 0)
		return no_proof(err);
	if (note_open(at, (size_t)(end - at), verifier, &p->checkpoint, err) < 0)
		return -1;
	struct merkle_hash leaf = merkle_leaf(p->row.data ? p->row.data : "", p->row.len);
	if (!merkle_check_inclusion(&leaf, p->index, p->checkpoint.size, hashes, n, &p->checkpoint.root))
		return err_set(err, ERR_ACCESS, "the row is not in the log that the checkpoint is about");
	return 0;
}

static int check_consistency(const char *at, const char *end, const char *verifier, struct audit_proven *p, struct err *err)
{
	struct merkle_hash hashes[MERKLE_MAX_PROOF];
	size_t n;
	p->is_consistency = true;
	if (get_hashes(&at, end, hashes, &n) < 0)
		return no_proof(err);
	// The old note ends at the empty line behind its signatures, which is the second one in it.
	const char *body = memmem(at, (size_t)(end - at), "\n\n", 2);
	const char *stop = body ? memmem(body + 2, (size_t)(end - body - 2), "\n\n", 2) : NULL;
	if (!stop)
		return no_proof(err);
	if (note_open(at, (size_t)(stop + 1 - at), verifier, &p->old, err) < 0 ||
	    note_open(stop + 2, (size_t)(end - stop - 2), verifier, &p->checkpoint, err) < 0)
		return -1;
	if (strcmp(p->old.origin, p->checkpoint.origin) != 0)
		return err_set(err, ERR_ACCESS, "the checkpoints are of two logs");
	if (p->old.size &&
	    !merkle_check_consistency(p->old.size, &p->old.root, p->checkpoint.size, &p->checkpoint.root, hashes, n))
		return err_set(err, ERR_ACCESS,
			       "the log does not continue the old checkpoint: rows were changed or left out");
	return 0;
}

int audit_check_proof(const char *text, size_t n, const char *verifier, struct audit_proven *p, struct err *err)
{
	const char *at = text, *end = text + n;
	*p = (struct audit_proven){.row = BUF_INIT};
	if (n <= PROOF_MAX && skip(&at, end, ROW_HEAD))
		return check_row(at, end, verifier, p, err);
	if (n <= PROOF_MAX && skip(&at, end, CONSISTENCY_HEAD))
		return check_consistency(at, end, verifier, p, err);
	return no_proof(err);
}

void audit_proven_release(struct audit_proven *p)
{
	buf_release(&p->row);
}

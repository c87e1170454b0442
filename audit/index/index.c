#include "audit/index/index.h"

#include "audit/log.h"
#include "audit/merkle.h"
#include "codec/hash.h"

#include <ctype.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A place every so many rows; names are sorted and put into the tree in batches, as a tree is made fastest in its order.
enum { VERSION = 1, PLACE_ROWS = 256, BATCH_ROWS = 1 << 20, WAIT_MS = 60000, TIME_MAX = 40 };

struct audit_index {
	sqlite3 *db;
	int log_dirfd;
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS known(one INTEGER PRIMARY KEY CHECK(one = 1), rows INTEGER, last BLOB);"
	"CREATE TABLE IF NOT EXISTS names(hash INTEGER, row INTEGER, PRIMARY KEY(hash, row)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS images(digest TEXT PRIMARY KEY, rows INTEGER, first INTEGER, last INTEGER)"
	" WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS places(row INTEGER PRIMARY KEY, offset INTEGER, time TEXT);"
	"CREATE INDEX IF NOT EXISTS times ON places(time);"
	"INSERT OR IGNORE INTO known VALUES(1, 0, x'');";

static int fail(const struct audit_index *x, struct err *err)
{
	int rc = sqlite3_errcode(x->db) & 0xff;
	enum err_code code = rc == SQLITE_FULL                                                     ? ERR_FULL
			     : rc == SQLITE_READONLY || rc == SQLITE_CANTOPEN || rc == SQLITE_PERM ? ERR_ACCESS
			     : rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB                         ? ERR_FORMAT
												   : ERR_IO;
	return err_set(err, code, "the index of the audit log: %s", sqlite3_errmsg(x->db));
}

static int run(struct audit_index *x, const char *sql, struct err *err)
{
	return sqlite3_exec(x->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(x, err);
}

static sqlite3_stmt *prepare(struct audit_index *x, const char *sql, struct err *err)
{
	sqlite3_stmt *s = NULL;
	if (sqlite3_prepare_v2(x->db, sql, -1, &s, NULL) != SQLITE_OK)
		fail(x, err);
	return s;
}

static void finalize(sqlite3_stmt **s)
{
	sqlite3_finalize(*s);
}
#define AUTO_STMT __attribute__((cleanup(finalize)))

// One step of a statement that gives nothing back; it may be run again.
static int done(struct audit_index *x, sqlite3_stmt *s, struct err *err)
{
	int rc = sqlite3_step(s);
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : fail(x, err);
}

// ---- names ----------------------------------------------------------------------------------------------------------

static const enum audit_column name_columns[AUDIT_NAMES] = {AUDIT_key, AUDIT_source_digest, AUDIT_output_digest, AUDIT_job};

static const char *digits_of(const char *what)
{
	return strncmp(what, "sha256:", 7) == 0 ? what + 7 : what;
}

bool audit_is_digest(const char *what)
{
	const char *hex = digits_of(what);
	size_t n = strspn(hex, "0123456789abcdef");
	return n >= AUDIT_PREFIX && n <= 64 && !hex[n];
}

// The next "sha256:…" in a list ("sha256:…,dwo=sha256:…"); NULL: no more.
static const char *next_digest(const char **at)
{
	const char *found = *at ? strstr(*at, "sha256:") : NULL;
	if (found)
		*at = found + 7;
	return found;
}

unsigned audit_row_names(const struct audit_row *row, const char *what)
{
	const char *hex = digits_of(what);
	unsigned names = 0;
	for (unsigned i = 0; i < AUDIT_NAMES; i++) {
		const char *value = row->value[name_columns[i]], *at = value;
		if (i == AUDIT_NAME_JOB)
			names |= (value && strcmp(value, what) == 0 ? 1U : 0) << i;
		else if (audit_is_digest(what))
			for (const char *d; (d = next_digest(&at));)
				names |= (strncmp(d + 7, hex, strlen(hex)) == 0 ? 1U : 0) << i;
	}
	return names;
}

// The first 64 bits of a digest, as a number in SQLite's order; a short one is filled up with `fill`.
static int64_t number_of(const char *hex, char fill)
{
	char digits[17];
	memset(digits, fill, 16);
	size_t n = strspn(hex, "0123456789abcdef");
	memcpy(digits, hex, n < 16 ? n : 16);
	digits[16] = '\0';
	return (int64_t)strtoull(digits, NULL, 16);
}

static int64_t number_of_job(const char *job)
{
	struct digest d = digest_of(job, strlen(job));
	int64_t number;
	memcpy(&number, d.b, sizeof number);
	return number;
}

// ---- opening --------------------------------------------------------------------------------------------------------

static int begin_again(struct audit_index *x, struct err *err)
{
	return run(x,
		   "DROP TABLE IF EXISTS known; DROP TABLE IF EXISTS names; DROP TABLE IF EXISTS images; DROP TABLE IF "
		   "EXISTS "
		   "places;",
		   err) < 0
		       ? -1
		       : run(x, schema, err);
}

int audit_index_clear(struct audit_index *x, struct err *err)
{
	return begin_again(x, err);
}

static int version_of(struct audit_index *x, int *version, struct err *err)
{
	AUTO_STMT sqlite3_stmt *s = prepare(x, "PRAGMA user_version", err);
	if (!s || sqlite3_step(s) != SQLITE_ROW)
		return fail(x, err);
	*version = sqlite3_column_int(s, 0);
	return 0;
}

int audit_index_open(const char *file, int log_dirfd, struct audit_index **index, struct err *err)
{
	struct audit_index *x = mem_alloc(sizeof *x);
	char set_version[64];
	int version = 0;
	x->log_dirfd = log_dirfd;
	snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d", VERSION);
	int rc = sqlite3_open_v2(file, &x->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL);
	rc = rc == SQLITE_OK ? 0 : err_set(err, ERR_ACCESS, "cannot open '%s': %s", file, sqlite3_errmsg(x->db));
	// What a power cut spoils is made again, so nothing waits for the disk.
	if (rc == 0 &&
	    (sqlite3_busy_timeout(x->db, WAIT_MS) != SQLITE_OK ||
	     run(x, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;", err) < 0 ||
	     version_of(x, &version, err) < 0))
		rc = -1;
	if (rc == 0 && version != VERSION)
		rc = begin_again(x, err) < 0 || run(x, set_version, err) < 0 ? -1 : 0;
	else if (rc == 0)
		rc = run(x, schema, err);
	if (rc < 0) {
		audit_index_close(x);
		return err_wrap(err, "'%s'", file);
	}
	*index = x;
	return 0;
}

void audit_index_close(struct audit_index *x)
{
	if (!x)
		return;
	sqlite3_close(x->db);
	free(x);
}

// ---- taking in rows -------------------------------------------------------------------------------------------------

struct intake {
	struct audit_index *index;
	sqlite3_stmt *name, *image, *place;
	struct merkle_hash last;
	// The place that is being filled: PLACE_ROWS rows, where the first of them begins, and the latest time of them all (clocks are
	// set back now and then).
	uint64_t place_row;
	off_t place_offset;
	char place_time[TIME_MAX];
};

static void intake_end(struct intake *t)
{
	sqlite3_finalize(t->name);
	sqlite3_finalize(t->image);
	sqlite3_finalize(t->place);
}

static int add_name(struct intake *t, int64_t hash, uint64_t row, struct err *err)
{
	sqlite3_bind_int64(t->name, 1, hash);
	sqlite3_bind_int64(t->name, 2, (int64_t)row);
	return done(t->index, t->name, err);
}

// A place that was begun in an earlier batch keeps its offset.
static int save_place(struct intake *t, struct err *err)
{
	sqlite3_bind_int64(t->place, 1, (int64_t)t->place_row);
	sqlite3_bind_int64(t->place, 2, t->place_offset);
	sqlite3_bind_text(t->place, 3, t->place_time, -1, SQLITE_TRANSIENT);
	return done(t->index, t->place, err);
}

static int note_time(struct intake *t, const char *time, uint64_t index, off_t offset, struct err *err)
{
	if (index % PLACE_ROWS == 0) {
		if (t->place_time[0] && save_place(t, err) < 0)
			return -1;
		t->place_offset = offset;
		t->place_time[0] = '\0';
	}
	t->place_row = index - index % PLACE_ROWS;
	if (strcmp(time, t->place_time) > 0)
		snprintf(t->place_time, sizeof t->place_time, "%s", time);
	return 0;
}

static int add_row(struct intake *t, const struct audit_row *row, uint64_t index, off_t offset, struct err *err)
{
	const char *image = row->value[AUDIT_image_digest], *job = row->value[AUDIT_job];
	for (unsigned i = 0; i < AUDIT_NAME_JOB; i++) {
		const char *at = row->value[name_columns[i]];
		for (const char *d; (d = next_digest(&at));)
			if (add_name(t, number_of(d + 7, '0'), index, err) < 0)
				return -1;
	}
	if (job && add_name(t, number_of_job(job), index, err) < 0)
		return -1;
	if (note_time(t, row->value[AUDIT_time] ? row->value[AUDIT_time] : "-", index, offset, err) < 0)
		return -1;
	if (!image)
		return 0;
	sqlite3_bind_text(t->image, 1, image, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(t->image, 2, (int64_t)index);
	return done(t->index, t->image, err);
}

// Up to BATCH_ROWS rows. 1: there may be more.
static int take_rows(struct intake *t, struct audit_reader *r, struct err *err)
{
	const char *line;
	size_t n;
	AUTO_ARENA struct arena a = ARENA_INIT;
	for (unsigned i = 0; i < BATCH_ROWS; i++) {
		struct audit_row row;
		off_t offset = r->index % AUDIT_SEGMENT_ROWS ? r->offset : 0;
		uint64_t index = r->index;
		int rc = audit_reader_next(r, &line, &n, err);
		if (rc != 1)
			return rc;
		if (audit_row_read(line, n, &a, &row, err) < 0)
			return err_wrap(err, "row %" PRIu64, index);
		t->last = merkle_leaf(line, n);
		if (add_row(t, &row, index, offset, err) < 0)
			return -1;
		if (a.total > 1 << 20)
			arena_release(&a);
	}
	return 1;
}

// How many rows are known. The last of them must still be the one that it was.
static int known_rows(struct audit_index *x, struct audit_reader *r, uint64_t *rows, struct err *err)
{
	AUTO_STMT sqlite3_stmt *s = prepare(x, "SELECT rows, last FROM known", err);
	const char *line;
	size_t n;
	if (!s || sqlite3_step(s) != SQLITE_ROW)
		return fail(x, err);
	*rows = (uint64_t)sqlite3_column_int64(s, 0);
	if (*rows == 0)
		return 0;
	struct err gone = ERR_INIT;
	if (audit_index_seek(x, r, *rows - 1, &gone) == 0 && audit_reader_next(r, &line, &n, &gone) == 1) {
		struct merkle_hash leaf = merkle_leaf(line, n);
		if (sqlite3_column_bytes(s, 1) == (int)sizeof leaf &&
		    memcmp(sqlite3_column_blob(s, 1), &leaf, sizeof leaf) == 0)
			return 0;
	}
	sqlite3_reset(s);
	*rows = 0;
	return begin_again(x, err) < 0 ? -1 : audit_reader_seek(r, 0, err);
}

static int save_known(struct intake *t, uint64_t rows, struct err *err)
{
	AUTO_STMT sqlite3_stmt *s = prepare(t->index, "UPDATE known SET rows = ?, last = ?", err);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, (int64_t)rows);
	sqlite3_bind_blob(s, 2, &t->last, sizeof t->last, SQLITE_STATIC);
	return done(t->index, s, err);
}

// One transaction. 1: there may be more rows.
static int take_batch(struct audit_index *x, struct audit_reader *r, uint64_t *rows, struct err *err)
{
	int rc;
	struct intake t = {.index = x};
	if (known_rows(x, r, rows, err) < 0)
		return -1;
	if (run(x, "CREATE TEMP TABLE IF NOT EXISTS fresh(hash INTEGER, row INTEGER)", err) < 0)
		return -1;
	t.name = prepare(x, "INSERT INTO fresh VALUES(?, ?)", err);
	t.place = prepare(
		x, "INSERT INTO places VALUES(?, ?, ?) ON CONFLICT(row) DO UPDATE SET time = max(time, excluded.time)", err);
	t.image = prepare(
		x, "INSERT INTO images VALUES(?1, 1, ?2, ?2) ON CONFLICT(digest) DO UPDATE SET rows = rows + 1, last = ?2",
		err);
	if (!t.name || !t.place || !t.image)
		rc = -1;
	else
		rc = take_rows(&t, r, err);
	if (rc >= 0 && r->index > *rows) {
		*rows = r->index;
		if (save_place(&t, err) < 0 ||
		    run(x, "INSERT OR IGNORE INTO names SELECT hash, row FROM fresh ORDER BY hash, row; DELETE FROM fresh;",
			err) < 0 ||
		    save_known(&t, *rows, err) < 0)
			rc = -1;
	}
	intake_end(&t);
	return rc;
}

int audit_index_catch_up(struct audit_index *x, uint64_t *rows, struct err *err)
{
	int rc;
	uint64_t n = 0;
	do {
		struct audit_reader r;
		if (run(x, "BEGIN IMMEDIATE", err) < 0)
			return -1;
		audit_reader_init(&r, x->log_dirfd);
		rc = take_batch(x, &r, &n, err);
		audit_reader_release(&r);
		if (rc < 0)
			run(x, "ROLLBACK", NULL);
		else if (run(x, "COMMIT", err) < 0)
			rc = -1;
	} while (rc == 1);
	if (rows)
		*rows = n;
	return rc;
}

// ---- finding --------------------------------------------------------------------------------------------------------

int audit_index_find(struct audit_index *x, const char *what, struct audit_rows *found, struct err *err)
{
	AUTO_STMT sqlite3_stmt *s =
		prepare(x, "SELECT DISTINCT row FROM names WHERE hash BETWEEN ? AND ? ORDER BY row", err);
	size_t room = 0;
	int rc;
	*found = (struct audit_rows){0};
	if (!s)
		return -1;
	bool is_digest = audit_is_digest(what);
	sqlite3_bind_int64(s, 1, is_digest ? number_of(digits_of(what), '0') : number_of_job(what));
	sqlite3_bind_int64(s, 2, is_digest ? number_of(digits_of(what), 'f') : number_of_job(what));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		if (found->n == room)
			found->rows = mem_realloc(found->rows, (room = room ? 2 * room : 64) * sizeof *found->rows);
		found->rows[found->n++] = (uint64_t)sqlite3_column_int64(s, 0);
	}
	return rc == SQLITE_DONE ? 0 : fail(x, err);
}

int audit_index_image(struct audit_index *x, const char *what, struct audit_image *image, struct err *err)
{
	AUTO_STMT sqlite3_stmt *s = prepare(x, "SELECT digest, rows, first, last FROM images", err);
	int rc, n = 0;
	if (!s)
		return -1;
	const char *colon = strchr(what, ':'), *digits = colon ? colon + 1 : what;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const char *digest = (const char *)sqlite3_column_text(s, 0), *after = strchr(digest, ':');
		bool is_it = colon ? strncmp(digest, what, strlen(what)) == 0
				   : strncmp(after ? after + 1 : digest, digits, strlen(digits)) == 0;
		if (!is_it || strlen(digits) < AUDIT_PREFIX)
			continue;
		if (n++)
			return err_set(err, ERR_USAGE, "several toolchains begin with '%s'", what);
		snprintf(image->digest, sizeof image->digest, "%s", digest);
		image->rows = (uint64_t)sqlite3_column_int64(s, 1);
		image->first = (uint64_t)sqlite3_column_int64(s, 2);
		image->last = (uint64_t)sqlite3_column_int64(s, 3);
	}
	return rc == SQLITE_DONE ? n : fail(x, err);
}

int audit_index_seek(struct audit_index *x, struct audit_reader *r, uint64_t row, struct err *err)
{
	AUTO_STMT sqlite3_stmt *s =
		prepare(x, "SELECT row, offset FROM places WHERE row <= ? ORDER BY row DESC LIMIT 1", err);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, (int64_t)row);
	int rc = sqlite3_step(s);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? audit_reader_seek(r, row, err) : fail(x, err);
	uint64_t near = (uint64_t)sqlite3_column_int64(s, 0);
	if (near / AUDIT_SEGMENT_ROWS != row / AUDIT_SEGMENT_ROWS)
		return audit_reader_seek(r, row, err);
	return audit_reader_resume(r, near, sqlite3_column_int64(s, 1), row, err);
}

int audit_index_since(struct audit_index *x, const char *time, uint64_t *row, struct err *err)
{
	AUTO_STMT sqlite3_stmt *s =
		prepare(x, "SELECT coalesce((SELECT min(row) FROM places WHERE time >= ?), (SELECT rows FROM known))", err);
	if (!s)
		return -1;
	sqlite3_bind_text(s, 1, time, -1, SQLITE_STATIC);
	if (sqlite3_step(s) != SQLITE_ROW)
		return fail(x, err);
	*row = (uint64_t)sqlite3_column_int64(s, 0);
	return 0;
}

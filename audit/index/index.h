// An index over the rows of an audit log, in SQLite: which rows name a digest or a job, and where in its file a row begins.
//
// The rows are what counts. The index is made of them, can be thrown away and made again, and whatever it names is read
// from the rows and compared. What it leaves out it hides: rebuild it where that matters. It notices that it belongs to
// another log, or that the last row it knows has changed, and begins again.
// Limits: a prefix of a digest has at least AUDIT_PREFIX hex digits. Thread: one for each index; processes wait for each other.
#ifndef COFFER_AUDIT_INDEX_INDEX_H
#define COFFER_AUDIT_INDEX_INDEX_H

#include "audit/reader.h"

#include <stdint.h>

enum { AUDIT_PREFIX = 8 };

struct audit_index;
// `file` is made where it is missing. ERR_ACCESS, ERR_FULL: it can't be written.
int audit_index_open(const char *file, int log_dirfd, struct audit_index **index, struct err *err);
void audit_index_close(struct audit_index *index); // NULL is fine
int audit_index_clear(struct audit_index *index, struct err *err);
// Takes in the rows that have come since. `rows`, if not NULL: how many the index knows now.
int audit_index_catch_up(struct audit_index *index, uint64_t *rows, struct err *err);

// What rows can be found by.
enum audit_name { AUDIT_NAME_KEY, AUDIT_NAME_SOURCE, AUDIT_NAME_OUTPUT, AUDIT_NAME_JOB, AUDIT_NAMES };

// A digest as somebody types it: "sha256:" may stand before it, and the first AUDIT_PREFIX or more of its digits are enough;
// else the name of a job. The found rows hold it in one of these columns.
struct audit_rows {
	uint64_t *rows; // ascending; free() it
	size_t n;
};
int audit_index_find(struct audit_index *index, const char *what, struct audit_rows *found, struct err *err);
// Which of its digests a row has this name for: a bit for each enum audit_name.
unsigned audit_row_names(const struct audit_row *row, const char *what);
bool audit_is_digest(const char *what); // else it can only be a job

// Images are named by nearly every row, so only this is known of them.
struct audit_image {
	char digest[80];
	uint64_t rows, first, last;
};
// 1, 0 (no row has one that begins like this), -1 (also ERR_USAGE: several do).
int audit_index_image(struct audit_index *index, const char *what, struct audit_image *image, struct err *err);

// The reader goes to row `row`, which need not be in the index.
int audit_index_seek(struct audit_index *index, struct audit_reader *r, uint64_t row, struct err *err);
// A row at or before the first one whose time is not before `time`.
int audit_index_since(struct audit_index *index, const char *time, uint64_t *row, struct err *err);

#endif

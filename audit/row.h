// An audit row: one compile on one line. Values are separated by tabs; in a value every tab, newline, backslash, control
// character and byte above 0x7e is \xHH, a blank in one of the flags too; an absent value is "-", a value that is "-" is \x2d.
// So a row is plain ASCII, has one form only, and cannot be mistaken for two. Thread: any.
#ifndef COFFER_AUDIT_ROW_H
#define COFFER_AUDIT_ROW_H

#include "base/buf.h"
#include "base/mem.h"
#include "codec/sha/sha256.h"

enum audit_column {
#define COLUMN(name, text) AUDIT_##name,
#include "audit/columns.def"
#undef COLUMN
	AUDIT_COLUMNS
};
const char *audit_column_name(enum audit_column c);
const char *audit_column_text(enum audit_column c);
enum audit_column audit_column_by_name(const char *name); // AUDIT_COLUMNS: there is none

// Bytes as they are written. What is longer is cut, which shows as "…" in \x form; a worker refuses jobs whose flags would be.
enum { AUDIT_FLAGS_MAX = 24576, AUDIT_REASON_MAX = 8192, AUDIT_VALUE_MAX = 1024, AUDIT_ROW_MAX = 65536 };

struct audit_row {
	const char *value[AUDIT_COLUMNS]; // NULL: absent
};

// Adds the line without its newline.
void audit_row_write(const struct audit_row *row, struct buf *line);
// ERR_FORMAT: it is no row, or not as audit_row_write() would write it. Fewer columns are taken (an older format). In the arena.
int audit_row_read(const char *line, size_t n, struct arena *a, struct audit_row *row, struct err *err);

bool audit_row_is(const struct audit_row *row, enum audit_column c, const char *value); // false: absent
size_t audit_value_length(const char *value);                                           // as it would be written, whole
// A JSON object with its number.
void audit_row_json(struct buf *out, uint64_t index, const struct audit_row *row);

// A SHA-256 as a value: "sha256:" and 64 hex digits.
const char *audit_digest(struct arena *a, const uint8_t digest[32]);
bool audit_digest_read(const char *value, struct sha256 *digest); // and back; false: NULL, or none

// Flags as one value, and back. NULL-terminated list.
const char *audit_flags_join(struct arena *a, const char *const *flags, size_t n);
const char **audit_flags_split(struct arena *a, const char *joined, size_t *n);

#endif

// Files with `name = value` lines, read through inih without what inih takes silently.
//
// '#' and ';' begin a comment line, blanks and ';' a comment behind a value; `[section]` lines only where the caller takes
// them. A file has at most 1 MiB, a line at most 198 bytes. An error is one line that begins with "FILE:LINE: ". Thread:
// any.
#ifndef COFFER_SETTINGS_CONF_H
#define COFFER_SETTINGS_CONF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define CONF_MAX_FILE ((size_t)1 << 20)

struct conf_line {
	const char *section; // "" before the first
	const char *name;    // NULL: the section begins here
	const char *value;
	const char *where; // "FILE:LINE"
};
// 0, or -1 with an error that begins with line->where; then nothing more is read. What it keeps, it copies.
typedef int (*conf_fn)(void *ctx, const struct conf_line *line, struct err *err);

// `path` names the text in errors.
int conf_parse(const char *path, const char *text, size_t n, bool has_sections, conf_fn fn, void *ctx, struct err *err);
// The same from a file. ERR_NOT_FOUND: it is absent. ERR_ACCESS: it belongs neither to root nor to us, or everybody may
// write it.
int conf_read(const char *path, bool has_sections, conf_fn fn, void *ctx, struct err *err);
// The same whoever it belongs to: for settings that are safe in anybody's hands.
int conf_read_any(const char *path, bool has_sections, conf_fn fn, void *ctx, struct err *err);

#endif

// How verbs print: numbers for people, and lines for programs.
//
// --tsv is one record a line, fields with a tab between; a tab, newline or backslash inside a field is written \t, \n or
// \\. --json is one object. Both are for programs: names and units do not change, new ones may come. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_FORMAT_H
#define COFFER_CLIENT_VERBS_FORMAT_H

#include "base/mem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

const char *format_bytes(struct arena *a, uint64_t n);                      // "1.5 GiB"
const char *format_duration(struct arena *a, uint64_t us);                  // "2 h 13 min", "4.2 s", "85 ms"
const char *format_percent(struct arena *a, uint64_t part, uint64_t whole); // "81.0 %"; "" if whole is 0
// One line that does nothing to a terminal: names and words come from anybody's sources.
const char *format_shown(struct arena *a, const char *text);
const char *format_date(struct arena *a, int64_t seconds); // local time, "2024-05-01 13:45"

enum style { STYLE_HEADING, STYLE_GOOD, STYLE_BAD, STYLE_COUNT };
// The escape that begins a style on stdout, and format_plain() the one that ends it; "" unless stdout is a terminal that
// shows colours and NO_COLOR is not set.
const char *format_style(enum style s);
const char *format_plain(void);

void put_field(const char *text); // one field of --tsv, without the tab
// A string that is always valid: bytes that are not UTF-8 become '?'.
json_t *json_text(const char *text);
void put_json(json_t *object); // prints and frees it

#endif

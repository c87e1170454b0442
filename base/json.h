// Writing JSON into a buffer, for lines that are written often. (Reading it is jansson's.) Thread: any.
#ifndef COFFER_BASE_JSON_H
#define COFFER_BASE_JSON_H

#include "base/buf.h"

// A string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that every reader takes the line. NULL is null.
void json_add_str(struct buf *b, const char *s);
// `,"name":` (without the comma after '{' or '[' or at the start), then the value.
void json_add_name(struct buf *b, const char *name);
void json_add_field(struct buf *b, const char *name, const char *value);
void json_add_number(struct buf *b, const char *name, int64_t value);

#endif

// A list of HTTP/2 header fields, in one piece of memory. Belongs to whoever holds it.
#ifndef COFFER_REMOTE_HEADERS_H
#define COFFER_REMOTE_HEADERS_H

#include "base/buf.h"

struct headers {
	struct buf text; // name '\0' value '\0' …
	size_t n;
};

void headers_add(struct headers *h, const char *name, const char *value);
void headers_addn(struct headers *h, const void *name, size_t name_len, const void *value, size_t value_len);
const char *headers_get(const struct headers *h, const char *name); // the first of that name, or NULL
// Visits all; *at starts as 0. The lengths may be NULL.
bool headers_next(const struct headers *h, size_t *at, const char **name, const char **value);
// What may be sent as metadata: names of a-z, 0-9, '_', '-', '.', not gRPC's or HTTP's own; values in printable ASCII.
bool headers_is_metadata(const char *name, const char *value);
void headers_release(struct headers *h);

#endif

// `coffer status` for people. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_STATUS_H
#define COFFER_CLIENT_VERBS_STATUS_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

enum { STATUS_WIDTH = 80 };

struct status_view {
	unsigned width; // columns; below STATUS_WIDTH a worker's line has fewer of its numbers
	unsigned
		rows; // lines at most: empty ones are left out first, then the last one says how many more there are; 0: no limit
	bool is_cut;        // what is longer than the width
	const char *corner; // at the end of the first line, or ""
	bool has_blocks;    // the terminal shows more than ASCII
};
// `status` is the object of docs/status.md.
void status_show(const struct status_view *view, const json_t *status, struct buf *out);

#endif

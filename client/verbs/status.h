// `coffer status` for people. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_STATUS_H
#define COFFER_CLIENT_VERBS_STATUS_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

enum { STATUS_WIDTH = 80 };

struct status_view {
	unsigned width;     // columns, at least STATUS_WIDTH
	unsigned rows;      // lines at most, the last of them says how many more workers there are; 0: no limit
	bool is_cut;        // what is longer than the width
	const char *corner; // at the end of the first line, or ""
	bool has_blocks;    // the terminal shows more than ASCII
};
// `status` is the daemon's object (docs/status.md), or NULL: none runs.
void status_show(const struct status_view *view, const json_t *status, struct buf *out);

#endif

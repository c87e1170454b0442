// Which lines differ between two texts: for explanations, so bounded in size rather than in elegance. Thread: any.
#ifndef COFFER_DEPSCAN_LINEDIFF_H
#define COFFER_DEPSCAN_LINEDIFF_H

#include "base/mem.h"

#include <stddef.h>

struct line_change {
	char sign;        // '-' stood in the old text, '+' stands in the new one
	unsigned line;    // number in its text, from 1
	const char *text; // without the newline
};

#define LINEDIFF_MAX_CHANGES 200u

// The changes in order, at most LINEDIFF_MAX_CHANGES; *n_all counts those beyond as well. Very long differing stretches are
// shown as removed and added in whole.
unsigned linediff(struct arena *a, const char *was, size_t was_len, const char *now, size_t now_len,
		  struct line_change **changes, unsigned *n_all);

#endif

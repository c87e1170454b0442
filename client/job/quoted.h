// Files that messages quote and that are no inputs: `#line 2 "gram.y"` makes gcc show the line of that file with its warning.
// Thread: the job's.
#ifndef COFFER_CLIENT_JOB_QUOTED_H
#define COFFER_CLIENT_JOB_QUOTED_H

#include "client/job/baseline.h"
#include "depscan/manifest.h"

#define QUOTED_MAX 1000u

// Adds to the entry each file that the messages name ("NAME:LINE:") and that it does not have: as an input, or as a name that
// must stay absent. Refused: such a file has changed since the compile began, or there are too many.
struct refusal quoted_add(const struct plan *p, const struct baseline *b, const struct buf *messages,
			  struct manifest_entry *e);

#endif

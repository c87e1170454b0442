// The setting recompile_check: some of the hits are compiled all the same, and what the compiler makes is compared with what the
// cache had. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_RECHECK_H
#define COFFER_CLIENT_JOB_RECHECK_H

#include "client/job/plan.h"

// Is this hit one of them? The share is exact over many: with 10 every tenth.
bool recheck_is_due(const struct settings *config);

// The first file that differs from the stored result, or "the messages"; NULL: all is the same.
const char *recheck_compare(const struct plan *p, const struct buf *stored, const struct buf parts[PART_COUNT],
			    const bool has[PART_COUNT]);

#endif

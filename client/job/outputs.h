// What a compile makes, and whether that can be kept: regular files, each under a name of its own, and only those that this very
// compile has made. The names of the parts are in plan.h. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_OUTPUTS_H
#define COFFER_CLIENT_JOB_OUTPUTS_H

#include "client/job/plan.h"

struct refusal outputs_check(const struct plan *p);

// What stands at the names of the outputs before the compiler runs. A file number of 0: there is none.
struct outputs_before {
	struct file_id parts[PART_COUNT], depfile;
};
// Returns the latest change of one of them, 0 where there is none.
int64_t outputs_note(const struct plan *p, struct outputs_before *before);

// Compilers leave some outputs out, without a word: a file of an earlier compile then still stands there.
enum output_fate {
	OUTPUT_MADE,
	OUTPUT_LEFT_OUT, // nothing is there, or what was there before
	OUTPUT_UNKNOWN,  // it is as before, but so new that a change need not show; or it was there and is gone
};
// After the compile. `start_ns`: by the clock of file dates, when the compiler began.
enum output_fate output_fate(const struct plan *p, const char *name, const struct file_id *before, int64_t start_ns);

#endif

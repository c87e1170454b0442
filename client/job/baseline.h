// The file system as it was before the compiler began: the time by the clock of file dates, and the directories that lead to
// the inputs. A change after it shows. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_BASELINE_H
#define COFFER_CLIENT_JOB_BASELINE_H

#include "client/job/outputs.h"

struct search_snapshot;

struct baseline {
	int64_t start_ns;               // by the clock of file dates
	struct search_snapshot *search; // NULL: the compiler does not tell where it looks
	bool has_profile;               // plan_profile_data() is there
	struct outputs_before outputs;  // what an earlier compile has left
};

// Waits until the clock by which files are dated has moved past everything that is known to go in (`newest_input_ns`: the
// latest change of a file that was looked at) and of what stands where the outputs go, some milliseconds at most, so that a later change shows in the dates.
void baseline_take(struct baseline *b, const struct plan *p, int64_t newest_input_ns);
// After the compile: this very compile has made the part.
bool baseline_is_made(const struct baseline *b, const struct plan *p, enum part part);
void baseline_release(struct baseline *b);

#endif

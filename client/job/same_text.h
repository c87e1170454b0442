// Results that are found by what the compiler proper sees of a unit (depscan/live.h), where files or arguments differ in what
// does not reach it: an unused macro, a dead branch, a further -I.
//
// The text of a unit is found out by one run of the preprocessor: behind its compile, once its result is stored, as then all that went in
// are files that can be read twice (a FIFO can't), and once no other compile is under way, so that a build on full cores pays nothing for
// it; and before it, where the direct look-up has failed for a unit that is known. No first compile waits for it. What can't be read for
// certain, has messages, has changed meanwhile, or is told by pragmas that the preprocessor hides, has no text here.
//
// A job has one `struct same_text`. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_SAME_TEXT_H
#define COFFER_CLIENT_JOB_SAME_TEXT_H

#include "client/job/baseline.h"
#include "client/job/lookup.h"

struct text_run;
struct same_text {
	struct text_run *run; // NULL: the preprocessor is not to run
	bool is_behind;       // it is to run behind the compile
	bool is_looked_up;    // it ran for a look-up, and these are the inputs that it had:
	struct manifest_entry entry;
};

// Whether to look for one, after a direct look-up has failed: the unit is known, its text can be told, and that pays (trials.h).
bool same_text_is_due(const struct same_text *t, const struct lookup *l);
// Then: 1 a hit, as of lookup_find(), 0 none. Takes the baseline. Runs the preprocessor: whoever calls it keeps to a place among few.
int same_text_find(struct same_text *t, struct lookup *l, struct baseline *b, struct manifest_entry *entry,
		   struct buf *result);

// Once the result of a compile has been stored; the second then finds out the text, if it is not known yet, and stores it (`entry` NULL: the
// result was not stored). The first does not wait. same_text_is_ready(): the second would not wait either; else it does so until all
// compiles have ended, or the daemon does.
void same_text_plan(struct same_text *t, const struct plan *p, const struct baseline *b);
bool same_text_is_ready(const struct same_text *t);
void same_text_end(struct same_text *t, struct manifest_entry *entry);

#endif

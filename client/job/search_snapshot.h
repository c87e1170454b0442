// The directories that lead a compiler to its inputs, as they were before the compile: whether something was put in their
// place meanwhile shows in no input's own dates.
#ifndef COFFER_CLIENT_JOB_SEARCH_SNAPSHOT_H
#define COFFER_CLIENT_JOB_SEARCH_SNAPSHOT_H

#include "client/job/plan.h"

struct search_snapshot;

// Asks where the compiler will look, and looks there. NULL if it does not tell. In the job's arena.
struct search_snapshot *search_snapshot_take(const struct plan *p);
const struct search *search_snapshot_search(const struct search_snapshot *s);
// The compiler begins: what changes from `start_ns` on, by the clock of file dates, counts as moved.
void search_snapshot_starts(struct search_snapshot *s, int64_t start_ns);
// Has any directory or link on the way to this input been replaced since? Each directory is looked at once.
bool search_snapshot_moved(struct search_snapshot *s, const char *input);
void search_snapshot_release(struct search_snapshot *s); // NULL is fine

#endif

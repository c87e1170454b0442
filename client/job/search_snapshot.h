// The folders that lead a compiler to its inputs, as they were before the compile: whether something was put in their place
// meanwhile shows in no input's own dates.
#ifndef COFFER_CLIENT_JOB_SEARCH_SNAPSHOT_H
#define COFFER_CLIENT_JOB_SEARCH_SNAPSHOT_H

#include "client/job/job.h"

struct ways;

// Asks where the compiler will look, and looks there. NULL if it does not tell. In the job's arena.
struct ways *ways_note(struct job *j);
const struct search *ways_search(const struct ways *w);
// Has any folder or link on the way to this input been replaced since? Each folder is looked at once.
bool ways_moved(struct ways *w, const char *input);
void ways_release(struct ways *w); // NULL is fine

#endif

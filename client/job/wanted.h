// Files that a compile reads if they are there: gcc's profile data, a.c.gch in place of a.c, compiled headers. Where one is not there, the result ends when it appears. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_WANTED_H
#define COFFER_CLIENT_JOB_WANTED_H

#include "client/job/macros.h"

// An input (`flags` as for inputs_add) or, where there is none, a name that must stay absent.
void wanted_add(struct inputs *in, const char *path, uint32_t flags);
// Those that follow from the command line. A refusal where it can't be told which these are.
void wanted_by_options(struct inputs *in);
// Puts the absent ones into the entry.
void wanted_forbid(const struct inputs *in, struct manifest_entry *e);

#endif

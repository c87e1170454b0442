// The command that the launcher runs: the user's, with what coffer adds. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_COMMAND_H
#define COFFER_CLIENT_JOB_COMMAND_H

#include "client/job/plan.h"

void command_make(const struct plan *p, struct wire_run *run);

// What it adds, for a compile elsewhere.
const char *command_seed(const struct plan *p); // "-frandom-seed=…"
enum { COMMAND_MAX_MAPS = 20 };
void command_prefix_maps(const struct plan *p, const char **argv, uint32_t *n); // at most COMMAND_MAX_MAPS arguments and one

#endif

// The command that the launcher runs: the user's, with what coffer adds. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_COMMAND_H
#define COFFER_CLIENT_JOB_COMMAND_H

#include "client/job/plan.h"

// GNU as lists what it read itself: .incbin and .include, however they were spelled. With -flto the compiler would keep our words in the
// object and use them again when it links.
bool command_lists_for_as(const struct plan *p);
void command_make(const struct plan *p, struct wire_run *run);

// What it adds, for a compile elsewhere.
const char *command_seed(const struct plan *p); // "-frandom-seed=…"
enum { COMMAND_MAX_MAPS = 20 };
void command_prefix_maps(const struct plan *p, const char **argv, uint32_t *n); // at most COMMAND_MAX_MAPS arguments and one

#endif

// A cgroup for each slot, in the session's cgroups that the worker has made and given to our user: memory and processes of a
// job as a whole. They stay for the slot's next job, as making them is the slow part.
#ifndef COFFER_AGENT_CGROUPS_H
#define COFFER_AGENT_CGROUPS_H

#include "agent/agent.h"

// Makes them where they are not there yet, and sets the limits. Thread: any, for different slots.
int cgroups_make(const struct agent *agent, int slot, uint64_t memory_bytes, unsigned processes, struct err *err);
int cgroups_open(const struct agent *agent, int slot); // version 2: the directory, for clone3; -1 with errno
int cgroups_join(const struct agent *agent, int slot); // version 1: moves the caller, who has one thread; -1 with errno
// How many processes the kernel has killed there so far because the memory was used up; 0 where that is not known.
uint64_t cgroups_kills(const struct agent *agent, int slot);

#endif

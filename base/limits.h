// What a process inherits from whoever starts it and what shapes all that it does: resource limits, priority, processors. A
// daemon that serves many begins without those of the first one. Thread: any; limits_reset() is for a process with one thread.
#ifndef COFFER_BASE_LIMITS_H
#define COFFER_BASE_LIMITS_H

#include <stdbool.h>
#include <sys/types.h>

// Takes back what can be taken back: as root all, else what is below the hard limits, and no priority. Only makes system calls.
void limits_reset(void);

// The first limit that keeps a process from serving others ("file size"), or NULL. 0 is this process.
const char *limits_narrow(pid_t pid);
// Whether one process is held back by a limit that the other one does not have, or not as low. False where either can't be
// asked.
bool limits_narrower(pid_t pid, pid_t other);

#endif

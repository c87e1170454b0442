// What of the file system a job may use, as the kernel enforces it by path (landlock(7)): to read and execute everywhere, to
// write in its scratch directory, in further ones that it was given, and to the devices. Thread: applies to the caller's thread and what it starts.
#ifndef COFFER_AGENT_LANDLOCK_H
#define COFFER_AGENT_LANDLOCK_H

#include <stdbool.h>

int landlock_abi(
	void); // the kernel's version of it; -1 with errno: it has none (ENOSYS, EOPNOTSUPP), or it may not be used here
// may_execute: also what is in the scratch directory. `writable`: NULL-terminated. Needs no_new_privs; 0 for `abi` 0; -1 with errno
int landlock_apply(int abi, bool may_execute, const char *const *writable);

#endif

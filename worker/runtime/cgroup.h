// The cgroups of a session: what bounds memory and processes of all its jobs together, and of each job in one below.
//
// Version 2 where the kernel has memory and pids there, else the memory and pids hierarchies of version 1; below the cgroup
// that the worker itself runs in, and only if it may (as root, or where systemd delegates: Delegate=yes). Names begin with
// "coffer-PID-", so that a later worker finds what a killed one has left. Thread: any.
#ifndef COFFER_WORKER_RUNTIME_CGROUP_H
#define COFFER_WORKER_RUNTIME_CGROUP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_version { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

// Where this process may make cgroups.
struct cgroup_home {
	enum cgroup_version version;
	char memory[1024], pids[1024]; // directories; version 2: the same
	char reason[256];              // why there is none
};
// Looks, and with version 2 moves the calling process into a cgroup of its own beside those of the sessions. Removes what
// dead workers have left. Never fails: it may find nothing.
void cgroup_find_home(struct cgroup_home *home);

// One session's. All -1 when there is none.
struct cgroup {
	enum cgroup_version version;
	int memory_dir, pids_dir; // version 2: the same number
	char memory[1100], pids[1100];
};
#define CGROUP_INIT                         \
	{                                   \
		CGROUP_NONE, -1, -1, "", "" \
	}
// memory_bytes 0: no bound for all together. `id` is the user and group that the agent will be. Where home->version is
// CGROUP_NONE nothing happens.
int cgroup_open(struct cgroup *cgroup, const struct cgroup_home *home, const char *session, uint64_t memory_bytes, uid_t id,
		gid_t gid, struct err *err);
// After its processes are gone.
void cgroup_close(struct cgroup *cgroup);
// The processes of a session are in "agent" below the directory (version 2 wants them in leaves), those of its jobs in
// "job-N" besides.
#define CGROUP_AGENT "agent"
#define CGROUP_DIVIDE "+memory +pids" // what goes into cgroup.subtree_control then

#endif

// Between runtime.c, which talks to agents, and the runtimes, which make places for them.
#ifndef COFFER_WORKER_RUNTIME_PARTS_H
#define COFFER_WORKER_RUNTIME_PARTS_H

#include "worker/runtime/cgroup.h"
#include "worker/runtime/runtime.h"
#include "worker/runtime/toolchain.h"

#include <sys/types.h>

struct runtime {
	enum isolation isolation;
	const struct runtime_kind *kind;
	struct loop *loop;
	char *directory;
	int agent; // the program, open
	const struct toolchain_config *toolchain;
	struct limits limits;
	unsigned jobs;
	uint64_t session_memory_bytes;
	struct vm_config vm; // strings are copies
	struct cgroup_home cgroups;
	bool landlock_if_available, has_landlock;
};

// Where a session's agent runs.
struct place {
	pid_t pid;
	int fd;          // the connection to the agent; the session takes it over
	char *directory; // `process`: its scratch directories
	char *jail;      // Firecracker's; removed with it
	struct cgroup cgroup;
};

struct runtime_kind {
	int (*prepare)(struct runtime *runtime, struct err *err); // once; may be NULL
	int (*open)(struct runtime *runtime, const struct toolchain *toolchain, unsigned serial, struct place *place,
		    struct err *err);
};
extern const struct runtime_kind runtime_process, runtime_sandbox, runtime_microvm;

// For both: starts the agent with the list of operations, and what every agent is told. `filter` is -1 for none.
struct ops;
int place_start(struct runtime *runtime, struct place *place, const struct ops *ops, uint64_t clone_flags, int filter,
		struct err *err);
// Adds the operations that move the child into the place's cgroup, and give it a cgroup namespace.
void place_join(const struct place *place, bool with_namespace, struct ops *ops);

#endif

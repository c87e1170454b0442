// Between runtime.c, which talks to agents, and the runtimes, which make places for them.
#ifndef COFFER_WORKER_RUNTIME_PARTS_H
#define COFFER_WORKER_RUNTIME_PARTS_H

#include "worker/runtime/cgroup.h"
#include "worker/runtime/runtime.h"
#include "worker/runtime/snapshot.h"
#include "worker/runtime/toolchain.h"

#include <pthread.h>
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
	uint64_t session_memory_bytes, layer_bytes;
	struct vm_config vm;  // strings are copies
	struct vm_pool *pool; // of `microvm`
	unsigned clock_khz;   // of QEMU's guests: the same for all, as a saved one is resumed with the same words
	struct cgroup_home cgroups;
	bool landlock_if_available, has_landlock;
};

// Where a session's agent runs.
struct place {
	pid_t pid;
	int fd;          // the connection to the agent; the session takes it over
	char *directory; // `process`: its scratch directories
	struct cgroup cgroup;
	// Of a microVM:
	int control;          // the connection to its first process (proto/vm.h)
	int monitor;          // QEMU's commands
	char *jail;           // Firecracker's; removed with it
	char *memory, *state; // files of a guest that can be saved, or is; removed with it
	struct snapshot_seal seal;
	bool is_counted; // by vm_pool_reserve
};
#define PLACE_INIT                                                            \
	{                                                                     \
		.fd = -1, .control = -1, .monitor = -1, .cgroup = CGROUP_INIT \
	}
void place_close(struct runtime *r, struct place *p); // ends what runs in it; it can be filled in again
unsigned place_serial(void);                          // of a new one

struct runtime_kind {
	int (*prepare)(struct runtime *runtime, struct err *err); // once; may be NULL
	void (*end)(struct runtime *runtime);                     // may be NULL
	int (*open)(struct runtime *runtime, const struct toolchain *toolchain, unsigned serial, struct place *place,
		    struct err *err);
	// Ends what runs in the place, which has no connection any more, so that it can be made again. NULL: it can't.
	int (*save)(struct runtime *runtime, const struct snapshot_owner *owner, struct place *place, struct err *err);
	int (*resume)(struct runtime *runtime, const struct snapshot_owner *owner, unsigned serial, struct place *place,
		      struct err *err);
	// What only it knows of a place; before the rest is closed, and after its processes are gone. May be NULL.
	void (*close)(struct runtime *runtime, struct place *place);
};
extern const struct runtime_kind runtime_process, runtime_sandbox, runtime_microvm;

// For both: starts the agent with the list of operations, and what every agent is told. `filter` is -1 for none.
struct ops;
int place_start(struct runtime *runtime, struct place *place, const struct ops *ops, uint64_t clone_flags, int filter,
		struct err *err);
// Adds the operations that move the child into the place's cgroup, and give it a cgroup namespace.
void place_join(const struct place *place, bool with_namespace, struct ops *ops);

// What runtime.c keeps of a session.
struct running;
struct runtime_session {
	struct runtime *runtime;
	struct toolchain *toolchain;
	struct place place;
	struct limits limits;
	char *tenant, *image;
	struct rpc_channel *channel; // NULL while it is saved
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct running *running; // calls of runtime_session_exec that are under way
	bool is_closing;
};

#endif

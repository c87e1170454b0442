// What the parts of a microVM's first process share: vm.c (what a bare kernel lacks), vm_cgroups.c (memory and processes of jobs), vm_agent.c (the agent and its end),
// vm_channel.c (the worker's connections, one after the other).
#ifndef COFFER_AGENT_VM_PARTS_H
#define COFFER_AGENT_VM_PARTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct vm {
	bool has_vsock;
	int control, data;                   // ports; with vsock the worker's connections, -1 while there is none
	int control_listener, data_listener; // with vsock
	int proc, program, filter;           // /proc, this program's file, seccomp's program for jobs
	int agent_cgroup, job_cgroups;       // its cgroup.procs; the directory with one for each job
	char jobs[16];
	pid_t keeper; // waits for the agent, and takes it along when it dies
	int agent;    // our end of the socket pair
};
#define VM_INIT_VALUE                                                                                              \
	{                                                                                                          \
		.control = -1, .data = -1, .control_listener = -1, .data_listener = -1, .proc = -1, .program = -1, \
		.filter = -1, .agent_cgroup = -1, .job_cgroups = -1, .agent = -1                                   \
	}

enum { VM_AGENT_UID = 2000000000 }; // and its group: nobody else's

ssize_t vm_read_text(const char *path, char *text, size_t room); // as a string; -1 with errno

// Of version 2. All jobs together have less than the guest's memory, so that a lack of it ends jobs and not the agent; and the
// agent has the processor before them.
int vm_make_cgroups(struct vm *vm, struct err *err);

// A new agent, which has served nobody. Returns when it runs.
int vm_start_agent(struct vm *vm, struct err *err);
// Kills it with all its jobs, and returns when the last of their processes has gone.
void vm_end_agent(struct vm *vm);

int vm_open_channels(struct vm *vm, struct err *err);
void vm_tell_failure(struct vm *vm, const char *why);
// Until the VM is to be switched off: 0, the worker has gone; -1, for a reason.
int vm_serve(struct vm *vm, struct err *err);

#endif

// The first process of a job: sets up what stands around it, runs its program, and ends when the program ends or its time is
// over. In a sandbox it is PID 1 of the job's own namespace, so nothing of the job outlives it.
#ifndef COFFER_AGENT_INIT_H
#define COFFER_AGENT_INIT_H

#include "agent/root.h"
#include "agent/slots.h"
#include "agent/spawner.h"

struct init {
	const struct agent *agent;
	const struct spawn_request *request;
	char *const *arguments; // NULL-terminated
	char *const *environment;
	struct root_directories root;
	int fds[SPAWN_FDS];
	volatile struct agent_slot *slot;
};

// In the process that was just made. What it needs to know, the agent finds in the slot.
_Noreturn void init_run(struct init *init);
// What a clone of it needs besides SIGCHLD.
unsigned long init_clone_flags(const struct agent *agent);
// `process`: kills all descendants of the caller, a child subreaper, and waits for them. False: some are left.
bool init_kill_tree(void);

#endif

// Starts jobs: a small process of one thread, forked from the agent before it has any other thread.
//
// A fork of the agent itself would copy the mappings of hundreds of threads and hand each job a copy of the others' sources;
// a fork of the spawner is cheap and has nothing in it. The jobs' first processes are children of the agent (CLONE_PARENT),
// so it waits for them itself.
#ifndef COFFER_AGENT_SPAWNER_H
#define COFFER_AGENT_SPAWNER_H

#include "agent/agent.h"

#include <stddef.h>

// Followed by the words of the command and of the environment and by directories, each with its '\0'.
struct spawn_request {
	int slot;
	unsigned n_arguments, n_environment;
	unsigned n_writable, n_whole; // directories of a root: the last words
	bool is_tree;                 // an action
	bool is_root;                 // the work directory becomes the job's root (agent/root.h)
	uint32_t wall_ms, cpu_s, files, processes;
	uint64_t memory_bytes, file_bytes;
	char scratch[256];    // the scratch directory's name, as the job sees it
	char directory[1025]; // where it starts, below the work directory; or ""
};
// Descriptors of a job: the scratch directory (in a sandbox: a mount that is nowhere yet), stdout, stderr.
enum { SPAWN_SCRATCH, SPAWN_OUT, SPAWN_ERR, SPAWN_FDS };

// Called once, on the main thread while it is the only one.
int spawner_start(struct agent *agent, struct err *err);
void spawner_stop(struct spawner *spawner); // it ends by itself then
// What is known of a new job: its first process, which the caller must wait for, and the reading ends of its stdout and
// stderr.
struct spawned {
	pid_t pid;
	int out, errs;
};
// `scratch`: the directory, or in a sandbox the mount. Thread: any. Of those that call at the same time one after the other
// opens descriptors, so that each job needs three and not five.
struct spawn_words {
	const char *const *arguments, *const *environment, *const *writable, *const *whole;
};
int spawner_run(struct spawner *spawner, const struct spawn_request *request, const struct spawn_words *words, int scratch,
		struct spawned *spawned, struct err *err);

#endif

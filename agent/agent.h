// coffer-agent: runs jobs beside them. What it is told at its start, and what its parts share.
//
// In a sandbox session it is the first process of the session's namespaces, under `process` a plain child of the worker. It
// serves Agent.Exec on a descriptor that it was started with, one thread for each job. Its parts from the outside to
// the inside: exec.c (one call: header, source, run, outputs), scratch.c (the job's files), spawner.c (a small process of
// its own that starts jobs), init.c (the first process of a job).
#ifndef COFFER_AGENT_AGENT_H
#define COFFER_AGENT_AGENT_H

#include "base/err.h"
#include "proto/guest.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum agent_cgroups { CGROUPS_NONE, CGROUPS_V1, CGROUPS_V2 };

struct agent {
	bool is_sandbox;
	int socket;                 // the connection to the worker
	const char *scratch;        // `process`: the directory for scratch directories
	struct sock_fprog filter;   // sandbox: seccomp's program for jobs
	bool landlock_if_available; // run without where the kernel has none
	int landlock_abi;           // 0: it has none
	enum agent_cgroups cgroups;
	int memory_dir, pids_dir; // the session's cgroups, owned by our user; v2: the same one
	unsigned jobs;            // at once
	int layers;               // a file system for them (agent/layers.h), or -1
	uint64_t layer_bytes;     // of it
	struct agent_slots *slots;
	struct spawner *spawner;
};

#endif

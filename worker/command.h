// The command that a job runs: the client's words, and around them those that only the worker may say. Thread: any.
#ifndef COFFER_WORKER_COMMAND_H
#define COFFER_WORKER_COMMAND_H

#include "base/mem.h"
#include "worker/header.h"

struct worker_command {
	const char **arguments;                  // NULL-terminated
	const char *source_name;                 // below the scratch directory, as all names
	const char *outputs[HEADER_MAX_OUTPUTS]; // in the order of `kinds`
	int kinds[HEADER_MAX_OUTPUTS];
	size_t n_outputs;
};

// The same words for the same key. What is returned lives in the arena and in the header.
void command_build(struct worker_command *c, struct arena *a, const Coffer__V1__CompileHeader *h,
		   const struct arguments *found, const uint8_t source[32]);

// The user's own words, and outputs below the job's root.
void command_build_tree(struct worker_command *c, struct arena *a, const Coffer__V1__CompileHeader *h);

#endif

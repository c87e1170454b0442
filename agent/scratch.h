// The files of one job: a fresh directory, in a sandbox a fresh tmpfs that the job alone will see, with the source in it;
// and afterwards the outputs, read with suspicion. Thread: a scratch belongs to one thread.
#ifndef COFFER_AGENT_SCRATCH_H
#define COFFER_AGENT_SCRATCH_H

#include "agent/agent.h"

#include <stddef.h>

struct scratch {
	const struct agent *agent;
	int base;       // with layers: the file system of all that the job writes; else -1
	int root;       // in a sandbox a mount that is not attached anywhere yet
	int slot;       // which names the directory of `process`
	char path[256]; // as the job sees it
	uint64_t room;  // bytes; in a sandbox the file system enforces it
};
#define SCRATCH_INIT                    \
	{                               \
		NULL, -1, -1, -1, "", 0 \
	}

enum scratch_kind {
	SCRATCH_SOURCE, // for one file and what is made of it
	SCRATCH_ACTION, // many files, and programs among them
	SCRATCH_LAYERS,
	SCRATCH_ROOT, // many files, which become the job's root
};
// SCRATCH_LAYERS is SCRATCH_ACTION with layers: scratch_layer() is to follow, once all is written.
int scratch_open(struct scratch *s, const struct agent *agent, int slot, uint64_t bytes, enum scratch_kind kind,
		 struct err *err);
// Puts the layers below what is there: from now on both are one.
int scratch_layer(struct scratch *s, const uint64_t *ids, size_t n, struct err *err);
// Directories that `name` (checked) needs.
int scratch_make_parents(const struct scratch *s, const char *name, struct err *err);
// A new file to write, or -1.
int scratch_create(const struct scratch *s, const char *name, struct err *err);
// An output: 1 with *fd and its size; 0: the job has not written it; -1, ERR_FORMAT: it is a symbolic link, leads through
// one or is no regular file.
int scratch_find(const struct scratch *s, const char *name, int *fd, uint64_t *size, struct err *err);
// An output of an action, whatever it is: as scratch_find, but a symbolic link is opened itself, and so is a directory.
int scratch_find_any(const struct scratch *s, const char *name, int *fd, struct err *err);
bool scratch_is_full(const struct scratch *s); // no bytes or no files are left (sandbox only)
void scratch_close(struct scratch *s);         // and everything in it is gone

#endif

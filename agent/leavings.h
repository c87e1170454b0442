// What an action has left at the paths of its outputs: files, directories with all that is in them, symbolic links. Read with
// suspicion: nothing is followed. Thread: one.
#ifndef COFFER_AGENT_LEAVINGS_H
#define COFFER_AGENT_LEAVINGS_H

#include "agent/scratch.h"
#include "proto/coffer.pb-c.h"

enum { LEAVINGS_MAX = 100000 }; // entries of all outputs

struct leavings {
	const struct scratch *scratch;
	// Called for each entry; `fd` is the file's, else -1. 0, or -1 to give up.
	int (*tell)(void *ctx, const Coffer__V1__ExecOutput *entry, int fd, struct err *err);
	void *ctx;
	size_t n;
};
// ERR_FORMAT: something is there that is no file, directory or link; ERR_LIMIT: too much of it.
int leavings_walk(struct leavings *l, uint32_t index, const char *name, struct err *err);

#endif

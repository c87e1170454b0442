// All files that went into a compile, and the names that must stay absent. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_INPUTS_H
#define COFFER_CLIENT_JOB_INPUTS_H

#include "client/job/baseline.h"
#include "client/job/plan.h"
#include "depscan/manifest.h"

struct inputs;

// A file that the compiler has made for the assembler.
bool inputs_is_temp_source(const char *path);
// Fills in the entry's inputs and names. `earlier`: of a compile that was made of what had been found before it (reach.h), or NULL; dep_fd: the
// depfile that we have asked for, or -1: the user's under its name; asm_dep_fd: what GNU as has listed, or -1.
struct refusal inputs_find(const struct plan *p, const struct baseline *b, const struct inputs *earlier, int dep_fd,
			   int asm_dep_fd, struct manifest_entry *entry);

#endif

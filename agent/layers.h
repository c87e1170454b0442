// Directories of inputs that stay laid out from one action to the next, so that a job that has them costs a mount and no copies.
//
// A layer is a tree as a job finds it, with all directories above it, under a number. It is in a file system that is mounted nowhere,
// so that no job has a name for it; below a job's own scratch it is the lower side of an overlay, which nothing is ever written to.
// What is kept and what goes is the worker's affair: it says which layers a job makes, has, and which are not needed any more.
// Linux takes unmounted layers since 6.15; where it does not there are none, and inputs are copied. Thread: any.
#ifndef COFFER_AGENT_LAYERS_H
#define COFFER_AGENT_LAYERS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

// A file system for layers of `bytes` in all, or -1: there can be none here, which is no error.
int layers_open(uint64_t bytes);
// A new one: an open directory, to lay out what is to be seen in the work directory.
int layers_make(int layers, uint64_t id, struct err *err);
void layers_remove(int layers, uint64_t id); // no job has it any more
// A mount that is attached nowhere: `base`/GUEST_UPPER, and below it the layers, the first one on top.
int layers_mount(int layers, const uint64_t *ids, size_t n, int base, struct err *err);

// Directories of a scratch that gets layers: what the job writes, and what the kernel needs.
#define GUEST_UPPER "upper"
#define GUEST_OVERLAY "overlay"

#endif

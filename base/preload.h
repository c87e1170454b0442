// Whether a library of ours can be loaded into a program by LD_PRELOAD. Built into libcoffer-follow.so, too, so that it needs
// nothing else of base/. Thread: any.
#ifndef COFFER_BASE_PRELOAD_H
#define COFFER_BASE_PRELOAD_H

#include <stdbool.h>

// True if the program at `path` has the dynamic loader that this process has: a 64-bit program of the same C library, neither
// static nor set-user-id. A library of another kind would keep it from starting, or make the loader complain on the program's
// standard error. A script is no program.
bool preload_fits(const char *path);
// The same, where `path` may also be a script: then its interpreter counts.
bool preload_fits_script(const char *path);

#endif

// Whether a library of ours can be loaded into a program by LD_PRELOAD, and what the kernel would make of a file. Built into
// libcoffer-follow.so, too, so that it needs nothing else of base/ and allocates nothing. Thread: any.
#ifndef COFFER_BASE_PRELOAD_H
#define COFFER_BASE_PRELOAD_H

#include <stdbool.h>

// True if the program at `path` has the dynamic loader that this process has: a 64-bit program of the same C library, neither
// static nor set-user-id, and without the library of a sanitizer, which has to be the first one. A library of another kind would
// keep it from starting, or make the loader complain on the program's standard error. A script is no program.
bool preload_fits(const char *path);

// True if `path` is a carrier, a program that runs the command its words say (a shell, env, nice, mpicc …, by its name), or a
// text with "#!" and the full path of one; and a library fits it.
bool preload_fits_carrier(const char *path);

// True if execve() would run `path` as it is: a program of this machine whose loader is there, not set-user-id.
bool preload_is_program(const char *path);

#endif

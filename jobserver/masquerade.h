// A directory of links named like the compilers on PATH, all to the launcher: first in PATH, it puts coffer before every
// compiler that a build calls by name, and changes neither which compiler that is nor any variable of the makefile.
//
// The directory lasts, because configure scripts and CMake remember what they found: it is either the one that was
// installed (`<libdir>/coffer`) or one in the cache directory. Its name covers its contents, so that it holds exactly the
// compilers of one PATH and is made by one rename. Thread: any.
#ifndef COFFER_JOBSERVER_MASQUERADE_H
#define COFFER_JOBSERVER_MASQUERADE_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

bool masquerade_is_compiler(const char *name); // "gcc", "x86_64-linux-gnu-g++-12", "clang-14"; not "gcc-ar"
// The directory for this PATH, in the arena; made below `cache_dir` if need be, or in the home directory's cache or the runtime
// directory where that has a ':' in its name. 1: *dir is set; 0: no compiler is on the
// PATH; -1: it cannot be made.
int masquerade_dir(struct arena *a, const char *launcher, const char *cache_dir, const char *path_list, char **dir,
		   struct err *err);

#endif

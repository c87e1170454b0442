// Which words a client may give to a compiler on a worker: those that steer the code and the warnings, and no others.
//
// What names a file, reads or writes one, changes where something is looked for, loads code, runs a program or looks at the
// machine is refused. Two rules do that, each of which would be enough for nearly all: no word has a '/' or begins with '@'
// (so that a relative name can only mean the job's own scratch directory), and the table of compiler/options.h has to know
// the word as harmless, or as one of the families that only steer (-f, -W, -m, -O, -g, -std). A word that two compilers read
// in different ways has to be harmless in both. Thread: any.
#ifndef COFFER_COMPILER_ARGUMENTS_H
#define COFFER_COMPILER_ARGUMENTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { ARGUMENTS_MAX = 1024, ARGUMENTS_MAX_BYTES = 64 * 1024, ARGUMENT_MAX = 4096 };

struct arguments {              // what was found in them
	bool is_clang;          // by the compiler's name
	bool is_assembler_text; // -S: no -c is to be added
	bool has_split_dwarf, has_stack_usage, has_lto, has_seed, has_compilation_dir;
};

// ERR_USAGE, with the word that is refused.
int arguments_check(const char *compiler, const char *const *words, size_t n, struct arguments *found, struct err *err);

#endif

// What a compiler may be called: one rule for who asks compilers, who takes jobs for them, and who stands before them.
// Thread: any.
#ifndef COFFER_COMPILER_NAMES_H
#define COFFER_COMPILER_NAMES_H

#include <stdbool.h>
#include <stddef.h>

// "gcc" of "aarch64-linux-gnu-gcc-12", "clang++" of "clang++-14". NULL: no compiler is called so. Only names like these are asked
// for what they are, so that no other program is run oddly.
const char *compiler_name_kind(const char *name);
// The kinds: gcc, g++, cc, c++, c89, c99, clang, clang++.
extern const char *const compiler_name_kinds[];
extern const size_t n_compiler_name_kinds;

// What the user says of a name in a list "NAME:gcc NAME:clang" (VALUE_FAMILIES): whether it is there, and which of the two it is.
// NAME is the last part of a path, or an absolute path. The last entry counts. `list` may be NULL.
bool compiler_name_is_told(const char *list, const char *path, const char *name, bool *is_clang);

// Whether a program is called like a compiler in any way: a word of its name is one of the kinds ("gcc.real", "gcc-12-wrapped").
bool compiler_name_has_kind(const char *name);

// Another cache or a distributing compiler driver, by the name of its program: what it runs is its own business.
bool compiler_name_is_of_a_cache(const char *name);

// Whether it may come from another machine: at most 64 letters, digits and "+-._", no directory.
bool compiler_name_is_known(const char *name);

#endif

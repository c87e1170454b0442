// What came from a worker as an object: is it one? A digest only says that the bytes are those that the worker meant.
//
// On systems with ELF (gABI, chapter 4: every target but Windows, macOS and wasm): the header of a relocatable file, and a
// section table with sections that lie within the file. Whether the code in it is right nobody can see.
// Thread: any.
#ifndef COFFER_CLIENT_FARM_OBJECT_H
#define COFFER_CLIENT_FARM_OBJECT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

// target: what the compiler calls it, "x86_64-linux-gnu". -1, ERR_FORMAT: no object of it.
int object_check(const char *target, const void *p, size_t n, struct err *err);
// Has it packed sections, in which a search finds no name? False also for what object_check refuses.
bool object_is_packed(const void *p, size_t n);

#endif

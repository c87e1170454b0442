// The files that a text has its assembler read: `.incbin "blob.bin"` in an assembler source, or in the literals of asm statements.
//
// This is no proof that it reads nothing else, as macros can make names: who asks has to learn from the assembler what it did read.
// Thread: any.
#ifndef COFFER_DEPSCAN_INCBIN_H
#define COFFER_DEPSCAN_INCBIN_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

enum { INCBIN_MAX_NAMES = 64 }; // of one text

struct incbin {
	const char *names[INCBIN_MAX_NAMES]; // in the arena
	unsigned n;
};

// Adds the names. False: there are none, more, or some that do not stand there as they are; or the text may include others (`.include`).
bool incbin_find(const char *text, size_t len, struct arena *a, struct incbin *out);

#endif

// What the text of one source or header can do, found in one pass over the bytes, without a preprocessor.
//
// The scanner errs on the side of seeing too much: every `#include` counts, also in comments, strings and dead branches.
// It must never see too little: what it can't read for certain sets a flag (computed). Line splices (backslash newline),
// comments between words, the digraph %: and the trigraph ??= are understood.
// Thread: any.
#ifndef COFFER_DEPSCAN_SCAN_H
#define COFFER_DEPSCAN_SCAN_H

#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>

enum include_form {
	INCLUDE_QUOTED, // "x.h": the includer's folder first
	INCLUDE_ANGLED, // <x.h>
};
struct include {
	const char *name; // owned by the scan
	enum include_form form;
	bool next;  // #include_next, __has_include_next: the search starts somewhere inside the path
	bool probe; // only asked for (__has_include): its presence counts, not its text
};

struct scan {
	struct include *includes; // each (name, form, next, probe) once
	unsigned n_includes;
	bool computed;    // an include whose name comes from a macro, or one that can't be read for certain
	bool date, time, timestamp; // whole words __DATE__, __TIME__, __TIMESTAMP__ anywhere in the text
	bool incbin;      // "incbin" anywhere, or assembler strings that could spell it when joined or pasted
	bool asm_include; // ".include" anywhere
	bool embed;       // #embed or __has_embed
	bool has_asm;     // asm, __asm, __asm__ as a word
	// The text without what can't change an object: comments become one space, except those that steer warnings
	// ("fall through" in any spelling). Every token's line and column count. Two files with one code digest differ only
	// in comments and trailing blanks.
	struct digest code;
};

#define SCAN_MAX_INCLUDES 20000u

void scan_text(struct scan *s, const char *text, size_t len); // never fails
void scan_release(struct scan *s);

#endif

// What of a translation unit the compiler proper can see: the lines that are not switched off, where they stand, and those of
// the macros that any of these lines could use. Two units with one digest mean the same to the compiler, to the last column.
//
// The text is what `gcc -E -fdirectives-only` prints: included files in their places, dead branches gone, nothing expanded. Or
// what `clang -E -dD` prints, where macros are expanded: then the lines of the files themselves count as well. A
// macro counts if its name is a word of a live line, or of the body of a macro that counts; where those paste words (##), also if
// the name could be made of such words. Comments count where they can steer a warning (scan.h).
// Thread: any.
#ifndef COFFER_DEPSCAN_LIVE_H
#define COFFER_DEPSCAN_LIVE_H

#include "codec/hash.h"

#include <stdbool.h>
#include <stddef.h>

#define LIVE_MAX ((size_t)96 << 20) // bytes of text

struct live_lines;
struct live_names { // how names in line markers stand in the digest
	const char *(*canonical)(void *ctx, const char *name);
	void *ctx;
	struct live_lines *lines; // of the files, where macros are expanded in the text; else NULL
};

// False: the text can't be read for certain, and there is no digest.
bool live_digest(const char *text, size_t len, const struct live_names *names, struct digest *out);

// What a file says that shows in no live line and yet can lead to a message: odd comments, odd characters, pragmas. Zero: it
// says nothing of the kind.
struct live_oddities {
	struct digest digest;
	bool hidden_pragmas; // `poison`, `push_macro`, `pop_macro`: gcc does not print them
};
void live_oddities(const char *text, size_t len, struct live_oddities *out);

#endif

// Lines of files as they stand there, without comments that can't matter: beside a text in which macros are expanded, they tell
// where tokens stand and which of them came from macros. Thread: one.
#ifndef COFFER_DEPSCAN_LIVE_LINES_H
#define COFFER_DEPSCAN_LIVE_LINES_H

#include "base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct live_lines {
	int dirfd;
	struct map files; // name -> struct lines
};

// The line (from 1) without its '\n'. False: the file can't be read for certain, or has no such line.
bool live_lines_get(struct live_lines *l, const char *name, uint32_t line, const char **text, size_t *n);
void live_lines_release(struct live_lines *l);

#endif

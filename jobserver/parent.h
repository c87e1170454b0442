// The jobserver of a make around us, as its client: real tokens, taken one at a time and all given back.
//
// Each is given back as the byte that it was. Through descriptions of our own, which never block. Thread: one.
#ifndef COFFER_JOBSERVER_PARENT_H
#define COFFER_JOBSERVER_PARENT_H

#include "base/err.h"

#include <stdbool.h>

enum { PARENT_MOST_TOKENS = 1024 };

struct parent {
	int r, w;
	int their_r, their_w; // the descriptors MAKEFLAGS names; -1: none
	unsigned taken;
	char tokens[PARENT_MOST_TOKENS];
};
#define PARENT_INIT                                            \
	{                                                      \
		.r = -1, .w = -1, .their_r = -1, .their_w = -1 \
	}

// 1: there is one in `makeflags` (may be NULL) and it can be reached; 0: there is none; -1: it cannot be reached (make
// closes it for recipes without '+').
int parent_open(struct parent *p, const char *makeflags, struct err *err);
void parent_hide(const struct parent *p);       // a tool that gets tokens from us does not get its descriptors
bool parent_take(struct parent *p);             // one token, if there is one now
void parent_give(struct parent *p, unsigned n); // back, at most what was taken
void parent_close(struct parent *p);            // gives everything back

#endif

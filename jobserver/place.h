// The private directory of one build: mode 0700, with a name that fits into a socket address and into MAKEFLAGS.
//
// A lock file in it is held while its owner lives, so that a later build can remove what a killed one has left behind.
// Thread: any.
#ifndef COFFER_JOBSERVER_PLACE_H
#define COFFER_JOBSERVER_PLACE_H

#include "base/err.h"

struct build_place {
	char dir[80]; // "": none
	int lock;
};
#define PLACE_INIT     \
	{              \
		"", -1 \
	}

int place_make(struct build_place *p, struct err *err);
void place_remove(struct build_place *p); // the directory must hold nothing but what this made

#endif

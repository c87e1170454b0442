// The files of an action: its input root on the way in, and what it leaves on the way out.
//
// In the source's bytes a tree is entries one after the other, depth first; numbers are little-endian, a text is u32 length and bytes:
//   'D' name            a directory, and down into it       'U'           up again
//   'F' name u64 size   a file, and its bytes               'X' …         the same, executable
//   'L' name target     a symbolic link
//   'E'                 this tree is whole and another one follows; only where layers are made (agent/layers.h)
// A name is one part of a path. Nothing is followed on the way: each entry is made in a directory that is open. Thread: one.
#ifndef COFFER_AGENT_TREE_H
#define COFFER_AGENT_TREE_H

#include "base/buf.h"

enum { TREE_MAX_DEPTH = 128, TREE_MAX_NAME = 255, TREE_MAX_TARGET = 4095 };

struct tree_in {
	int directories[TREE_MAX_DEPTH]; // open, from the top to where we are
	int depth;
	struct buf head; // of an entry that is not whole yet
	int file;        // that is being written, or -1
	uint64_t left;   // bytes of it
	uint64_t n, max; // bytes of all files, and the most
	// At an 'E': an open directory for the next tree, or -1; may set another `max`. NULL: there is one tree.
	int (*next)(struct tree_in *t, void *ctx, struct err *err);
	void *ctx;
};

// `top`: an open directory, taken over.
void tree_in_init(struct tree_in *t, int top, uint64_t max);
void tree_in_release(struct tree_in *t);
// ERR_FORMAT: no tree, or a name is there twice; ERR_LIMIT: more than `max`; ERR_FULL and others: it can't be written.
int tree_in_take(struct tree_in *t, const void *p, size_t n, struct err *err);
int tree_in_end(const struct tree_in *t, struct err *err); // ERR_FORMAT: it is not whole

#endif

// What a compile can reach, before it runs anywhere: every file that an include of any text could mean, in dead branches too, found by
// the scanner along the compiler's search path without running it; and the same as a tree for a worker.
//
// Where the texts do not tell (an include names a macro that may be defined, a __has_include asks for what macros make), there
// is no tree, and the text is preprocessed here. Thread: the job's; everything is in the job's arena but the listing.
#ifndef COFFER_CLIENT_JOB_REACH_H
#define COFFER_CLIENT_JOB_REACH_H

#include "base/map.h"
#include "client/farm/farm.h"
#include "client/job/baseline.h"
#include "client/job/macros.h"
#include "client/job/plan.h"
#include "client/no_tree.h"
#include "sourcetree/source_tree.h"

struct reach {
	struct source_tree tree;
	struct buf listing;
	struct sha256 sha256;   // of the listing
	struct map known;       // the directory's node and a name in it -> its node, or &missing
	struct map directories; // a directory as it is written -> its node
	struct source_node missing;
	struct inputs inputs; // what was found: the compile is made of it
	bool is_closed;       // nothing is added any more
	const char *moved;    // the build tree that stands under the common name (place.h), or NULL
	struct source_node *moved_node;
};

// NO_TREE_NONE: it is there; else why not. `outputs`: names of files whose directories have to be in the tree, NULL-terminated; `files`: what the
// compiler itself reads, none of which the tree may hide. `moves`: the build tree may stand under the common name; it does (r->moved) where
// no name leads from it to its surroundings, or from there into it.
struct no_tree reach_find(struct reach *r, const struct plan *p, const struct baseline *b, const char *const *outputs,
			  const struct farm_compiler *compiler, bool moves);
void reach_release(struct reach *r);

// Where a file will be written there, absolute and without links; NULL: its directory is not in the tree.
const char *reach_place(struct reach *r, const struct plan *p, const char *output);
bool reach_has(struct reach *r, const struct plan *p, const char *path); // is that file in the tree?

#endif

// A compile that goes to a worker as the user's own text: what is sent, and whether what comes back is about it. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_AWAY_TREE_H
#define COFFER_CLIENT_JOB_AWAY_TREE_H

#include "client/farm/call.h"
#include "client/job/deliver.h"
#include "client/job/reach.h"

struct away_tree {
	const struct plan *plan;
	const char **words;
	unsigned n_words, n_own; // the first of them are coffer's own
	bool is_bound;           // it goes under the build tree's own name, and not under the common one (place.h)
	struct reach reach;
	struct remote_tree remote; // for a call, once away_tree_find has said NO_TREE_NONE
	struct buf prefix;
};

// Whether the arguments and the environment may go so at all.
struct no_tree away_tree_begin(struct away_tree *t, const struct plan *p);
// What the compile can reach, or why that is not known.
struct no_tree away_tree_find(struct away_tree *t, const struct baseline *b, const struct farm_compiler *compiler);
// Puts the user's own names into what came of a tree that stood elsewhere. False: the place shows in it. From now on the tree is bound to its
// place; away_tree_find makes it so.
bool away_tree_bring(struct away_tree *t, struct made_elsewhere *made, struct buf *out, struct buf *errs);
// For this worker: what it got before.
void away_tree_seat(struct away_tree *t, struct farm *farm, const struct farm_seat *seat);
// What the worker's compiler has read: NULL, or what is not to be believed of it.
const char *away_tree_judge(struct away_tree *t, const struct farm_compiler *compiler, const struct made_elsewhere *made);
// Whether messages of a worker are those that the compiler here would have for this user.
bool away_tree_speaks_alike(const struct plan *p);
// Whether they are whole UTF-8 without control characters, but for ends of lines, tabs, and the colours that compilers write.
bool away_tree_is_harmless(const struct store_part *messages);
void away_tree_release(struct away_tree *t);

#endif

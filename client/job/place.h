// A build tree under a name that is the same for every checkout: a worker that compiles it there knows the result again when it gets the same
// tree from another directory. That is for compiles whose prefix maps keep the tree's own name out of the object, as the local cache's key
// does without it (docs/reproducible.md). What came of it is about the user's tree once its names are back; where the place shows in what
// can't be put back (an object), the tree goes again under its own name.
//
// The worker is told nothing of this and believes nothing: it compiles what stands in its key. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_PLACE_H
#define COFFER_CLIENT_JOB_PLACE_H

#include "client/job/plan.h"
#include "store/tier.h"

#define PLACE_NAME "coffer.tree"
#define PLACE_ROOT "/" PLACE_NAME

// Only of characters that nothing writes in another way?
bool place_is_plain(const char *name);
// Whether clang names types without a name by where they stand (`(lambda at ROOT/x.h:3:5)`, which its prefix maps leave alone): a text
// that uses __PRETTY_FUNCTION__ can have a digest or the length of that in the object.
bool place_names_types(const struct plan *p);
// Whether the plan allows it: what the compiler writes has no name of the build tree, as far as options tell.
bool place_is_free(const struct plan *p);
// "ROOT/x.c" under the common name; any other name as it is.
const char *place_moved(struct arena *a, const char *root, const char *path);
// The words for a worker, of which the first `n_own` are coffer's and the others the user's arguments. NULL: one names the build tree in a way
// that is not understood.
const char **place_words(const struct plan *p, const char *const *words, unsigned n_own, unsigned n);
// Does a text name the tree, by either name?
bool place_shows(const struct plan *p, const void *bytes, size_t n);
// Messages with the user's own names in the place of the common one. False: their names may be written in another way.
bool place_bring_messages(const struct plan *p, struct buf *messages);
// The same of a depfile, as the compiler would have written it here. `is_users`: the user asked for it, and gets these bytes. False: how it
// would look can't be told.
bool place_bring_depfile(const struct plan *p, bool is_users, struct store_part *depfile);

#endif

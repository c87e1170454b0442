// What names a compile in a shared store, the same on every machine (share.h). Thread: the job's, later any.
#ifndef COFFER_CLIENT_JOB_SHARE_NAME_H
#define COFFER_CLIENT_JOB_SHARE_NAME_H

#include "client/job/plan.h"
#include "store/tier.h"

struct share_name {        // without the source's contents
	const char *scope; // the tenant: also in every seal
	struct sha256 toolchain;
	struct buf fields; // to be released
};
// What the plan's toolchain is called on every machine that has the same. -1: it has changed, or can't be read.
int share_name_toolchain(const struct plan *p, struct sha256 *name, struct err *err);
// -1: the toolchain has changed, or can't be read.
void share_name_release(struct share_name *name);
int share_name_make(const struct plan *p, struct share_name *name, struct err *err);
struct tier_name share_name_of(const struct share_name *name, const struct sha256 *source);

// The build tree as `coffer cache push` finds it, and the log of what its compiles gave and took.
const char *share_tree(const struct plan *p);
struct shared_result;
void share_log(struct services *services, const char *tree, const struct tier_name *action, const struct shared_result *x);

// Where a compile of this plan could read from: the build tree, the folders of the command line and those that the toolchain
// looks into. By the text of names alone: what leads out of the tree by a symlink is the tree's.
enum { SHARE_PLACES = 2000 };
struct share_places { // in the job's arena
	const struct plan *plan;
	const char **dirs;
	unsigned n;
};
void share_places_make(const struct plan *p, struct share_places *places);
bool share_may_read(const struct share_places *places, const char *name); // `name` as in a manifest

#endif

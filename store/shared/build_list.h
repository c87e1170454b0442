// The entries of one build, as a store keeps them under the build's name, and bringing them from one tier to another.
//
// A list is an action's entry, sealed like any other (seal.h): u32 format, u32 number, and for each u8 space and 32 bytes of its name;
// each action stands before its content. Copying believes nothing: content is compared with its name, actions with their seal; what is
// looked at later is looked at again. Thread: any.
#ifndef COFFER_STORE_SHARED_BUILD_LIST_H
#define COFFER_STORE_SHARED_BUILD_LIST_H

#include "base/map.h"
#include "store/shared/seal.h"

enum { BUILD_LIST_MOST = 200000, BUILD_NAME_MAX = 128 };

struct build_list {
	struct tier_name *names;
	size_t n, room;
};
void build_list_add(struct build_list *l, const struct tier_name *name); // beyond BUILD_LIST_MOST nothing is added
void build_list_release(struct build_list *l);
void build_list_encode(const struct build_list *l, struct buf *out);
int build_list_decode(const void *p, size_t n, struct build_list *l, struct err *err); // ERR_FORMAT
// What a build's list is called in the scope.
struct tier_name build_list_name(const char *scope, const char *build);

// What is put where both tiers have an action: 1 with the entry, 0: nothing, what is there is as good.
typedef int copy_join_fn(void *arg, const struct tier_name *name, const struct buf *from, const struct buf *to,
			 struct buf *entry);
// Content that did not come and is not there is in `missing` (keys: its SHA-256). Of an action's entry: -1 it is left out, 0 it may go
// as it is, 1 `entry` goes.
typedef int copy_whole_fn(void *arg, const struct tier_name *name, const struct buf *bytes, const struct map *missing,
			  struct buf *entry);
struct copy_config {
	struct tier *from, *to;
	copy_join_fn *join;   // NULL: what comes takes the place of what is there
	copy_whole_fn *whole; // asked where content is missing; may be NULL
	void *arg;            // of both
	const struct seal *seal;
	const char *scope;
	uint64_t max_bytes;  // then no more are begun; 0: no limit
	const bool *is_over; // no more are begun when it is set; may be NULL
};
struct copy_report {
	uint64_t copied, bytes, there, refused;
	uint64_t absent;   // in both tiers; or an action that names only such content
	uint64_t left_out; // they are too large (512 MiB), or came too slowly (30 s and a second for each MiB)
	bool is_cut_short; // by max_bytes or is_over
};
// Several at a time, in 1 GiB of memory at most. Content goes before the action that names it. -1: a tier failed, or did not answer in
// time several times in a row; the report tells what was done.
int build_list_copy(const struct build_list *l, const struct copy_config *config, struct copy_report *report,
		    struct err *err);
// Tells a tier that does not see uses (uses.h) that all of these were used now. Others are told nothing.
int build_list_note_uses(const struct build_list *l, struct tier *t, struct err *err);

#endif

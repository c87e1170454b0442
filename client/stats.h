// Counters of one cache directory: a mapped file (<cache>/v1/stats), raised by atomic adds, so that a killed daemon loses
// none and `coffer stats` reads them without asking anybody. Shared by all daemons on the directory.
//
// The file names each counter, so that versions with other counters share it: unknown names are kept as they are. It is
// 32 KiB, allocated at once (a full disk must not become a SIGBUS), and never shrinks. A file that is not ours is replaced
// by a new one. On a read-only directory the counters can be read, and what is added is forgotten at the end.
//
// Every compile is counted once in `compiles` and once in one of direct_hits, preprocessed_hits, misses or not_cached;
// a compile in not_cached is also counted under its reason. What goes to a worker as preprocessed text, or nowhere, although the user's own
// text was wanted, is counted under that reason ("no_tree_<reason>"). Thread: any.
#ifndef COFFER_CLIENT_STATS_H
#define COFFER_CLIENT_STATS_H

#include "base/err.h"
#include "client/no_tree.h"
#include "compiler/reason.h"

#include <stdint.h>

enum stat_counter {
#define STAT(name, text) STAT_##name,
#include "client/stats.def"
#undef STAT
#define NO_TREE(name, text) STAT_no_tree_##name,
#include "client/no_tree.def"
#undef NO_TREE
	STAT_FIRST_REASON,
	STAT_COUNT = STAT_FIRST_REASON + REASON_COUNT - 1 // one counter a reason ("not_cached_<reason>")
};

struct stats;
struct stats *stats_open(const char *cache_dir, struct err *err); // makes the directory and the file; NULL on failure
void stats_close(struct stats *s);
// Opens the file again if it is not in its place any more (somebody has removed the cache directory under a daemon). Returns
// how often that was so: what a compile had counted before, it counts in the new file again. Costs a system call.
unsigned stats_renew(struct stats *s);
unsigned stats_renewed(const struct stats *s);                    // as often as it has been so far
void stats_add(struct stats *s, enum stat_counter c, uint64_t n); // s may be NULL: counts nothing
void stats_add_reason(struct stats *s, enum reason r); // `not_cached` and the reason's own; nothing for REASON_NONE
uint64_t stats_value(const struct stats *s, enum stat_counter c); // 0 if s is NULL
void stats_zero(struct stats *s);                                 // sets all to 0, also unknown ones, and notes the time
int64_t stats_zeroed_at(const struct stats *s);                   // seconds since 1970; 0 if s is NULL
static inline enum stat_counter stats_of_no_tree(enum no_tree_reason r) // not NO_TREE_NONE
{
	return (enum stat_counter)((int)STAT_FIRST_REASON - NO_TREE_COUNT + (int)r);
}
static inline enum stat_counter stats_of_reason(enum reason r) // not REASON_NONE
{
	return (enum stat_counter)((int)STAT_FIRST_REASON + (int)r - 1);
}
const char *stats_name(enum stat_counter c); // "direct_hits", "not_cached_link"
const char *stats_text(enum stat_counter c); // for people

// A launcher that can't reach the daemon can't count, so it appends one byte to <runtime dir>/lost (wire_find_place
// knows the directory) and compiles. This moves those into `compiles`, `not_cached` and the reason daemon_lost, and empties
// the file. For the daemon at its start and for `coffer stats`. A file that is absent or strange is no lost compile.
#define STATS_LOST_FILE "lost"
void stats_take_lost(struct stats *s, const char *runtime_dir);

#endif

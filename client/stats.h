// Counters of one cache folder: a mapped file (<cache>/v1/stats), raised by atomic adds, so that a killed daemon loses
// none and `coffer stats` reads them without asking anybody. Shared by all daemons on the folder.
//
// The file names each counter, so that versions with other counters share it: unknown names are kept as they are.
// Thread: any.
#ifndef COFFER_CLIENT_STATS_H
#define COFFER_CLIENT_STATS_H

#include "base/err.h"
#include "depscan/reason.h"

#include <stdint.h>

enum stat_counter {
#define STAT(name, text) STAT_##name,
#include "client/stats.def"
#undef STAT
	STAT_FIRST_REASON,
	STAT_COUNT = STAT_FIRST_REASON + REASON_COUNT - 1 // one counter a reason ("not_cached_<reason>")
};

struct stats;
struct stats *stats_open(const char *cache_dir, struct err *err);
void stats_close(struct stats *s);
void stats_add(struct stats *s, enum stat_counter c, uint64_t n); // s may be NULL: counts nothing
void stats_add_reason(struct stats *s, enum reason r);
uint64_t stats_value(const struct stats *s, enum stat_counter c);
void stats_zero(struct stats *s);       // sets all to 0 and notes the time
int64_t stats_zeroed_at(const struct stats *s); // seconds since 1970
const char *stats_name(enum stat_counter c); // "direct_hits", "not_cached_link"
const char *stats_text(enum stat_counter c); // for people

#endif

// Makes room in a remote store that does not do it by itself (S3, a web server with WebDAV, a folder): removes what was used
// longest ago, by age and by size.
//
// An entry's time of use is the later one of when the tier says that it was used or written, and of the records of uses.
// - One at a time: under a lease (lease.h) of `time_limit_s`; what is not done by then is left for the next time.
// - What was used within `grace_s` is never removed, whatever the limits say: it may be being read. Uses are noted within
//   USES_EVERY_MS, so the grace should be longer than that.
// - An action's result may lose its blobs, or blobs their action: each is a miss, and what is compiled then is given again.
// - Records of uses are put together into few, and those that were read are removed. While one could not be read nothing else is
//   removed: what it names would look unused. One that was read and is none counts for nothing.
// Memory: about 64 bytes for each entry, UPKEEP_MOST_ENTRIES at most. Thread: any.
#ifndef COFFER_STORE_SHARED_UPKEEP_H
#define COFFER_STORE_SHARED_UPKEEP_H

#include "store/tier.h"

#define UPKEEP_MOST_ENTRIES ((size_t)32 << 20)
enum { UPKEEP_GRACE_S = 60 * 60, UPKEEP_TIME_LIMIT_S = 60 * 60 }; // by default

struct upkeep_config {
	uint64_t max_bytes;   // 0: no limit
	int64_t max_age_s;    // since its last use; 0: no limit
	int64_t grace_s;      //
	int64_t time_limit_s; // at most LEASE_MAX_S
	bool is_dry_run;      // removes nothing, and asks for no lease: it goes by this machine's clock
};

struct upkeep_report {
	uint64_t entries, bytes;         // found
	uint64_t removed, removed_bytes; // or, in a dry run, to be removed
	uint64_t records;                // of uses
	uint64_t records_unread;         // the store did not give them, or they were too many: nothing was removed
	uint64_t records_bad;            // they are none, and say nothing
	bool is_cut_short;               // the time was over
	int64_t oldest_s;                // since the last use of the one that was used longest ago and stays
};

// ERR_USAGE: the limits; ERR_NOT_FOUND: the tier has no lists; ERR_BUSY: somebody else is at it; ERR_LIMIT: too many entries; and the
// tier's. The report tells what was done until then.
int upkeep_run(struct tier *t, const struct upkeep_config *config, struct upkeep_report *report, struct err *err);

#endif

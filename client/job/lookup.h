// Finds the result of a plan in the cache, or says why there is none. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_LOOKUP_H
#define COFFER_CLIENT_JOB_LOOKUP_H

#include "client/job/plan.h"
#include "client/services/journal.h"
#include "depscan/manifest.h"

struct shared_store;

struct lookup {
	const struct plan *plan;
	struct manifest *manifest;   // NULL: none is known
	uint64_t epoch;              // of the watched directories, as the job was asked for; 0: none are
	enum outcome outcome;        // of a hit
	struct shared_store *shared; // the hit came out of it, and is not here yet (local_copy.h)
	struct cause cause;          // why there was no hit
	struct shared_ids *ids;      // what the shared store was asked for; NULL: it was not asked
	int64_t newest_input_ns;     // the latest change of a file that was looked at
	bool keeps_texts;            // a text may be kept for explanations
};

// 1 a hit (the entry, the result's bytes and l->outcome), 0 a miss with l->cause filled in.
int lookup_find(struct lookup *l, struct manifest_entry *entry, struct buf *result);
// Has another job stored something for this plan since lookup_find?
bool lookup_has_news(const struct lookup *l);
void lookup_release(struct lookup *l);

// Does an entry of another manifest hold here? The caller has compared its inputs; everything else is looked at.
bool lookup_holds(struct lookup *l, struct manifest *m, struct manifest_entry *e);
// The hit comes from this manifest: it is taken over, and lives as long as `l`.
void lookup_take_manifest(struct lookup *l, struct manifest *m);

// Has the manifest many entries, so that new ones will push out old ones?
bool lookup_is_crowded(const struct lookup *l);
// The key of the manifest for the source's very text. -1: it can't be read.
int lookup_text_key(const struct plan *p, struct digest *key);

#endif

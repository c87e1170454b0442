// What is still known of a miss, to be compared with what others have made of the same translation unit, and how the answer is written.
// Thread: main only.
#ifndef COFFER_CLIENT_VERBS_EXPLAIN_KNOWN_H
#define COFFER_CLIENT_VERBS_EXPLAIN_KNOWN_H

#include "base/mem.h"
#include "client/job/variant.h"
#include "depscan/manifest.h"
#include "store/store.h"

#include <jansson.h>

struct known_miss {
	struct arena *arena;
	const json_t *miss; // its record
	struct digest unit, key;
	struct variant words;
	struct manifest *manifest;
	const struct manifest_entry *ours; // in it: the very result that was made
	const char *root, *root_real;      // of the build tree; NULL: not known
};

// False: it no longer is; there is nothing to release. `disk` is the cache, may be NULL.
bool known_miss_find(struct known_miss *k, struct arena *a, struct store *disk, const json_t *miss);
void known_miss_release(struct known_miss *k);
// The file behind a manifest's name, in the arena. NULL: it is in a build tree, and none is known; the second shows "\1x.h" of such
// a tree as x.h.
const char *known_miss_path(const struct known_miss *k, const char *name);
const char *known_miss_shown(const struct known_miss *k, const char *name);
// NULL: it is not in the list. *at is its place.
const struct manifest_input *known_input(const struct manifest_entry *e, const char *name, uint32_t *at);

// What docs/explain.md has under "shared" and "farm". `maker` NULL: not known.
json_t *explain_told(const char *maker, int64_t made_at, const struct cause *cause);
json_t *explain_why_not(const char *text);

#endif

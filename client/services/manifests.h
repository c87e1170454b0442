// The manifests in the daemon's memory, in front of the store. Bounded; the least recently used go first. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_MANIFESTS_H
#define COFFER_CLIENT_SERVICES_MANIFESTS_H

#include "depscan/manifest.h"
#include "store/store.h"

#define MANIFESTS_MAX_BYTES ((size_t)40 << 20)

struct manifests;
struct manifests *manifests_new(struct store *store);
void manifests_free(struct manifests *ms);
// A reference, or NULL when there is none (a disk that fails is "none").
struct manifest *manifests_get(struct manifests *ms, const struct digest *key);
// Puts `fresh` in front of what is known under the key, in the store and in memory. Writers of one key take turns.
int manifests_add(struct manifests *ms, const struct digest *key, const struct manifest_entry *fresh, size_t most,
		  struct err *err);
// The same, and before the manifest `n` blobs that belong to it, MANIFESTS_MAX_BESIDE at most (store_put_together()).
#define MANIFESTS_MAX_BESIDE ((size_t)12)
int manifests_add_with(struct manifests *ms, const struct digest *key, const struct manifest_entry *fresh, size_t most,
		       const struct store_blob *beside, size_t n, struct err *err);
void manifests_forget(struct manifests *ms); // drops all that is in memory

#endif

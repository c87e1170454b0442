// What the gateway keeps: for each tenant content by its SHA-256 and results by the digest of their action, in a store on disk of
// its own, so that no tenant learns what another one has, and none pushes out another's.
//
// Nothing is visible before all of it is here and has its digest; what is read is compared with its name again. Blobs and messages
// are in memory while they come and go: each call and upload has a room there, and one tenant's rooms get at most half.
// Thread: any; calls run side by side.
#ifndef COFFER_GATEWAY_BLOBS_H
#define COFFER_GATEWAY_BLOBS_H

#include "base/buf.h"
#include "reapi/digest.h"

#include <stdbool.h>

struct blobs_config {
	const char *directory;         // exists, private
	uint64_t tenant_bytes;         // on disk, of each tenant
	uint64_t memory_bytes;         // of all rooms
	int64_t max_blob_bytes;        // of one
	int level;                     // of zstd, on disk
	struct shared_actions *shared; // behind the disk, or NULL; outlives the calls
};
struct blobs;
struct tenant_blobs; // lives as long as `blobs`
struct shared_actions;

struct blobs *blobs_new(const struct blobs_config *config);
void blobs_free(struct blobs *b);
int blobs_of(struct blobs *b, const char *tenant, struct tenant_blobs **t, struct err *err);
const char *blobs_tenant(const struct tenant_blobs *t);
int64_t blobs_max(const struct tenant_blobs *t); // bytes of one blob
struct shared_actions *blobs_shared(const struct tenant_blobs *t);
void blobs_tidy(struct blobs *b);       // makes stores small enough again; takes its time
uint64_t blobs_bytes(struct blobs *b);  // on disk, of all tenants that have been here
uint64_t blobs_memory(struct blobs *b); // of all rooms

// Memory that one call or upload has. Thread: one at a time.
struct room {
	struct tenant_blobs *blobs;
	uint64_t bytes;
};
// So many more, or at least so many. ERR_FULL: not now; ERR_LIMIT: never so much for one. The room is then what it was.
int room_add(struct room *r, uint64_t bytes, struct err *err);
int room_reach(struct room *r, uint64_t bytes, struct err *err);
void room_shrink(struct room *r, uint64_t bytes); // to so many
void room_release(struct room *r);                // also of one that is all zero

// ---- content ----
// 1 with the bytes added to `out`; 0: it is not there; -1: the disk.
int blobs_get(struct tenant_blobs *t, const struct reapi_digest *d, struct buf *out, struct err *err);
// ERR_FORMAT: these bytes do not have that digest.
int blobs_put(struct tenant_blobs *t, const struct reapi_digest *d, const void *p, size_t n, struct err *err);
// By presence of that hash with that size; what is there counts as used.
bool blobs_has(struct tenant_blobs *t, const struct reapi_digest *d);
bool blobs_uses(struct tenant_blobs *t, const struct reapi_digest *d); // for the many inputs of an action: see store_uses()

// ---- results ----
int blobs_get_result(struct tenant_blobs *t, const struct reapi_digest *action, struct buf *out, struct err *err);
int blobs_put_result(struct tenant_blobs *t, const struct reapi_digest *action, const void *p, size_t n, struct err *err);
void blobs_remove_result(struct tenant_blobs *t, const struct reapi_digest *action);

#endif

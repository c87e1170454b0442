// What the gateway keeps: for each tenant content by its SHA-256 and results by the digest of their action, in a store on disk of
// its own, so that no tenant learns what another one has, and none pushes out another's.
//
// Nothing is visible before all of it is here and has its digest; what is read is compared with its name again. Blobs are in memory
// while they come and go: each holds room (blobs_hold), of which one tenant gets at most half.
// Thread: any; calls run side by side.
#ifndef COFFER_GATEWAY_BLOBS_H
#define COFFER_GATEWAY_BLOBS_H

#include "base/buf.h"
#include "reapi/digest.h"

#include <stdbool.h>

struct blobs_config {
	const char *directory;  // exists, private
	uint64_t tenant_bytes;  // on disk, of each tenant
	uint64_t memory_bytes;  // of all blobs that come and go
	int64_t max_blob_bytes; // of one
	int level;              // of zstd, on disk
};
struct blobs;
struct tenant_blobs; // lives as long as `blobs`

struct blobs *blobs_new(const struct blobs_config *config);
void blobs_free(struct blobs *b);
int blobs_of(struct blobs *b, const char *tenant, struct tenant_blobs **t, struct err *err);
const char *blobs_tenant(const struct tenant_blobs *t);
int64_t blobs_max(const struct tenant_blobs *t); // bytes of one blob
void blobs_tidy(struct blobs *b);                // makes stores small enough again; takes its time
uint64_t blobs_bytes(struct blobs *b);           // on disk, of all tenants that have been here
uint64_t blobs_memory(struct blobs *b);          // held

// Room in memory for so many bytes, until blobs_let_go. ERR_FULL: not now; ERR_LIMIT: never so much for one.
int blobs_hold(struct tenant_blobs *t, uint64_t bytes, struct err *err);
void blobs_let_go(struct tenant_blobs *t, uint64_t bytes);

// ---- content ----
// 1 with the bytes added to `out`; 0: it is not there; -1: the disk.
int blobs_get(struct tenant_blobs *t, const struct reapi_digest *d, struct buf *out, struct err *err);
// ERR_FORMAT: these bytes do not have that digest.
int blobs_put(struct tenant_blobs *t, const struct reapi_digest *d, const void *p, size_t n, struct err *err);
// By presence; what is there counts as used.
bool blobs_has(struct tenant_blobs *t, const struct reapi_digest *d);

// ---- results ----
int blobs_get_result(struct tenant_blobs *t, const struct reapi_digest *action, struct buf *out, struct err *err);
int blobs_put_result(struct tenant_blobs *t, const struct reapi_digest *action, const void *p, size_t n, struct err *err);
void blobs_remove_result(struct tenant_blobs *t, const struct reapi_digest *action);

#endif

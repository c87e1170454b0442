// Blobs on their way in. One whose stream broke is kept for a while, so that its sender goes on where it was (ByteStream's
// QueryWriteStatus). Thread: any; of one upload, one call at a time.
#ifndef COFFER_GATEWAY_UPLOADS_H
#define COFFER_GATEWAY_UPLOADS_H

#include "gateway/blobs.h"
#include "gateway/inflate.h"
#include "reapi/resource.h"

enum { UPLOADS_KEPT = 1024, UPLOADS_KEEP_MS = 60000 };

struct incoming {
	char *key; // the tenant's and the resource's name
	size_t n_key;
	struct tenant_blobs *blobs;
	struct reapi_digest digest;
	bool is_zstd;
	uint64_t committed; // bytes as they came
	struct buf bytes;   // unpacked
	struct inflate zstd;
	struct room room;
	int64_t left_ms; // when it was left behind
};

struct uploads;
struct uploads *uploads_new(void);
void uploads_free(struct uploads *u);
// The one that was left behind, or a new one. Nobody else gets it until it is kept or dropped.
struct incoming *uploads_take(struct uploads *u, struct tenant_blobs *blobs, const char *name,
			      const struct reapi_resource *r);
void uploads_keep(struct uploads *u, struct incoming *upload); // its stream has broken
void incoming_drop(struct incoming *upload);                   // NULL is fine
// Bytes of one that was left behind; 0: there is none.
uint64_t uploads_committed(struct uploads *u, const struct tenant_blobs *blobs, const char *name);
void uploads_tidy(struct uploads *u); // forgets what nobody has come back to

void incoming_restart(struct incoming *u);
// ERR_FORMAT: more than the digest says; ERR_FULL and ERR_LIMIT: no room.
int incoming_add(struct incoming *u, const void *p, size_t n, struct err *err);
int incoming_finish(struct incoming *u, struct err *err); // into the tenant's blobs; ERR_FORMAT: not what its digest says

#endif

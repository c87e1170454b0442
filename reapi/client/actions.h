// ActionCache of somebody's server, used for entries that are one file each: what is kept under a name that is no real action's.
//
// The name is the digest of an Action message that nobody runs: its command's hash is the 32 bytes that name the entry, its salt says
// whose it is. So no entry ever stands where a cluster keeps the result of an action, and every server takes it for one. The result
// has one output file, ACTIONS_FILE, whose bytes are in the server's ContentAddressableStorage. Thread: any.
#ifndef COFFER_REAPI_CLIENT_ACTIONS_H
#define COFFER_REAPI_CLIENT_ACTIONS_H

#include "reapi/client/endpoint.h"

#define ACTIONS_FILE "entry"

// 1 with the bytes, 0: there is none, or its file is gone. ERR_LIMIT: more than `max` bytes. One round trip where the server sends
// the file with the result, else two.
int actions_get(struct endpoint *e, const struct sha256 *name, size_t max, struct buf *out, int64_t until_ms,
		struct err *err);
// 1: there is one, 0. Asks for no bytes.
int actions_has(struct endpoint *e, const struct sha256 *name, int64_t until_ms, struct err *err);
// ERR_ACCESS: the server lets us read only.
int actions_put(struct endpoint *e, const struct sha256 *name, const void *p, size_t n, int64_t until_ms, struct err *err);

#endif

// What a compile of the user's own text was asked for, read back from the bytes of its key (worker/key.h). A row of the audit log has
// the key, which is the digest of these bytes, and they have the listing's digest: so the row stands for directory, variables, words,
// outputs and every file. Thread: any.
#ifndef COFFER_WORKER_TREE_REQUEST_H
#define COFFER_WORKER_TREE_REQUEST_H

#include "base/mem.h"
#include "codec/sha/sha256.h"
#include "worker/results.h"

struct tree_request {
	const char *scope, *identity;
	Coffer__V1__CompileHeader header; // its image is the identity, or host:any
	Coffer__V1__CompileTree tree;
	Coffer__V1__Output outputs[HEADER_MAX_OUTPUTS], *output_list[HEADER_MAX_OUTPUTS];
	struct sha256 listing;
};
// `r` points into itself and into the arena, so it stays where it is. ERR_FORMAT: these are no such bytes; ERR_USAGE: of no compile that
// would be taken (header_check_tree).
int tree_request_read(const void *p, size_t n, struct arena *a, struct tree_request *r, struct err *err);
// The one that is kept for this key of the tenant's: 1; 0: none is; -1.
int tree_request_load(struct results *results, const char *tenant, const struct key *key, struct arena *a,
		      struct tree_request *r, struct err *err);

#endif

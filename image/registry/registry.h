// Calls to one repository of a registry (OCI distribution spec; the same as Docker's v2 API), with what it wants to see.
//
// Credentials go to the registry, and to a token server of the same name or of the one that the operator names: never to another
// host, never over plain http to another machine, never into messages. Redirects are followed without them.
// Thread: one at a time.
#ifndef COFFER_IMAGE_REGISTRY_REGISTRY_H
#define COFFER_IMAGE_REGISTRY_REGISTRY_H

#include "image/registry/reference.h"

#include <stddef.h>

struct registry_config {
	const char *credentials;  // a file (settings/credentials.h: user and password, or token), or NULL
	const char *ca;           // a PEM file, or NULL for the system's
	const char *token_server; // HOST[:PORT] of a token server that is not the registry itself, or NULL
	bool may_be_plain;        // http:// to other machines, too
};

struct registry;
// ERR_USAGE, ERR_ACCESS. Asks nobody yet.
int registry_open(const struct registry_config *config, const struct reference *reference, struct registry **registry,
		  struct err *err);
void registry_close(struct registry *s);

struct registry_get {
	const char *path;                                // behind /v2/NAME/: "manifests/12", "blobs/sha256:…"
	const char *accept;                              // or NULL
	uint64_t max;                                    // bytes of the answer
	struct buf *out;                                 // gets it, or else
	int (*sink)(void *ctx, const void *p, size_t n); // as in store/remote/http.h
	void (*begin)(void *ctx);                        // before the first byte, and before it comes once more
	void *ctx;
};
// ERR_NOT_FOUND, ERR_ACCESS, ERR_LIMIT, ERR_TIMEOUT, ERR_PEER. A call that fails on the way is tried again a few times.
int registry_get(struct registry *s, const struct registry_get *get, struct err *err);

#endif

// A shared store as settings describe it: the tier, what stands before it, and the seal of its entries. Used by the client's daemon
// and by workers. Thread: any.
#ifndef COFFER_STORE_REMOTE_SHARED_STORE_H
#define COFFER_STORE_REMOTE_SHARED_STORE_H

#include "store/remote/remote.h"
#include "store/shared/seal.h"
#include "store/shared/shared.h"

enum shared_access { // as the words of the settings
	SHARED_READ_ONLY,
	SHARED_READ_WRITE,
	SHARED_PUSH, // what there is to give is kept here until `coffer cache push`
};

struct shared_store_settings {
	struct remote_config remote;
	struct seal_config seal;
	enum shared_access access;
	int64_t timeout_ms;
};

struct shared_store {
	struct shared *shared;
	struct seal *seal;
	struct tier *tier; // behind `shared`; for verbs
	enum shared_access access;
};

// 0 with *out (NULL: the URL is empty), or -1. Asks nobody. ERR_USAGE: it may write, and there is nothing to seal entries with.
int shared_store_open(const struct shared_store_settings *settings, struct shared_store **out, struct err *err);
// Writes what waits, until then. NULL is fine.
bool shared_store_close(struct shared_store *s, int64_t until_ms);

#endif

// The two files of a saved VM: its memory, and the state of its machine. A monitor believes whatever is in them, so they belong to
// the worker alone and are authenticated: the seal is a MAC (GMAC with AES-256) over both, the tenant and the image, by a key that
// the process has made for itself and tells nobody. A seal is good once. Holes in the memory's file are not read.
#ifndef COFFER_WORKER_RUNTIME_SNAPSHOT_H
#define COFFER_WORKER_RUNTIME_SNAPSHOT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { SNAPSHOT_MAC = 16 };

struct snapshot_owner {
	const char *tenant, *image;
};
struct snapshot_seal {
	bool is_good; // made, and not used yet
	uint64_t number;
	uint8_t mac[SNAPSHOT_MAC];
};

// Takes the files away from everybody but us, and seals them.
int snapshot_seal(const struct snapshot_owner *owner, const char *memory, const char *state, struct snapshot_seal *seal,
		  struct err *err);
// Breaks the seal: the next time it is no good. Then the files are the user's. ERR_ACCESS: they are not what was sealed.
int snapshot_break(const struct snapshot_owner *owner, const char *memory, const char *state, uid_t uid, gid_t gid,
		   struct snapshot_seal *seal, struct err *err);

#endif

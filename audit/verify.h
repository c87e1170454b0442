// Checks a whole audit log against its checkpoint, or one that somebody has kept: every row is a row, hashes to its leaf, and
// all of them to the signed root. Thread: any.
#ifndef COFFER_AUDIT_VERIFY_H
#define COFFER_AUDIT_VERIFY_H

#include "audit/note.h"

struct audit_verified {
	uint64_t rows;          // under the checkpoint
	uint64_t unsigned_rows; // behind it: a checkpoint is at most a second old, so there are few
	struct checkpoint checkpoint;
};

// `verifier` NULL: the log's own key.pub, which proves nothing to somebody who does not know it from elsewhere. `kept`: the text
// of an earlier checkpoint, or NULL: the log must begin with the one it is about. ERR_FORMAT says which row is wrong, and how.
int audit_verify(int dirfd, const char *verifier, const struct buf *kept, struct audit_verified *v, struct err *err);

// The log's checkpoint and verifier key as its directory has them.
int audit_read_checkpoint(int dirfd, const char *verifier, struct checkpoint *c, struct buf *note, struct err *err);
int audit_read_verifier(int dirfd, char verifier[NOTE_KEY_MAX], struct err *err);

#endif

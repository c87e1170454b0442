// Proofs that leave the site: that one row is in the log (C2SP tlog-proof), and that one checkpoint continues another. Both are
// short texts that anybody can check offline with the log's verifier key.
//
//   c2sp.org/tlog-proof@v1 \n extra BASE64(row) \n index N \n BASE64(hash) \n … \n \n CHECKPOINT
//   coffer consistency 1 \n BASE64(hash) \n … \n \n OLD CHECKPOINT \n NEW CHECKPOINT
// Thread: any.
#ifndef COFFER_AUDIT_PROOF_H
#define COFFER_AUDIT_PROOF_H

#include "audit/note.h"

enum { PROOF_MAX = 256 * 1024 };

// Of row `index`, under the checkpoint on disk.
int audit_prove_row(int dirfd, uint64_t index, struct buf *proof, struct err *err);
// That the log continues the checkpoint `old` (its text).
int audit_prove_consistency(int dirfd, const struct buf *old, struct buf *proof, struct err *err);

struct audit_proven {
	bool is_consistency;
	uint64_t index; // of the row
	struct buf row; // its line
	struct checkpoint old, checkpoint;
};
// Checks either kind. ERR_FORMAT: it is no proof; ERR_ACCESS: it does not prove what it says, or another key has signed.
int audit_check_proof(const char *text, size_t n, const char *verifier, struct audit_proven *proven, struct err *err);
void audit_proven_release(struct audit_proven *proven);

#endif

// `coffer audit provenance` and `coffer audit verify-provenance`. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_AUDIT_PROVENANCE_H
#define COFFER_CLIENT_VERBS_AUDIT_PROVENANCE_H

#include "client/verbs/audit_log.h"
#include "codec/sha/sha256.h"

// `what` is a row, a job or an object's file. `key`: the private key's file, or NULL for the log's own; `builder` or NULL as in
// struct provenance. Prints the envelope.
int audit_print_provenance(struct audit_source *s, const char *what, const char *key, const char *builder, struct err *err);
// Checks the envelope in `file`, and that each of the objects is one of its subjects. Says what it says.
int audit_verify_provenance(const char *file, const char *verifier, char *const *objects, int n, struct err *err);

// The SHA-256 of a file.
int audit_digest_file(const char *file, struct sha256 *digest, struct err *err);

#endif

// Where the audit log is, and which row is meant: for the verbs that look at it.
#ifndef COFFER_CLIENT_VERBS_AUDIT_LOG_H
#define COFFER_CLIENT_VERBS_AUDIT_LOG_H

#include "audit/row.h"

// `given`, else $COFFER_AUDIT_LOG, else the usual place of this machine's worker.
const char *audit_directory(struct arena *a, const char *given);
// The number of a row, by it ("17") or by its job. ERR_NOT_FOUND.
int audit_find_row(int dirfd, const char *what, uint64_t *index, struct err *err);
// Reads row `index`. In the arena.
int audit_get_row(int dirfd, uint64_t index, struct arena *a, struct audit_row *row, struct err *err);

#endif

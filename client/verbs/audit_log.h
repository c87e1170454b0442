// The audit log that a verb looks at, its index, and which row is meant. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_AUDIT_LOG_H
#define COFFER_CLIENT_VERBS_AUDIT_LOG_H

#include "audit/index/index.h"

struct audit_source {
	const char *directory;
	int dirfd;
	struct audit_index *index; // after audit_source_index()
};
#define AUDIT_SOURCE_INIT      \
	{                      \
		NULL, -1, NULL \
	}
// The log in `given`, else in $COFFER_AUDIT_LOG, else in the usual place of this machine's worker.
int audit_source_open(struct audit_source *s, const char *given, struct arena *a, struct err *err);
void audit_source_close(struct audit_source *s);
#define AUTO_AUDIT_SOURCE __attribute__((cleanup(audit_source_close)))

// Opens the index and takes in what is new. It is in the log's directory where that can be written, else among the user's caches.
int audit_source_index(struct audit_source *s, struct err *err);
// The number of a row, by it ("17") or by its job. ERR_NOT_FOUND.
int audit_source_find(struct audit_source *s, const char *what, uint64_t *row, struct err *err);
// Reads row `index`. In the arena.
int audit_source_row(const struct audit_source *s, uint64_t index, struct arena *a, struct audit_row *row, struct err *err);

#endif

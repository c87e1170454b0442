// Two events for each job, as JSON lines, for whoever follows with other tools: `compile.started` and `compile.finished`, the
// latter exactly once on every path. They are no evidence: rows are. A line:
//
//   time, event, instance (of the process), then what the row has; of `compile.finished` also `outcome`: success, failed (the
//   compiler said no), timeout_killed, limit_killed, refused, cancelled (nobody waited for it any more), internal_error (the
//   worker ended while it ran); `cache` hit or miss; and `signal` where one killed the compiler.
//
// The file is begun again at AUDIT_EVENTS_MAX bytes, and one older one is kept. Thread: one at a time.
#ifndef COFFER_AUDIT_EVENTS_H
#define COFFER_AUDIT_EVENTS_H

#include "audit/row.h"

enum { AUDIT_EVENTS_MAX = 64 << 20, AUDIT_INSTANCE = 17 };

enum audit_events_to {
	AUDIT_EVENTS_FILE,   // events.jsonl, in the log's directory
	AUDIT_EVENTS_STDERR, // with the log messages: under systemd the journal
	AUDIT_EVENTS_OFF,
};

struct audit_events {
	int dirfd, fd; // fd -1: off
	size_t bytes;  // in the file since it was begun, or we were
	const char *instance;
};
#define AUDIT_EVENTS_INIT             \
	{                             \
		.dirfd = -1, .fd = -1 \
	}

int audit_events_open(struct audit_events *e, int dirfd, enum audit_events_to to, const char *instance, struct err *err);
void audit_events_close(struct audit_events *e);

enum audit_event { EVENT_STARTED, EVENT_FINISHED };
// What can't be written is left out.
void audit_events_add(struct audit_events *e, enum audit_event what, const struct audit_row *row);

const char *audit_now(struct arena *a); // as in rows: UTC, to the microsecond

#endif

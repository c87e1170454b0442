// The audit log of one worker: rows that only come at the end, and a signed hash tree over them (docs/audit.md).
//
// In the directory: `rows/N` has 65,536 rows each, a line a row; `tile/` the hashes (tiles.h); `checkpoint` the signed note over
// them (note.h); `key` the private key; `key.pub` its verifier key; `pending` the jobs that were accepted and have no row yet;
// `events.jsonl` two events for each job (events.h).
//
// A row is in the file when audit_log_add() returns, and under a signed checkpoint AUDIT_CHECKPOINT_MS later at most. After a
// crash, rows that no checkpoint covers are taken in; jobs that had been accepted and have no row get one (outcome interrupted).
// A log with fewer rows than its checkpoint says, or other ones at its end, is not opened.
// Thread: any.
#ifndef COFFER_AUDIT_LOG_H
#define COFFER_AUDIT_LOG_H

#include "audit/events.h"
#include "audit/note.h"
#include "audit/row.h"

enum { AUDIT_CHECKPOINT_MS = 1000, AUDIT_SEGMENT_ROWS = 65536, AUDIT_JOB_ID = 40, AUDIT_RECENT = 20 };

enum audit_sync {
	AUDIT_SYNC_NONE,       // the kernel writes when it likes: rows survive the process, not the machine
	AUDIT_SYNC_CHECKPOINT, // each checkpoint is on disk before it is published
	AUDIT_SYNC_ROW,        // each row is on disk before its job is answered
};

struct audit_log_config {
	const char *directory; // made, with mode 0700
	const char *origin;    // the worker's name, in every checkpoint
	const char *key;       // the private key's file; NULL: `key` in the directory, made where there is none
	enum audit_sync sync;
	enum audit_events_to events;
};

struct audit_log;
int audit_log_open(const struct audit_log_config *config, struct audit_log **log, struct err *err);
void audit_log_close(struct audit_log *log); // with a last checkpoint; jobs without a row get one. NULL is fine

// A job was accepted: from now on there will be exactly one row for it. `row` has what is known (tenant, worker, time). `job`
// gets its id. Where this fails the job must be refused.
int audit_log_start(struct audit_log *log, struct audit_row *row, char job[AUDIT_JOB_ID], struct err *err);
// Its row. `index`, if not NULL: which row it is. -1: it could not be written; the job has still no row.
int audit_log_finish(struct audit_log *log, const struct audit_row *row, uint64_t *index, struct err *err);

// Adds the last rows as JSON objects with commas between them, the newest first; AUDIT_RECENT at most, of this process.
void audit_log_recent(struct audit_log *log, struct buf *json);
const char *audit_log_instance(const struct audit_log *log); // of this process: begins the id of each of its jobs
const char *audit_log_verifier(const struct audit_log *log);
uint64_t audit_log_size(struct audit_log *log);

#endif

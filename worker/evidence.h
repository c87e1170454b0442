// The audit row of one compile, as it is gathered on its way through compile.c. Without an audit log everything here does
// nothing. Thread: the call's.
#ifndef COFFER_WORKER_EVIDENCE_H
#define COFFER_WORKER_EVIDENCE_H

#include "audit/log.h"
#include "worker/key.h"
#include "worker/results.h"
#include "worker/runtime/runtime.h"

struct evidence {
	struct audit_log *log; // NULL: there is none, or the row is written
	struct arena arena;
	struct audit_row row;
	char job[AUDIT_JOB_ID];
};

// The job is accepted: from now on it has exactly one row. -1: the log can't take it, so the job must be refused.
int evidence_begin(struct evidence *e, struct audit_log *log, const char *worker, const char *tenant,
		   enum isolation isolation, struct err *err);
// -1: the flags are longer than a row can say, so the job must be refused.
int evidence_header(struct evidence *e, const Coffer__V1__CompileHeader *h, const char *identity, struct err *err);
// What a row of a tree has as its flags: the user's own words may be longer than a row holds, and then their digest stands for them.
const char *evidence_tree_flags(struct arena *a, const Coffer__V1__CompileHeader *h);
void evidence_source(struct evidence *e, const uint8_t digest[32]);
void evidence_session(struct evidence *e, const char *label, int pid, const char *monitor); // `monitor` NULL: there is none
void evidence_run(struct evidence *e, const struct job_result *run);
void evidence_result(struct evidence *e, const struct key *key, const struct result *x);
// The same whether there is a log or not: for who compares with a row that is written.
void evidence_describe(struct evidence *e, const struct key *key, const struct result *x);
// Writes the row: "run", "hit", "failed", "limit", "refused", "cancelled". 0 where it is written already. -1: it is not, and
// nobody may get an answer that has no row.
int evidence_end(struct evidence *e, const char *outcome, const char *reason, struct err *err);
void evidence_release(struct evidence *e);

#endif

// The row of one compile in the client's own audit log (setting `audit_directory`): what this machine did for it, hit or compile. Without
// the setting everything here does nothing. Compiles that a worker made have a row in its log, too. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_EVIDENCE_H
#define COFFER_CLIENT_JOB_EVIDENCE_H

#include "audit/log.h"
#include "client/job/plan.h"

struct compile_evidence {
	struct audit_log *log; // NULL: there is none, or the row is written
	struct audit_row row;
	char job[AUDIT_JOB_ID];
};

enum compile_end {
	END_HIT,       // a known result was given out
	END_RUN,       // the compiler ran here
	END_FAILED,    // and said no
	END_AWAY,      // a worker has made it
	END_UNTOUCHED, // the real compiler ran by itself: what came of it is not known
	END_CANCELLED, // the compiler was killed, or nobody waited for it
};

// From now on the compile has one row. -1: the log can't take it; then nothing may be given out.
int evidence_begin_compile(struct compile_evidence *e, const struct plan *p, struct err *err);
struct compile_said {
	enum compile_end end;
	int exit_status;             // of END_RUN and END_FAILED
	uint64_t wall_us;            // the same
	const char *reason;          // why it was not cached, or NULL
	const char *worker;          // of END_AWAY
	const struct digest *result; // the key of the result in the cache; NULL or zero: it has none
	const bool *made; // PART_COUNT of them: the outputs that are this compile's, and not left by an earlier one
	// PART_COUNT of them, of END_AWAY in the place of `made`: digests of the bytes that were written; NULL: there is no such output
	const struct sha256 *const *delivered;
};
// Reads the outputs where the compile has left some. `tells_all` false: no argument and no digest of a file goes into the row. A row that can't be written is told in the daemon's log, and the job's name
// stays pending.
void evidence_end_compile(struct compile_evidence *e, const struct plan *p, bool tells_all, const struct compile_said *said);

#endif

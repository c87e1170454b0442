// Runs a row of the audit log again and compares: the proof that what was given out is what the compiler makes of that source.
//
// It needs the worker's own directory (sources, results), its toolchain, and at least the row's isolation. Thread: any.
#ifndef COFFER_WORKER_REPLAY_H
#define COFFER_WORKER_REPLAY_H

#include "audit/row.h"
#include "worker/service.h"

enum replayed {
	REPLAY_IDENTICAL, // the same outputs
	REPLAY_DIFFERENT, // other ones, or another exit status
	REPLAY_MISSING,   // it can't be run again: `why` says what is missing
};
struct replay {
	enum replayed what;
	char why[512]; // of REPLAY_MISSING and REPLAY_DIFFERENT
};

// -1: the run itself failed, which says nothing of the row.
int replay_row(struct worker_service *s, const struct audit_row *row, struct replay *r, struct err *err);

// For the files of replay: `answer` becomes REPLAY_MISSING. Returns 1.
__attribute__((format(printf, 2, 3))) int replay_missing(struct replay *answer, const char *fmt, ...);
// action_replay.c: a row of an action of the Remote Execution API, which has passed what all rows have to. 1: it is missing something.
int replay_action(struct worker_service *s, const struct audit_row *row, struct replay *r, struct err *err);

#endif

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

// Why no row of this kind can be run again, by what a row says; NULL: that does not stand in the way.
const char *replay_lacks(const struct audit_row *row);
// -1: the run itself failed, which says nothing of the row.
int replay_row(struct worker_service *s, const struct audit_row *row, struct replay *r, struct err *err);

#endif

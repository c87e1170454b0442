// Writes the outputs of a compile that was not run here, in the manner of the compiler that would have written them.
// Thread: the job's.
#ifndef COFFER_CLIENT_JOB_DELIVER_H
#define COFFER_CLIENT_JOB_DELIVER_H

#include "client/job/plan.h"
#include "depscan/manifest.h"
#include "store/store.h"

// A hit: writes the outputs of the result and rebuilds the depfile; -1 when something can't be written (the compiler then
// runs and meets the same trouble). `has`: which parts there are. The messages are returned as pointers into `result`.
int deliver_hit(const struct plan *p, const struct manifest_entry *entry, const struct buf *result, bool has[PART_COUNT],
		struct wire_done *messages, struct err *err);
// What another machine has made: an object, and the .dwo and the depfile where the compile has one; and what its compiler said.
struct made_elsewhere {
	struct store_part object, dwo, depfile, asm_depfile, out, errs;
	bool has_depfile; // else the user's is written already
};
int deliver_made(const struct plan *p, const struct made_elsewhere *made, struct err *err);

// The parts of a result as it is stored: those that are there have data, within `result`. ERR_FORMAT.
int deliver_read_parts(const struct buf *result, const void *data[PART_COUNT], size_t size[PART_COUNT], struct err *err);

#endif

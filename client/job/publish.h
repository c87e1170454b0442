// Stores what a compile has made: outputs, inputs, and the manifest that names them. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_PUBLISH_H
#define COFFER_CLIENT_JOB_PUBLISH_H

#include "client/job/baseline.h"
#include "client/job/deliver.h"
#include "client/job/plan.h"
#include "depscan/manifest.h"

struct publication {
	const struct plan *plan;
	bool is_crowded;             // the manifest has many entries (lookup_is_crowded)
	uint64_t wall_us;            // of the compile
	const struct buf *stored;    // what a hit would have given out, to be compared; NULL: it was no hit
	const char *differs;         // filled in: the file that is another there
	struct digest result;        // filled in
	struct manifest_entry entry; // the same, as far as it is stored
	bool is_stored;
};

// After the compiler has run here. `fds` as in WIRE_RESULT.
struct refusal publish(struct publication *pub, const struct baseline *b, const struct wire_result *r, const int *fds);
// What another machine has made. `entry` has the inputs.
struct refusal publish_from_elsewhere(struct publication *pub, struct manifest_entry *entry,
				      const struct made_elsewhere *made);

// What another machine has made, out of a shared store: gives the entry its key here and adds the bytes of the result, as store_get()
// would. local_copy.h stores them.
void publish_fetched(const struct plan *p, struct manifest_entry *entry, const struct buf parts[PART_COUNT],
		     const bool has[PART_COUNT], struct buf *result);

#endif

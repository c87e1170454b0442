// An action that runs on somebody's cluster: its input root, command and Action are made and uploaded as far as they are not there,
// Execute is followed to its end (WaitExecution, where the stream breaks), and what comes back is taken in as far as it is what it says.
//
// Waits only until `until_ms`, and asks go_on about twice a second while the action is under way. Thread: any.
#ifndef COFFER_REAPI_CLIENT_RUN_H
#define COFFER_REAPI_CLIENT_RUN_H

#include "reapi/client/blobs.h"

enum { RUN_OUTPUTS = 4, RUN_FILES = 4, RUN_PROPERTIES = 32 };

struct reapi_run_file { // of the input root, which is one directory
	const char *name;
	struct reapi_blob blob;
};
struct reapi_run_property {
	const char *name, *value;
};
struct reapi_run {
	const char *const *arguments;
	size_t n_arguments;
	struct reapi_run_file files[RUN_FILES]; // by name, in the order of bytes
	size_t n_files;
	struct reapi_output outputs[RUN_OUTPUTS]; // the same
	size_t n_outputs;
	const struct reapi_run_property *properties; // the same
	size_t n_properties;
	bool is_fresh; // it runs, whatever was kept, and is not kept
	size_t max_output;
	int64_t until_ms;
	bool (*go_on)(void *ctx, bool started); // NULL: to the end
	void *ctx;

	// filled in
	struct reapi_outcome outcome;
	struct buf made[RUN_OUTPUTS]; // those that are there, after an exit status of 0
	uint64_t sent;                // bytes
};
enum run_end {
	RUN_DONE,     // outcome.exit_code
	RUN_GIVEN_UP, // go_on said so
	RUN_BUSY,     // the cluster has too much to do
	RUN_REFUSED,  // it won't run this
	RUN_LIMIT,    // more than a limit, there or here
	RUN_FAILED,   // it can't, or does not answer
	RUN_LIED,     // what it says of its answer is not so, or can't be
};
enum run_end run_action(struct endpoint *e, struct reapi_run *r, struct err *err);
void run_release(struct reapi_run *r);

#endif

// One compile on a worker: sends the text, preprocessed or the user's own, waits, takes the outputs in and believes nothing that it has not checked.
// Thread: any; one job is one thread's.
#ifndef COFFER_CLIENT_FARM_CALL_H
#define COFFER_CLIENT_FARM_CALL_H

#include "client/farm/call_tree.h"
#include "client/farm/farm.h"
#include "client/farm/preprocess.h"
#include "compiler/travel.h"

struct remote_call {
	const char *image;
	const char *compiler;      // a base name
	const char *compiler_path; // the whole of it; for a cluster
	const struct remote_tree
		*tree; // the user's own text; NULL: preprocessed text, with `arguments`, `text` and the two names
	const struct travel_arguments *arguments;
	const struct preprocess *text;
	const char *source_name;
	const char *output_name; // of the object, where a .dwo is wanted with it (-gsplit-dwarf); else NULL
	const char *target;      // of the compiler: what an object is there
	size_t max_output;
	int64_t timeout_ms;
	bool keeps_nothing; // nothing of this job is kept here
	// Asked about twice a second: false gives up. `started`: it runs there.
	bool (*go_on)(void *ctx, bool started);
	void *ctx;

	// filled in
	int exit_status;
	struct buf out, errs; // what the compiler said
	bool is_cached;
	uint8_t key[32]; // of the result, there; only where has_key
	bool has_key;
	struct buf outputs;           // one after the other
	size_t sizes[REMOTE_OUTPUTS]; // of each; 0: it was not asked for
	struct sha256 digests[REMOTE_OUTPUTS];
	uint64_t wall_us; // what the compile took there
	uint64_t sent;    // bytes
};
enum remote_outcome {
	REMOTE_DONE,     // exit_status, and with 0 the object
	REMOTE_BUSY,     // it takes no more now: another worker may
	REMOTE_LOST,     // of a tree: it no longer had what it has not asked for; it may be called again at once
	REMOTE_FAILED,   // this worker can't: another may
	REMOTE_REFUSED,  // it won't take this: of a tree, it may take the text
	REMOTE_LIMIT,    // more than a limit, there or of max_output, whichever way it is sent: compile here
	REMOTE_CHANGED,  // it is no longer the worker that it was compared as
	REMOTE_LIED,     // its answer is not what it says of it, or cannot be one: the worker is not to be believed
	REMOTE_GIVEN_UP, // go_on said so
	REMOTE_SPOILT,   // a file of the tree is no longer what was said of it: nothing against the worker
};
// Sets the seat's pause_ms, and what else farm_give wants to know.
enum remote_outcome remote_compile(struct remote_call *c, struct farm_seat *seat, struct err *err);
void remote_call_release(struct remote_call *c);

// gRPC's grpc-retry-pushback-ms: how long a server wants to be left alone. Within 1 ms and REMOTE_PAUSE_MAX_MS, which a
// negative number and what is no number stand for as well (gRFC A6: not to be tried again at all). NULL: 0, it has said
// nothing.
enum { REMOTE_PAUSE_MAX_MS = 60000 };
int remote_pause_ms(const char *text);

#endif

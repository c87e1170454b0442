// What an action has left, as its ActionResult says it: files, trees of directories, links, and all blobs that these name.
// Thread: one.
#ifndef COFFER_WORKER_ACTION_OUTPUTS_H
#define COFFER_WORKER_ACTION_OUTPUTS_H

#include "base/mem.h"
#include "reapi/digest.h"
#include "worker/runtime/runtime.h"

struct output_blob {
	struct reapi_digest digest;
	struct buf bytes;
};
struct output_entry {
	size_t index;
	char *name; // below the output
	enum job_entry_kind kind;
	char *target;
	size_t blob; // of a file
};

struct action_outputs {
	struct arena arena;
	uint64_t left; // bytes that may still come
	struct output_blob *blobs;
	size_t n_blobs;
	struct output_entry *entries;
	size_t n_entries;
	uint64_t missing; // of the file that is coming
};

void action_outputs_init(struct action_outputs *o, uint64_t most_bytes);
void action_outputs_release(struct action_outputs *o);
// For struct job_tree. ERR_PEER: names that no agent of ours would send.
int action_outputs_entry(void *outputs, const struct job_entry *entry, struct err *err);
int action_outputs_write(void *outputs, const void *p, size_t n, struct err *err);

// Of the outputs with these paths, in the arena. `has_types`: the command told files from directories.
int action_outputs_result(struct action_outputs *o, const char *const *paths, bool has_types, Reapi__ActionResult *r,
			  struct err *err);
// One more blob, as stdout: its digest, in the arena. The bytes are taken over.
Reapi__Digest *action_outputs_add(struct action_outputs *o, struct buf *bytes);

#endif

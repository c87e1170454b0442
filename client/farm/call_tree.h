// The user's own text on its way to a worker: a listing of all files, then those that the worker lacks. Thread: the call's.
#ifndef COFFER_CLIENT_FARM_CALL_TREE_H
#define COFFER_CLIENT_FARM_CALL_TREE_H

#include "proto/coffer.pb-c.h"
#include "remote/rpc.h"
#include "sourcetree/source_tree.h"

// In the order in which they are asked for. Depfiles are a tree's: with preprocessed text they are known here.
enum remote_output { REMOTE_OBJECT, REMOTE_DWO, REMOTE_DEPFILE, REMOTE_ASM_DEPFILE, REMOTE_OUTPUTS };

struct remote_tree {
	const struct source_tree *tree; // encoded; its nodes know where the files are here
	const struct buf *listing;
	struct sha256 sha256; // of it
	const char *directory;
	const char *const *environment, *const *arguments;
	unsigned n_environment, n_arguments;
	const char *outputs[REMOTE_OUTPUTS]; // as Output.name has them; NULL: there is none
	// A listing that the worker got before, or nothing: this one is packed behind it.
	const struct buf *prefix;
};

// Fills in what a header says of a tree; points into `t`, `m` and `outputs`.
struct remote_tree_header {
	Coffer__V1__CompileTree tree;
	struct sha256 prefix;
};
void remote_tree_describe(const struct remote_tree *t, struct remote_tree_header *m, Coffer__V1__CompileHeader *header);

// Both: 0, or -1. `sent` grows by the bytes.
int remote_tree_send_listing(const struct remote_tree *t, bool with_prefix, struct rpc_call *call, uint64_t *sent,
			     struct err *err);
// ERR_FORMAT: the worker asks for what is not in the listing; ERR_NOT_FOUND: a file is no longer what the listing says.
int remote_tree_send_files(const struct remote_tree *t, const Coffer__V1__CompileNeeds *needs, struct rpc_call *call,
			   uint64_t *sent, struct err *err);

#endif

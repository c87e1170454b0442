// Runs the command of a compile in a session and packs what it leaves: for a job of a client, and for a replay. Thread: any; one
// for each execution.
#ifndef COFFER_WORKER_EXECUTION_H
#define COFFER_WORKER_EXECUTION_H

#include "worker/command.h"
#include "worker/output_frame.h"
#include "worker/runtime/runtime.h"

struct execution {
	const struct worker_command *command;
	struct job_bytes source; // one zstd frame: the agent unpacks it
	struct job_tree *tree;   // or NULL: then a tree is the source, which `read` gives
	job_read_fn read;
	void *read_ctx;
	uint32_t wall_ms;          // 0: the session's limit
	struct job_cancel *cancel; // or NULL
	struct buf *out, *errs;    // with their maxima
	struct output_frame *frame;
};
// As runtime_session_exec; the frame is whole when it returns 0.
int execution_run(struct execution *x, struct runtime_session *session, struct job_result *result, struct err *err);

#endif

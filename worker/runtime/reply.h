// What an agent answers, one message after the other. An agent is not trusted: a job may have taken it over. Thread: one.
#ifndef COFFER_WORKER_RUNTIME_REPLY_H
#define COFFER_WORKER_RUNTIME_REPLY_H

#include "proto/coffer.pb-c.h"
#include "worker/runtime/runtime.h"

enum { REPLY_MAX_ENTRIES = 100000 }; // of an action's outputs

struct reply {
	const struct runtime_job *job;
	const struct limits *limits; // in force for this job
	struct job_result *result;
	uint64_t n_out, n_err, n_outputs; // bytes so far
	struct job_output *output;        // whose pieces are coming; NULL: none
	size_t n_entries;                 // of an action's outputs
	uint64_t left;                    // of it
	size_t next;                      // outputs come in their order
	bool is_ended;                    // the exit was there
};

// ERR_PEER for what no agent of ours would send; what a sink says otherwise.
int reply_take(struct reply *reply, const Coffer__V1__ExecReply *message, struct err *err);
// After the last message: whether it was whole.
int reply_end(const struct reply *reply, struct err *err);

#endif

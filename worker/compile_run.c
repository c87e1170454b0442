// The run of a compile: its turn, and the session in which it runs, or a second one when the first has died under it.
#include "worker/compile_parts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "worker/command.h"
#include "worker/execution.h"

enum { ATTEMPTS = 2, EXIT_OVERDUE = 137 };

// Others wait, and this tenant has more than its part: as if its time were over.
static void end_for_others(void *arg)
{
	struct compile *c = arg;
	job_cancel_fire(&c->cancel);
}

int compile_take_slot(struct compile *c)
{
	int64_t before = clock_ms();
	queue_on_overdue(c->service->queue, &c->ticket, end_for_others, c);
	if (queue_take(c->service->queue, &c->ticket, &c->err) < 0)
		return c->err.code == ERR_LIMIT ? compile_fail(c, COUNT_full, RPC_RESOURCE_EXHAUSTED)
						: compile_fail_cancelled(c);
	c->waited_ms = clock_ms() - before;
	return 0;
}

int compile_tell_started(struct compile *c)
{
	Coffer__V1__CompileStarted started = COFFER__V1__COMPILE_STARTED__INIT;
	Coffer__V1__CompileReply m = COFFER__V1__COMPILE_REPLY__INIT;
	started.waited_ms = (uint32_t)c->waited_ms;
	m.kind_case = COFFER__V1__COMPILE_REPLY__KIND_STARTED;
	m.started = &started;
	return rpc_send(c->call, &m.base, &c->err) < 0 ? compile_fail_cancelled(c) : 0;
}

static int exec_in(struct compile *c, struct runtime_session *session, const struct worker_command *command)
{
	struct job_tree tree;
	struct execution x = {.command = command,
			      .source = {c->upload.packed.data, c->upload.packed.len},
			      .wall_ms = c->header->timeout_ms,
			      .cancel = &c->cancel,
			      .out = &c->out,
			      .errs = &c->errs,
			      .frame = &c->packer};
	if (c->header->tree) {
		tree_source_job(&c->tree, c->header, &tree);
		tree_source_rewind(&c->tree);
		x.tree = &tree;
		x.read = tree_source_read;
		x.read_ctx = &c->tree;
	}
	return execution_run(&x, session, &c->run, &c->err);
}

static void forget_attempt(struct compile *c)
{
	buf_clear(&c->out);
	buf_clear(&c->errs);
	output_frame_release(&c->packer);
	output_frame_init(&c->packer, c->service->limits.output_bytes);
}

static int fail_run(struct compile *c)
{
	// The client comes again, and is asked for it.
	if (c->tree.has_lost)
		return compile_fail(c, COUNT_lost, RPC_RESOURCE_EXHAUSTED);
	// The toolchain here does not go together with the tree; preprocessed text needs no more than the compiler.
	if (c->header->tree && c->err.code == ERR_ACCESS)
		return compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION);
	switch (c->err.code) {
	case ERR_TIMEOUT:
		return compile_fail_cancelled(c);
	case ERR_USAGE:
	case ERR_LIMIT:
	case ERR_FORMAT:
	case ERR_NOT_FOUND:
		return compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION);
	default:
		return compile_fail(c, COUNT_broken, RPC_UNAVAILABLE);
	}
}

static void build_command(struct compile *c, struct arena *a, struct worker_command *command)
{
	if (c->header->tree)
		command_build_tree(command, a, c->header);
	else
		command_build(command, a, c->header, &c->found, c->upload.digest);
}

// 0 it has run, whatever came of it; 1 its session has died under it; -1: why is in `c`.
static int try_once(struct compile *c, const struct worker_command *command)
{
	struct worker_service *s = c->service;
	struct pooled_session *session;
	if (sessions_take(s->sessions, c->claims.tenant, images_session_name(c->header->image), &session, &c->err) < 0)
		return c->err.code == ERR_LIMIT ? compile_fail(c, COUNT_full, RPC_RESOURCE_EXHAUSTED)
						: compile_fail(c, COUNT_broken, RPC_UNAVAILABLE);
	evidence_session(&c->evidence, runtime_label(s->runtime), runtime_session_pid(pooled_session(session)),
			 runtime_monitor(s->runtime));
	int rc = exec_in(c, pooled_session(session), command);
	sessions_give(s->sessions, session);
	if (rc == 0)
		return 0;
	return c->err.code == ERR_PEER ? 1 : fail_run(c);
}

// Its tenant has had more than its part while others waited: the job ends as one whose time is over.
static bool is_ended_for_others(const struct compile *c)
{
	return c->ticket.is_overdue && c->err.code == ERR_TIMEOUT && !rpc_call_is_cancelled(c->call);
}

int compile_run(struct compile *c)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct worker_command command;
	build_command(c, &a, &command);
	int rc = try_once(c, &command);
	for (int attempt = 1; rc == 1 && attempt < ATTEMPTS; attempt++) {
		worker_count(c->service, COUNT_retried, 1);
		forget_attempt(c);
		rc = try_once(c, &command);
	}
	if (rc == 1)
		rc = fail_run(c);
	bool is_ended = rc < 0 && is_ended_for_others(c);
	queue_give(c->service->queue, &c->ticket);
	if (!is_ended)
		return rc;
	forget_attempt(c);
	c->run = (struct job_result){.exit_status = EXIT_OVERDUE, .limit = "wall"};
	worker_count(c->service, COUNT_overdue, 1);
	return 0;
}

#include "worker/execution.h"

// Bytes of one output: the first of them say which one it is now.
struct output_sink {
	struct output_frame *frame;
	int kind;
	bool has_begun;
};

static int take_output(void *ctx, const void *p, size_t n, struct err *err)
{
	struct output_sink *s = ctx;
	if (!s->has_begun && output_frame_begin(s->frame, s->kind, err) < 0)
		return -1;
	s->has_begun = true;
	return output_frame_add(s->frame, p, n, err);
}

int execution_run(struct execution *x, struct runtime_session *session, struct job_result *result, struct err *err)
{
	const struct worker_command *command = x->command;
	struct output_sink sinks[HEADER_MAX_OUTPUTS] = {0};
	struct job_output outputs[HEADER_MAX_OUTPUTS] = {0};
	struct runtime_job job = {.arguments = command->arguments,
				  .source_name = command->source_name,
				  .read = job_read_bytes,
				  .read_ctx = &x->source,
				  .is_packed = true,
				  .limits = {.wall_ms = x->wall_ms},
				  .out = job_sink_buf(x->out),
				  .errs = job_sink_buf(x->errs),
				  .outputs = outputs,
				  .n_outputs = command->n_outputs,
				  .cancel = x->cancel};
	if (x->tree) {
		job.tree = x->tree;
		job.read = x->read;
		job.read_ctx = x->read_ctx;
		job.is_packed = false;
	}
	for (size_t i = 0; i < command->n_outputs; i++) {
		sinks[i] = (struct output_sink){x->frame, command->kinds[i], false};
		outputs[i] = (struct job_output){.name = command->outputs[i], .sink = {take_output, &sinks[i]}};
	}
	int rc = runtime_session_exec(session, &job, result, err);
	// An output without any bytes has had no sink called.
	for (size_t i = 0; rc == 0 && i < command->n_outputs; i++)
		if (outputs[i].is_present && !sinks[i].has_begun)
			rc = output_frame_begin(x->frame, command->kinds[i], err);
	return rc < 0 ? -1 : output_frame_end(x->frame, err);
}

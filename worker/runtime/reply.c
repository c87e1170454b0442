#include "worker/runtime/reply.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static int sink(const struct job_sink *to, const ProtobufCBinaryData *bytes, struct err *err)
{
	return to->write && bytes->len ? to->write(to->ctx, bytes->data, bytes->len, err) : 0;
}

static int take_message(const struct reply *r, const struct job_sink *to, uint64_t *n, const ProtobufCBinaryData *bytes,
			struct err *err)
{
	*n += bytes->len;
	if (*n > r->limits->message_bytes)
		return err_set(err, ERR_PEER, "the agent sends more messages than a job may write");
	return sink(to, bytes, err);
}

static int take_output(struct reply *r, const Coffer__V1__ExecOutput *o, struct err *err)
{
	if (r->output || o->index >= r->job->n_outputs || o->index < r->next)
		return err_set(err, ERR_PEER, "the agent sends an output that is not due");
	r->n_outputs += o->size;
	if (o->size > r->limits->file_bytes || r->n_outputs > r->limits->scratch_bytes)
		return err_set(err, ERR_PEER, "the agent sends more output than a job may write");
	r->next = o->index + 1;
	struct job_output *output = &r->job->outputs[o->index];
	output->is_present = true;
	output->size = o->size;
	r->left = o->size;
	r->output = o->size ? output : NULL;
	return 0;
}

// What an action has left. Names are judged by whoever takes them.
static int take_entry(struct reply *r, const Coffer__V1__ExecOutput *o, struct err *err)
{
	static const enum job_entry_kind kinds[] = {JOB_FILE, JOB_EXECUTABLE, JOB_DIRECTORY, JOB_SYMLINK};
	const struct job_tree *tree = r->job->tree;
	if (r->left || o->index >= r->job->n_outputs || o->index < r->next || (unsigned)o->kind >= COUNT_OF(kinds) ||
	    r->n_entries++ == REPLY_MAX_ENTRIES)
		return err_set(err, ERR_PEER, "the agent sends an output that is not due");
	r->n_outputs += o->size;
	if (o->size > r->limits->file_bytes || r->n_outputs > r->limits->scratch_bytes)
		return err_set(err, ERR_PEER, "the agent sends more output than a job may write");
	r->next = o->index;
	struct job_entry e = {o->index, o->name, kinds[o->kind], o->target, o->size};
	if (o->size && e.kind != JOB_FILE && e.kind != JOB_EXECUTABLE)
		return err_set(err, ERR_PEER, "the agent sends a directory or a link with bytes");
	r->left = o->size;
	return tree->entry(tree->ctx, &e, err);
}

static int take_entry_piece(struct reply *r, const ProtobufCBinaryData *bytes, struct err *err)
{
	if (bytes->len > r->left)
		return err_set(err, ERR_PEER, "the agent sends more of an output than it said");
	r->left -= bytes->len;
	return r->job->tree->write(r->job->tree->ctx, bytes->data, bytes->len, err);
}

static int take_piece(struct reply *r, const ProtobufCBinaryData *bytes, struct err *err)
{
	if (!r->output || bytes->len > r->left)
		return err_set(err, ERR_PEER, "the agent sends more of an output than it said");
	struct job_output *output = r->output;
	r->left -= bytes->len;
	if (r->left == 0)
		r->output = NULL;
	return sink(&output->sink, bytes, err);
}

static int take_exit(struct reply *r, const Coffer__V1__ExecExit *e, struct err *err)
{
	size_t n = strlen(e->limit);
	if (r->output || r->left || e->exit_status < 0 || e->exit_status > 255 || n >= sizeof r->result->limit ||
	    strspn(e->limit, "abcdefghijklmnopqrstuvwxyz") != n)
		return err_set(err, ERR_PEER, "the agent ends a job in a way that makes no sense");
	r->is_ended = true;
	r->result->exit_status = e->exit_status;
	r->result->has_layers = e->has_layers;
	memcpy(r->result->limit, e->limit, n + 1);
	if (e->usage)
		r->result->usage =
			(struct job_usage){e->usage->wall_us, e->usage->user_us, e->usage->system_us, e->usage->peak_bytes};
	return 0;
}

int reply_take(struct reply *r, const Coffer__V1__ExecReply *m, struct err *err)
{
	bool has_entries = r->job->tree && !r->job->tree->is_root;
	if (r->is_ended)
		return err_set(err, ERR_PEER, "the agent goes on after a job's end");
	switch (m->kind_case) {
	case COFFER__V1__EXEC_REPLY__KIND_OUT:
		return take_message(r, &r->job->out, &r->n_out, &m->out, err);
	case COFFER__V1__EXEC_REPLY__KIND_ERR:
		return take_message(r, &r->job->errs, &r->n_err, &m->err, err);
	case COFFER__V1__EXEC_REPLY__KIND_OUTPUT:
		return has_entries ? take_entry(r, m->output, err) : take_output(r, m->output, err);
	case COFFER__V1__EXEC_REPLY__KIND_PIECE:
		return has_entries ? take_entry_piece(r, &m->piece, err) : take_piece(r, &m->piece, err);
	case COFFER__V1__EXEC_REPLY__KIND_EXIT:
		return take_exit(r, m->exit, err);
	default:
		return err_set(err, ERR_PEER, "the agent sends an unknown message");
	}
}

int reply_end(const struct reply *r, struct err *err)
{
	return r->is_ended ? 0 : err_set(err, ERR_PEER, "the agent ended a job without its exit status");
}

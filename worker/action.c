// The story of one action of the Remote Execution API, from its header to its result. action_serve, at the end, is its table of
// contents. The worker computes every digest itself: of action, command, directories and files as they come, and of what is left.
#include "worker/action_parts.h"

#include "audit/row.h"
#include "auth/token.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reapi/message.h"
#include "worker/input_layout.h"
#include "worker/layers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MESSAGE_MS = 30000, PIECE = 256 * 1024, MAX_PATHS = 4096, INLINE = 64 * 1024 };

static int fail(struct action *x, enum worker_counter counter, enum rpc_code code)
{
	x->counter = counter;
	x->code = code;
	return -1;
}

static int fail_invalid(struct action *x)
{
	if (x->err.code == ERR_LIMIT)
		return fail(x, COUNT_impossible, RPC_FAILED_PRECONDITION);
	return fail(x, COUNT_invalid, RPC_INVALID_ARGUMENT);
}

// On the loop's thread, or under the queue's lock.
static void interrupt(void *arg)
{
	struct action *x = arg;
	queue_interrupt(x->service->queue, &x->ticket);
	job_cancel_fire(&x->cancel);
}

static void end_for_others(void *arg)
{
	job_cancel_fire(&((struct action *)arg)->cancel);
}

// ---- who asks for what --------------------------------------------------------------------------------------------------

static int check_token(struct action *x)
{
	if (access_check(x->service->access, rpc_call_metadata(x->call, "authorization"), &x->claims, &x->err) < 0)
		return fail(x, COUNT_unauthenticated, RPC_UNAUTHENTICATED);
	if (rpc_call_admit(x->call, x->claims.tenant, false, &x->err) < 0)
		return fail(x, COUNT_full, RPC_RESOURCE_EXHAUSTED);
	worker_count(x->service, COUNT_actions, 1);
	queue_enter(x->service->queue, &x->ticket, x->claims.tenant,
		    (struct queue_claim){x->claims.slots, x->claims.not_before});
	x->has_ticket = true;
	rpc_call_on_cancel(x->call, interrupt, x);
	return 0;
}

// An action without a row in the audit log is not run.
static int begin_evidence(struct action *x)
{
	struct worker_service *s = x->service;
	if (evidence_begin(&x->evidence, s->audit, s->name, x->claims.tenant, runtime_isolation(s->runtime), &x->err) == 0)
		return 0;
	log_event(LOG_LEVEL_ERROR, "audit row not begun", LOG_TEXT("why", x->err.text));
	return fail(x, COUNT_broken, RPC_UNAVAILABLE);
}

static int receive(struct action *x, Coffer__V1__ActionRequest **m)
{
	int rc = rpc_receive(x->call, &coffer__v1__action_request__descriptor, MESSAGE_MS, m, &x->err);
	if (rc >= 0)
		return rc;
	return x->err.code == ERR_TIMEOUT ? fail(x, COUNT_cancelled, RPC_DEADLINE_EXCEEDED)
					  : fail(x, COUNT_cancelled, RPC_CANCELLED);
}

// The specification wants each path once. Who says one twice gets it once.
static void drop_repeated(struct action *x, const char **paths)
{
	struct map seen = MAP_INIT;
	size_t n = 0;
	for (size_t i = 0; i < x->n_paths; i++)
		if (!map_puts(&seen, paths[i], x))
			paths[n++] = paths[i];
	x->n_paths = n;
	map_release(&seen);
}

static int check_paths(struct action *x)
{
	const Reapi__Command *c = x->command;
	const char **paths = arena_alloc(&x->arena, (c->n_output_paths + c->n_output_files + c->n_output_directories + 1) *
							    sizeof *paths);
	for (size_t i = 0; i < c->n_output_paths; i++)
		paths[x->n_paths++] = c->output_paths[i];
	x->has_types = c->n_output_paths == 0;
	for (size_t i = 0; x->has_types && i < c->n_output_files; i++)
		paths[x->n_paths++] = c->output_files[i];
	for (size_t i = 0; x->has_types && i < c->n_output_directories; i++)
		paths[x->n_paths++] = c->output_directories[i];
	x->paths = paths;
	if (x->n_paths > MAX_PATHS)
		return err_set(&x->err, ERR_LIMIT, "more than %d outputs", MAX_PATHS);
	drop_repeated(x, paths);
	for (size_t i = 0; i < x->n_paths; i++)
		if (input_check_path(paths[i], false, &x->err) < 0)
			return -1;
	return input_check_path(c->working_directory, true, &x->err);
}

static int check_timeout(struct action *x)
{
	const Reapi__Duration *t = x->action->timeout;
	const struct limits *l = x->service->runtime_limits;
	if (!t)
		return 0;
	if (t->seconds < 0 || t->nanos < 0 || t->nanos > 999999999 || (t->seconds == 0 && t->nanos == 0))
		return err_set(&x->err, ERR_FORMAT, "a timeout that is no time");
	if (l && (uint64_t)t->seconds * 1000 > l->wall_ms)
		return err_set(&x->err, ERR_FORMAT, "a timeout of %lld s: %u s is the most here", (long long)t->seconds,
			       l->wall_ms / 1000);
	return 0;
}

int action_open(struct action *x)
{
	const ProtobufCBinaryData *a = &x->header->action, *c = &x->header->command;
	struct reapi_digest wanted, is = reapi_digest_of(c->data ? (const void *)c->data : "", c->len);
	x->digest = reapi_digest_of(a->data ? (const void *)a->data : "", a->len);
	if (reapi_unpack_canonical(&reapi__action__descriptor, a->data ? (const void *)a->data : "", a->len, &x->action,
				   &x->err) < 0 ||
	    reapi_unpack_canonical(&reapi__command__descriptor, c->data ? (const void *)c->data : "", c->len, &x->command,
				   &x->err) < 0 ||
	    reapi_digest_read(x->action->command_digest, &wanted, &x->err) < 0)
		return -1;
	if (!reapi_digest_equal(&wanted, &is))
		return err_set(&x->err, ERR_FORMAT, "the command is not the action's");
	if (x->command->n_arguments == 0 || !*x->command->arguments[0])
		return err_set(&x->err, ERR_FORMAT, "a command without arguments");
	return check_timeout(x) < 0 ? -1 : check_paths(x);
}

// What the row says of it: the action is the key, its command stands in full where it fits.
static void describe(struct action *x)
{
	struct audit_row *row = &x->evidence.row;
	struct reapi_digest d;
	if (!x->evidence.log)
		return;
	const char *program = strrchr(x->command->arguments[0], '/');
	const char *flags =
		audit_flags_join(&x->evidence.arena, (const char *const *)x->command->arguments, x->command->n_arguments);
	row->value[AUDIT_image_digest] = arena_strdup(&x->evidence.arena, x->header->image);
	row->value[AUDIT_key] = audit_digest(&x->evidence.arena, x->digest.hash.b);
	row->value[AUDIT_language] = "action";
	row->value[AUDIT_compiler] = arena_strdup(&x->evidence.arena, program ? program + 1 : x->command->arguments[0]);
	if (reapi_digest_read(x->action->input_root_digest, &d, NULL) == 0)
		row->value[AUDIT_source_digest] = audit_digest(&x->evidence.arena, d.hash.b);
	reapi_digest_read(x->action->command_digest, &d, NULL);
	row->value[AUDIT_flags] =
		audit_value_length(flags) <= AUDIT_FLAGS_MAX
			? flags
			: arena_printf(&x->evidence.arena, "command=%s", audit_digest(&x->evidence.arena, d.hash.b));
}

// A token says so, too; where workers are the gateway's own there is none.
static int check_isolation(struct action *x)
{
	enum isolation here = runtime_isolation(x->service->runtime);
	if ((int)x->header->minimum_isolation <= (int)here)
		return 0;
	err_set(&x->err, ERR_ACCESS, "the isolation is '%s' here, which is less than the action wants",
		isolation_name((int)here));
	return fail(x, COUNT_impossible, RPC_FAILED_PRECONDITION);
}

static int read_header(struct action *x)
{
	int rc = receive(x, &x->first);
	if (rc < 0)
		return -1;
	if (rc == 0 || x->first->kind_case != COFFER__V1__ACTION_REQUEST__KIND_HEADER) {
		err_set(&x->err, ERR_FORMAT, "the first message is no header");
		return fail(x, COUNT_invalid, RPC_INVALID_ARGUMENT);
	}
	x->header = x->first->header;
	if (action_open(x) < 0)
		return fail_invalid(x);
	if (access_check_image(x->service->access, &x->claims, x->header->image, &x->err) < 0)
		return fail(x, COUNT_unauthenticated, RPC_PERMISSION_DENIED);
	describe(x);
	return check_isolation(x);
}

// ---- the input root -----------------------------------------------------------------------------------------------------

static int take_directory(struct action *x, uint64_t *bytes)
{
	Coffer__V1__ActionRequest *m;
	int rc = receive(x, &m);
	if (rc < 0)
		return -1;
	if (rc == 0 || m->kind_case != COFFER__V1__ACTION_REQUEST__KIND_DIRECTORY) {
		err_set(&x->err, ERR_FORMAT, "a directory was to come");
		if (rc)
			coffer__v1__action_request__free_unpacked(m, NULL);
		return fail(x, COUNT_invalid, RPC_INVALID_ARGUMENT);
	}
	struct reapi_digest d = reapi_digest_of(m->directory.data ? (const void *)m->directory.data : "", m->directory.len);
	struct buf *copy = arena_alloc(&x->arena, sizeof *copy);
	*bytes += m->directory.len + 256;
	if (queue_hold(x->service->queue, &x->ticket, *bytes, &x->err) == 0) {
		buf_add(copy, m->directory.data, m->directory.len);
		struct buf *old = map_put(&x->directories, &d, sizeof d, copy);
		if (old)
			buf_release(old);
	} else {
		rc = fail(x, COUNT_full, RPC_RESOURCE_EXHAUSTED);
	}
	coffer__v1__action_request__free_unpacked(m, NULL);
	return rc < 0 ? -1 : 0;
}

static int get_directory(void *ctx, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	struct action *x = ctx;
	const struct buf *b = map_get(&x->directories, d, sizeof *d);
	if (b)
		buf_add(out, b->data, b->len);
	return !b ? 0 : buf_check(out, "a directory", err) < 0 ? -1 : 1;
}

static int take_directories(struct action *x)
{
	struct reapi_digest top;
	uint64_t bytes = 0;
	if (x->header->directories > INPUT_MAX_DIRECTORIES) {
		err_set(&x->err, ERR_LIMIT, "an input root of more than %d directories", INPUT_MAX_DIRECTORIES);
		return fail_invalid(x);
	}
	for (uint32_t i = 0; i < x->header->directories; i++)
		if (take_directory(x, &bytes) < 0)
			return -1;
	if (reapi_digest_read(x->action->input_root_digest, &top, &x->err) < 0 ||
	    input_root_read(&x->root, &top, get_directory, x, &x->err) < 0)
		return fail_invalid(x);
	if (x->root.n_missing) {
		err_set(&x->err, ERR_FORMAT, "a directory of the input root has not come");
		return fail_invalid(x);
	}
	return 0;
}

static int check_room(struct action *x)
{
	if (queue_has_room(x->service->queue, &x->ticket, &x->err) < 0)
		return fail(x, COUNT_full, RPC_RESOURCE_EXHAUSTED);
	if (space_check(&x->service->space, &x->err) < 0)
		return fail(x, COUNT_no_space, RPC_RESOURCE_EXHAUSTED);
	return 0;
}

// ---- the files that are not here ------------------------------------------------------------------------------------------

// The pieces of all files come one after the other.
struct file_pieces {
	Coffer__V1__ActionRequest *message;
	size_t at;
};

static int take_file(struct action *x, const struct reapi_digest *d, struct file_pieces *p)
{
	AUTO_BUF struct buf bytes = {.max = (size_t)d->size + 1};
	while (bytes.len < (uint64_t)d->size) {
		if (!p->message || p->at == p->message->files.len) {
			if (p->message)
				coffer__v1__action_request__free_unpacked(TAKE(p->message), NULL);
			p->at = 0;
			int rc = receive(x, &p->message);
			if (rc < 0)
				return -1;
			if (rc == 0 || p->message->kind_case != COFFER__V1__ACTION_REQUEST__KIND_FILES) {
				err_set(&x->err, ERR_FORMAT, "a file of the input root was to come");
				return fail(x, COUNT_invalid, RPC_INVALID_ARGUMENT);
			}
		}
		size_t left = p->message->files.len - p->at, want = (size_t)d->size - bytes.len;
		size_t n = left < want ? left : want;
		buf_add(&bytes, p->message->files.data + p->at, n);
		p->at += n;
	}
	struct reapi_digest is = reapi_digest_of(bytes.data, bytes.len);
	if (!reapi_digest_equal(&is, d)) {
		err_set(&x->err, ERR_FORMAT, "a file of the input root is not what its digest says");
		return fail(x, COUNT_invalid, RPC_INVALID_ARGUMENT);
	}
	worker_count(x->service, COUNT_source_bytes, bytes.len);
	if (results_put_content(x->service->results, x->claims.tenant, d, bytes.data, bytes.len, &x->err) < 0)
		return fail(x, COUNT_no_space, RPC_RESOURCE_EXHAUSTED);
	return 0;
}

static int take_files(struct action *x)
{
	Coffer__V1__ActionReply m = COFFER__V1__ACTION_REPLY__INIT;
	Coffer__V1__ActionNeeds needs = COFFER__V1__ACTION_NEEDS__INIT;
	struct reapi_digest *wanted = arena_alloc(&x->arena, (x->root.n_files + 1) * sizeof *wanted);
	struct file_pieces pieces = {NULL, 0};
	int rc = 0;
	needs.files = arena_alloc(&x->arena, (x->root.n_files + 1) * sizeof *needs.files);
	for (size_t i = 0; i < x->root.n_files; i++) {
		struct reapi_digest *d = &x->root.files[i];
		if (results_has_content(x->service->results, x->claims.tenant, d))
			continue;
		wanted[needs.n_files] = *d;
		needs.files[needs.n_files++] = (ProtobufCBinaryData){sizeof d->hash, d->hash.b};
	}
	m.kind_case = COFFER__V1__ACTION_REPLY__KIND_NEEDS;
	m.needs = &needs;
	if (rpc_send(x->call, &m.base, &x->err) < 0)
		return fail(x, COUNT_cancelled, RPC_CANCELLED);
	for (size_t i = 0; i < needs.n_files && rc == 0; i++)
		rc = take_file(x, &wanted[i], &pieces);
	if (pieces.message)
		coffer__v1__action_request__free_unpacked(pieces.message, NULL);
	return rc;
}

// ---- for replay -----------------------------------------------------------------------------------------------------------

// By its digest, which the row names, or what the row names does. A disk that is full keeps nobody from the answer.
static void keep(struct action *x, const struct reapi_digest *d, const void *p, size_t n)
{
	struct worker_service *s = x->service;
	if (x->evidence.log && s->keeps_sources && n && !results_has_content(s->results, x->claims.tenant, d))
		results_put_content(s->results, x->claims.tenant, d, p, n, NULL);
}

static int keep_messages(struct action *x)
{
	const ProtobufCBinaryData *a = &x->header->action, *c = &x->header->command;
	struct reapi_digest command = reapi_digest_of(c->data ? (const void *)c->data : "", c->len);
	const char *name;
	size_t n;
	void *bytes;
	keep(x, &x->digest, a->data, a->len);
	keep(x, &command, c->data, c->len);
	for (size_t at = 0; map_next(&x->directories, &at, &name, &n, &bytes);) {
		const struct buf *directory = bytes;
		struct reapi_digest d;
		memcpy(&d, name, sizeof d);
		keep(x, &d, directory->data, directory->len);
	}
	return 0;
}

// ---- the run ------------------------------------------------------------------------------------------------------------

static int take_slot(struct action *x)
{
	Coffer__V1__ActionReply m = COFFER__V1__ACTION_REPLY__INIT;
	Coffer__V1__CompileStarted started = COFFER__V1__COMPILE_STARTED__INIT;
	int64_t before = clock_ms();
	queue_on_overdue(x->service->queue, &x->ticket, end_for_others, x);
	if (queue_take(x->service->queue, &x->ticket, &x->err) < 0)
		return x->err.code == ERR_LIMIT ? fail(x, COUNT_full, RPC_RESOURCE_EXHAUSTED)
						: fail(x, COUNT_cancelled, RPC_CANCELLED);
	started.waited_ms = (uint32_t)(clock_ms() - before);
	m.kind_case = COFFER__V1__ACTION_REPLY__KIND_STARTED;
	m.started = &started;
	return rpc_send(x->call, &m.base, &x->err) < 0 ? fail(x, COUNT_cancelled, RPC_CANCELLED) : 0;
}

static int get_file(void *ctx, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	struct action *x = ctx;
	return results_get_content(x->service->results, x->claims.tenant, d, out, err);
}

static uint32_t wall_ms_of(const struct action *x)
{
	const Reapi__Duration *t = x->action->timeout;
	uint32_t ms = t ? (uint32_t)(t->seconds * 1000 + (t->nanos + 999999) / 1000000) : 0;
	if (!ms)
		return 0;
	return ms > x->spent_ms ? ms - x->spent_ms : 1;
}

int action_exec(struct action *x, struct runtime_session *session, struct layers *layers)
{
	struct layer_plan plan;
	const Reapi__Command *c = x->command;
	struct arena *a = &x->arena;
	const char **environment = arena_alloc(a, (c->n_environment_variables + 1) * sizeof *environment);
	for (size_t i = 0; i < c->n_environment_variables; i++)
		environment[i] =
			arena_printf(a, "%s=%s", c->environment_variables[i]->name, c->environment_variables[i]->value);
	struct job_output *outputs = arena_alloc(a, (x->n_paths + 1) * sizeof *outputs);
	for (size_t i = 0; i < x->n_paths; i++)
		outputs[i].name =
			*c->working_directory ? arena_printf(a, "%s/%s", c->working_directory, x->paths[i]) : x->paths[i];
	const char **arguments = arena_alloc(a, (c->n_arguments + 1) * sizeof *arguments);
	memcpy(arguments, c->arguments, c->n_arguments * sizeof *arguments);
	struct input_layout layout;
	struct job_tree tree = {.directory = c->working_directory,
				.environment = environment,
				.n_environment = c->n_environment_variables,
				.entry = action_outputs_entry,
				.write = action_outputs_write,
				.ctx = &x->outputs};
	layers_plan(layers, &x->root, &plan);
	tree.layers = plan.ids;
	tree.n_layers = x->n_layers = plan.n;
	tree.layers_made = plan.made;
	tree.n_layers_made = plan.n_made;
	tree.layers_removed = plan.removed;
	tree.n_layers_removed = plan.n_removed;
	struct runtime_job job = {.arguments = arguments,
				  .read = input_layout_read,
				  .read_ctx = &layout,
				  .limits = {.wall_ms = wall_ms_of(x)},
				  .out = job_sink_buf(&x->out),
				  .errs = job_sink_buf(&x->errs),
				  .outputs = outputs,
				  .n_outputs = x->n_paths,
				  .tree = &tree,
				  .cancel = &x->cancel};
	input_layout_init(&layout, &x->root, &plan, get_file, x);
	clock_gettime(CLOCK_REALTIME, &x->started);
	int rc = runtime_session_exec(session, &job, &x->run, &x->err);
	clock_gettime(CLOCK_REALTIME, &x->ended);
	input_layout_release(&layout);
	// Not if the job was cancelled, or its outputs were too large.
	if (rc == 0 || (plan.n && x->err.code == ERR_PEER))
		layers_allow(layers, rc == 0 && x->run.has_layers);
	worker_count(x->service, COUNT_layers_made, plan.n_made);
	worker_count(x->service, COUNT_layers_used, plan.n - plan.n_made);
	layers_end(&plan, rc == 0);
	return rc;
}

// C, Python, Go, Rust, Java: "Invalid cross-device link"; node: "EXDEV: cross-device link not permitted".
static bool says_cross_device(const struct buf *text)
{
	static const char words[] = "cross-device link";
	for (size_t i = 0; i + sizeof words - 1 <= text->len; i++)
		if (strncasecmp(text->data + i, words, sizeof words - 1) == 0)
			return true;
	return false;
}

// An overlay says EXDEV to rename(2) of a directory that comes from a layer. What fails and says so is not the action's fault: it runs
// once more on plain copies, in what is left of its time.
static int exec_anyhow(struct action *x, struct runtime_session *session, struct layers *layers)
{
	int64_t began = clock_ms();
	int rc = action_exec(x, session, layers);
	bool is_by_layers = rc == 0 && x->n_layers && x->run.exit_status && !x->run.limit[0] &&
			    (says_cross_device(&x->errs) || says_cross_device(&x->out));
	if (!is_by_layers)
		return rc;
	log_info(
		"an action can't have its inputs laid out, since it renames a directory of them: it runs again with copies");
	worker_count(x->service, COUNT_layers_refused, 1);
	x->spent_ms = (uint32_t)(clock_ms() - began);
	buf_clear(&x->out);
	buf_clear(&x->errs);
	action_outputs_release(&x->outputs);
	action_outputs_init(&x->outputs, x->service->limits.output_bytes);
	x->run = (struct job_result){.exit_status = 0};
	return action_exec(x, session, NULL);
}

static int fail_run(struct action *x)
{
	switch (x->err.code) {
	case ERR_TIMEOUT:
		return fail(x, COUNT_cancelled, rpc_call_is_cancelled(x->call) ? RPC_CANCELLED : RPC_UNAVAILABLE);
	case ERR_NOT_FOUND:
		return fail(x, COUNT_impossible, RPC_NOT_FOUND);
	case ERR_USAGE:
	case ERR_FORMAT:
		return fail(x, COUNT_impossible, RPC_INVALID_ARGUMENT);
	case ERR_LIMIT:
	case ERR_ACCESS:
		return fail(x, COUNT_impossible, RPC_FAILED_PRECONDITION);
	default:
		return fail(x, COUNT_broken, RPC_UNAVAILABLE);
	}
}

static int run(struct action *x)
{
	struct worker_service *s = x->service;
	struct pooled_session *session;
	if (sessions_take(s->sessions, x->claims.tenant, images_session_name(x->header->image), &session, &x->err) < 0)
		return x->err.code == ERR_LIMIT       ? fail(x, COUNT_full, RPC_RESOURCE_EXHAUSTED)
		       : x->err.code == ERR_NOT_FOUND ? fail(x, COUNT_impossible, RPC_UNIMPLEMENTED) // no such image
						      : fail(x, COUNT_broken, RPC_UNAVAILABLE);
	evidence_session(&x->evidence, runtime_label(s->runtime), runtime_session_pid(pooled_session(session)),
			 runtime_monitor(s->runtime));
	int rc = exec_anyhow(x, pooled_session(session), pooled_session_layers(session));
	sessions_give(s->sessions, session);
	queue_give(s->queue, &x->ticket);
	return rc < 0 ? fail_run(x) : 0;
}

// ---- what came of it ----------------------------------------------------------------------------------------------------

static int send_blob(struct action *x, struct output_blob *b)
{
	Coffer__V1__ActionReply m = COFFER__V1__ACTION_REPLY__INIT;
	Coffer__V1__ActionBlob head = COFFER__V1__ACTION_BLOB__INIT;
	head.sha256 = (ProtobufCBinaryData){sizeof b->digest.hash, b->digest.hash.b};
	head.size = (uint64_t)b->digest.size;
	m.kind_case = COFFER__V1__ACTION_REPLY__KIND_BLOB;
	m.blob = &head;
	int rc = rpc_send(x->call, &m.base, &x->err);
	for (size_t at = 0; at < b->bytes.len && rc == 0; at += PIECE) {
		size_t n = b->bytes.len - at < PIECE ? b->bytes.len - at : PIECE;
		coffer__v1__action_reply__init(&m);
		m.kind_case = COFFER__V1__ACTION_REPLY__KIND_PIECE;
		m.piece = (ProtobufCBinaryData){n, (uint8_t *)b->bytes.data + at};
		rc = rpc_send(x->call, &m.base, &x->err);
	}
	worker_count(x->service, COUNT_answer_bytes, b->bytes.len);
	return rc < 0 ? fail(x, COUNT_cancelled, RPC_CANCELLED) : 0;
}

static Reapi__Timestamp timestamp(const struct timespec *t)
{
	Reapi__Timestamp m = REAPI__TIMESTAMP__INIT;
	m.seconds = t->tv_sec;
	m.nanos = (int32_t)t->tv_nsec;
	return m;
}

static void end_evidence(struct action *x, const struct reapi_digest *result)
{
	evidence_run(&x->evidence, &x->run);
	if (x->evidence.log)
		x->evidence.row.value[AUDIT_output_digest] = audit_digest(&x->evidence.arena, result->hash.b);
}

static void add_text(struct action *x, struct buf *text, ProtobufCBinaryData *raw, Reapi__Digest **digest)
{
	if (!text->len)
		return;
	if (text->len <= INLINE) {
		raw->data = arena_alloc(&x->outputs.arena, text->len);
		raw->len = text->len;
		memcpy(raw->data, text->data, text->len);
	}
	*digest = action_outputs_add(&x->outputs, text);
}

static int send_done(struct action *x, const struct buf *result)
{
	Coffer__V1__ActionReply m = COFFER__V1__ACTION_REPLY__INIT;
	Coffer__V1__ActionDone done = COFFER__V1__ACTION_DONE__INIT;
	const char *outcome = x->run.limit[0] ? "limit" : x->run.exit_status ? "failed" : "run";
	struct reapi_digest result_digest = reapi_digest_of(result->data ? result->data : "", result->len);
	end_evidence(x, &result_digest);
	keep(x, &result_digest, result->data, result->len);
	if (evidence_end(&x->evidence, outcome, NULL, &x->err) < 0)
		return fail(x, COUNT_broken, RPC_UNAVAILABLE);
	done.result = (ProtobufCBinaryData){result->len, (uint8_t *)result->data};
	done.limit = x->run.limit;
	m.kind_case = COFFER__V1__ACTION_REPLY__KIND_DONE;
	m.done = &done;
	if (rpc_send(x->call, &m.base, &x->err) < 0)
		return fail(x, COUNT_cancelled, RPC_CANCELLED);
	rpc_finish(x->call, RPC_OK, "%s", "");
	return 0;
}

int action_result(struct action *x, Reapi__ActionResult *r)
{
	if (action_outputs_result(&x->outputs, x->paths, x->has_types, r, &x->err) < 0)
		return -1;
	r->exit_code = x->run.exit_status;
	add_text(x, &x->out, &r->stdout_raw, &r->stdout_digest);
	add_text(x, &x->errs, &r->stderr_raw, &r->stderr_digest);
	return 0;
}

static int answer(struct action *x)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	Reapi__ActionResult r = REAPI__ACTION_RESULT__INIT;
	Reapi__ExecutedActionMetadata metadata = REAPI__EXECUTED_ACTION_METADATA__INIT;
	Reapi__Timestamp began = timestamp(&x->began), started = timestamp(&x->started), ended = timestamp(&x->ended);
	worker_count(x->service, COUNT_runs, 1);
	worker_count(x->service, COUNT_limits, x->run.limit[0] != '\0');
	worker_count(x->service, COUNT_failures, x->run.exit_status != 0);
	if (action_result(x, &r) < 0)
		return fail(x, COUNT_broken, RPC_UNAVAILABLE);
	metadata.worker = (char *)(uintptr_t)x->service->name;
	metadata.worker_start_timestamp = &began;
	metadata.execution_start_timestamp = &started;
	metadata.execution_completed_timestamp = metadata.worker_completed_timestamp = &ended;
	r.execution_metadata = &metadata;
	for (size_t i = 0; i < x->outputs.n_blobs; i++) {
		struct output_blob *b = &x->outputs.blobs[i];
		// An input of the next action, most likely.
		if (b->bytes.len)
			results_put_content(x->service->results, x->claims.tenant, &b->digest, b->bytes.data, b->bytes.len,
					    NULL);
		if (send_blob(x, b) < 0)
			return -1;
	}
	reapi_pack(&r.base, &bytes);
	return send_done(x, &bytes);
}

// ---- beginning and end ----------------------------------------------------------------------------------------------------

void action_init(struct action *x, struct rpc_call *call, struct worker_service *s)
{
	*x = (struct action){.service = s, .call = call, .cancel = JOB_CANCEL_INIT, .err = ERR_INIT};
	x->out.max = x->errs.max = (size_t)s->limits.message_bytes;
	action_outputs_init(&x->outputs, s->limits.output_bytes);
	clock_gettime(CLOCK_REALTIME, &x->began);
}

void action_release(struct action *x)
{
	void *value;
	if (x->call)
		rpc_call_on_cancel(x->call, NULL, NULL);
	if (x->has_ticket)
		queue_leave(x->service->queue, &x->ticket);
	evidence_release(&x->evidence);
	action_outputs_release(&x->outputs);
	input_root_release(&x->root);
	for (size_t at = 0; map_next(&x->directories, &at, NULL, NULL, &value);)
		buf_release(value);
	map_release(&x->directories);
	if (x->command)
		reapi__command__free_unpacked(x->command, NULL);
	if (x->action)
		reapi__action__free_unpacked(x->action, NULL);
	if (x->first)
		coffer__v1__action_request__free_unpacked(x->first, NULL);
	buf_release(&x->out);
	buf_release(&x->errs);
	arena_release(&x->arena);
	pthread_mutex_destroy(&x->cancel.lock);
}

void action_serve(struct rpc_call *call, void *service)
{
	// Each returns 0 to go on, -1 when the call is to be refused.
	static int (*const steps[])(struct action *) = {
		check_token,      // tenant, image, worker, isolation, time
		begin_evidence,   // from here on the action has its row in the audit log
		read_header,      // action and command, by their digests
		take_directories, // the whole input root but for the files
		check_room,       //
		take_files,       // those that are not on this disk
		keep_messages,    // what replay wants to see
		take_slot,        // in turn with other tenants
		run,              // in the tenant's session
		answer,           // every blob, then the result that names them
	};
	struct action x;
	int rc = 0;
	action_init(&x, call, service);
	for (size_t i = 0; i < COUNT_OF(steps) && rc == 0; i++)
		rc = steps[i](&x);
	if (rc < 0 && evidence_end(&x.evidence, x.code == RPC_CANCELLED ? "cancelled" : "refused", x.err.text, &x.err) < 0)
		log_event(LOG_LEVEL_ERROR, "audit row not written", LOG_TEXT("why", x.err.text));
	if (rc < 0)
		worker_refuse(x.service, call, x.counter, x.code, "%s", x.err.text);
	action_release(&x);
}

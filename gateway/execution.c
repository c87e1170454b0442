#include "gateway/execution.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/platform.h"
#include "gateway/results.h"
#include "proto/coffer.pb-c.h"
#include "reapi/input_root.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	COMMAND_BYTES = 3 << 20,
	PIECE = 256 * 1024,
	BUSY_PAUSE_MS = 100,
	QUEUE_MS = 600000,    // for so long an action waits for a worker
	NO_WORKER_MS = 15000, // or for one to be there at all
	MAX_FAILURES = 4,
	MAX_WITHOUT = 16, // workers that have not the image
	ANSWER_MS = 3600000,
	ROOM_MS = 20000, // or for memory
	ROOM_PAUSE_MS = 20
};
#define TYPE_URL "type.googleapis.com/"

struct action_job {
	struct executor *executor;
	struct operation *op;
	struct buf action_bytes, command_bytes;
	Reapi__Action *action;
	Reapi__Command *command;
	struct input_root root;
	struct room room; // for all of it
	struct platform_wish wish;
	struct buf missing; // packed Violations, one after the other: u32 length and bytes
	size_t n_missing;
	// Of the answer.
	Reapi__ActionResult *result;
	enum rpc_code code;
	struct err err;
};

static int fail(struct action_job *x, enum rpc_code code)
{
	x->code = code;
	return -1;
}

// There is somebody's thread to wait: memory that others have now comes back.
static int reach(struct room *r, uint64_t bytes, struct err *err)
{
	int64_t until = clock_ms() + ROOM_MS;
	while (room_reach(r, bytes, err) < 0) {
		if (err->code != ERR_FULL || clock_ms() >= until)
			return -1;
		err_clear(err);
		usleep(ROOM_PAUSE_MS * 1000);
	}
	return 0;
}

static enum rpc_code code_of(const struct err *err)
{
	if (err->code == ERR_FULL)
		return RPC_RESOURCE_EXHAUSTED;
	return err->code == ERR_FORMAT || err->code == ERR_LIMIT ? RPC_INVALID_ARGUMENT : RPC_INTERNAL;
}

// ---- what a client is told ------------------------------------------------------------------------------------------------

void execution_pack(const Reapi__ActionResult *result, bool is_cached, enum rpc_code code, const char *text, struct buf *out)
{
	Reapi__ExecuteResponse m = REAPI__EXECUTE_RESPONSE__INIT;
	Reapi__Status status = REAPI__STATUS__INIT;
	status.code = (int32_t)code;
	status.message = (char *)(uintptr_t)text;
	m.result = (Reapi__ActionResult *)(uintptr_t)result;
	m.cached_result = is_cached;
	m.status = &status;
	reapi_pack(&m.base, out);
}

// With a PreconditionFailure, by which a client knows what to send.
static void pack_missing(struct action_job *x, struct buf *out)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf detail = BUF_INIT;
	Reapi__PreconditionFailure failure = REAPI__PRECONDITION_FAILURE__INIT;
	Reapi__ExecuteResponse m = REAPI__EXECUTE_RESPONSE__INIT;
	Reapi__Status status = REAPI__STATUS__INIT;
	Reapi__Any any = REAPI__ANY__INIT, *details[] = {&any};
	struct rd r = RD(x->missing.data, x->missing.len);
	failure.violations = arena_alloc(&a, x->n_missing * sizeof(Reapi__Violation *));
	for (; failure.n_violations < x->n_missing; failure.n_violations++) {
		size_t n;
		const char *subject = rd_str(&r, &n);
		Reapi__Violation *v = failure.violations[failure.n_violations] = arena_alloc(&a, sizeof *v);
		reapi__violation__init(v);
		v->type = (char *)(uintptr_t) "MISSING";
		v->subject = arena_strndup(&a, subject, n);
	}
	reapi_pack(&failure.base, &detail);
	any.type_url = (char *)(uintptr_t)TYPE_URL "google.rpc.PreconditionFailure";
	any.value = (ProtobufCBinaryData){detail.len, (uint8_t *)detail.data};
	status.code = RPC_FAILED_PRECONDITION;
	status.message = (char *)(uintptr_t) "blobs of the action are missing";
	status.details = details;
	status.n_details = 1;
	m.status = &status;
	reapi_pack(&m.base, out);
}

// ---- is all of it here? -----------------------------------------------------------------------------------------------------

static void note_missing(struct action_job *x, const struct reapi_digest *d)
{
	char hash[SHA256_HEX], subject[SHA256_HEX + 40];
	enum { MOST = 10000 };
	if (x->n_missing == MOST)
		return;
	sha256_hex(&d->hash, hash);
	snprintf(subject, sizeof subject, "blobs/%s/%lld", hash, (long long)d->size);
	buf_add_str(&x->missing, subject);
	x->n_missing++;
}

// 0 with the bytes, or noted as missing; -1.
static int load(struct action_job *x, const struct reapi_digest *d, struct buf *out)
{
	out->max = COMMAND_BYTES;
	if (d->size > COMMAND_BYTES) {
		err_set(&x->err, ERR_LIMIT, "an action or a command of more than %d bytes", COMMAND_BYTES);
		return fail(x, RPC_INVALID_ARGUMENT);
	}
	if (reach(&x->room, x->room.bytes + (uint64_t)d->size, &x->err) < 0)
		return fail(x, code_of(&x->err));
	int found = blobs_get(x->op->blobs, d, out, &x->err);
	if (found == 0)
		note_missing(x, d);
	return found < 0 ? fail(x, RPC_INTERNAL) : 0;
}

// With room for what input_root.c makes of it.
static int get_directory(void *ctx, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	enum { LISTS = 4 }; // of its entries: no more than so many times what they take on the wire
	struct action_job *x = ctx;
	uint64_t unpacked;
	if ((uint64_t)d->size > out->max)
		return err_set(err, ERR_LIMIT, "a directory of more than %zu bytes", out->max);
	if (reach(&x->room, x->room.bytes + LISTS * (uint64_t)d->size, err) < 0)
		return -1;
	int found = blobs_get(x->op->blobs, d, out, err);
	if (found == 1 && (reapi_measure(&reapi__directory__descriptor, out->data, out->len, &unpacked, err) < 0 ||
			   reach(&x->room, x->room.bytes + unpacked, err) < 0))
		return -1;
	return found;
}

static const char *text_of(const struct buf *b)
{
	return b->data ? b->data : "";
}

static int unpack(struct action_job *x, const ProtobufCMessageDescriptor *descriptor, const struct buf *b, void *message)
{
	uint64_t unpacked;
	if (reapi_measure(descriptor, text_of(b), b->len, &unpacked, &x->err) < 0 ||
	    reach(&x->room, x->room.bytes + unpacked, &x->err) < 0 ||
	    reapi_unpack_canonical(descriptor, text_of(b), b->len, message, &x->err) < 0)
		return fail(x, code_of(&x->err));
	return 0;
}

static int load_action(struct action_job *x)
{
	struct reapi_digest command;
	if (load(x, &x->op->action, &x->action_bytes) < 0)
		return -1;
	if (x->n_missing)
		return 0;
	if (unpack(x, &reapi__action__descriptor, &x->action_bytes, &x->action) < 0)
		return -1;
	if (reapi_digest_read(x->action->command_digest, &command, &x->err) < 0)
		return fail(x, RPC_INVALID_ARGUMENT);
	if (load(x, &command, &x->command_bytes) < 0)
		return -1;
	return x->n_missing ? 0 : unpack(x, &reapi__command__descriptor, &x->command_bytes, &x->command);
}

static int load_root(struct action_job *x)
{
	struct reapi_digest top;
	if (!x->action)
		return 0;
	if (reapi_digest_read(x->action->input_root_digest, &top, &x->err) < 0 ||
	    input_root_read(&x->root, &top, get_directory, x, &x->err) < 0)
		return fail(x, code_of(&x->err));
	for (size_t i = 0; i < x->root.n_missing; i++)
		note_missing(x, &x->root.missing[i]);
	for (size_t i = 0; i < x->root.n_files; i++)
		if (!blobs_uses(x->op->blobs, &x->root.files[i]))
			note_missing(x, &x->root.files[i]);
	return 0;
}

static int check_missing(struct action_job *x)
{
	return x->n_missing ? fail(x, RPC_FAILED_PRECONDITION) : 0;
}

static int read_platform(struct action_job *x)
{
	const Reapi__Platform *p = x->action->platform ? x->action->platform : x->command->platform;
	snprintf(x->wish.image, sizeof x->wish.image, "%s", x->executor->image);
	x->wish.isolation = x->op->isolation;
	return platform_read(p, x->executor->ignored, &x->wish, &x->err) < 0 ? fail(x, RPC_INVALID_ARGUMENT) : 0;
}

// ---- at a worker --------------------------------------------------------------------------------------------------------------

struct talk {
	struct action_job *x;
	struct rpc_call *call;
	struct reapi_digest blob; // that is coming
	struct buf bytes;
	struct room room; // for it, and for a file that goes out
	bool is_coming, is_done;
	char limit[32];
};

static int send_message(struct talk *t, Coffer__V1__ActionRequest *m)
{
	return rpc_send(t->call, &m->base, &t->x->err); // 1: the worker has an answer already
}

static int send_head(struct talk *t)
{
	struct action_job *x = t->x;
	Coffer__V1__ActionRequest m = COFFER__V1__ACTION_REQUEST__INIT;
	Coffer__V1__ActionHeader h = COFFER__V1__ACTION_HEADER__INIT;
	h.image = x->wish.image;
	h.minimum_isolation = (Coffer__V1__Isolation)x->wish.isolation;
	h.action = (ProtobufCBinaryData){x->action_bytes.len, (uint8_t *)x->action_bytes.data};
	h.command = (ProtobufCBinaryData){x->command_bytes.len, (uint8_t *)x->command_bytes.data};
	h.directories = (uint32_t)x->root.n_directories;
	m.kind_case = COFFER__V1__ACTION_REQUEST__KIND_HEADER;
	m.header = &h;
	int rc = send_message(t, &m);
	for (size_t i = 0; i < x->root.n_directories && rc == 0; i++) {
		const struct input_directory *d = x->root.directories[i];
		coffer__v1__action_request__init(&m);
		m.kind_case = COFFER__V1__ACTION_REQUEST__KIND_DIRECTORY;
		m.directory = (ProtobufCBinaryData){d->n, (uint8_t *)d->bytes};
		rc = send_message(t, &m);
	}
	return rc;
}

static int send_file(struct talk *t, const struct reapi_digest *d)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	if (reach(&t->room, (uint64_t)d->size + PIECE, &t->x->err) < 0)
		return -1;
	int found = blobs_get(t->x->op->blobs, d, &bytes, &t->x->err);
	if (found == 0) {
		note_missing(t->x, d);
		err_set(&t->x->err, ERR_NOT_FOUND, "an input has gone meanwhile");
	}
	if (found != 1)
		return -1;
	int rc = 0;
	for (size_t at = 0, n; at < bytes.len && rc == 0; at += n) {
		Coffer__V1__ActionRequest m = COFFER__V1__ACTION_REQUEST__INIT;
		n = bytes.len - at < PIECE ? bytes.len - at : PIECE;
		m.kind_case = COFFER__V1__ACTION_REQUEST__KIND_FILES;
		m.files = (ProtobufCBinaryData){n, (uint8_t *)bytes.data + at};
		rc = send_message(t, &m);
	}
	return rc;
}

static int send_files(struct talk *t, const Coffer__V1__ActionNeeds *needs)
{
	struct map by_hash = MAP_INIT;
	struct input_root *root = &t->x->root;
	int rc = 0;
	for (size_t i = 0; i < root->n_files; i++)
		map_put(&by_hash, root->files[i].hash.b, sizeof root->files[i].hash, &root->files[i]);
	for (size_t i = 0; i < needs->n_files && rc == 0; i++) {
		const struct reapi_digest *d = map_get(&by_hash, needs->files[i].data, needs->files[i].len);
		rc = d ? send_file(t, d) : err_set(&t->x->err, ERR_PEER, "the worker asks for what is no input");
	}
	map_release(&by_hash);
	if (rc >= 0)
		rpc_send_end(t->call);
	return rc < 0 ? -1 : 0;
}

static int keep_blob(struct talk *t)
{
	t->is_coming = false;
	return blobs_put(t->x->op->blobs, &t->blob, text_of(&t->bytes), t->bytes.len, &t->x->err);
}

static int take_blob(struct talk *t, const Coffer__V1__ActionBlob *b)
{
	if (t->is_coming || b->sha256.len != sizeof t->blob.hash || b->size > (uint64_t)blobs_max(t->x->op->blobs))
		return err_set(&t->x->err, ERR_PEER, "the worker sends an output that makes no sense, or is too large");
	memcpy(t->blob.hash.b, b->sha256.data, sizeof t->blob.hash);
	t->blob.size = (int64_t)b->size;
	buf_release(&t->bytes);
	t->bytes.max = (size_t)b->size + PIECE;
	t->is_coming = true;
	if (reach(&t->room, b->size + PIECE, &t->x->err) < 0)
		return -1;
	buf_room(&t->bytes, (size_t)b->size); // as much as it holds, and not half as much again
	return b->size == 0 ? keep_blob(t) : 0;
}

static int take_piece(struct talk *t, const ProtobufCBinaryData *p)
{
	if (!t->is_coming || p->len > (uint64_t)t->blob.size - t->bytes.len)
		return err_set(&t->x->err, ERR_PEER, "the worker sends more of an output than it said");
	buf_add(&t->bytes, p->data, p->len);
	return t->bytes.len == (uint64_t)t->blob.size ? keep_blob(t) : 0;
}

static int take_done(struct talk *t, const Coffer__V1__ActionDone *d)
{
	struct action_job *x = t->x;
	const void *p = d->result.data ? (const void *)d->result.data : "";
	uint64_t unpacked;
	if (t->is_coming || reapi_measure(&reapi__action_result__descriptor, p, d->result.len, &unpacked, &x->err) < 0)
		return err_set(&x->err, ERR_PEER, "the worker's result makes no sense");
	if (d->result.len > RESULTS_MAX_BYTES)
		return err_set(&x->err, ERR_LIMIT, "the action has so many outputs that their list has more than %d bytes",
			       RESULTS_MAX_BYTES);
	if (reach(&x->room, x->room.bytes + unpacked, &x->err) < 0 ||
	    reapi_unpack(&reapi__action_result__descriptor, p, d->result.len, &x->result, &x->err) < 0)
		return -1;
	int rc = results_are_there(x->op->blobs, x->result, &x->err);
	if (rc != 1)
		return rc < 0 ? -1 : err_set(&x->err, ERR_PEER, "the worker's result names what it has not sent");
	snprintf(t->limit, sizeof t->limit, "%s", d->limit);
	t->is_done = true;
	return 0;
}

static int take_reply(struct talk *t, const Coffer__V1__ActionReply *m)
{
	switch (m->kind_case) {
	case COFFER__V1__ACTION_REPLY__KIND_NEEDS:
		return send_files(t, m->needs);
	case COFFER__V1__ACTION_REPLY__KIND_STARTED:
		operation_enter(t->x->executor->operations, t->x->op, OPERATION_EXECUTING);
		return 0;
	case COFFER__V1__ACTION_REPLY__KIND_BLOB:
		return take_blob(t, m->blob);
	case COFFER__V1__ACTION_REPLY__KIND_PIECE:
		return take_piece(t, &m->piece);
	case COFFER__V1__ACTION_REPLY__KIND_DONE:
		return take_done(t, m->done);
	default:
		return err_set(&t->x->err, ERR_PEER, "the worker sends an unknown message");
	}
}

static int take_replies(struct talk *t)
{
	Coffer__V1__ActionReply *m;
	int rc;
	while ((rc = rpc_receive(t->call, &coffer__v1__action_reply__descriptor, ANSWER_MS, &m, &t->x->err)) > 0) {
		rc = take_reply(t, m);
		coffer__v1__action_reply__free_unpacked(m, NULL);
		if (rc < 0)
			return -1;
	}
	return rc == 0 && t->is_done ? 0 : -1;
}

// What the worker's status means to the client.
static int conclude(struct talk *t, bool is_ours)
{
	struct action_job *x = t->x;
	const struct rpc_status *s = rpc_wait_status(t->call);
	if (x->err.code == ERR_LIMIT && (is_ours || s->code == RPC_OK))
		return fail(x, RPC_FAILED_PRECONDITION); // as it will be each time
	if (x->err.code == ERR_FULL && (is_ours || s->code == RPC_OK))
		return fail(x, RPC_RESOURCE_EXHAUSTED); // here there is no room; the worker did its part
	if (is_ours || s->code == RPC_OK)
		return fail(x, x->err.code == ERR_NOT_FOUND ? RPC_FAILED_PRECONDITION : RPC_UNAVAILABLE);
	err_set(&x->err, ERR_PEER, "%s", s->text);
	return fail(x, s->code);
}

static int talk(struct action_job *x, const struct fleet_seat *seat)
{
	struct rpc_call_options options = {.authorization = seat->authorization};
	struct talk t = {.x = x, .room = {.blobs = x->op->blobs}};
	if (rpc_call_start(seat->channel, "/coffer.v1.Worker/Execute", &options, &t.call, &x->err) < 0)
		return fail(x, RPC_UNAVAILABLE);
	int rc = send_head(&t);
	if (rc >= 0)
		rc = take_replies(&t);
	bool is_ours = rc < 0 && !rpc_call_is_cancelled(t.call);
	if (is_ours)
		rpc_cancel(t.call);
	if (rc < 0)
		conclude(&t, is_ours);
	rpc_call_release(t.call);
	buf_release(&t.bytes);
	room_release(&t.room);
	if (rc == 0 && strcmp(t.limit, "wall") == 0) {
		err_set(&x->err, ERR_TIMEOUT, "the action was ended: its time is over");
		x->code = RPC_DEADLINE_EXCEEDED;
	} else if (rc == 0) {
		x->code = RPC_OK;
		if (t.limit[0])
			err_set(&x->err, ERR_NONE, "the action was ended by the limit '%s'", t.limit);
	}
	return rc;
}

// Once. 1: it may be tried again, at another worker or later.
static int attempt(struct action_job *x, bool *is_absent, bool *is_failure, bool *lacks_image)
{
	struct fleet_seat seat;
	struct fleet_wish wish = {blobs_tenant(x->op->blobs), x->wish.image, x->wish.isolation};
	*is_absent = *is_failure = *lacks_image = false;
	err_clear(&x->err);
	if (x->result)
		reapi__action_result__free_unpacked(TAKE(x->result), NULL);
	if (fleet_take(x->executor->fleet, &wish, &seat, &x->err) < 0) {
		*is_absent = x->err.code == ERR_NOT_FOUND;
		*is_failure = x->err.code == ERR_PEER;
		x->code = x->err.code == ERR_ACCESS ? RPC_PERMISSION_DENIED : RPC_UNAVAILABLE;
		return x->err.code == ERR_ACCESS ? -1 : 1;
	}
	int rc = talk(x, &seat);
	// The worker's, that is: where there is no room here, another run needs as much.
	bool is_busy = rc < 0 && x->code == RPC_RESOURCE_EXHAUSTED && x->err.code != ERR_FULL;
	*is_failure = rc < 0 && (x->code == RPC_UNAVAILABLE || x->code == RPC_UNKNOWN || x->code == RPC_INTERNAL ||
				 x->code == RPC_UNAUTHENTICATED || x->code == RPC_CANCELLED);
	*lacks_image = rc < 0 && x->code == RPC_UNIMPLEMENTED; // another may have it
	fleet_give(x->executor->fleet, &seat, *is_failure, is_busy || *lacks_image ? BUSY_PAUSE_MS : 0);
	return rc < 0 && (is_busy || *is_failure || *lacks_image) ? 1 : rc;
}

static int run(struct action_job *x)
{
	int64_t began = clock_ms();
	int failures = 0, n_without = 0;
	bool is_absent, is_failure, lacks_image;
	operation_enter(x->executor->operations, x->op, OPERATION_QUEUED);
	for (;;) {
		int rc = attempt(x, &is_absent, &is_failure, &lacks_image);
		if (rc <= 0)
			return rc;
		n_without += lacks_image;
		if (n_without > MAX_WITHOUT)
			return fail(x, RPC_FAILED_PRECONDITION); // as the specification says where no worker is right
		failures += is_failure;
		if (failures > MAX_FAILURES || clock_ms() - began > (is_absent ? NO_WORKER_MS : QUEUE_MS))
			return fail(x, RPC_UNAVAILABLE);
		usleep(BUSY_PAUSE_MS * 1000);
	}
}

// ---- what came of it ------------------------------------------------------------------------------------------------------------

static int store(struct action_job *x)
{
	if (x->code == RPC_OK && x->result->exit_code == 0 && !x->action->do_not_cache &&
	    results_store(x->op->blobs, &x->op->action, x->result, &x->err) < 0)
		log_event(LOG_LEVEL_WARN, "result not stored", LOG_TEXT("why", x->err.text));
	return 0;
}

static void release(struct action_job *x)
{
	if (x->result)
		reapi__action_result__free_unpacked(x->result, NULL);
	if (x->command)
		reapi__command__free_unpacked(x->command, NULL);
	if (x->action)
		reapi__action__free_unpacked(x->action, NULL);
	input_root_release(&x->root);
	buf_release(&x->missing);
	buf_release(&x->command_bytes);
	buf_release(&x->action_bytes);
	room_release(&x->room);
}

static void log_execution(const struct action_job *x, int64_t ms)
{
	log_event(x->code == RPC_OK ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "execution", LOG_TEXT("operation", x->op->name),
		  LOG_TEXT("tenant", blobs_tenant(x->op->blobs)), LOG_TEXT("code", rpc_code_name(x->code)),
		  LOG_NUMBER("exit", x->result ? x->result->exit_code : -1), LOG_NUMBER("ms", ms),
		  LOG_TEXT("why", x->err.text));
}

static void answer(struct action_job *x, struct buf *response)
{
	struct err err = ERR_INIT;
	if (x->n_missing)
		pack_missing(x, response);
	else
		execution_pack(x->result, false, x->code, x->err.text, response);
	if (reach(&x->op->room, response->len, &err) == 0)
		return;
	buf_clear(response);
	execution_pack(NULL, false, RPC_RESOURCE_EXHAUSTED, err.text, response);
}

void execution_work(void *executor, struct operation *op)
{
	// Each returns 0 to go on, -1 when there is an answer.
	static int (*const steps[])(struct action_job *) = {load_action,   load_root, check_missing,
							    read_platform, run,       store};
	AUTO_BUF struct buf response = BUF_INIT;
	struct action_job x = {
		.executor = executor, .op = op, .room = {.blobs = op->blobs}, .code = RPC_OK, .err = ERR_INIT};
	struct gateway *g = x.executor->gateway;
	int64_t began = clock_ms();
	int rc = 0;
	for (size_t i = 0; i < COUNT_OF(steps) && rc == 0; i++)
		rc = steps[i](&x);
	gateway_count(g,
		      x.n_missing ? COUNT_executions_missing
		      : x.result  ? COUNT_executions_run
				  : COUNT_executions_failed,
		      1);
	log_execution(&x, clock_ms() - began);
	answer(&x, &response);
	operation_complete(x.executor->operations, op, &response);
	release(&x);
}

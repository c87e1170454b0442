// The story of one compile, from the client's first message to the answer. compile_serve, at the end, is its table of
// contents.
#include "worker/compile_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/evidence.h"
#include "worker/upload.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_MESSAGE_MS = 30000, NEXT_PIECE_MS = 30000, PIECE = 256 * 1024 };

int compile_fail(struct compile *c, enum worker_counter counter, enum rpc_code code)
{
	c->counter = counter;
	c->code = code;
	return -1;
}

int compile_fail_cancelled(struct compile *c)
{
	return compile_fail(c, COUNT_cancelled, RPC_CANCELLED);
}

// On the loop's thread.
static void interrupt(void *arg)
{
	struct compile *c = arg;
	queue_interrupt(c->service->queue, &c->ticket);
	single_flight_interrupt(c->service->flights, &c->flight);
	job_cancel_fire(&c->cancel);
}

// ---- who asks for what ----------------------------------------------------------------------------------------------

static int check_token(struct compile *c)
{
	if (access_check(c->service->access, rpc_call_metadata(c->call, "authorization"), &c->claims, &c->err) < 0)
		return compile_fail(c, COUNT_unauthenticated, RPC_UNAUTHENTICATED);
	if (rpc_call_admit(c->call, c->claims.tenant, false, &c->err) < 0)
		return compile_fail(c, COUNT_full, RPC_RESOURCE_EXHAUSTED);
	worker_count(c->service, COUNT_compiles, 1);
	queue_enter(c->service->queue, &c->ticket, c->claims.tenant,
		    (struct queue_claim){c->claims.slots, c->claims.not_before});
	c->has_ticket = true;
	rpc_call_on_cancel(c->call, interrupt, c);
	return 0;
}

// A job without a row in the audit log is not served.
static int begin_evidence(struct compile *c)
{
	struct worker_service *s = c->service;
	if (evidence_begin(&c->evidence, s->audit, s->name, c->claims.tenant, runtime_isolation(s->runtime), &c->err) == 0)
		return 0;
	log_event(LOG_LEVEL_ERROR, "audit row not begun", LOG_TEXT("why", c->err.text));
	return compile_fail(c, COUNT_broken, RPC_UNAVAILABLE);
}

int compile_receive(struct compile *c, int timeout_ms, Coffer__V1__CompileRequest **m)
{
	int rc = rpc_receive(c->call, &coffer__v1__compile_request__descriptor, timeout_ms, m, &c->err);
	if (rc >= 0)
		return rc;
	return c->err.code == ERR_TIMEOUT ? compile_fail(c, COUNT_cancelled, RPC_DEADLINE_EXCEEDED)
					  : compile_fail_cancelled(c);
}

// What the client was told by Describe must still be so: the compiler, as the client has compared it with its own, and the
// operator's policy, of which it has to know before anything of a job is kept.
static int check_agreement(struct compile *c)
{
	const char *identity = c->header->identity;
	if (*identity && strcmp(identity, c->identity) != 0)
		err_set(&c->err, ERR_USAGE, "the compiler '%s' has changed: describe it again", c->header->compiler);
	else if (c->service->is_paranoid && !c->header->keeps_nothing)
		err_set(&c->err, ERR_USAGE, "the policy here is that clients keep nothing: describe it again");
	else
		return 0;
	return compile_fail(c, COUNT_outdated, RPC_ABORTED);
}

static int read_header(struct compile *c)
{
	int rc = compile_receive(c, FIRST_MESSAGE_MS, &c->first);
	if (rc < 0)
		return -1;
	if (rc == 0 || c->first->kind_case != COFFER__V1__COMPILE_REQUEST__KIND_HEADER) {
		err_set(&c->err, ERR_FORMAT, "the first message is no header");
		return compile_fail(c, COUNT_invalid, RPC_INVALID_ARGUMENT);
	}
	c->header = c->first->header;
	if (c->header->tree && !runtime_has_roots(c->service->runtime)) {
		err_set(&c->err, ERR_USAGE, "this worker takes no trees");
		return compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION);
	}
	if ((c->header->tree ? header_check_tree(c->header, &c->err) : header_check(c->header, &c->found, &c->err)) < 0)
		return compile_fail(c, COUNT_invalid, RPC_INVALID_ARGUMENT);
	if (access_check_image(c->service->access, &c->claims, c->header->image, &c->err) < 0)
		return compile_fail(c, COUNT_unauthenticated, RPC_PERMISSION_DENIED);
	if (images_identity(c->service->images, c->header->image, c->header->compiler, c->identity, &c->err) < 0)
		return compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION);
	if (evidence_header(&c->evidence, c->header, c->identity, &c->err) < 0)
		return compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION);
	return check_agreement(c);
}

// ---- answers --------------------------------------------------------------------------------------------------------

static int send_frame(struct compile *c, const char *frame, size_t n)
{
	for (size_t at = 0; at < n; at += PIECE) {
		Coffer__V1__CompileReply m = COFFER__V1__COMPILE_REPLY__INIT;
		m.kind_case = COFFER__V1__COMPILE_REPLY__KIND_PIECE;
		m.piece = (ProtobufCBinaryData){n - at < PIECE ? n - at : PIECE, (uint8_t *)(uintptr_t)(frame + at)};
		if (rpc_send(c->call, &m.base, &c->err) < 0)
			return compile_fail_cancelled(c);
	}
	worker_count(c->service, COUNT_answer_bytes, n);
	rpc_finish(c->call, RPC_OK, "%s", "");
	return STEP_DONE;
}

// Before the answer: what has no row in the audit log is not given out.
static int write_evidence(struct compile *c, const struct result *x, const struct job_result *run)
{
	evidence_result(&c->evidence, &c->key, x);
	if (run)
		evidence_run(&c->evidence, run);
	const char *outcome = !run ? "hit" : run->limit[0] ? "limit" : run->exit_status ? "failed" : "run";
	if (evidence_end(&c->evidence, outcome, NULL, &c->err) == 0)
		return 0;
	log_event(LOG_LEVEL_ERROR, "audit row not written", LOG_TEXT("why", c->err.text));
	return compile_fail(c, COUNT_broken, RPC_UNAVAILABLE);
}

// `run` is NULL for a result that was known.
static int send_result(struct compile *c, const struct result *x, const struct job_result *run)
{
	if (write_evidence(c, x, run) < 0)
		return -1;
	Coffer__V1__Usage usage = COFFER__V1__USAGE__INIT;
	Coffer__V1__CompileResult r = COFFER__V1__COMPILE_RESULT__INIT;
	Coffer__V1__Output outputs[HEADER_MAX_OUTPUTS], *list[HEADER_MAX_OUTPUTS];
	r.out = (ProtobufCBinaryData){x->n_out, (uint8_t *)(uintptr_t)x->out};
	r.err = (ProtobufCBinaryData){x->n_err, (uint8_t *)(uintptr_t)x->errs};
	for (size_t i = 0; i < x->n_outputs; i++) {
		const struct packed_output *o = &x->outputs[i];
		outputs[i] = (Coffer__V1__Output)COFFER__V1__OUTPUT__INIT;
		outputs[i].kind = (Coffer__V1__Output__Kind)o->kind;
		outputs[i].sha256 = (ProtobufCBinaryData){sizeof o->sha256, (uint8_t *)(uintptr_t)o->sha256};
		outputs[i].size = o->size;
		list[i] = &outputs[i];
	}
	r.outputs = list;
	r.n_outputs = x->n_outputs;
	r.source_digest = (ProtobufCBinaryData){sizeof x->source, (uint8_t *)(uintptr_t)x->source};
	r.key = (ProtobufCBinaryData){sizeof c->key.b, c->key.b};
	r.cached = !run;
	if (run) {
		r.exit_status = run->exit_status;
		r.limit = (char *)(uintptr_t)run->limit;
		usage.wall_us = run->usage.wall_us;
		usage.user_us = run->usage.user_us;
		usage.system_us = run->usage.system_us;
		usage.peak_bytes = run->usage.peak_bytes;
		r.usage = &usage;
	}
	Coffer__V1__CompileReply m = COFFER__V1__COMPILE_REPLY__INIT;
	m.kind_case = COFFER__V1__COMPILE_REPLY__KIND_RESULT;
	m.result = &r;
	if (rpc_send(c->call, &m.base, &c->err) < 0)
		return compile_fail_cancelled(c);
	tenant_stats_add(c->service->tally, c->claims.tenant, !run);
	return send_frame(c, x->frame, x->n_frame);
}

// Answers if the result of c->key is there.
int compile_look_up(struct compile *c, enum worker_counter counter, const char *outcome)
{
	struct result x;
	struct err err = ERR_INIT;
	int found = results_get(c->service->results, c->claims.tenant, &c->key, runtime_isolation(c->service->runtime),
				&c->blob, &x, &err);
	c->is_unread = found < 0;
	if (found < 0)
		log_event(LOG_LEVEL_WARN, "results not looked at", LOG_TEXT("why", err.text));
	if (found != 1)
		return 0;
	worker_count(c->service, counter, 1);
	c->outcome = outcome;
	return send_result(c, &x, NULL);
}

// ---- before the source is here --------------------------------------------------------------------------------------

// The client's digest finds what was stored under the digest of a source that was here. Nothing is ever stored because of
// it: who lies about it gets the result of the source whose digest it names, which its own tenant has compiled.
static int look_up_by_hint(struct compile *c)
{
	const ProtobufCBinaryData *hint = &c->header->source_digest;
	if (hint->len != sizeof c->upload.digest || c->header->no_lookup)
		return 0;
	c->key = key_of(c->claims.tenant, c->identity, c->header, hint->data);
	return compile_look_up(c, COUNT_early_hits, "early hit");
}

static int tell_wanted(struct compile *c)
{
	Coffer__V1__CompileWanted wanted = COFFER__V1__COMPILE_WANTED__INIT;
	Coffer__V1__CompileReply m = COFFER__V1__COMPILE_REPLY__INIT;
	m.kind_case = COFFER__V1__COMPILE_REPLY__KIND_WANTED;
	m.wanted = &wanted;
	return c->header->asks_first && rpc_send(c->call, &m.base, &c->err) < 0 ? compile_fail_cancelled(c) : 0;
}

static int check_room(struct compile *c)
{
	if (queue_has_room(c->service->queue, &c->ticket, &c->err) < 0)
		return compile_fail(c, COUNT_full, RPC_RESOURCE_EXHAUSTED);
	if (space_check(&c->service->space, &c->err) < 0)
		return compile_fail(c, COUNT_no_space, RPC_RESOURCE_EXHAUSTED);
	return 0;
}

// ---- the source -----------------------------------------------------------------------------------------------------

static int take_piece(struct compile *c, const Coffer__V1__CompileRequest *m)
{
	if (m->kind_case != COFFER__V1__COMPILE_REQUEST__KIND_SOURCE) {
		err_set(&c->err, ERR_FORMAT, "a message that is no piece of the source");
		return compile_fail(c, COUNT_invalid, RPC_INVALID_ARGUMENT);
	}
	if (upload_take(&c->upload, m->source.data, m->source.len, &c->err) < 0)
		return c->err.code == ERR_LIMIT ? compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION)
						: compile_fail(c, COUNT_invalid, RPC_INVALID_ARGUMENT);
	if (queue_hold(c->service->queue, &c->ticket, upload_memory(&c->upload), &c->err) < 0)
		return c->err.code == ERR_LIMIT ? compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION)
						: compile_fail(c, COUNT_full, RPC_RESOURCE_EXHAUSTED);
	return 0;
}

static int take_source(struct compile *c)
{
	int64_t until = clock_ms() + c->service->limits.upload_ms, left;
	Coffer__V1__CompileRequest *m;
	int rc = 0;
	do {
		left = until - clock_ms();
		rc = compile_receive(c, left < 0 ? 0 : left < NEXT_PIECE_MS ? (int)left : NEXT_PIECE_MS, &m);
		if (rc != 1)
			break;
		rc = take_piece(c, m);
		coffer__v1__compile_request__free_unpacked(m, NULL);
	} while (rc == 0);
	if (rc < 0)
		return -1;
	if (upload_end(&c->upload, &c->err) < 0)
		return compile_fail(c, COUNT_invalid, RPC_INVALID_ARGUMENT);
	queue_hold(c->service->queue, &c->ticket, upload_memory(&c->upload), NULL); // it has become less
	evidence_source(&c->evidence, c->upload.digest);
	worker_count(c->service, COUNT_source_bytes, c->upload.size);
	worker_count(c->service, COUNT_upload_bytes, c->upload.packed.len);
	return 0;
}

// ---- is it known, or about to be? -----------------------------------------------------------------------------------

// By what has really come: c->key.
static int look_up_or_join(struct compile *c)
{
	if (c->header->no_lookup)
		return 0;
	if (single_flight_join(c->service->flights, &c->flight, c->key.b, sizeof c->key.b) < 0)
		return compile_fail_cancelled(c);
	if (c->flight.has_waited)
		worker_count(c->service, COUNT_shared, 1);
	return compile_look_up(c, COUNT_hits, c->flight.has_waited ? "shared" : "hit");
}

static int look_up_by_source(struct compile *c)
{
	c->key = key_of(c->claims.tenant, c->identity, c->header, c->upload.digest);
	return look_up_or_join(c);
}

static const uint8_t *compile_source_digest(const struct compile *c)
{
	return c->header->tree ? c->tree.digest.b : c->upload.digest;
}

static enum worker_counter cause_of_miss(struct compile *c)
{
	static const enum worker_counter counters[] = {[MISS_SOURCE] = COUNT_miss_source,
						       [MISS_TOOLCHAIN] = COUNT_miss_toolchain,
						       [MISS_ARGUMENTS] = COUNT_miss_arguments,
						       [MISS_SAME] = COUNT_miss_same};
	struct worker_service *s = c->service;
	enum miss_cause cause = misses_note(s->misses, c->claims.tenant, compile_source_digest(c), c->identity,
					    c->header->compiler, &c->key);
	if (c->header->no_lookup)
		return COUNT_miss_asked;
	if (c->is_unread)
		return COUNT_miss_unread;
	// One that is there still is whole, and was made behind less than this job asks for.
	return results_has(s->results, c->claims.tenant, &c->key) ? COUNT_miss_isolation : counters[cause];
}

static int count_miss(struct compile *c)
{
	worker_count(c->service, cause_of_miss(c), 1);
	return 0;
}

// ---- what came of it ------------------------------------------------------------------------------------------------

static bool ended_well(const struct compile *c)
{
	return c->run.exit_status == 0 && !c->run.limit[0];
}

// A job may have waited for long: what has run must be what its key and the client's comparison are about.
static int check_compiler(struct compile *c)
{
	char now[TOOLCHAIN_IDENTITY];
	if (images_identity(c->service->images, c->header->image, c->header->compiler, now, &c->err) == 0 &&
	    strcmp(now, c->identity) == 0)
		return 0;
	err_set(&c->err, ERR_USAGE, "the compiler '%s' has become another one meanwhile: describe it again",
		c->header->compiler);
	return compile_fail(c, COUNT_outdated, RPC_ABORTED);
}

static struct result result_of(const struct compile *c)
{
	struct result x = {.isolation = runtime_isolation(c->service->runtime),
			   .out = c->out.data,
			   .n_out = c->out.len,
			   .errs = c->errs.data,
			   .n_err = c->errs.len,
			   .frame = c->packer.frame.data,
			   .n_frame = c->packer.frame.len,
			   .n_outputs = c->packer.n};
	memcpy(x.source, compile_source_digest(c), sizeof x.source);
	memcpy(x.outputs, c->packer.outputs, sizeof x.outputs);
	return x;
}

// A job that ended well has made what it was for; of one that did not, nothing but its words is passed on.
static int verify(struct compile *c)
{
	worker_count(c->service, COUNT_runs, 1);
	worker_count(c->service, COUNT_limits, c->run.limit[0] != '\0');
	worker_count(c->service, COUNT_failures, !ended_well(c));
	if (!ended_well(c)) {
		c->outcome = c->run.limit[0] ? "limit" : "failure";
		output_frame_release(&c->packer);
		output_frame_init(&c->packer, 0);
		return 0;
	}
	c->outcome = "run";
	for (size_t i = 0; i < c->packer.n; i++)
		if (c->packer.outputs[i].kind == COFFER__V1__OUTPUT__KIND__OBJECT && c->packer.outputs[i].size > 0)
			return 0;
	err_set(&c->err, ERR_FORMAT, "the compiler has ended well and left no output");
	return compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION);
}

static int store(struct compile *c)
{
	struct worker_service *s = c->service;
	struct result x = result_of(c);
	struct err err = ERR_INIT;
	enum result_put what;
	char key[KEY_HEX];
	if (!ended_well(c))
		return 0;
	key_hex(&c->key, key);
	int rc = results_put(s->results, c->claims.tenant, &c->key, &x, &what, &err);
	if (what == RESULT_DIFFERS) {
		worker_count(s, COUNT_not_reproducible, 1);
		log_event(LOG_LEVEL_WARN, "result not reproducible", LOG_TEXT("tenant", c->claims.tenant),
			  LOG_TEXT("compiler", c->header->compiler), LOG_TEXT("key", key));
	}
	// A full disk is told once, and when there is room again.
	if (atomic_exchange(&s->cannot_store, rc < 0) != (rc < 0))
		log_event(rc < 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
			  rc < 0 ? "result not stored" : "results are stored again", LOG_TEXT("key", key),
			  LOG_TEXT("why", err.text));
	worker_count(s, rc < 0 ? COUNT_not_stored : COUNT_stored, rc < 0 || what == RESULT_STORED);
	return 0;
}

// For `coffer replay`: the text by its digest, among the tenant's results and within their bounds. A tree's files are there already.
static int keep_source(struct compile *c)
{
	struct err err = ERR_INIT;
	struct worker_service *s = c->service;
	if (!s->audit || !s->keeps_sources)
		return 0;
	int rc = c->header->tree
			 ? compile_keep_request(c, &err)
			 : results_put_source(s->results, c->claims.tenant, c->upload.digest, &c->upload.packed, &err);
	if (rc < 0)
		log_event(LOG_LEVEL_DEBUG, "source not kept", LOG_TEXT("why", err.text));
	return 0;
}

static int answer(struct compile *c)
{
	struct result x = result_of(c);
	// Whoever waits for this result finds it now.
	single_flight_leave(c->service->flights, &c->flight);
	return send_result(c, &x, &c->run);
}

// ---- beginning and end ----------------------------------------------------------------------------------------------

static void init(struct compile *c, struct rpc_call *call, struct worker_service *s)
{
	*c = (struct compile){.service = s,
			      .call = call,
			      .cancel = JOB_CANCEL_INIT,
			      .began_ms = clock_ms(),
			      .outcome = "refused",
			      .err = ERR_INIT};
	c->out.max = c->errs.max = (size_t)s->limits.message_bytes;
	upload_init(&c->upload, s->limits.source_bytes);
	tree_source_init(&c->tree, s->results, c->claims.tenant, s->limits.source_bytes);
	output_frame_init(&c->packer, s->limits.output_bytes);
}

static void release(struct compile *c)
{
	rpc_call_on_cancel(c->call, NULL, NULL);
	single_flight_leave(c->service->flights, &c->flight);
	upload_release(&c->upload);
	tree_source_release(&c->tree);
	if (c->has_ticket)
		queue_leave(c->service->queue, &c->ticket);
	evidence_release(&c->evidence);
	output_frame_release(&c->packer);
	buf_release(&c->blob);
	buf_release(&c->out);
	buf_release(&c->errs);
	if (c->first)
		coffer__v1__compile_request__free_unpacked(c->first, NULL);
	pthread_mutex_destroy(&c->cancel.lock);
}

static void log_compile(const struct compile *c)
{
	log_event(LOG_LEVEL_DEBUG, "compile", LOG_TEXT("tenant", c->claims.tenant), LOG_TEXT("outcome", c->outcome),
		  LOG_TEXT("compiler", c->header ? c->header->compiler : ""), LOG_NUMBER("ms", clock_ms() - c->began_ms),
		  LOG_NUMBER("waited_ms", c->waited_ms), LOG_NUMBER("source", c->upload.size + c->tree.bytes),
		  LOG_NUMBER("exit", c->run.exit_status), LOG_TEXT("limit", c->run.limit));
}

static int carry_out(struct compile *c, int (*const *steps)(struct compile *), size_t n)
{
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = steps[i](c);
	return rc;
}

void compile_serve(struct rpc_call *call, void *service)
{
	// Each returns 0 to go on, STEP_DONE when the call has its answer, -1 when it is to be refused.
	static int (*const steps[])(struct compile *) = {
		check_token,    // tenant, image, worker, isolation, time
		begin_evidence, // from here on the job has its row in the audit log
		read_header,    // only what a client may say
	};
	static int (*const text_steps[])(struct compile *) = {
		look_up_by_hint,   // known already: the source need not come
		check_room,        // full: the source need not come either
		tell_wanted,       // to a client that has asked first
		take_source,       // unpacked and digested as it comes
		look_up_by_source, // the key by what really came; waits for another job with the same one
	};
	static int (*const tree_steps[])(struct compile *) = {
		check_room,                 // full: the listing need not come
		compile_take_listing,       // names and digests of all files
		compile_look_up_by_listing, // known already: the files need not come
		compile_take_files,         // those that are not here
		look_up_or_join,            // waits for another job with the same key
	};
	static int (*const run_steps[])(struct compile *) = {
		count_miss,        // why there was no known result
		compile_take_slot, // in turn with other tenants
		compile_tell_started,
		compile_run,    // in the tenant's session
		check_compiler, // is it still the one that was there at first?
		verify,         //
		store,          //
		keep_source,    //
		answer,
	};
	struct compile c;
	int rc;
	init(&c, call, service);
	rc = carry_out(&c, steps, COUNT_OF(steps));
	if (rc == 0)
		rc = c.header->tree ? carry_out(&c, tree_steps, COUNT_OF(tree_steps))
				    : carry_out(&c, text_steps, COUNT_OF(text_steps));
	if (rc == 0)
		rc = carry_out(&c, run_steps, COUNT_OF(run_steps));
	if (rc < 0 && evidence_end(&c.evidence, c.code == RPC_CANCELLED ? "cancelled" : "refused", c.err.text, &c.err) < 0)
		log_event(LOG_LEVEL_ERROR, "audit row not written", LOG_TEXT("why", c.err.text));
	if (rc < 0)
		worker_refuse(c.service, call, c.counter, c.code, "%s", c.err.text);
	log_compile(&c);
	release(&c);
}

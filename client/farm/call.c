#include "client/farm/call.h"

#include "base/clock.h"
#include "base/mem.h"
#include "client/farm/cluster.h"
#include "client/farm/object.h"
#include "codec/zstd.h"
#include "proto/coffer.pb-c.h"

#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE = 64 * 1024,
	ASK_MS = 500,
	MAX_PIECES = 1 << 20,
	// A text of more packed bytes than this is not sent before the worker has said that it does not know the result. That is a
	// round trip; where it takes longer the text goes.
	ASK_FIRST_BYTES = 4096,
	ASK_FIRST_MS = 50,
};

int remote_pause_ms(const char *text)
{
	if (!text)
		return 0;
	size_t digits = strspn(text, "0123456789");
	if (!digits || text[digits] || digits > 9)
		return REMOTE_PAUSE_MAX_MS;
	int ms = atoi(text);
	return ms < 1 ? 1 : ms > REMOTE_PAUSE_MAX_MS ? REMOTE_PAUSE_MAX_MS : ms;
}

static enum remote_outcome outcome_of(const struct remote_call *c, struct rpc_call *call, struct farm_seat *seat,
				      struct err *err)
{
	const struct rpc_status *s = rpc_wait_status(call);
	const char *pushback = rpc_call_metadata(call, "grpc-retry-pushback-ms");
	seat->pause_ms = remote_pause_ms(pushback);
	err_set(err, ERR_PEER, "%s: %s", rpc_code_name(s->code), s->text);
	switch (s->code) {
	case RPC_RESOURCE_EXHAUSTED:
		return c->tree && pushback && strcmp(pushback, "0") == 0 ? REMOTE_LOST : REMOTE_BUSY;
	case RPC_ABORTED:
		return REMOTE_CHANGED;
	case RPC_INVALID_ARGUMENT:
	case RPC_FAILED_PRECONDITION:
	case RPC_OUT_OF_RANGE:
	case RPC_UNIMPLEMENTED:
		return REMOTE_REFUSED;
	default:
		return REMOTE_FAILED;
	}
}

static const Coffer__V1__Output__Kind kinds[] = {[REMOTE_OBJECT] = COFFER__V1__OUTPUT__KIND__OBJECT,
						 [REMOTE_DWO] = COFFER__V1__OUTPUT__KIND__DWO,
						 [REMOTE_DEPFILE] = COFFER__V1__OUTPUT__KIND__DEPFILE,
						 [REMOTE_ASM_DEPFILE] = COFFER__V1__OUTPUT__KIND__ASSEMBLER_DEPFILE};

static bool is_wanted(const struct remote_call *c, enum remote_output o)
{
	return c->tree ? c->tree->outputs[o] != NULL : o == REMOTE_OBJECT || (o == REMOTE_DWO && c->output_name);
}

// What is asked for, in its order. Returns how many.
static size_t list_wanted(const struct remote_call *c, enum remote_output list[REMOTE_OUTPUTS])
{
	size_t n = 0;
	for (enum remote_output o = REMOTE_OBJECT; o < REMOTE_OUTPUTS; o++)
		if (is_wanted(c, o))
			list[n++] = o;
	return n;
}

static bool asks_first(const struct remote_call *c)
{
	return !c->tree && c->text->compressed.len > ASK_FIRST_BYTES;
}

static void describe_text(const struct remote_call *c, Coffer__V1__CompileHeader *h)
{
	h->n_arguments = c->arguments->n;
	h->arguments = (char **)(uintptr_t)c->arguments->arguments;
	h->language = (char *)(uintptr_t)c->arguments->language;
	h->suffix = (char *)(uintptr_t)c->arguments->suffix;
	h->source_digest = (ProtobufCBinaryData){sizeof c->text->sha256, (uint8_t *)(uintptr_t)c->text->sha256};
	h->source_size = c->text->size;
	h->output_name = (char *)(uintptr_t)(c->output_name ? c->output_name : "");
}

static int send_header(const struct remote_call *c, const struct farm_seat *seat, struct rpc_call *call, struct err *err)
{
	Coffer__V1__CompileRequest m = COFFER__V1__COMPILE_REQUEST__INIT;
	Coffer__V1__CompileHeader h = COFFER__V1__COMPILE_HEADER__INIT;
	Coffer__V1__Output outputs[REMOTE_OUTPUTS], *pointers[REMOTE_OUTPUTS];
	enum remote_output wanted[REMOTE_OUTPUTS];
	struct remote_tree_header tree;
	h.image = (char *)(uintptr_t)c->image;
	h.compiler = (char *)(uintptr_t)c->compiler;
	h.n_outputs = list_wanted(c, wanted);
	h.outputs = pointers;
	for (size_t i = 0; i < h.n_outputs; i++) {
		coffer__v1__output__init(&outputs[i]);
		outputs[i].kind = kinds[wanted[i]];
		pointers[i] = &outputs[i];
		if (c->tree)
			outputs[i].name = (char *)(uintptr_t)c->tree->outputs[wanted[i]];
	}
	if (c->tree)
		remote_tree_describe(c->tree, &tree, &h);
	else
		describe_text(c, &h);
	h.source_name = (char *)(uintptr_t)c->source_name;
	h.identity = (char *)(uintptr_t)seat->identity;
	h.keeps_nothing = c->keeps_nothing;
	h.asks_first = asks_first(c);
	m.kind_case = COFFER__V1__COMPILE_REQUEST__KIND_HEADER;
	m.header = &h;
	return rpc_send(call, &m.base, err) < 0 ? -1 : 0;
}

// What the worker answers, while it does.
struct answer {
	struct remote_call *c;
	struct rpc_call *call;
	Coffer__V1__CompileReply *result; // the message that has it
	ZSTD_DCtx *zstd;                  // from the first piece on: most of a call is waiting
	uint64_t size;                    // of the object, as the result says
	bool started;
	bool has_listing, has_files; // of a tree: sent again, sent
	bool is_lie, is_spoilt, is_too_large;
};

__attribute__((format(printf, 3, 4))) static int lie(struct answer *a, struct err *err, const char *fmt, ...)
{
	char text[128];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	a->is_lie = true;
	return err_set(err, ERR_FORMAT, "%s", text);
}

static int take_piece(struct answer *a, const ProtobufCBinaryData *piece, struct err *err)
{
	struct buf *to = &a->c->outputs;
	if (!a->zstd)
		a->zstd = zstd_take_unpacker();
	ZSTD_inBuffer in = {piece->data, piece->len, 0};
	while (in.pos < in.size) {
		char *room = buf_room(to, PIECE);
		if (!room)
			return buf_check(to, "the object", err);
		ZSTD_outBuffer out = {room, PIECE, 0};
		size_t left = ZSTD_decompressStream(a->zstd, &out, &in);
		if (ZSTD_isError(left))
			return lie(a, err, "its object does not decompress: %s", ZSTD_getErrorName(left));
		buf_grew(to, out.pos);
		if (to->len > a->size)
			return lie(a, err, "its object is larger than it says");
	}
	return 0;
}

// Until what the decompressor holds back is out.
static int take_rest(struct answer *a, struct err *err)
{
	ProtobufCBinaryData none = {0};
	for (size_t before = (size_t)-1; a->zstd && before != a->c->outputs.len;) {
		before = a->c->outputs.len;
		char *room = buf_room(&a->c->outputs, PIECE);
		if (!room)
			return buf_check(&a->c->outputs, "the object", err);
		ZSTD_inBuffer in = {none.data, 0, 0};
		ZSTD_outBuffer out = {room, PIECE, 0};
		if (ZSTD_isError(ZSTD_decompressStream(a->zstd, &out, &in)))
			return 0; // the digest decides
		buf_grew(&a->c->outputs, out.pos);
	}
	return 0;
}

// What has been asked for, in that order, or nothing where it has failed.
static int take_result(struct answer *a, const Coffer__V1__CompileResult *r, struct err *err)
{
	enum remote_output wanted[REMOTE_OUTPUTS];
	bool is_asked_for = r->n_outputs <= list_wanted(a->c, wanted);
	a->size = 0;
	for (size_t i = 0; is_asked_for && i < r->n_outputs; i++) {
		is_asked_for = r->outputs[i]->kind == kinds[wanted[i]];
		a->is_too_large |= r->outputs[i]->size > a->c->max_output;
		a->size += a->is_too_large ? 0 : r->outputs[i]->size;
	}
	if (!is_asked_for)
		return lie(a, err, "it sends outputs that nobody has asked for");
	a->is_too_large |= a->size > a->c->max_output;
	return a->is_too_large ? err_set(err, ERR_LIMIT, "its outputs are larger than max_output") : 0;
}

// Of a tree: first the whole listing, where the worker has lost the one before it, then files, once.
static int send_needed(struct answer *a, const Coffer__V1__CompileNeeds *needs, struct err *err)
{
	struct remote_call *c = a->c;
	if (!c->tree || a->result || a->has_files || (needs->listing && (a->has_listing || !c->tree->prefix)))
		return lie(a, err, "it asks for what it has");
	if (needs->listing) {
		a->has_listing = true;
		return remote_tree_send_listing(c->tree, false, a->call, &c->sent, err);
	}
	a->has_files = true;
	int rc = remote_tree_send_files(c->tree, needs, a->call, &c->sent, err);
	if (rc < 0 && err->code == ERR_FORMAT)
		return lie(a, err, "it asks for files that are not in the listing");
	a->is_spoilt = rc < 0 && err->code == ERR_NOT_FOUND;
	if (rc < 0)
		return -1;
	rpc_send_end(a->call);
	return 0;
}

static int take_reply(struct answer *a, Coffer__V1__CompileReply **reply, struct err *err)
{
	Coffer__V1__CompileReply *r = *reply;
	switch (r->kind_case) {
	case COFFER__V1__COMPILE_REPLY__KIND_STARTED:
		a->started = true;
		return 0;
	case COFFER__V1__COMPILE_REPLY__KIND_WANTED: // late: the text is on its way
		return asks_first(a->c) && !a->result ? 0 : lie(a, err, "it wants a source that it has");
	case COFFER__V1__COMPILE_REPLY__KIND_NEEDS:
		return send_needed(a, r->needs, err);
	case COFFER__V1__COMPILE_REPLY__KIND_RESULT:
		if (a->result)
			return lie(a, err, "it answers twice");
		a->result = TAKE(*reply);
		return take_result(a, a->result->result, err);
	case COFFER__V1__COMPILE_REPLY__KIND_PIECE:
		if (!a->result)
			return lie(a, err, "it sends an object before its result");
		return take_piece(a, &r->piece, err);
	default:
		return lie(a, err, "it sends what nobody has asked for");
	}
}

// 1: a message or the call's end came, or nothing did for a while (*reply is NULL); 0: the worker has ended the call well.
static int receive(struct rpc_call *call, int64_t until, Coffer__V1__CompileReply **reply, struct err *err)
{
	struct err why = ERR_INIT;
	int64_t left = until - clock_ms();
	int got = rpc_receive(call, &coffer__v1__compile_reply__descriptor, left > 0 ? (int)left : 0, reply, &why);
	if (got >= 0 || why.code == ERR_TIMEOUT)
		return got != 0;
	return err_set(err, why.code, "%s", why.text);
}

// The same, and what has come is taken.
static int receive_and_take(struct answer *a, struct rpc_call *call, int64_t until, struct err *err)
{
	Coffer__V1__CompileReply *reply = NULL;
	int got = receive(call, until, &reply, err);
	int taken = reply ? take_reply(a, &reply, err) : 0;
	if (reply)
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	return taken < 0 ? -1 : got;
}

// 1: the worker has ended the call; 0: go_on said no; -1: failed.
static int receive_all(struct answer *a, struct rpc_call *call, struct err *err)
{
	int64_t end = clock_ms() + a->c->timeout_ms, ask_at = clock_ms() + ASK_MS;
	for (int n = 0; n < MAX_PIECES; n++) {
		int got = receive_and_take(a, call, ask_at, err);
		if (got <= 0)
			return got < 0 ? -1 : 1;
		if (clock_ms() > end)
			return err_set(err, ERR_TIMEOUT, "no answer within %lld s", (long long)(a->c->timeout_ms / 1000));
		if (clock_ms() < ask_at)
			continue;
		if (!a->c->go_on(a->c->ctx, a->started))
			return 0;
		ask_at = clock_ms() + ASK_MS;
	}
	return lie(a, err, "it sends without end");
}

// 0: all is sent, or the worker wants no more. -1: the call has failed.
static int send_text(struct answer *a, struct rpc_call *call, struct err *err)
{
	Coffer__V1__CompileRequest m = COFFER__V1__COMPILE_REQUEST__INIT;
	const struct buf *text = &a->c->text->compressed;
	int got = 1;
	m.kind_case = COFFER__V1__COMPILE_REQUEST__KIND_SOURCE;
	for (size_t at = 0; got > 0 && !a->result && at < text->len; at += PIECE) {
		size_t n = text->len - at < PIECE ? text->len - at : PIECE;
		m.source = (ProtobufCBinaryData){n, (uint8_t *)text->data + at};
		if (rpc_send(call, &m.base, err) < 0)
			return -1;
		a->c->sent += n;
		if (rpc_call_has_news(call))
			got = receive_and_take(a, call, clock_ms(), err);
	}
	return got < 0 ? -1 : 0;
}

// The header, and the text where it is wanted. 0: all that the worker needs is on its way; -1: the call has failed.
static int ask(struct answer *a, const struct farm_seat *seat, struct rpc_call *call, struct err *err)
{
	int got = 1;
	if (send_header(a->c, seat, call, err) < 0)
		return -1;
	// The worker says then which files it needs.
	if (a->c->tree)
		return remote_tree_send_listing(a->c->tree, true, call, &a->c->sent, err);
	if (asks_first(a->c))
		got = receive_and_take(a, call, clock_ms() + ASK_FIRST_MS, err);
	bool is_known = a->result || a->started;
	if (got < 0 || (got > 0 && !is_known && send_text(a, call, err) < 0))
		return -1;
	rpc_send_end(call);
	return 0;
}

static enum remote_outcome judge_outputs(struct remote_call *c, const Coffer__V1__CompileResult *r, struct err *err)
{
	const char *p = c->outputs.data ? c->outputs.data : "";
	size_t left = c->outputs.len;
	enum remote_output wanted[REMOTE_OUTPUTS];
	bool is_good = r->n_outputs == list_wanted(c, wanted);
	for (size_t i = 0; is_good && i < r->n_outputs; i++) {
		const Coffer__V1__Output *o = r->outputs[i];
		struct sha256 *sha256 = &c->digests[wanted[i]];
		is_good = o->size <= left && o->sha256.len == sizeof sha256->b;
		if (!is_good)
			break;
		SHA256((const uint8_t *)p, o->size, sha256->b);
		is_good = memcmp(o->sha256.data, sha256->b, sizeof sha256->b) == 0;
		if (is_good && wanted[i] <= REMOTE_DWO && object_check(c->target, p, o->size, err) < 0)
			return REMOTE_LIED;
		c->sizes[wanted[i]] = o->size;
		p += o->size;
		left -= o->size;
	}
	if (!is_good || left) {
		err_set(err, ERR_FORMAT, "its object is not what it says of it");
		return REMOTE_LIED;
	}
	return REMOTE_DONE;
}

static enum remote_outcome judge(struct answer *a, struct err *err)
{
	struct remote_call *c = a->c;
	if (!a->result) {
		err_set(err, ERR_FORMAT, "it has ended without a result");
		return REMOTE_LIED;
	}
	const Coffer__V1__CompileResult *r = a->result->result;
	if (r->limit && r->limit[0]) {
		err_set(err, ERR_LIMIT, "the job ran into the worker's limit '%s'", r->limit);
		return REMOTE_LIMIT;
	}
	c->exit_status = r->exit_status;
	buf_add(&c->out, r->out.data, r->out.len);
	buf_add(&c->errs, r->err.data, r->err.len);
	c->is_cached = r->cached;
	c->has_key = r->key.len == sizeof c->key;
	if (c->has_key)
		memcpy(c->key, r->key.data, sizeof c->key);
	c->wall_us = r->usage ? r->usage->wall_us : 0;
	if (r->exit_status != 0)
		return REMOTE_DONE;
	const uint8_t *sha256 = c->tree ? c->tree->sha256.b : c->text->sha256;
	if (r->source_digest.len != sizeof(struct sha256) ||
	    memcmp(r->source_digest.data, sha256, sizeof(struct sha256)) != 0) {
		err_set(err, ERR_FORMAT, "it has compiled another text");
		return REMOTE_LIED;
	}
	return judge_outputs(c, r, err);
}

static enum remote_outcome converse(struct answer *a, struct rpc_call *call, struct farm_seat *seat, struct err *err)
{
	// A worker may end the call while we still send: what it says counts.
	int got = ask(a, seat, call, err) == 0 ? receive_all(a, call, err) : -1;
	if (got > 0) {
		return take_rest(a, err) < 0 ? REMOTE_LIED : judge(a, err);
	}
	if (got == 0) {
		rpc_cancel(call);
		return REMOTE_GIVEN_UP;
	}
	// It may have ended well already when we see what it has sent.
	if (rpc_call_is_cancelled(call) && !a->is_lie && !a->is_spoilt && !a->is_too_large)
		return outcome_of(a->c, call, seat, err);
	rpc_cancel(call);
	if (a->is_lie)
		return REMOTE_LIED;
	if (a->is_spoilt)
		return REMOTE_SPOILT;
	return err->code == ERR_LIMIT ? REMOTE_LIMIT : REMOTE_FAILED;
}

enum remote_outcome remote_compile(struct remote_call *c, struct farm_seat *seat, struct err *err)
{
	struct answer a = {.c = c};
	struct rpc_call_options options = {.deadline_ms = (uint32_t)c->timeout_ms, .authorization = seat->authorization};
	struct rpc_call *call;
	enum remote_outcome outcome = REMOTE_FAILED;
	int64_t began = clock_ms();
	remote_call_release(c);
	c->outputs = (struct buf){.max = c->max_output + PIECE};
	memset(c->sizes, 0, sizeof c->sizes);
	if (seat->cluster)
		return cluster_compile(seat->cluster, c, seat, err);
	if (rpc_call_start(seat->channel, "/coffer.v1.Worker/Compile", &options, &call, err) == 0) {
		a.call = call;
		outcome = converse(&a, call, seat, err);
		rpc_call_release(call);
	}
	if (outcome == REMOTE_DONE && !c->is_cached)
		seat->took_ms = clock_ms() - began + 1;
	if (outcome == REMOTE_FAILED || outcome == REMOTE_LIED)
		snprintf(seat->why, sizeof seat->why, "%.150s", err->text);
	if (a.result)
		protobuf_c_message_free_unpacked(&a.result->base, NULL);
	zstd_give_unpacker(a.zstd);
	return outcome;
}

void remote_call_release(struct remote_call *c)
{
	buf_release(&c->outputs);
	buf_release(&c->out);
	buf_release(&c->errs);
}

// google.bytestream.ByteStream: one blob in pieces, plain or as zstd.
#include "gateway/service.h"
#include "gateway/uploads.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/zstd.h"
#include "reapi/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_PIECE = 512 << 10, AHEAD = 2 << 20, NEXT_PIECE_MS = 60000 };

static bool instance_of(const char *name, bool is_upload, char *instance, size_t room, struct err *err)
{
	struct reapi_resource r;
	if (reapi_resource_parse(name, is_upload, &r, err) < 0)
		return false;
	snprintf(instance, room, "%s", r.instance);
	return true;
}

static bool instance_of_upload(const char *name, char *instance, size_t room, struct err *err)
{
	return instance_of(name, true, instance, room, err);
}

// ---- Read -------------------------------------------------------------------------------------------------------------------

static int send_piece(struct visit *v, const void *p, size_t n, struct err *err)
{
	Reapi__ReadResponse m = REAPI__READ_RESPONSE__INIT;
	m.data = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
	return rpc_send(v->call, &m.base, err) < 0 ? -1 : 0;
}

static int send_plain(struct visit *v, const char *p, size_t n, struct err *err)
{
	for (size_t piece; n; p += piece, n -= piece) {
		piece = n < READ_PIECE ? n : READ_PIECE;
		if (send_piece(v, p, piece, err) < 0)
			return -1;
	}
	return 0;
}

static int send_packed(struct visit *v, const char *p, size_t n, struct err *err)
{
	AUTO_FREE char *room = mem_realloc(NULL, READ_PIECE);
	ZSTD_inBuffer in = {p, n, 0};
	ZSTD_CCtx *c = zstd_take_packer();
	size_t left;
	int rc = 0;
	ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setPledgedSrcSize(c, n);
	do {
		ZSTD_outBuffer out = {room, READ_PIECE, 0};
		left = ZSTD_compressStream2(c, &out, &in, ZSTD_e_end);
		if (ZSTD_isError(left))
			rc = err_set(err, ERR_IO, "zstd: %s", ZSTD_getErrorName(left));
		else if (out.pos)
			rc = send_piece(v, room, out.pos, err);
	} while (left && rc == 0);
	zstd_give_packer(c);
	return rc;
}

static int check_range(const Reapi__ReadRequest *m, const struct reapi_resource *r, enum rpc_code *code, struct err *err)
{
	*code = RPC_OUT_OF_RANGE;
	if (m->read_offset < 0 || m->read_offset > r->digest.size)
		return err_set(err, ERR_USAGE, "the blob has %lld bytes: there is no offset %lld", (long long)r->digest.size,
			       (long long)m->read_offset);
	*code = RPC_INVALID_ARGUMENT;
	if (m->read_limit < 0 || (m->read_limit && r->is_zstd))
		return err_set(err, ERR_USAGE, "a limit of %lld bytes does not go here", (long long)m->read_limit);
	return 0;
}

static int send_blob(struct visit *v, const Reapi__ReadRequest *m, const struct reapi_resource *r, enum rpc_code *code,
		     struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	int found = blobs_get(v->blobs, &r->digest, &bytes, err);
	*code = found == 0 ? RPC_NOT_FOUND : RPC_INTERNAL;
	if (found == 0)
		err_set(err, ERR_NOT_FOUND, "the blob is not there");
	if (found != 1)
		return -1;
	const char *p = bytes.data ? bytes.data + m->read_offset : "";
	size_t n = bytes.len - (size_t)m->read_offset;
	if (m->read_limit && (uint64_t)m->read_limit < n)
		n = (size_t)m->read_limit;
	*code = RPC_CANCELLED;
	gateway_count(v->gateway, COUNT_blobs_read, 1);
	gateway_count(v->gateway, COUNT_bytes_read, n);
	return r->is_zstd ? send_packed(v, p, n, err) : send_plain(v, p, n, err);
}

static void read_blob(struct visit *v, const Reapi__ReadRequest *m, const struct reapi_resource *r)
{
	struct err err = ERR_INIT;
	enum rpc_code code;
	uint64_t size = r->digest.size > blobs_max(v->blobs) ? 0 : (uint64_t)r->digest.size;
	int rc = check_range(m, r, &code, &err);
	// The blob, and pieces of it that are on their way.
	if (rc == 0 && room_add(&v->room, size + (size < AHEAD ? size : AHEAD), &err) < 0) {
		gateway_refuse(v->gateway, v->call, RPC_RESOURCE_EXHAUSTED, "%s", err.text);
		return;
	}
	if (rc == 0)
		rc = send_blob(v, m, r, &code, &err);
	if (rc == 0)
		rpc_finish(v->call, RPC_OK, "%s", "");
	else if (code == RPC_NOT_FOUND || code == RPC_CANCELLED)
		rpc_finish(v->call, code, "%s", err.text);
	else
		gateway_refuse(v->gateway, v->call, code, "%s", err.text);
}

static void read_named(struct visit *v, const void *request)
{
	const Reapi__ReadRequest *m = request;
	struct reapi_resource r;
	if (reapi_resource_parse(m->resource_name, false, &r, NULL) == 0)
		read_blob(v, m, &r);
}

static bool instance_of_read(const char *name, char *instance, size_t room, struct err *err)
{
	return instance_of(name, false, instance, room, err);
}

void byte_stream_read(struct rpc_call *call, void *gateway)
{
	static const struct request_kind kind = {&reapi__read_request__descriptor, "resource_name", instance_of_read};
	gateway_serve_one(gateway, call, &kind, read_named);
}

// ---- Write ------------------------------------------------------------------------------------------------------------------

struct writing {
	struct visit visit;
	struct held message; // the one that has come last
	struct reapi_resource resource;
	char *name;
	struct incoming *upload;
	bool is_done; // the last message has come
	enum rpc_code code;
	struct err err;
};

static int fail(struct writing *w, enum rpc_code code)
{
	w->code = code;
	return -1;
}

// 1, or 0 at the end of the stream.
static int next_message(struct writing *w)
{
	AUTO_FREE char *bytes = NULL;
	size_t n;
	held_release(&w->message);
	int rc = rpc_receive_bytes(w->visit.call, NEXT_PIECE_MS, &bytes, &n, &w->err);
	w->code = w->err.code == ERR_TIMEOUT ? RPC_DEADLINE_EXCEEDED : RPC_CANCELLED;
	if (rc != 1 || held_unpack(&w->message, w->visit.blobs, &reapi__write_request__descriptor, bytes, n, &w->err) == 0)
		return rc;
	return fail(w, gateway_code(&w->err));
}

static int check_place(struct writing *w, const Reapi__WriteRequest *m)
{
	if (*m->resource_name && strcmp(m->resource_name, w->name) != 0)
		err_set(&w->err, ERR_USAGE, "a stream is for one blob");
	else if (m->write_offset < 0 || (uint64_t)m->write_offset != w->upload->committed)
		err_set(&w->err, ERR_USAGE, "%llu bytes have come in: there is no going on at %lld",
			(unsigned long long)w->upload->committed, (long long)m->write_offset);
	else
		return 0;
	return fail(w, RPC_INVALID_ARGUMENT);
}

static int take(struct writing *w, const Reapi__WriteRequest *m)
{
	if (check_place(w, m) < 0)
		return -1;
	w->is_done = m->finish_write;
	if (incoming_add(w->upload, m->data.data, m->data.len, &w->err) == 0)
		return 0;
	incoming_restart(w->upload); // nothing good can come of it
	return fail(w, gateway_code(&w->err));
}

static int take_all(struct writing *w, const Reapi__WriteRequest *first)
{
	if (first->write_offset == 0)
		incoming_restart(w->upload);
	int rc = take(w, first);
	while (rc == 0 && !w->is_done) {
		int got = next_message(w);
		if (got < 0)
			return -1;
		if (got == 0) {
			err_set(&w->err, ERR_USAGE, "the stream has ended before its blob");
			return fail(w, RPC_INVALID_ARGUMENT);
		}
		rc = take(w, (const Reapi__WriteRequest *)w->message.message);
	}
	return rc;
}

static void reply_committed(struct visit *v, int64_t size)
{
	Reapi__WriteResponse m = REAPI__WRITE_RESPONSE__INIT;
	m.committed_size = size;
	rpc_reply(v->call, &m.base);
}

static int finish(struct writing *w)
{
	struct gateway *g = w->visit.gateway;
	if (incoming_finish(w->upload, &w->err) < 0) {
		gateway_count(g, COUNT_blobs_wrong, w->err.code == ERR_FORMAT);
		incoming_restart(w->upload);
		return fail(w, gateway_code(&w->err));
	}
	gateway_count(g, COUNT_blobs_written, 1);
	gateway_count(g, COUNT_bytes_written, w->upload->bytes.len);
	reply_committed(&w->visit, (int64_t)w->upload->committed);
	return 0;
}

static void write_blob(struct writing *w, const Reapi__WriteRequest *first)
{
	struct visit *v = &w->visit;
	const struct reapi_digest *d = &w->resource.digest;
	if (d->size > blobs_max(v->blobs)) {
		gateway_refuse(v->gateway, v->call, RPC_INVALID_ARGUMENT, "a blob of %lld bytes: %lld is the most",
			       (long long)d->size, (long long)blobs_max(v->blobs));
		return;
	}
	// Somebody has it: the rest need not come.
	if (blobs_has(v->blobs, d)) {
		reply_committed(v, w->resource.is_zstd ? -1 : d->size);
		return;
	}
	w->name = first->resource_name;
	w->upload = uploads_take(v->gateway->uploads, v->blobs, w->name, &w->resource);
	if (take_all(w, first) == 0 && finish(w) == 0) {
		incoming_drop(TAKE(w->upload));
		return;
	}
	if (w->code == RPC_CANCELLED)
		rpc_finish(v->call, w->code, "%s", w->err.text);
	else
		gateway_refuse(v->gateway, v->call, w->code, "%s", w->err.text);
	uploads_keep(v->gateway->uploads, TAKE(w->upload));
}

void byte_stream_write(struct rpc_call *call, void *gateway)
{
	static const struct request_kind kind = {&reapi__write_request__descriptor, "resource_name", instance_of_upload};
	struct writing w = {.err = ERR_INIT};
	if (!visit_begin(&w.visit, gateway, call, &kind))
		return;
	const Reapi__WriteRequest *first = (const Reapi__WriteRequest *)w.visit.request.message;
	if (reapi_resource_parse(first->resource_name, true, &w.resource, NULL) == 0)
		write_blob(&w, first);
	held_release(&w.message);
	visit_end(&w.visit);
}

// ---- QueryWriteStatus ---------------------------------------------------------------------------------------------------------

static void query(struct visit *v, const void *request)
{
	const Reapi__QueryWriteStatusRequest *q = request;
	struct reapi_resource r;
	Reapi__QueryWriteStatusResponse m = REAPI__QUERY_WRITE_STATUS_RESPONSE__INIT;
	if (reapi_resource_parse(q->resource_name, true, &r, NULL) < 0)
		return;
	m.complete = blobs_has(v->blobs, &r.digest);
	m.committed_size =
		m.complete ? r.digest.size : (int64_t)uploads_committed(v->gateway->uploads, v->blobs, q->resource_name);
	rpc_reply(v->call, &m.base);
}

void byte_stream_query(struct rpc_call *call, void *gateway)
{
	static const struct request_kind kind = {&reapi__query_write_status_request__descriptor, "resource_name",
						 instance_of_upload};
	gateway_serve_one(gateway, call, &kind, query);
}

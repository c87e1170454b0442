#include "reapi/client/blobs.h"

#include "base/mem.h"
#include "codec/zstd.h"
#include "reapi/message.h"
#include "reapi/resource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CAS "/build.bazel.remote.execution.v2.ContentAddressableStorage/"
#define STREAM "/google.bytestream.ByteStream/"
enum {
	BATCH_BLOBS = 1000,       // in one request
	ASKED_AT_ONCE = 10000,    // digests: below a message's 4 MiB
	AROUND = 128,             // bytes of a message around each blob
	PIECE = 256 << 10,        // of a stream
	WORTH_PACKING = 16 << 10, // bytes
	WINDOW_LOG = 25,          // of zstd: 32 MiB
	ANSWER_MOST = 4 << 20,    // one message
	NAME_ROOM = REAPI_RESOURCE_MAX
};

static char *instance(struct endpoint *e)
{
	return (char *)(uintptr_t)endpoint_instance(e);
}

static int unspoken(struct err *err)
{
	return err_set(err, ERR_PEER, "the server does not know the method, or the instance");
}

// ---- messages of digests ------------------------------------------------------------------------------------------------

struct digest_list {
	struct arena arena;
	Reapi__Digest **messages;
	size_t n;
};

static void add_digest(struct digest_list *l, const struct reapi_digest *d)
{
	struct reapi_digest_message *m = arena_alloc(&l->arena, sizeof *m);
	reapi_digest_write(d, m);
	l->messages[l->n++] = &m->m;
}

static void list_release(struct digest_list *l)
{
	arena_release(&l->arena);
}

static int missing_of(struct endpoint *e, const struct reapi_digest *digests, size_t n, bool *missing, int64_t until_ms,
		      struct err *err)
{
	__attribute__((cleanup(list_release))) struct digest_list list = {.arena = ARENA_INIT};
	Reapi__FindMissingBlobsRequest m = REAPI__FIND_MISSING_BLOBS_REQUEST__INIT;
	AUTO_BUF struct buf answer = {.max = ANSWER_MOST};
	list.messages = arena_alloc(&list.arena, (n + 1) * sizeof *list.messages);
	for (size_t i = 0; i < n; i++)
		add_digest(&list, &digests[i]);
	m.instance_name = instance(e);
	m.blob_digests = list.messages;
	m.n_blob_digests = list.n;
	int rc = endpoint_ask(e, CAS "FindMissingBlobs", &m.base, until_ms, &answer, err);
	return rc == 1   ? answer_missing(answer.data ? answer.data : "", answer.len, digests, n, missing, err)
	       : rc == 0 ? unspoken(err)
			 : -1;
}

int blobs_missing(struct endpoint *e, const struct reapi_digest *digests, size_t n, bool *missing, int64_t until_ms,
		  struct err *err)
{
	for (size_t at = 0; at < n; at += ASKED_AT_ONCE) {
		size_t some = n - at < ASKED_AT_ONCE ? n - at : ASKED_AT_ONCE;
		if (missing_of(e, digests + at, some, missing + at, until_ms, err) < 0)
			return -1;
	}
	return 0;
}

// ---- to the server --------------------------------------------------------------------------------------------------------

static int upload_batch(struct endpoint *e, const struct reapi_blob *const *blobs, size_t n, int64_t until_ms,
			struct err *err)
{
	__attribute__((cleanup(list_release))) struct digest_list list = {.arena = ARENA_INIT};
	Reapi__BatchUpdateBlobsRequest m = REAPI__BATCH_UPDATE_BLOBS_REQUEST__INIT;
	AUTO_BUF struct buf answer = {.max = ANSWER_MOST};
	struct reapi_digest *digests = arena_alloc(&list.arena, n * sizeof *digests);
	list.messages = arena_alloc(&list.arena, n * sizeof *list.messages);
	m.requests = arena_alloc(&list.arena, n * sizeof *m.requests);
	for (size_t i = 0; i < n; i++) {
		Reapi__BatchUpdate *one = m.requests[i] = arena_alloc(&list.arena, sizeof *one);
		reapi__batch_update__init(one);
		digests[i] = blobs[i]->digest;
		add_digest(&list, &digests[i]);
		one->digest = list.messages[i];
		one->data = (ProtobufCBinaryData){(size_t)digests[i].size, (uint8_t *)(uintptr_t)blobs[i]->p};
	}
	m.instance_name = instance(e);
	m.n_requests = n;
	int rc = endpoint_ask(e, CAS "BatchUpdateBlobs", &m.base, until_ms, &answer, err);
	return rc == 1   ? answer_updated(answer.data ? answer.data : "", answer.len, digests, n, err)
	       : rc == 0 ? unspoken(err)
			 : -1;
}

// [INSTANCE/]uploads/UUID/blobs/HASH/SIZE
static int name_upload(struct endpoint *e, const struct reapi_digest *d, bool is_zstd, char name[NAME_ROOM], struct err *err)
{
	uint8_t r[16];
	char hash[SHA256_HEX];
	const char *in = endpoint_instance(e);
	if (getrandom(r, sizeof r, 0) != sizeof r)
		return err_errno(err, "getrandom");
	sha256_hex(&d->hash, hash);
	snprintf(name, NAME_ROOM,
		 "%s%suploads/%02x%02x%02x%02x-%02x%02x-4%x%02x-8%x%02x-%02x%02x%02x%02x%02x%02x/%s/%s/%lld", in,
		 *in ? "/" : "", r[0], r[1], r[2], r[3], r[4], r[5], r[6] & 15, r[7], r[8] & 15, r[9], r[10], r[11], r[12],
		 r[13], r[14], r[15], is_zstd ? "compressed-blobs/zstd" : "blobs", hash, (long long)d->size);
	return 0;
}

// 0, or 1: the server has ended the call, since somebody else has brought the blob.
static int send_pieces(struct rpc_call *call, char *name, const char *p, size_t n, struct err *err)
{
	size_t at = 0;
	int rc = 0;
	do {
		Reapi__WriteRequest m = REAPI__WRITE_REQUEST__INIT;
		size_t piece = n - at < PIECE ? n - at : PIECE;
		if (at == 0)
			m.resource_name = name;
		m.write_offset = (int64_t)at;
		m.data = (ProtobufCBinaryData){piece, (uint8_t *)(uintptr_t)p + at};
		at += piece;
		m.finish_write = at == n;
		rc = rpc_send(call, &m.base, err);
	} while (rc == 0 && at < n);
	if (rc == 0)
		rpc_send_end(call);
	return rc;
}

static int await_written(struct rpc_call *call, int64_t size, int64_t sent, struct err *err)
{
	AUTO_FREE char *bytes = NULL;
	size_t n;
	int rc = rpc_receive_bytes(call, -1, &bytes, &n, err);
	if (rc == 1)
		return answer_written(bytes, n, size, sent, err);
	return rc == 0 ? err_set(err, ERR_PEER, "the server answers without a message") : -1;
}

// Known here as a frame, or worth to become one.
static bool wants_packing(const struct reapi_blob *b, bool takes_zstd)
{
	return takes_zstd && (b->frame || (!b->is_packed && b->digest.size >= WORTH_PACKING));
}

static int upload_stream(struct endpoint *e, const struct reapi_blob *b, bool takes_zstd, int64_t until_ms, struct err *err)
{
	AUTO_BUF struct buf packed = BUF_INIT;
	const char *p = b->p;
	size_t n = (size_t)b->digest.size;
	bool is_zstd = wants_packing(b, takes_zstd);
	char name[NAME_ROOM];
	struct rpc_call *call;
	if (is_zstd && b->frame) {
		p = b->frame->data;
		n = b->frame->len;
	} else if (is_zstd) {
		char *room = buf_room(&packed, ZSTD_compressBound(n));
		ZSTD_CCtx *c = zstd_take_packer();
		size_t some = ZSTD_compressCCtx(c, room, ZSTD_compressBound(n), p, n, 1);
		zstd_give_packer(c);
		if (ZSTD_isError(some))
			return err_set(err, ERR_IO, "zstd: %s", ZSTD_getErrorName(some));
		buf_grew(&packed, some);
		p = packed.data;
		n = some;
	}
	if (name_upload(e, &b->digest, is_zstd, name, err) < 0 ||
	    endpoint_start(e, STREAM "Write", until_ms, &call, err) < 0)
		return -1;
	int rc = send_pieces(call, name, p, n, err);
	rc = rc < 0 ? rc : await_written(call, b->digest.size, (int64_t)n, err);
	if (rc < 0) {
		rpc_cancel(call);
		rc = endpoint_failed(call, err) == 0 ? unspoken(err) : -1;
	}
	rpc_call_release(call);
	return rc;
}

int blobs_upload(struct endpoint *e, const struct reapi_blob *blobs, size_t n, int64_t until_ms, struct err *err)
{
	struct reapi_limits limits;
	const struct reapi_blob *batch[BATCH_BLOBS];
	size_t n_batch = 0, bytes = 0;
	if (endpoint_limits(e, until_ms, &limits, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		size_t size = (size_t)blobs[i].digest.size + AROUND;
		if (blobs[i].digest.size > limits.blob_bytes)
			return err_set(err, ERR_LIMIT, "the server takes no blob of %lld bytes",
				       (long long)blobs[i].digest.size);
		bool is_large = size > limits.batch_bytes || wants_packing(&blobs[i], limits.takes_zstd);
		if (is_large && upload_stream(e, &blobs[i], limits.takes_zstd, until_ms, err) < 0)
			return -1;
		if (is_large)
			continue;
		if (n_batch == BATCH_BLOBS || bytes + size > limits.batch_bytes) {
			if (upload_batch(e, batch, n_batch, until_ms, err) < 0)
				return -1;
			n_batch = bytes = 0;
		}
		batch[n_batch++] = &blobs[i];
		bytes += size;
	}
	return n_batch ? upload_batch(e, batch, n_batch, until_ms, err) : 0;
}

int blobs_upload_missing(struct endpoint *e, const struct reapi_blob *blobs, size_t n, int64_t until_ms, uint64_t *bytes,
			 struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct reapi_digest *digests = arena_alloc(&a, (n + 1) * sizeof *digests);
	struct reapi_blob *wanted = arena_alloc(&a, (n + 1) * sizeof *wanted);
	bool *missing = arena_alloc(&a, n + 1);
	size_t n_wanted = 0;
	for (size_t i = 0; i < n; i++)
		digests[i] = blobs[i].digest;
	if (blobs_missing(e, digests, n, missing, until_ms, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!missing[i])
			continue;
		wanted[n_wanted++] = blobs[i];
		if (bytes)
			*bytes += blobs[i].frame ? blobs[i].frame->len : (uint64_t)blobs[i].digest.size;
	}
	return blobs_upload(e, wanted, n_wanted, until_ms, err);
}

// ---- from the server ------------------------------------------------------------------------------------------------------

static int download_batch(struct endpoint *e, struct reapi_wanted *wanted, size_t n, int64_t until_ms, struct err *err)
{
	__attribute__((cleanup(list_release))) struct digest_list list = {.arena = ARENA_INIT};
	Reapi__BatchReadBlobsRequest m = REAPI__BATCH_READ_BLOBS_REQUEST__INIT;
	AUTO_BUF struct buf answer = {.max = ANSWER_MOST};
	if (!n)
		return 0;
	list.messages = arena_alloc(&list.arena, n * sizeof *list.messages);
	for (size_t i = 0; i < n; i++)
		add_digest(&list, &wanted[i].digest);
	m.instance_name = instance(e);
	m.digests = list.messages;
	m.n_digests = list.n;
	int rc = endpoint_ask(e, CAS "BatchReadBlobs", &m.base, until_ms, &answer, err);
	return rc == 1   ? answer_blobs(answer.data ? answer.data : "", answer.len, wanted, n, err)
	       : rc == 0 ? unspoken(err)
			 : -1;
}

// The bytes of a stream, as they are or out of zstd.
struct stream_taker {
	struct reapi_wanted *wanted;
	ZSTD_DCtx *zstd; // NULL: they come as they are
	size_t left;     // of the last frame, as zstd counts it: 0 at its end
};

static int take_plain(struct stream_taker *t, const void *p, size_t n, struct err *err)
{
	struct reapi_wanted *w = t->wanted;
	if (n > (uint64_t)w->digest.size - w->out.len)
		return err_set(err, ERR_FORMAT, "the server gives more bytes of a blob than it has");
	buf_add(&w->out, p, n);
	return buf_check(&w->out, "a blob", err);
}

static int take_packed(struct stream_taker *t, const void *p, size_t n, struct err *err)
{
	AUTO_FREE char *room = mem_alloc(PIECE);
	ZSTD_inBuffer in = {p, n, 0};
	bool is_full = true; // there may be more in zstd's own buffer
	while (in.pos < in.size || is_full) {
		ZSTD_outBuffer out = {room, PIECE, 0};
		t->left = ZSTD_decompressStream(t->zstd, &out, &in);
		if (ZSTD_isError(t->left))
			return err_set(err, ERR_FORMAT, "the server gives a blob that does not unpack: %s",
				       ZSTD_getErrorName(t->left));
		if (take_plain(t, room, out.pos, err) < 0)
			return -1;
		is_full = out.pos == out.size && t->left;
	}
	return 0;
}

// 1: a piece has come, 0: the end.
static int receive_piece(struct rpc_call *call, struct stream_taker *t, struct err *err)
{
	AUTO_FREE char *bytes = NULL;
	size_t n;
	Reapi__ReadResponse *m = NULL;
	int rc = rpc_receive_bytes(call, -1, &bytes, &n, err);
	if (rc != 1 || reapi_unpack(&reapi__read_response__descriptor, bytes, n, &m, err) < 0)
		return rc == 1 ? -1 : rc;
	rc = t->zstd ? take_packed(t, m->data.data, m->data.len, err) : take_plain(t, m->data.data, m->data.len, err);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return rc < 0 ? -1 : 1;
}

static int check_whole(const struct stream_taker *t, struct err *err)
{
	const struct reapi_wanted *w = t->wanted;
	struct reapi_digest d = reapi_digest_of(w->out.data ? w->out.data : "", w->out.len);
	if (t->zstd && t->left)
		return err_set(err, ERR_FORMAT, "the server ends a blob early");
	return reapi_digest_equal(&d, &w->digest)
		       ? 0
		       : err_set(err, ERR_FORMAT, "the server gives a blob that is not what its name says");
}

// 1, 0: it is not there.
static int read_stream(struct rpc_call *call, const char *name, struct stream_taker *t, struct err *err)
{
	Reapi__ReadRequest m = REAPI__READ_REQUEST__INIT;
	m.resource_name = (char *)(uintptr_t)name;
	int rc = rpc_send(call, &m.base, err);
	if (rc == 0)
		rpc_send_end(call);
	while (rc >= 0 && (rc = receive_piece(call, t, err)) == 1)
		;
	if (rc == 0)
		return check_whole(t, err) < 0 ? -1 : 1;
	rpc_cancel(call);
	return endpoint_failed(call, err);
}

static int download_stream(struct endpoint *e, struct reapi_wanted *w, bool takes_zstd, int64_t until_ms, struct err *err)
{
	struct stream_taker t = {.wanted = w, .zstd = takes_zstd ? zstd_take_unpacker() : NULL, .left = 1};
	const char *in = endpoint_instance(e);
	char name[NAME_ROOM], hash[SHA256_HEX];
	struct rpc_call *call;
	sha256_hex(&w->digest.hash, hash);
	snprintf(name, sizeof name, "%s%s%s/%s/%lld", in, *in ? "/" : "", takes_zstd ? "compressed-blobs/zstd" : "blobs",
		 hash, (long long)w->digest.size);
	if (t.zstd)
		ZSTD_DCtx_setParameter(t.zstd, ZSTD_d_windowLogMax, WINDOW_LOG);
	int rc = endpoint_start(e, STREAM "Read", until_ms, &call, err);
	if (rc == 0) {
		rc = read_stream(call, name, &t, err);
		w->is_there = rc == 1;
		rpc_call_release(call);
	}
	zstd_give_unpacker(t.zstd);
	return rc < 0 ? -1 : 0;
}

int blobs_download(struct endpoint *e, struct reapi_wanted *wanted, size_t n, int64_t until_ms, struct err *err)
{
	struct reapi_limits limits;
	size_t first = 0, bytes = 0; // of the batch that comes next
	if (endpoint_limits(e, until_ms, &limits, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		uint64_t size = (uint64_t)wanted[i].digest.size + AROUND;
		bool is_large = size > limits.batch_bytes;
		if (is_large || bytes + size > limits.batch_bytes || i - first == BATCH_BLOBS) {
			if (download_batch(e, wanted + first, i - first, until_ms, err) < 0)
				return -1;
			first = i;
			bytes = 0;
		}
		if (!is_large)
			bytes += (size_t)size;
		else if (download_stream(e, &wanted[i], limits.takes_zstd, until_ms, err) < 0)
			return -1;
		else
			first = i + 1;
	}
	return download_batch(e, wanted + first, n - first, until_ms, err);
}

// ContentAddressableStorage but for ByteStream: many small blobs in one message, and whole trees of directories.
#include "gateway/inflate.h"
#include "gateway/service.h"

#include "base/map.h"
#include "base/mem.h"
#include "reapi/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMPRESSOR_NONE, COMPRESSOR_ZSTD };

static int read_digests(Reapi__Digest **messages, size_t n, int function, struct arena *a, struct reapi_digest **out,
			struct err *err)
{
	struct reapi_digest *list = arena_alloc(a, (n + 1) * sizeof *list);
	if (reapi_check_function(function, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (reapi_digest_read(messages[i], &list[i], err) < 0)
			return -1;
	*out = list;
	return 0;
}

// ---- FindMissingBlobs -------------------------------------------------------------------------------------------------------

static void find_missing(struct visit *v, const void *request)
{
	const Reapi__FindMissingBlobsRequest *r = request;
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct reapi_digest *wanted;
	struct err err = ERR_INIT;
	if (read_digests(r->blob_digests, r->n_blob_digests, r->digest_function, &a, &wanted, &err) < 0) {
		visit_fail(v, &err);
		return;
	}
	Reapi__FindMissingBlobsResponse m = REAPI__FIND_MISSING_BLOBS_RESPONSE__INIT;
	m.missing_blob_digests = arena_alloc(&a, (r->n_blob_digests + 1) * sizeof(Reapi__Digest *));
	for (size_t i = 0; i < r->n_blob_digests; i++)
		if (!blobs_has(v->blobs, &wanted[i]))
			m.missing_blob_digests[m.n_missing_blob_digests++] = r->blob_digests[i];
	gateway_count(v->gateway, COUNT_blobs_missing, m.n_missing_blob_digests);
	gateway_count(v->gateway, COUNT_blobs_found, r->n_blob_digests - m.n_missing_blob_digests);
	rpc_reply(v->call, &m.base);
}

void cas_find_missing(struct rpc_call *call, void *gateway)
{
	gateway_serve_one(gateway, call, &reapi__find_missing_blobs_request__descriptor, find_missing);
}

// ---- BatchUpdateBlobs -------------------------------------------------------------------------------------------------------

static int unpack(struct visit *v, const Reapi__BatchUpdate *u, const struct reapi_digest *d, struct buf *out,
		  struct err *err)
{
	struct inflate z;
	out->max = (size_t)d->size + (256 << 10);
	if (d->size > GATEWAY_BATCH_BYTES)
		return err_set(err, ERR_FORMAT, "a blob of %lld bytes goes by ByteStream", (long long)d->size);
	if (blobs_hold(v->blobs, (uint64_t)d->size, err) < 0)
		return -1;
	inflate_begin(&z);
	int rc = inflate_take(&z, u->data.data, u->data.len, out, (uint64_t)d->size, err);
	if (rc == 0)
		rc = inflate_end(&z, err);
	inflate_release(&z);
	blobs_let_go(v->blobs, (uint64_t)d->size);
	return rc;
}

static int put_one(struct visit *v, const Reapi__BatchUpdate *u, struct err *err)
{
	AUTO_BUF struct buf unpacked = BUF_INIT;
	struct reapi_digest d;
	const void *p = u->data.data;
	size_t n = u->data.len;
	if (reapi_digest_read(u->digest, &d, err) < 0)
		return -1;
	if (u->compressor != COMPRESSOR_NONE && u->compressor != COMPRESSOR_ZSTD)
		return err_set(err, ERR_FORMAT, "the compressor %d is not taken here", u->compressor);
	if (u->compressor == COMPRESSOR_ZSTD) {
		if (unpack(v, u, &d, &unpacked, err) < 0)
			return -1;
		p = unpacked.data;
		n = unpacked.len;
	}
	int rc = blobs_put(v->blobs, &d, p, n, err);
	gateway_count(v->gateway, COUNT_blobs_wrong, rc < 0 && err->code == ERR_FORMAT);
	gateway_count(v->gateway, COUNT_blobs_written, rc == 0);
	gateway_count(v->gateway, COUNT_bytes_written, rc == 0 ? n : 0);
	return rc;
}

static void say_status(struct arena *a, Reapi__Status *s, const struct err *err)
{
	reapi__status__init(s);
	s->code = (int32_t)gateway_code(err);
	s->message = arena_strdup(a, err->text);
}

static void batch_update(struct visit *v, const void *request)
{
	const Reapi__BatchUpdateBlobsRequest *r = request;
	AUTO_ARENA struct arena a = ARENA_INIT;
	size_t total = 0;
	struct err err = ERR_INIT;
	for (size_t i = 0; i < r->n_requests; i++)
		total += r->requests[i]->data.len;
	if (total > GATEWAY_BATCH_BYTES)
		err_set(&err, ERR_USAGE, "more than %d bytes in one message: larger blobs go by ByteStream",
			GATEWAY_BATCH_BYTES);
	if (err.code || reapi_check_function(r->digest_function, &err) < 0) {
		visit_fail(v, &err);
		return;
	}
	Reapi__BatchUpdateBlobsResponse m = REAPI__BATCH_UPDATE_BLOBS_RESPONSE__INIT;
	m.responses = arena_alloc(&a, (r->n_requests + 1) * sizeof(Reapi__BatchUpdated *));
	for (; m.n_responses < r->n_requests; m.n_responses++) {
		Reapi__BatchUpdate *u = r->requests[m.n_responses];
		Reapi__BatchUpdated *one = m.responses[m.n_responses] = arena_alloc(&a, sizeof *one);
		reapi__batch_updated__init(one);
		one->digest = u->digest;
		one->status = arena_alloc(&a, sizeof *one->status);
		reapi__status__init(one->status);
		err_clear(&err);
		if (put_one(v, u, &err) < 0)
			say_status(&a, one->status, &err);
	}
	rpc_reply(v->call, &m.base);
}

void cas_batch_update(struct rpc_call *call, void *gateway)
{
	gateway_serve_one(gateway, call, &reapi__batch_update_blobs_request__descriptor, batch_update);
}

// ---- BatchReadBlobs ---------------------------------------------------------------------------------------------------------

static void read_one(struct visit *v, struct arena *a, const struct reapi_digest *d, Reapi__BatchRead *one)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct err err = ERR_INIT;
	one->status = arena_alloc(a, sizeof *one->status);
	reapi__status__init(one->status);
	int found = blobs_get(v->blobs, d, &bytes, &err);
	if (found == 0)
		err_set(&err, ERR_NOT_FOUND, "the blob is not there");
	if (found != 1) {
		say_status(a, one->status, &err);
		return;
	}
	one->data.data = arena_alloc(a, bytes.len + 1);
	one->data.len = bytes.len;
	if (bytes.len)
		memcpy(one->data.data, bytes.data, bytes.len);
	gateway_count(v->gateway, COUNT_blobs_read, 1);
	gateway_count(v->gateway, COUNT_bytes_read, bytes.len);
}

static int check_batch(const struct reapi_digest *d, size_t n, struct err *err)
{
	int64_t total = 0;
	for (size_t i = 0; i < n; i++) {
		total = d[i].size > GATEWAY_BATCH_BYTES ? INT32_MAX : total + d[i].size + 128;
		if (total > GATEWAY_BATCH_BYTES + (32 << 10))
			return err_set(err, ERR_USAGE, "more than %d bytes in one message: larger blobs go by ByteStream",
				       GATEWAY_BATCH_BYTES);
	}
	return 0;
}

static void batch_read(struct visit *v, const void *request)
{
	const Reapi__BatchReadBlobsRequest *r = request;
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct reapi_digest *wanted;
	struct err err = ERR_INIT;
	if (read_digests(r->digests, r->n_digests, r->digest_function, &a, &wanted, &err) < 0 ||
	    check_batch(wanted, r->n_digests, &err) < 0 || blobs_hold(v->blobs, GATEWAY_MESSAGE_BYTES, &err) < 0) {
		visit_fail(v, &err);
		return;
	}
	Reapi__BatchReadBlobsResponse m = REAPI__BATCH_READ_BLOBS_RESPONSE__INIT;
	m.responses = arena_alloc(&a, (r->n_digests + 1) * sizeof(Reapi__BatchRead *));
	for (; m.n_responses < r->n_digests; m.n_responses++) {
		Reapi__BatchRead *one = m.responses[m.n_responses] = arena_alloc(&a, sizeof *one);
		reapi__batch_read__init(one);
		one->digest = r->digests[m.n_responses];
		read_one(v, &a, &wanted[m.n_responses], one);
	}
	rpc_reply(v->call, &m.base);
	blobs_let_go(v->blobs, GATEWAY_MESSAGE_BYTES);
}

void cas_batch_read(struct rpc_call *call, void *gateway)
{
	gateway_serve_one(gateway, call, &reapi__batch_read_blobs_request__descriptor, batch_read);
}

// ---- GetTree ----------------------------------------------------------------------------------------------------------------

enum { TREE_DIRECTORIES = 100000, TREE_PAGE = 1000 };
#define TREE_PAGE_BYTES ((size_t)2 << 20)

// The directories in the order of their levels, each once.
struct tree_walk {
	struct visit *visit;
	struct map seen; // digest -> anything
	struct reapi_digest *queue;
	size_t n, cap;
	size_t skip, page; // directories that the client has already, and so many in a message
	Reapi__Directory **ready;
	size_t n_ready, ready_bytes;
	struct err err;
};

static void tree_add(struct tree_walk *w, const struct reapi_digest *d)
{
	if (w->n == TREE_DIRECTORIES || map_put(&w->seen, d, sizeof *d, w))
		return;
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 64;
		w->queue = mem_realloc(w->queue, w->cap * sizeof *w->queue);
	}
	w->queue[w->n++] = *d;
}

static int tree_send(struct tree_walk *w, size_t next)
{
	char token[24] = "";
	Reapi__GetTreeResponse m = REAPI__GET_TREE_RESPONSE__INIT;
	if (next < w->n)
		snprintf(token, sizeof token, "%zu", next);
	m.directories = w->ready;
	m.n_directories = w->n_ready;
	m.next_page_token = token;
	int rc = rpc_send(w->visit->call, &m.base, &w->err);
	for (size_t i = 0; i < w->n_ready; i++)
		reapi__directory__free_unpacked(w->ready[i], NULL);
	w->n_ready = w->ready_bytes = 0;
	return rc;
}

// What is missing, or is no directory, is left out (remote_execution.proto). 1: the root is.
static int tree_visit(struct tree_walk *w, size_t i)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct reapi_digest d = w->queue[i], child;
	Reapi__Directory *directory;
	if (d.size > GATEWAY_BATCH_BYTES || blobs_get(w->visit->blobs, &d, &bytes, NULL) != 1 ||
	    reapi_unpack(&reapi__directory__descriptor, bytes.data ? bytes.data : "", bytes.len, &directory, NULL) < 0)
		return i == 0;
	for (size_t k = 0; k < directory->n_directories; k++)
		if (reapi_digest_read(directory->directories[k]->digest, &child, NULL) == 0)
			tree_add(w, &child);
	if (i < w->skip) {
		reapi__directory__free_unpacked(directory, NULL);
		return 0;
	}
	if (w->n_ready && w->ready_bytes + bytes.len > TREE_PAGE_BYTES && tree_send(w, i) < 0) {
		reapi__directory__free_unpacked(directory, NULL);
		return -1;
	}
	w->ready[w->n_ready++] = directory;
	w->ready_bytes += bytes.len;
	return w->n_ready == w->page ? tree_send(w, i + 1) : 0;
}

static void get_tree(struct visit *v, const void *request)
{
	const Reapi__GetTreeRequest *r = request;
	struct tree_walk w = {.visit = v, .page = TREE_PAGE, .err = ERR_INIT};
	struct reapi_digest root;
	if (reapi_digest_read(r->root_digest, &root, &w.err) < 0 || reapi_check_function(r->digest_function, &w.err) < 0) {
		visit_fail(v, &w.err);
		return;
	}
	if (r->page_size > 0 && r->page_size < TREE_PAGE)
		w.page = (size_t)r->page_size;
	if (strspn(r->page_token, "0123456789") != strlen(r->page_token) || strlen(r->page_token) > 6) {
		gateway_refuse(v->gateway, v->call, RPC_INVALID_ARGUMENT, "the page token is none of ours");
		return;
	}
	w.skip = strtoul(r->page_token, NULL, 10);
	w.ready = mem_alloc(w.page * sizeof(Reapi__Directory *));
	tree_add(&w, &root);
	int rc = 0;
	for (size_t i = 0; i < w.n && rc == 0; i++)
		rc = tree_visit(&w, i);
	if (rc == 0 && w.n_ready)
		rc = tree_send(&w, w.n);
	if (rc == 1)
		gateway_refuse(v->gateway, v->call, RPC_NOT_FOUND, "the root of the tree is not there");
	else
		rpc_finish(v->call, RPC_OK, "%s", "");
	for (size_t i = 0; i < w.n_ready; i++)
		reapi__directory__free_unpacked(w.ready[i], NULL);
	free(w.ready);
	free(w.queue);
	map_release(&w.seen);
}

void cas_get_tree(struct rpc_call *call, void *gateway)
{
	gateway_serve_one(gateway, call, &reapi__get_tree_request__descriptor, get_tree);
}

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
enum {
	STATUS_BYTES = 8,  // tags and lengths of a status' text
	ENTRY_BYTES = 20,  // of an entry of an answer, with the status' code
	ANSWER_BYTES = 256 // of such an entry in memory
};

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
	// The digests once more, the list of those that are missing, and the answer.
	if (room_add(&v->room, r->n_blob_digests * (sizeof *wanted + sizeof(void *)) + v->request.n, &err) < 0 ||
	    read_digests(r->blob_digests, r->n_blob_digests, r->digest_function, &a, &wanted, &err) < 0) {
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
	gateway_serve_named(gateway, call, &reapi__find_missing_blobs_request__descriptor, find_missing);
}

// ---- BatchUpdateBlobs -------------------------------------------------------------------------------------------------------

static int unpack(const Reapi__BatchUpdate *u, const struct reapi_digest *d, struct room *room, struct buf *out,
		  struct err *err)
{
	struct inflate z;
	out->max = (size_t)d->size + (256 << 10);
	if (d->size > GATEWAY_BATCH_BYTES)
		return err_set(err, ERR_FORMAT, "a blob of %lld bytes goes by ByteStream", (long long)d->size);
	inflate_begin(&z, room);
	int rc = inflate_take(&z, u->data.data, u->data.len, out, (uint64_t)d->size, err);
	if (rc == 0)
		rc = inflate_end(&z, err);
	inflate_release(&z);
	return rc;
}

static int put_one(struct visit *v, const Reapi__BatchUpdate *u, struct err *err)
{
	AUTO_BUF struct buf unpacked = BUF_INIT;
	struct room room = {.blobs = v->blobs};
	struct reapi_digest d;
	const void *p = u->data.data;
	size_t n = u->data.len;
	if (reapi_digest_read(u->digest, &d, err) < 0)
		return -1;
	if (u->compressor != COMPRESSOR_NONE && u->compressor != COMPRESSOR_ZSTD)
		return err_set(err, ERR_FORMAT, "the compressor %d is not taken here", u->compressor);
	int rc = 0;
	if (u->compressor == COMPRESSOR_ZSTD) {
		rc = unpack(u, &d, &room, &unpacked, err);
		p = unpacked.data;
		n = unpacked.len;
	}
	if (rc == 0)
		rc = blobs_put(v->blobs, &d, p, n, err);
	room_release(&room);
	gateway_count(v->gateway, COUNT_blobs_wrong, rc < 0 && err->code == ERR_FORMAT);
	gateway_count(v->gateway, COUNT_blobs_written, rc == 0);
	gateway_count(v->gateway, COUNT_bytes_written, rc == 0 ? n : 0);
	return rc;
}

// A message of blobs, one after the other. It never becomes too large: texts are for people, and are left out first.
struct batch {
	struct arena arena;
	size_t left; // bytes for texts
};

static Reapi__Status *new_status(struct batch *b)
{
	Reapi__Status *s = arena_alloc(&b->arena, sizeof *s);
	reapi__status__init(s);
	return s;
}

static void say_status(struct batch *b, Reapi__Status *s, const struct err *err)
{
	size_t n = strlen(err->text) + STATUS_BYTES;
	s->code = (int32_t)gateway_code(err);
	if (n > b->left)
		return;
	b->left -= n;
	s->message = arena_strdup(&b->arena, err->text);
}

// What the answer needs but for its texts: the digests as they came, and the blobs. `sizes` NULL: without these.
static int batch_begin(struct batch *b, Reapi__Digest *const *digests, const struct reapi_digest *sizes, size_t n,
		       struct err *err)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < n && bytes <= GATEWAY_MESSAGE_BYTES; i++)
		bytes += (digests[i] ? reapi__digest__get_packed_size(digests[i]) : 0) + ENTRY_BYTES +
			 (sizes ? (uint64_t)sizes[i].size : 0);
	if (bytes > GATEWAY_BATCH_BYTES + (32 << 10))
		return err_set(err, ERR_USAGE, "more than %d bytes in one message: larger blobs go by ByteStream",
			       GATEWAY_BATCH_BYTES);
	*b = (struct batch){.left = GATEWAY_MESSAGE_BYTES - (size_t)bytes};
	return 0;
}

static int begin_update(struct visit *v, const Reapi__BatchUpdateBlobsRequest *r, struct batch *b, struct err *err)
{
	AUTO_FREE Reapi__Digest **digests = mem_alloc((r->n_requests + 1) * sizeof *digests);
	size_t total = 0;
	for (size_t i = 0; i < r->n_requests; i++) {
		total += r->requests[i]->data.len;
		digests[i] = r->requests[i]->digest;
	}
	if (total > GATEWAY_BATCH_BYTES)
		return err_set(err, ERR_USAGE, "more than %d bytes in one message: larger blobs go by ByteStream",
			       GATEWAY_BATCH_BYTES);
	if (reapi_check_function(r->digest_function, err) < 0 || batch_begin(b, digests, NULL, r->n_requests, err) < 0)
		return -1;
	return room_add(&v->room, r->n_requests * ANSWER_BYTES + GATEWAY_MESSAGE_BYTES - b->left, err);
}

static void batch_update(struct visit *v, const void *request)
{
	const Reapi__BatchUpdateBlobsRequest *r = request;
	struct batch b = {.left = 0};
	struct err err = ERR_INIT;
	if (begin_update(v, r, &b, &err) < 0) {
		visit_fail(v, &err);
		return;
	}
	Reapi__BatchUpdateBlobsResponse m = REAPI__BATCH_UPDATE_BLOBS_RESPONSE__INIT;
	m.responses = arena_alloc(&b.arena, (r->n_requests + 1) * sizeof(Reapi__BatchUpdated *));
	for (; m.n_responses < r->n_requests; m.n_responses++) {
		Reapi__BatchUpdate *u = r->requests[m.n_responses];
		Reapi__BatchUpdated *one = m.responses[m.n_responses] = arena_alloc(&b.arena, sizeof *one);
		reapi__batch_updated__init(one);
		one->digest = u->digest;
		one->status = new_status(&b);
		err_clear(&err);
		if (put_one(v, u, &err) < 0)
			say_status(&b, one->status, &err);
	}
	rpc_reply(v->call, &m.base);
	arena_release(&b.arena);
}

void cas_batch_update(struct rpc_call *call, void *gateway)
{
	gateway_serve_named(gateway, call, &reapi__batch_update_blobs_request__descriptor, batch_update);
}

// ---- BatchReadBlobs ---------------------------------------------------------------------------------------------------------

static void read_one(struct visit *v, struct batch *b, const struct reapi_digest *d, Reapi__BatchRead *one)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct err err = ERR_INIT;
	one->status = new_status(b);
	int found = blobs_get(v->blobs, d, &bytes, &err);
	if (found == 0)
		err_set(&err, ERR_NOT_FOUND, "the blob is not there");
	if (found != 1) {
		say_status(b, one->status, &err);
		return;
	}
	one->data.data = arena_alloc(&b->arena, bytes.len + 1);
	one->data.len = bytes.len;
	if (bytes.len)
		memcpy(one->data.data, bytes.data, bytes.len);
	gateway_count(v->gateway, COUNT_blobs_read, 1);
	gateway_count(v->gateway, COUNT_bytes_read, bytes.len);
}

static void read_all(struct visit *v, struct batch *b, const Reapi__BatchReadBlobsRequest *r,
		     const struct reapi_digest *wanted)
{
	Reapi__BatchReadBlobsResponse m = REAPI__BATCH_READ_BLOBS_RESPONSE__INIT;
	m.responses = arena_alloc(&b->arena, (r->n_digests + 1) * sizeof(Reapi__BatchRead *));
	for (; m.n_responses < r->n_digests; m.n_responses++) {
		Reapi__BatchRead *one = m.responses[m.n_responses] = arena_alloc(&b->arena, sizeof *one);
		reapi__batch_read__init(one);
		one->digest = r->digests[m.n_responses];
		read_one(v, b, &wanted[m.n_responses], one);
	}
	rpc_reply(v->call, &m.base);
}

static void batch_read(struct visit *v, const void *request)
{
	const Reapi__BatchReadBlobsRequest *r = request;
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct batch b = {.left = 0};
	struct reapi_digest *wanted;
	struct err err = ERR_INIT;
	int rc = room_add(&v->room, r->n_digests * (ANSWER_BYTES + sizeof *wanted), &err);
	if (rc == 0)
		rc = read_digests(r->digests, r->n_digests, r->digest_function, &a, &wanted, &err);
	if (rc == 0)
		rc = batch_begin(&b, r->digests, wanted, r->n_digests, &err);
	// Each blob is there twice, in the message as it is put together and as it goes out.
	if (rc == 0)
		rc = room_add(&v->room, 2 * (uint64_t)(GATEWAY_MESSAGE_BYTES - b.left), &err);
	if (rc == 0)
		read_all(v, &b, r, wanted);
	else
		visit_fail(v, &err);
	arena_release(&b.arena);
}

void cas_batch_read(struct rpc_call *call, void *gateway)
{
	gateway_serve_named(gateway, call, &reapi__batch_read_blobs_request__descriptor, batch_read);
}

// ---- GetTree ----------------------------------------------------------------------------------------------------------------

enum { TREE_DIRECTORIES = 100000, TREE_PAGE = 1000, TREE_SEEN_BYTES = 256 };
#define TREE_PAGE_BYTES ((size_t)2 << 20)

// The directories in the order of their levels, each once.
struct tree_walk {
	struct visit *visit;
	struct map seen; // digest -> anything
	struct reapi_digest *queue;
	size_t n, cap;
	size_t skip, page; // directories that the client has already, and so many in a message
	struct held *ready;
	size_t n_ready, ready_bytes;
	struct err err;
};

static int tree_add(struct tree_walk *w, const struct reapi_digest *d)
{
	if (map_get(&w->seen, d, sizeof *d))
		return 0;
	if (w->n == TREE_DIRECTORIES)
		return err_set(&w->err, ERR_LIMIT, "a tree of more than %d directories", TREE_DIRECTORIES);
	if (room_add(&w->visit->room, TREE_SEEN_BYTES, &w->err) < 0)
		return -1;
	map_put(&w->seen, d, sizeof *d, w);
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 64;
		w->queue = mem_realloc(w->queue, w->cap * sizeof *w->queue);
	}
	w->queue[w->n++] = *d;
	return 0;
}

static void tree_forget(struct tree_walk *w)
{
	for (size_t i = 0; i < w->n_ready; i++)
		held_release(&w->ready[i]);
	w->n_ready = w->ready_bytes = 0;
}

static int tree_send(struct tree_walk *w, size_t next)
{
	char token[24] = "";
	Reapi__GetTreeResponse m = REAPI__GET_TREE_RESPONSE__INIT;
	AUTO_FREE Reapi__Directory **directories = mem_alloc((w->n_ready + 1) * sizeof *directories);
	if (next < w->n)
		snprintf(token, sizeof token, "%zu", next);
	m.directories = directories;
	for (; m.n_directories < w->n_ready; m.n_directories++)
		directories[m.n_directories] = (Reapi__Directory *)w->ready[m.n_directories].message;
	m.next_page_token = token;
	int rc = rpc_send(w->visit->call, &m.base, &w->err);
	tree_forget(w);
	return rc;
}

static int tree_add_below(struct tree_walk *w, const Reapi__Directory *d)
{
	struct reapi_digest child;
	for (size_t i = 0; i < d->n_directories; i++)
		if (reapi_digest_read(d->directories[i]->digest, &child, NULL) == 0 && tree_add(w, &child) < 0)
			return -1;
	return 0;
}

// What is missing, or is no directory, is left out (remote_execution.proto). 1: the root is.
static int tree_visit(struct tree_walk *w, size_t i)
{
	struct held held = {.message = NULL};
	int found = 0;
	if (w->queue[i].size <= GATEWAY_BATCH_BYTES)
		found = held_load(&held, w->visit->blobs, &reapi__directory__descriptor, &w->queue[i], GATEWAY_BATCH_BYTES,
				  &w->err);
	if (found < 0 && w->err.code != ERR_FORMAT)
		return -1;
	err_clear(&w->err);
	if (found != 1)
		return i == 0;
	int rc = tree_add_below(w, (const Reapi__Directory *)held.message);
	if (rc == 0 && i >= w->skip && w->n_ready && w->ready_bytes + held.n > TREE_PAGE_BYTES)
		rc = tree_send(w, i);
	if (rc < 0 || i < w->skip) {
		held_release(&held);
		return rc;
	}
	w->ready_bytes += held.n;
	w->ready[w->n_ready++] = held;
	return w->n_ready == w->page ? tree_send(w, i + 1) : 0;
}

static int tree_walk(struct tree_walk *w, const struct reapi_digest *root)
{
	int rc = room_add(&w->visit->room, w->page * sizeof *w->ready + GATEWAY_MESSAGE_BYTES, &w->err);
	if (rc == 0)
		rc = tree_add(w, root);
	w->ready = mem_alloc(w->page * sizeof *w->ready);
	for (size_t i = 0; i < w->n && rc == 0; i++)
		rc = tree_visit(w, i);
	if (rc == 0 && w->n_ready)
		rc = tree_send(w, w->n);
	tree_forget(w);
	free(w->ready);
	free(w->queue);
	map_release(&w->seen);
	return rc;
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
	int rc = tree_walk(&w, &root);
	if (rc == 1)
		gateway_refuse(v->gateway, v->call, RPC_NOT_FOUND, "the root of the tree is not there");
	else if (rc < 0 && rpc_call_is_cancelled(v->call))
		rpc_finish(v->call, RPC_CANCELLED, "%s", w.err.text);
	else if (rc < 0)
		visit_fail(v, &w.err);
	else
		rpc_finish(v->call, RPC_OK, "%s", "");
}

void cas_get_tree(struct rpc_call *call, void *gateway)
{
	gateway_serve_named(gateway, call, &reapi__get_tree_request__descriptor, get_tree);
}

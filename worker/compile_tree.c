// A compile of the user's own text: the listing comes first and may be answered at once; then the files that are not here.
#include "worker/compile_parts.h"

#include "base/clock.h"
#include "reapi/digest.h"

#include <string.h>

enum { NEXT_PIECE_MS = 30000 };

static int fail_source(struct compile *c)
{
	switch (c->err.code) {
	case ERR_FORMAT:
		return compile_fail(c, COUNT_invalid, RPC_INVALID_ARGUMENT);
	case ERR_LIMIT:
		return compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION);
	default: // its files can't be kept: the text needs no room among the results
		return compile_fail(c, COUNT_no_space, RPC_FAILED_PRECONDITION);
	}
}

static int hold(struct compile *c)
{
	if (queue_hold(c->service->queue, &c->ticket, tree_source_memory(&c->tree), &c->err) == 0)
		return 0;
	return c->err.code == ERR_LIMIT ? compile_fail(c, COUNT_impossible, RPC_FAILED_PRECONDITION)
					: compile_fail(c, COUNT_full, RPC_RESOURCE_EXHAUSTED);
}

// The next piece of what is to come, in time. The caller frees the message.
static int receive_piece(struct compile *c, int64_t until, Coffer__V1__CompileRequest__KindCase kind,
			 Coffer__V1__CompileRequest **m)
{
	int64_t left = until - clock_ms();
	int rc = compile_receive(c, left < 0 ? 0 : left < NEXT_PIECE_MS ? (int)left : NEXT_PIECE_MS, m);
	if (rc < 0)
		return -1;
	if (rc == 1 && (*m)->kind_case == kind)
		return 0;
	if (rc == 1)
		coffer__v1__compile_request__free_unpacked(*m, NULL);
	err_set(&c->err, ERR_FORMAT, "a piece of a tree was to come");
	return fail_source(c);
}

// Up to the empty piece. `take` false: they are of no use.
static int take_listing_pieces(struct compile *c, bool take)
{
	int64_t until = clock_ms() + c->service->limits.upload_ms;
	for (bool is_last = false; !is_last;) {
		Coffer__V1__CompileRequest *m;
		if (receive_piece(c, until, COFFER__V1__COMPILE_REQUEST__KIND_LISTING, &m) < 0)
			return -1;
		is_last = m->listing.len == 0;
		worker_count(c->service, COUNT_upload_bytes, m->listing.len);
		int rc = take ? tree_source_take_listing(&c->tree, m->listing.data, m->listing.len, &c->err) : 0;
		coffer__v1__compile_request__free_unpacked(m, NULL);
		if (rc < 0)
			return fail_source(c);
		if (hold(c) < 0)
			return -1;
	}
	return 0;
}

static int take_file_pieces(struct compile *c)
{
	int64_t until = clock_ms() + c->service->limits.upload_ms;
	while (!tree_source_has_all(&c->tree)) {
		Coffer__V1__CompileRequest *m;
		if (receive_piece(c, until, COFFER__V1__COMPILE_REQUEST__KIND_FILES, &m) < 0)
			return -1;
		worker_count(c->service, COUNT_upload_bytes, m->files.len);
		int rc = tree_source_take_files(&c->tree, m->files.data, m->files.len, &c->err);
		coffer__v1__compile_request__free_unpacked(m, NULL);
		if (rc < 0)
			return fail_source(c);
		if (hold(c) < 0)
			return -1;
	}
	return 0;
}

static int send_needs(struct compile *c, bool listing, uint32_t *files, size_t n)
{
	Coffer__V1__CompileNeeds needs = COFFER__V1__COMPILE_NEEDS__INIT;
	Coffer__V1__CompileReply m = COFFER__V1__COMPILE_REPLY__INIT;
	needs.listing = listing;
	needs.files = files;
	needs.n_files = n;
	m.kind_case = COFFER__V1__COMPILE_REPLY__KIND_NEEDS;
	m.needs = &needs;
	return rpc_send(c->call, &m.base, &c->err) < 0 ? compile_fail_cancelled(c) : 0;
}

int compile_take_listing(struct compile *c)
{
	const Coffer__V1__CompileTree *t = c->header->tree;
	struct tree_source *s = &c->tree;
	s->tenant = c->claims.tenant;
	int has_prefix = tree_source_begin(s, t->prefix.data, t->prefix.len, t->prefix_size, t->listing_size, &c->err);
	if (has_prefix == 0) {
		// What comes now was packed behind a prefix; what we ask for comes after it.
		if (send_needs(c, true, NULL, 0) < 0 || take_listing_pieces(c, false) < 0)
			return -1;
		has_prefix = tree_source_begin(s, NULL, 0, 0, t->listing_size, &c->err);
	}
	if (has_prefix < 0)
		return fail_source(c);
	if (take_listing_pieces(c, true) < 0)
		return -1;
	if (tree_source_end_listing(s, &c->err) < 0)
		return fail_source(c);
	if (tree_source_check_places(s, c->header, &c->err) < 0)
		return fail_source(c);
	evidence_source(&c->evidence, s->digest.b);
	worker_count(c->service, COUNT_trees, 1);
	return hold(c);
}

// The listing has the digest of every file: what was stored under it is the result of these files, wherever they are now.
int compile_look_up_by_listing(struct compile *c)
{
	c->key = key_of_tree(c->claims.tenant, c->identity, c->header, c->tree.digest.b);
	return c->header->no_lookup ? 0 : compile_look_up(c, COUNT_early_hits, "early hit");
}

int compile_take_files(struct compile *c)
{
	struct tree_source *s = &c->tree;
	if (send_needs(c, false, s->wanted, s->n_wanted) < 0)
		return -1;
	if (take_file_pieces(c) < 0)
		return -1;
	worker_count(c->service, COUNT_source_bytes, s->wanted_bytes);
	return 0;
}

int compile_keep_request(struct compile *c, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct reapi_digest d = {.size = -1};
	key_add_tree(&bytes, c->claims.tenant, c->identity, c->header, c->tree.digest.b);
	memcpy(d.hash.b, c->key.b, sizeof d.hash.b);
	return results_put_content(c->service->results, c->claims.tenant, &d, bytes.data, bytes.len, err);
}

#include "gateway/results.h"

#include "base/map.h"
#include "base/mem.h"
#include "gateway/shared_actions.h"
#include "reapi/message.h"

#include <stdlib.h>
#include <string.h>

// ---- what a result names --------------------------------------------------------------------------------------------------

typedef bool (*digest_fn)(void *ctx, const Reapi__Digest *d);

// False as soon as one of them is.
static bool each_digest(const Reapi__ActionResult *r, digest_fn fn, void *ctx)
{
	for (size_t i = 0; i < r->n_output_files; i++)
		if (!fn(ctx, r->output_files[i]->digest))
			return false;
	for (size_t i = 0; i < r->n_output_directories; i++) {
		const Reapi__OutputDirectory *d = r->output_directories[i];
		if ((d->tree_digest || !d->root_directory_digest) && !fn(ctx, d->tree_digest))
			return false;
		if (d->root_directory_digest && !fn(ctx, d->root_directory_digest))
			return false;
	}
	return (!r->stdout_digest || fn(ctx, r->stdout_digest)) && (!r->stderr_digest || fn(ctx, r->stderr_digest));
}

// A result may name one tree many times: what counts is how much there is to read.
static int trees_are_small(const Reapi__ActionResult *r, struct err *err)
{
	int64_t bytes = 0;
	for (size_t i = 0; i < r->n_output_directories; i++) {
		const Reapi__Digest *d = r->output_directories[i]->tree_digest;
		if (!d)
			continue;
		if (d->size_bytes < 0 || d->size_bytes > RESULTS_TREE_BYTES - bytes)
			return err_set(err, ERR_LIMIT, "a result whose directories' trees have more than %d bytes",
				       RESULTS_TREE_BYTES);
		bytes += d->size_bytes;
	}
	return 0;
}

static bool is_there(void *tenant, const Reapi__Digest *m)
{
	struct reapi_digest d;
	return reapi_digest_read(m, &d, NULL) == 0 && blobs_has(tenant, &d);
}

static bool files_are_there(struct tenant_blobs *t, const Reapi__Directory *d)
{
	for (size_t i = 0; d && i < d->n_files; i++)
		if (!is_there(t, d->files[i]->digest))
			return false;
	return true;
}

static int tree_is_there(struct tenant_blobs *t, const Reapi__Digest *m, struct err *err)
{
	struct reapi_digest d;
	struct held held;
	if (reapi_digest_read(m, &d, NULL) < 0)
		return 0;
	int rc = held_load(&held, t, &reapi__tree__descriptor, &d, RESULTS_TREE_BYTES, err);
	if (rc < 0 && (err->code == ERR_FORMAT || err->code == ERR_LIMIT)) {
		err_clear(err); // no tree at all, or one that no result may have
		rc = 0;
	}
	const Reapi__Tree *tree = (const Reapi__Tree *)held.message;
	if (rc == 1 && !files_are_there(t, tree->root))
		rc = 0;
	for (size_t i = 0; rc == 1 && i < tree->n_children; i++)
		rc = files_are_there(t, tree->children[i]);
	held_release(&held);
	return rc;
}

int results_are_there(struct tenant_blobs *t, const Reapi__ActionResult *r, struct err *err)
{
	int rc = each_digest(r, is_there, t) && trees_are_small(r, NULL) == 0;
	for (size_t i = 0; rc == 1 && i < r->n_output_directories; i++)
		if (r->output_directories[i]->tree_digest)
			rc = tree_is_there(t, r->output_directories[i]->tree_digest, err);
	return rc;
}

static enum results_answer find_here(struct tenant_blobs *t, const struct reapi_digest *action, struct held *result,
				     struct err *err)
{
	AUTO_BUF struct buf bytes = {.max = RESULTS_MAX_BYTES + sizeof action->hash};
	*result = (struct held){.message = NULL};
	if (blobs_get_result(t, action, &bytes, NULL) != 1)
		return RESULTS_NONE;
	int rc = held_unpack(result, t, &reapi__action_result__descriptor, bytes.data ? bytes.data : "", bytes.len, err);
	if (rc == 0)
		rc = results_are_there(t, (const Reapi__ActionResult *)result->message, err);
	else if (err->code == ERR_FORMAT)
		return RESULTS_NONE;
	if (rc == 1)
		return RESULTS_FOUND;
	held_release(result);
	return rc < 0 ? RESULTS_FAILED : RESULTS_INCOMPLETE;
}

enum results_answer results_find(struct tenant_blobs *t, const struct reapi_digest *action, struct held *result,
				 struct err *err)
{
	struct shared_actions *shared = blobs_shared(t);
	enum results_answer answer = find_here(t, action, result, err);
	bool is_none = answer == RESULTS_NONE || answer == RESULTS_INCOMPLETE;
	if (is_none && shared && shared_actions_take(shared, t, action))
		answer = find_here(t, action, result, err);
	return answer;
}

// ---- each of its blobs ----------------------------------------------------------------------------------------------------

struct each_blob {
	bool (*fn)(void *ctx, const struct reapi_digest *d);
	void *ctx;
};

static bool visit_blob(void *each, const Reapi__Digest *m)
{
	const struct each_blob *e = each;
	struct reapi_digest d;
	return reapi_digest_read(m, &d, NULL) == 0 && e->fn(e->ctx, &d);
}

static bool visit_files(struct each_blob *e, const Reapi__Directory *d)
{
	for (size_t i = 0; d && i < d->n_files; i++)
		if (!visit_blob(e, d->files[i]->digest))
			return false;
	return true;
}

static bool visit_tree(struct each_blob *e, struct tenant_blobs *t, const Reapi__Digest *m)
{
	struct reapi_digest d;
	struct held held;
	if (reapi_digest_read(m, &d, NULL) < 0 ||
	    held_load(&held, t, &reapi__tree__descriptor, &d, RESULTS_TREE_BYTES, &(struct err)ERR_INIT) != 1)
		return false;
	const Reapi__Tree *tree = (const Reapi__Tree *)held.message;
	bool is_whole = visit_files(e, tree->root);
	for (size_t i = 0; is_whole && i < tree->n_children; i++)
		is_whole = visit_files(e, tree->children[i]);
	held_release(&held);
	return is_whole;
}

bool results_each_blob(struct tenant_blobs *t, const Reapi__ActionResult *r,
		       bool (*fn)(void *ctx, const struct reapi_digest *d), void *ctx)
{
	struct each_blob e = {fn, ctx};
	bool is_whole = each_digest(r, visit_blob, &e);
	for (size_t i = 0; is_whole && i < r->n_output_directories; i++)
		if (r->output_directories[i]->tree_digest)
			is_whole = visit_tree(&e, t, r->output_directories[i]->tree_digest);
	return is_whole;
}

// ---- what may be stored ---------------------------------------------------------------------------------------------------

static bool is_digest(void *ctx, const Reapi__Digest *m)
{
	struct reapi_digest d;
	return reapi_digest_read(m, &d, ctx) == 0;
}

static int check_path(const char *path, struct err *err)
{
	if (*path == '/' || !*path)
		return err_set(err, ERR_FORMAT, "an output's path is relative and not empty, not '%.200s'", path);
	return 0;
}

int results_check(const Reapi__ActionResult *r, struct err *err)
{
	bool says_something = r->n_output_files || r->n_output_directories || r->n_output_symlinks ||
			      r->n_output_file_symlinks || r->n_output_directory_symlinks || r->stdout_digest ||
			      r->stderr_digest || r->stdout_raw.len || r->stderr_raw.len || r->exit_code ||
			      r->execution_metadata;
	if (!says_something)
		return err_set(err, ERR_FORMAT, "a result that says nothing");
	for (size_t i = 0; i < r->n_output_files; i++)
		if (check_path(r->output_files[i]->path, err) < 0)
			return -1;
	return each_digest(r, is_digest, err) ? trees_are_small(r, err) : -1;
}

int results_store(struct tenant_blobs *t, const struct reapi_digest *action, const Reapi__ActionResult *result,
		  struct err *err)
{
	AUTO_BUF struct buf bytes = {.max = RESULTS_MAX_BYTES};
	reapi_pack(&result->base, &bytes);
	if (buf_check(&bytes, "a result", err) < 0 || blobs_put_result(t, action, bytes.data, bytes.len, err) < 0)
		return -1;
	if (blobs_shared(t))
		shared_actions_give(blobs_shared(t), t, action);
	return 0;
}

// ---- what goes with it ----------------------------------------------------------------------------------------------------

enum { INLINE_MAX = 1 << 20 };

static void add_one(struct room *room, const Reapi__Digest *m, ProtobufCBinaryData *to, size_t *left)
{
	enum { FRAME = 16 }; // of the field in its message
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct reapi_digest d;
	if (to->len || reapi_digest_read(m, &d, NULL) < 0 || *left < FRAME || (uint64_t)d.size > *left - FRAME ||
	    d.size == 0 || room_add(room, (uint64_t)d.size, NULL) < 0 || blobs_get(room->blobs, &d, &bytes, NULL) != 1)
		return;
	*left -= bytes.len + FRAME;
	to->len = bytes.len;
	to->data = (uint8_t *)buf_take(&bytes);
}

void results_add_inline(struct room *room, Reapi__ActionResult *r, const struct results_wish *wish, size_t most)
{
	size_t plain = reapi__action_result__get_packed_size(r), left = most > plain ? most - plain : 0;
	if (left > INLINE_MAX)
		left = INLINE_MAX;
	if (wish->out && r->stdout_digest)
		add_one(room, r->stdout_digest, &r->stdout_raw, &left);
	if (wish->errs && r->stderr_digest)
		add_one(room, r->stderr_digest, &r->stderr_raw, &left);
	struct map wished = MAP_INIT;
	for (size_t i = 0; i < wish->n_files; i++)
		map_puts(&wished, wish->files[i], r);
	for (size_t i = 0; wished.n && i < r->n_output_files; i++)
		if (map_gets(&wished, r->output_files[i]->path))
			add_one(room, r->output_files[i]->digest, &r->output_files[i]->contents, &left);
	map_release(&wished);
}

#include "gateway/results.h"

#include "base/mem.h"
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

static bool tree_is_there(struct tenant_blobs *t, const Reapi__Digest *m)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct reapi_digest d;
	Reapi__Tree *tree;
	if (reapi_digest_read(m, &d, NULL) < 0 || blobs_get(t, &d, &bytes, NULL) != 1 ||
	    reapi_unpack(&reapi__tree__descriptor, bytes.data ? bytes.data : "", bytes.len, &tree, NULL) < 0)
		return false;
	bool is_whole = files_are_there(t, tree->root);
	for (size_t i = 0; is_whole && i < tree->n_children; i++)
		is_whole = files_are_there(t, tree->children[i]);
	reapi__tree__free_unpacked(tree, NULL);
	return is_whole;
}

bool results_are_there(struct tenant_blobs *t, const Reapi__ActionResult *r)
{
	if (!each_digest(r, is_there, t))
		return false;
	for (size_t i = 0; i < r->n_output_directories; i++)
		if (r->output_directories[i]->tree_digest && !tree_is_there(t, r->output_directories[i]->tree_digest))
			return false;
	return true;
}

enum results_answer results_find(struct tenant_blobs *t, const struct reapi_digest *action, Reapi__ActionResult **result)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	if (blobs_get_result(t, action, &bytes, NULL) != 1 ||
	    reapi_unpack(&reapi__action_result__descriptor, bytes.data ? bytes.data : "", bytes.len, result, NULL) < 0)
		return RESULTS_NONE;
	if (results_are_there(t, *result))
		return RESULTS_FOUND;
	reapi__action_result__free_unpacked(*result, NULL);
	*result = NULL;
	return RESULTS_INCOMPLETE;
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
	return each_digest(r, is_digest, err) ? 0 : -1;
}

int results_store(struct tenant_blobs *t, const struct reapi_digest *action, const Reapi__ActionResult *result,
		  struct err *err)
{
	AUTO_BUF struct buf bytes = {.max = RESULTS_MAX_BYTES};
	reapi_pack(&result->base, &bytes);
	if (buf_check(&bytes, "a result", err) < 0)
		return -1;
	return blobs_put_result(t, action, bytes.data, bytes.len, err);
}

// ---- what goes with it ----------------------------------------------------------------------------------------------------

static void add_one(struct tenant_blobs *t, const Reapi__Digest *m, ProtobufCBinaryData *to, size_t *left)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct reapi_digest d;
	if (to->len || reapi_digest_read(m, &d, NULL) < 0 || (uint64_t)d.size > *left || d.size == 0 ||
	    blobs_get(t, &d, &bytes, NULL) != 1)
		return;
	*left -= bytes.len;
	to->len = bytes.len;
	to->data = (uint8_t *)buf_take(&bytes);
}

static bool is_wished(const struct results_wish *wish, const char *path)
{
	for (size_t i = 0; i < wish->n_files; i++)
		if (strcmp(wish->files[i], path) == 0)
			return true;
	return false;
}

void results_add_inline(struct tenant_blobs *t, Reapi__ActionResult *r, const struct results_wish *wish, size_t most)
{
	if (wish->out && r->stdout_digest)
		add_one(t, r->stdout_digest, &r->stdout_raw, &most);
	if (wish->errs && r->stderr_digest)
		add_one(t, r->stderr_digest, &r->stderr_raw, &most);
	for (size_t i = 0; i < r->n_output_files; i++)
		if (is_wished(wish, r->output_files[i]->path))
			add_one(t, r->output_files[i]->digest, &r->output_files[i]->contents, &most);
}

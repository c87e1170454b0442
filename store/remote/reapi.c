// The cache of a cluster that speaks the Remote Execution API: content is content there, by SHA-256 and size, and an entry for an
// action is the result of an action that nobody runs (reapi/client/actions.h). It makes room by itself.
#include "store/remote/parts.h"

#include "base/mem.h"
#include "reapi/client/actions.h"
#include "reapi/client/blobs.h"

#include <stdlib.h>

struct cluster {
	struct tier tier;
	struct endpoint *endpoint;
};

static struct endpoint *endpoint_of(struct tier *t)
{
	return ((struct cluster *)t)->endpoint;
}

static struct reapi_digest digest_of_name(const struct tier_name *name)
{
	return (struct reapi_digest){name->id, name->bytes};
}

static int get_content(struct endpoint *e, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		       struct err *err)
{
	struct reapi_wanted w = {.digest = digest_of_name(name), .out = {.max = max + 1}};
	if (!name->bytes)
		return 0; // nothing is found there by its hash alone
	if (name->bytes > max)
		return err_set(err, ERR_LIMIT, "an entry of more than %zu bytes", max);
	int rc = blobs_download(e, &w, 1, until_ms, err);
	if (rc == 0 && w.is_there) {
		buf_add(out, w.out.data, w.out.len);
		rc = buf_check(out, "an entry", err) < 0 ? -1 : 1;
	}
	buf_release(&w.out);
	return rc;
}

static int cluster_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		       struct err *err)
{
	if (name->space == TIER_CONTENT)
		return get_content(endpoint_of(t), name, max, out, until_ms, err);
	return actions_get(endpoint_of(t), &name->id, max, out, until_ms, err);
}

static int cluster_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
		       struct err *err)
{
	// Its name is compared with its bytes by the server.
	struct reapi_blob blob = {.digest = {name->id, (int64_t)n}, .p = p, .is_packed = true};
	if (name->space == TIER_CONTENT)
		return blobs_upload(endpoint_of(t), &blob, 1, until_ms, err);
	return actions_put(endpoint_of(t), &name->id, p, n, until_ms, err);
}

static int has_actions(struct endpoint *e, const struct tier_name *names, size_t n, bool *there, int64_t until_ms,
		       struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int rc = names[i].space == TIER_CONTENT ? 0 : actions_has(e, &names[i].id, until_ms, err);
		if (rc < 0)
			return -1;
		there[i] = there[i] || rc == 1;
	}
	return 0;
}

static int cluster_has(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms,
		       struct err *err)
{
	AUTO_FREE struct reapi_digest *content = mem_alloc((n + 1) * sizeof *content);
	AUTO_FREE bool *missing = mem_alloc(n + 1);
	size_t n_content = 0;
	for (size_t i = 0; i < n; i++)
		if (names[i].space == TIER_CONTENT && names[i].bytes)
			content[n_content++] = digest_of_name(&names[i]);
	if (n_content && blobs_missing(endpoint_of(t), content, n_content, missing, until_ms, err) < 0)
		return -1;
	n_content = 0;
	for (size_t i = 0; i < n; i++)
		there[i] = names[i].space == TIER_CONTENT && names[i].bytes && !missing[n_content++];
	return has_actions(endpoint_of(t), names, n, there, until_ms, err);
}

static void cluster_close(struct tier *t)
{
	endpoint_close(endpoint_of(t));
	free(t);
}

int reapi_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err)
{
	static const struct tier_ops ops = {
		.kind = "reapi", .get = cluster_get, .put = cluster_put, .has = cluster_has, .close = cluster_close};
	struct endpoint_config config = {
		.url = url, .ca = ca, .certificate = c->certificate, .key = c->key, .token = c->token};
	struct endpoint *e;
	for (size_t i = 0; i < CREDENTIALS_HEADERS && i < ENDPOINT_HEADERS; i++)
		config.headers[i] = c->headers[i];
	if (endpoint_open(&config, &e, err) < 0)
		return -1;
	struct cluster *t = mem_alloc(sizeof *t);
	t->tier.ops = &ops;
	t->endpoint = e;
	*out = &t->tier;
	return 0;
}

// The layout of HTTP caches: PATH/ac/<hex>, PATH/cas/<hex> (bazel-remote, ccache with layout=bazel, nginx with dav).
#include "store/remote/http.h"
#include "store/remote/listing.h"
#include "store/remote/parts.h"

#include "base/mem.h"

#include <stdlib.h>

struct web {
	struct tier tier;
	struct http *http;
	char *base; // without a '/' at its end
	char *authorization;
	struct credentials credentials;
};

static char *url_of(const struct web *w, const struct tier_name *name)
{
	char path[TIER_PATH_ROOM];
	tier_path(name, path);
	return mem_printf("%s/%s", w->base, path);
}

static struct http_call call_of(const struct web *w, const char *method, const char *url, int64_t until_ms)
{
	return (struct http_call){.method = method,
				  .url = url,
				  .headers = {w->authorization},
				  .user = w->credentials.user,
				  .password = w->credentials.password,
				  .until_ms = until_ms};
}

static int web_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		   struct err *err)
{
	struct web *w = (struct web *)t;
	AUTO_FREE char *url = url_of(w, name);
	struct http_call c = call_of(w, "GET", url, until_ms);
	c.max = max;
	c.out = out;
	if (http_call(w->http, &c, err) < 0)
		return -1;
	if (c.status == 200)
		return 1;
	return c.status == 404 || c.status == 410 ? 0 : http_unexpected(&c, err);
}

static int web_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms, struct err *err)
{
	struct web *w = (struct web *)t;
	AUTO_FREE char *url = url_of(w, name);
	struct http_call c = call_of(w, "PUT", url, until_ms);
	c.body = p;
	c.n_body = n;
	if (http_call_again(w->http, &c, err) < 0)
		return -1;
	return c.status >= 200 && c.status < 300 ? 0 : http_unexpected(&c, err);
}

static int web_has(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms, struct err *err)
{
	struct web *w = (struct web *)t;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *url = url_of(w, &names[i]);
		struct http_call c = call_of(w, "HEAD", url, until_ms);
		if (http_call(w->http, &c, err) < 0)
			return -1;
		there[i] = c.status == 200;
		if (!there[i] && c.status != 404 && c.status != 410)
			return http_unexpected(&c, err);
	}
	return 0;
}

// ---- upkeep: WebDAV ------------------------------------------------------------------------------------------------

#define LIST_BYTES ((size_t)1 << 30)

static int web_list(struct tier *t, enum tier_space space, tier_item_fn *fn, void *arg, int64_t until_ms, struct err *err)
{
	static const char body[] =
		"<?xml version=\"1.0\"?><D:propfind xmlns:D=\"DAV:\"><D:prop><D:getcontentlength/><D:getlastmodified/>"
		"</D:prop></D:propfind>";
	struct web *w = (struct web *)t;
	struct listing l = {.kind = LISTING_DAV, .space = space, .fn = fn, .arg = arg};
	AUTO_FREE char *url = mem_printf("%s/%s/", w->base, tier_space_name(space));
	AUTO_BUF struct buf xml = BUF_INIT;
	struct http_call c = call_of(w, "PROPFIND", url, until_ms);
	c.headers[w->authorization ? 1 : 0] = "Depth: 1";
	c.headers[w->authorization ? 2 : 1] = "Content-Type: application/xml";
	c.body = body;
	c.n_body = sizeof body - 1;
	c.max = LIST_BYTES;
	c.out = &xml;
	if (http_call(w->http, &c, err) < 0)
		return -1;
	if (c.status == 404)
		return 0;
	if (c.status == 405 || c.status == 501)
		return err_set(err, ERR_NOT_FOUND, "the web server has no lists: it answers PROPFIND (WebDAV) with %ld",
			       c.status);
	return c.status == 207 ? listing_parse(&l, xml.data ? xml.data : "", xml.len, err) : http_unexpected(&c, err);
}

static int web_remove(struct tier *t, const struct tier_name *names, size_t n, int64_t until_ms, struct err *err)
{
	struct web *w = (struct web *)t;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *url = url_of(w, &names[i]);
		struct http_call c = call_of(w, "DELETE", url, until_ms);
		if (http_call_again(w->http, &c, err) < 0)
			return -1;
		if ((c.status < 200 || c.status >= 300) && c.status != 404 && c.status != 410)
			return http_unexpected(&c, err);
	}
	return 0;
}

static void web_close(struct tier *t)
{
	struct web *w = (struct web *)t;
	http_free(w->http);
	credentials_release(&w->credentials);
	free(w->authorization);
	free(w->base);
	free(w);
}

int web_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err)
{
	static const struct tier_ops ops = {.kind = "http",
					    .get = web_get,
					    .put = web_put,
					    .has = web_has,
					    .list = web_list,
					    .remove = web_remove,
					    .close = web_close};
	if (strpbrk(url, "?#"))
		return err_set(err, ERR_USAGE, "the URL of a web server has no '?' and no '#' here");
	struct web *w = mem_alloc(sizeof *w);
	w->tier.ops = &ops;
	w->base = mem_strdup(url);
	for (size_t n = strlen(w->base); n && w->base[n - 1] == '/'; n--)
		w->base[n - 1] = '\0';
	w->http = http_new(ca);
	w->credentials = *c;
	*c = (struct credentials){0};
	if (w->credentials.token)
		w->authorization = mem_printf("Authorization: Bearer %s", w->credentials.token);
	*out = &w->tier;
	return 0;
}

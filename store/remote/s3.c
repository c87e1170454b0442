// S3, and what speaks its protocol (MinIO, R2, Ceph, Swift): objects PREFIX/ac/<hex> and PREFIX/cas/<hex> in a bucket.
//
//   s3://BUCKET[/PREFIX]?endpoint=URL&region=REGION&style=path|virtual
//
// The prefix is "cache" by default. Without an endpoint it is Amazon's of the region. Style path: ENDPOINT/BUCKET/KEY, the default
// with an endpoint; virtual: the bucket is the first part of the host's name, the default without one. Requests are signed by libcurl
// (SigV4), with the digest of what is sent.
#include "store/remote/http.h"
#include "store/remote/parts.h"
#include "store/remote/url.h"

#include "base/mem.h"
#include "base/value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

struct s3 {
	struct tier tier;
	struct http *http;
	char *base; // URL up to the prefix, without a '/' at its end
	char *sigv4;
	char *token; // the header of a session, or NULL
	struct credentials credentials;
};

enum { SHA_HEADER = 24 + SHA256_HEX };

// libcurl 7.88 does not send the digest of the body by itself, and S3 wants it with every request. An empty text has one, too.
static void name_body(const void *p, size_t n, char header[SHA_HEADER])
{
	struct sha256 digest = sha256_of(p, n);
	char hex[SHA256_HEX];
	sha256_hex(&digest, hex);
	snprintf(header, SHA_HEADER, "x-amz-content-sha256: %s", hex);
}

static int call(struct s3 *s, struct http_call *c, const struct tier_name *name, bool again, struct err *err)
{
	char path[TIER_PATH_ROOM], digest[SHA_HEADER];
	tier_path(name, path);
	AUTO_FREE char *url = mem_printf("%s/%s", s->base, path);
	name_body(c->body, c->n_body, digest);
	c->url = url;
	c->headers[0] = digest;
	c->headers[1] = s->token;
	c->sigv4 = s->sigv4;
	c->user = s->credentials.access_key;
	c->password = s->credentials.secret_key;
	int rc = again ? http_call_again(s->http, c, err) : http_call(s->http, c, err);
	c->url = NULL;
	return rc;
}

static int s3_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		  struct err *err)
{
	struct http_call c = {.method = "GET", .max = max, .out = out, .until_ms = until_ms};
	if (call((struct s3 *)t, &c, name, false, err) < 0)
		return -1;
	return c.status == 200 ? 1 : c.status == 404 ? 0 : http_unexpected(&c, err);
}

static int s3_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms, struct err *err)
{
	struct http_call c = {.method = "PUT", .body = p, .n_body = n, .until_ms = until_ms};
	if (call((struct s3 *)t, &c, name, true, err) < 0)
		return -1;
	return c.status == 200 || c.status == 201 || c.status == 204 ? 0 : http_unexpected(&c, err);
}

static int s3_has(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct http_call c = {.method = "HEAD", .until_ms = until_ms};
		if (call((struct s3 *)t, &c, &names[i], true, err) < 0)
			return -1;
		there[i] = c.status == 200;
		if (!there[i] && c.status != 404)
			return http_unexpected(&c, err);
	}
	return 0;
}

static void s3_close(struct tier *t)
{
	struct s3 *s = (struct s3 *)t;
	http_free(s->http);
	credentials_release(&s->credentials);
	free(s->base);
	free(s->sigv4);
	free(s->token);
	free(s);
}

// ---- the URL --------------------------------------------------------------------------------------------------------

// The signature is over the path as it is sent: only characters that are sent as they are.
static bool is_plain(const char *text, const char *others)
{
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr(others, *c))
			return false;
	return *text != '\0';
}

static int check_url(const struct url *u, const char *region, const char *endpoint, struct err *err)
{
	if (!is_plain(u->authority, "-."))
		return err_set(err, ERR_USAGE, "'%.60s' is no name of a bucket", u->authority);
	if (u->path[0] && u->path[1] && !is_plain(u->path, "-._~/"))
		return err_set(err, ERR_USAGE, "the prefix in a bucket takes letters, digits and - . _ ~ /");
	if (!is_plain(region, "-"))
		return err_set(err, ERR_USAGE, "'%.60s' is no region", region);
	if (endpoint && strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)
		return err_set(err, ERR_USAGE, "the endpoint of a bucket begins with http:// or https://");
	return 0;
}

static int make_base(struct s3 *s, const struct url *u, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *endpoint = url_option(u, "endpoint"), *region = url_option(u, "region"), *style = url_option(u, "style");
	if (!region)
		region = "us-east-1";
	if (!style)
		style = endpoint ? "path" : "virtual";
	if (check_url(u, region, endpoint, err) < 0)
		return -1;
	if (!endpoint)
		endpoint = arena_printf(&a, "https://s3.%s.amazonaws.com", region);
	char *host = arena_strdup(&a, strstr(endpoint, "://") + 3),
	     *prefix = arena_strdup(&a, u->path[0] && u->path[1] ? u->path : "/cache");
	for (size_t n = strlen(host); n && host[n - 1] == '/'; n--)
		host[n - 1] = '\0';
	for (size_t n = strlen(prefix); n && prefix[n - 1] == '/'; n--)
		prefix[n - 1] = '\0';
	int scheme = (int)(strstr(endpoint, "://") + 3 - endpoint);
	if (strcmp(style, "path") == 0)
		s->base = mem_printf("%.*s%s/%s%s", scheme, endpoint, host, u->authority, prefix);
	else if (strcmp(style, "virtual") == 0)
		s->base = mem_printf("%.*s%s.%s%s", scheme, endpoint, u->authority, host, prefix);
	else
		return err_set(err, ERR_USAGE, "the style of a bucket's URL is path or virtual");
	s->sigv4 = mem_printf("aws:amz:%s:s3", region);
	return 0;
}

int s3_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err)
{
	static const char *const options[] = {"endpoint", "region", "style", NULL};
	static const struct tier_ops ops = {.kind = "s3", .get = s3_get, .put = s3_put, .has = s3_has, .close = s3_close};
	struct url u;
	if (url_parse(url, options, &u, err) < 0)
		return -1;
	struct s3 *s = mem_alloc(sizeof *s);
	s->tier.ops = &ops;
	int rc = make_base(s, &u, err);
	url_release(&u);
	if (rc == 0 && (!c->access_key || !c->secret_key))
		rc = err_set(err, ERR_USAGE, "a bucket needs access_key and secret_key in shared_store_credentials");
	if (rc < 0) {
		s3_close(&s->tier);
		return -1;
	}
	s->http = http_new(ca);
	s->credentials = *c;
	*c = (struct credentials){0};
	if (s->credentials.session_token)
		s->token = mem_printf("x-amz-security-token: %s", s->credentials.session_token);
	*out = &s->tier;
	return 0;
}

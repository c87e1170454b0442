// S3, and what speaks its protocol (MinIO, R2, Ceph, Swift): objects PREFIX/ac/<hex> and PREFIX/cas/<hex> in a bucket.
//
//   s3://BUCKET[/PREFIX]?endpoint=URL&region=REGION&style=path|virtual
//
// The prefix is "cache" by default. Without an endpoint it is Amazon's of the region. Style path: ENDPOINT/BUCKET/KEY, the default
// with an endpoint; virtual: the bucket is the first part of the host's name, the default without one. Requests are signed by libcurl
// (SigV4), with the digest of what is sent.
#include "store/remote/http.h"
#include "store/remote/listing.h"
#include "store/remote/parts.h"
#include "store/remote/url.h"

#include "base/mem.h"
#include "base/value.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct s3 {
	struct tier tier;
	struct http *http;
	char *bucket; // URL of the bucket, without a '/' at its end
	char *prefix; // in the bucket, without a '/' at either end
	char *sigv4;
	char *token; // the header of a session, or NULL
	struct credentials credentials;
	atomic_bool has_no_conditions; // it has said that it knows no `If-None-Match` with a PUT
};

enum {
	SHA_HEADER = 24 + SHA256_HEX,
	PAGE = 1000, // entries of a list, and of one order to delete
	PAGE_BYTES = 8 << 20,
	NEW_MOST = 256 << 10 // larger ones are asked for before they are sent
};

// libcurl 7.88 does not send the digest of the body by itself, and S3 wants it with every request. An empty text has one, too.
static void name_body(const void *p, size_t n, char header[SHA_HEADER])
{
	struct sha256 digest = sha256_of(p, n);
	char hex[SHA256_HEX];
	sha256_hex(&digest, hex);
	snprintf(header, SHA_HEADER, "x-amz-content-sha256: %s", hex);
}

static void add_header(struct http_call *c, const char *header)
{
	size_t i = 0;
	while (c->headers[i])
		i++;
	if (header)
		c->headers[i] = header;
}

static int call_url(struct s3 *s, struct http_call *c, const char *url, bool again, struct err *err)
{
	char digest[SHA_HEADER];
	name_body(c->body, c->n_body, digest);
	c->url = url;
	add_header(c, digest);
	add_header(c, s->token);
	c->sigv4 = s->sigv4;
	c->user = s->credentials.access_key;
	c->password = s->credentials.secret_key;
	return again ? http_call_again(s->http, c, err) : http_call(s->http, c, err);
}

static int call(struct s3 *s, struct http_call *c, const struct tier_name *name, bool again, struct err *err)
{
	char path[TIER_PATH_ROOM];
	tier_path(name, path);
	AUTO_FREE char *url = mem_printf("%s/%s/%s", s->bucket, s->prefix, path);
	return call_url(s, c, url, again, err);
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

// One request where the server knows conditions; what is there is not written again, and its time stays.
static int s3_put_new(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
		      struct err *err)
{
	struct s3 *s = (struct s3 *)t;
	bool there = false;
	if (n <= NEW_MOST && !atomic_load(&s->has_no_conditions)) {
		struct http_call c = {
			.method = "PUT", .headers = {"If-None-Match: *"}, .body = p, .n_body = n, .until_ms = until_ms};
		struct err why = ERR_INIT;
		int rc = call(s, &c, name, false, &why);
		if (rc < 0 && why.code != ERR_PEER)
			return err_take(err, &why);
		if (rc == 0 && (c.status == 200 || c.status == 201 || c.status == 204 || c.status == 412))
			return c.status != 412;
		// A lost connection, 409 (another one is writing the same), 429 and 5xx: tried again below.
		if (c.status == 501 || (c.status == 400 && strstr(c.words, "NotImplemented")))
			atomic_store(&s->has_no_conditions, true);
		else if (rc == 0 && c.status != 409 && c.status != 429 && c.status < 500)
			return http_unexpected(&c, err);
	}
	if (s3_has(t, name, 1, &there, until_ms, err) < 0)
		return -1;
	return there ? 0 : s3_put(t, name, p, n, until_ms, err) < 0 ? -1 : 1;
}

// ---- upkeep ---------------------------------------------------------------------------------------------------------

static bool is_sent_as_it_is(char c)
{
	return isalnum((unsigned char)c) || strchr("-._~", c);
}

// The signature is over the query as it is sent: encoded, and sorted by names.
static void add_encoded(struct buf *to, const char *text)
{
	for (; *text; text++)
		if (is_sent_as_it_is(*text))
			buf_addc(to, *text);
		else
			buf_addf(to, "%%%02X", (unsigned char)*text);
}

static int get_page(struct s3 *s, struct listing *l, int64_t until_ms, struct err *err)
{
	AUTO_BUF struct buf url = BUF_INIT, xml = BUF_INIT;
	struct http_call c = {.method = "GET", .max = PAGE_BYTES, .out = &xml, .until_ms = until_ms};
	buf_addf(&url, "%s/?", s->bucket);
	if (l->next[0]) {
		buf_adds(&url, "continuation-token=");
		add_encoded(&url, l->next);
		buf_addc(&url, '&');
	}
	buf_addf(&url, "list-type=2&max-keys=%d&prefix=", PAGE);
	add_encoded(&url, s->prefix);
	add_encoded(&url, "/");
	add_encoded(&url, tier_space_name(l->space));
	add_encoded(&url, "/");
	if (call_url(s, &c, url.data, true, err) < 0)
		return -1;
	return c.status == 200 ? listing_parse(l, xml.data ? xml.data : "", xml.len, err) : http_unexpected(&c, err);
}

static int s3_list(struct tier *t, enum tier_space space, tier_item_fn *fn, void *arg, int64_t until_ms, struct err *err)
{
	struct listing l = {.kind = LISTING_S3, .space = space, .fn = fn, .arg = arg};
	char before[LISTING_TOKEN];
	do {
		memcpy(before, l.next, sizeof before);
		if (get_page((struct s3 *)t, &l, until_ms, err) < 0)
			return -1;
	} while (l.next[0] && strcmp(before, l.next) != 0);
	return 0;
}

// S3 wants the order to delete to be proved by MD5.
static void sum_of(const struct buf *body, char header[64])
{
	unsigned char sum[EVP_MAX_MD_SIZE], text[2 * EVP_MAX_MD_SIZE];
	size_t n = 0;
	if (EVP_Q_digest(NULL, "MD5", NULL, body->data, body->len, sum, &n) != 1)
		n = 0;
	EVP_EncodeBlock(text, sum, (int)n);
	snprintf(header, 64, "Content-MD5: %.40s", (char *)text);
}

static int delete_page(struct s3 *s, const struct tier_name *names, size_t n, int64_t until_ms, struct err *err)
{
	AUTO_BUF struct buf body = BUF_INIT, xml = BUF_INIT;
	AUTO_FREE char *url = mem_printf("%s/?delete=", s->bucket);
	char sum[64];
	buf_adds(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (size_t i = 0; i < n; i++) {
		char path[TIER_PATH_ROOM];
		tier_path(&names[i], path);
		buf_addf(&body, "<Object><Key>%s/%s</Key></Object>", s->prefix, path);
	}
	buf_adds(&body, "</Delete>");
	sum_of(&body, sum);
	struct http_call c = {.method = "POST",
			      .headers = {"Content-Type: application/xml", sum},
			      .body = body.data,
			      .n_body = body.len,
			      .max = PAGE_BYTES,
			      .out = &xml,
			      .until_ms = until_ms};
	if (call_url(s, &c, url, true, err) < 0)
		return -1;
	// A yes may have noes inside.
	const char *error = c.status == 200 && xml.data ? strstr(xml.data, "<Error>") : NULL;
	if (error) {
		snprintf(c.words, sizeof c.words, "%s", error);
		c.status = strstr(c.words, "AccessDenied") ? 403 : 500;
	}
	return c.status == 200 ? 0 : http_unexpected(&c, err);
}

static int s3_remove(struct tier *t, const struct tier_name *names, size_t n, int64_t until_ms, struct err *err)
{
	for (size_t at = 0; at < n; at += PAGE)
		if (delete_page((struct s3 *)t, names + at, n - at < PAGE ? n - at : PAGE, until_ms, err) < 0)
			return -1;
	return 0;
}

static void s3_close(struct tier *t)
{
	struct s3 *s = (struct s3 *)t;
	http_free(s->http);
	credentials_release(&s->credentials);
	free(s->bucket);
	free(s->prefix);
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
	     *prefix = arena_strdup(&a, u->path[0] && u->path[1] ? u->path + 1 : "cache");
	for (size_t n = strlen(host); n && host[n - 1] == '/'; n--)
		host[n - 1] = '\0';
	for (size_t n = strlen(prefix); n && prefix[n - 1] == '/'; n--)
		prefix[n - 1] = '\0';
	int scheme = (int)(strstr(endpoint, "://") + 3 - endpoint);
	if (strcmp(style, "path") == 0)
		s->bucket = mem_printf("%.*s%s/%s", scheme, endpoint, host, u->authority);
	else if (strcmp(style, "virtual") == 0)
		s->bucket = mem_printf("%.*s%s.%s", scheme, endpoint, u->authority, host);
	else
		return err_set(err, ERR_USAGE, "the style of a bucket's URL is path or virtual");
	s->prefix = mem_strdup(prefix);
	s->sigv4 = mem_printf("aws:amz:%s:s3", region);
	return 0;
}

int s3_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err)
{
	static const char *const options[] = {"endpoint", "region", "style", NULL};
	static const struct tier_ops ops = {.kind = "s3",
					    .is_told_of_uses = true,
					    .get = s3_get,
					    .put = s3_put,
					    .has = s3_has,
					    .put_new = s3_put_new,
					    .list = s3_list,
					    .remove = s3_remove,
					    .close = s3_close};
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

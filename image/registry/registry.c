#include "image/registry/registry.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"
#include "image/registry/challenge.h"
#include "settings/credentials.h"
#include "store/remote/http.h"

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_REDIRECTS = 5, TRIES = 3, IDLE_MS = 60000, TOKEN_MS = 30000, TOKEN_JSON = 64 << 10, PAUSE_MS = 300 };
#define ALL_MS ((int64_t)2 * 3600 * 1000) // one import

struct registry {
	const struct registry_config *config;
	struct reference reference;
	struct origin origin;
	char *base; // "https://HOST/v2/NAME/"
	struct http *http;
	struct credentials credentials;
	char *bearer;  // "Authorization: Bearer …", or NULL
	bool is_basic; // user and password go to the registry itself
	int64_t until_ms;
};

static void forget(char **secret)
{
	if (*secret)
		OPENSSL_cleanse(*secret, strlen(*secret));
	free(TAKE(*secret));
}

static void set_bearer(struct registry *s, const char *token)
{
	forget(&s->bearer);
	s->bearer = mem_printf("Authorization: Bearer %s", token);
}

int registry_open(const struct registry_config *config, const struct reference *reference, struct registry **registry,
		  struct err *err)
{
	struct registry *s = mem_alloc(sizeof *s);
	s->config = config;
	s->reference = *reference;
	s->until_ms = clock_ms() + ALL_MS;
	AUTO_FREE char *url =
		mem_printf("%s://%s/v2/%s/", reference->is_plain ? "http" : "https", reference->host, reference->name);
	s->http = http_new(config->ca);
	int rc = origin_resolve(url, url, &s->base, &s->origin, err);
	if (rc == 0)
		rc = credentials_read(config->credentials, &s->credentials, err);
	bool has_secret = s->credentials.user || s->credentials.token;
	if (rc == 0 && config->credentials && !has_secret)
		rc = err_set(err, ERR_USAGE, "'%s' has neither user and password nor a token", config->credentials);
	if (rc == 0 && !origin_is_private(&s->origin) && !config->may_be_plain)
		rc = err_set(err, ERR_USAGE,
			     "http:// without TLS is for registries of this machine (--plain-http takes it anyway)");
	if (rc == 0 && !origin_is_private(&s->origin) && has_secret)
		rc = err_set(err, ERR_ACCESS, "credentials are not sent over plain http to another machine");
	if (rc == 0 && s->credentials.token)
		set_bearer(s, s->credentials.token);
	if (rc < 0)
		registry_close(s);
	else
		*registry = s;
	return rc;
}

void registry_close(struct registry *s)
{
	if (!s)
		return;
	forget(&s->bearer);
	credentials_release(&s->credentials);
	http_free(s->http);
	free(s->base);
	free(s);
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

// A token server on another host gets the name of the image and the credentials: the operator says so, not the registry.
static int check_token_server(const struct registry *s, const struct origin *realm, struct err *err)
{
	const char *named = s->config->token_server;
	if (!origin_equal(realm, &s->origin) && (!named || strcasecmp(named, realm->host) != 0))
		return err_set(err, ERR_ACCESS,
			       "the registry '%s' sends to '%s' for a token; if that is right, add --token-server %s",
			       s->reference.host, realm->host, realm->host);
	if (!origin_is_private(realm) && (s->credentials.user || !s->config->may_be_plain))
		return err_set(err, ERR_ACCESS, "the token server '%s' has no TLS", realm->host);
	return 0;
}

// The scope is ours, and not what the registry asks for: reading this image and no more.
static char *token_url(const struct registry *s, const char *realm, const char *service)
{
	AUTO_FREE char *scope = mem_printf("scope=repository:%s:pull", s->reference.name);
	AUTO_FREE char *word = mem_printf("service=%s", service);
	char *text = NULL, *url = NULL;
	CURLU *u = curl_url();
	const unsigned flags = CURLU_APPENDQUERY | CURLU_URLENCODE;
	if (u && curl_url_set(u, CURLUPART_URL, realm, 0) == CURLUE_OK &&
	    (!*service || curl_url_set(u, CURLUPART_QUERY, word, flags) == CURLUE_OK) &&
	    curl_url_set(u, CURLUPART_QUERY, scope, flags) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		url = mem_strdup(text);
	curl_free(text);
	curl_url_cleanup(u);
	return url;
}

static int fetch_token(struct registry *s, const struct challenge *c, struct err *err)
{
	struct origin realm;
	char *resolved = NULL, *token = NULL;
	struct buf answer = {.max = TOKEN_JSON + 1};
	int rc = origin_resolve(c->realm, c->realm, &resolved, &realm, err);
	AUTO_FREE char *plain = resolved;
	if (rc < 0 || check_token_server(s, &realm, err) < 0)
		return -1;
	AUTO_FREE char *url = token_url(s, plain, c->service);
	if (!url)
		return err_set(err, ERR_FORMAT, "the registry names no token server that can be asked");
	struct http_call call = {.method = "GET",
				 .url = url,
				 .user = s->credentials.user,
				 .password = s->credentials.password,
				 .max = TOKEN_JSON,
				 .out = &answer,
				 .until_ms = clock_ms() + TOKEN_MS};
	rc = http_call_again(s->http, &call, err);
	if (rc == 0 && call.status != 200)
		rc = http_unexpected(&call, err);
	if (rc == 0)
		rc = challenge_parse_token(answer.data, answer.len, &token, err);
	if (answer.data)
		OPENSSL_cleanse(answer.data, answer.cap);
	buf_release(&answer);
	if (rc < 0)
		return err_wrap(err, "no token from '%s'", realm.host);
	set_bearer(s, token);
	forget(&token);
	return 0;
}

static int not_let_in(const struct registry *s, struct err *err)
{
	return err_set(err, ERR_ACCESS,
		       s->credentials.user || s->credentials.token
			       ? "the registry '%s' does not take these credentials"
			       : "the registry '%s' wants credentials (--credentials FILE)",
		       s->reference.host);
}

static int authorize(struct registry *s, const char *header, struct err *err)
{
	struct challenge c;
	if (challenge_parse(header, &c, err) < 0)
		return -1;
	if (c.kind == CHALLENGE_BEARER)
		return fetch_token(s, &c, err);
	if (c.kind == CHALLENGE_BASIC && s->credentials.user && !s->is_basic) {
		s->is_basic = true;
		return 0;
	}
	return not_let_in(s, err);
}

// ---- calls ----------------------------------------------------------------------------------------------------------

enum answer { ANSWER_LOCATION, ANSWER_CHALLENGE, N_ANSWERS };

struct
try {
	const struct registry_get *get;
	char *url;
	struct origin origin; // of the URL
	struct http_header answers[N_ANSWERS];
	struct http_call call;
};

static int call_once(struct registry *s, struct try *t, struct err *err)
{
	const struct registry_get *get = t->get;
	unsigned n = 0;
	bool is_ours = origin_equal(&t->origin, &s->origin);
	memset(t->answers, 0, sizeof t->answers);
	t->answers[ANSWER_LOCATION].name = "Location";
	t->answers[ANSWER_CHALLENGE].name = "WWW-Authenticate";
	t->call = (struct http_call){.method = "GET",
				     .url = t->url,
				     .max = get->max,
				     .out = get->out,
				     .sink = get->sink,
				     .sink_ctx = get->ctx,
				     .wanted = t->answers,
				     .n_wanted = N_ANSWERS,
				     .idle_ms = IDLE_MS,
				     .until_ms = s->until_ms};
	if (get->accept)
		t->call.headers[n++] = get->accept;
	if (is_ours && s->bearer)
		t->call.headers[n++] = s->bearer;
	if (is_ours && s->is_basic && !s->bearer) {
		t->call.user = s->credentials.user;
		t->call.password = s->credentials.password;
	}
	if (get->begin)
		get->begin(get->ctx);
	return http_call(s->http, &t->call, err);
}

static int follow(const struct registry *s, struct try *t, struct err *err)
{
	char *url = NULL;
	if (!t->answers[ANSWER_LOCATION].value[0])
		return err_set(err, ERR_PEER, "a redirect of '%s' leads nowhere", t->origin.host);
	if (origin_resolve(t->url, t->answers[ANSWER_LOCATION].value, &url, &t->origin, err) < 0)
		return -1;
	free(t->url);
	t->url = url;
	if (t->origin.is_plain && !(s->origin.is_plain && (origin_is_private(&t->origin) || s->config->may_be_plain)))
		return err_set(err, ERR_ACCESS, "the registry redirects to '%s', which has no TLS", t->origin.host);
	return 0;
}

// Of {"errors": [{"message": …}]} the first message (distribution spec, "Error codes"), as far as it may be quoted.
static void refused(const struct try *t, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	json_t *o = json_loads(t->call.words, 0, NULL);
	const char *said = json_string_value(json_object_get(json_array_get(json_object_get(o, "errors"), 0), "message"));
	long status = t->call.status;
	enum err_code code = status == 404 ? ERR_NOT_FOUND : status == 401 || status == 403 ? ERR_ACCESS : ERR_PEER;
	err_set(err, code, "'%s' answers with %ld for '%s'%s%s", t->origin.host, status, t->get->path, said ? ": " : "",
		said ? value_shown(&a, said) : "");
	json_decref(o);
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// One way through challenges and redirects. 1: it may go better another time.
static int walk(struct registry *s, const struct registry_get *get, struct err *err)
{
	struct try t = {.get = get, .url = mem_printf("%s%s", s->base, get->path), .origin = s->origin};
	bool has_asked = false;
	int rc = -1;
	for (int redirects = 0; redirects <= MAX_REDIRECTS;) {
		if (call_once(s, &t, err) < 0) {
			err_wrap(err, "cannot fetch '%s' from '%s'", get->path, t.origin.host);
			rc = err->code == ERR_PEER || err->code == ERR_TIMEOUT ? 1 : -1;
			break;
		}
		long status = t.call.status;
		if (status == 401 && origin_equal(&t.origin, &s->origin)) {
			if (has_asked ? not_let_in(s, err) < 0 : authorize(s, t.answers[ANSWER_CHALLENGE].value, err) < 0)
				break;
			has_asked = true;
		} else if (is_redirect(status)) {
			redirects++;
			if (redirects > MAX_REDIRECTS)
				err_set(err, ERR_LIMIT, "'%s' redirects more than %d times", s->reference.host,
					MAX_REDIRECTS);
			else if (follow(s, &t, err) == 0)
				continue;
			break;
		} else if (status != 200) {
			refused(&t, err);
			rc = status == 429 || status >= 500 ? 1 : -1;
			break;
		} else {
			rc = 0;
			break;
		}
	}
	free(t.url);
	return rc;
}

int registry_get(struct registry *s, const struct registry_get *get, struct err *err)
{
	struct err why = ERR_INIT;
	int rc = -1;
	for (int i = 0; i < TRIES; i++) {
		err_clear(&why);
		rc = walk(s, get, &why);
		if (rc != 1 || clock_ms() >= s->until_ms)
			break;
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L * (i + 1)}, NULL);
	}
	return rc == 0 ? 0 : err_take(err, &why);
}

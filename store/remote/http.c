#include "store/remote/http.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { IDLE_HANDLES = 16, TRIES = 4, FIRST_PAUSE_MS = 100, IDLE_BYTES = 1024 /* a second */ };

// A handle keeps its connections: those that are idle wait here for the next call.
struct http {
	char *ca;
	pthread_mutex_t lock;
	CURL *idle[IDLE_HANDLES];
	unsigned n_idle;
};

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http *http_new(const char *ca)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, global_init);
	struct http *h = mem_alloc(sizeof *h);
	h->ca = ca ? mem_strdup(ca) : NULL;
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	while (h->n_idle)
		curl_easy_cleanup(h->idle[--h->n_idle]);
	pthread_mutex_destroy(&h->lock);
	free(h->ca);
	free(h);
}

static CURL *take(struct http *h)
{
	pthread_mutex_lock(&h->lock);
	CURL *curl = h->n_idle ? h->idle[--h->n_idle] : NULL;
	pthread_mutex_unlock(&h->lock);
	if (!curl)
		curl = curl_easy_init();
	if (!curl)
		abort();
	return curl;
}

static void give(struct http *h, CURL *curl)
{
	curl_easy_reset(curl); // forgets passwords; connections stay
	pthread_mutex_lock(&h->lock);
	if (h->n_idle < IDLE_HANDLES)
		h->idle[h->n_idle++] = TAKE(curl);
	pthread_mutex_unlock(&h->lock);
	curl_easy_cleanup(curl);
}

// ---- one call -------------------------------------------------------------------------------------------------------

struct transfer {
	CURL *curl;
	struct http_call *call;
	struct buf body;
	size_t sent, n_words, n_sunk;
	bool is_too_long, is_refused;
};

static size_t receive(char *p, size_t one, size_t n, void *arg)
{
	struct transfer *t = arg;
	long status = 0;
	n *= one;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	// What a server adds to its yes to a PUT or a DELETE is of no use.
	bool is_change = strcmp(t->call->method, "PUT") == 0 || strcmp(t->call->method, "DELETE") == 0;
	if ((status != 200 && status != 207) || is_change) {
		size_t room = sizeof t->call->words - 1 - t->n_words, some = n < room ? n : room;
		memcpy(t->call->words + t->n_words, p, some);
		t->n_words += some;
		return n;
	}
	size_t before = t->call->sink ? t->n_sunk : t->body.len;
	if (n > t->call->max || before > t->call->max - n) {
		t->is_too_long = true;
		return 0;
	}
	if (t->call->sink) {
		t->n_sunk += n;
		t->is_refused = t->call->sink(t->call->sink_ctx, p, n) != 0;
		return t->is_refused ? 0 : n;
	}
	buf_add(&t->body, p, n);
	return n;
}

static void add_value(struct http_header *h, const char *value, size_t n)
{
	size_t before = strlen(h->value);
	while (n && (value[0] == ' ' || value[0] == '\t')) {
		value++;
		n--;
	}
	while (n && strchr(" \t\r\n", value[n - 1]))
		n--;
	if (before + n + 3 > sizeof h->value || memchr(value, '\0', n))
		h->value[0] = '\0';
	else
		snprintf(h->value + before, sizeof h->value - before, "%s%.*s", before ? ", " : "", (int)n, value);
}

static size_t receive_header(char *p, size_t one, size_t n, void *arg)
{
	const struct transfer *t = arg;
	n *= one;
	// Of "103 Early Hints" and a proxy's "200 Connection established" nothing counts.
	if (n > 5 && strncmp(p, "HTTP/", 5) == 0)
		for (size_t i = 0; i < t->call->n_wanted; i++)
			t->call->wanted[i].value[0] = '\0';
	for (size_t i = 0; i < t->call->n_wanted; i++) {
		size_t length = strlen(t->call->wanted[i].name);
		if (n > length && p[length] == ':' && strncasecmp(p, t->call->wanted[i].name, length) == 0)
			add_value(&t->call->wanted[i], p + length + 1, n - length - 1);
	}
	return n;
}

static size_t send_body(char *to, size_t one, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t left = t->call->n_body - t->sent;
	n = n * one < left ? n * one : left;
	memcpy(to, (const char *)t->call->body + t->sent, n);
	t->sent += n;
	return n;
}

// Of a connection that was closed while it was idle: the body is sent once more.
static int rewind_body(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;
	if (origin != SEEK_SET || offset < 0 || (size_t)offset > t->call->n_body)
		return CURL_SEEKFUNC_FAIL;
	t->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static void set_method(CURL *curl, struct transfer *t)
{
	const struct http_call *c = t->call;
	if (strcmp(c->method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	} else if (strcmp(c->method, "PUT") == 0) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, send_body);
		curl_easy_setopt(curl, CURLOPT_READDATA, t);
		curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, rewind_body);
		curl_easy_setopt(curl, CURLOPT_SEEKDATA, t);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->n_body);
	} else if (c->n_body || strcmp(c->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, c->n_body ? c->body : "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->n_body);
	} else if (strcmp(c->method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method);
	}
}

static struct curl_slist *headers_of(const struct http_call *c)
{
	struct curl_slist *list = NULL;
	for (size_t i = 0; i < HTTP_HEADERS && c->headers[i]; i++) {
		struct curl_slist *longer = curl_slist_append(list, c->headers[i]);
		if (!longer)
			abort();
		list = longer;
	}
	return list;
}

static void set_options(struct http *h, struct transfer *t, struct curl_slist *headers, char *why, int64_t left_ms)
{
	CURL *curl = t->curl;
	const struct http_call *c = t->call;
	curl_easy_setopt(curl, CURLOPT_URL, c->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "coffer/" COFFER_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (c->n_wanted) {
		curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_header);
		curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
	}
	if (c->idle_ms) {
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)IDLE_BYTES);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)((c->idle_ms + 999) / 1000));
	}
	// An empty "Expect:" header would be signed and not sent; so is said that there is no waiting for "100 Continue".
	curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
	if (h->ca)
		curl_easy_setopt(curl, CURLOPT_CAINFO, h->ca);
	// Not as user:password in one string: a key may have a ':'.
	if (c->user) {
		curl_easy_setopt(curl, CURLOPT_USERNAME, c->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, c->password ? c->password : "");
		if (!c->sigv4)
			curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	}
	if (c->sigv4)
		curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, c->sigv4);
	set_method(curl, t);
}

static int failed(const struct transfer *t, CURLcode code, const char *why, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *text = value_shown(&a, *why ? why : curl_easy_strerror(code));
	enum err_code what = t->is_too_long                           ? ERR_LIMIT
			     : t->is_refused                          ? ERR_IO
			     : code == CURLE_OPERATION_TIMEDOUT       ? ERR_TIMEOUT
			     : code == CURLE_PEER_FAILED_VERIFICATION ? ERR_ACCESS
								      : ERR_PEER;
	if (t->is_too_long)
		return err_set(err, what, "the server sends more than %zu bytes", t->call->max);
	return err_set(err, what, "%s", text);
}

int http_call(struct http *h, struct http_call *c, struct err *err)
{
	int64_t left = c->until_ms - clock_ms();
	char why[CURL_ERROR_SIZE] = "";
	if (left <= 0)
		return err_set(err, ERR_TIMEOUT, "there is no time left for the call");
	struct transfer t = {.curl = take(h), .call = c, .body = {.max = c->max + 1}};
	struct curl_slist *headers = headers_of(c);
	c->status = 0;
	memset(c->words, 0, sizeof c->words);
	set_options(h, &t, headers, why, left);
	CURLcode code = curl_easy_perform(t.curl);
	curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &c->status);
	int rc = code == CURLE_OK ? 0 : failed(&t, code, why, err);
	give(h, t.curl);
	curl_slist_free_all(headers);
	if (rc == 0 && (c->status == 200 || c->status == 207) && c->out) {
		buf_add(c->out, t.body.data, t.body.len);
		rc = buf_check(c->out, "an answer", err);
	}
	buf_release(&t.body);
	return rc;
}

int http_call_again(struct http *h, struct http_call *c, struct err *err)
{
	unsigned seed = (unsigned)clock_ns();
	for (int64_t i = 0, pause = FIRST_PAUSE_MS;; i++, pause *= 3) {
		struct err why = ERR_INIT;
		int rc = http_call(h, c, &why);
		bool is_passing = rc < 0 ? why.code == ERR_PEER : c->status == 429 || c->status >= 500;
		// Somewhere between half of it and all, so that many do not come back at one moment.
		int64_t wait = pause / 2 + rand_r(&seed) % (pause / 2 + 1);
		if (!is_passing || i + 1 == TRIES || clock_ms() + wait >= c->until_ms) {
			if (rc < 0 && err)
				*err = why;
			return rc;
		}
		nanosleep(&(struct timespec){.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000}, NULL);
	}
}

int http_unexpected(const struct http_call *c, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	enum err_code code = c->status == 401 || c->status == 403 ? ERR_ACCESS : ERR_PEER;
	// What the server says of it, if it says it in the one element that S3 has for that.
	const char *said = strstr(c->words, "<Code>"), *end = said ? strstr(said, "</Code>") : NULL;
	const char *text = end ? value_shown(&a, arena_strndup(&a, said + 6, (size_t)(end - said - 6))) : NULL;
	return err_set(err, code, "the server answers %s with %ld%s%s", c->method, c->status, text ? ": " : "",
		       text ? text : "");
}

#include "reapi/client/endpoint.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"
#include "reapi/message.h"
#include "reapi/resource.h"
#include "remote/net/target.h"
#include "remote/net/tls.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define V2 "/build.bazel.remote.execution.v2."
enum { KEEPALIVE_MS = 300000, ANSWER_MOST = 4 << 20, CONNECTION_WINDOW = 64 << 20, STREAM_WINDOW = 4 << 20 };

struct endpoint {
	struct arena arena; // of what does not change
	struct loop *loop;
	struct rpc_tls *tls; // NULL: plain text
	struct rpc_target *target;
	const char *address, *instance;
	char *authorization;
	struct rpc_metadata headers[ENDPOINT_HEADERS];
	size_t n_headers;
	pthread_mutex_t lock; // over what follows
	bool is_known;
	struct reapi_limits limits;
};

// ---- where it is ----------------------------------------------------------------------------------------------------------

// One or more words with '/' between them.
static bool is_instance(const char *text)
{
	size_t n = strlen(text);
	for (const char *p = text; *p; p++)
		if (!isgraph((unsigned char)*p) || strchr("?#%\\", *p))
			return false;
	return n <= REAPI_INSTANCE_MAX && !strstr(text, "//");
}

static int parse_url(struct endpoint *e, const char *url, bool *has_tls, struct err *err)
{
	*has_tls = strncmp(url, "grpcs://", 8) == 0;
	if (!*has_tls && strncmp(url, "grpc://", 7) != 0)
		return err_set(err, ERR_USAGE, "'%.60s' begins with neither grpcs:// nor grpc://", url);
	const char *host = url + (*has_tls ? 8 : 7), *name;
	size_t n = strcspn(host, "/");
	uint16_t port;
	const char *text = arena_strndup(&e->arena, host, n), *bracket = strrchr(text, ']');
	if (!strchr(bracket ? bracket : text, ':'))
		text = arena_printf(&e->arena, "%s:%d", text, *has_tls ? 443 : 80);
	if (!value_split_address(&e->arena, text, &name, &port) || !*name || !port)
		return err_set(err, ERR_USAGE, "'%.60s' is not HOST or HOST:PORT", text);
	e->address = text;
	host += n + (host[n] == '/');
	size_t rest = strlen(host);
	while (rest && host[rest - 1] == '/')
		rest--;
	e->instance = arena_strndup(&e->arena, host, rest);
	return is_instance(e->instance)
		       ? 0
		       : err_set(err, ERR_USAGE, "'%.60s' is no name of an instance: words with '/' between them",
				 e->instance);
}

// "name: value". Nothing is quoted: it may be a secret.
static int add_header(struct endpoint *e, const char *line, struct err *err)
{
	size_t n = strcspn(line, ":");
	char *name = arena_strndup(&e->arena, line, n);
	const char *value = line + n + (line[n] == ':');
	while (*value == ' ')
		value++;
	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (!n || line[n] != ':' || !*value || !value_is_name(name, 64, "-_."))
		return err_set(err, ERR_USAGE, "a header of the server's credentials is not 'NAME: VALUE'");
	for (const char *p = value; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return err_set(err, ERR_USAGE, "a header's value has characters that no header may have");
	e->headers[e->n_headers++] = (struct rpc_metadata){name, arena_strdup(&e->arena, value)};
	return 0;
}

static int take_secrets(struct endpoint *e, const struct endpoint_config *c, bool has_tls, struct err *err)
{
	bool has_secret = c->token || c->headers[0];
	if (has_secret && !has_tls && !value_is_of_this_machine(e->address))
		return err_set(err, ERR_USAGE, "a token or a header would go to '%.60s' in plain text: use grpcs://",
			       e->address);
	if (c->token)
		e->authorization = mem_printf("Bearer %s", c->token);
	for (size_t i = 0; i < ENDPOINT_HEADERS && c->headers[i]; i++)
		if (add_header(e, c->headers[i], err) < 0)
			return -1;
	return 0;
}

static int open_parts(struct endpoint *e, const struct endpoint_config *c, struct err *err)
{
	struct rpc_tls_config tls = {.certificate = c->certificate, .key = c->key, .ca = c->ca};
	bool has_tls;
	if (parse_url(e, c->url, &has_tls, err) < 0 || take_secrets(e, c, has_tls, err) < 0)
		return -1;
	if (has_tls && rpc_tls_client(&tls, &e->tls, err) < 0)
		return -1;
	struct rpc_channel_config channel = {
		.tls = e->tls,
		.keepalive_ms = KEEPALIVE_MS,
		.limits = {.connection_window = CONNECTION_WINDOW, .stream_window = STREAM_WINDOW}};
	if (loop_start(&e->loop, err) < 0)
		return -1;
	e->target = rpc_target_new(e->loop, e->address, &channel);
	return 0;
}

int endpoint_open(const struct endpoint_config *config, struct endpoint **out, struct err *err)
{
	struct endpoint *e = mem_alloc(sizeof *e);
	pthread_mutex_init(&e->lock, NULL);
	if (open_parts(e, config, err) < 0) {
		endpoint_close(e);
		return -1;
	}
	*out = e;
	return 0;
}

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
}

void endpoint_close(struct endpoint *e)
{
	if (!e)
		return;
	if (e->target)
		rpc_target_free(e->target);
	if (e->loop)
		loop_stop(e->loop);
	if (e->tls)
		rpc_tls_free(e->tls);
	for (size_t i = 0; i < e->n_headers; i++)
		forget((char *)(uintptr_t)e->headers[i].value);
	forget(e->authorization);
	free(e->authorization);
	pthread_mutex_destroy(&e->lock);
	arena_release(&e->arena);
	free(e);
}

const char *endpoint_instance(const struct endpoint *e)
{
	return e->instance;
}

// ---- calls ----------------------------------------------------------------------------------------------------------------

int endpoint_start(struct endpoint *e, const char *path, int64_t until_ms, struct rpc_call **call, struct err *err)
{
	struct rpc_channel *channel;
	int64_t left = until_ms - clock_ms();
	if (left <= 0)
		return err_set(err, ERR_TIMEOUT, "there is no time left for the call");
	if (left > INT32_MAX)
		left = INT32_MAX;
	if (rpc_target_channel(e->target, (int)left, &channel, err) < 0)
		return -1;
	left = until_ms - clock_ms();
	struct rpc_call_options options = {.deadline_ms = left <= 0          ? 1
							  : left > INT32_MAX ? INT32_MAX
									     : (uint32_t)left,
					   .authorization = e->authorization,
					   .metadata = e->headers,
					   .n_metadata = e->n_headers};
	int rc = rpc_call_start(channel, path, &options, call, err);
	rpc_channel_release(channel);
	return rc;
}

int endpoint_failed(struct rpc_call *call, struct err *err)
{
	enum rpc_code code = rpc_wait_status(call)->code;
	if (code == RPC_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	// A server that has too much to do is no entry that is too large, and one that does not understand us has not told a lie.
	if ((code == RPC_RESOURCE_EXHAUSTED || code == RPC_INVALID_ARGUMENT || code == RPC_FAILED_PRECONDITION ||
	     code == RPC_OUT_OF_RANGE) &&
	    err)
		err->code = ERR_PEER;
	return -1;
}

// The one message, and the end of the stream behind it.
static int receive_one(struct rpc_call *call, struct buf *answer, struct err *err)
{
	AUTO_FREE char *bytes = NULL, *more = NULL;
	size_t n, n_more;
	int rc = rpc_receive_bytes(call, -1, &bytes, &n, err);
	if (rc == 0)
		return err_set(err, ERR_PEER, "the server answers without a message");
	if (rc < 0)
		return -1;
	rc = rpc_receive_bytes(call, -1, &more, &n_more, err);
	if (rc == 1)
		return err_set(err, ERR_PEER, "the server answers with more than one message");
	if (rc < 0)
		return -1;
	buf_add(answer, bytes, n);
	return buf_check(answer, "an answer", err) < 0 ? -1 : 1;
}

static int ask_once(struct endpoint *e, const char *path, const ProtobufCMessage *request, int64_t until_ms,
		    struct buf *answer, bool *is_untouched, struct err *err)
{
	struct rpc_call *call;
	*is_untouched = false;
	if (endpoint_start(e, path, until_ms, &call, err) < 0)
		return -1;
	int rc = rpc_send(call, request, err);
	if (rc == 0)
		rpc_send_end(call);
	rc = rc < 0 ? rc : receive_one(call, answer, err);
	if (rc < 0) {
		rpc_cancel(call);
		*is_untouched = rpc_wait_status(call)->unprocessed;
		rc = endpoint_failed(call, err);
	}
	rpc_call_release(call);
	return rc;
}

int endpoint_ask(struct endpoint *e, const char *path, const ProtobufCMessage *request, int64_t until_ms, struct buf *answer,
		 struct err *err)
{
	struct err first = ERR_INIT;
	bool is_untouched;
	int rc = ask_once(e, path, request, until_ms, answer, &is_untouched, &first);
	if (rc < 0 && is_untouched && clock_ms() < until_ms)
		return ask_once(e, path, request, until_ms, answer, &is_untouched, err);
	return rc < 0 ? err_take(err, &first) : rc;
}

int endpoint_limits(struct endpoint *e, int64_t until_ms, struct reapi_limits *limits, struct err *err)
{
	pthread_mutex_lock(&e->lock);
	bool is_known = e->is_known;
	*limits = e->limits;
	pthread_mutex_unlock(&e->lock);
	if (is_known)
		return 0;
	Reapi__GetCapabilitiesRequest m = REAPI__GET_CAPABILITIES_REQUEST__INIT;
	AUTO_BUF struct buf answer = {.max = ANSWER_MOST};
	m.instance_name = (char *)(uintptr_t)e->instance;
	int rc = endpoint_ask(e, V2 "Capabilities/GetCapabilities", &m.base, until_ms, &answer, err);
	if (rc == 0)
		return err_set(err, ERR_PEER, "the server knows no instance '%s'", e->instance);
	if (rc < 0 || answer_capabilities(answer.data ? answer.data : "", answer.len, limits, err) < 0)
		return -1;
	pthread_mutex_lock(&e->lock);
	e->limits = *limits;
	e->is_known = true;
	pthread_mutex_unlock(&e->lock);
	return 0;
}

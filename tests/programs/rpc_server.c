// A server for the tests that need one in a process of its own: rpc_server ADDRESS [NAME=VALUE…]
//
// NAME is a number of struct rpc_limits, or cert, key, ca, require=1. It prints "listening ADDRESS" and then what happens.
// SIGHUP reads the certificate again, SIGUSR1 prints counters, SIGTERM drains and ends it.
#include "base/log.h"
#include "base/mem.h"
#include "remote/net/tls.h"
#include "remote/rpc.h"
#include "tests/programs/interop.pb-c.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *what, const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof line, "%s %s\n", what, text);
	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		exit(1);
}

// ---- /test.Echo/…: messages are plain bytes -------------------------------------------------------------------------------

static void finish_ok(struct rpc_call *call)
{
	rpc_finish(call, RPC_OK, "%s", "");
}

static void wish_encoding(struct rpc_call *call)
{
	const char *wish = rpc_call_metadata(call, "x-encoding");
	if (wish)
		rpc_call_set_encoding(call, strcmp(wish, "zstd") == 0 ? RPC_ZSTD : RPC_GZIP);
}

static void serve_echo(struct rpc_call *call, void *arg)
{
	char *p;
	size_t n;
	int rc;
	(void)arg;
	wish_encoding(call);
	while ((rc = rpc_receive_bytes(call, -1, &p, &n, NULL)) == 1) {
		rc = rpc_send_bytes(call, p, n, NULL);
		free(p);
		if (rc)
			return;
	}
	if (rc == 0)
		finish_ok(call);
}

// The first message as a text; NULL where there is none.
static char *first_text(struct rpc_call *call)
{
	char *p;
	size_t n;
	if (rpc_receive_bytes(call, 30000, &p, &n, NULL) != 1)
		return NULL;
	char *text = mem_strndup(p, n);
	free(p);
	return text;
}

// "MS": answers after that time.
static void serve_sleep(struct rpc_call *call, void *arg)
{
	AUTO_FREE char *text = first_text(call);
	struct pollfd p = {.fd = rpc_call_cancel_fd(call, NULL), .events = POLLIN};
	(void)arg;
	if (!text)
		return;
	if (poll(&p, 1, atoi(text)) == 1) {
		say("cancelled", rpc_call_path(call));
		return;
	}
	if (rpc_send_bytes(call, "slept", 5, NULL) == 0)
		finish_ok(call);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t change;
};

static void wake(void *arg)
{
	struct waiter *w = arg;
	pthread_mutex_lock(&w->lock);
	pthread_cond_broadcast(&w->change);
	pthread_mutex_unlock(&w->lock);
}

// Until the client goes away; without a descriptor for each call.
static void serve_hold(struct rpc_call *call, void *arg)
{
	struct waiter w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
	AUTO_FREE char *text = first_text(call);
	(void)arg;
	if (!text || rpc_send_bytes(call, "held", 4, NULL))
		return;
	rpc_call_on_cancel(call, wake, &w);
	pthread_mutex_lock(&w.lock);
	while (!rpc_call_is_cancelled(call))
		pthread_cond_wait(&w.change, &w.lock);
	pthread_mutex_unlock(&w.lock);
	rpc_call_on_cancel(call, NULL, NULL);
}

// "CODE TEXT".
static void serve_fail(struct rpc_call *call, void *arg)
{
	AUTO_FREE char *text = first_text(call);
	(void)arg;
	if (!text)
		return;
	const char *rest = strchr(text, ' ');
	rpc_call_add_trailer(call, "grpc-retry-pushback-ms", "250");
	rpc_finish(call, (enum rpc_code)atoi(text), "%s", rest ? rest + 1 : "");
}

// "COUNT SIZE".
static void serve_source(struct rpc_call *call, void *arg)
{
	size_t count = 0, size = 0;
	AUTO_FREE char *text = first_text(call);
	(void)arg;
	if (!text || sscanf(text, "%zu %zu", &count, &size) != 2 || size > 64 << 20)
		return;
	AUTO_FREE char *piece = mem_alloc(size + 1);
	wish_encoding(call);
	for (size_t i = 0; i < count; i++) {
		struct err err = ERR_INIT;
		if (rpc_send_bytes(call, piece, size, &err)) {
			say("source", err.text);
			return;
		}
	}
	finish_ok(call);
}

// How many bytes have come.
static void serve_sink(struct rpc_call *call, void *arg)
{
	char *p, text[32];
	size_t n, sum = 0;
	int rc;
	(void)arg;
	while ((rc = rpc_receive_bytes(call, -1, &p, &n, NULL)) == 1) {
		sum += n;
		free(p);
	}
	snprintf(text, sizeof text, "%zu", sum);
	if (rc == 0 && rpc_send_bytes(call, text, strlen(text), NULL) == 0)
		finish_ok(call);
}

// Answers before it has read, and ends.
static void serve_early(struct rpc_call *call, void *arg)
{
	(void)arg;
	if (rpc_send_bytes(call, "hit", 3, NULL) == 0)
		finish_ok(call);
}

static void serve_peer(struct rpc_call *call, void *arg)
{
	const struct rpc_peer *p = rpc_call_peer(call);
	const char *who = rpc_call_metadata(call, "authorization");
	AUTO_FREE char *text = mem_printf("%s|%s|%s|%s", p->subject, p->n_names ? p->names[0] : "", who ? who : "",
					  rpc_call_time_left_ms(call) > 0 ? "deadline" : "");
	(void)arg;
	if (rpc_send_bytes(call, text, strlen(text), NULL) == 0)
		finish_ok(call);
}

// ---- /grpc.testing.TestService/… ------------------------------------------------------------------------------------------

static void echo_metadata(struct rpc_call *call)
{
	const char *initial = rpc_call_metadata(call, "x-grpc-test-echo-initial");
	const char *trailing = rpc_call_metadata(call, "x-grpc-test-echo-trailing-bin");
	if (initial)
		rpc_call_add_header(call, "x-grpc-test-echo-initial", initial);
	if (trailing)
		rpc_call_add_trailer(call, "x-grpc-test-echo-trailing-bin", trailing);
}

// True if the call is over with that.
static bool echo_status(struct rpc_call *call, const Interop__EchoStatus *s)
{
	if (s && s->code)
		rpc_finish(call, (enum rpc_code)s->code, "%s", s->message);
	return s && s->code;
}

static void serve_empty(struct rpc_call *call, void *arg)
{
	Interop__Empty *q, r = INTEROP__EMPTY__INIT;
	(void)arg;
	if (rpc_receive_one(call, &interop__empty__descriptor, &q))
		return;
	interop__empty__free_unpacked(q, NULL);
	rpc_reply(call, &r.base);
}

static void serve_unary(struct rpc_call *call, void *arg)
{
	Interop__SimpleRequest *q;
	Interop__SimpleResponse r = INTEROP__SIMPLE_RESPONSE__INIT;
	Interop__Payload payload = INTEROP__PAYLOAD__INIT;
	(void)arg;
	echo_metadata(call);
	if (rpc_receive_one(call, &interop__simple_request__descriptor, &q))
		return;
	if (!echo_status(call, q->response_status) && q->response_size >= 0 && q->response_size < 64 << 20) {
		payload.body.len = (size_t)q->response_size;
		payload.body.data = mem_alloc(payload.body.len + 1);
		r.payload = &payload;
		rpc_reply(call, &r.base);
		free(payload.body.data);
	}
	interop__simple_request__free_unpacked(q, NULL);
}

static void serve_input(struct rpc_call *call, void *arg)
{
	Interop__StreamingInputCallRequest *q;
	Interop__StreamingInputCallResponse r = INTEROP__STREAMING_INPUT_CALL_RESPONSE__INIT;
	int rc;
	(void)arg;
	while ((rc = rpc_receive(call, &interop__streaming_input_call_request__descriptor, -1, &q, NULL)) == 1) {
		r.aggregated_payload_size += q->payload ? (int32_t)q->payload->body.len : 0;
		interop__streaming_input_call_request__free_unpacked(q, NULL);
	}
	if (rc == 0)
		rpc_reply(call, &r.base);
}

// False: the call is over.
static bool send_parts(struct rpc_call *call, const Interop__StreamingOutputCallRequest *q)
{
	for (size_t i = 0; i < q->n_response_parameters; i++) {
		Interop__StreamingOutputCallResponse r = INTEROP__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
		Interop__Payload payload = INTEROP__PAYLOAD__INIT;
		if (q->response_parameters[i]->size < 0 || q->response_parameters[i]->size > 64 << 20)
			return false;
		payload.body.len = (size_t)q->response_parameters[i]->size;
		AUTO_FREE uint8_t *body = payload.body.data = mem_alloc(payload.body.len + 1);
		(void)body;
		r.payload = &payload;
		if (rpc_send(call, &r.base, NULL))
			return false;
	}
	return true;
}

static void serve_duplex(struct rpc_call *call, void *arg)
{
	Interop__StreamingOutputCallRequest *q;
	int rc;
	bool goes_on = true;
	(void)arg;
	echo_metadata(call);
	while (goes_on && (rc = rpc_receive(call, &interop__streaming_output_call_request__descriptor, -1, &q, NULL)) == 1) {
		goes_on = !echo_status(call, q->response_status) && send_parts(call, q);
		interop__streaming_output_call_request__free_unpacked(q, NULL);
	}
	if (goes_on && rc == 0)
		finish_ok(call);
}

static const struct rpc_method methods[] = {
	{.path = "/test.Echo/Echo", .serve = serve_echo},
	{.path = "/test.Echo/Sleep", .serve = serve_sleep},
	{.path = "/test.Echo/Hold", .serve = serve_hold},
	{.path = "/test.Echo/Fail", .serve = serve_fail},
	{.path = "/test.Echo/Source", .serve = serve_source},
	{.path = "/test.Echo/Sink", .serve = serve_sink},
	{.path = "/test.Echo/Early", .serve = serve_early, .speaks_first = true},
	{.path = "/test.Echo/Peer", .serve = serve_peer},
	{.path = "/grpc.testing.TestService/EmptyCall", .serve = serve_empty},
	{.path = "/grpc.testing.TestService/UnaryCall", .serve = serve_unary},
	{.path = "/grpc.testing.TestService/StreamingInputCall", .serve = serve_input},
	{.path = "/grpc.testing.TestService/StreamingOutputCall", .serve = serve_duplex},
	{.path = "/grpc.testing.TestService/FullDuplexCall", .serve = serve_duplex},
};

// ---- the program ----------------------------------------------------------------------------------------------------------

struct settings {
	struct rpc_limits limits;
	struct rpc_tls_config tls;
};

static int set(struct settings *s, const char *word)
{
	const struct {
		const char *name;
		uint32_t *number;
	} numbers[] = {
		{"message_bytes", &s->limits.message_bytes},
		{"header_bytes", &s->limits.header_bytes},
		{"streams", &s->limits.streams},
		{"calls", &s->limits.calls},
		{"connections", &s->limits.connections},
		{"per_address", &s->limits.connections_per_address},
		{"handshake_ms", &s->limits.handshake_ms},
		{"first_message_ms", &s->limits.first_message_ms},
		{"stall_ms", &s->limits.stall_ms},
		{"idle_ms", &s->limits.idle_ms},
		{"ping_ms", &s->limits.ping_ms},
		{"stack_bytes", &s->limits.stack_bytes},
		{"stream_window", &s->limits.stream_window},
	};
	const char *value = strchr(word, '=');
	size_t n = value ? (size_t)(value++ - word) : 0;
	for (size_t i = 0; value && i < COUNT_OF(numbers); i++) {
		if (strlen(numbers[i].name) == n && strncmp(numbers[i].name, word, n) == 0) {
			*numbers[i].number = (uint32_t)atoi(value);
			return 0;
		}
	}
	if (value && strncmp(word, "cert=", 5) == 0)
		s->tls.certificate = value;
	else if (value && strncmp(word, "key=", 4) == 0)
		s->tls.key = value;
	else if (value && strncmp(word, "ca=", 3) == 0)
		s->tls.ca = value;
	else if (value && strncmp(word, "require=", 8) == 0)
		s->tls.require_client_certificate = true;
	else
		return -1;
	return 0;
}

static void say_stats(struct rpc_server *server)
{
	struct rpc_server_stats st;
	char text[256];
	rpc_server_stats(server, &st);
	malloc_trim(0);
	snprintf(text, sizeof text,
		 "connections=%llu calls=%llu total_connections=%llu total_calls=%llu refused=%llu attacks=%llu",
		 (unsigned long long)st.connections, (unsigned long long)st.calls, (unsigned long long)st.total_connections,
		 (unsigned long long)st.total_calls, (unsigned long long)st.refused, (unsigned long long)st.attacks);
	say("stats", text);
}

static void run(struct rpc_server *server, struct rpc_tls *tls, const sigset_t *signals)
{
	struct err err = ERR_INIT;
	int signal;
	while (sigwait(signals, &signal) == 0) {
		if (signal == SIGHUP && tls)
			say("reload", rpc_tls_reload(tls, &err) ? err.text : "done");
		else if (signal == SIGUSR1)
			say_stats(server);
		else if (signal == SIGTERM)
			break;
	}
	say("drained", rpc_server_drain(server, 3000) ? "with calls left" : "whole");
}

int main(int argc, char **argv)
{
	struct settings s = {0};
	struct rpc_server_config config = {.methods = methods, .n_methods = COUNT_OF(methods)};
	struct loop *loop;
	struct rpc_server *server;
	struct rpc_tls *tls = NULL;
	struct err err = ERR_INIT;
	char bound[RPC_ADDRESS_MAX];
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	log_set_level(LOG_LEVEL_DEBUG);
	for (int i = 2; i < argc; i++) {
		if (set(&s, argv[i])) {
			fprintf(stderr, "rpc_server: '%s' is not understood\n", argv[i]);
			return 2;
		}
	}
	config.limits = s.limits;
	if (argc < 2 || loop_start(&loop, &err) || rpc_server_new(loop, &config, &server, &err) ||
	    (s.tls.certificate && rpc_tls_server(&s.tls, &tls, &err)) ||
	    rpc_server_listen(server, argv[1], tls, bound, &err)) {
		fprintf(stderr, "rpc_server: %s\n", argc < 2 ? "usage: rpc_server ADDRESS [NAME=VALUE...]" : err.text);
		return 1;
	}
	say("listening", bound);
	run(server, tls, &signals);
	rpc_server_free(server);
	loop_stop(loop);
	rpc_tls_free(tls);
	return 0;
}

// A client for the tests that need one in a process of its own.
//
//   rpc_client call ADDRESS PATH TEXT [NAME=VALUE…]    one message; prints "CODE text" and, before it, each answer
//   rpc_client load ADDRESS CALLS AT_ONCE [NAME=VALUE…] unary echo; prints the time and our CPU for a call
//   rpc_client hold ADDRESS N [NAME=VALUE…]            N open streams, until standard input ends
//   rpc_client interop ADDRESS CASE [NAME=VALUE…]      a case of gRPC's interoperability tests; prints "OK CASE"
//
// NAME is ca, cert, key, pin (hex), name, deadline (ms), authorization, encoding, size, keepalive (ms), or repeat.
#include "base/clock.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "remote/net/tls.h"
#include "remote/rpc.h"
#include "tests/programs/interop.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct loop *loop;
static struct rpc_channel *channel;
static struct err err;
static struct {
	struct rpc_call_options call;
	struct rpc_tls_config tls;
	const char *name;
	uint8_t pin[32];
	bool has_tls, has_pin;
	size_t size;
	uint32_t keepalive_ms;
	int repeat;
} set = {.repeat = 1, .size = 100};

#define must(x)                                                                              \
	do {                                                                                 \
		if (!(x)) {                                                                  \
			printf("FAILED: %s:%d: %s; %s\n", __func__, __LINE__, #x, err.text); \
			exit(1);                                                             \
		}                                                                            \
	} while (0)

// ---- words --------------------------------------------------------------------------------------------------------------

static void parse_word(const char *word)
{
	const char *value = strchr(word, '=');
	must(value);
	AUTO_FREE char *name = mem_strndup(word, (size_t)(value++ - word));
	if (strcmp(name, "ca") == 0 && (set.has_tls = true))
		set.tls.ca = value;
	else if (strcmp(name, "cert") == 0 && (set.has_tls = true))
		set.tls.certificate = value;
	else if (strcmp(name, "key") == 0)
		set.tls.key = value;
	else if (strcmp(name, "name") == 0)
		set.name = value;
	else if (strcmp(name, "deadline") == 0)
		set.call.deadline_ms = (uint32_t)atoi(value);
	else if (strcmp(name, "authorization") == 0)
		set.call.authorization = value;
	else if (strcmp(name, "encoding") == 0)
		set.call.encoding = strcmp(value, "zstd") == 0 ? RPC_ZSTD : RPC_GZIP;
	else if (strcmp(name, "size") == 0)
		set.size = (size_t)atol(value);
	else if (strcmp(name, "keepalive") == 0)
		set.keepalive_ms = (uint32_t)atoi(value);
	else if (strcmp(name, "repeat") == 0)
		set.repeat = atoi(value);
	else {
		must(strcmp(name, "pin") == 0 && strlen(value) == 64);
		set.has_tls = set.has_pin = true;
		for (size_t i = 0; i < 32; i++)
			must(sscanf(value + 2 * i, "%2hhx", &set.pin[i]) == 1);
	}
}

// ---- call ---------------------------------------------------------------------------------------------------------------

static struct rpc_call *start(const char *path)
{
	struct rpc_call *call;
	must(rpc_call_start(channel, path, &set.call, &call, &err) == 0);
	return call;
}

static int call_one(const char *path, const char *text)
{
	struct rpc_call *call;
	char *p;
	size_t n;
	if (rpc_call_start(channel, path, &set.call, &call, &err)) {
		printf("UNAVAILABLE %s\n", err.text);
		return 1;
	}
	rpc_send_bytes(call, text, strlen(text), NULL);
	rpc_send_end(call);
	while (rpc_receive_bytes(call, -1, &p, &n, NULL) == 1) {
		printf("%zu bytes: %.*s\n", n, n > 200 ? 200 : (int)n, p);
		free(p);
	}
	const struct rpc_status *s = rpc_wait_status(call);
	const char *pushback = rpc_call_metadata(call, "grpc-retry-pushback-ms");
	printf("%s %s%s%s\n", rpc_code_name(s->code), s->text, s->unprocessed ? " (unprocessed)" : "",
	       pushback ? " (retry-pushback)" : "");
	fflush(stdout);
	rpc_call_release(call);
	return 0;
}

static int run_call(char **words)
{
	for (int i = 0; i < set.repeat; i++)
		if (call_one(words[0], words[1]))
			return 1;
	return 0;
}

// ---- load ---------------------------------------------------------------------------------------------------------------

static atomic_int calls_left;
static char *load_text;

static void *load_thread(void *arg)
{
	(void)arg;
	while (atomic_fetch_sub(&calls_left, 1) > 0) {
		struct rpc_call *call = start("/test.Echo/Echo");
		char *p;
		size_t n;
		struct err e = ERR_INIT;
		if (rpc_send_bytes(call, load_text, set.size, &e) < 0) {
			printf("FAILED: %s\n", e.text);
			exit(1);
		}
		rpc_send_end(call);
		if (rpc_receive_bytes(call, -1, &p, &n, &e) != 1 || n != set.size) {
			printf("FAILED: %s\n", e.text);
			exit(1);
		}
		free(p);
		must(rpc_wait_status(call)->code == RPC_OK);
		rpc_call_release(call);
	}
	return NULL;
}

static int run_load(char **words)
{
	int calls = atoi(words[0]), at_once = atoi(words[1]);
	pthread_t *t = mem_alloc((size_t)at_once * sizeof *t);
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	load_text = mem_alloc(set.size + 1);
	calls_left = calls;
	int64_t began = clock_ms();
	for (int i = 0; i < at_once; i++)
		must(pthread_create(&t[i], &attr, load_thread, NULL) == 0);
	for (int i = 0; i < at_once; i++)
		pthread_join(t[i], NULL);
	int64_t ms = clock_ms() - began;
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	double cpu =
		(double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	printf("%d calls, %d at once: %lld ms, client %.1f us CPU a call\n", calls, at_once, (long long)ms, cpu / calls);
	free(t);
	free(load_text);
	return 0;
}

// ---- hold ---------------------------------------------------------------------------------------------------------------

static int run_hold(char **words)
{
	int n = atoi(words[0]);
	struct rpc_call **calls = mem_alloc((size_t)n * sizeof(struct rpc_call *));
	char *p, c;
	size_t len;
	for (int i = 0; i < n; i++) {
		calls[i] = start("/test.Echo/Hold");
		must(rpc_send_bytes(calls[i], "x", 1, &err) == 0);
	}
	for (int i = 0; i < n; i++) {
		must(rpc_receive_bytes(calls[i], 30000, &p, &len, &err) == 1);
		free(p);
	}
	printf("held %d\n", n);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	for (int i = 0; i < n; i++)
		rpc_call_release(calls[i]);
	free(calls);
	return 0;
}

// ---- interop --------------------------------------------------------------------------------------------------------------

#define SERVICE "/grpc.testing.TestService/"
static const int32_t sent_sizes[] = {27182, 8, 1828, 45904};
static const int32_t answer_sizes[] = {31415, 9, 2653, 58979};

static void empty_unary(void)
{
	Interop__Empty q = INTEROP__EMPTY__INIT, *r;
	must(rpc_unary(channel, SERVICE "EmptyCall", &set.call, &q.base, &interop__empty__descriptor, &r, NULL, &err) == 0);
	interop__empty__free_unpacked(r, NULL);
}

static void large_unary(void)
{
	Interop__SimpleRequest q = INTEROP__SIMPLE_REQUEST__INIT;
	Interop__SimpleResponse *r;
	Interop__Payload payload = INTEROP__PAYLOAD__INIT;
	payload.body.len = 271828;
	payload.body.data = mem_alloc(271828);
	q.payload = &payload;
	q.response_size = 314159;
	must(rpc_unary(channel, SERVICE "UnaryCall", &set.call, &q.base, &interop__simple_response__descriptor, &r, NULL,
		       &err) == 0);
	must(r->payload->body.len == 314159);
	interop__simple_response__free_unpacked(r, NULL);
	free(payload.body.data);
}

static void client_streaming(void)
{
	struct rpc_call *call = start(SERVICE "StreamingInputCall");
	Interop__StreamingInputCallResponse *r;
	AUTO_FREE uint8_t *zeros = mem_alloc(65536);
	for (size_t i = 0; i < COUNT_OF(sent_sizes); i++) {
		Interop__StreamingInputCallRequest q = INTEROP__STREAMING_INPUT_CALL_REQUEST__INIT;
		Interop__Payload payload = INTEROP__PAYLOAD__INIT;
		payload.body = (ProtobufCBinaryData){(size_t)sent_sizes[i], zeros};
		q.payload = &payload;
		must(rpc_send(call, &q.base, &err) == 0);
	}
	rpc_send_end(call);
	must(rpc_receive(call, &interop__streaming_input_call_response__descriptor, -1, &r, &err) == 1);
	must(r->aggregated_payload_size == 74922);
	interop__streaming_input_call_response__free_unpacked(r, NULL);
	must(rpc_wait_status(call)->code == RPC_OK);
	rpc_call_release(call);
}

static void expect_size(struct rpc_call *call, int32_t size)
{
	Interop__StreamingOutputCallResponse *r;
	must(rpc_receive(call, &interop__streaming_output_call_response__descriptor, -1, &r, &err) == 1);
	must(r->payload->body.len == (size_t)size);
	interop__streaming_output_call_response__free_unpacked(r, NULL);
}

static void server_streaming(void)
{
	struct rpc_call *call = start(SERVICE "StreamingOutputCall");
	Interop__StreamingOutputCallRequest q = INTEROP__STREAMING_OUTPUT_CALL_REQUEST__INIT;
	Interop__ResponseParameters p[4], *list[4];
	for (size_t i = 0; i < 4; i++) {
		interop__response_parameters__init(&p[i]);
		p[i].size = answer_sizes[i];
		list[i] = &p[i];
	}
	q.n_response_parameters = 4;
	q.response_parameters = list;
	must(rpc_send(call, &q.base, &err) == 0);
	rpc_send_end(call);
	for (size_t i = 0; i < 4; i++)
		expect_size(call, answer_sizes[i]);
	must(rpc_wait_status(call)->code == RPC_OK);
	rpc_call_release(call);
}

static void send_duplex(struct rpc_call *call, int32_t sent, int32_t wanted)
{
	Interop__StreamingOutputCallRequest q = INTEROP__STREAMING_OUTPUT_CALL_REQUEST__INIT;
	Interop__ResponseParameters p = INTEROP__RESPONSE_PARAMETERS__INIT, *list = &p;
	Interop__Payload payload = INTEROP__PAYLOAD__INIT;
	payload.body.len = (size_t)sent;
	AUTO_FREE uint8_t *body = payload.body.data = mem_alloc((size_t)sent + 1);
	(void)body;
	p.size = wanted;
	q.payload = &payload;
	q.n_response_parameters = 1;
	q.response_parameters = &list;
	must(rpc_send(call, &q.base, &err) >= 0);
}

static void ping_pong(void)
{
	struct rpc_call *call = start(SERVICE "FullDuplexCall");
	for (size_t i = 0; i < 4; i++) {
		send_duplex(call, sent_sizes[i], answer_sizes[i]);
		expect_size(call, answer_sizes[i]);
	}
	rpc_send_end(call);
	must(rpc_wait_status(call)->code == RPC_OK);
	rpc_call_release(call);
}

static void empty_stream(void)
{
	struct rpc_call *call = start(SERVICE "FullDuplexCall");
	char *p;
	size_t n;
	rpc_send_end(call);
	must(rpc_receive_bytes(call, -1, &p, &n, &err) == 0);
	must(rpc_wait_status(call)->code == RPC_OK);
	rpc_call_release(call);
}

static void cancel_after_begin(void)
{
	struct rpc_call *call = start(SERVICE "StreamingInputCall");
	rpc_cancel(call);
	must(rpc_wait_status(call)->code == RPC_CANCELLED);
	rpc_call_release(call);
}

static void cancel_after_first_response(void)
{
	struct rpc_call *call = start(SERVICE "FullDuplexCall");
	send_duplex(call, 27182, 31415);
	expect_size(call, 31415);
	rpc_cancel(call);
	must(rpc_wait_status(call)->code == RPC_CANCELLED);
	rpc_call_release(call);
}

static void timeout_on_sleeping_server(void)
{
	set.call.deadline_ms = 1;
	struct rpc_call *call = start(SERVICE "FullDuplexCall");
	send_duplex(call, 27182, 31415);
	must(rpc_wait_status(call)->code == RPC_DEADLINE_EXCEEDED);
	rpc_call_release(call);
	set.call.deadline_ms = 0;
}

static void status_of_unary(int32_t code, const char *text)
{
	Interop__SimpleRequest q = INTEROP__SIMPLE_REQUEST__INIT;
	Interop__EchoStatus s = INTEROP__ECHO_STATUS__INIT;
	struct rpc_call *call = start(SERVICE "UnaryCall");
	AUTO_FREE char *copy = mem_strdup(text);
	s.code = code;
	s.message = copy;
	q.response_status = &s;
	must(rpc_send(call, &q.base, &err) == 0);
	rpc_send_end(call);
	const struct rpc_status *end = rpc_wait_status(call);
	err_set(&err, ERR_PEER, "%s", end->text);
	must((int32_t)end->code == code);
	must(strcmp(end->text, text) == 0);
	rpc_call_release(call);
}

static void status_code_and_message(void)
{
	status_of_unary(2, "test status message");
}

static void special_status_message(void)
{
	status_of_unary(2, "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n");
}

static void expect_unimplemented(const char *path)
{
	Interop__Empty q = INTEROP__EMPTY__INIT, *r;
	enum rpc_code code;
	must(rpc_unary(channel, path, &set.call, &q.base, &interop__empty__descriptor, &r, &code, &err) == -1);
	must(code == RPC_UNIMPLEMENTED);
}

static void unimplemented_method(void)
{
	expect_unimplemented(SERVICE "UnimplementedCall");
}

static void unimplemented_service(void)
{
	expect_unimplemented("/grpc.testing.UnimplementedService/UnimplementedCall");
}

static void custom_metadata(void)
{
	const struct rpc_metadata m[] = {{"x-grpc-test-echo-initial", "test_initial_metadata_value"},
					 {"x-grpc-test-echo-trailing-bin", "q6ur"}};
	set.call.metadata = m;
	set.call.n_metadata = 2;
	struct rpc_call *call = start(SERVICE "FullDuplexCall");
	send_duplex(call, 10, 20);
	expect_size(call, 20);
	rpc_send_end(call);
	must(rpc_wait_status(call)->code == RPC_OK);
	must(rpc_call_metadata(call, m[0].name) && strcmp(rpc_call_metadata(call, m[0].name), m[0].value) == 0);
	must(rpc_call_metadata(call, m[1].name) && strncmp(rpc_call_metadata(call, m[1].name), "q6ur", 4) == 0);
	rpc_call_release(call);
	set.call.n_metadata = 0;
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {{"empty_unary", empty_unary},
	     {"large_unary", large_unary},
	     {"client_streaming", client_streaming},
	     {"server_streaming", server_streaming},
	     {"ping_pong", ping_pong},
	     {"empty_stream", empty_stream},
	     {"cancel_after_begin", cancel_after_begin},
	     {"cancel_after_first_response", cancel_after_first_response},
	     {"timeout_on_sleeping_server", timeout_on_sleeping_server},
	     {"status_code_and_message", status_code_and_message},
	     {"special_status_message", special_status_message},
	     {"unimplemented_method", unimplemented_method},
	     {"unimplemented_service", unimplemented_service},
	     {"custom_metadata", custom_metadata}};

static int run_interop(char **words)
{
	int found = 0;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (strcmp(words[0], "all") != 0 && strcmp(words[0], cases[i].name) != 0)
			continue;
		cases[i].run();
		printf("OK %s\n", cases[i].name);
		found = 1;
	}
	return !found;
}

// ---- the program ----------------------------------------------------------------------------------------------------------

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int words;
		int (*run)(char **words);
	} verbs[] = {{"call", 2, run_call}, {"load", 2, run_load}, {"hold", 1, run_hold}, {"interop", 1, run_interop}};
	struct rpc_tls *tls = NULL;
	size_t v = 0;
	while (v < COUNT_OF(verbs) && (argc < 3 || strcmp(argv[1], verbs[v].name) != 0))
		v++;
	if (v == COUNT_OF(verbs) || argc < 3 + verbs[v].words) {
		fprintf(stderr, "usage: rpc_client call|load|hold|interop ADDRESS ...\n");
		return 2;
	}
	for (int i = 3 + verbs[v].words; i < argc; i++)
		parse_word(argv[i]);
	must(!set.has_tls || rpc_tls_client(&set.tls, &tls, &err) == 0);
	const struct rpc_channel_config config = {.tls = tls,
						  .server_name = set.name,
						  .pin_sha256 = set.has_pin ? set.pin : NULL,
						  .keepalive_ms = set.keepalive_ms};
	must(loop_start(&loop, &err) == 0);
	if (rpc_connect(loop, argv[2], &config, 10000, &channel, &err)) {
		printf("UNAVAILABLE %s\n", err.text);
		return 1;
	}
	int rc = verbs[v].run(argv + 3);
	rpc_channel_release(channel);
	loop_stop(loop);
	rpc_tls_free(tls);
	return rc;
}

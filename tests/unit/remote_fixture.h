// A server with the methods that the tests of calls need, and a client of it over a socket pair.
#ifndef COFFER_TESTS_REMOTE_FIXTURE_H
#define COFFER_TESTS_REMOTE_FIXTURE_H

#include "base/mem.h"
#include "loop/timer.h"
#include "remote/rpc.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static struct rpc_server *server;
static struct rpc_channel *channel;
static struct err err;
static atomic_int n_cancelled, n_serving, n_admitted, n_left;

// ---- methods ------------------------------------------------------------------------------------------------------------

// Every message back as it came.
static void serve_echo(struct rpc_call *call, void *arg)
{
	char *p;
	size_t n;
	struct err e = ERR_INIT;
	int rc;
	(void)arg;
	rpc_call_set_encoding(call, RPC_ZSTD);
	while ((rc = rpc_receive_bytes(call, -1, &p, &n, &e)) == 1) {
		rc = rpc_send_bytes(call, p, n, &e);
		free(p);
		if (rc)
			return;
	}
	if (rc == 0)
		rpc_finish(call, RPC_OK, "%s", "");
}

// The number of bytes that were received; slowly if the first message says so.
static void serve_sink(struct rpc_call *call, void *arg)
{
	char *p, text[32];
	size_t n, sum = 0;
	int rc;
	(void)arg;
	while ((rc = rpc_receive_bytes(call, -1, &p, &n, NULL)) == 1) {
		if (n == 4 && memcmp(p, "slow", 4) == 0)
			usleep(200000);
		sum += n;
		free(p);
	}
	snprintf(text, sizeof text, "%zu", sum);
	if (rc == 0 && rpc_send_bytes(call, text, strlen(text), NULL) == 0)
		rpc_finish(call, RPC_OK, "%s", "");
}

// "count size": so many messages of that size.
static void serve_source(struct rpc_call *call, void *arg)
{
	char *p;
	size_t n, count = 0, size = 0;
	(void)arg;
	if (rpc_receive_bytes(call, -1, &p, &n, NULL) != 1)
		return;
	AUTO_FREE char *text = mem_strndup(p, n);
	free(p);
	ck_assert_int_eq(sscanf(text, "%zu %zu", &count, &size), 2);
	AUTO_FREE char *piece = mem_alloc(size + 1);
	memset(piece, 'x', size);
	for (size_t i = 0; i < count; i++)
		if (rpc_send_bytes(call, piece, size, NULL))
			return;
	rpc_finish(call, RPC_OK, "%s", "");
}

// "code text".
static void serve_fail(struct rpc_call *call, void *arg)
{
	char *p;
	size_t n;
	(void)arg;
	if (rpc_receive_bytes(call, -1, &p, &n, NULL) != 1)
		return;
	AUTO_FREE char *text = mem_strndup(p, n);
	free(p);
	rpc_call_add_trailer(call, "grpc-retry-pushback-ms", "250");
	rpc_call_add_trailer(call, "x-more", "here");
	const char *rest = strchr(text, ' ');
	rpc_finish(call, (enum rpc_code)atoi(text), "%s", rest ? rest + 1 : "");
}

// Sleeps on the descriptor that tells of a cancelled call.
static void serve_wait(struct rpc_call *call, void *arg)
{
	struct pollfd p = {.fd = rpc_call_cancel_fd(call, NULL), .events = POLLIN};
	(void)arg;
	n_serving++;
	if (poll(&p, 1, 20000) == 1 && rpc_call_is_cancelled(call))
		n_cancelled++;
	n_serving--;
}

// Sleeps in rpc_receive.
static void serve_listen(struct rpc_call *call, void *arg)
{
	char *p;
	size_t n;
	struct err e = ERR_INIT;
	(void)arg;
	n_serving++;
	while (rpc_receive_bytes(call, -1, &p, &n, &e) == 1)
		free(p);
	if (rpc_call_is_cancelled(call))
		n_cancelled++;
	n_serving--;
}

// Ends without a word, or says its one word before it has read anything.
static void serve_nothing(struct rpc_call *call, void *arg)
{
	(void)call;
	(void)arg;
}
static void serve_early(struct rpc_call *call, void *arg)
{
	(void)arg;
	if (rpc_send_bytes(call, "hit", 3, NULL) == 0)
		rpc_finish(call, RPC_OK, "%s", "");
}

// What the client has sent besides messages.
static void serve_meta(struct rpc_call *call, void *arg)
{
	const char *a = rpc_call_metadata(call, "authorization"), *x = rpc_call_metadata(call, "x-one");
	AUTO_FREE char *text =
		mem_printf("%s|%s|%s|%s|%s", a ? a : "-", x ? x : "-", rpc_call_path(call), rpc_call_peer(call)->subject,
			   rpc_call_peer(call)->n_names ? rpc_call_peer(call)->names[0] : "");
	(void)arg;
	if (rpc_send_bytes(call, text, strlen(text), NULL) == 0)
		rpc_finish(call, RPC_OK, "%s", "");
}

// On the loop: every message back, by whoever follows the call.
static void follow_echo(void *arg)
{
	struct rpc_call *call = arg;
	while (rpc_call_has_news(call)) {
		char *p;
		size_t n;
		int rc = rpc_receive_bytes(call, 0, &p, &n, NULL);
		if (rc == 1) {
			rpc_send_bytes(call, p, n, NULL);
			free(p);
			continue;
		}
		rpc_finish(call, RPC_OK, "%s", "");
		n_cancelled += rpc_call_is_cancelled(call);
		n_serving--;
		rpc_call_follow(call, NULL, NULL);
		return;
	}
}
static void serve_follow(struct rpc_call *call, void *arg)
{
	(void)arg;
	n_serving++;
	rpc_call_follow(call, follow_echo, call);
	follow_echo(call);
}

static const struct rpc_method methods[] = {
	{.path = "/test.T/Echo", .serve = serve_echo, .speaks_first = true},
	{.path = "/test.T/Sink", .serve = serve_sink, .speaks_first = true},
	{.path = "/test.T/Source", .serve = serve_source, .speaks_first = true},
	{.path = "/test.T/Fail", .serve = serve_fail, .speaks_first = true},
	{.path = "/test.T/Wait", .serve = serve_wait, .speaks_first = true},
	{.path = "/test.T/Listen", .serve = serve_listen, .speaks_first = true},
	{.path = "/test.T/Nothing", .serve = serve_nothing, .speaks_first = true},
	{.path = "/test.T/Early", .serve = serve_early, .speaks_first = true},
	{.path = "/test.T/Meta", .serve = serve_meta, .speaks_first = true},
	{.path = "/test.T/Quiet", .serve = serve_listen},
	{.path = "/test.T/Follow", .serve = serve_follow, .on_loop = true, .goes_on = true},
};

static int admit(struct rpc_call *call, void *arg)
{
	const char *who = rpc_call_metadata(call, "authorization");
	(void)arg;
	if (who && strcmp(who, "stranger") == 0) {
		rpc_finish(call, RPC_UNAUTHENTICATED, "who is that");
		return -1;
	}
	rpc_call_set_context(call, &n_admitted);
	n_admitted++;
	return 0;
}

static void leave(struct rpc_call *call, void *arg)
{
	(void)arg;
	ck_assert_ptr_eq(rpc_call_context(call), &n_admitted);
	n_left++;
}

// ---- beginning and end --------------------------------------------------------------------------------------------------

static inline void start_server_on_loop(const struct rpc_limits *limits)
{
	struct rpc_server_config config = {
		.methods = methods, .n_methods = COUNT_OF(methods), .admit = admit, .leave = leave};
	if (limits)
		config.limits = *limits;
	err = (struct err)ERR_INIT;
	n_cancelled = n_serving = n_admitted = n_left = 0;
	ck_assert_msg(rpc_server_new(loop, &config, &server, &err) == 0, "%s", err.text);
}

static inline void start_server(const struct rpc_limits *limits)
{
	ck_assert_msg(loop_start(&loop, &err) == 0, "%s", err.text);
	start_server_on_loop(limits);
}

static inline struct rpc_channel *connect_pair(const struct rpc_limits *limits)
{
	int ends[2];
	struct rpc_channel *ch;
	struct rpc_channel_config config = {0};
	if (limits)
		config.limits = *limits;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(rpc_server_adopt(server, ends[0], &err), 0);
	ck_assert_int_eq(rpc_channel_adopt(loop, ends[1], &config, &ch, &err), 0);
	return ch;
}

static void stop_all(void)
{
	rpc_channel_release(channel);
	channel = NULL;
	rpc_server_free(server);
	loop_stop(loop);
}

// ---- calls --------------------------------------------------------------------------------------------------------------

static struct rpc_call *start_call(const char *path, const struct rpc_call_options *options)
{
	struct rpc_call *call;
	ck_assert_msg(rpc_call_start(channel, path, options, &call, &err) == 0, "%s", err.text);
	return call;
}

static void send_text(struct rpc_call *call, const char *text)
{
	ck_assert_msg(rpc_send_bytes(call, text, strlen(text), &err) == 0, "%s", err.text);
}

// The next message as a string; NULL at the end.
static char *receive_text(struct rpc_call *call)
{
	char *p;
	size_t n;
	int rc = rpc_receive_bytes(call, 10000, &p, &n, &err);
	ck_assert_msg(rc >= 0, "%s", err.text);
	if (rc == 0)
		return NULL;
	char *text = mem_strndup(p, n);
	free(p);
	return text;
}

static void expect_end(struct rpc_call *call, enum rpc_code code, const char *text)
{
	const struct rpc_status *s = rpc_wait_status(call);
	ck_assert_msg(s->code == code, "%s: %s", rpc_code_name(s->code), s->text);
	if (text)
		ck_assert_str_eq(s->text, text);
	rpc_call_release(call);
}

static inline void wait_for(atomic_int *n, int value)
{
	for (int i = 0; i < 1000 && *n != value; i++)
		usleep(10000);
	ck_assert_int_eq(*n, value);
}

static inline void echo_once(const char *text)
{
	struct rpc_call *call = start_call("/test.T/Echo", NULL);
	send_text(call, text);
	rpc_send_end(call);
	AUTO_FREE char *back = receive_text(call);
	ck_assert_str_eq(back, text);
	expect_end(call, RPC_OK, "");
}

#endif

// Calls between our own client and server: messages, limits on number and size, flow control, drain, health.
#include "proto/coffer.pb-c.h"
#include "proto/health.pb-c.h"
#include "tests/unit/remote_fixture.h"

#include "base/clock.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <pthread.h>

static void setup(void)
{
	start_server(NULL);
	channel = connect_pair(NULL);
}

// ---- messages -----------------------------------------------------------------------------------------------------------

START_TEST(a_message_comes_back)
{
	echo_once("hello");
	echo_once("");
}
END_TEST

START_TEST(messages_keep_their_order_in_both_directions)
{
	struct rpc_call *call = start_call("/test.T/Echo", NULL);
	char text[16];
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof text, "%d", i);
		send_text(call, text);
		if (i % 3 == 0)
			continue;
		AUTO_FREE char *back = receive_text(call);
		ck_assert_ptr_nonnull(back);
	}
	rpc_send_end(call);
	char *last = NULL, *back;
	while ((back = receive_text(call))) {
		free(last);
		last = back;
	}
	ck_assert_str_eq(last, "999");
	free(last);
	expect_end(call, RPC_OK, NULL);
}
END_TEST

START_TEST(protobuf_messages_are_packed_and_parsed)
{
	struct rpc_call *call = start_call("/test.T/Echo", NULL);
	Coffer__V1__RouteRequest q = COFFER__V1__ROUTE_REQUEST__INIT, *back;
	char *avoid[] = {(char[]){"w1"}, (char[]){"w2"}};
	q.tenant = (char[]){"acme"};
	q.slots = 300;
	q.avoid = avoid;
	q.n_avoid = 2;
	ck_assert_int_eq(rpc_send(call, &q.base, &err), 0);
	ck_assert_int_eq(rpc_receive(call, &coffer__v1__route_request__descriptor, -1, &back, &err), 1);
	ck_assert_str_eq(back->tenant, "acme");
	ck_assert_uint_eq(back->slots, 300);
	ck_assert_str_eq(back->avoid[1], "w2");
	coffer__v1__route_request__free_unpacked(back, NULL);
	send_text(call, "\xff\xff\xff");
	ck_assert_int_eq(rpc_receive(call, &coffer__v1__route_request__descriptor, -1, &back, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	rpc_call_release(call);
}
END_TEST

START_TEST(large_messages_pass_small_windows)
{
	stop_all();
	const struct rpc_limits small = {
		.stream_window = 65535, .connection_window = 65535, .send_bytes = 20000, .message_bytes = 8 << 20};
	start_server(&small);
	channel = connect_pair(&small);
	struct rpc_call *call = start_call("/test.T/Echo", &(struct rpc_call_options){.deadline_ms = 20000});
	size_t n = 5 << 20, back_n;
	AUTO_FREE char *large = mem_alloc(n);
	for (size_t i = 0; i < n; i++)
		large[i] = (char)(i * 2654435761u >> 13);
	char *back;
	ck_assert_int_eq(rpc_send_bytes(call, large, n, &err), 0);
	rpc_send_end(call);
	ck_assert_msg(rpc_receive_bytes(call, -1, &back, &back_n, &err) == 1, "%s", err.text);
	ck_assert_uint_eq(back_n, n);
	ck_assert_mem_eq(back, large, n);
	free(back);
	expect_end(call, RPC_OK, NULL);
}
END_TEST

START_TEST(a_sender_waits_for_a_slow_receiver)
{
	const struct rpc_limits small = {.stream_window = 65535, .send_bytes = 16384};
	stop_all();
	start_server(&small);
	channel = connect_pair(&small);
	struct rpc_call *call = start_call("/test.T/Sink", NULL);
	AUTO_FREE char *piece = mem_alloc(10000);
	int64_t began = clock_ms();
	send_text(call, "slow");
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(rpc_send_bytes(call, piece, 10000, &err), 0);
	ck_assert_int_ge(clock_ms() - began, 150); // a megabyte did not fit into windows and queues
	rpc_send_end(call);
	AUTO_FREE char *sum = receive_text(call);
	ck_assert_str_eq(sum, "1000004");
	expect_end(call, RPC_OK, NULL);
}
END_TEST

// A stream that nobody reads must not hold up the others beyond the connection's window.
START_TEST(a_stream_that_is_not_read_does_not_stop_the_others)
{
	struct rpc_call *deaf = start_call("/test.T/Source", NULL);
	send_text(deaf, "1000 65536");
	rpc_send_end(deaf);
	usleep(100000);
	for (int i = 0; i < 100; i++)
		echo_once("others go on");
	size_t sum = 0;
	char *back;
	while ((back = receive_text(deaf))) {
		sum += strlen(back);
		free(back);
	}
	ck_assert_uint_eq(sum, 65536000);
	expect_end(deaf, RPC_OK, NULL);
}
END_TEST

START_TEST(compression_is_used_once_the_peer_has_said_it_knows_it)
{
	const struct rpc_call_options zstd = {.encoding = RPC_ZSTD};
	AUTO_FREE char *text = mem_alloc(20001);
	memset(text, 'y', 20000);
	for (int i = 0; i < 3; i++) {
		struct rpc_call *call = start_call("/test.T/Echo", &zstd);
		send_text(call, text);
		rpc_send_end(call);
		AUTO_FREE char *back = receive_text(call);
		ck_assert_str_eq(back, text);
		ck_assert_str_eq(rpc_call_metadata(call, "grpc-encoding"), "zstd");
		expect_end(call, RPC_OK, NULL);
	}
}
END_TEST

START_TEST(a_message_past_the_limit_is_refused_on_both_sides)
{
	struct rpc_call *call = start_call("/test.T/Echo", NULL);
	size_t n = (4 << 20) + 1;
	AUTO_FREE char *large = mem_alloc(n);
	rpc_send_bytes(call, large, n, NULL);
	expect_end(call, RPC_RESOURCE_EXHAUSTED, "a message of 4194305 bytes is larger than the limit of 4194304");
	call = start_call("/test.T/Source", NULL);
	send_text(call, "1 5000000");
	char *p;
	ck_assert_int_eq(rpc_receive_bytes(call, -1, &p, &n, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	expect_end(call, RPC_RESOURCE_EXHAUSTED, NULL);
	echo_once("the connection lives");
}
END_TEST

// 5 MB that arrive as some hundred bytes.
START_TEST(a_compressed_message_past_the_limit_is_refused)
{
	stop_all();
	const struct rpc_limits small = {.message_bytes = 100000}, large = {.message_bytes = 10 << 20};
	start_server(&small);
	channel = connect_pair(&large);
	echo_once("so that the client knows zstd");
	struct rpc_call *call = start_call("/test.T/Sink", &(struct rpc_call_options){.encoding = RPC_ZSTD});
	AUTO_FREE char *zeros = mem_alloc(5 << 20);
	ck_assert_int_ge(rpc_send_bytes(call, zeros, 5 << 20, &err), 0);
	expect_end(call, RPC_RESOURCE_EXHAUSTED, NULL);
	echo_once("the connection lives");
}
END_TEST

START_TEST(calls_that_hold_too_much_memory_are_ended)
{
	stop_all();
	const struct rpc_limits small = {.connection_bytes = 1 << 20, .stream_window = 8 << 20};
	start_server(&small);
	channel = connect_pair(NULL);
	struct rpc_call *call = start_call("/test.T/Wait", NULL); // which never reads
	AUTO_FREE char *piece = mem_alloc(100000);
	while (rpc_send_bytes(call, piece, 100000, NULL) == 0)
		;
	expect_end(call, RPC_RESOURCE_EXHAUSTED, NULL);
	echo_once("the connection lives");
}
END_TEST

// ---- who may ------------------------------------------------------------------------------------------------------------

START_TEST(metadata_reaches_the_method)
{
	const struct rpc_metadata more[] = {{"x-one", "1"}, {"x-one", "2"}};
	struct rpc_call *call = start_call(
		"/test.T/Meta", &(struct rpc_call_options){.authorization = "Bearer t", .metadata = more, .n_metadata = 2});
	AUTO_FREE char *text = receive_text(call);
	ck_assert_str_eq(text, "Bearer t|1|/test.T/Meta||");
	expect_end(call, RPC_OK, NULL);
	const struct rpc_metadata bad = {"grpc-status", "0"};
	ck_assert_int_eq(
		rpc_call_start(channel, "/x/y", &(struct rpc_call_options){.metadata = &bad, .n_metadata = 1}, &call, &err),
		-1);
	ck_assert_int_eq(err.code, ERR_USAGE);
}
END_TEST

START_TEST(who_is_not_admitted_gets_no_service)
{
	struct rpc_call *call = start_call("/test.T/Echo", &(struct rpc_call_options){.authorization = "stranger"});
	expect_end(call, RPC_UNAUTHENTICATED, "who is that");
	ck_assert_int_eq(n_admitted, 0);
	ck_assert_int_eq(n_left, 0);
	echo_once("friend");
	wait_for(&n_left, 1);
}
END_TEST

START_TEST(calls_past_the_servers_limit_are_refused)
{
	stop_all();
	start_server(&(struct rpc_limits){.calls = 3});
	channel = connect_pair(NULL);
	struct rpc_call *calls[3];
	for (int i = 0; i < 3; i++)
		calls[i] = start_call("/test.T/Wait", NULL);
	wait_for(&n_serving, 3);
	struct rpc_call *more = start_call("/test.T/Echo", NULL);
	expect_end(more, RPC_RESOURCE_EXHAUSTED, NULL);
	for (int i = 0; i < 3; i++)
		rpc_call_release(calls[i]);
	wait_for(&n_left, 3);
	struct rpc_server_stats stats = {.calls = 3};
	for (int i = 0; i < 1000 && stats.calls; i++) {
		usleep(10000);
		rpc_server_stats(server, &stats);
	}
	echo_once("room again");
	rpc_server_stats(server, &stats);
	ck_assert_uint_eq(stats.refused, 1);
	ck_assert_uint_eq(stats.total_calls, 4);
	ck_assert_uint_eq(stats.connections, 1);
}
END_TEST

START_TEST(calls_past_the_stream_limit_wait_their_turn)
{
	stop_all();
	start_server(&(struct rpc_limits){.streams = 2});
	channel = connect_pair(NULL);
	echo_once("the client knows the limit now");
	struct rpc_call *a = start_call("/test.T/Wait", NULL), *b = start_call("/test.T/Wait", NULL);
	wait_for(&n_serving, 2);
	struct rpc_call *late = start_call("/test.T/Echo", NULL), *never = start_call("/test.T/Echo", NULL);
	send_text(late, "x");
	rpc_send_end(late);
	usleep(50000);
	ck_assert(!rpc_call_has_news(late));
	rpc_cancel(never);
	const struct rpc_status *s = rpc_wait_status(never);
	ck_assert_int_eq(s->code, RPC_CANCELLED);
	rpc_call_release(never);
	rpc_call_release(a);
	AUTO_FREE char *back = receive_text(late);
	ck_assert_str_eq(back, "x");
	expect_end(late, RPC_OK, NULL);
	rpc_call_release(b);
}
END_TEST

START_TEST(a_call_without_a_message_does_not_stay)
{
	stop_all();
	start_server(&(struct rpc_limits){.first_message_ms = 300});
	channel = connect_pair(NULL);
	struct rpc_call *call = start_call("/test.T/Quiet", NULL);
	expect_end(call, RPC_DEADLINE_EXCEEDED, "no message has come in time");
	ck_assert_int_eq(n_serving + n_cancelled, 0); // no thread has ever served it
}
END_TEST

START_TEST(an_idle_connection_is_closed)
{
	stop_all();
	start_server(&(struct rpc_limits){.idle_ms = 500});
	channel = connect_pair(NULL);
	echo_once("busy");
	ck_assert_int_eq(rpc_server_wait_gone(server, 30000), 0);
	ck_assert(!rpc_channel_is_usable(channel));
}
END_TEST

// ---- drain --------------------------------------------------------------------------------------------------------------

static void *drain(void *left)
{
	*(size_t *)left = rpc_server_drain(server, 10000);
	return NULL;
}

START_TEST(a_drain_lets_calls_end_and_takes_no_new_ones)
{
	pthread_t t;
	size_t left = 99;
	struct rpc_call *call = start_call("/test.T/Echo", NULL);
	send_text(call, "before");
	free(receive_text(call));
	pthread_create(&t, NULL, drain, &left);
	for (int i = 0; i < 500 && rpc_channel_is_usable(channel); i++)
		usleep(10000);
	ck_assert(!rpc_channel_is_usable(channel));
	struct rpc_call *late;
	ck_assert_int_eq(rpc_call_start(channel, "/test.T/Echo", NULL, &late, &err), -1);
	send_text(call, "during");
	AUTO_FREE char *back = receive_text(call);
	ck_assert_str_eq(back, "during");
	rpc_send_end(call);
	expect_end(call, RPC_OK, NULL);
	pthread_join(t, NULL);
	ck_assert_uint_eq(left, 0);
}
END_TEST

START_TEST(a_drain_gives_up_after_its_grace)
{
	struct rpc_call *call = start_call("/test.T/Wait", NULL);
	wait_for(&n_serving, 1);
	ck_assert_uint_eq(rpc_server_drain(server, 300), 1);
	rpc_call_release(call);
}
END_TEST

// ---- many ---------------------------------------------------------------------------------------------------------------

static void *many_calls(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++) {
		struct rpc_call *call;
		char *p;
		size_t n;
		struct err e = ERR_INIT;
		ck_assert_int_eq(rpc_call_start(channel, i % 10 ? "/test.T/Echo" : "/test.T/Wait", NULL, &call, &e), 0);
		ck_assert_int_ge(rpc_send_bytes(call, "abc", 3, &e), 0);
		if (i % 10) {
			rpc_send_end(call);
			ck_assert_msg(rpc_receive_bytes(call, -1, &p, &n, &e) == 1, "%s", e.text);
			ck_assert_uint_eq(n, 3);
			free(p);
			ck_assert_int_eq(rpc_wait_status(call)->code, RPC_OK);
		}
		rpc_call_release(call);
	}
	return NULL;
}

START_TEST(many_threads_share_one_connection)
{
	pthread_t t[16];
	for (size_t i = 0; i < COUNT_OF(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, many_calls, NULL), 0);
	for (size_t i = 0; i < COUNT_OF(t); i++)
		pthread_join(t[i], NULL);
	wait_for(&n_left, n_admitted);
	echo_once("and it lives");
}
END_TEST

// ---- health -------------------------------------------------------------------------------------------------------------

static int check_health(const char *service, enum rpc_code *code)
{
	Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	Grpc__Health__V1__HealthCheckResponse *r;
	AUTO_FREE char *name = mem_strdup(service);
	q.service = name;
	if (rpc_unary(channel, "/grpc.health.v1.Health/Check", NULL, &q.base,
		      &grpc__health__v1__health_check_response__descriptor, &r, code, &err))
		return -1;
	int status = (int)r->status;
	grpc__health__v1__health_check_response__free_unpacked(r, NULL);
	return status;
}

START_TEST(health_is_told_of_services_that_are_known)
{
	enum rpc_code code;
	ck_assert_int_eq(check_health("", &code), 1);
	ck_assert_int_eq(code, RPC_OK);
	ck_assert_int_eq(check_health("test.T", &code), 1);
	rpc_server_set_health(server, "test.T", false);
	ck_assert_int_eq(check_health("test.T", &code), 2);
	ck_assert_int_eq(check_health("other", &code), -1);
	ck_assert_int_eq(code, RPC_NOT_FOUND);
	ck_assert_int_eq(n_admitted, 0); // nobody was asked
}
END_TEST

START_TEST(health_watchers_see_each_change)
{
	Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	Grpc__Health__V1__HealthCheckResponse *r;
	struct rpc_call *call = start_call("/grpc.health.v1.Health/Watch", NULL);
	static const int expected[] = {3, 1, 2};
	q.service = (char[]){"new"};
	ck_assert_int_eq(rpc_send(call, &q.base, &err), 0);
	rpc_send_end(call);
	for (size_t i = 0; i < COUNT_OF(expected); i++) {
		ck_assert_int_eq(rpc_receive(call, &grpc__health__v1__health_check_response__descriptor, 5000, &r, &err), 1);
		ck_assert_int_eq((int)r->status, expected[i]);
		grpc__health__v1__health_check_response__free_unpacked(r, NULL);
		rpc_server_set_health(server, "new", i == 0);
	}
	rpc_server_drain(server, 5000);
	expect_end(call, RPC_UNAVAILABLE, NULL);
}
END_TEST

// ---- calls that are followed on the loop ----------------------------------------------------------------------------------

static void say_and_hear(struct rpc_call *call, const char *text)
{
	send_text(call, text);
	AUTO_FREE char *back = receive_text(call);
	ck_assert_str_eq(back, text);
}

static int count_threads(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

START_TEST(a_followed_call_hears_each_message_and_the_end)
{
	struct rpc_call *call = start_call("/test.T/Follow", NULL);
	for (int i = 0; i < 100; i++)
		say_and_hear(call, i % 2 ? "one" : "two");
	for (int i = 0; i < 100; i++)
		send_text(call, "more");
	rpc_send_end(call);
	int n = 0;
	for (char *back; (back = receive_text(call)); n++)
		free(back);
	ck_assert_int_eq(n, 100);
	expect_end(call, RPC_OK, "");
	wait_for(&n_serving, 0);
	ck_assert_int_eq(n_cancelled, 0);
	ck_assert_int_eq(n_left, 1);
}
END_TEST

START_TEST(followed_calls_hold_no_threads)
{
	struct rpc_call *calls[100];
	echo_once("the pool has begun");
	int before = count_threads();
	for (int i = 0; i < 100; i++) {
		calls[i] = start_call("/test.T/Follow", NULL);
		say_and_hear(calls[i], "hello");
	}
	ck_assert_int_le(count_threads(), before);
	ck_assert_int_eq(n_serving, 100);
	for (int i = 0; i < 100; i++)
		rpc_call_release(calls[i]);
	wait_for(&n_serving, 0);
	ck_assert_int_eq(n_cancelled, 100);
}
END_TEST

START_TEST(a_followed_call_hears_of_a_lost_connection)
{
	struct rpc_call *call = start_call("/test.T/Follow", NULL);
	say_and_hear(call, "hello");
	rpc_server_free(server);
	ck_assert_int_eq(n_serving, 0);
	ck_assert_int_eq(n_cancelled, 1);
	rpc_call_release(call);
	start_server_on_loop(NULL);
}
END_TEST

START_TEST(a_broken_unary_request_is_refused)
{
	enum rpc_code code;
	struct rpc_call *call = start_call("/grpc.health.v1.Health/Check", NULL);
	rpc_send_end(call);
	expect_end(call, RPC_INVALID_ARGUMENT, "the call has no message");
	call = start_call("/grpc.health.v1.Health/Check", NULL);
	send_text(call, "");
	send_text(call, "");
	rpc_send_end(call);
	expect_end(call, RPC_INVALID_ARGUMENT, "the call has more than one message");
	call = start_call("/grpc.health.v1.Health/Check", NULL);
	send_text(call, "\xff");
	rpc_send_end(call);
	expect_end(call, RPC_INTERNAL, NULL);
	ck_assert_int_eq(check_health("", &code), 1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("remote calls");
	TCase *c = tcase_create("all");
	tcase_add_checked_fixture(c, setup, stop_all);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_message_comes_back);
	tcase_add_test(c, messages_keep_their_order_in_both_directions);
	tcase_add_test(c, protobuf_messages_are_packed_and_parsed);
	tcase_add_test(c, large_messages_pass_small_windows);
	tcase_add_test(c, a_sender_waits_for_a_slow_receiver);
	tcase_add_test(c, a_stream_that_is_not_read_does_not_stop_the_others);
	tcase_add_test(c, compression_is_used_once_the_peer_has_said_it_knows_it);
	tcase_add_test(c, a_message_past_the_limit_is_refused_on_both_sides);
	tcase_add_test(c, a_compressed_message_past_the_limit_is_refused);
	tcase_add_test(c, calls_that_hold_too_much_memory_are_ended);
	tcase_add_test(c, metadata_reaches_the_method);
	tcase_add_test(c, who_is_not_admitted_gets_no_service);
	tcase_add_test(c, calls_past_the_servers_limit_are_refused);
	tcase_add_test(c, calls_past_the_stream_limit_wait_their_turn);
	tcase_add_test(c, a_call_without_a_message_does_not_stay);
	tcase_add_test(c, an_idle_connection_is_closed);
	tcase_add_test(c, a_drain_lets_calls_end_and_takes_no_new_ones);
	tcase_add_test(c, a_drain_gives_up_after_its_grace);
	tcase_add_test(c, many_threads_share_one_connection);
	tcase_add_test(c, health_is_told_of_services_that_are_known);
	tcase_add_test(c, health_watchers_see_each_change);
	tcase_add_test(c, a_followed_call_hears_each_message_and_the_end);
	tcase_add_test(c, followed_calls_hold_no_threads);
	tcase_add_test(c, a_followed_call_hears_of_a_lost_connection);
	tcase_add_test(c, a_broken_unary_request_is_refused);
	suite_add_tcase(s, c);
	return s;
}

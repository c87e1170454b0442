// How calls between our own client and server end: with a status, without one, cancelled, too late, with their connection.
#include "tests/unit/remote_fixture.h"

#include "base/clock.h"
#include "tests/unit/unit.h"

#include <pthread.h>

static void setup(void)
{
	start_server(NULL);
	channel = connect_pair(NULL);
}

START_TEST(codes_texts_and_trailers_arrive)
{
	for (int code = 1; code <= 16; code++) {
		struct rpc_call *call = start_call("/test.T/Fail", NULL);
		AUTO_FREE char *text = mem_printf("%d grüße, 100%% \xf0\x9f\x98\x88\n", code);
		send_text(call, text);
		char *p;
		size_t n;
		ck_assert_int_eq(rpc_receive_bytes(call, 5000, &p, &n, &err), -1);
		ck_assert_ptr_nonnull(strstr(err.text, "grüße"));
		ck_assert_str_eq(rpc_call_metadata(call, "grpc-retry-pushback-ms"), "250");
		ck_assert_str_eq(rpc_call_metadata(call, "x-more"), "here");
		expect_end(call, (enum rpc_code)code, strchr(text, ' ') + 1);
	}
}
END_TEST

// SETTINGS; HEADERS of stream 1 with ":status: 200" and "content-type: application/grpc"; one message "ok" in DATA that ends the
// stream, where gRPC asks for trailers.
static const char answer_without_status[] = "\0\0\0\4\0\0\0\0\0"
					    "\0\0\23\1\4\0\0\0\1\210\137\20application/grpc"
					    "\0\0\7\0\1\0\0\0\1\0\0\0\0\2ok";

START_TEST(an_answer_without_a_status_is_no_good_end)
{
	struct rpc_channel_config config = {0};
	struct rpc_channel *broken;
	struct rpc_call *call;
	char *p, request[4096];
	size_t n;
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(rpc_channel_adopt(loop, ends[1], &config, &broken, &err), 0);
	ck_assert_int_eq(rpc_call_start(broken, "/test.T/Echo", NULL, &call, &err), 0);
	// It has not ended its own side, and never will.
	send_text(call, "still here");
	size_t size = sizeof answer_without_status - 1, got = 0;
	while (!memmem(request, got, "still here", 10)) {
		ssize_t more = read(ends[0], request + got, sizeof request - got);
		ck_assert_int_gt(more, 0);
		got += (size_t)more;
	}
	ck_assert_int_eq(write(ends[0], answer_without_status, size), (ssize_t)size);
	ck_assert_int_eq(rpc_receive_bytes(call, 10000, &p, &n, &err), 1);
	ck_assert_mem_eq(p, "ok", 2);
	free(p);
	ck_assert_int_eq(rpc_receive_bytes(call, 10000, &p, &n, &err), -1);
	expect_end(call, RPC_UNKNOWN, "the server's answer ends without a status");
	rpc_channel_release(broken);
	close(ends[0]);
}
END_TEST

START_TEST(unknown_methods_are_unimplemented)
{
	struct rpc_call *call = start_call("/test.T/None", NULL);
	expect_end(call, RPC_UNIMPLEMENTED, "there is no method '/test.T/None'");
	call = start_call("/", NULL);
	expect_end(call, RPC_UNIMPLEMENTED, NULL);
}
END_TEST

START_TEST(a_method_that_says_nothing_is_an_internal_error)
{
	struct rpc_call *call = start_call("/test.T/Nothing", NULL);
	expect_end(call, RPC_INTERNAL, "'/test.T/Nothing' has not said how it ended");
}
END_TEST

START_TEST(an_early_answer_stops_the_upload)
{
	struct rpc_call *call = start_call("/test.T/Early", NULL);
	AUTO_FREE char *piece = mem_alloc(65536);
	int rc, i = 0;
	while ((rc = rpc_send_bytes(call, piece, 65536, &err)) == 0 && i < 100000)
		i++;
	ck_assert_int_eq(rc, 1);
	ck_assert(rpc_call_has_news(call));
	AUTO_FREE char *word = receive_text(call);
	ck_assert_str_eq(word, "hit");
	ck_assert_ptr_null(receive_text(call));
	expect_end(call, RPC_OK, "");
}
END_TEST

START_TEST(a_cancelled_call_is_told_to_its_server)
{
	struct rpc_call *call = start_call("/test.T/Wait", NULL);
	wait_for(&n_serving, 1);
	rpc_cancel(call);
	wait_for(&n_cancelled, 1);
	expect_end(call, RPC_CANCELLED, NULL);
	call = start_call("/test.T/Listen", NULL);
	wait_for(&n_serving, 1);
	rpc_call_release(call); // is as good
	wait_for(&n_cancelled, 2);
	wait_for(&n_left, 2);
}
END_TEST

static void *cancel_soon(void *call)
{
	usleep(50000);
	rpc_cancel(call);
	return NULL;
}

START_TEST(cancel_wakes_a_receiver_and_a_blocked_sender)
{
	pthread_t t;
	char *p;
	size_t n;
	struct rpc_call *call = start_call("/test.T/Wait", NULL);
	pthread_create(&t, NULL, cancel_soon, call);
	ck_assert_int_eq(rpc_receive_bytes(call, -1, &p, &n, &err), -1);
	pthread_join(t, NULL);
	rpc_call_release(call);
	call = start_call("/test.T/Wait", NULL);
	AUTO_FREE char *piece = mem_alloc(1 << 20);
	pthread_create(&t, NULL, cancel_soon, call);
	int rc;
	while ((rc = rpc_send_bytes(call, piece, 1 << 20, &err)) == 0)
		;
	ck_assert_int_eq(rc, -1);
	pthread_join(t, NULL);
	rpc_call_release(call);
}
END_TEST

static void count_up(void *n)
{
	atomic_fetch_add((atomic_int *)n, 1);
}

START_TEST(a_callback_tells_of_the_end_once)
{
	atomic_int told = 0;
	struct rpc_call *call = start_call("/test.T/Wait", NULL);
	rpc_call_on_cancel(call, count_up, &told);
	rpc_cancel(call);
	ck_assert_int_eq(told, 1);
	rpc_cancel(call);
	ck_assert_int_eq(told, 1);
	rpc_call_on_cancel(call, count_up, &told); // it is over: here and now
	ck_assert_int_eq(told, 2);
	struct pollfd p = {.fd = rpc_call_cancel_fd(call, NULL), .events = POLLIN};
	ck_assert_int_eq(poll(&p, 1, 0), 1);
	rpc_call_release(call);
	call = start_call("/test.T/Wait", NULL);
	rpc_call_on_cancel(call, count_up, &told);
	rpc_call_on_cancel(call, NULL, NULL);
	rpc_call_release(call);
	ck_assert_int_eq(told, 2);
}
END_TEST

START_TEST(a_deadline_ends_a_call_on_both_sides)
{
	int64_t began = clock_ms();
	struct rpc_call *call = start_call("/test.T/Wait", &(struct rpc_call_options){.deadline_ms = 200});
	ck_assert_int_le(rpc_call_time_left_ms(call), 200);
	expect_end(call, RPC_DEADLINE_EXCEEDED, NULL);
	ck_assert_int_ge(clock_ms() - began, 190);
	ck_assert_int_le(clock_ms() - began, 2000);
	wait_for(&n_cancelled, 1);
	call = start_call("/test.T/Listen", &(struct rpc_call_options){.deadline_ms = 100});
	char *p;
	size_t n;
	ck_assert_int_eq(rpc_receive_bytes(call, -1, &p, &n, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	rpc_call_release(call);
	wait_for(&n_cancelled, 2);
}
END_TEST

START_TEST(a_receive_with_a_limit_comes_back_and_the_call_goes_on)
{
	struct rpc_call *call = start_call("/test.T/Echo", NULL);
	char *p;
	size_t n;
	ck_assert_int_eq(rpc_receive_bytes(call, 30, &p, &n, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	ck_assert(!rpc_call_has_news(call));
	send_text(call, "still there");
	AUTO_FREE char *back = receive_text(call);
	ck_assert_str_eq(back, "still there");
	rpc_call_release(call);
}
END_TEST

START_TEST(a_lost_connection_ends_its_calls_as_unavailable)
{
	struct rpc_call *calls[20];
	for (int i = 0; i < 20; i++)
		calls[i] = start_call("/test.T/Wait", NULL);
	wait_for(&n_serving, 20);
	rpc_server_free(server);
	ck_assert_int_eq(n_cancelled, 20);
	ck_assert_int_eq(n_left, 20);
	for (int i = 0; i < 20; i++)
		expect_end(calls[i], RPC_UNAVAILABLE, NULL);
	ck_assert(!rpc_channel_is_usable(channel));
	struct rpc_call *late;
	ck_assert_int_eq(rpc_call_start(channel, "/test.T/Echo", NULL, &late, &err), -1);
	ck_assert_int_eq(err.code, ERR_PEER);
	server = NULL;
}
END_TEST

START_TEST(calls_outlive_their_channels_handle)
{
	struct rpc_call *call = start_call("/test.T/Echo", NULL);
	rpc_channel_release(channel);
	channel = NULL;
	usleep(20000);
	send_text(call, "one more");
	AUTO_FREE char *back = receive_text(call);
	ck_assert_str_eq(back, "one more");
	rpc_send_end(call);
	expect_end(call, RPC_OK, NULL);
	ck_assert_int_eq(rpc_server_wait_gone(server, 5000), 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("remote ends");
	TCase *c = tcase_create("all");
	tcase_add_checked_fixture(c, setup, stop_all);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, codes_texts_and_trailers_arrive);
	tcase_add_test(c, an_answer_without_a_status_is_no_good_end);
	tcase_add_test(c, unknown_methods_are_unimplemented);
	tcase_add_test(c, a_method_that_says_nothing_is_an_internal_error);
	tcase_add_test(c, an_early_answer_stops_the_upload);
	tcase_add_test(c, a_cancelled_call_is_told_to_its_server);
	tcase_add_test(c, cancel_wakes_a_receiver_and_a_blocked_sender);
	tcase_add_test(c, a_callback_tells_of_the_end_once);
	tcase_add_test(c, a_receive_with_a_limit_comes_back_and_the_call_goes_on);
	tcase_add_test(c, a_lost_connection_ends_its_calls_as_unavailable);
	tcase_add_test(c, calls_outlive_their_channels_handle);
	suite_add_tcase(s, c);
	TCase *watching = unit_clock_case(s);
	tcase_add_checked_fixture(watching, setup, stop_all);
	tcase_set_timeout(watching, 60);
	tcase_add_test(watching, a_deadline_ends_a_call_on_both_sides);
	return s;
}

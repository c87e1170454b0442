// Strangers and greedy tenants: whose calls and connections have room, and which go.
#include "base/clock.h"
#include "base/log_limit.h"
#include "proto/health.pb-c.h"
#include "remote/shares.h"
#include "tests/unit/remote_fixture.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>

// ---- the rule -----------------------------------------------------------------------------------------------------------

static struct shares shares;

static void new_shares(uint32_t calls, uint32_t strange, uint32_t connections, uint32_t strange_connections)
{
	shares_init(&shares, calls, strange, connections, strange_connections);
}

static size_t calls_until_refused(const char *tenant)
{
	size_t n = 0;
	for (struct err e = ERR_INIT; n < 10000; n++) {
		struct charge c = {0};
		struct owner gone = {.is_gone = true};
		if (shares_admit(&shares, tenant, false, &c, &gone, &e) < 0) {
			ck_assert_int_eq(e.code, ERR_LIMIT);
			return n;
		}
	}
	return n;
}

START_TEST(a_greedy_tenant_gets_half_and_leaves_half)
{
	new_shares(1100, 100, 100, 25);
	ck_assert_uint_eq(calls_until_refused("a"), 500);
	ck_assert_uint_eq(calls_until_refused("b"), 250);
	ck_assert_uint_eq(calls_until_refused("c"), 125);
	ck_assert_uint_ge(calls_until_refused("d"), 62);
	shares_release(&shares);
}
END_TEST

START_TEST(strangers_take_nothing_from_tenants)
{
	struct charge c[100] = {{0}};
	struct owner nobody = {0};
	struct err e = ERR_INIT;
	new_shares(110, 10, 100, 25);
	size_t n = 0;
	uint16_t block = shares_bucket(&shares, "\xc0\x00\x02\x01", 4), other = block;
	for (uint8_t i = 0; other == block; i++)
		other = shares_bucket(&shares, (uint8_t[4]){10, i, 0, 1}, 4);
	ck_assert_uint_eq(block, shares_bucket(&shares, "\xc0\x00\x02\xfe", 4)); // the same /24
	while (shares_take_call(&shares, &nobody, block, n + 1, &c[n], &e) == 0)
		n++;
	ck_assert_uint_eq(n, 5); // half of the strangers' part
	ck_assert_int_eq(shares_take_call(&shares, &nobody, other, 1, &c[50], &e), 0);
	ck_assert_uint_eq(calls_until_refused("a"), 50);
	shares_give_call(&shares, &c[0]);
	shares_give_call(&shares, &c[50]);
	ck_assert_int_eq(shares_take_call(&shares, &nobody, block, 1, &c[0], &e), 0);
	shares_release(&shares);
}
END_TEST

START_TEST(an_admitted_call_leaves_the_strangers_and_its_connection_does_too)
{
	struct charge c = {0};
	struct owner owner = {0};
	struct err e = ERR_INIT;
	new_shares(110, 10, 100, 25);
	ck_assert_int_eq(shares_take_call(&shares, &owner, 3, 1, &c, &e), 0);
	ck_assert_uint_eq(shares.strange_calls, 1);
	ck_assert_int_eq(shares_admit(&shares, "a", false, &c, &owner, &e), 1);
	ck_assert_uint_eq(shares.strange_calls, 0);
	ck_assert_uint_eq(shares.calls, 1);
	ck_assert_uint_eq(shares.connections, 1);
	ck_assert_int_eq(shares_admit(&shares, "a", false, &c, &owner, &e), 0); // again: nothing more
	ck_assert_uint_eq(shares.calls, 1);
	shares_give_call(&shares, &c);
	shares_give_call(&shares, &c);
	ck_assert_uint_eq(shares.calls, 0);
	shares_close_connection(&shares, &owner);
	ck_assert_uint_eq(shares.connections, 0);
	ck_assert_uint_eq(shares.tenants.n, 0);
	shares_release(&shares);
}
END_TEST

START_TEST(a_tenant_with_all_its_connections_leaves_some)
{
	struct err e = ERR_INIT;
	size_t n = 0;
	new_shares(10000, 10, 125, 25);
	for (;; n++) {
		struct charge c = {0};
		struct owner owner = {0};
		if (shares_admit(&shares, "a", false, &c, &owner, &e) < 0)
			break;
	}
	ck_assert_uint_eq(n, 75); // of 100: three times what is left
	struct charge c = {0};
	struct owner owner = {0};
	ck_assert_int_eq(shares_admit(&shares, "b", false, &c, &owner, &e), 1);
	shares_release(&shares);
}
END_TEST

START_TEST(the_log_has_a_limit_and_says_what_it_left_out)
{
	struct log_limit l = LOG_LIMIT_INIT;
	uint64_t left_out;
	unsigned lines = 0;
	for (int i = 0; i < 6487; i++)
		lines += log_limit_take(&l, 1000 + i, &left_out);
	ck_assert_uint_eq(lines, LOG_LIMIT_LINES);
	ck_assert(log_limit_take(&l, 1000 + LOG_LIMIT_MS, &left_out));
	ck_assert_uint_eq(left_out, 6487 - LOG_LIMIT_LINES);
	ck_assert(log_limit_take(&l, 1001 + LOG_LIMIT_MS, &left_out));
	ck_assert_uint_eq(left_out, 0);
}
END_TEST

// ---- a server with shares -----------------------------------------------------------------------------------------------

static char bound[RPC_ADDRESS_MAX];

static int admit_tenant(struct rpc_call *call, void *arg)
{
	const char *who = rpc_call_metadata(call, "authorization");
	struct err e = ERR_INIT;
	(void)arg;
	if (!who)
		rpc_finish(call, RPC_UNAUTHENTICATED, "who is that");
	else if (rpc_call_admit(call, who, false, &e) < 0)
		rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "%s", e.text);
	else
		return 0;
	return -1;
}

static void serve_after_a_word(struct rpc_call *call, void *arg)
{
	char *p;
	size_t n;
	if (rpc_receive_bytes(call, -1, &p, &n, NULL) != 1)
		return;
	free(p);
	serve_wait(call, arg);
}

static const struct rpc_method quiet[] = {{.path = "/test.T/Echo", .serve = serve_echo},
					  {.path = "/test.T/Hold", .serve = serve_after_a_word}};

static void setup_shared(const struct rpc_limits *limits)
{
	struct rpc_server_config config = {
		.methods = quiet, .n_methods = COUNT_OF(quiet), .admit = admit_tenant, .limits = *limits};
	n_serving = n_cancelled = 0;
	err = (struct err)ERR_INIT;
	ck_assert_int_eq(loop_start(&loop, &err), 0);
	ck_assert_int_eq(rpc_server_new(loop, &config, &server, &err), 0);
	ck_assert_msg(rpc_server_listen(server, "127.0.0.1:0", NULL, bound, &err) == 0, "%s", err.text);
}

static struct rpc_channel *dial(void)
{
	struct rpc_channel *ch;
	ck_assert_msg(rpc_connect(loop, bound, NULL, 5000, &ch, &err) == 0, "%s", err.text);
	return ch;
}

static const struct rpc_call_options as_a = {.authorization = "a", .deadline_ms = 5000},
				     as_b = {.authorization = "b", .deadline_ms = 5000};

static void expect_echo(struct rpc_channel *ch, const struct rpc_call_options *as)
{
	struct rpc_call *call;
	ck_assert_int_eq(rpc_call_start(ch, "/test.T/Echo", as, &call, &err), 0);
	send_text(call, "hello");
	rpc_send_end(call);
	AUTO_FREE char *back = receive_text(call);
	ck_assert_str_eq(back, "hello");
	expect_end(call, RPC_OK, NULL);
}

static size_t threads_here(void)
{
	char line[256];
	size_t n = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "Threads: %zu", &n);
	fclose(f);
	return n;
}

// 800 headers of health checks, and not a word: 5,000 threads and no room for anybody, once.
START_TEST(silent_calls_of_a_stranger_hold_no_thread_and_no_tenant_back)
{
	enum { N = 800 };
	static struct rpc_call *calls[N];
	struct rpc_server_stats stats;
	setup_shared(&(struct rpc_limits){.calls = 200, .stranger_calls = 64, .first_message_ms = 1500});
	struct rpc_channel *stranger = dial(), *tenant = dial();
	size_t before = threads_here();
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(rpc_call_start(stranger, i % 2 ? "/grpc.health.v1.Health/Check" : "/test.T/Echo", NULL,
						&calls[i], &err),
				 0);
	expect_echo(tenant, &as_a);
	expect_echo(tenant, &as_b);
	ck_assert_uint_le(threads_here(), before + 2);
	rpc_server_stats(server, &stats);
	ck_assert_uint_ge(stats.refused, 1);
	int64_t from = clock_ms();
	for (int i = 0; i < N; i++) {
		enum rpc_code code = rpc_wait_status(calls[i])->code;
		ck_assert(code == RPC_RESOURCE_EXHAUSTED || code == RPC_DEADLINE_EXCEEDED);
		rpc_call_release(calls[i]);
	}
	ck_assert_int_lt(clock_ms() - from, 8000); // and they are gone after seconds
	rpc_channel_release(stranger);
	channel = tenant;
	stop_all();
}
END_TEST

START_TEST(one_tenants_open_calls_leave_room_for_another)
{
	enum { N = 100 };
	static struct rpc_call *calls[N];
	size_t refused = 0;
	setup_shared(&(struct rpc_limits){.calls = 80, .stranger_calls = 40});
	struct rpc_channel *greedy = dial(), *honest = dial();
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(rpc_call_start(greedy, "/test.T/Hold", &(struct rpc_call_options){.authorization = "a"},
						&calls[i], &err),
				 0);
		rpc_send_bytes(calls[i], "x", 1, NULL);
	}
	for (int i = 0; i < 500 && n_serving < 20; i++)
		usleep(10000);
	ck_assert_int_eq(n_serving, 20); // half of the 40 that are tenants'
	expect_echo(honest, &as_b);
	// They are told of it on their own connection, a moment later.
	for (int i = 0; i < 500 && refused < N - 20; i++) {
		usleep(10000);
		refused = 0;
		for (int k = 0; k < N; k++)
			refused += rpc_call_has_news(calls[k]);
	}
	ck_assert_uint_eq(refused, N - 20);
	for (int i = 0; i < N; i++)
		rpc_call_release(calls[i]);
	rpc_channel_release(greedy);
	channel = honest;
	stop_all();
}
END_TEST

START_TEST(idle_connections_of_strangers_make_room_and_tenants_stay)
{
	enum { N = 100 };
	int fds[N];
	struct rpc_server_stats stats;
	setup_shared(&(struct rpc_limits){.connections = 40, .stranger_connections = 10, .stranger_calls = 8});
	struct rpc_channel *early = dial();
	expect_echo(early, &as_a);
	char *colon = strrchr(bound, ':');
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < N; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&at, sizeof at), 0);
	}
	struct rpc_channel *late = dial();
	expect_echo(late, &as_b);
	expect_echo(early, &as_a);
	rpc_server_stats(server, &stats);
	ck_assert_uint_le(stats.strangers, 10);
	ck_assert_uint_ge(stats.crowded_out, N - 10);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	rpc_channel_release(late);
	channel = early;
	stop_all();
}
END_TEST

START_TEST(a_strangers_idle_connection_is_closed_after_seconds_when_room_is_short)
{
	setup_shared(&(struct rpc_limits){
		.connections = 40, .stranger_connections = 4, .stranger_calls = 8, .stranger_ms = 1000});
	struct rpc_channel *tenant = dial(), *idle[4];
	expect_echo(tenant, &as_a);
	for (int i = 0; i < 4; i++)
		idle[i] = dial();
	for (int i = 0; i < 2500 && rpc_channel_is_usable(idle[0]); i++)
		usleep(10000);
	ck_assert(!rpc_channel_is_usable(idle[0]));
	expect_echo(tenant, &as_a);
	for (int i = 0; i < 4; i++)
		rpc_channel_release(idle[i]);
	channel = tenant;
	stop_all();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("remote shares");
	TCase *c = tcase_create("rule");
	tcase_add_test(c, a_greedy_tenant_gets_half_and_leaves_half);
	tcase_add_test(c, strangers_take_nothing_from_tenants);
	tcase_add_test(c, an_admitted_call_leaves_the_strangers_and_its_connection_does_too);
	tcase_add_test(c, a_tenant_with_all_its_connections_leaves_some);
	tcase_add_test(c, the_log_has_a_limit_and_says_what_it_left_out);
	suite_add_tcase(s, c);
	c = tcase_create("server");
	tcase_set_timeout(c, 60);
	tcase_add_test(c, silent_calls_of_a_stranger_hold_no_thread_and_no_tenant_back);
	tcase_add_test(c, one_tenants_open_calls_leave_room_for_another);
	tcase_add_test(c, idle_connections_of_strangers_make_room_and_tenants_stay);
	tcase_add_test(c, a_strangers_idle_connection_is_closed_after_seconds_when_room_is_short);
	suite_add_tcase(s, c);
	return s;
}

// Connections: addresses, TLS with authorities and pins, certificates that change, targets that connect again, limits.
#include "auth/keys.h"
#include "proto/health.pb-c.h"
#include "remote/net/target.h"
#include "remote/net/tls.h"
#include "tests/unit/remote_fixture.h"

#include "base/clock.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sys/stat.h>

static char *directory;
static char bound[RPC_ADDRESS_MAX];
static struct rpc_tls *server_tls, *client_tls;

// Good for a few more of them.
static char *named_in_directory(const char *name, const char *suffix)
{
	static char path[8][512];
	static unsigned at;
	char *p = path[at++ % 8];
	snprintf(p, sizeof path[0], "%s/%s%s", directory, name, suffix);
	return p;
}

static char *in_directory(const char *name)
{
	return named_in_directory(name, "");
}

// ---- certificates -------------------------------------------------------------------------------------------------------

struct pair {
	EVP_PKEY *key;
	X509 *certificate;
};

static void make_pair_for(struct pair *p, const char *name, enum keys_role role, const char *alternative,
			  const struct pair *issuer, int days)
{
	const char *const names[] = {alternative, "URI:coffer://tenant/acme"};
	const struct keys_plan plan = {.role = role,
				       .common_name = name,
				       .names = names,
				       .n_names = alternative ? 2 : 0,
				       .days = days,
				       .issuer = issuer ? issuer->certificate : NULL,
				       .issuer_key = issuer ? issuer->key : NULL};
	AUTO_FREE char *key = mem_printf("%s/%s.key", directory, name), *pem = mem_printf("%s/%s.pem", directory, name);
	ck_assert_msg(keys_generate(&p->key, &err) == 0, "%s", err.text);
	ck_assert_msg(keys_make_certificate(&plan, p->key, &p->certificate, &err) == 0, "%s", err.text);
	ck_assert_msg(keys_write_private(key, p->key, &err) == 0, "%s", err.text);
	ck_assert_msg(keys_write_certificate(pem, p->certificate, &err) == 0, "%s", err.text);
}

static void make_pair(struct pair *p, const char *name, enum keys_role role, const char *alternative,
		      const struct pair *issuer)
{
	make_pair_for(p, name, role, alternative, issuer, 2);
}

static void free_pair(struct pair *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->certificate);
}

static void make_site(void)
{
	struct pair ca, other, leaf;
	make_pair(&ca, "ca", KEYS_CA, NULL, NULL);
	make_pair(&other, "other-ca", KEYS_CA, NULL, NULL);
	make_pair(&leaf, "server", KEYS_SERVER, "IP:127.0.0.1", &ca);
	free_pair(&leaf);
	make_pair(&leaf, "elsewhere", KEYS_SERVER, "DNS:elsewhere.example", &ca);
	free_pair(&leaf);
	make_pair(&leaf, "client", KEYS_CLIENT, "DNS:client.example", &ca);
	free_pair(&leaf);
	make_pair(&leaf, "stranger", KEYS_CLIENT, "DNS:stranger.example", &other);
	free_pair(&leaf);
	make_pair_for(&leaf, "expired", KEYS_CLIENT, "DNS:expired.example", &ca, -1);
	free_pair(&leaf);
	free_pair(&ca);
	free_pair(&other);
}

static void new_server_tls(const char *name, bool require)
{
	const struct rpc_tls_config config = {.certificate = named_in_directory(name, ".pem"),
					      .key = named_in_directory(name, ".key"),
					      .ca = in_directory("ca.pem"),
					      .require_client_certificate = require};
	ck_assert_msg(rpc_tls_server(&config, &server_tls, &err) == 0, "%s", err.text);
}

static void new_client_tls(const char *ca, const char *own)
{
	const struct rpc_tls_config config = {.ca = ca ? in_directory(ca) : NULL,
					      .certificate = own ? named_in_directory(own, ".pem") : NULL,
					      .key = own ? named_in_directory(own, ".key") : NULL};
	ck_assert_msg(rpc_tls_client(&config, &client_tls, &err) == 0, "%s", err.text);
}

// ---- fixture ------------------------------------------------------------------------------------------------------------

static void setup(void)
{
	directory = unit_directory();
	server_tls = client_tls = NULL;
	start_server(NULL);
}

static void setup_tls(void)
{
	setup();
	make_site();
}

static void teardown(void)
{
	stop_all();
	rpc_tls_free(server_tls);
	rpc_tls_free(client_tls);
	AUTO_FREE char *command = mem_printf("rm -rf '%s'", directory);
	ck_assert_int_eq(system(command), 0);
	free(directory);
}

static void listen_on(const char *address)
{
	ck_assert_msg(rpc_server_listen(server, address, server_tls, bound, &err) == 0, "%s", err.text);
}

static int try_connect(const struct rpc_channel_config *config)
{
	return rpc_connect(loop, bound, config, 5000, &channel, &err);
}

static void expect_refusal(const struct rpc_channel_config *config, const char *text)
{
	struct rpc_channel *ch;
	int rc = rpc_connect(loop, bound, config, 5000, &ch, &err);
	if (rc == 0) {
		// With TLS 1.3 a client may believe in the connection before the server has judged it.
		channel = ch;
		struct rpc_call *call;
		if (rpc_call_start(channel, "/test.T/Echo", NULL, &call, &err) == 0) {
			ck_assert_int_eq(rpc_wait_status(call)->code, RPC_UNAVAILABLE);
			err_set(&err, ERR_PEER, "%s", rpc_wait_status(call)->text);
			rpc_call_release(call);
		}
	}
	ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

// ---- plain --------------------------------------------------------------------------------------------------------------

START_TEST(calls_go_over_tcp_and_unix_sockets)
{
	listen_on("127.0.0.1:0");
	ck_assert_ptr_nonnull(strstr(bound, "127.0.0.1:"));
	ck_assert_str_ne(bound, "127.0.0.1:0");
	ck_assert_msg(try_connect(NULL) == 0, "%s", err.text);
	echo_once("tcp");
	ck_assert_str_eq(rpc_channel_peer(channel)->address, bound);
	rpc_channel_release(channel);
	AUTO_FREE char *path = mem_printf("unix:%s/s", directory);
	listen_on(path);
	struct stat st;
	ck_assert_int_eq(stat(in_directory("s"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_msg(try_connect(NULL) == 0, "%s", err.text);
	echo_once("unix");
}
END_TEST

START_TEST(a_dead_socket_is_replaced_and_a_live_one_is_not)
{
	AUTO_FREE char *path = mem_printf("unix:%s/s", directory);
	listen_on(path);
	ck_assert_int_eq(rpc_server_listen(server, path, NULL, bound, &err), -1);
	ck_assert_int_eq(err.code, ERR_FULL);
	rpc_server_free(server);
	server = NULL;
	ck_assert_int_eq(access(in_directory("s"), F_OK), -1); // it was removed
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct {
		sa_family_t family;
		char path[108];
	} a = {.family = AF_UNIX};
	snprintf(a.path, sizeof a.path, "%s/s", directory);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	close(fd);
	loop_stop(loop);
	start_server(NULL);
	listen_on(path);
	ck_assert_int_eq(try_connect(NULL), 0);
	echo_once("again");
}
END_TEST

START_TEST(nobody_there_is_an_error_within_the_time)
{
	snprintf(bound, sizeof bound, "127.0.0.1:1");
	ck_assert_int_eq(try_connect(NULL), -1);
	// A server that accepts and says nothing.
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	snprintf(bound, sizeof bound, "127.0.0.1:%u", ntohs(a.sin_port));
	int64_t began = clock_ms();
	ck_assert_int_eq(rpc_connect(loop, bound, NULL, 300, &channel, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	ck_assert_int_le(clock_ms() - began, 2000);
	close(fd);
}
END_TEST

START_TEST(connections_past_the_limit_are_closed)
{
	stop_all();
	start_server(&(struct rpc_limits){.connections = 3, .connections_per_address = 2});
	listen_on("127.0.0.1:0");
	struct rpc_channel *a, *b, *c;
	ck_assert_int_eq(rpc_connect(loop, bound, NULL, 3000, &a, &err), 0);
	ck_assert_int_eq(rpc_connect(loop, bound, NULL, 3000, &b, &err), 0);
	ck_assert_int_eq(rpc_connect(loop, bound, NULL, 3000, &c, &err), -1);
	rpc_channel_release(a);
	struct rpc_server_stats stats;
	for (int i = 0; i < 300; i++) {
		rpc_server_stats(server, &stats);
		if (stats.connections == 1)
			break;
		usleep(10000);
	}
	ck_assert_int_eq(rpc_connect(loop, bound, NULL, 3000, &c, &err), 0);
	rpc_channel_release(b);
	rpc_channel_release(c);
}
END_TEST

// ---- TLS ----------------------------------------------------------------------------------------------------------------

START_TEST(tls_by_authority_works_and_says_who_is_there)
{
	new_server_tls("server", true);
	new_client_tls("ca.pem", "client");
	listen_on("127.0.0.1:0");
	ck_assert_msg(try_connect(&(struct rpc_channel_config){.tls = client_tls}) == 0, "%s", err.text);
	echo_once("secret");
	struct rpc_call *call = start_call("/test.T/Meta", NULL);
	AUTO_FREE char *text = receive_text(call);
	ck_assert_str_eq(text, "-|-|/test.T/Meta|client|DNS:client.example");
	expect_end(call, RPC_OK, NULL);
	const struct rpc_peer *peer = rpc_channel_peer(channel);
	uint8_t sha256[32];
	ck_assert(peer->has_tls && peer->has_certificate);
	ck_assert_str_eq(peer->subject, "server");
	ck_assert_str_eq(peer->names[0], "IP:127.0.0.1");
	ck_assert_str_eq(peer->names[1], "URI:coffer://tenant/acme");
	ck_assert_int_eq(rpc_tls_fingerprint(server_tls, sha256), 0);
	ck_assert_mem_eq(peer->certificate_sha256, sha256, 32);
}
END_TEST

START_TEST(large_messages_pass_tls)
{
	new_server_tls("server", false);
	new_client_tls("ca.pem", NULL);
	listen_on("127.0.0.1:0");
	ck_assert_msg(try_connect(&(struct rpc_channel_config){.tls = client_tls}) == 0, "%s", err.text);
	struct rpc_call *call = start_call("/test.T/Source", NULL);
	send_text(call, "100 1000000");
	rpc_send_end(call);
	char *p;
	size_t n, sum = 0;
	while (rpc_receive_bytes(call, 20000, &p, &n, &err) == 1) {
		sum += n;
		free(p);
	}
	ck_assert_uint_eq(sum, 100000000);
	expect_end(call, RPC_OK, NULL);
}
END_TEST

// The server hears of it a moment later.
static void expect_handshakes(enum rpc_handshake cause, uint64_t n)
{
	struct rpc_server_stats stats = {0};
	for (int i = 0; i < 500 && stats.handshakes[cause] != n; i++) {
		usleep(10000);
		rpc_server_stats(server, &stats);
	}
	ck_assert_uint_eq(stats.handshakes[cause], n);
}

START_TEST(a_server_that_is_not_trusted_is_refused)
{
	new_server_tls("server", false);
	listen_on("127.0.0.1:0");
	new_client_tls("other-ca.pem", NULL);
	expect_refusal(&(struct rpc_channel_config){.tls = client_tls}, "not trusted");
	rpc_tls_free(client_tls);
	new_client_tls("ca.pem", NULL);
	expect_refusal(&(struct rpc_channel_config){.tls = client_tls, .server_name = "wrong.example"}, "for another name");
	expect_handshakes(RPC_HANDSHAKE_REJECTED, 2);
}
END_TEST

START_TEST(a_pinned_certificate_is_the_only_one_that_does)
{
	uint8_t pin[32];
	new_server_tls("elsewhere", false); // whose name would not do
	listen_on("127.0.0.1:0");
	new_client_tls(NULL, NULL);
	ck_assert_int_eq(rpc_tls_fingerprint(server_tls, pin), 0);
	ck_assert_msg(try_connect(&(struct rpc_channel_config){.tls = client_tls, .pin_sha256 = pin}) == 0, "%s", err.text);
	echo_once("pinned");
	rpc_channel_release(channel);
	channel = NULL;
	pin[31] ^= 1;
	expect_refusal(&(struct rpc_channel_config){.tls = client_tls, .pin_sha256 = pin}, "not the pinned one");
}
END_TEST

START_TEST(a_client_without_a_good_certificate_is_refused)
{
	new_server_tls("server", true);
	listen_on("127.0.0.1:0");
	new_client_tls("ca.pem", NULL);
	expect_refusal(&(struct rpc_channel_config){.tls = client_tls}, "");
	rpc_channel_release(channel);
	channel = NULL;
	rpc_tls_free(client_tls);
	new_client_tls("ca.pem", "stranger");
	expect_refusal(&(struct rpc_channel_config){.tls = client_tls}, "the authority that has signed our certificate");
	rpc_channel_release(channel);
	channel = NULL;
	rpc_tls_free(client_tls);
	new_client_tls("ca.pem", "expired");
	expect_refusal(&(struct rpc_channel_config){.tls = client_tls}, "our certificate has expired");
	ck_assert_int_eq(n_admitted, 0);
	expect_handshakes(RPC_HANDSHAKE_UNTRUSTED, 2);
	expect_handshakes(RPC_HANDSHAKE_EXPIRED, 1);
}
END_TEST

START_TEST(a_reload_changes_new_connections_and_keeps_old_ones)
{
	AUTO_FREE char *first = mem_printf("cd %s && cp -f server.pem now.pem && cp -f server.key now.key", directory);
	AUTO_FREE char *second =
		mem_printf("cd %s && cp -f elsewhere.pem now.pem && cp -f elsewhere.key now.key", directory);
	ck_assert_int_eq(system(first), 0);
	new_server_tls("now", false);
	listen_on("127.0.0.1:0");
	new_client_tls("ca.pem", NULL);
	ck_assert_msg(try_connect(&(struct rpc_channel_config){.tls = client_tls}) == 0, "%s", err.text);
	struct rpc_call *call = start_call("/test.T/Echo", NULL);
	send_text(call, "before");
	free(receive_text(call));
	ck_assert_int_eq(system(second), 0);
	ck_assert_msg(rpc_tls_reload(server_tls, &err) == 0, "%s", err.text);
	send_text(call, "after");
	free(receive_text(call));
	rpc_send_end(call);
	expect_end(call, RPC_OK, NULL);
	struct rpc_channel *old = channel;
	ck_assert_msg(try_connect(&(struct rpc_channel_config){.tls = client_tls, .server_name = "elsewhere.example"}) == 0,
		      "%s", err.text);
	echo_once("new");
	rpc_channel_release(old);
	// Broken files change nothing.
	ck_assert_int_eq(truncate(in_directory("now.pem"), 10), 0);
	ck_assert_int_eq(rpc_tls_reload(server_tls, &err), -1);
	rpc_channel_release(channel);
	ck_assert_int_eq(try_connect(&(struct rpc_channel_config){.tls = client_tls, .server_name = "elsewhere.example"}),
			 0);
	echo_once("still");
}
END_TEST

START_TEST(plain_text_and_tls_do_not_meet)
{
	new_server_tls("server", false);
	listen_on("127.0.0.1:0");
	expect_refusal(NULL, "");
	expect_handshakes(RPC_HANDSHAKE_VERSION, 1);
	struct rpc_tls *keep = server_tls;
	server_tls = NULL;
	listen_on("127.0.0.1:0");
	server_tls = keep;
	new_client_tls("ca.pem", NULL);
	expect_refusal(&(struct rpc_channel_config){.tls = client_tls}, "");
}
END_TEST

START_TEST(contexts_without_what_they_need_are_refused)
{
	struct rpc_tls *t;
	ck_assert_int_eq(rpc_tls_server(NULL, &t, &err), -1);
	ck_assert_int_eq(err.code, ERR_USAGE);
	const struct rpc_tls_config half = {.certificate = in_directory("server.pem")};
	ck_assert_int_eq(rpc_tls_client(&half, &t, &err), -1);
	const struct rpc_tls_config wrong = {.certificate = in_directory("server.pem"), .key = in_directory("client.key")};
	ck_assert_int_eq(rpc_tls_server(&wrong, &t, &err), -1);
	const struct rpc_tls_config none = {.certificate = in_directory("none"), .key = in_directory("none")};
	ck_assert_int_eq(rpc_tls_server(&none, &t, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "none"));
	const struct rpc_tls_config blind = {.certificate = in_directory("server.pem"),
					     .key = in_directory("server.key"),
					     .require_client_certificate = true};
	ck_assert_int_eq(rpc_tls_server(&blind, &t, &err), -1);
}
END_TEST

// ---- targets ------------------------------------------------------------------------------------------------------------

START_TEST(a_target_connects_again_after_a_pause)
{
	listen_on("127.0.0.1:0");
	struct rpc_target *t = rpc_target_new(loop, bound, NULL);
	struct rpc_channel *a, *b;
	ck_assert_int_eq(rpc_target_channel(t, 3000, &a, &err), 0);
	ck_assert_int_eq(rpc_target_channel(t, 3000, &b, &err), 0);
	ck_assert_ptr_eq(a, b);
	rpc_channel_release(b);
	rpc_server_free(server);
	for (int i = 0; i < 500 && rpc_channel_is_usable(a); i++)
		usleep(10000);
	rpc_channel_release(a);
	ck_assert_int_eq(rpc_target_channel(t, 3000, &a, &err), -1);
	int64_t began = clock_ms();
	ck_assert_int_eq(rpc_target_channel(t, 3000, &a, &err), -1); // at once
	ck_assert_int_le(clock_ms() - began, 100);
	const struct rpc_server_config config = {.methods = methods, .n_methods = COUNT_OF(methods)};
	ck_assert_int_eq(rpc_server_new(loop, &config, &server, &err), 0);
	char again[RPC_ADDRESS_MAX];
	ck_assert_msg(rpc_server_listen(server, bound, NULL, again, &err) == 0, "%s", err.text);
	rpc_target_retry(t);
	ck_assert_msg(rpc_target_channel(t, 3000, &channel, &err) == 0, "%s", err.text);
	echo_once("back");
	rpc_target_free(t);
	echo_once("handles outlive their target");
}
END_TEST

START_TEST(a_target_of_several_addresses_takes_the_one_that_answers)
{
	char all[2 * RPC_ADDRESS_MAX + 32];
	listen_on("127.0.0.1:0");
	snprintf(all, sizeof all, "127.0.0.1:1, %s 127.0.0.1:1", bound);
	for (int i = 0; i < 5; i++) { // whichever is first
		struct rpc_target *t = rpc_target_new(loop, all, NULL);
		ck_assert_msg(rpc_target_channel(t, 3000, &channel, &err) == 0, "%s", err.text);
		echo_once("there");
		rpc_channel_release(TAKE(channel));
		rpc_target_free(t);
	}
	struct rpc_target *none = rpc_target_new(loop, " , ", NULL);
	ck_assert_int_eq(rpc_target_channel(none, 100, &channel, &err), -1);
	rpc_target_free(none);
}
END_TEST

static struct rpc_target *shared;

static void *use_target(void *out)
{
	struct rpc_channel *ch;
	struct err e = ERR_INIT;
	ck_assert_msg(rpc_target_channel(shared, 5000, &ch, &e) == 0, "%s", e.text);
	*(struct rpc_channel **)out = ch;
	return NULL;
}

START_TEST(threads_share_one_attempt)
{
	struct rpc_channel *got[8];
	pthread_t t[8];
	listen_on("127.0.0.1:0");
	shared = rpc_target_new(loop, bound, NULL);
	for (size_t i = 0; i < COUNT_OF(t); i++)
		pthread_create(&t[i], NULL, use_target, &got[i]);
	for (size_t i = 0; i < COUNT_OF(t); i++)
		pthread_join(t[i], NULL);
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		ck_assert_ptr_eq(got[i], got[0]);
		rpc_channel_release(got[i]);
	}
	rpc_target_free(shared);
	ck_assert_int_eq(rpc_server_wait_gone(server, 5000), 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("remote connections");
	TCase *c = tcase_create("plain");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, calls_go_over_tcp_and_unix_sockets);
	tcase_add_test(c, a_dead_socket_is_replaced_and_a_live_one_is_not);
	tcase_add_test(c, connections_past_the_limit_are_closed);
	tcase_add_test(c, threads_share_one_attempt);
	suite_add_tcase(s, c);
	c = tcase_create("tls");
	tcase_add_checked_fixture(c, setup_tls, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, tls_by_authority_works_and_says_who_is_there);
	tcase_add_test(c, large_messages_pass_tls);
	tcase_add_test(c, a_server_that_is_not_trusted_is_refused);
	tcase_add_test(c, a_pinned_certificate_is_the_only_one_that_does);
	tcase_add_test(c, a_client_without_a_good_certificate_is_refused);
	tcase_add_test(c, a_reload_changes_new_connections_and_keeps_old_ones);
	tcase_add_test(c, plain_text_and_tls_do_not_meet);
	tcase_add_test(c, contexts_without_what_they_need_are_refused);
	suite_add_tcase(s, c);
	TCase *watching = unit_clock_case(s);
	tcase_add_checked_fixture(watching, setup, teardown);
	tcase_set_timeout(watching, 60);
	tcase_add_test(watching, nobody_there_is_an_error_within_the_time);
	tcase_add_test(watching, a_target_connects_again_after_a_pause);
	tcase_add_test(watching, a_target_of_several_addresses_takes_the_one_that_answers);
	return s;
}

// The operators' port, by raw bytes over a socket.
#include "service/admin.h"

#include "base/file.h"
#include "base/mem.h"
#include "service/metrics.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct admin *admin;
static char bound[ADMIN_ADDRESS_MAX];
static struct err err;
static char got[65536];

static int metrics_page(void *ctx, struct buf *body)
{
	(void)ctx;
	metrics_single(body, "coffer_jobs_total", "counter", "jobs done", 17);
	metrics_family(body, "coffer_slots", "gauge", "slots");
	metrics_value(body, "coffer_slots", (const struct metrics_label[]){{"worker", "a\"b\\c\nd"}, {"x", "y"}}, 2, 4);
	return 200;
}

static int health_page(void *ctx, struct buf *body)
{
	(void)ctx;
	buf_adds(body, "not yet\n");
	return 503;
}

static int status_page(void *ctx, struct buf *body)
{
	(void)ctx;
	buf_adds(body, "{\"tenant\":\"acme\"}\n");
	return 200;
}

static const struct admin_page pages[] = {{"/metrics", "text/plain; version=0.0.4", metrics_page, ADMIN_ANYBODY},
					  {"/healthz", "text/plain", health_page, ADMIN_ANYBODY},
					  {"/status", "application/json", status_page, ADMIN_OPERATORS}};

static struct admin_config config_of(const char *address)
{
	return (struct admin_config){.address = address, .pages = pages, .n_pages = COUNT_OF(pages)};
}

static void start_at(const char *address, const char *token_file)
{
	struct admin_config config = config_of(address);
	config.token_file = token_file;
	ck_assert_msg(admin_start(&config, bound, &admin, &err) == 0, "%s", err.text);
}

static void setup(void)
{
	start_at("127.0.0.1:0", NULL);
}

static void teardown(void)
{
	admin_stop(admin);
}

static int connected(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	to.sin_port = htons((uint16_t)atoi(strrchr(bound, ':') + 1));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static const char *answer_of(int fd)
{
	size_t n = 0;
	for (ssize_t r; n < sizeof got - 1 && (r = recv(fd, got + n, sizeof got - 1 - n, 0)) > 0;)
		n += (size_t)r;
	got[n] = '\0';
	close(fd);
	return got;
}

static const char *ask(const char *request)
{
	int fd = connected();
	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	return answer_of(fd);
}

static void answers(const char *request, const char *status)
{
	const char *text = ask(request);
	ck_assert_msg(strncmp(text, status, strlen(status)) == 0, "%s", text);
}

START_TEST(silent_connections_do_not_shut_anybody_out)
{
	int silent[64];
	for (size_t i = 0; i < COUNT_OF(silent); i++)
		silent[i] = connected();
	answers("GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 503");
	for (size_t i = 0; i < COUNT_OF(silent); i++)
		close(silent[i]);
}
END_TEST

START_TEST(a_page_is_answered_whole)
{
	answers("GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n");
	ck_assert_ptr_nonnull(strstr(got, "Content-Type: text/plain; version=0.0.4\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "\r\n\r\n# HELP coffer_jobs_total jobs done\n# TYPE coffer_jobs_total counter\n"
					  "coffer_jobs_total 17\n"));
	ck_assert_ptr_nonnull(strstr(got, "coffer_slots{worker=\"a\\\"b\\\\c\\nd\",x=\"y\"} 4\n"));
}
END_TEST

START_TEST(head_has_no_body)
{
	answers("HEAD /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n");
	ck_assert_str_eq(strstr(got, "\r\n\r\n"), "\r\n\r\n");
}
END_TEST

START_TEST(a_page_may_say_that_it_is_not_well)
{
	answers("GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n");
}
END_TEST

START_TEST(what_is_not_understood_is_refused)
{
	answers("GET /nothing HTTP/1.1\r\n\r\n", "HTTP/1.1 404");
	answers("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405");
	answers("GET\r\n\r\n", "HTTP/1.1 400");
	answers("GET /metrics\r\n\r\n", "HTTP/1.1 400");
	answers("GET metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400");
	answers("GET /metrics HTTP/2.0\r\n\r\n", "HTTP/1.1 400");
	answers("\r\n\r\n", "HTTP/1.1 400");
	int fd = connected();
	ck_assert_int_eq(send(fd, "GET /metrics\0HTTP/1.1\r\n\r\n", 26, MSG_NOSIGNAL), 26);
	ck_assert_ptr_nonnull(strstr(answer_of(fd), " 400 "));
}
END_TEST

START_TEST(a_request_has_a_limit)
{
	char *big = mem_alloc(ADMIN_MAX_REQUEST + 3000);
	memset(big, 'x', ADMIN_MAX_REQUEST + 2999);
	answers(big, "HTTP/1.1 431");
	free(big);
}
END_TEST

START_TEST(slow_clients_do_not_keep_others_out)
{
	int slow[ADMIN_MAX_CLIENTS - 1];
	for (size_t i = 0; i < COUNT_OF(slow); i++) {
		slow[i] = connected();
		ck_assert_int_eq(send(slow[i], "G", 1, MSG_NOSIGNAL), 1);
	}
	time_t start = time(NULL);
	answers("GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200");
	ck_assert_int_le(time(NULL) - start, 2);
	// And they are sent away in the end.
	ck_assert_str_eq(answer_of(slow[0]), "");
	for (size_t i = 1; i < COUNT_OF(slow); i++)
		close(slow[i]);
}
END_TEST

START_TEST(an_address_in_use_is_an_error)
{
	struct admin *second;
	struct admin_config config = config_of(bound);
	ck_assert_int_eq(admin_start(&config, NULL, &second, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "cannot listen at"));
	config = config_of("nonsense");
	ck_assert_int_eq(admin_start(&config, NULL, &second, &err), -1);
}
END_TEST

START_TEST(the_page_is_for_browsers)
{
	const char *text = ask("GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
	ck_assert_msg(strncmp(text, "HTTP/1.1 200", 12) == 0, "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "text/html"));
	ck_assert_ptr_nonnull(strstr(text, "Content-Security-Policy: default-src 'none'"));
	ck_assert_ptr_nonnull(strstr(text, "<!doctype html>"));
	ck_assert_ptr_nonnull(strstr(text, "</script>"));
}
END_TEST

// A web page in a browser here could have its own name point to this machine.
START_TEST(a_loopback_address_answers_to_its_own_names_only)
{
	answers("GET /status HTTP/1.1\r\n\r\n", "HTTP/1.1 200");
	answers("GET /status HTTP/1.1\r\nHost: 127.0.0.1:7421\r\n\r\n", "HTTP/1.1 200");
	answers("GET /status HTTP/1.1\r\nX: y\r\nhost:  localhost:7421\r\n\r\n", "HTTP/1.1 200");
	answers("GET /status HTTP/1.1\r\nHost: [::1]:7421\r\n\r\n", "HTTP/1.1 200");
	answers("GET /status HTTP/1.1\r\nHost: example.org:7421\r\n\r\n", "HTTP/1.1 403");
	answers("GET /status HTTP/1.1\r\nHost: 127.0.0.1.example.org:7421\r\n\r\n", "HTTP/1.1 403");
	answers("GET /status HTTP/1.1\r\nHost: unix:7421\r\n\r\n", "HTTP/1.1 403");
	answers("GET /metrics HTTP/1.1\r\nHost: example.org:7421\r\n\r\n", "HTTP/1.1 200");
}
END_TEST

START_TEST(an_address_that_others_reach_needs_a_token)
{
	AUTO_FREE char *top = unit_directory(), *file = mem_printf("%s/token", top);
	struct admin_config config = config_of("127.0.0.1:0");
	struct admin *second;
	admin_stop(admin);
	start_at("0.0.0.0:0", NULL);
	answers("GET /status HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", "HTTP/1.1 403");
	ck_assert_ptr_nonnull(strstr(got, "admin_token_file"));
	answers("GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200");
	admin_stop(admin);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, file, "0123456789abcdef\n", 17, 0600, &err), 0);
	start_at("0.0.0.0:0", file);
	answers("GET /status HTTP/1.1\r\n\r\n", "HTTP/1.1 401");
	answers("GET /status HTTP/1.1\r\nAuthorization: Bearer 0123456789abcdeX\r\n\r\n", "HTTP/1.1 401");
	answers("GET /status HTTP/1.1\r\nAuthorization: Bearer 0123456789abcdef0\r\n\r\n", "HTTP/1.1 401");
	answers("GET /status HTTP/1.1\r\nauthorization: bearer 0123456789abcdef\r\nHost: example.org\r\n\r\n",
		"HTTP/1.1 200");
	answers("GET /?token=x HTTP/1.1\r\n\r\n", "HTTP/1.1 200");
	// One that can be guessed is none.
	config.token_file = file;
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, file, "short\n", 6, 0600, &err), 0);
	ck_assert_int_eq(admin_start(&config, NULL, &second, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "fewer than 16"));
	unlink(file);
	rmdir(top);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("admin");
	TCase *tc = tcase_create("admin");
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, silent_connections_do_not_shut_anybody_out);
	tcase_add_test(tc, a_page_is_answered_whole);
	tcase_add_test(tc, head_has_no_body);
	tcase_add_test(tc, a_page_may_say_that_it_is_not_well);
	tcase_add_test(tc, what_is_not_understood_is_refused);
	tcase_add_test(tc, a_request_has_a_limit);
	tcase_add_test(tc, slow_clients_do_not_keep_others_out);
	tcase_add_test(tc, an_address_in_use_is_an_error);
	tcase_add_test(tc, the_page_is_for_browsers);
	tcase_add_test(tc, a_loopback_address_answers_to_its_own_names_only);
	tcase_add_test(tc, an_address_that_others_reach_needs_a_token);
	suite_add_tcase(s, tc);
	return s;
}

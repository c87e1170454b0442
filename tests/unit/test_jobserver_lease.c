// A launcher's loan against a server that is played by the test: whatever happens there, the build goes on.
#include "jobserver/client/lease.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char dir[64], path[96];
static int listener = -1;
static struct lease l;
static struct err err;

static void setup(void)
{
	snprintf(dir, sizeof dir, "/tmp/coffer-test.XXXXXX");
	ck_assert(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/socket", dir);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	strcpy(addr.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	setenv("COFFER_JOBSERVER", path, 1);
	unsetenv("COFFER_JOBSERVER_AUTH");
	unsetenv("MAKEFLAGS");
	l = (struct lease)LEASE_INIT;
	err_clear(&err);
}

static void teardown(void)
{
	lease_close(&l);
	close(listener);
	unlink(path);
	char fifo[96];
	snprintf(fifo, sizeof fifo, "%s/fifo", dir);
	unlink(fifo);
	rmdir(dir);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// A server in a child process: greets, then answers 'L' as `behave` says. Its exit status says whether all was as it
// should be: the greeting came, then "R", then "L".
enum behave { ANSWER, STAY_SILENT, HANG_UP, SAY_NONSENSE, BAD_HELLO, NO_HELLO };

static pid_t serve(enum behave how, uint8_t limit_s)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	int fd = accept(listener, NULL, NULL);
	uint8_t bytes[LEASE_HELLO_SIZE], msg;
	struct lease_hello theirs;
	if (recv(fd, bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes || !lease_get_hello(&theirs, bytes) ||
	    theirs.role != LEASE_LAUNCHER)
		_exit(1);
	if (how == NO_HELLO)
		_exit(0);
	lease_put_hello(bytes, &(struct lease_hello){.role = LEASE_SERVER, .flags = LEASE_WILL_GO, .limit_s = limit_s});
	bytes[0] ^= how == BAD_HELLO;
	if (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) != sizeof bytes)
		_exit(2);
	if (how == BAD_HELLO)
		_exit(recv(fd, &msg, 1, 0) == 0 ? 0 : 3);
	if (recv(fd, &msg, 1, 0) != 1 || msg != 'R' || recv(fd, &msg, 1, 0) != 1 || msg != 'L')
		_exit(4);
	if (how == ANSWER || how == SAY_NONSENSE)
		send(fd, how == ANSWER ? "G" : "?", 1, MSG_NOSIGNAL);
	if (how != HANG_UP)
		while (recv(fd, &msg, 1, 0) == 1)
			;
	_exit(0);
}

static void expect_clean(pid_t pid)
{
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "the server saw something else: %d", status >> 8);
}

START_TEST(a_loan_is_announced_returned_and_waited_for)
{
	pid_t pid = serve(ANSWER, 20);
	ck_assert_msg(lease_open(&l, &err) == 1, "%s", err.text);
	lease_remote(&l);
	ck_assert(l.on_loan);
	ck_assert(lease_return(&l));
	ck_assert(!l.on_loan);
	lease_close(&l);
	expect_clean(pid);
}
END_TEST

START_TEST(nothing_lent_is_nothing_to_wait_for)
{
	ck_assert(lease_return(&l));
	unsetenv("COFFER_JOBSERVER");
	ck_assert_int_eq(lease_open(&l, &err), 0);
	lease_remote(&l);
	ck_assert(!l.on_loan);
	ck_assert(lease_return(&l));
}
END_TEST

START_TEST(silence_ends_after_the_limit_that_the_server_named)
{
	pid_t pid = serve(STAY_SILENT, 1);
	ck_assert_int_eq(lease_open(&l, &err), 1);
	lease_remote(&l);
	int64_t start = now_ms();
	ck_assert(!lease_return(&l));
	ck_assert_int_ge(now_ms() - start, 900);
	ck_assert_msg(l.fd < 0, "a late answer cannot be mistaken for the next one");
	expect_clean(pid);
}
END_TEST

START_TEST(a_server_that_ends_lets_us_go_at_once)
{
	pid_t pid = serve(HANG_UP, 20);
	ck_assert_int_eq(lease_open(&l, &err), 1);
	lease_remote(&l);
	int64_t start = now_ms();
	ck_assert(!lease_return(&l));
	ck_assert_int_le(now_ms() - start, 5000);
	expect_clean(pid);
	lease_remote(&l);
	ck_assert(!l.on_loan);
}
END_TEST

START_TEST(nonsense_lets_us_go_too)
{
	pid_t pid = serve(SAY_NONSENSE, 20);
	ck_assert_int_eq(lease_open(&l, &err), 1);
	lease_remote(&l);
	ck_assert(!lease_return(&l));
	expect_clean(pid);
}
END_TEST

START_TEST(a_server_of_another_kind_is_an_error_and_lends_nothing)
{
	pid_t pid = serve(BAD_HELLO, 20);
	ck_assert_int_eq(lease_open(&l, &err), -1);
	ck_assert_int_eq(err.code, ERR_PEER);
	expect_clean(pid);
	pid = serve(NO_HELLO, 20);
	ck_assert_int_eq(lease_open(&l, &err), -1);
	expect_clean(pid);
	setenv("COFFER_JOBSERVER", "/nonexistent/socket", 1);
	ck_assert_int_eq(lease_open(&l, &err), -1);
	char longer[300];
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	setenv("COFFER_JOBSERVER", longer, 1);
	ck_assert_int_eq(lease_open(&l, &err), -1);
	lease_remote(&l);
	ck_assert(lease_return(&l));
}
END_TEST

START_TEST(a_make_that_left_the_pool_lends_nothing_to_it)
{
	setenv("COFFER_JOBSERVER_AUTH", "200,201", 1);
	setenv("MAKEFLAGS", " -j64 --jobserver-auth=3,4", 1);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = accept(listener, NULL, NULL);
		uint8_t bytes[LEASE_HELLO_SIZE];
		struct lease_hello theirs;
		bool ok = recv(fd, bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes && lease_get_hello(&theirs, bytes);
		lease_put_hello(bytes, &(struct lease_hello){.role = LEASE_SERVER});
		send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
		_exit(!(ok && theirs.role == LEASE_LEFT && recv(fd, bytes, 1, 0) == 0));
	}
	ck_assert_int_eq(lease_open(&l, &err), 0);
	lease_remote(&l);
	ck_assert(!l.on_loan);
	expect_clean(pid);
}
END_TEST

// ---- without a front end -------------------------------------------------------------------------------------------

static int make_fifo(int jobs)
{
	char fifo[96], flags[160];
	snprintf(fifo, sizeof fifo, "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	snprintf(flags, sizeof flags, " -j%d --jobserver-auth=fifo:%s", jobs, fifo);
	setenv("MAKEFLAGS", flags, 1);
	unsetenv("COFFER_JOBSERVER");
	return open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

START_TEST(under_a_plain_make_the_token_is_lent_to_it)
{
	int fifo = make_fifo(2);
	char token;
	ck_assert_int_eq(lease_open(&l, &err), 1);
	lease_remote(&l);
	ck_assert_int_eq(read(fifo, &token, 1), 1);
	int64_t start = now_ms();
	pid_t pid = fork();
	if (pid == 0) {
		poll(NULL, 0, 100);
		_exit(write(fifo, "+", 1) != 1);
	}
	ck_assert(lease_return(&l));
	ck_assert_int_ge(now_ms() - start, 50);
	ck_assert_msg(read(fifo, &token, 1) < 0, "and taken back");
	expect_clean(pid);
	close(fifo);
}
END_TEST

START_TEST(a_token_that_does_not_come_back_is_not_waited_for_for_ever)
{
	int fifo = make_fifo(2);
	char token;
	ck_assert_int_eq(lease_open(&l, &err), 1);
	l.limit_ms = 100;
	lease_remote(&l);
	ck_assert_int_eq(read(fifo, &token, 1), 1);
	ck_assert(!lease_return(&l));
	close(fifo);
}
END_TEST

START_TEST(where_it_is_not_safe_nothing_is_lent)
{
	int fifo = make_fifo(100000);
	ck_assert_msg(lease_open(&l, &err) == 0, "-j is far above the cores");
	setenv("MAKEFLAGS", " -j2", 1);
	ck_assert_int_eq(lease_open(&l, &err), 0);
	setenv("MAKEFLAGS", " -j2 --jobserver-auth=-2,-2", 1);
	ck_assert_int_eq(lease_open(&l, &err), 0);
	setenv("MAKEFLAGS", " -j2 --jobserver-auth=0,1", 1);
	ck_assert_msg(lease_open(&l, &err) == 0, "no make above us has such a pipe");
	setenv("MAKEFLAGS", " -j --jobserver-auth=3,4", 1);
	ck_assert_int_eq(lease_open(&l, &err), 0);
	close(fifo);
	char path_too_long[400];
	snprintf(path_too_long, sizeof path_too_long, " -j2 --jobserver-auth=fifo:/%0300d", 1);
	setenv("MAKEFLAGS", path_too_long, 1);
	ck_assert_int_eq(lease_open(&l, &err), 0);
}
END_TEST

START_TEST(lending_can_be_turned_off)
{
	int fifo = make_fifo(2);
	setenv("COFFER_LEND", "0", 1);
	ck_assert_int_eq(lease_open(&l, &err), 0);
	unsetenv("COFFER_LEND");
	close(fifo);
}
END_TEST

// Answers one query with a text and hangs up.
static long idle_slots_of(const char *text)
{
	pid_t pid = fork();
	if (pid == 0) {
		int fd = accept(listener, NULL, NULL);
		uint8_t bytes[LEASE_HELLO_SIZE];
		struct lease_hello h;
		if (recv(fd, bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes || !lease_get_hello(&h, bytes) ||
		    h.role != LEASE_QUERY)
			_exit(1);
		lease_put_hello(bytes, &(struct lease_hello){.role = LEASE_SERVER});
		_exit(send(fd, bytes, sizeof bytes, 0) == sizeof bytes &&
				      send(fd, text, strlen(text), 0) == (ssize_t)strlen(text)
			      ? 0
			      : 1);
	}
	long n = lease_idle_slots(path);
	int status;
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	return n;
}

START_TEST(a_front_end_tells_of_its_idle_slots)
{
	ck_assert_int_eq(idle_slots_of("limit 4 local 1 remote 7 held 0 unread 2 loans 9\n"), 3);
	ck_assert_int_eq(idle_slots_of("limit 4 local 4 remote 7 held 0 unread 2 loans 9\n"), 0);
	ck_assert_int_eq(idle_slots_of("limit 4 local 6 remote 0 held 0 unread 0 loans 0\n"), 0);
	ck_assert_int_eq(idle_slots_of("limit 4 local 1"), -1); // cut off
	ck_assert_int_eq(idle_slots_of("limit 4\n"), -1);
	ck_assert_int_eq(idle_slots_of("limit x local 1\n"), -1);
	ck_assert_int_eq(idle_slots_of("limit 99999999999999999999 local 1\n"), -1);
	char text[1000];
	snprintf(text, sizeof text, "limit 4 local %0900d\n", 1);
	ck_assert_int_eq(idle_slots_of(text), -1);
	ck_assert_int_eq(lease_idle_slots("/nonexistent/socket"), -1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("jobserver lease");
	TCase *t = tcase_create("lease");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_loan_is_announced_returned_and_waited_for);
	tcase_add_test(t, nothing_lent_is_nothing_to_wait_for);
	tcase_add_test(t, silence_ends_after_the_limit_that_the_server_named);
	tcase_add_test(t, a_server_that_ends_lets_us_go_at_once);
	tcase_add_test(t, nonsense_lets_us_go_too);
	tcase_add_test(t, a_server_of_another_kind_is_an_error_and_lends_nothing);
	tcase_add_test(t, a_make_that_left_the_pool_lends_nothing_to_it);
	tcase_add_test(t, under_a_plain_make_the_token_is_lent_to_it);
	tcase_add_test(t, a_token_that_does_not_come_back_is_not_waited_for_for_ever);
	tcase_add_test(t, where_it_is_not_safe_nothing_is_lent);
	tcase_add_test(t, lending_can_be_turned_off);
	tcase_add_test(t, a_front_end_tells_of_its_idle_slots);
	suite_add_tcase(s, t);
	return s;
}

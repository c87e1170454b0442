// The worker's side of a microVM: what a guest and its monitor may say, and what a saved one is worth.
#include "worker/runtime/qmp.h"
#include "worker/runtime/snapshot.h"
#include "worker/runtime/vm.h"

#include "base/tree.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;

// ---- what a guest says ----------------------------------------------------------------------------------------------

// As if the guest said `text` and nothing more.
static int expect_said(const char *text, bool is_closed)
{
	int pair[2];
	err_clear(&err);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(write(pair[1], text, strlen(text)), (ssize_t)strlen(text));
	if (is_closed)
		close(pair[1]);
	int rc = vm_expect(pair[0], VM_READY, 50, &err);
	close(pair[0]);
	if (!is_closed)
		close(pair[1]);
	return rc;
}

START_TEST(a_guest_says_that_it_is_ready_or_what_is_wrong)
{
	ck_assert_int_eq(expect_said(VM_READY "more", false), 0);
	ck_assert_int_lt(expect_said(VM_FAILED "mount the image\n", false), 0);
	ck_assert_str_eq(err.text, VM_WHAT ": mount the image");
	ck_assert_int_lt(expect_said("GET / HTTP/1.1\n", false), 0);
	ck_assert_int_eq(err.code, ERR_PEER);
	ck_assert_int_lt(expect_said("coffer rea", false), 0);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	ck_assert_int_lt(expect_said("coffer rea", true), 0);
	ck_assert_int_eq(err.code, ERR_PEER);
}
END_TEST

START_TEST(a_line_without_an_end_is_given_up)
{
	char text[VM_LINE_MAX + 100];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	ck_assert_int_lt(expect_said(text, false), 0);
	ck_assert_int_eq(err.code, ERR_PEER);
}
END_TEST

START_TEST(what_follows_a_line_is_left)
{
	char rest[8] = "";
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_gt(write(pair[1], VM_READY "rest", strlen(VM_READY) + 4), 0);
	ck_assert_int_eq(vm_expect(pair[0], VM_READY, 1000, &err), 0);
	ck_assert_int_eq(read(pair[0], rest, sizeof rest - 1), 4);
	ck_assert_str_eq(rest, "rest");
	close(pair[0]);
	close(pair[1]);
}
END_TEST

// ---- what QEMU says -------------------------------------------------------------------------------------------------

static int line(const char *text, json_t **returned)
{
	err_clear(&err);
	return qmp_line(text, strlen(text), returned, &err);
}

START_TEST(a_line_of_qemu_is_an_answer_an_event_or_an_error)
{
	json_t *o = NULL;
	ck_assert_int_eq(line("{\"return\": {\"status\": \"paused\"}}", &o), 1);
	ck_assert_str_eq(json_string_value(json_object_get(o, "status")), "paused");
	json_decref(o);
	ck_assert_int_eq(line("{\"event\": \"STOP\", \"timestamp\": {}}", &o), 0);
	ck_assert_int_lt(line("{\"error\": {\"class\": \"GenericError\", \"desc\": \"not so\"}}", &o), 0);
	ck_assert_str_eq(err.text, "QEMU refuses: not so");
	ck_assert_int_lt(line("{\"error\": 5}", &o), 0);
	ck_assert_int_eq(err.code, ERR_USAGE);
	const char *const none[] = {"", "[]", "{}", "{\"return\"", "{\"return\": 1, \"return\": 2}"};
	for (size_t i = 0; i < COUNT_OF(none); i++) {
		ck_assert_int_lt(line(none[i], &o), 0);
		ck_assert_int_eq(err.code, ERR_PEER);
	}
}
END_TEST

static void say(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void *tell_events(void *arg)
{
	for (int i = 0; i < QMP_EVENTS_MAX; i++)
		say(*(int *)arg, "{\"event\": \"X\"}\n");
	return NULL;
}

START_TEST(a_command_has_its_answer_behind_events)
{
	int pair[2];
	struct qmp q;
	json_t *answer = NULL;
	char sent[300] = "";
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	say(pair[1], "{\"QMP\": {}}\r\n{\"return\": {}}\r\n{\"event\": \"RESUME\"}\r\n{\"return\": {\"n\": 7}}\r\n");
	qmp_open(&q, pair[0]);
	ck_assert_int_eq(qmp_greet(&q, &err), 0);
	ck_assert_int_eq(qmp_run(&q, "query-x", json_pack("{s:i}", "a", 1), -1, &answer, &err), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "n")), 7);
	json_decref(answer);
	ck_assert_int_gt(read(pair[1], sent, sizeof sent - 1), 0);
	ck_assert_str_eq(sent, "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-x\",\"arguments\":{\"a\":1}}\n");
	// A QEMU that tells and tells, and one that ends.
	pthread_t thread;
	pthread_create(&thread, NULL, tell_events, &pair[1]);
	ck_assert_int_lt(qmp_run(&q, "stop", NULL, -1, NULL, &err), 0);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	pthread_join(thread, NULL);
	close(pair[1]);
	ck_assert_int_lt(qmp_run(&q, "stop", NULL, -1, NULL, &err), 0);
	ck_assert_int_eq(err.code, ERR_PEER);
	qmp_close(&q);
	close(pair[0]);
}
END_TEST

static void *tell_without_end(void *arg)
{
	char part[4096];
	memset(part, 'x', sizeof part);
	for (int i = 0; i < 3 * QMP_LINE_MAX / (int)sizeof part; i++)
		if (send(*(int *)arg, part, sizeof part, MSG_NOSIGNAL) < 0)
			break;
	return NULL;
}

START_TEST(a_line_of_qemu_without_an_end_is_given_up)
{
	int pair[2];
	struct qmp q;
	pthread_t thread;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pthread_create(&thread, NULL, tell_without_end, &pair[1]);
	qmp_open(&q, pair[0]);
	ck_assert_int_lt(qmp_greet(&q, &err), 0);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	qmp_close(&q);
	close(pair[0]);
	pthread_join(thread, NULL);
	close(pair[1]);
}
END_TEST

// ---- what is saved --------------------------------------------------------------------------------------------------

static char directory[] = "/tmp/coffer-vm-XXXXXX";
static char memory[64], state[64];
static const struct snapshot_owner owner = {"tenant", "sha256:image"};
static struct snapshot_seal seal;

static void put(const char *path, off_t at, const char *text)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	ck_assert_int_eq(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
	close(fd);
}

static void set_up_snapshot(void)
{
	err_clear(&err);
	strcpy(directory, "/tmp/coffer-vm-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(memory, sizeof memory, "%s/memory", directory);
	snprintf(state, sizeof state, "%s/state", directory);
	put(memory, 5 << 20, "what a guest had in mind");
	ck_assert_int_eq(truncate(memory, 16 << 20), 0);
	put(state, 0, "its registers");
	ck_assert_msg(snapshot_seal(&owner, memory, state, &seal, &err) == 0, "%s", err.text);
}

static void tear_down_snapshot(void)
{
	tree_remove(AT_FDCWD, directory);
}

static int break_as(const char *tenant, const char *image)
{
	struct snapshot_owner who = {tenant, image};
	err_clear(&err);
	return snapshot_break(&who, memory, state, getuid(), getgid(), &seal, &err);
}

START_TEST(a_seal_is_good_once)
{
	struct stat st;
	ck_assert_int_eq(stat(memory, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(break_as("tenant", "sha256:image"), 0);
	ck_assert_int_lt(break_as("tenant", "sha256:image"), 0);
	ck_assert_str_eq(err.text, "a saved session is resumed once");
}
END_TEST

START_TEST(holes_are_of_no_account)
{
	char zeros[4096] = "";
	int fd = open(memory, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, zeros, sizeof zeros, 1 << 20), sizeof zeros);
	close(fd);
	ck_assert_int_eq(break_as("tenant", "sha256:image"), 0);
}
END_TEST

struct spoiled {
	const char *tenant, *image, *text;
	bool is_state;
	off_t at;
};
static const struct spoiled spoiled[] = {
	{"Tenant", "sha256:image", NULL, false, 0},       {"tenant", "sha256:other", NULL, false, 0},
	{"tenantsha256:", "image", NULL, false, 0},       {"tenant", "sha256:image", "x", false, 0},
	{"tenant", "sha256:image", "W", false, 5 << 20},  {"tenant", "sha256:image", "x", false, (16 << 20) - 1},
	{"tenant", "sha256:image", "x", false, 16 << 20}, {"tenant", "sha256:image", "I", true, 0},
	{"tenant", "sha256:image", "!", true, 13},
};

START_TEST(what_was_changed_is_not_resumed)
{
	const struct spoiled *s = &spoiled[_i];
	if (s->text)
		put(s->is_state ? state : memory, s->at, s->text);
	ck_assert_int_lt(break_as(s->tenant, s->image), 0);
	ck_assert_int_eq(err.code, ERR_ACCESS);
	// And never again.
	ck_assert_int_lt(break_as("tenant", "sha256:image"), 0);
}
END_TEST

START_TEST(what_is_moved_within_the_memory_is_a_change)
{
	int fd = open(memory, O_RDWR | O_CLOEXEC);
	char page[4096], zeros[4096] = "";
	ck_assert_int_eq(pread(fd, page, sizeof page, 5 << 20), sizeof page);
	ck_assert_int_eq(pwrite(fd, zeros, sizeof zeros, 5 << 20), sizeof zeros);
	ck_assert_int_eq(pwrite(fd, page, sizeof page, 6 << 20), sizeof page);
	close(fd);
	ck_assert_int_lt(break_as("tenant", "sha256:image"), 0);
}
END_TEST

START_TEST(a_link_is_no_saved_memory)
{
	char other[80];
	snprintf(other, sizeof other, "%s/other", directory);
	ck_assert_int_eq(rename(memory, other), 0);
	ck_assert_int_eq(symlink(other, memory), 0);
	ck_assert_int_lt(break_as("tenant", "sha256:image"), 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("vm");
	TCase *t = tcase_create("said");
	tcase_add_test(t, a_guest_says_that_it_is_ready_or_what_is_wrong);
	tcase_add_test(t, a_line_without_an_end_is_given_up);
	tcase_add_test(t, what_follows_a_line_is_left);
	tcase_add_test(t, a_line_of_qemu_is_an_answer_an_event_or_an_error);
	tcase_add_test(t, a_command_has_its_answer_behind_events);
	tcase_add_test(t, a_line_of_qemu_without_an_end_is_given_up);
	suite_add_tcase(s, t);
	t = tcase_create("saved");
	tcase_add_checked_fixture(t, set_up_snapshot, tear_down_snapshot);
	tcase_add_test(t, a_seal_is_good_once);
	tcase_add_test(t, holes_are_of_no_account);
	tcase_add_loop_test(t, what_was_changed_is_not_resumed, 0, (int)COUNT_OF(spoiled));
	tcase_add_test(t, what_is_moved_within_the_memory_is_a_change);
	tcase_add_test(t, a_link_is_no_saved_memory);
	suite_add_tcase(s, t);
	return s;
}

// The agent's own parts: what a request may ask, slots, the files of a job, removing trees.
#include "agent/request.c"
#include "agent/scratch.c"
#include "agent/slots.c"

#include "base/file.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <sys/wait.h>

#define TEXT(s) ((char[]){s})

static struct err err;
static char *directory;
static struct agent agent;
static struct scratch scratch;

// ---- requests -------------------------------------------------------------------------------------------------------

static Coffer__V1__ExecHeader header;
static Coffer__V1__Limits limits;
static char *arguments[] = {TEXT("gcc"), TEXT("-c"), TEXT("x.i")};
static char *outputs[] = {TEXT("x.o"), TEXT("sub/x.dwo")};

static void set_up_request(void)
{
	err_clear(&err);
	coffer__v1__exec_header__init(&header);
	coffer__v1__limits__init(&limits);
	limits.wall_ms = limits.cpu_s = limits.files = limits.processes = 1;
	limits.memory_bytes = limits.file_bytes = limits.scratch_bytes = limits.message_bytes = 1;
	header.arguments = arguments;
	header.n_arguments = COUNT_OF(arguments);
	static char source[] = "x.i";
	header.source_name = source;
	header.outputs = outputs;
	header.n_outputs = COUNT_OF(outputs);
	header.limits = &limits;
}

START_TEST(a_usual_request_is_fine)
{
	ck_assert_msg(request_check(&header, &err) == 0, "%s", err.text);
	header.source_name = TEXT("");
	header.n_outputs = 0;
	ck_assert_int_eq(request_check(&header, &err), 0);
}
END_TEST

START_TEST(names_stay_below_the_scratch_directory)
{
	static const char *const bad[] = {"",   "/",   "/x",  "..", ".",      "../x",  "x/..",  "x/../y", "x//y",
					  "x/", "./x", "x/.", "//", "a/b/..", "a/./b", "/../x", "..//"};
	static const char *const good[] = {"x", "x.o", "...", "..x", "x..", ".x", "a/b/c", "a/...", "-", "a b", "\303\244"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(request_check_name(bad[i], &err) < 0, "'%s'", bad[i]);
	for (size_t i = 0; i < COUNT_OF(good); i++)
		ck_assert_msg(request_check_name(good[i], &err) == 0, "'%s'", good[i]);
	char name[REQUEST_MAX_NAME + 2];
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	ck_assert_int_lt(request_check_name(name, &err), 0);
	name[256] = '\0';
	ck_assert_int_lt(request_check_name(name, &err), 0);
	name[255] = '\0';
	ck_assert_int_eq(request_check_name(name, &err), 0);
	header.source_name = TEXT("../x");
	ck_assert_int_lt(request_check(&header, &err), 0);
	header.source_name = TEXT("x");
	outputs[1] = TEXT("/etc/x");
	ck_assert_int_lt(request_check(&header, &err), 0);
	ck_assert_int_eq(err.code, ERR_USAGE);
}
END_TEST

START_TEST(every_limit_must_be_given)
{
	uint32_t *const small[] = {&limits.wall_ms, &limits.cpu_s, &limits.files, &limits.processes};
	uint64_t *const large[] = {&limits.memory_bytes, &limits.file_bytes, &limits.scratch_bytes, &limits.message_bytes};
	for (size_t i = 0; i < COUNT_OF(small); i++) {
		*small[i] = 0;
		ck_assert_int_lt(request_check(&header, &err), 0);
		*small[i] = 1;
		*large[i] = 0;
		ck_assert_int_lt(request_check(&header, &err), 0);
		*large[i] = 1;
	}
	header.limits = NULL;
	ck_assert_int_lt(request_check(&header, &err), 0);
}
END_TEST

START_TEST(arguments_have_bounds)
{
	static char *many[REQUEST_MAX_ARGUMENTS + 1], word[] = "x";
	static char longest[REQUEST_ARGUMENT_BYTES + 1];
	header.n_arguments = 0;
	ck_assert_int_lt(request_check(&header, &err), 0);
	for (size_t i = 0; i < COUNT_OF(many); i++)
		many[i] = word;
	header.arguments = many;
	header.n_arguments = COUNT_OF(many);
	ck_assert_int_lt(request_check(&header, &err), 0);
	header.n_arguments = REQUEST_MAX_ARGUMENTS;
	ck_assert_int_eq(request_check(&header, &err), 0);
	memset(longest, 'x', sizeof longest - 1);
	many[1] = longest;
	ck_assert_int_lt(request_check(&header, &err), 0);
	many[0] = TEXT("");
	header.n_arguments = 1;
	ck_assert_int_lt(request_check(&header, &err), 0);
}
END_TEST

START_TEST(outputs_have_bounds)
{
	static char *many[REQUEST_MAX_OUTPUTS + 1], word[] = "x";
	for (size_t i = 0; i < COUNT_OF(many); i++)
		many[i] = word;
	header.outputs = many;
	header.n_outputs = COUNT_OF(many);
	ck_assert_int_lt(request_check(&header, &err), 0);
	header.n_outputs = REQUEST_MAX_OUTPUTS;
	ck_assert_int_eq(request_check(&header, &err), 0);
}
END_TEST

// ---- slots ----------------------------------------------------------------------------------------------------------

START_TEST(slots_are_taken_once_and_cleared)
{
	struct agent_slots *s = slots_new(2);
	int a = slots_take(s), b = slots_take(s);
	ck_assert(a == 0 && b == 1);
	ck_assert_int_eq(slots_take(s), -1);
	// Another process writes, as a job's first one does.
	pid_t pid = fork();
	if (pid == 0) {
		slots_at(s, b)->stage = STAGE_SECCOMP;
		slots_at(s, b)->error = EPERM;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(slots_at(s, b)->error, EPERM);
	ck_assert_str_eq(stage_name(slots_at(s, b)->stage), "the seccomp filter");
	slots_give(s, b);
	ck_assert_int_eq(slots_take(s), b);
	ck_assert_int_eq(slots_at(s, b)->error, 0);
	slots_free(s);
}
END_TEST

// ---- files ----------------------------------------------------------------------------------------------------------

static void set_up_scratch(void)
{
	directory = unit_directory();
	err_clear(&err);
	agent = (struct agent){.scratch = directory};
	scratch = (struct scratch)SCRATCH_INIT;
	ck_assert_msg(scratch_open(&scratch, &agent, 7, 1000, SCRATCH_SOURCE, &err) == 0, "%s", err.text);
}

static void tear_down_scratch(void)
{
	scratch_close(&scratch);
	ck_assert_int_eq(rmdir(directory), 0);
	free(directory);
}

static void put(const char *name, const char *text)
{
	AUTO_CLOSE int fd = scratch_create(&scratch, name, &err);
	ck_assert_msg(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", err.text);
}

static int find(const char *name)
{
	AUTO_CLOSE int fd = -1;
	uint64_t size = 0;
	return scratch_find(&scratch, name, &fd, &size, &err);
}

START_TEST(files_are_found)
{
	ck_assert_int_eq(scratch_make_parents(&scratch, "a/b/x.o", &err), 0);
	put("x.o", "12345");
	put("a/b/x.o", "");
	ck_assert_int_eq(find("x.o"), 1);
	ck_assert_int_eq(find("a/b/x.o"), 1);
	ck_assert_int_eq(find("y.o"), 0);
	ck_assert_int_eq(find("x.o/y"), 0);
	ck_assert_int_lt(scratch_create(&scratch, "x.o", &err), 0);
}
END_TEST

START_TEST(links_and_other_things_are_no_files)
{
	AUTO_FREE char *work = mem_printf("%s/" GUEST_WORK, scratch.path);
	ck_assert_int_eq(chdir(work), 0);
	put("file", "x");
	ck_assert_int_eq(
		symlink("file", "link") + symlink("/etc/passwd", "out") + symlink("/etc", "way") + symlink(".", "here"), 0);
	ck_assert_int_eq(mkfifo("fifo", 0666) + mkdir("folder", 0777), 0);
	static const char *const names[] = {"link", "out", "way/passwd", "here/file", "fifo", "folder"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		ck_assert_msg(find(names[i]) < 0, "%s", names[i]);
		ck_assert_int_eq(err.code, ERR_FORMAT);
	}
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(what_is_left_in_a_slot_is_removed)
{
	AUTO_FREE char *work = mem_printf("%s/" GUEST_WORK, scratch.path);
	ck_assert_int_eq(chdir(work), 0);
	// Deeper than there are descriptors for, with a directory that may not be entered.
	for (int i = 0; i < 300; i++)
		ck_assert_int_eq(mkdir("d", 0777) + chdir("d"), 0);
	put("file", "x");
	ck_assert_int_eq(chdir("/"), 0);
	AUTO_FREE char *locked = mem_printf("%s/locked/x", work);
	ck_assert_int_eq(file_make_dirs(locked, 0777, &err), 0);
	*strrchr(locked, '/') = '\0';
	ck_assert_int_eq(chmod(locked, 0), 0);
	// As after a crash: the slot is used again without having been closed.
	close(scratch.root);
	ck_assert_msg(scratch_open(&scratch, &agent, 7, 1000, SCRATCH_SOURCE, &err) == 0, "%s", err.text);
	ck_assert_int_eq(find("file"), 0);
	ck_assert_int_eq(access(locked, F_OK), -1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("agent");
	TCase *requests = tcase_create("requests");
	tcase_add_checked_fixture(requests, set_up_request, NULL);
	tcase_add_test(requests, a_usual_request_is_fine);
	tcase_add_test(requests, names_stay_below_the_scratch_directory);
	tcase_add_test(requests, every_limit_must_be_given);
	tcase_add_test(requests, arguments_have_bounds);
	tcase_add_test(requests, outputs_have_bounds);
	suite_add_tcase(s, requests);
	TCase *slots = tcase_create("slots");
	tcase_add_test(slots, slots_are_taken_once_and_cleared);
	suite_add_tcase(s, slots);
	TCase *files = tcase_create("files");
	tcase_add_checked_fixture(files, set_up_scratch, tear_down_scratch);
	tcase_add_test(files, files_are_found);
	tcase_add_test(files, links_and_other_things_are_no_files);
	tcase_add_test(files, what_is_left_in_a_slot_is_removed);
	suite_add_tcase(s, files);
	return s;
}

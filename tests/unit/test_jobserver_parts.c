// The parts around the jobserver: transports, the jobserver around us, tools, cores, directories.
#include "base/buf.h"
#include "base/file.h"
#include "base/path.h"
#include "base/preload.h"
#include "jobserver/client/cores.h"
#include "jobserver/masquerade.h"
#include "jobserver/parent.h"
#include "jobserver/place.h"
#include "jobserver/pool.h"
#include "jobserver/tool.h"
#include "jobserver/tree.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static struct arena arena;
static struct err err;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%s/coffer-test.XXXXXX", tmp && strlen(tmp) < 30 ? tmp : "/tmp");
	ck_assert(mkdtemp(dir));
	err_clear(&err);
}

static void teardown(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	arena_release(&arena);
}

static char *in_dir(const char *name)
{
	return path_join(&arena, dir, name);
}

static void put_file(const char *name, const char *text, mode_t mode)
{
	char *path = in_dir(name);
	ck_assert_int_eq(file_make_dirs(path_dir(&arena, path), 0700, &err), 0);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, text, strlen(text), mode, &err), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

// ---- transports ----------------------------------------------------------------------------------------------------

START_TEST(two_pipes_lead_every_token_through_us)
{
	struct token_pool p;
	ck_assert_int_eq(pool_open(&p, POOL_PIPES, dir, &err), 0);
	ck_assert(pool_put(&p) && pool_put(&p));
	ck_assert_uint_eq(pool_unread(&p), 2);
	char token;
	ck_assert_int_eq(read(p.tool_r, &token, 1), 1);
	ck_assert_int_eq(write(p.tool_w, "|", 1), 1);
	ck_assert_uint_eq(pool_unread(&p), 1);
	ck_assert_uint_eq(pool_back(&p), 1);
	ck_assert_uint_eq(pool_back(&p), 0);
	ck_assert(pool_take(&p));
	ck_assert(!pool_take(&p));
	pool_close(&p);
}
END_TEST

START_TEST(the_tools_ends_stay_blocking_and_below_the_limit_of_select)
{
	struct token_pool p;
	ck_assert_int_eq(pool_open(&p, POOL_PIPES, dir, &err), 0);
	ck_assert_int_eq(fcntl(p.tool_r, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_lt(p.tool_r, 1024);
	ck_assert_int_lt(p.tool_w, 1024);
	ck_assert_msg(p.tool_r >= 200 && p.tool_w >= 200, "numbers that make does not get for a pipe of its own");
	ck_assert_int_eq(fcntl(p.tool_r, F_GETFD), FD_CLOEXEC);
	pool_inherit(&p);
	ck_assert_int_eq(fcntl(p.tool_r, F_GETFD), 0);
	// make sets its shared end to non-blocking; ours is a description of its own either way.
	ck_assert_int_eq(fcntl(p.tool_r, F_SETFL, O_NONBLOCK), 0);
	ck_assert(pool_put(&p));
	ck_assert_uint_eq(pool_unread(&p), 1);
	pool_close(&p);
}
END_TEST

START_TEST(a_fifo_is_private_and_removed_at_the_end)
{
	struct token_pool p;
	struct stat st;
	ck_assert_int_eq(pool_open(&p, POOL_FIFO, dir, &err), 0);
	ck_assert(stat(in_dir("fifo"), &st) == 0 && S_ISFIFO(st.st_mode) && (st.st_mode & 0777) == 0600);
	ck_assert(strncmp(p.auth, "fifo:/", 6) == 0);
	int r = open(in_dir("fifo"), O_RDONLY | O_NONBLOCK), w = open(in_dir("fifo"), O_WRONLY);
	char token;
	ck_assert(pool_put(&p));
	ck_assert_int_eq(read(r, &token, 1), 1);
	ck_assert_int_eq(write(w, "+", 1), 1);
	ck_assert_uint_eq(pool_unread(&p), 1);
	close(r);
	close(w);
	ck_assert_msg(pool_unread(&p) == 1 && pool_take(&p), "tokens stay when clients come and go");
	pool_close(&p);
	ck_assert(access(in_dir("fifo"), F_OK) < 0);
}
END_TEST

// ---- the jobserver around us ---------------------------------------------------------------------------------------

START_TEST(tokens_of_the_parent_come_back_as_the_bytes_they_were)
{
	int p[2];
	char flags[64], tokens[4];
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(write(p[1], "ab", 2), 2);
	snprintf(flags, sizeof flags, " -j3 --jobserver-auth=%d,%d", p[0], p[1]);
	struct parent parent;
	ck_assert_int_eq(parent_open(&parent, flags, &err), 1);
	ck_assert(parent_take(&parent) && parent_take(&parent));
	ck_assert_msg(!parent_take(&parent), "an empty pipe does not block");
	parent_give(&parent, 1);
	ck_assert_uint_eq(parent.taken, 1);
	parent_close(&parent);
	ck_assert_int_eq(read(p[0], tokens, sizeof tokens), 2);
	ck_assert(memcmp(tokens, "ba", 2) == 0);
	ck_assert_int_eq(fcntl(p[0], F_GETFD), 0);
	parent_hide(&parent);
	ck_assert_int_eq(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	close(p[0]);
	close(p[1]);
}
END_TEST

START_TEST(a_fifo_of_the_parent_is_used_by_its_name)
{
	ck_assert_int_eq(mkfifo(in_dir("f"), 0600), 0);
	struct parent parent;
	char *flags = arena_printf(&arena, "--jobserver-auth=fifo:%s", in_dir("f"));
	ck_assert_int_eq(parent_open(&parent, flags, &err), 1);
	parent_close(&parent);
}
END_TEST

START_TEST(a_jobserver_that_cannot_be_reached_is_told_from_none)
{
	struct parent parent;
	int p[2], file = open(in_dir("x"), O_RDWR | O_CREAT, 0600);
	char flags[64];
	ck_assert_int_eq(parent_open(&parent, NULL, &err), 0);
	ck_assert_int_eq(parent_open(&parent, " -j8", &err), 0);
	ck_assert_int_eq(parent_open(&parent, "--jobserver-auth=-2,-2", &err), -1);
	ck_assert_int_eq(parent_open(&parent, "--jobserver-auth=950,951", &err), -1);
	ck_assert_int_eq(parent_open(&parent, "--jobserver-auth=fifo:/nonexistent/x", &err), -1);
	snprintf(flags, sizeof flags, "--jobserver-auth=%d,%d", file, file);
	ck_assert_msg(parent_open(&parent, flags, &err) == -1, "a file is no pipe");
	ck_assert_int_eq(pipe(p), 0);
	snprintf(flags, sizeof flags, "--jobserver-auth=%d,%d", p[1], p[0]);
	ck_assert_msg(parent_open(&parent, flags, &err) == -1, "the wrong way round");
	close(p[0]);
	close(p[1]);
	close(file);
}
END_TEST

// ---- tools ---------------------------------------------------------------------------------------------------------

START_TEST(a_tools_version_decides_the_transport)
{
	static const struct {
		const char *version;
		bool can_gate;
		enum transport expected;
	} cases[] = {
		{"GNU Make 4.2.1\nBuilt for x86_64\n", true, TRANSPORT_NONE},
		{"GNU Make 3.82\n", false, TRANSPORT_NONE},
		{"GNU Make 4.3\n", false, TRANSPORT_PIPES},
		{"GNU Make 4.4.1\n", false, TRANSPORT_FIFO},
		{"GNU Make 5.0\n", false, TRANSPORT_FIFO},
		{"1.11.1\n", true, TRANSPORT_GATE},
		{"1.11.1\n", false, TRANSPORT_NONE},
		{"1.13.2\n", true, TRANSPORT_GATE},
		{"1.14.0.git\n", true, TRANSPORT_FIFO},
		{"1.10.2.git.kitware.jobserver-1\n", true, TRANSPORT_PIPES},
		{"1.9.0\n", true, TRANSPORT_GATE},
		{"usage: make [-BeikNnqrstWwX]\n", true, TRANSPORT_NONE},
		{"", true, TRANSPORT_NONE},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct tool t = tool_of_version(cases[i].version);
		ck_assert_msg(tool_transport(&t, cases[i].can_gate) == cases[i].expected, "'%s'", cases[i].version);
	}
}
END_TEST

START_TEST(a_tool_is_asked_without_the_builds_makeflags)
{
	put_file("tool", "#!/bin/sh\necho \"GNU Make 4.3$MAKEFLAGS\"\n", 0755);
	setenv("MAKEFLAGS", "9", 1);
	struct tool t = tool_probe(in_dir("tool"));
	ck_assert_int_eq(t.kind, TOOL_MAKE);
	ck_assert_uint_eq(t.minor, 3);
	ck_assert_str_eq(getenv("MAKEFLAGS"), "9");
	unsetenv("MAKEFLAGS");
	put_file("fails", "#!/bin/sh\necho GNU Make 4.3; exit 1\n", 0755);
	ck_assert_int_eq(tool_probe(in_dir("fails")).kind, TOOL_OTHER);
	ck_assert_int_eq(tool_probe(in_dir("none")).kind, TOOL_OTHER);
}
END_TEST

START_TEST(a_program_is_found_as_a_shell_finds_it)
{
	put_file("a/t", "#!/bin/sh\n", 0644);
	put_file("b/t", "#!/bin/sh\n", 0755);
	put_file("c/t", "#!/bin/sh\n", 0755);
	char *a = in_dir("a"), *b = in_dir("b"), *c = in_dir("c");
	char *list = arena_printf(&arena, "/nonexistent:%s:%s:%s", a, b, c);
	ck_assert_str_eq(tool_find(&arena, "t", list, NULL), path_join(&arena, b, "t"));
	ck_assert_str_eq(tool_find(&arena, "t", list, b), path_join(&arena, c, "t"));
	ck_assert_ptr_null(tool_find(&arena, "u", list, NULL));
	ck_assert_str_eq(tool_find(&arena, in_dir("c/t"), NULL, NULL), in_dir("c/t"));
	ck_assert_ptr_null(tool_find(&arena, in_dir("a/t"), NULL, NULL));
}
END_TEST

START_TEST(only_programs_of_our_own_c_library_can_be_preloaded)
{
	put_file("script", "#!/bin/sh\n", 0755);
	ck_assert(!preload_fits(in_dir("script")));
	ck_assert(!preload_fits(in_dir("none")));
	ck_assert(preload_fits("/proc/self/exe"));
}
END_TEST

// ---- cores ---------------------------------------------------------------------------------------------------------

START_TEST(quotas_of_both_kinds_of_control_groups_count)
{
	put_file("proc/self/cgroup", "0::/a/b\n", 0644);
	ck_assert_uint_eq(cores_by_quota(dir), 0);
	put_file("sys/fs/cgroup/a/b/cpu.max", "max 100000\n", 0644);
	ck_assert_uint_eq(cores_by_quota(dir), 0);
	put_file("sys/fs/cgroup/a/cpu.max", "250000 100000\n", 0644);
	ck_assert_msg(cores_by_quota(dir) == 3, "a group above, rounded up");
	put_file("sys/fs/cgroup/a/b/cpu.max", "10000 100000\n", 0644);
	ck_assert_uint_eq(cores_by_quota(dir), 1);
	put_file("proc/self/cgroup", "12:cpuset:/x\n4:cpu,cpuacct:/c\n1:name=systemd:/\n", 0644);
	put_file("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "-1\n", 0644);
	put_file("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n", 0644);
	ck_assert_uint_eq(cores_by_quota(dir), 0);
	put_file("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "400000\n", 0644);
	ck_assert_uint_eq(cores_by_quota(dir), 4);
	put_file("proc/self/cgroup", "4:cpu,cpuacct:/of/the/host\n", 0644);
	put_file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n", 0644);
	put_file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n", 0644);
	ck_assert_msg(cores_by_quota(dir) == 2, "in a container only the top is ours");
	ck_assert_uint_ge(cores_available(), 1);
}
END_TEST

START_TEST(nonsense_in_control_group_files_is_no_quota)
{
	static const char *const texts[] = {"", "x", "100000", "-5 100000", "100000 0", "0 100000"};
	put_file("proc/self/cgroup", "nonsense\n0::relative\n0::/a\n:::\n", 0644);
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		put_file("sys/fs/cgroup/a/cpu.max", texts[i], 0644);
		ck_assert_msg(cores_by_quota(dir) == 0, "'%s'", texts[i]);
	}
}
END_TEST

// ---- the processes of a build ----------------------------------------------------------------------------------------

struct process {
	pid_t pid, parent;
	const char *name;
};

static unsigned slots_of(const struct process *v, size_t n)
{
	struct tree t = {.tool = 10};
	for (size_t i = 0; i < n; i++)
		tree_add(&t, v[i].pid, v[i].parent, v[i].name);
	tree_link(&t);
	unsigned slots = tree_slots(&t);
	tree_release(&t);
	return slots;
}

START_TEST(each_job_of_a_make_is_a_slot_whatever_it_starts)
{
	static const struct process idle[] = {{10, 1, "make"}};
	ck_assert_uint_eq(slots_of(idle, COUNT_OF(idle)), 1);
	static const struct process flat[] = {
		{10, 1, "sh"},   {30, 10, "gcc"}, {5, 30, "cc1"}, {31, 10, "sh"},
		{32, 31, "gcc"}, {33, 31, "gcc"}, {7, 1, "make"},
	};
	ck_assert_uint_eq(slots_of(flat, COUNT_OF(flat)), 2);
}
END_TEST

START_TEST(a_sub_make_is_no_slot_but_its_jobs_are)
{
	static const struct process deep[] = {
		{10, 1, "cmake"}, {11, 10, "gmake"}, {12, 11, "sh"},   {13, 12, "make"},
		{20, 13, "gcc"},  {21, 13, "gcc"},   {14, 11, "make"}, // has none yet: the slot it was started with
		{15, 11, "ld"},   {16, 1, "gcc"},                      // the last one's make is gone
	};
	ck_assert_uint_eq(slots_of(deep, COUNT_OF(deep)), 4);
}
END_TEST

START_TEST(the_real_processes_can_be_read)
{
	struct tree t;
	ck_assert(tree_read(&t, getpid()));
	ck_assert(tree_is_below(&t, getpid()));
	ck_assert(!tree_is_below(&t, 1));
	ck_assert_uint_eq(tree_slots(&t), 1);
	tree_release(&t);
}
END_TEST

// ---- directories -------------------------------------------------------------------------------------------------------

START_TEST(names_of_compilers_are_known)
{
	static const char *const yes[] = {"gcc",
					  "cc",
					  "g++",
					  "c++",
					  "clang",
					  "clang++",
					  "gcc-12",
					  "g++-4.9",
					  "clang-14",
					  "clang++-14",
					  "x86_64-linux-gnu-gcc",
					  "arm-none-eabi-g++-12"};
	static const char *const no[] = {"gcc-ar",  "gcc-nm-12",    "ccache", "distcc", "c89-gcc",
					 "c99-gcc", "clang-format", "",       "-",      "clang-tidy-14",
					 "as",      "mygcc",        "gccgo",  "cc1"};
	for (size_t i = 0; i < COUNT_OF(yes); i++)
		ck_assert_msg(masquerade_is_compiler(yes[i]), "%s", yes[i]);
	for (size_t i = 0; i < COUNT_OF(no); i++)
		ck_assert_msg(!masquerade_is_compiler(no[i]), "%s", no[i]);
}
END_TEST

START_TEST(the_masquerade_directory_has_the_compilers_of_the_path_and_no_others)
{
	put_file("bin/gcc", "#!/bin/sh\n", 0755);
	put_file("bin/clang", "#!/bin/sh\n", 0644);
	put_file("bin2/arm-gcc-9", "#!/bin/sh\n", 0755);
	char *list = arena_printf(&arena, "%s/bin:%s/bin2:relative::/nonexistent", dir, dir), target[64] = "";
	char *m, *again;
	ck_assert_msg(masquerade_dir(&arena, "/x/coffer", in_dir("cache"), list, &m, &err) == 1, "%s", err.text);
	ck_assert_int_gt(readlink(path_join(&arena, m, "gcc"), target, sizeof target - 1), 0);
	ck_assert_str_eq(target, "/x/coffer");
	ck_assert_int_gt(readlink(path_join(&arena, m, "arm-gcc-9"), target, sizeof target - 1), 0);
	ck_assert(readlink(path_join(&arena, m, "clang"), target, sizeof target) < 0);
	ck_assert_int_eq(masquerade_dir(&arena, "/x/coffer", in_dir("cache"), list, &again, &err), 1);
	ck_assert_str_eq(again, m);
	put_file("bin/clang", "#!/bin/sh\n", 0755);
	ck_assert_int_eq(masquerade_dir(&arena, "/x/coffer", in_dir("cache"), list, &again, &err), 1);
	ck_assert_str_ne(again, m);
	ck_assert_int_eq(masquerade_dir(&arena, "/x/coffer", in_dir("cache"), "/nonexistent", &again, &err), 0);
}
END_TEST

START_TEST(a_masquerade_directory_that_cannot_be_made_is_an_error)
{
	put_file("bin/gcc", "#!/bin/sh\n", 0755);
	put_file("cache", "a file", 0644);
	char *m;
	ck_assert_int_eq(masquerade_dir(&arena, "/x/coffer", in_dir("cache"), in_dir("bin"), &m, &err), -1);
	ck_assert_int_ne(err.code, ERR_NONE);
}
END_TEST

START_TEST(the_directory_of_a_build_is_private_and_leaves_nothing)
{
	struct build_place p;
	struct stat st;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	ck_assert_int_eq(place_make(&p, &err), 0);
	ck_assert(strncmp(p.dir, dir, strlen(dir)) == 0);
	ck_assert(stat(p.dir, &st) == 0 && (st.st_mode & 0777) == 0700);
	place_remove(&p);
	ck_assert(stat(p.dir, &st) < 0 || !p.dir[0]);
	ck_assert_msg(rmdir(dir) == 0, "nothing is left");
	ck_assert_int_eq(mkdir(dir, 0700), 0);
}
END_TEST

START_TEST(what_a_killed_build_left_is_removed_by_the_next_and_a_living_one_is_not)
{
	struct build_place living, next;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	ck_assert_int_eq(place_make(&living, &err), 0);
	put_file("coffer-build.killed/lock", "", 0600);
	put_file("coffer-build.killed/socket", "", 0600);
	put_file("coffer-build.strange/other", "", 0600);
	ck_assert_int_eq(place_make(&next, &err), 0);
	ck_assert(access(in_dir("coffer-build.killed"), F_OK) < 0);
	ck_assert(access(in_dir("coffer-build.strange/other"), F_OK) == 0);
	ck_assert(access(living.dir, F_OK) == 0);
	place_remove(&living);
	place_remove(&next);
}
END_TEST

START_TEST(a_directory_whose_name_needs_quoting_is_not_used)
{
	struct build_place p;
	char *blank = in_dir("a b");
	ck_assert_int_eq(mkdir(blank, 0700), 0);
	setenv("XDG_RUNTIME_DIR", blank, 1);
	setenv("TMPDIR", dir, 1);
	ck_assert_int_eq(place_make(&p, &err), 0);
	ck_assert_ptr_null(strchr(p.dir, ' '));
	place_remove(&p);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("jobserver parts");
	TCase *t = tcase_create("parts");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, two_pipes_lead_every_token_through_us);
	tcase_add_test(t, the_tools_ends_stay_blocking_and_below_the_limit_of_select);
	tcase_add_test(t, a_fifo_is_private_and_removed_at_the_end);
	tcase_add_test(t, tokens_of_the_parent_come_back_as_the_bytes_they_were);
	tcase_add_test(t, a_fifo_of_the_parent_is_used_by_its_name);
	tcase_add_test(t, a_jobserver_that_cannot_be_reached_is_told_from_none);
	tcase_add_test(t, a_tools_version_decides_the_transport);
	tcase_add_test(t, a_tool_is_asked_without_the_builds_makeflags);
	tcase_add_test(t, a_program_is_found_as_a_shell_finds_it);
	tcase_add_test(t, only_programs_of_our_own_c_library_can_be_preloaded);
	tcase_add_test(t, quotas_of_both_kinds_of_control_groups_count);
	tcase_add_test(t, nonsense_in_control_group_files_is_no_quota);
	tcase_add_test(t, each_job_of_a_make_is_a_slot_whatever_it_starts);
	tcase_add_test(t, a_sub_make_is_no_slot_but_its_jobs_are);
	tcase_add_test(t, the_real_processes_can_be_read);
	tcase_add_test(t, names_of_compilers_are_known);
	tcase_add_test(t, the_masquerade_directory_has_the_compilers_of_the_path_and_no_others);
	tcase_add_test(t, a_masquerade_directory_that_cannot_be_made_is_an_error);
	tcase_add_test(t, the_directory_of_a_build_is_private_and_leaves_nothing);
	tcase_add_test(t, what_a_killed_build_left_is_removed_by_the_next_and_a_living_one_is_not);
	tcase_add_test(t, a_directory_whose_name_needs_quoting_is_not_used);
	suite_add_tcase(s, t);
	return s;
}

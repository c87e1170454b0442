// Which file the launcher takes for the real compiler, and which variables travel. The rest of it is tested as a program
// (tests/e2e/launcher.sh).
#include "client/launcher/launcher.h"
#include "client/wire/env_names.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static struct arena arena;
static struct stat self;
static char *directory;

static const char *in_directory(const char *name)
{
	return arena_printf(&arena, "%s/%s", directory, name);
}

static void put(const char *name, mode_t mode)
{
	int fd = open(in_directory(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void setup(void)
{
	static const char *const dirs[] = {"a", "b", "c"};
	directory = unit_directory();
	for (size_t i = 0; i < COUNT_OF(dirs); i++)
		ck_assert_int_eq(mkdir(in_directory(dirs[i]), 0700), 0);
	put("coffer", 0755);
	ck_assert_int_eq(stat(in_directory("coffer"), &self), 0);
}

static void teardown(void)
{
	const char *command = arena_printf(&arena, "rm -rf '%s'", directory);
	ck_assert_int_eq(system(command), 0);
	arena_release(&arena);
	free(directory);
}

// What is found in a:b:c, below the test's directory; NULL if nothing.
static const char *find(const char *name, bool *behind_coffer)
{
	struct found f;
	const char *path = arena_printf(&arena, "%s/a:%s/b:%s/c", directory, directory, directory);
	bool found = launcher_find_compiler(&f, &arena, name, path, &self);
	ck_assert(found == (f.file != NULL));
	*behind_coffer = f.behind_coffer;
	return found ? f.file + strlen(directory) + 1 : NULL;
}

START_TEST(the_first_program_in_path_is_the_compiler)
{
	bool behind;
	ck_assert_ptr_null(find("cc", &behind));
	put("c/cc", 0755);
	ck_assert_str_eq(find("cc", &behind), "c/cc");
	put("b/cc", 0755);
	ck_assert_str_eq(find("cc", &behind), "b/cc");
	ck_assert(!behind);
}
END_TEST

START_TEST(what_cannot_be_executed_is_passed_over)
{
	bool behind;
	put("a/cc", 0644);
	ck_assert_int_eq(mkdir(in_directory("b/cc"), 0755), 0);
	put("c/cc", 0755);
	ck_assert_str_eq(find("cc", &behind), "c/cc");
	ck_assert(!behind);
}
END_TEST

START_TEST(coffer_itself_is_passed_over_under_any_name)
{
	bool behind;
	ck_assert_int_eq(symlink("../coffer", in_directory("a/cc")), 0);
	ck_assert_int_eq(link(in_directory("coffer"), in_directory("b/cc")), 0);
	ck_assert_ptr_null(find("cc", &behind));
	ck_assert(behind);
	put("c/cc", 0755);
	ck_assert_str_eq(find("cc", &behind), "c/cc");
	ck_assert(behind);
}
END_TEST

START_TEST(a_link_to_another_copy_of_coffer_is_passed_over)
{
	bool behind;
	put("b/coffer", 0755);
	ck_assert_int_eq(symlink("../b/coffer", in_directory("a/cc")), 0);
	put("c/cc", 0755);
	ck_assert_str_eq(find("cc", &behind), "c/cc");
	ck_assert(behind);
}
END_TEST

START_TEST(coffer_behind_the_compiler_does_not_matter)
{
	bool behind;
	put("a/cc", 0755);
	ck_assert_int_eq(symlink("../coffer", in_directory("b/cc")), 0);
	ck_assert_str_eq(find("cc", &behind), "a/cc");
	ck_assert(!behind);
}
END_TEST

START_TEST(a_path_is_taken_as_it_is_unless_it_is_coffer)
{
	bool behind;
	put("c/cc", 0755);
	put("cc", 0755);
	ck_assert_str_eq(find(in_directory("cc"), &behind), "cc");
	ck_assert_str_eq(find(in_directory("nothing"), &behind), "nothing");
	ck_assert_int_eq(symlink("../coffer", in_directory("a/cc")), 0);
	ck_assert_str_eq(find(in_directory("a/cc"), &behind), "c/cc");
	ck_assert(behind);
	ck_assert_ptr_null(find("", &behind));
}
END_TEST

START_TEST(an_empty_directory_of_path_is_the_working_directory)
{
	struct found f;
	put("c/here", 0755);
	ck_assert_int_eq(chdir(in_directory("c")), 0);
	ck_assert(launcher_find_compiler(&f, &arena, "here", ":/nonexistent", &self));
	ck_assert_str_eq(f.file, "./here");
	ck_assert(launcher_find_compiler(&f, &arena, "here", "/nonexistent:", &self));
	ck_assert(launcher_find_compiler(&f, &arena, "here", "/nonexistent::/", &self));
	ck_assert(launcher_find_compiler(&f, &arena, "here", "", &self));
	ck_assert(!launcher_find_compiler(&f, &arena, "here", "/nonexistent", &self));
	ck_assert(launcher_find_compiler(&f, &arena, "sh", NULL, &self));
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(a_directory_of_path_that_is_too_long_is_passed_over)
{
	struct found f;
	AUTO_FREE char *name = mem_alloc(PATH_MAX + 1);
	memset(name, 'x', PATH_MAX);
	name[0] = '/';
	put("c/cc", 0755);
	ck_assert(launcher_find_compiler(&f, &arena, "cc", arena_printf(&arena, "%s:%s/c", name, directory), &self));
	ck_assert(!launcher_find_compiler(&f, &arena, name + 1, in_directory("c"), &self));
}
END_TEST

START_TEST(only_what_changes_a_compile_travels)
{
	static const char *const travel[] = {
		"PATH=/bin", "PATH=", "LC_ALL=C", "GCC_COLORS=", "COFFER_X=y", "CPATH=a=b", "XDG_CACHE_HOME=x"};
	static const char *const stay[] = {
		"PATHS=/bin",    "PAT=",         "=",       "", "PATH", "AWS_SECRET_ACCESS_KEY=x", "lc_all=C",
		"GITHUB_TOKEN=", "MAKEFLAGS=-j", "COFFER=1"};
	for (size_t i = 0; i < COUNT_OF(travel); i++)
		ck_assert_msg(env_travels(travel[i]), "%s", travel[i]);
	for (size_t i = 0; i < COUNT_OF(stay); i++)
		ck_assert_msg(!env_travels(stay[i]), "%s", stay[i]);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("launcher");
	TCase *c = tcase_create("launcher");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, the_first_program_in_path_is_the_compiler);
	tcase_add_test(c, what_cannot_be_executed_is_passed_over);
	tcase_add_test(c, coffer_itself_is_passed_over_under_any_name);
	tcase_add_test(c, a_link_to_another_copy_of_coffer_is_passed_over);
	tcase_add_test(c, coffer_behind_the_compiler_does_not_matter);
	tcase_add_test(c, a_path_is_taken_as_it_is_unless_it_is_coffer);
	tcase_add_test(c, an_empty_directory_of_path_is_the_working_directory);
	tcase_add_test(c, a_directory_of_path_that_is_too_long_is_passed_over);
	tcase_add_test(c, only_what_changes_a_compile_travels);
	suite_add_tcase(s, c);
	return s;
}

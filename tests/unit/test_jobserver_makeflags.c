// MAKEFLAGS and the command lines of build tools: what a -j is, and what only looks like one.
#include "jobserver/client/makeflags.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <string.h>

static char *written(const char *old, unsigned jobs, const char *words)
{
	struct buf b = BUF_INIT;
	makeflags_write(&b, old, jobs, words);
	return buf_take(&b);
}

// What is left of a command line (words separated by blanks), and in *jobs the number.
static char *stripped(const char *line, enum jobs_grammar g, enum jobs_grammar native, int *jobs)
{
	static char text[512], result[512];
	char *argv[64];
	size_t n = 0;
	strcpy(text, line);
	for (char *save, *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	argv[n] = NULL;
	*jobs = JOBS_UNSET;
	jobs_strip(argv, g, native, jobs);
	result[0] = '\0';
	for (n = 0; argv[n]; n++)
		strcat(strcat(result, n ? " " : ""), argv[n]);
	return result;
}

struct line {
	const char *in, *out;
	int jobs;
};

static void check_lines(const struct line *lines, size_t n, enum jobs_grammar g, enum jobs_grammar native)
{
	for (size_t i = 0; i < n; i++) {
		int jobs;
		char *out = stripped(lines[i].in, g, native, &jobs);
		ck_assert_msg(strcmp(out, lines[i].out) == 0 && jobs == lines[i].jobs, "'%s' became '%s' with %d",
			      lines[i].in, out, jobs);
	}
}

START_TEST(every_spelling_of_j_is_taken_out_of_makes_words)
{
	static const struct line lines[] = {
		{"make", "make", JOBS_UNSET},        {"make -j8", "make", 8},
		{"make -j 8 all", "make all", 8},    {"make -j all", "make all", JOBS_UNLIMITED},
		{"make -j", "make", JOBS_UNLIMITED}, {"make --jobs=3", "make", 3},
		{"make --jobs 3 x", "make x", 3},    {"make --jobs x", "make x", JOBS_UNLIMITED},
		{"make -kj4 x", "make -k x", 4},     {"make -ksj 4 x", "make -ks x", 4},
		{"make x -j2 y -j5", "make x y", 5}, {"make -j999999999", "make", JOBS_MAX},
	};
	check_lines(lines, COUNT_OF(lines), JOBS_OF_MAKE, JOBS_OF_MAKE);
}
END_TEST

START_TEST(what_only_looks_like_j_stays_in_makes_words)
{
	static const struct line lines[] = {
		{"make -C -j4 x", "make -C -j4 x", JOBS_UNSET},
		{"make -Cj4", "make -Cj4", JOBS_UNSET},
		{"make -f -j4", "make -f -j4", JOBS_UNSET},
		{"make --directory -j4", "make --directory -j4", JOBS_UNSET},
		{"make --dir -j4", "make --dir -j4", JOBS_UNSET},
		{"make --directory=-j4 -j2", "make --directory=-j4", 2},
		{"make -Oj4", "make -Oj4", JOBS_UNSET},
		{"make -l 4 -j2", "make -l 4", 2},
		{"make -l -j2", "make -l", 2},
		{"make -l4 -j2", "make -l4", 2},
		{"make -- -j4", "make -- -j4", JOBS_UNSET},
		{"make V=-j4 -j1", "make V=-j4", 1},
		{"make -jx", "make -jx", JOBS_UNSET},
		{"make --jobserver-auth=3,4", "make --jobserver-auth=3,4", JOBS_UNSET},
		{"make -W j4", "make -W j4", JOBS_UNSET},
		{"make -", "make -", JOBS_UNSET},
		{"make -j0", "make -j0", JOBS_UNSET},
		{"make -kj 0", "make -kj 0", JOBS_UNSET},
		{"make --jobs=0 --jobs 0", "make --jobs=0 --jobs 0", JOBS_UNSET},
	};
	check_lines(lines, COUNT_OF(lines), JOBS_OF_MAKE, JOBS_OF_MAKE);
}
END_TEST

START_TEST(ninjas_words_follow_its_own_grammar)
{
	static const struct line lines[] = {
		{"ninja -j8 all", "ninja all", 8},
		{"ninja -j 8 all", "ninja all", 8},
		{"ninja -vj8", "ninja -v", 8},
		{"ninja -k 0 -j0", "ninja -k 0", JOBS_UNLIMITED},
		{"ninja -C -j8", "ninja -C -j8", JOBS_UNSET},
		{"ninja -Cj8", "ninja -Cj8", JOBS_UNSET},
		{"ninja -j", "ninja -j", JOBS_UNSET},
		{"ninja -j1 -t clean -j8", "ninja -t clean -j8", 1},
		{"ninja -l 4 -w dupbuild=err -j2", "ninja -l 4 -w dupbuild=err", 2},
	};
	check_lines(lines, COUNT_OF(lines), JOBS_OF_NINJA, JOBS_OF_NINJA);
}
END_TEST

START_TEST(cmakes_words_are_read_up_to_the_native_tools)
{
	static const struct line make_lines[] = {
		{"cmake --build b -j4", "cmake --build b", 4},
		{"cmake --build b -j 4 -t x", "cmake --build b -t x", 4},
		{"cmake --build b -j --target x", "cmake --build b --target x", JOBS_UNLIMITED},
		{"cmake --build b --parallel", "cmake --build b", JOBS_UNLIMITED},
		{"cmake --build b --parallel 5", "cmake --build b", 5},
		{"cmake --build b -- -k -j6", "cmake --build b -- -k", 6},
		{"cmake --build b -j2 -- -kj6 x", "cmake --build b -- -k x", 2},
	};
	static const struct line ninja_lines[] = {
		{"cmake --build b -- -t clean -j6", "cmake --build b -- -t clean -j6", -1}};
	check_lines(make_lines, COUNT_OF(make_lines), JOBS_OF_CMAKE, JOBS_OF_MAKE);
	check_lines(ninja_lines, COUNT_OF(ninja_lines), JOBS_OF_CMAKE, JOBS_OF_NINJA);
}
END_TEST

START_TEST(a_clean_or_a_dry_run_of_ninja_is_no_build)
{
	static const struct {
		const char *argv[5];
		bool no_build;
	} cases[] = {
		{{"ninja", "-t", "clean"}, true}, {{"ninja", "-C", "-t", "x"}, false},
		{{"ninja", "-nv"}, true},         {{"ninja", "-vn"}, true},
		{{"ninja", "all"}, false},        {{"ninja", "--version"}, true},
		{{"ninja", "--", "-t"}, false},   {{"ninja", "-vC", "t"}, false},
		{{"ninja", "-k0", "-n"}, true},   {{"ninja", "-j", "-n", "x"}, false},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		ck_assert_msg(ninja_is_no_build((char *const *)(uintptr_t)cases[i].argv) == cases[i].no_build, "case %zu",
			      i);
}
END_TEST

START_TEST(the_last_jobserver_word_counts)
{
	struct auth a = makeflags_auth("ks -j3 --jobserver-fds=5,6 --jobserver-auth=3,4");
	ck_assert_int_eq(a.kind, AUTH_FDS);
	ck_assert_int_eq(a.r, 3);
	ck_assert_int_eq(a.w, 4);
	a = makeflags_auth(" --jobserver-auth=3,4 --jobserver-auth=fifo:/tmp/x");
	ck_assert_int_eq(a.kind, AUTH_FIFO);
	ck_assert(a.path_len == 6 && memcmp(a.path, "/tmp/x", 6) == 0);
	a = makeflags_auth("k --jobserver-auth=-2,-2");
	ck_assert_int_eq(a.kind, AUTH_CLOSED);
}
END_TEST

START_TEST(what_is_no_jobserver_word_names_none)
{
	static const char *const flags[] = {"",
					    "k",
					    "-- X=--jobserver-auth=3,4",
					    " -- --jobserver-auth=3,4",
					    "--jobserver-auth=3",
					    "--jobserver-auth=3,4,5",
					    "--jobserver-auth=",
					    "--jobserver-auth=fifo:",
					    "--jobserver-auth=99999999,4",
					    "X=a\\ --jobserver-auth=3,4"};
	for (size_t i = 0; i < COUNT_OF(flags); i++)
		ck_assert_msg(makeflags_auth(flags[i]).kind == AUTH_NONE, "'%s'", flags[i]);
	ck_assert_int_eq(makeflags_auth(NULL).kind, AUTH_NONE);
}
END_TEST

START_TEST(jobs_are_found_in_makeflags)
{
	static const struct {
		const char *flags;
		int jobs;
	} cases[] = {{NULL, JOBS_UNSET},
		     {"", JOBS_UNSET},
		     {"-j8", 8},
		     {"j8", 8},
		     {"kj 8", 8},
		     {" -j2 --jobserver-auth=3,4", 2},
		     {"ks -j3", 3},
		     {" -j", JOBS_UNLIMITED},
		     {"k -- CFLAGS=-j8", JOBS_UNSET},
		     {"X=j8", JOBS_UNSET}};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		ck_assert_msg(makeflags_jobs(cases[i].flags) == cases[i].jobs, "'%s'", cases[i].flags);
}
END_TEST

START_TEST(the_jobserver_stands_behind_the_letters_and_before_the_rest)
{
	static const char *const cases[][2] = {
		{NULL, " -j2 W"},
		{"", " -j2 W"},
		{"ks", "ks -j2 W"},
		{"ksj8", "ks -j2 W"},
		{"-k -j8", "k -j2 W"},
		{" -j8 --no-print-directory", " -j2 W --no-print-directory"},
		{"k -j8 --jobserver-auth=3,4 -- CC=gcc X=a\\ b", "k -j2 W -- CC=gcc X=a\\ b"},
		{"-I /x -j4", " -j2 W -I /x"},
		{"X=1", " -j2 W X=1"},
		{"cj8\\", " -j2 W -cj8\\"},
		{"ks --x -C", "ks -j2 W --x -C"},
		{" --jobserver-style=pipe --jobserver-fds=3,4 -k", "k -j2 W"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		AUTO_FREE char *out = written(cases[i][0], 2, "W");
		ck_assert_msg(strcmp(out, cases[i][1]) == 0, "'%s' became '%s'", cases[i][0], out);
	}
	AUTO_FREE char *without = written("-j8 -k", 0, NULL);
	ck_assert_str_eq(without, "k");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("jobserver makeflags");
	TCase *t = tcase_create("makeflags");
	tcase_add_test(t, every_spelling_of_j_is_taken_out_of_makes_words);
	tcase_add_test(t, what_only_looks_like_j_stays_in_makes_words);
	tcase_add_test(t, ninjas_words_follow_its_own_grammar);
	tcase_add_test(t, cmakes_words_are_read_up_to_the_native_tools);
	tcase_add_test(t, a_clean_or_a_dry_run_of_ninja_is_no_build);
	tcase_add_test(t, the_last_jobserver_word_counts);
	tcase_add_test(t, what_is_no_jobserver_word_names_none);
	tcase_add_test(t, jobs_are_found_in_makeflags);
	tcase_add_test(t, the_jobserver_stands_behind_the_letters_and_before_the_rest);
	suite_add_tcase(s, t);
	return s;
}

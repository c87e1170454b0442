// A tree under the common name: what is moved there, what binds it to its place, and the way back.
#include "client/job/place.h"

#include "tests/unit/unit.h"

#include <string.h>

static struct arena arena;
static struct compiler gcc = {.family = FAMILY_GCC};
static struct wire_job wire = {.cwd = "/home/u/proj/build"};

static struct plan plan_of(const struct argument *arguments, unsigned n)
{
	struct plan p = {.arena = &arena,
			 .compiler = &gcc,
			 .wire = &wire,
			 .cwd = "/home/u/proj/build",
			 .root = "/home/u/proj",
			 .reproducible = true};
	p.line.arguments = (struct argument *)(uintptr_t)arguments;
	p.line.n_arguments = n;
	p.line.source_argument = n;
	return p;
}

START_TEST(words_that_name_the_tree_are_moved)
{
	const struct argument list[] = {{"-I/home/u/proj/inc", ARGUMENT_SEARCH, 2, false},
					{"-I/home/u/proj", ARGUMENT_SEARCH, 2, false},
					{"-I/usr/inc", ARGUMENT_SEARCH, 2, false},
					{"-o/home/u/proj/x.o", ARGUMENT_NOT_KEY, 0, false},
					{"-ointern/x.o", ARGUMENT_NOT_KEY, 0, false},
					{"-ffile-prefix-map=/home/u/proj/a=/home", ARGUMENT_MAP, 0, false}};
	const char *const words[] = {"-ffile-prefix-map=/home/u/proj/=./",
				     "-fdebug-prefix-map=/home/u/proj=.",
				     list[0].text,
				     list[1].text,
				     list[2].text,
				     list[3].text,
				     list[4].text,
				     list[5].text};
	const char *const want[] = {"-ffile-prefix-map=" PLACE_ROOT "/=./",
				    "-fdebug-prefix-map=" PLACE_ROOT "=.",
				    "-I" PLACE_ROOT "/inc",
				    "-I" PLACE_ROOT,
				    "-I/usr/inc",
				    "-o" PLACE_ROOT "/x.o",
				    "-ointern/x.o",
				    "-ffile-prefix-map=" PLACE_ROOT "/a=/home"};
	struct plan p = plan_of(list, COUNT_OF(list));
	ck_assert(place_is_free(&p));
	const char **moved = place_words(&p, words, 2, COUNT_OF(words));
	ck_assert_ptr_nonnull(moved);
	for (size_t i = 0; i < COUNT_OF(want); i++)
		ck_assert_str_eq(moved[i], want[i]);
}
END_TEST

START_TEST(words_that_may_mean_the_tree_bind_it)
{
	const struct argument lists[] = {
		{"-DX=/home/u/proj/x", ARGUMENT_KEY, 0, false},                 // a macro's value
		{"obj/home/u/proj/x.o", ARGUMENT_NOT_KEY, 0, false},            // below another directory
		{"-I/home/u/proj2", ARGUMENT_SEARCH, 2, false},                 // for whose name a map is, too
		{"-I/home/u/../u/proj/home/u/proj", ARGUMENT_SEARCH, 2, false}, // within another name
		{"-ffile-prefix-map=/home/u/pr=/x", ARGUMENT_MAP, 0, false},    // the beginning of its name
		{"-ffile-prefix-map=/x=/home/u/proj", ARGUMENT_MAP, 0, false},
	};
	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		struct plan p = plan_of(&lists[i], 1);
		ck_assert_msg(!place_words(&p, &lists[i].text, 0, 1), "%s", lists[i].text);
	}
}
END_TEST

START_TEST(plans_in_which_the_place_may_hide_are_bound)
{
	const struct argument packed = {"-gz=zlib", ARGUMENT_KEY, 0, false};
	struct plan p = plan_of(&packed, 1);
	ck_assert(!place_is_free(&p));
	p = plan_of(NULL, 0);
	p.root = "/home/u/pr oj";
	ck_assert(!place_is_free(&p)); // compilers write such names in more than one way
	p = plan_of(NULL, 0);
	p.root_real = "/mnt/proj";
	ck_assert(!place_is_free(&p));
	p = plan_of(NULL, 0);
	p.reproducible = false;
	ck_assert(!place_is_free(&p));
	p = plan_of(NULL, 0);
	p.cwd = "/home/u";
	ck_assert(!place_is_free(&p));
}
END_TEST

START_TEST(messages_get_the_users_names)
{
	struct plan p = plan_of(NULL, 0);
	struct buf b = {.max = 1000};
	buf_adds(&b, PLACE_ROOT "/a.c:1: from " PLACE_ROOT "/b.h");
	ck_assert(place_bring_messages(&p, &b));
	buf_addc(&b, '\0');
	ck_assert_str_eq(b.data, "/home/u/proj/a.c:1: from /home/u/proj/b.h");
	buf_clear(&b);
	buf_adds(&b, "\"uri\": \"file://" PLACE_ROOT "/a.c\"");
	ck_assert(!place_bring_messages(&p, &b));
	buf_clear(&b);
	buf_adds(&b, PLACE_NAME);
	ck_assert(!place_bring_messages(&p, &b));
	buf_release(&b);
}
END_TEST

START_TEST(depfiles_are_those_of_the_compiler_here)
{
	static const char moved[] =
		"x.o: " PLACE_ROOT "/src/a.c " PLACE_ROOT "/inc/a-header.h \\\n " PLACE_ROOT "/inc/b-header.h\n";
	static const char here[] =
		"x.o: /home/u/proj/src/a.c /home/u/proj/inc/a-header.h \\\n /home/u/proj/inc/b-header.h\n";
	static const char broken[] = "x.o: \\\n " PLACE_ROOT "/src/a.c\n"; // as no gcc breaks it
	const char *target = "x.o", *other = "y.o";
	struct plan p = plan_of(NULL, 0);
	p.line.dep_targets = &target;
	p.line.n_dep_targets = 1;
	struct store_part d = {moved, strlen(moved)};
	ck_assert(place_bring_depfile(&p, true, &d));
	ck_assert_uint_eq(d.n, strlen(here));
	ck_assert_mem_eq(d.p, here, d.n);
	d = (struct store_part){broken, strlen(broken)};
	ck_assert(!place_bring_depfile(&p, true, &d));
	ck_assert(place_bring_depfile(&p, false, &d));
	p.line.dep_targets = &other;
	d = (struct store_part){moved, strlen(moved)};
	ck_assert(!place_bring_depfile(&p, true, &d));
}
END_TEST

START_TEST(both_names_show)
{
	struct plan p = plan_of(NULL, 0);
	ck_assert(place_shows(&p, "x _coffer.tree_a y", 18));
	ck_assert(place_shows(&p, "x/home/u/proj/a", 15));
	ck_assert(!place_shows(&p, "./a.c", 5));
	ck_assert(!place_shows(&p, NULL, 0));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("place");
	TCase *t = tcase_create("all");
	tcase_add_test(t, words_that_name_the_tree_are_moved);
	tcase_add_test(t, words_that_may_mean_the_tree_bind_it);
	tcase_add_test(t, plans_in_which_the_place_may_hide_are_bound);
	tcase_add_test(t, messages_get_the_users_names);
	tcase_add_test(t, depfiles_are_those_of_the_compiler_here);
	tcase_add_test(t, both_names_show);
	suite_add_tcase(s, t);
	return s;
}

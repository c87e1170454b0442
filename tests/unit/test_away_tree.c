// Messages of a worker: colours pass, and nothing else that a terminal would obey.
#include "client/job/away_tree.h"
#include "tests/unit/unit.h"

#include <string.h>

static bool is_harmless(const char *text)
{
	struct store_part part = {text, strlen(text)};
	return away_tree_is_harmless(&part);
}

START_TEST(text_and_colours_are_harmless)
{
	ck_assert(away_tree_is_harmless(&(struct store_part){NULL, 0}));
	ck_assert(is_harmless("x.c:1:2: warning: \xe2\x80\x98x\xe2\x80\x99 is unused\n\t1 | int x;\n"));
	ck_assert(is_harmless("\x1b[01m\x1b[Kx.c:1:2:\x1b[m\x1b[K \x1b[01;35m\x1b[Kwarning\x1b[m\n"));
	ck_assert(is_harmless("\xc3\xa4"));
}
END_TEST

START_TEST(what_steers_a_terminal_is_not)
{
	static const char *const bad[] = {
		"\x1b]0;title\x07", "\x1b[2J",    "\x1b[1;1H", "\x1b[", "\x1b[12", "\x1b", "\x1bm", "a\rb", "\b", "\x7f",
		"\xc2\x9b[2J",      "\x1b[?25lm", "\x1b[ m"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(!is_harmless(bad[i]), "%zu", i);
	ck_assert(!away_tree_is_harmless(&(struct store_part){"a\0b", 3}));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("away tree");
	TCase *t = tcase_create("all");
	tcase_add_test(t, text_and_colours_are_harmless);
	tcase_add_test(t, what_steers_a_terminal_is_not);
	suite_add_tcase(s, t);
	return s;
}

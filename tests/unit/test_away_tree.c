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
	ck_assert(!is_harmless("x = 1; \xe2\x80\xae 2") && !is_harmless("\xe2\x81\xa6"));
	ck_assert(is_harmless("\xe2\x80\xaf \xe2\x81\xa5"));
	// The first and the last of each length, and those beside the surrogates; U+00A0 is the first behind the control characters.
	ck_assert(is_harmless("\xc2\xa0 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 "
			      "\xf4\x8f\xbf\xbf"));
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

// A terminal that does not read UTF-8 takes 0x9b for CSI, 0x9d for OSC and 0x90 for DCS.
START_TEST(what_is_not_whole_utf8_is_not_either)
{
	static const char *const bad[] = {
		"x.c: \x9b"
		"2J",
		"\xc0\x9b"
		"2J", // overlong: "\x1b" as two, three and four bytes
		"\xe0\x80\x9b",
		"\xf0\x80\x80\x9b",
		"\xc1\xbf",
		"\xe0\x9f\xbf",
		"\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", // a surrogate
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xc3", // cut off: by the end, by a letter, by an escape, by the next one
		"\xe2\x80",
		"\xf0\x9f\x98",
		"\xc3x",
		"\xe2\x80x",
		"\xc3\x1b[m",
		"\xe2\x80\xc3\xa4",
		"\xc3\xa4\x9b"
		"2J",
		"\x1b[1\x9b"
		"m",
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(!is_harmless(bad[i]), "%zu", i);
	for (int c = 0x80; c <= 0xff; c++) {
		char alone[] = {'a', (char)c, 'b', '\0'};
		ck_assert_msg(!is_harmless(alone), "%x", (unsigned)c);
	}
	// Whole only with what stands behind the messages.
	ck_assert(!away_tree_is_harmless(&(struct store_part){"\xe2\x80\x98", 2}));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("away tree");
	TCase *t = tcase_create("all");
	tcase_add_test(t, text_and_colours_are_harmless);
	tcase_add_test(t, what_steers_a_terminal_is_not);
	tcase_add_test(t, what_is_not_whole_utf8_is_not_either);
	suite_add_tcase(s, t);
	return s;
}

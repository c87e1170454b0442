// What the compiler sees of a preprocessed text.
#include "depscan/live.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <string.h>

static const char *as_it_is(void *ctx, const char *name)
{
	(void)ctx;
	return name;
}

static bool find_digest(const char *text, struct digest *d)
{
	static const struct live_names names = {as_it_is, NULL, NULL};
	return live_digest(text, strlen(text), &names, d);
}

static bool same(const char *a, const char *b)
{
	struct digest x, y;
	ck_assert_msg(find_digest(a, &x), "not read: %s", a);
	ck_assert_msg(find_digest(b, &y), "not read: %s", b);
	return digest_equal(&x, &y);
}

#define HEAD "# 1 \"a.c\"\n"

START_TEST(macros_that_no_line_can_use_do_not_count)
{
	ck_assert(same(HEAD "#define A 1\nint a;\n", HEAD "#define A 2\nint a;\n"));
	ck_assert(same(HEAD "#define A 1\nint a;\n", HEAD "\nint a;\n"));
	ck_assert(same(HEAD "#define B A\n#define A 1\nint a;\n", HEAD "#define B A\n#undef A\nint a;\n"));
	ck_assert(!same(HEAD "#define A 1\nint a = A;\n", HEAD "#define A 2\nint a = A;\n"));
	ck_assert(!same(HEAD "#define A B\n#define B 1\nint a = A;\n", HEAD "#define A B\n#define B 2\nint a = A;\n"));
	ck_assert(!same(HEAD "int a = A;\n#define A 1\n", HEAD "#define A 1\nint a = A;\n"));
	ck_assert(!same(HEAD "#define A\n#undef A\nint A;\n", HEAD "#define A\n\nint A;\n"));
	// Strings may be asked for by pragmas.
	ck_assert(!same(HEAD "#define A 1\n_Pragma(\"pop_macro(\\\"A\\\")\") int a;\n",
			HEAD "#define A 2\n_Pragma(\"pop_macro(\\\"A\\\")\") int a;\n"));
	ck_assert(!same(HEAD "#define \xc3\xa4 1\nint a;\n", HEAD "#define \xc3\xa4 2\nint a;\n"));
}
END_TEST

START_TEST(pasted_names_count)
{
	static const char paste[] = HEAD "#define C(a, b) a##b\n#define ONE_TWO %s\nint a = C(ONE_, TWO);\n";
	AUTO_FREE char *one = mem_printf(paste, "1"), *two = mem_printf(paste, "2"); // NOLINT: the format is above
	ck_assert(!same(one, two));
	ck_assert(same(HEAD "#define ONE_TWO 1\nint ONE_, TWO;\n", HEAD "#define ONE_TWO 2\nint ONE_, TWO;\n"));
}
END_TEST

START_TEST(lines_count_with_their_places)
{
	ck_assert(!same(HEAD "int a;\n", HEAD "\nint a;\n"));
	ck_assert(!same(HEAD "int a;\n", HEAD " int a;\n"));
	ck_assert(!same(HEAD "int a;\n", "# 1 \"b.c\"\nint a;\n"));
	ck_assert(!same(HEAD "int a;\n", "# 1 \"a.c\" 3\nint a;\n"));
	ck_assert(same(HEAD "int a;\n", HEAD "\n\n\n# 1 \"a.c\"\nint a;\n"));
	ck_assert(same(HEAD "int a; // x\n", HEAD "int a; // y\n"));
	ck_assert(!same(HEAD "/* x */int a;\n", HEAD "/* xx */int a;\n"));
	ck_assert(!same(HEAD "/* fall through */ int a;\n", HEAD "/* -all through */ int a;\n"));
}
END_TEST

START_TEST(what_only_looks_like_a_directive_is_text)
{
	ck_assert(!same(HEAD "s(\\\n#define X 1\\\n);\n", HEAD "s(\\\n#define X 2\\\n);\n"));
	ck_assert(!same(HEAD "/* fall\n# 7 \"b.c\"\n*/\nint a;\n", HEAD "\n/* fall\n# 7 \"b.c\"\n*/\nint a;\n"));
	struct digest d;
	ck_assert(!find_digest("int a;\n", &d));
	ck_assert(!find_digest(HEAD "char *s = R\"(\n#define X\n)\";\n", &d));
	ck_assert(!find_digest(HEAD "/* open\n", &d));
}
END_TEST

static struct live_oddities odd(const char *text)
{
	struct live_oddities o;
	live_oddities(text, strlen(text), &o);
	return o;
}

START_TEST(oddities_are_what_may_lead_to_messages)
{
	static const char *const texts[] = {"/* /* */\n",       "// a \\\nb\n",   "x \?\?= y\n",
					    "\xe2\x80\xae\n",   "a \\ \nb\n",     "#pragma weird\n",
					    "_Pragma(\"x\")\n", "/* a\n /* */\n", "a \\"};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct live_oddities o = odd(texts[i]);
		ck_assert_msg(!digest_is_zero(&o.digest), "%s", texts[i]);
	}
	struct live_oddities none = odd("#define A \\\n 1\n/* a */ int a; // b\n/*\n * c\n */\n");
	ck_assert(digest_is_zero(&none.digest) && !none.hidden_pragmas);
	ck_assert(odd("#pragma GCC poison x\n").hidden_pragmas);
	ck_assert(odd("#pragma GCC \\\n poison x\n").hidden_pragmas);
	ck_assert(odd("#  pragma push_macro(\"x\")\n").hidden_pragmas);
	ck_assert(odd("// poison\n_Pragma(\"x\")\n").hidden_pragmas);
	ck_assert(!odd("// a poison pill\n#pragma once\n").hidden_pragmas);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("live");
	TCase *t = tcase_create("live");
	tcase_add_test(t, macros_that_no_line_can_use_do_not_count);
	tcase_add_test(t, pasted_names_count);
	tcase_add_test(t, lines_count_with_their_places);
	tcase_add_test(t, what_only_looks_like_a_directive_is_text);
	tcase_add_test(t, oddities_are_what_may_lead_to_messages);
	suite_add_tcase(s, t);
	return s;
}

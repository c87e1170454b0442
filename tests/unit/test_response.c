// Response files. Numbers in comments are those of the list of correctness traps; all of this is number 42.
#include "compiler/cmdline.h"

#include "base/file.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static char directory[256];
static int directory_fd;

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(directory, sizeof directory, "%s/coffer-response-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(directory_fd, 0);
	ck_assert_int_eq(mkdirat(directory_fd, "sub", 0700), 0);
}

static void teardown(void)
{
	static const char *const names[] = {"a", "b", "c", "many", "sub/d"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		unlinkat(directory_fd, names[i], 0);
	unlinkat(directory_fd, "sub", AT_REMOVEDIR);
	close(directory_fd);
	ck_assert_int_eq(rmdir(directory), 0);
	arena_release(&arena);
}

static void put(const char *name, const char *text)
{
	ck_assert_int_eq(file_write_atomic(directory_fd, name, text, strlen(text), 0600, NULL), 0);
}

// The words of a text with '|' after each, or "-1".
static const char *split_n(const char *text, size_t len)
{
	const char **words;
	// A copy of exactly this size, so that the sanitizer sees a read past the end.
	char *copy = memcpy(mem_alloc(len), text, len), *out = arena_strdup(&arena, "");
	int n = response_split(&arena, copy, len, &words);
	free(copy);
	if (n < 0)
		return "-1";
	for (int i = 0; i < n; i++)
		out = arena_printf(&arena, "%s%s|", out, words[i]);
	ck_assert_ptr_null(words[n]);
	return out;
}

static void expect_split(const char *text, const char *words)
{
	ck_assert_str_eq(split_n(text, strlen(text)), words);
}

static void parse(struct cmdline *c, const char *const *argv)
{
	cmdline_parse(c, &arena, FAMILY_GCC, false, directory_fd, argv);
}

// What `gcc -c x.c @a` becomes, with '|' after each word; or the reason.
static const char *expanded(const char *response)
{
	struct cmdline c;
	put("a", response);
	parse(&c, (const char *const[]){"gcc", "@a", "-c", "x.c", NULL});
	if (c.reason != REASON_NONE)
		return reason_name(c.reason);
	char *out = arena_strdup(&arena, "");
	for (unsigned i = 0; i < c.n_arguments; i++)
		out = arena_printf(&arena, "%s%s|", out, c.arguments[i].text);
	return out;
}

START_TEST(words_end_at_blanks)
{
	expect_split("", "");
	expect_split(" \t\r\n ", "");
	expect_split("a b\tc\nd\r\ne", "a|b|c|d|e|");
	expect_split("  a  ", "a|");
}
END_TEST

START_TEST(quotes_and_backslashes_protect)
{
	expect_split("'a b' \"c d\"", "a b|c d|");
	expect_split("a' b 'c", "a b c|");
	expect_split("-DA=\"\\\"x\\\"\"", "-DA=\"x\"|");
	expect_split("'it\\'s' \"'\" '\"'", "it's|'|\"|");
	expect_split("a\\ b \\\\ \\n \\\n", "a b|\\|n|\n|");
	expect_split("-DA='' x", "-DA=|x|");
	expect_split("'a\nb'", "a\nb|");
	expect_split("a#b # c", "a#b|#|c|");
}
END_TEST

START_TEST(what_compilers_read_in_different_ways_is_refused)
{
	static const char *const texts[] = {"'a",   "\"a",  "a 'b\\'", "a\\",  "a\\\\ b\\",      "''",        "a \"\" b",
					    "a\vb", "a\fb", "'a\vb'",  "\\\f", "\xef\xbb\xbf-c", "\xff\xfe-", "\xfe\xff-"};
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		ck_assert_msg(strcmp(split_n(texts[i], strlen(texts[i])), "-1") == 0, "'%s'", texts[i]);
	ck_assert_str_eq(split_n("a\0b", 3), "-1");
	ck_assert_str_eq(split_n("a \0", 3), "-1");
}
END_TEST

START_TEST(the_table_of_words_grows)
{
	char text[4000];
	for (size_t i = 0; i < sizeof text; i += 2)
		memcpy(text + i, "w ", 2);
	const char **words;
	ck_assert_int_eq(response_split(&arena, text, sizeof text, &words), 2000);
	ck_assert_str_eq(words[1999], "w");
	ck_assert_ptr_null(words[2000]);
}
END_TEST

START_TEST(response_files_are_put_in_place)
{
	ck_assert_str_eq(expanded("-DA=1 '-DB=a b'\n-I inc"), "-DA=1|-DB=a b|-I|inc|-c|x.c|");
	ck_assert_str_eq(expanded(""), "-c|x.c|");
	struct cmdline c;
	put("a", "-c x.c");
	put("b", "out.o -MD");
	parse(&c, (const char *const[]){"gcc", "@a", "-o", "@b", "-march=native", NULL});
	ck_assert_int_eq(c.reason, REASON_NONE);
	ck_assert_str_eq(c.output, "out.o");
	ck_assert_str_eq(c.depfile, "out.d");
}
END_TEST

START_TEST(nested_files_are_relative_to_the_working_directory)
{
	put("b", "-DTOP");
	put("sub/d", "@b '@c'");
	put("c", "-DQUOTED");
	ck_assert_str_eq(expanded("@sub/d -DX"), "-DTOP|-DQUOTED|-DX|-c|x.c|");
}
END_TEST

START_TEST(a_missing_file_stands_for_itself)
{
	ck_assert_str_eq(expanded("-D @missing -D @ -D @a/b -DX=@a"), "-D|@missing|-D|@|-D|@a/b|-DX=@a|-c|x.c|");
	ck_assert_str_eq(expanded("@missing"), "several_sources");
}
END_TEST

START_TEST(what_cannot_be_read_is_refused)
{
	ck_assert_str_eq(expanded("@sub"), "response_file");
	ck_assert_str_eq(expanded("'unfinished"), "response_file");
	ck_assert_int_eq(mkfifoat(directory_fd, "c", 0600), 0);
	ck_assert_str_eq(expanded("@c"), "response_file");
	struct cmdline c;
	parse(&c, (const char *const[]){"gcc", "@sub", NULL});
	ck_assert_str_eq(c.culprit, "@sub");
}
END_TEST

START_TEST(files_that_name_themselves_come_to_an_end)
{
	ck_assert_str_eq(expanded("-DX @a"), "response_file");
	ck_assert_str_eq(expanded("@a @a"), "response_file");
	put("b", "@c @c @c @c @c @c @c @c");
	put("c", "@a");
	ck_assert_str_eq(expanded("@b @b"), "response_file");
}
END_TEST

START_TEST(too_many_words_are_refused)
{
	AUTO_BUF struct buf b = BUF_INIT;
	for (unsigned i = 0; i < CMDLINE_MAX_WORDS - 2; i++)
		buf_adds(&b, "-g ");
	struct cmdline c;
	put("many", b.data);
	parse(&c, (const char *const[]){"gcc", "@many", "-c", "x.c", NULL});
	ck_assert_int_eq(c.reason, REASON_NONE);
	ck_assert_uint_eq(c.n_arguments, CMDLINE_MAX_WORDS);
	buf_adds(&b, "-g");
	ck_assert_str_eq(expanded(b.data), "arguments_too_long");
	put("many", b.data);
	ck_assert_str_eq(expanded("@many"), "arguments_too_long");
}
END_TEST

START_TEST(too_much_text_is_refused)
{
	AUTO_BUF struct buf b = BUF_INIT;
	char *to = buf_room(&b, CMDLINE_MAX_RESPONSE / 2);
	memset(to, ' ', CMDLINE_MAX_RESPONSE / 2);
	buf_grew(&b, CMDLINE_MAX_RESPONSE / 2);
	put("many", b.data);
	ck_assert_str_eq(expanded("@many -DX"), "-DX|-c|x.c|");
	ck_assert_str_eq(expanded("@many @many -DX"), "response_file");
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = {
		words_end_at_blanks,
		quotes_and_backslashes_protect,
		what_compilers_read_in_different_ways_is_refused,
		the_table_of_words_grows,
		response_files_are_put_in_place,
		nested_files_are_relative_to_the_working_directory,
		a_missing_file_stands_for_itself,
		what_cannot_be_read_is_refused,
		files_that_name_themselves_come_to_an_end,
		too_many_words_are_refused,
		too_much_text_is_refused,
	};
	Suite *s = suite_create("response");
	TCase *t = tcase_create("response");
	tcase_add_checked_fixture(t, setup, teardown);
	for (size_t i = 0; i < COUNT_OF(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	return s;
}

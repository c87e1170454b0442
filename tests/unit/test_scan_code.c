// The code digest: what it must not see (comments) and what it must (everything else).
#include "depscan/scan.h"

#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct digest code_of(const char *text, size_t len)
{
	struct scan s;
	char *copy = malloc(len ? len : 1);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, text, len);
	scan_text(&s, copy, len);
	free(copy);
	struct digest d = s.code;
	scan_release(&s);
	return d;
}

static bool alike(const char *a, const char *b)
{
	struct digest x = code_of(a, strlen(a)), y = code_of(b, strlen(b));
	return digest_equal(&x, &y);
}

static void check_alike(const char *a, const char *b)
{
	ck_assert_msg(alike(a, b), "%s\n-- differs from --\n%s", a, b);
}

static void check_different(const char *a, const char *b)
{
	ck_assert_msg(!alike(a, b), "%s\n-- is taken for --\n%s", a, b);
}

START_TEST(comments_do_not_count)
{
	check_alike("int x; // one\n", "int x; // two words\n");
	check_alike("int x; // one\n", "int x;\n");
	check_alike("int x; /* one */ int y;\n", "int x; /* two */ int y;\n");
	check_alike("int x; /* one */ int y;\n", "int x;           int y;\n");
	check_alike("/*\n * one\n */\nint x;\n", "/* two\n\n */\nint x;\n");
	check_alike("/*\n * one\n */\nint x;\n", "\n\n\nint x;\n");
	check_alike("/*\n */ int x;\n", "\n    int x;\n");
	check_alike("#define A 1 /* one */\n", "#define A 1 // two\n");
	check_alike("#include <a.h> // one\n", "#include <a.h>\n");
	check_alike("#include \"a.h\" /* one */\n", "#include \"a.h\"\n");
	check_alike("#if A /* one */\n#endif // A\n", "#if A\n#endif\n");
	check_alike("#error no\n// one\n", "#error no\n// two\n");
}
END_TEST

START_TEST(blanks_at_line_ends_and_lines_at_the_end_do_not_count)
{
	check_alike("int x;  \t\nint y;\n", "int x;\nint y;\n");
	check_alike("int x;\r\nint y;\r\n", "int x;\nint y;\n");
	check_alike("int x;\n\n  \n", "int x;\n");
	check_alike("int x;\n// one\n", "int x;\n");
	check_alike("\n", "   \f\n\n");
}
END_TEST

START_TEST(the_last_line_break_counts)
{
	check_different("int x;\n", "int x;");
	check_different("int x;\n// one\n", "int x;\n// one");
	check_different("int x;\n// one", "int x;");
	check_different("", " ");
	check_alike("int x;\n// one", "int x;\n  ");
	check_alike("int x; // one", "int x;");
}
END_TEST

START_TEST(path_cache_of_tokens_count)
{
	check_different("int x;\n", " int x;\n");
	check_different("int x;\n", "\nint x;\n");
	check_different("int x; /* a */ int y;\n", "int x; /* ab */ int y;\n");
	check_different("/* a */\nint x;\n", "/* a\n*/\nint x;\n");
	check_different("/* a\n*/ int x;\n", "/* a\n */ int x;\n");
	check_different("/* a b */ int x;\n", "/* a\tb */ int x;\n"); // another column where tabs are wide
	check_different("\tint x;\n", " int x;\n");
}
END_TEST

START_TEST(comments_that_steer_or_raise_warnings_count)
{
	check_different("case 1: /* fall through */\ncase 2:;\n", "case 1:\ncase 2:;\n");
	check_different("/* FALLTHRU */\nx\n", "/* FALLTHR */\nx\n");
	check_different("x // Falls thru\n", "x // Falls thr\n");
	check_different("/* lint -fallthrough */\nx\n", "/* lint -fallthrough  */\nx\n");
	check_different("/* a /* b */ x\n", "/* a  * b */ x\n");
	check_different("// a \\\nb\nx\n", "// a \\\nc\nx\n");
	check_different("/* \xe2\x80\xae */ x\n", "/* \xe2\x80\xaf */ x\n");
	check_different("/* \xff */ x\n", "/* \xfe */ x\n");
	check_different("/* \x01 */ x\n", "/* \x02 */ x\n");
	check_different("/* a\?\?/\n */ x\n", "/* b\?\?/\n */ x\n");
}
END_TEST

START_TEST(literals_count)
{
	check_different("char *a = \"/* one */\";\n", "char *a = \"/* two */\";\n");
	check_different("char *a = \"// one\";\n", "char *a = \"// two\";\n");
	check_different("char *a = \"\\\"// one\";\n", "char *a = \"\\\"// two\";\n");
	check_different("char *a = \"\\\\\"; // one\nint x;", "char *a = \"\\\\\"; // one\nint y;");
	check_alike("char *a = \"\\\\\"; // one\n", "char *a = \"\\\\\"; // two\n");
	check_alike("char a = '\"'; // one\n", "char a = '\"'; // two\n");
	check_alike("char a = '\\''; // one\n", "char a = '\\''; // two\n");
	check_different("char *a = \"a\\\n// one\";\n", "char *a = \"a\\\n// two\";\n");
	check_different("char *a = \"a\\\\\n\"// one\";\n", "char *a = \"a\\\\\n\"// two\";\n"); // an escaped quote
	check_alike("char *a = \"a\\\\\\\n\"// one\n;\n", "char *a = \"a\\\\\\\n\"// two\n;\n");
	check_different("#include <a//one>\n", "#include <a//two>\n");
	check_different("#include <a/*one*/b>\n", "#include <a/*two*/b>\n");
	check_different("# include_next <a//one>\n", "# include_next <a//two>\n");
	check_different("#if __has_include(<a//one>)\n", "#if __has_include(<a//two>)\n");
	check_different("#include \"a\\\" // one\"\n", "#include \"a\\\" // two\"\n");
}
END_TEST

START_TEST(raw_strings_count_in_every_language)
{
	check_different("a = R\"(// one)\";\n", "a = R\"(// two)\";\n");
	check_different("a = R\"x()\" // one)x\";\n", "a = R\"x()\" // two)x\";\n");
	check_different("a = u8R\"(\n// one\n)\";\n", "a = u8R\"(\n// two\n)\";\n");
	check_different("a = LR\"(\n/* one */\n)\";\n", "a = LR\"(\n/* two */\n)\";\n");
	check_different("a = R\\\n\"(\" // one\n)\";\n", "a = R\\\n\"(\" // two\n)\";\n");
	check_alike("a = R\"(\n)\";\n// one\n", "a = R\"(\n)\";\n// two\n");
	// C has a string and a comment here, C++ one raw string.
	check_different("a = R\"(\" // one\n)\";\n", "a = R\"(\" // two\n)\";\n");
	check_alike("a = FOOR\"(\"; // one\n", "a = FOOR\"(\"; // two\n");
}
END_TEST

START_TEST(apostrophes_that_open_nothing_hide_nothing)
{
	check_alike("int x = 1'000'000;\n// one\n", "int x = 1'000'000;\n// two\n");
	check_different("int x = 1'000; // one'\n", "int x = 1'000; // two'\n");
	check_different("int x = 1'000; /* one\n */ '\n", "int x = 1'000; /* two\n */ '\n");
	check_alike("#if 0\ndon't\n#endif\n// one\n", "#if 0\ndon't\n#endif\n// two\n");
	check_different("#error don't // one\n", "#error don't // two\n");
	check_different("#error a /* one\nint x;\n", "#error a /* two\nint x;\n");
	check_alike("x = L'\\'' + u8'\"'; // one\n", "x = L'\\'' + u8'\"'; // two\n");
	check_alike("#pragma pack(1) // one\n", "#pragma pack(1) // two\n");
	check_different("#pragma mark a // one\n", "#pragma mark a // two\n");
}
END_TEST

START_TEST(what_old_compilers_read_otherwise_counts)
{
	check_different("int x = 4 //* one */ 2\n;\n", "int x = 4 //* two */ 2\n;\n");
	check_different("a = \"\?\?/\"; // one \";\n", "a = \"\?\?/\"; // two \";\n");
	check_different("a \?\?' // one\n", "a \?\?' // two\n");
	check_different("// one\rint x;\n", "// two\rint x;\n");
	check_different("x /\\\n/ one\n", "x /\\\n/ two\n");
	check_different("x /\\\n* one */\n", "x /\\\n* two */\n");
	check_different("/* *\\\n/ one /* */\n", "/* *\\\n/ two /* */\n");
	check_different("%:error don't // one\n", "%:error don't // two\n");
	struct digest a = code_of("#define A \\\0\n /* a\n */ one", 24), b = code_of("#define A \\\0\n\n    one", 20);
	ck_assert(!digest_equal(&a, &b));
}
END_TEST

START_TEST(a_comment_that_joins_lines_is_not_a_line_break)
{
	check_different("#define A x /* a\n */ y\n", "#define A x\n     y\n");
	check_different("#define A \\\n/* a\n */ y\n", "#define A \\\n\n    y\n");
	check_different("#define A \\ /* a\n */ y\n", "#define A \\ \n     y\n");
	check_different("#define A \\ // a\ny\n", "#define A \\ \ny\n");
	check_different("x /* a\n */ #define A\n", "x\n    #define A\n");
	check_alike("x /* a\n */\n#define A\n", "x\n\n#define A\n");
	check_alike("/* a\n */ #define A\n", "\n    #define A\n");
}
END_TEST

START_TEST(blanks_after_a_backslash_count)
{
	check_different("#define A \\ \nx\n", "#define A \\\nx\n");
	check_different("#define A \\\n\n", "#define A \\\n");
}
END_TEST

// ---- real headers -----------------------------------------------------------------------------------------------------

static unsigned random_below(unsigned n)
{
	static uint64_t state = 4711;
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % n;
}

// Marks the bytes inside comments with 1, of literals with 2. These headers have neither raw strings nor splices in
// literals.
static char *mark_comments(const char *text, size_t len)
{
	char *marks = mem_alloc(len + 2);
	for (size_t i = 0; i < len;) {
		size_t from = i;
		if (text[i] == '/' && text[i + 1] == '*') {
			i = (size_t)(strstr(text + i + 2, "*/") - text) + 2;
			memset(marks + from + 2, 1, i - from - 4);
			marks[from] = marks[from + 1] = marks[i - 2] = marks[i - 1] = 3;
		} else if (text[i] == '/' && text[i + 1] == '/') {
			i += strcspn(text + i, "\n");
			memset(marks + from + 2, 1, i - from - 2);
			marks[from] = marks[from + 1] = 3;
		} else if (text[i] == '"' || text[i] == '\'') {
			for (i++; i < len && text[i] != text[from] && text[i] != '\n'; i++)
				i += text[i] == '\\';
			memset(marks + from, 2, ++i - from);
		} else {
			i++;
		}
	}
	return marks;
}

// Is the comment around text[at] one whose words are of no interest?
static bool is_idle(const char *text, const char *marks, size_t at)
{
	size_t from = at, to = at;
	while (marks[from - 1] == 1)
		from--;
	while (marks[to] == 1)
		to++;
	for (size_t i = from; i < to; i++)
		if (strchr("fF\\?/*`", text[i]) || (unsigned char)text[i] >= 0x80)
			return false;
	return true;
}

static void check_header(const char *path, unsigned *inside, unsigned *outside)
{
	AUTO_BUF struct buf text = BUF_INIT;
	if (file_read(AT_FDCWD, path, 1 << 24, &text, NULL, NULL) < 0)
		return;
	AUTO_FREE char *marks = mark_comments(text.data, text.len);
	struct digest before = code_of(text.data, text.len);
	for (unsigned tries = 0; tries < 400; tries++) {
		size_t at = random_below((unsigned)text.len);
		char old = text.data[at], new = (char)('g' + random_below(20));
		if (strchr(" \t\n\\", old) || old == new || marks[at] == 3)
			continue;
		if (marks[at] == 1 && !is_idle(text.data, marks, at))
			continue;
		text.data[at] = new;
		struct digest after = code_of(text.data, text.len);
		ck_assert_msg(digest_equal(&before, &after) == (marks[at] == 1), "%s: byte %zu, '%c' for '%c'", path, at,
			      new, old);
		text.data[at] = old;
		++*(marks[at] == 1 ? inside : outside);
	}
}

START_TEST(edits_in_comments_of_real_headers_do_not_count_and_others_do)
{
	unsigned inside = 0, outside = 0;
	static const char *const headers[] = {
		"/usr/include/stdio.h",       "/usr/include/string.h",     "/usr/include/math.h",
		"/usr/include/elf.h",         "/usr/include/unistd.h",     "/usr/include/pthread.h",
		"/usr/include/errno.h",       "/usr/include/netinet/in.h", "/usr/include/zlib.h",
		"/usr/include/c++/12/vector", "/usr/include/check.h",      "/usr/include/c++/12/bits/stl_map.h",
	};
	for (size_t i = 0; i < COUNT_OF(headers); i++)
		check_header(headers[i], &inside, &outside);
	if (inside + outside == 0)
		return; // no headers here
	ck_assert_uint_gt(inside, 100);
	ck_assert_uint_gt(outside, 100);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("scan_code");
	TCase *t = tcase_create("scan_code");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, comments_do_not_count);
	tcase_add_test(t, blanks_at_line_ends_and_lines_at_the_end_do_not_count);
	tcase_add_test(t, the_last_line_break_counts);
	tcase_add_test(t, path_cache_of_tokens_count);
	tcase_add_test(t, comments_that_steer_or_raise_warnings_count);
	tcase_add_test(t, literals_count);
	tcase_add_test(t, raw_strings_count_in_every_language);
	tcase_add_test(t, apostrophes_that_open_nothing_hide_nothing);
	tcase_add_test(t, what_old_compilers_read_otherwise_counts);
	tcase_add_test(t, a_comment_that_joins_lines_is_not_a_line_break);
	tcase_add_test(t, blanks_after_a_backslash_count);
	tcase_add_test(t, edits_in_comments_of_real_headers_do_not_count_and_others_do);
	suite_add_tcase(s, t);
	return s;
}

#include "depscan/scan.h"

#include "base/child.h"
#include "base/file.h"
#include "depscan/incbin.h"
#include "tests/unit/scan_helpers.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool includes(const struct scan *of, const char *name, enum include_form form, bool next, bool probe)
{
	for (unsigned i = 0; i < of->n_includes; i++) {
		const struct include *n = &of->includes[i];
		if (strcmp(n->name, name) == 0 && n->form == form && n->next == next && n->probe == probe)
			return true;
	}
	return false;
}

static void check_one(const char *text, const char *name, enum include_form form, bool next, bool probe)
{
	scan(text);
	ck_assert_msg(s.n_includes == 1, "%s: %u includes", text, s.n_includes);
	ck_assert_msg(includes(&s, name, form, next, probe), "%s: '%s'", text, s.includes[0].name);
	ck_assert_msg(!HAS(computed) && !HAS(unknown_probe), "%s", text);
}

START_TEST(every_spelling_of_an_include_is_read)
{
	static const char *const quoted[] = {
		"#include \"x.h\"",
		"#include\"x.h\"\n",
		"  #\tinclude\t\"x.h\" // c\n",
		"int a;\n# include \"x.h\"\n",
		"#import \"x.h\"\n",
		"%:include \"x.h\"\n",
		"%: include \"x.h\"\n",
		"\?\?=include \"x.h\"\n",
		"#/**/include/* \n */\"x.h\"\n",
		"# /* a */ /* b */ include \"x.h\"\n",
		"/* a */ #include \"x.h\"\n",
		"/* a\n */ #include \"x.h\"\n",
		"#inc\\\nlude \"x.h\"\n",
		"#\\\ninclude \\\n\"x.h\"\n",
		"#include \"x\\\n.h\"\n",
		"#inc\\  \nlude \"x.h\"\n",
		"#inc\\\r\nlude \"x.h\"\r\n",
		"#inc\?\?/\nlude \"x.h\"\n",
		"/\\\n* c *\\\n/ #include \"x.h\"\n",
		"\xef\xbb\xbf#include \"x.h\"\n",
		"int a;\r#include \"x.h\"\r",
		"\f#\vinclude \"x.h\"\n",
		"#\xc2\xa0include \"x.h\"\n",
		"#include \"x.h\" extra\n",
		"#if 0\n#include \"x.h\"\n#endif\n",
	};
	for (size_t i = 0; i < sizeof quoted / sizeof *quoted; i++)
		check_one(quoted[i], "x.h", INCLUDE_QUOTED, false, false);
	check_one("#include <sys/x.h>\n", "sys/x.h", INCLUDE_ANGLED, false, false);
	check_one("#include <x.h>", "x.h", INCLUDE_ANGLED, false, false);
	check_one("#include_next <x.h>\n", "x.h", INCLUDE_ANGLED, true, false);
	check_one("# include_next /**/ \"x.h\"\n", "x.h", INCLUDE_QUOTED, true, false);
}
END_TEST

START_TEST(odd_names_are_taken_as_they_stand)
{
	check_one("#include \" a b \"\n", " a b ", INCLUDE_QUOTED, false, false);
	check_one("#include <a//b/*c*/d>\n", "a//b/*c*/d", INCLUDE_ANGLED, false, false);
	check_one("#include \"a\\b\"\n", "a\\b", INCLUDE_QUOTED, false, false);
	check_one("#include \"a'b#c$d>e\"\n", "a'b#c$d>e", INCLUDE_QUOTED, false, false);
	check_one("#include <\xc3\xa9>\n", "\xc3\xa9", INCLUDE_ANGLED, false, false);
	scan("#include \"a\?\?/b\"\n");
	ck_assert(includes(&s, "a\?\?/b", INCLUDE_QUOTED, false, false));
	ck_assert(includes(&s, "a\\b", INCLUDE_QUOTED, false, false));
}
END_TEST

START_TEST(probes_are_read_like_includes)
{
	check_one("#if __has_include(<x.h>)\n", "x.h", INCLUDE_ANGLED, false, true);
	check_one("#if defined(__has_include) && __has_include ( \"x.h\" )\n", "x.h", INCLUDE_QUOTED, false, true);
	check_one("#if __has_include_next(<x.h>)\n", "x.h", INCLUDE_ANGLED, true, true);
	check_one("#elif __has_inc\\\nlude(<x.h>)\n", "x.h", INCLUDE_ANGLED, false, true);
	check_one("#define HAS __has_include(<x.h>)\n", "x.h", INCLUDE_ANGLED, false, true);
	check_one("#define HAS(x) __has_include(\"x.h\")\n", "x.h", INCLUDE_QUOTED, false, true);
	check_one("#if __has_include__(<x.h>)\n", "x.h", INCLUDE_ANGLED, false, true);
	check_one("#ifdef __has_include\n#include <x.h>\n#endif\n", "x.h", INCLUDE_ANGLED, false, false);
	check_one("#ifndef __has_include\n#define __has_include(x) 0\n#endif\n#include <x.h>", "x.h", INCLUDE_ANGLED, false,
		  false);
}
END_TEST

START_TEST(each_name_is_noted_once_per_meaning)
{
	scan("#include <x.h>\n#include <x.h>\n#include \"x.h\"\n#include_next <x.h>\n#if __has_include(<x.h>)\n#import "
	     "<x.h>\n");
	ck_assert_uint_eq(s.n_includes, 4);
}
END_TEST

static bool names_macro(const char *name)
{
	for (unsigned i = 0; i < s.n_includes; i++)
		if (s.includes[i].form == INCLUDE_MACRO && strcmp(s.includes[i].name, name) == 0)
			return true;
	return false;
}

START_TEST(plain_macro_names_are_told)
{
	scan("#include MACRO\n#if 0\n# include OTHER_1\n#endif\n// #include NEVER\n");
	ck_assert(!HAS(computed));
	ck_assert(names_macro("MACRO") && names_macro("OTHER_1") && !names_macro("NEVER"));
	scan("#include MACRO(x)\n");
	ck_assert(HAS(computed));
}
END_TEST

START_TEST(macros_that_ask_are_noted)
{
	check_one("#  define HAS(x) __has_include(x)\n", "HAS", INCLUDE_MACRO, false, true);
	ck_assert(!HAS(unknown_probe));
	check_one("#define HAS(a, b) (a && __has_include ( b ))\n", "HAS", INCLUDE_MACRO, false, true);
	check_one("#define NEXT(x) __has_include_next(x)\n", "NEXT", INCLUDE_MACRO, true, true);
	ck_assert(!HAS(unknown_probe));
	static const char unused[] = "#define NEXT(x) __has_include_next(x)\n#ifdef NEXT\n#undef NEXT\n";
	ck_assert(!scan_may_use(unused, sizeof unused - 1, "NEXT"));
	ck_assert(scan_may_use("#if NEXT(<x.h>)\n", 16, "NEXT"));
	scan("#if HAS(<a/b.h>) && ! OTHER ( \"c.h\" ) && (1 < 2)\n");
	ck_assert_uint_eq(s.n_includes, 2);
	for (unsigned i = 0; i < 2; i++)
		ck_assert(s.includes[i].wrapped && s.includes[i].probe);
	ck_assert_str_eq(s.includes[0].name, "a/b.h");
	static const char plain[] =
		"#define HAS(x) __has_include(x)\n#if defined(HAS) && HAS(<x.h>) || HAS( \"y.h\" )\n#undef HAS\n";
	ck_assert(!scan_may_ask(plain, sizeof plain - 1, "HAS"));
	static const char *const unclear[] = {
		"#if HAS(NAME)\n",        "#define OTHER(x) HAS(x)\n", "#define OTHER HAS(<x.h>)\n",
		"HAS(<x.h>)\n",           "#if HAS\\\n(X)\n",          "#define O F(HAS)\n",
		"#if HAS(<x.h>, NAME)\n", "#if HAS(<x.h>, <y.h>)\n",   "#if HAS(<x.h\n"};
	for (size_t i = 0; i < sizeof unclear / sizeof *unclear; i++)
		ck_assert_msg(scan_may_ask(unclear[i], strlen(unclear[i]), "HAS"), "%s", unclear[i]);
}
END_TEST

static bool is_pieced(const char *text, const char *name)
{
	uint64_t pieces[SCAN_PIECED_NAME] = {0};
	scan_pieces(text, strlen(text), name, pieces);
	return scan_is_pieced(name, pieces);
}

START_TEST(a_name_may_be_made_of_pieces)
{
	static const char *const probes[] = {"#if CAT(__,has_include)(<k.h>)\n", "#if CAT(__h,as_include)(<k.h>)\n",
					     "#define P __has\n", "#if CAT(__has_, include_next)(<k.h>)\n",
					     "#if CAT(__,has_embed)(\"k\")\n"};
	for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
		scan(probes[i]);
		ck_assert_msg(HAS(unknown_probe), "%s", probes[i]);
	}
	ck_assert(is_pieced("#CAT(HA, S)", "HAS"));
	ck_assert(is_pieced("#S HA", "HAS"));
	ck_assert(is_pieced("#H A S", "HAS"));
	ck_assert(is_pieced("#define X HA\\\nS_ S_2", "HAS_2S_2") == false);
	ck_assert(is_pieced("#HAS 2", "HAS2"));
	ck_assert(!is_pieced("#HAS", "HAS"));
	ck_assert(!is_pieced("#HA HAS AS", "HAS"));
	ck_assert(!is_pieced("#xHA Sx", "HAS"));
	ck_assert(is_pieced("#A", "AA"));
	char longest[SCAN_PIECED_NAME + 1] = "";
	memset(longest, 'x', SCAN_PIECED_NAME);
	ck_assert(is_pieced("#x", longest));
	ck_assert(!is_pieced("#y", longest));
	ck_assert(scan_may_begin("#a HA b", 7, "HAS"));
	ck_assert(!scan_may_begin("#HAS AS S", 9, "HAS"));
}
END_TEST

// What stands elsewhere is in no #if.
START_TEST(only_words_of_directives_are_pieces)
{
	static const char *const joined[] = {"  # define A HA\n%:define B S\n",
					     "?\?=define A HA\n#define B \\\nS\n",
					     "/* x\n */ #define A HA S\n",
					     "#define A /* x\n y */ HA\n#define B S\n",
					     "#define A /* x\n\n */ HA /*\n*/ S\n",
					     "#define A /*/\n HA */ S\n",
					     "#define A \r HA S",
					     "#define A R\"(\n)\" HA\nS\n",
					     "#if CAT(HA,S)(<x.h>)"};
	static const char *const apart[] = {"template <class HA> S f();\n#define X\n",
					    "HA\n#define B S\n",
					    "#define A HA\n// S\n",
					    "#define A /* */ HA\nS\n",
					    "#define A HA /*\n*/\nS\n",
					    "HA /*\n*/ S\n"};
	for (size_t i = 0; i < COUNT_OF(joined); i++)
		ck_assert_msg(is_pieced(joined[i], "HAS"), "%s", joined[i]);
	for (size_t i = 0; i < COUNT_OF(apart); i++)
		ck_assert_msg(!is_pieced(apart[i], "HAS"), "%s", apart[i]);
	ck_assert(!scan_may_begin("HA\n#define A B\n", 15, "HAS"));
}
END_TEST

// The names with blanks between them; "?": they can't all be told.
static const char *incbin_names(struct arena *a, const char *text)
{
	struct incbin found = {.n = 0};
	const char *all = "";
	if (!incbin_find(text, strlen(text), a, &found))
		return "?";
	for (unsigned i = 0; i < found.n; i++)
		all = arena_printf(a, "%s%s%s", all, i ? " " : "", found.names[i]);
	return all;
}

START_TEST(what_an_assembler_is_told_to_read_is_read_off_the_text)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	ck_assert_str_eq(incbin_names(&a, ".incbin \"a.bin\"\n"), "a.bin");
	ck_assert_str_eq(incbin_names(&a, "x: .INCBIN\t\"d/a-b_1.bin\",4,8; .incbin\"/c\""), "d/a-b_1.bin /c");
	ck_assert_str_eq(incbin_names(&a, "asm(\".incbin \\\"a.bin\\\"\\n\");"), "a.bin");
	static const char *const unclear[] = {"",
					      "int x;",
					      ".incbin",
					      ".incbin \"\"",
					      ".incbin \"a",
					      ".incbin a.bin",
					      ".incbin \"a\\b\"",
					      ".incbin \"a b\"",
					      ".incbin \\name",
					      "asm(\".incbin \\\"\" FILE \"\\\"\");",
					      "asm(\".incbin \\\"a\");",
					      "asm(\".incbin \" \"\\\"a\\\"\");",
					      "incbin \"a\"",
					      "#define d inc\n.incbin \"a\"\n.incbin d",
					      ".incbin \"a\"\n.Include \"b.s\""};
	for (size_t i = 0; i < COUNT_OF(unclear); i++)
		ck_assert_msg(strcmp(incbin_names(&a, unclear[i]), "?") == 0, "%s", unclear[i]);
	const char *many = "";
	for (unsigned i = 0; i <= INCBIN_MAX_NAMES; i++)
		many = arena_printf(&a, "%s.incbin \"a\"\n", many);
	ck_assert_str_eq(incbin_names(&a, many), "?");
}
END_TEST

START_TEST(what_a_macro_may_be_is_read_if_it_is_one_word)
{
	static const char text[] =
		"#define fcntl fcntl64\n#if A\n# define  fcntl\\\n other_64 \r\n#define fcntl64 x y\n#define fcntl 1";
	AUTO_BUF struct buf values = BUF_INIT;
	ck_assert(scan_values(text, sizeof text - 1, "fcntl", &values));
	ck_assert_uint_eq(values.len, sizeof "fcntl64\0other_64\0"
					     "1");
	ck_assert_mem_eq(values.data,
			 "fcntl64\0other_64\0"
			 "1",
			 values.len);
	ck_assert(!scan_values(text, sizeof text - 1, "fcntl64", &values));
	static const char *const unclear[] = {"#define n\n",           "#define n(x) y\n", "#define n y/**/\n",
					      "#define /**/ n y\n",    "#define n y.h\n",  "#define n \"y\"\n",
					      "#define n y\xc3\xa4\n", "#define n"};
	for (size_t i = 0; i < sizeof unclear / sizeof *unclear; i++)
		ck_assert_msg(!scan_values(unclear[i], strlen(unclear[i]), "n", &values), "%s", unclear[i]);
	ck_assert(scan_values("#ifdef n\n#undef n\n#if n == 2\n", 29, "n", &values));
}
END_TEST

START_TEST(a_definition_is_told_from_a_mention)
{
	static const char defined[] = "#  define /* c */ NAME <x.h>\n";
	static const char mentioned[] =
		"#ifdef NAME\n#include NAME\n#if defined(NAME) && defined NAME\n#undef NAME\nMY_NAME NAMES\n";
	ck_assert(scan_may_define(defined, sizeof defined - 1, "NAME"));
	ck_assert(!scan_may_define(mentioned, sizeof mentioned - 1, "NAME"));
	ck_assert(!scan_may_define("#if NAME\nNAME", 13, "NAME"));
	ck_assert(scan_may_define("#define NA\\\nME", 15, "NAME"));
	ck_assert(scan_may_define("#define NA\?\?/\nME", 17, "NAME"));
}
END_TEST

START_TEST(names_that_cannot_be_read_are_computed)
{
	static const char *const computed[] = {
		"#include MACRO\n",
		"# include MACRO(x)\n",
		"#include /* c */ MACRO\n",
		"/* c */ #include MACRO\n",
		"/* c\n*/ #include MACRO\n",
		"#include_next MACRO\n",
		"#import MACRO\n",
		"%:include MACRO\n",
		"\?\?=include MACRO\n",
		"#inc\\\nlude MACRO\n",
		"#include \\\nMACRO\n",
		"#inc\?\?/\nlude MACRO\n",
		"int x;\r#include MACRO\r",
		"#include <x\n",
		"#include \"x\n",
		"#include <x",
		"#include \"x\\\"y\"\n",
		"#include <x\\>y>\n",
		"#include \xc3\xa9\n",
		"const char *s = R\"(\n#include MACRO\n)\";\n",
		"//* c\n#include MACRO\n/* */\n",
		"const char *s = \"\?\?/\"; /*\";\n#include MACRO\n/* */\n",
	};
	for (size_t i = 0; i < sizeof computed / sizeof *computed; i++) {
		scan(computed[i]);
		// Plain names of macros are told by name.
		ck_assert_msg(HAS(computed) || names_macro("MACRO"), "%s", computed[i]);
	}
	AUTO_BUF struct buf b = BUF_INIT;
	buf_adds(&b, "#include <");
	for (unsigned i = 0; i <= SCAN_MAX_NAME; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, ">\n");
	scan(b.data);
	ck_assert(HAS(computed));
	memcpy(b.data, "#include x", 10);
	b.data[b.len - 2] = 'x';
	scan(b.data);
	ck_assert(HAS(computed));
	scan_release(&s);
	scan_text(&s, "#include <a\0b>\n", 15);
	ck_assert(HAS(computed));
	scan_release(&s);
	scan_text(&s, "#inc\\\0\nlude <x>\n", 16);
	ck_assert(HAS(computed) && HAS(unknown_probe));
}
END_TEST

START_TEST(probes_that_cannot_be_read_are_flagged)
{
	static const char *const unknown[] = {
		"#if __has_include(MACRO)\n",
		"#elif defined(A) && __has_include_next ( MACRO )\n",
		"#define HAS(x) __has_include(y)\n",
		"#define HAS __has_include\n",
		"/* c */ # define HAS __has_include\n",
		"#define PASTE __has_inc##lude\n",
		"#if HAS(include)(<x.h>)\n",
		"\?\?=if __has_include(MACRO)\n",
		"#if __has_include(<x\\>>)\n",
		"#define HAS(x) __has_include(<a/x>)\n",
	};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		scan(unknown[i]);
		ck_assert_msg(HAS(unknown_probe) && !HAS(computed), "%s", unknown[i]);
	}
}
END_TEST

START_TEST(words_about_includes_are_not_computed)
{
	static const char *const prose[] = {
		"/* We protect against\n   #include's that come twice, and\n   #include plat-specific things */\n",
		"// #include directives go here\n",
		"/* __has_include is a probe, __has_include(x) is one use */\n",
		"puts(\"#include MACRO\");\n",
		"puts(\"#include \\\"x.h\\\"\");\n",
		"int include = 1; include(x);\n",
		"#include\n",
		"#error #include MACRO\n",
		"#define INCLUDE include MACRO\n",
		"#if defined __has_include || !defined(__has_include)\n",
		"struct __has_##_NTYPE x;\n",
	};
	for (size_t i = 0; i < sizeof prose / sizeof *prose; i++) {
		scan(prose[i]);
		ck_assert_msg(!HAS(computed) && !HAS(unknown_probe), "%s", prose[i]);
	}
}
END_TEST

START_TEST(too_many_includes_are_computed)
{
	AUTO_BUF struct buf b = BUF_INIT;
	for (unsigned i = 0; i < SCAN_MAX_INCLUDES; i++)
		buf_addf(&b, "#include <%u>\n", i);
	scan(b.data);
	ck_assert(!HAS(computed));
	ck_assert_uint_eq(s.n_includes, SCAN_MAX_INCLUDES);
	buf_adds(&b, "#include <more>\n");
	scan(b.data);
	ck_assert(HAS(computed));
	ck_assert_uint_eq(s.n_includes, SCAN_MAX_INCLUDES);
}
END_TEST

START_TEST(hostile_text_is_read_in_a_moment)
{
	static const char *const again[] = {
		"#/*", "#include <", "\"/*", "__has_include ", "import ", "R\"(",     "\"\\", "# ", "/* ",
		"'",   "\\\n",       "?",    "__T /*",         "#if /*",  "(include,"};
	for (size_t i = 0; i < sizeof again / sizeof *again; i++) {
		AUTO_BUF struct buf b = BUF_INIT;
		while (b.len < 1 << 18)
			buf_adds(&b, again[i]);
		scan(b.data); // the time limit of the test is what is tested
	}
}
END_TEST

// ---- against the compilers of this machine ----------------------------------------------------------------------------

static bool scan_file(struct scan *of, const char *path)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	if (file_read(AT_FDCWD, path, 1 << 26, &text, NULL, &err) < 0)
		return false;
	scan_text(of, text.data ? text.data : "", text.len);
	return true;
}

static void check_has(const char *includer, const char *path)
{
	struct scan of;
	ck_assert_msg(scan_file(&of, includer), "%s", includer);
	bool found = of.facts & FACT_computed;
	for (unsigned i = 0; i < of.n_includes && !found; i++) {
		size_t n = strlen(of.includes[i].name), len = strlen(path);
		found = !of.includes[i].probe && n <= len && strcmp(path + len - n, of.includes[i].name) == 0 &&
			(n == len || path[len - n - 1] == '/');
	}
	ck_assert_msg(found, "'%s' includes '%s', which was not seen", includer, path);
	scan_release(&of);
}

// -H prints a line for each header read: as many dots as it is deep, a blank, its name.
static unsigned check_tree(const char *compiler, const char *language, const char *source)
{
	enum { DEEPEST = 200 };
	const char *argv[] = {"/usr/bin/env", compiler, "-H", "-fsyntax-only", "-w", "-x", language, source, NULL};
	struct child c = {.argv = argv, .cwd_fd = -1, .time_limit_ms = 60000, .max_output = 1 << 24};
	if (child_run(&c, NULL) < 0 || c.status != 0) {
		child_release(&c);
		return 0;
	}
	const char *stack[DEEPEST] = {source};
	unsigned seen = 0;
	for (char *line = strtok(c.errs.data, "\n"); line && *line == '.'; line = strtok(NULL, "\n")) {
		size_t depth = strspn(line, ".");
		ck_assert_uint_lt(depth, DEEPEST);
		stack[depth] = line + depth + 1;
		if (strstr(stack[depth], "stdc-predef.h"))
			continue;
		check_has(stack[depth - 1], stack[depth]);
		seen++;
	}
	child_release(&c);
	return seen;
}

START_TEST(every_header_that_compilers_read_was_seen_in_its_includer)
{
	static const struct {
		const char *language, *text;
	} programs[] = {
		{"c",
		 "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/socket.h>\n"
		 "#include <pthread.h>\n#include <signal.h>\n#include <math.h>\n#include <tgmath.h>\n#include <limits.h>\n"
		 "#include <inttypes.h>\n#include <netinet/in.h>\n#include <sys/stat.h>\n#include <unistd.h>\n"},
		{"c++",
		 "#include <iostream>\n#include <regex>\n#include <map>\n#include <thread>\n#include <chrono>\n"
		 "#include <algorithm>\n#include <filesystem>\n#include <random>\n#include <future>\n#include <cmath>\n"},
		{"c", "#include <linux/fs.h>\n#include <linux/ethtool.h>\n#include <linux/if_packet.h>\n"},
		{"c", "#include <immintrin.h>\n#include <stdatomic.h>\n"},
	};
	char path[] = "/tmp/scanXXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, programs[i].text, strlen(programs[i].text), 0600, NULL),
				 0);
		check_tree("gcc", programs[i].language, path);
		check_tree("clang", programs[i].language, path);
	}
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(system_headers_raise_no_flag)
{
	static const char *const headers[] = {
		"/usr/include/stdio.h",
		"/usr/include/limits.h",
		"/usr/include/features.h",
		"/usr/include/pthread.h",
		"/usr/include/c++/12/string",
		"/usr/include/c++/12/type_traits",
		"/usr/include/c++/12/chrono",
		"/usr/include/linux/types.h",
		"/usr/include/c++/12/bits/stl_vector.h",
		"/usr/include/x86_64-linux-gnu/c++/12/bits/c++config.h",
		"/usr/include/math.h",
		"/usr/include/linux/ethtool.h",
		"/usr/include/c++/12/version",
	};
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		struct scan of;
		if (!scan_file(&of, headers[i]))
			continue;
		uint32_t any = of.facts & ~(uint32_t)(FACT_once | FACT_asm_label);
		ck_assert_msg(!any, "%s: %x", headers[i], any);
		scan_release(&of);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("scan");
	TCase *t = tcase_create("scan");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, every_spelling_of_an_include_is_read);
	tcase_add_test(t, odd_names_are_taken_as_they_stand);
	tcase_add_test(t, probes_are_read_like_includes);
	tcase_add_test(t, each_name_is_noted_once_per_meaning);
	tcase_add_test(t, names_that_cannot_be_read_are_computed);
	tcase_add_test(t, plain_macro_names_are_told);
	tcase_add_test(t, macros_that_ask_are_noted);
	tcase_add_test(t, a_name_may_be_made_of_pieces);
	tcase_add_test(t, only_words_of_directives_are_pieces);
	tcase_add_test(t, what_an_assembler_is_told_to_read_is_read_off_the_text);
	tcase_add_test(t, what_a_macro_may_be_is_read_if_it_is_one_word);
	tcase_add_test(t, a_definition_is_told_from_a_mention);
	tcase_add_test(t, probes_that_cannot_be_read_are_flagged);
	tcase_add_test(t, words_about_includes_are_not_computed);
	tcase_add_test(t, too_many_includes_are_computed);
	tcase_add_test(t, hostile_text_is_read_in_a_moment);
	tcase_add_test(t, every_header_that_compilers_read_was_seen_in_its_includer);
	tcase_add_test(t, system_headers_raise_no_flag);
	suite_add_tcase(suite, t);
	return suite;
}

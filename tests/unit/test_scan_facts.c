// What a text says to the preprocessor, the assembler and modules: facts.
#include "tests/unit/scan_helpers.h"
#include "tests/unit/unit.h"

START_TEST(time_macros_are_whole_words)
{
	scan("char a[] = __DATE__;");
	ck_assert(HAS(date) && !HAS(time) && !HAS(timestamp));
	scan("char a[] = __TI\\\nME__;");
	ck_assert(!HAS(date) && HAS(time) && !HAS(timestamp));
	scan("int x = sizeof __TIMESTAMP__;");
	ck_assert(!HAS(date) && !HAS(time) && HAS(timestamp));
	scan("// __TIMESTAMP__\n/* __DATE__ */ const char *s = __TIME__;");
	ck_assert(!HAS(date) && HAS(time) && !HAS(timestamp));
	scan("MY__DATE__ __DATE__S __TIMESIZE __TIME_T_TYPE /* the __TIME*_T macros */ f(__D, __T)");
	ck_assert(!HAS(date) && !HAS(time) && !HAS(timestamp));
}
END_TEST

START_TEST(time_macros_may_be_pasted)
{
	scan("#define A(x) __DA ## x\n");
	ck_assert(HAS(date) && !HAS(time));
	scan("#define A(x) __T %:%: x\n");
	ck_assert(HAS(time) && HAS(timestamp));
	scan("CAT(__TI, ME__)");
	ck_assert(HAS(time) && HAS(timestamp));
	scan("CAT(x, DATE__)");
	ck_assert(HAS(date));
	scan("#define A(x) x##TIMESTAMP__\n");
	ck_assert(HAS(timestamp) && !HAS(time));
	scan("#define T TIME__\n");
	ck_assert(HAS(time));
}
END_TEST

static bool dated(void)
{
	return HAS(date) || HAS(time) || (HAS(date_core) && HAS(dunder));
}

START_TEST(a_core_counts_where_underscores_are_put_around_it)
{
	static const char *const pasted[] = {
		"#define D(x) __##x##__\nD(TIME)",
		"#define D(x) __ ## x ## __\n#define T TIME\nD2(T)",
		"#define C(a, b) a##b\nC(C(__, TIME), __)",
		"#define C(a, b) a##b\nC(__, C(TIME, __))",
		"M(__, DATE, __)",
		"#define D(x) __%:%:x%:%:__\nD(DATE)",
		"C(C(__,\n TIME),\n __)",
	};
	for (size_t i = 0; i < sizeof pasted / sizeof *pasted; i++) {
		scan(pasted[i]);
		ck_assert_msg(dated(), "%s: %x", pasted[i], s.facts);
	}
	static const char *const harmless[] = {
		"#define TRACE(TIME, x) printf(#x, TIME)\n",
		"enum { DATE, TIME };\n#define NAME(x) __##x\n",
		"#define N(x) x##__\nf(TIME, 1);",
		"f(__, x); g(DATE);",
	};
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
		scan(harmless[i]);
		ck_assert_msg(!dated(), "%s: %x", harmless[i], s.facts);
	}
}
END_TEST

START_TEST(what_only_comments_and_literals_say_does_not_count)
{
	static const char *const idle[] = {
		"/* fall through: __DATE__ */ int x;",
		"// \xc3\xa9 __TIME__ \\\n __DATE__\nint x;",
		"const char *s = \"__DATE__ \\\" __TIME__\";",
		"char c = '\"'; /* __TIME__ */ char d = '\"';",
		"/* #pragma GCC dependency \"x\" */ // #embed <x>\n",
		"puts(\"#pragma clang module import x\"); puts(\"__has_embed\"); puts(\"_Pragma(x)\");",
		"/* __has_include(MACRO)\n#include MACRO\n#import <x> */",
		"\"pch_preprocess include_alias __has_include(X)\"",
		"/*\n module;\n import std;\n*/",
	};
	for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
		scan(idle[i]);
		ck_assert_msg(!s.facts && !s.n_includes, "%s: %x", idle[i], s.facts);
	}
	static const char *const counts[] = {
		"#define X \"\\\\\" __DATE__ \"\"",
		"char *s = R\"(\n__DATE__\n)\";",
		"/* a */ __DATE__ /* b */",
		"/\\\n/ c\n__DATE__",
		"int n = 1'000'000; // __DATE__",
		"#error don't\n__DATE__\n// '",
		"#if 0\n__DATE__\n#endif",
		"a = b //* c */ __DATE__\n;",
		"x \?\?/\n __DATE__",
		"// \?\?/\n__DATE__",
		"_Pragma(\"message(__DATE__)\")",
		"'\\'' __DATE__ '",
		"*__DATE__*1",
	};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		scan(counts[i]);
		ck_assert_msg(HAS(date), "%s: %x", counts[i], s.facts);
	}
}
END_TEST

START_TEST(literals_count_where_a_macro_may_make_a_pragma_of_them)
{
	scan("#define P(x) _Pragma(x)\n");
	ck_assert(HAS(open_pragma));
	scan("#define P _Pragma\n");
	ck_assert(HAS(open_pragma));
	scan("#define P(x) _Pragma(#x)\n_Pragma(\"once\")");
	ck_assert(!HAS(open_pragma) && HAS(once));
	scan("P(\"GCC dependency \\\"x\\\"\") P(\"message(__TIME__)\")");
	ck_assert(!s.facts && s.quoted & FACT_pragma_dependency && s.quoted & FACT_time);
}
END_TEST

// As for a compile whose only input this is, with an assembler that lists nothing.
static bool embeds(void)
{
	return HAS(asm_embeds) || HAS(asm_hints) || (HAS(asm_open) && HAS(asm_text));
}

START_TEST(assembler_inputs_are_seen)
{
	static const char *const incbin[] = {
		"asm(\".incbin \\\"x\\\"\");",
		"asm(\".INCBIN \\\"x\\\"\");",
		"asm(\".inc\\\nbin\");",
		"asm(\".inc\" \"bin\");",
		"asm(\".i\" \"nc\"\n /* c */ // c\n \"b\" \"\" \"in\");",
		"asm(\".inc\" u8\"bin\");",
		"asm(\".\\x69ncbin\");",
		"asm(\".inc\\142in\");",
		"asm(\".inc\\x{62}in\\o{156}\");",
		"#define S(x) #x\nasm(\".inc\" S(bin));",
		"#define P(x,y) x##y\nasm(S(P(.inc,bin)));",
		"asm(\".macro m a b\\n.\\\\a\\\\b x\\n.endm\\nm inc bin\");",
		"#define P in##cbin\nasm(S(P))",
	};
	for (size_t i = 0; i < sizeof incbin / sizeof *incbin; i++) {
		scan(incbin[i]);
		ck_assert_msg(embeds() && (HAS(incbin) || HAS(asm_parts)), "%s", incbin[i]);
	}
	scan("asm(\"\\t.include \\\"x\\\"\");");
	ck_assert(HAS(asm_include) && embeds() && !HAS(incbin));
	scan("asm(\".inc\" \"lude \\\"x\\\"\");");
	ck_assert(HAS(asm_include));
	scan("#define P inc##lude\nasm(\".\" S(P));");
	ck_assert(embeds() && HAS(asm_parts));
	scan("#define P inc##bin\n.P \"x\"\n");
	ck_assert(HAS(asm_parts) && !HAS(incbin));
}
END_TEST

START_TEST(an_asm_statement_may_come_from_anywhere)
{
	static const char *const open[] = {
		"#define ASM __asm__ volatile\nASM(\".incbin \\\"x\\\"\");",
		"#define EMBED \".incbin \\\"x\\\"\"\nasm(EMBED);",
		"#define S(x) #x\nasm(S(.incbin \"x\"));",
		"#define S(...) #__VA_ARGS__\n#define T(x) S(x)\n#define I incbin\nasm(\".\" T(I) \" \\\"x\\\"\");",
		"#define A \".in\"\n#define B \"cbin\"\nasm(A B);",
		"#define CAT(a, b) a##b\nCAT(as, m)(\".incbin \\\"x\\\"\");",
		"as\\\nm(\".incbin \\\"x\\\"\");",
		"#define M as##m\nM(\".incbin \\\"x\\\"\");",
		"asm((make_text()));",
		"asm(R\"(.incbin \"x\")\");",
		"__asm { incbin }\nchar *s = \".incbin\";",
		"#define R(n, p, t) n p __asm__ (t)\nint f(void) { asm volatile goto (\".incbin \\\"x\\\"\" : : : : l); }",
		"asm(u8\".inc\" L\"bin\");",
		"/* \" */ asm(\".incbin \\\"x\\\"\"); /* \" */",
		"#define I asm(\".incb\" X \"in\")",
		"char c = '\"'; asm(\".incbin \\\"x\\\"\"); char d = '\"';",
		"int n = 1'000; asm(\".incbin \\\"x\\\"\"); // '",
	};
	for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
		scan(open[i]);
		ck_assert_msg(embeds(), "%s: %x", open[i], s.facts);
	}
}
END_TEST

START_TEST(harmless_assembler_is_harmless)
{
	static const char *const harmless[] = {
		"#include <x.h>\n#define S(x) #x\nasm volatile(\"incl %0\" : \"+m\"(v)); int bin; /* in cb */ f(\"a\" "
		"\"b\", "
		"'\\0');\n",
		"int assembler; x.includes; \"inc\", \"bin\"",
		"__asm__(\"\")",
		"asm volatile(\"int3\"); f(\".\"); g(\".inc\"); char *suffix = \".incbin\";",
		"#include <asm/types.h>\n#include \"sys/asm.h\"\nx(\".incbin\");",
		"#define S(x) #x\nbool incbin; if (a.incbin() || b->incbin || c().incbin) asm(\"nop\" S(x));",
		"// asm(\".incbin \\\"x\\\"\")\n/* asm(\".incbin\") */ char *s = \"asm(.incbin)\";",
		"static const char *const names[] = {\"asm\", \".incbin\", \"__asm__\"};",
		"extern int f(int) __asm__(\"g\"); char *s = \".incbin\";",
		"#define JOIN(a, b) a##b\nf(as, other); g(__a, b); struct x as; char *s = \".incbin\";",
	};
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
		scan(harmless[i]);
		ck_assert_msg(!embeds(), "%s: %x", harmless[i], s.facts);
	}
	scan("f(\"a\" \"b\"); int bin; /* in cb */ x.includes;");
	ck_assert(!HAS(incbin) && !HAS(asm_include) && !HAS(asm_parts));
	// glibc's way to say that a function has another name.
	scan("#define REDIRECT(name, proto, alias) name proto __asm__ (NAME (#alias))\n");
	ck_assert(HAS(asm_label) && !HAS(asm_open));
}
END_TEST

START_TEST(pragmas_that_look_at_files_are_flagged)
{
	scan("#pragma GCC dependency \"x\"\n");
	ck_assert(HAS(pragma_dependency));
	scan("_Pragma(\"GCC dependency \\\"x\\\"\")\n");
	ck_assert(HAS(pragma_dependency));
	scan("#define D dependency <x>\n");
	ck_assert(HAS(pragma_dependency));
	scan("a dependency on \"x\": dependency \"x\"\n");
	ck_assert(!HAS(pragma_dependency));
	scan("#pragma clang module import x\n");
	ck_assert(HAS(odd_pragma));
	scan("#pragma GCC pch_preprocess \"x\"\n");
	ck_assert(HAS(odd_pragma));
	scan("#pragma include_alias(\"a\", \"b\")\n");
	ck_assert(HAS(odd_pragma));
	scan("// a clang module file\n#pragma clang diagnostic push\n");
	ck_assert(!HAS(odd_pragma));
}
END_TEST

START_TEST(modules_and_embeds_are_flagged)
{
	static const char *const modules[] = {"import std;\n",     "export import :part;\n",     "import <vector>;\n",
					      "import \"x.h\";\n", "int x;\nmodule :private;\n", "#if 1\nmodule a;\n",
					      "module;\n",         "export module a.b;\n",       "int x;\n@import Foo;",
					      "im\\\nport std;\n"};
	for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
		scan(modules[i]);
		ck_assert_msg(HAS(modules), "%s", modules[i]);
	}
	scan("import = 3;\n  module->x = import(y);\n/*\n * import foo;\n*/ struct module m;\n#import <x>\n");
	ck_assert(!HAS(modules));
	scan("int x = a ?\n module : b;\nf(a,\nmodule);\nx =\nmodule;\nswitch (x) {\ncase 1:\nmodule->run(); }\n");
	ck_assert(!HAS(modules));
	scan("#embed <x>\n");
	ck_assert(HAS(embed));
	scan("#if __has_embed(\"x\")\n");
	ck_assert(HAS(embed));
}
END_TEST

START_TEST(a_piece_of_a_time_macro_may_be_the_last_word)
{
	static const char text[] = {'_', '_', 'T', 'I'}; // nothing behind it may be read
	scan_release(&s);
	scan_text(&s, text, sizeof text);
	ck_assert(HAS(time));
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = {
		time_macros_are_whole_words,
		time_macros_may_be_pasted,
		a_core_counts_where_underscores_are_put_around_it,
		what_only_comments_and_literals_say_does_not_count,
		literals_count_where_a_macro_may_make_a_pragma_of_them,
		assembler_inputs_are_seen,
		an_asm_statement_may_come_from_anywhere,
		harmless_assembler_is_harmless,
		pragmas_that_look_at_files_are_flagged,
		modules_and_embeds_are_flagged,
		a_piece_of_a_time_macro_may_be_the_last_word,
	};
	Suite *suite = suite_create("scan facts");
	TCase *t = tcase_create("scan facts");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	for (size_t i = 0; i < COUNT_OF(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(suite, t);
	return suite;
}

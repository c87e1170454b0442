# Traps 24-30: what preprocessing loses, comments that count, character sets, messages.
# shellcheck shell=bash

trap_24_macros_in_debug_information()
{
	put h.h '#define UNUSED 1' 'int h;'
	put a.c '#include "h.h"' 'int a;'
	same "$CC" -g3 -c a.c -o a.o
	put h.h '#define UNUSED 2' 'int h;'
	expect_changed "$CC" -g3 -c a.c -o a.o
	same "$CC" -ggdb3 -c a.c -o a.o
	put h.h '#define UNUSED 3' 'int h;'
	expect_changed "$CC" -ggdb3 -c a.c -o a.o
	if is_clang; then
		same clang -g -fdebug-macro -c a.c -o a.o
		put h.h '#define UNUSED 4' 'int h;'
		expect_changed clang -g -fdebug-macro -c a.c -o a.o
	fi
	# From the command line.
	same "$CC" -g3 -DX=1 -c a.c -o a.o
	check changed "$CC" -g3 -DX=2 -c a.c -o a.o
	# A comment in a macro's definition.
	put h.h '#define UNUSED 4 /* four */' 'int h;'
	check any "$CC" -g3 -c a.c -o a.o
	put h.h '#define UNUSED 4 /* FOUR */' 'int h;'
	check any "$CC" -g3 -c a.c -o a.o
}

trap_25_no_line_markers()
{
	put h.h 'static int in_h(void)' '{' 'return 1;' '}'
	put a.c '#include "h.h"' '' '' 'int f(void) { return in_h() + __LINE__; }'
	right "$CC" -P -g -c a.c -o a.o
	same "$CC" -g -c a.c -o a.o
	untouched preprocess_only "$CC" -E -P a.c -o a.i
	right "$CC" -C -g -c a.c -o a.o
	right "$CC" -Wp,-P -g -c a.c -o a.o
}

trap_25_lines_that_move_are_seen()
{
	put h.h '/* one */' 'static inline int in_h(void) { return __LINE__; }'
	put a.c '#include "h.h"' '/* x */' 'int f(void) { return in_h() + __LINE__; }'
	same "$CC" -c a.c -o a.o
	same "$CC" -g -c a.c -o a.o
	put h.h '/* one' '   two */' 'static inline int in_h(void) { return __LINE__; }'
	expect_changed "$CC" -c a.c -o a.o
	expect_changed "$CC" -g -c a.c -o a.o
	put a.c '#include "h.h"' '' '/* x */' 'int f(void) { return in_h() + __LINE__; }'
	expect_changed "$CC" -c a.c -o a.o
	expect_changed "$CC" -g -c a.c -o a.o
}

trap_25_columns_that_move_are_seen()
{
	put a.c 'int g(int);' 'int f(int x) { /* c */ return g(x) + (1 << x); }'
	same "$CC" -g -O2 -c a.c -o a.o
	same "$CC" -fsanitize=undefined -c a.c -o a.o
	put a.c 'int g(int);' 'int f(int x) { /* longer comment */ return g(x) + (1 << x); }'
	check any "$CC" -g -O2 -c a.c -o a.o
	check any "$CC" -fsanitize=undefined -c a.c -o a.o
	put a.c 'int g(int);' $'int f(int x) {\t/**/\treturn g(x) + (1 << x); }'
	check any "$CC" -g -O2 -c a.c -o a.o
	check any "$CC" -fsanitize=undefined -c a.c -o a.o
	put a.c 'int g(int);' 'int f(int x) { /*äöü*/ return g(x) + (1 << x); }'
	check any "$CC" -g -O2 -c a.c -o a.o
	check any "$CC" -fsanitize=undefined -c a.c -o a.o
	put a.c 'int g(int);' 'int f(int x) { /*aou*/ return g(x) + (1 << x); }'
	check any "$CC" -g -O2 -c a.c -o a.o
	check any "$CC" -fsanitize=undefined -c a.c -o a.o
	# In a message.
	put a.c 'int f(void) { /* a */ int unused; return 0; }'
	same "$CC" -Wall -c a.c -o a.o
	put a.c 'int f(void) { /* b */ int unused; return 0; }'
	check any "$CC" -Wall -c a.c -o a.o
	put a.c 'int f(void) { /* bb */ int unused; return 0; }'
	check any "$CC" -Wall -c a.c -o a.o
}

trap_26_other_comments_same_object()
{
	put h.h '/* a header */' 'int h(void); // x'
	put a.c '#include "h.h"' 'int a(void) { return h(); } /* the end */'
	same "$CC" -c a.c -o a.o
	at_rest # the text is known
	put h.h '/* A HEADER */' 'int h(void); // y and more'
	expect_preprocessed_hit "$CC" -c a.c -o a.o
	again hit "$CC" -c a.c -o a.o
	put a.c '#include "h.h"' 'int a(void) { return h(); } /* THE END. */'
	expect_preprocessed_hit "$CC" -c a.c -o a.o
	check any "$CC" -MD -c a.c -o a.o
	put h.h '/* Another one */' 'int h(void);'
	COFFER_PREPROCESSED=off check changed "$CC" -c a.c -o a.o
	COFFER_PREPROCESSED=off "$COFFER" stop
}

trap_26_comments_that_stop_a_warning() # long
{
	local level text
	for level in 1 2 3 4 5; do
		for text in '/* fall through */' '/* FALLTHRU */' '// fallthrough' '/* falls through to the next */' '/*-fallthrough*/' \
			'/*@fallthrough@*/' '/* else fall-thru here */' '/* lint -fallthrough */' '// Fall Through.' '/* intentional */' '/* nothing */'; do
			put a.c 'int g(void);' 'int f(int x) {' ' switch (x) {' ' case 1: x = g();' " $text" ' case 2: x++;' ' }' \
				' return x;' '}'
			check any "$CC" -W "-Wimplicit-fallthrough=$level" -c a.c -o a.o
			is_gcc || break
		done
		is_gcc || break
	done
	put a.c 'int g(void);' '#define CASE case 1: x = g(); /* fall through */ case 2: x++;' 'int f(int x) { switch (x) { CASE }' \
		'return x; }'
	same "$CC" -Wextra -Wimplicit-fallthrough -c a.c -o a.o
	sed -i 's/fall through/nothing here/' a.c
	check any "$CC" -Wextra -Wimplicit-fallthrough -c a.c -o a.o
}

trap_26_comments_that_make_a_warning()
{
	put a.c 'int a; /* x y */' 'int b; // z' 'int c;'
	same "$CC" -Wall -Wextra -c a.c -o a.o
	put a.c 'int a; /* /* */' 'int b; // z' 'int c;'
	check any "$CC" -Wall -Wextra -c a.c -o a.o
	has_text "$T/got/stderr" -Wcomment
	put a.c 'int a; /* x y */' 'int b; // \' 'int c;'
	check any "$CC" -Wall -Wextra -c a.c -o a.o
	put a.c 'int a; /* x y */' 'int b; // ??/' 'int c;'
	check any "$CC" -Wall -Wextra -c a.c -o a.o
	check any "$CC" -Wall -Wextra -trigraphs -c a.c -o a.o
	put a.c 'int a; /* x y */' 'int b; // \ ' 'int c;'
	check any "$CC" -Wall -Wextra -c a.c -o a.o
	printf 'int a; /* \xe2\x80\xae */\nint b; // z\nint c;\n' >a.c
	check any "$CC" -Wall -Wextra -c a.c -o a.o
	printf 'int a; /* \xff\xfe */\nint b; // z\nint c;\n' >a.c
	check any "$CC" -Wall -Wextra -Winvalid-utf8 -c a.c -o a.o
	if is_gcc; then
		printf 'int a; /* \xe2\x80\x8e */\nint b; // z\nint c;\n' >a.c
		same gcc -Wbidi-chars=any -c a.c -o a.o
		printf 'int a; /* abc */\nint b; // z\nint c;\n' >a.c
		check any gcc -Wbidi-chars=any -c a.c -o a.o
	else
		put a.c '/** @param x it */' 'int f(int x);' 'int g(int y) { return y; }'
		same clang -Wdocumentation -c a.c -o a.o
		put a.c '/** @param y it */' 'int f(int x);' 'int g(int y) { return y; }'
		check any clang -Wdocumentation -c a.c -o a.o
		has_text "$T/got/stderr" documentation
		put a.c '/* @param y it  */' 'int f(int x);' 'int g(int y) { return y; }'
		check any clang -Weverything -c a.c -o a.o
		put a.c '/** \unknown  y */' 'int f(int x);' 'int g(int y) { return y; }'
		check any clang -Weverything -c a.c -o a.o
	fi
}

trap_26_the_line_a_message_quotes()
{
	# The compiler prints the source line, comment and all.
	put a.c 'int f(void) { int unused; return 0; } /* one */'
	same "$CC" -Wall -c a.c -o a.o
	put a.c 'int f(void) { int unused; return 0; } /* two */'
	check any "$CC" -Wall -c a.c -o a.o
	has_text "$T/got/stderr" two
	put h.h 'static int unused(void) { return 0; } // one'
	put a.c '#include "h.h"' 'int x;'
	same "$CC" -Wall -c a.c -o a.o
	put h.h 'static int unused(void) { return 0; } // two'
	check any "$CC" -Wall -c a.c -o a.o
	put a.c '#include "h.h" // here' 'int x;'
	check any "$CC" -Wall -c a.c -o a.o
	put a.c '#warning careful /* one */' 'int x;'
	same "$CC" -c a.c -o a.o
	put a.c '#warning careful /* two */' 'int x;'
	check any "$CC" -c a.c -o a.o
}

trap_26_suppressing_comments_and_pragmas()
{
	put a.c '#pragma GCC diagnostic ignored "-Wunused-variable"' 'int f(void) { int unused; return 0; }'
	same "$CC" -Wall -c a.c -o a.o
	put a.c '/*ragma GCC diagnostic ignored "-Wunused-variabl*/' 'int f(void) { int unused; return 0; }'
	check any "$CC" -Wall -c a.c -o a.o
	put a.c '#define M(x) do { int unused_##x; } while (0)' 'int f(void) { M(a); return 0; }'
	same "$CC" -Wall -c a.c -o a.o
	put sys.h '#pragma GCC system_header' '#define M(x) do { int unused_##x; } while (0)'
	put a.c '#include "sys.h"' 'int f(void) { M(a); return 0; }'
	same "$CC" -Wall -c a.c -o a.o
	sed -i 1d sys.h
	check any "$CC" -Wall -c a.c -o a.o
	put a.c '#include <sys.h>' 'int f(void) { M(a); return 0; }'
	same "$CC" -Wall -isystem . -c a.c -o a.o
	check changed "$CC" -Wall -I. -c a.c -o a.o
}

# two_texts TEXT OTHER CMD... SOURCE: two texts of one source that must not be taken for one another.
two_texts()
{
	local one=$1 two=$2
	shift 2
	printf '%b' "$one" >"${*: -1}"
	check any "${@:1:$#-1}" -c "${*: -1}" -o a.o
	printf '%b' "$two" >"${*: -1}"
	check any "${@:1:$#-1}" -c "${*: -1}" -o a.o
	printf '%b' "$one" >"${*: -1}"
	check any "${@:1:$#-1}" -c "${*: -1}" -o a.o
	return 0
}

trap_26_what_looks_like_a_comment_and_is_none() # long
{
	# In C90, // is two divisions.
	two_texts 'int x = 10 //*a*/ 2\n;\n' 'int x = 10 //*a*/ 5\n;\n' "$CC" -std=c89 a.c
	two_texts 'int x = 10 //*a*/ 2\n;\n' 'int x = 10 //*a*/ 5\n;\n' "$CC" -ansi a.c
	two_texts 'int x = 10 //*a*/ 2\n;\n' 'int x = 10 //*a*/ 5\n;\n' "$CC" -std=c99 a.c
	# In strings and characters.
	two_texts 'char *s = "/* one */";\n' 'char *s = "/* two */";\n' "$CC" a.c
	two_texts 'char *s = "// one";\n' 'char *s = "// two";\n' "$CC" a.c
	two_texts 'char *s = "\\"/* one */";\n' 'char *s = "\\"/* two */";\n' "$CC" a.c
	two_texts "int c = '\"'; char *s = \"/*1*/\";\n" "int c = '\"'; char *s = \"/*2*/\";\n" "$CC" a.c
	two_texts 'char *s = "a\\\n/*1*/";\n' 'char *s = "a\\\n/*2*/";\n' "$CC" a.c
	# An apostrophe where no character constant can be.
	two_texts "#if 0\ndon't\n#endif\nchar *s = \"/*1*/\";\n" "#if 0\ndon't\n#endif\nchar *s = \"/*2*/\";\n" "$CC" a.c
	two_texts "#if 0\n\"open\n#endif\nchar *s = \"/*1*/\";\n" "#if 0\n\"open\n#endif\nchar *s = \"/*2*/\";\n" "$CC" a.c
	two_texts "#define Q(x) #x\nchar *s = Q(\"/*1*/\");\n" "#define Q(x) #x\nchar *s = Q(\"/*2*/\");\n" "$CC" a.c
	two_texts "#pragma x '\nchar *s = \"/*1*/\";\n" "#pragma x '\nchar *s = \"/*2*/\";\n" "$CC" -w a.c
	two_texts '#include <stdio.h> // "\nchar *s = "/*1*/";\n' '#include <stdio.h> // "\nchar *s = "/*2*/";\n' "$CC" a.c
	mkdir -p 'x//y' && put x/y/1.h 'int v = 1;' && put x/y/2.h 'int v = 2;'
	two_texts '#include <x//y/1.h>\n' '#include <x//y/2.h>\n' "$CC" -I. a.c
	two_texts '#include "x//y/1.h"\n' '#include "x//y/2.h"\n' "$CC" -I. a.c
	# A // comment that goes on in the next line.
	two_texts 'int a; // x \\\n int b;\nint c;\n' 'int a; // x \\\n int d;\nint c;\n' "$CC" -w a.c
	two_texts 'int a; // x ??/\n int b = 1;\nint c;\n' 'int a; // x ??/\n int b = 2;\nint c;\n' "$CC" -w a.c
	two_texts 'int a; // x ??/\n int b = 1;\nint c;\n' 'int a; // x ??/\n int b = 2;\nint c;\n' "$CC" -w -trigraphs a.c
	two_texts 'int a; /\\\n* 1 */ int b = 1;\n' 'int a; /\\\n* 2 */ int b = 2;\n' "$CC" -w a.c
	two_texts 'int a; /\\\n/ 1 \nint b = 1;\n' 'int a; /\\\n/ 2 \nint b = 2;\n' "$CC" -w a.c
	two_texts 'int x = 6 /* *\\\n/ / 2;\n' 'int x = 6 /* *\\\n/ / 3;\n' "$CC" -w a.c
	two_texts 'int a/**/b;\n' 'int a    b;\n' "$CC" -w a.c
	two_texts '#define S(x) #x\nchar *s = S(a/**/b);\n' '#define S(x) #x\nchar *s = S(ab    );\n' "$CC" a.c
	two_texts '#define S(x) #x\nchar *s = S(a/**/+b);\n' '#define S(x) #x\nchar *s = S(a+    b);\n' "$CC" a.c
	two_texts '#define F/**/(x) x\nint i F;\n' '#define F(x) x    \nint i F;\n' "$CC" -w a.c
	two_texts '#define F    (1)\nint i = F;\n' '#define F/**/(1)\nint i = F;\n' "$CC" a.c
	return 0
}

trap_26_raw_strings_and_digit_separators() # long
{
	two_texts 'const char *s = R"(/*1*/)";\n' 'const char *s = R"(/*2*/)";\n' "$CXX" a.cc
	two_texts 'const char *s = R"x(" /*1*/)x";\n' 'const char *s = R"x(" /*2*/)x";\n' "$CXX" a.cc
	two_texts 'const char *s = R"(a  \nb)";\n' 'const char *s = R"(a\nb)";\n' "$CXX" a.cc
	two_texts 'const char *s = R"(a\\\nb)";\n' 'const char *s = R"(ab)";\n' "$CXX" a.cc
	two_texts 'const char *s = R"(// 1)";\n' 'const char *s = R"(// 2)";\n' "$CXX" a.cc
	two_texts 'const auto *s = u8R"(/*1*/)";\n' 'const auto *s = u8R"(/*2*/)";\n' "$CXX" a.cc
	two_texts 'const auto *s = LR"(/*1*/)";\n' 'const auto *s = LR"(/*2*/)";\n' "$CXX" a.cc
	two_texts '#define R "x"\nconst char *s = R"(/*1*/)";\n' '#define R "x"\nconst char *s = R"(/*2*/)";\n' "$CXX" -std=c++98 a.cc
	two_texts 'const char *s = R"(/*1*/)";\n' 'const char *s = R"(/*2*/)";\n' "$CC" -std=gnu11 a.c
	two_texts "int i = 1'000; const char *s = \"/*1*/\"; // '\n" "int i = 1'000; const char *s = \"/*2*/\"; // '\n" "$CXX" a.cc
	two_texts "int i = 1'0; /* 1' */ int j = 1;\n" "int i = 1'0; /* 2' */ int j = 2;\n" "$CXX" a.cc
	two_texts "int i = 0x1'f'f; int j = '/*'; int k = 1; //*/\n" "int i = 0x1'f'f; int j = '/*'; int k = 2; //*/\n" "$CXX" -w a.cc
}

trap_26_comments_in_assembler_sources()
{
	two_texts '/* one */\n.ascii "x"\n' '/* two */\n.ascii "x"\n' "$CC" a.S
	two_texts '# it is\n.ascii "/*1*/"\n' '# it is\n.ascii "/*2*/"\n' "$CC" a.S
	two_texts ".byte 'a\n.ascii \"/*1*/\"\n" ".byte 'a\n.ascii \"/*2*/\"\n" "$CC" a.S
	two_texts ".byte '\"\n.ascii \"/*1*/\"\n" ".byte '\"\n.ascii \"/*2*/\"\n" "$CC" a.S
	two_texts ".byte '/ /* 1 */\n.byte 1\n" ".byte '/ /* 2 */\n.byte 2\n" "$CC" a.S
	two_texts "// don't\n.ascii \"/*1*/\"\n" "// don't\n.ascii \"/*2*/\"\n" "$CC" a.S
	two_texts '.ascii "a  "  \n.byte 1\n' '.ascii "a"  \n.byte 1\n' "$CC" a.S
	two_texts '/* one */\n.ascii "x"\n' '/* two */\n.ascii "x"\n' "$CC" a.s
	two_texts '.ascii "/*1*/"\n' '.ascii "/*2*/"\n' "$CC" a.s
	two_texts '.byte 1 # 1\n' '.byte 2 # 1\n' "$CC" a.s
	return 0
}

trap_26_traditional_preprocessing() # gcc
{
	two_texts 'int a/**/b;\n' 'int a    b;\n' gcc -traditional-cpp -w a.c
	two_texts 'int i = 1/**/0;\n' 'int i = 1    +0;\n' gcc -traditional-cpp -w a.c
	two_texts '#define S(x) "x/*1*/"\nchar *s = S(a);\n' '#define S(x) "x/*2*/"\nchar *s = S(a);\n' gcc -traditional-cpp a.c
	two_texts "int c; /* don't */ char *s = \"/*1*/\";\n" "int c; /* don't */ char *s = \"/*2*/\";\n" gcc -traditional-cpp a.c
	two_texts 'a/**/b: .byte 1\n' 'ab    : .byte 1\n' gcc -traditional-cpp a.S
}

trap_26_comments_in_coverage_maps() # clang
{
	local flags='-fprofile-instr-generate -fcoverage-mapping'
	# shellcheck disable=SC2086
	two_texts 'int f(int a)\n{\n  if (a)\n  /* comment here */\n  return 1;\n  return 2;\n}\n' \
		'int f(int a)\n{\n  if (a)\n                      \n  return 1;\n  return 2;\n}\n' clang $flags a.c
}

trap_26_other_kinds_of_comments() # long
{
	local options
	for options in '-std=gnu89 -pedantic' '-std=gnu89 -pedantic-errors' -Wc90-c99-compat -Wc++-comment -Wcomment '-std=c89 -w'; do
		# shellcheck disable=SC2086
		two_texts 'int x; /* abc */\n' 'int x; // abc   \n' "$CC" $options a.c
		# shellcheck disable=SC2086
		two_texts '#define C(a,b) a/**/b\nint C(fo,o)=1;int bar;\n' '#define C(a,b) a    b\nint C(fo,o)=1;int bar;\n' "$CC" $options a.c
	done
	if is_gcc; then
		for options in -traditional-cpp -traditional --traditional-cpp --traditional; do
			two_texts '#define C(a,b) a/**/b\nint C(fo,o)=1;int bar;\n' '#define C(a,b) a    b\nint C(fo,o)=1;int bar;\n' \
				gcc $options -c a.c
		done
	fi
}

trap_27_directives_only_and_its_enemies()
{
	put a.c '#define UNUSED 1' '#define N __COUNTER__' 'int a = N, b = N;' '#pragma GCC optimize ("O1")' 'int f(void) { return 1; };'
	right "$CC" -fdirectives-only -c a.c -o a.o
	right "$CC" -pedantic -Wunused-macros -c a.c -o a.o
	right "$CC" -fpreprocessed -c a.c -o a.o
	right "$CC" -fpreprocessed -fdirectives-only -c a.c -o a.o
	put w.i '# 1 "foo.c"' 'int x;' '#include "y.h"'
	put y.h 'int y;'
	right "$CC" -fpreprocessed -fdirectives-only -c w.i -o w.o
	put y.h 'int z;'
	check any "$CC" -fpreprocessed -fdirectives-only -c w.i -o w.o
	same "$CC" -pedantic -Wall -c a.c -o a.o
	put a.c 'int a = 1;' 'int f(void) { return 1; };'
	check any "$CC" -pedantic -Wunused-macros -c a.c -o a.o
	put a.cc 'const char *s = R"(' '#define X 1' ')";' '#pragma once' 'int f() { return __COUNTER__; }'
	same "$CXX" -pedantic -c a.cc -o a.o
	if is_clang; then
		right clang -frewrite-includes -c a.c -o a.o
	fi
}

trap_28_bom_crlf_nul_and_no_last_newline()
{
	printf '\xef\xbb\xbf#include "h.h"\nint a = H;\n' >a.c
	printf '\xef\xbb\xbf#define H 1\n' >h.h
	same "$CC" -c a.c -o a.o
	printf '\xef\xbb\xbf#define H 2\n' >h.h
	expect_changed "$CC" -c a.c -o a.o
	printf '#include "h.h"\r\nint a = H; // x\r\nchar *s = "a\\\r\nb";\r\n' >a.c
	printf '#define H 1\r\n' >h.h
	same "$CC" -c a.c -o a.o
	printf '#define H 2\r\n' >h.h
	expect_changed "$CC" -c a.c -o a.o
	printf 'int a = 1;' >a.c
	same "$CC" -c a.c -o a.o
	printf 'int a = 2;' >a.c
	expect_changed "$CC" -c a.c -o a.o
	printf 'char *s = "a\0b";\nint a = 1;\n' >a.c
	same "$CC" -c a.c -o a.o
	printf 'char *s = "a\0b";\nint a = 2;\n' >a.c
	expect_changed "$CC" -c a.c -o a.o
	printf 'char *s = "a\0c";\nint a = 2;\n' >a.c
	expect_changed "$CC" -c a.c -o a.o
	# Behind a NUL byte, and between old line ends, a reader of lines would see no include.
	printf 'int b;\0\n#include "h.h"\nint a = H;\n' >a.c
	right "$CC" -w -c a.c -o a.o
	printf '#define H 3\r\n' >h.h
	check any "$CC" -w -c a.c -o a.o
	printf 'int b;\r#include "h.h"\rint a = H;\r' >a.c
	right "$CC" -w -c a.c -o a.o
	printf '#define H 4\r\n' >h.h
	check any "$CC" -w -c a.c -o a.o
	printf '#include\0"h.h"\nint a = H;\n' >a.c
	right "$CC" -w -c a.c -o a.o
	printf '#define H 5\r\n' >h.h
	check any "$CC" -w -c a.c -o a.o
	: >a.c
	same "$CC" -c a.c -o a.o
}

trap_28_character_sets() # gcc
{
	printf 'char *s = "\xe4\xf6";\n#include "h.h"\nint a = H;\n' >a.c
	printf '#define H 1 // \xe4\n' >h.h
	right gcc -finput-charset=latin1 -c a.c -o a.o
	check any gcc -finput-charset=latin2 -c a.c -o a.o
	check any gcc -finput-charset=koi8-r -c a.c -o a.o
	check any gcc -finput-charset=latin1 -fexec-charset=latin1 -c a.c -o a.o
	check any gcc -c a.c -o a.o
	printf '#define H 2 // \xe4\n' >h.h
	expect_changed gcc -finput-charset=latin1 -c a.c -o a.o
	put b.c 'int b[] = {sizeof(L"ä")}; const void *w = L"ä€";'
	same gcc -fwide-exec-charset=UTF-16LE -c b.c -o b.o
	check changed gcc -fwide-exec-charset=UTF-32BE -c b.c -o b.o
}

trap_28_sources_that_are_not_ascii() # gcc
{
	local set
	mkdir -p early late
	for set in UTF-16LE IBM1047; do
		printf '#include "h.h"\nint a = H;\n' | iconv -t $set >a.c
		printf '#define H 1\n' | iconv -t $set >late/h.h
		printf '\n' | iconv -t $set >predef.h
		gcc -nostdinc -finput-charset=$set -Iearly -Ilate -c a.c -o a.o 2>/dev/null || continue
		right gcc -nostdinc -finput-charset=$set -Iearly -Ilate -c a.c -o a.o
		printf '#define H 2\n' | iconv -t $set >early/h.h
		check any gcc -nostdinc -finput-charset=$set -Iearly -Ilate -c a.c -o a.o
		printf '#define H 3\n' | iconv -t $set >early/h.h
		check any gcc -nostdinc -finput-charset=$set -Iearly -Ilate -c a.c -o a.o
		rm early/h.h
		printf 'const char *t = __TIME__;\n' | iconv -t $set >t.c
		counted any coffer gcc -nostdinc -finput-charset=$set -c t.c -o t1.o
		sleep 1.01
		counted any coffer gcc -nostdinc -finput-charset=$set -c t.c -o t2.o
		! cmp -s t1.o t2.o || fail "a source in $set has an old time"
		printf 'asm(".incbin \\"blob\\"");\n' | iconv -t $set >i.c
		put blob one
		check any gcc -nostdinc -finput-charset=$set -c i.c -o i.o
		put blob two
		check any gcc -nostdinc -finput-charset=$set -c i.c -o i.o
	done
}

trap_28_character_sets_with_backslashes() # gcc
{
	local set
	for set in SHIFT_JIS BIG5 GBK; do
		two_texts 'char *s = "\\x95\\x5c" "/*a*/";\n' 'char *s = "\\x95\\x5c" "/*b*/";\n' gcc -finput-charset=$set a.c
		printf 'char *s = "\x95\x5c" "/*a*/";\n' >a.c
		check any gcc -finput-charset=$set -c a.c -o a.o
		printf 'char *s = "\x95\x5c" "/*b*/";\n' >a.c
		check any gcc -finput-charset=$set -c a.c -o a.o
	done
}

trap_29_options_for_the_preprocessor_count_in_order()
{
	put a.c '#ifndef X' '#define X 0' '#endif' 'int value = X + 0;'
	same "$CC" -DX=1 -c a.c -o a.o
	check changed "$CC" -DX=2 -c a.c -o a.o
	check changed "$CC" -DX -c a.c -o a.o
	check changed "$CC" -D X=3 -c a.c -o a.o
	check changed "$CC" -DX=1 -UX -c a.c -o a.o
	check changed "$CC" -UX -DX=1 -c a.c -o a.o
	check any "$CC" -w -DX=1 -DX=2 -c a.c -o a.o
	check changed "$CC" -w -DX=2 -DX=1 -c a.c -o a.o
	check changed "$CC" '-DX=(4)' -c a.c -o a.o
	check changed "$CC" -DX= -c a.c -o a.o
	check any "$CC" -Wp,-DX=5 -c a.c -o a.o
	check any "$CC" -Wp,-DX=6,-UX -c a.c -o a.o
	check any "$CC" -Wp,-UX,-DX=6 -c a.c -o a.o
	check any "$CC" -Xpreprocessor -DX=7 -c a.c -o a.o
	check any "$CC" -DX=8 -Wp,-UX -c a.c -o a.o
	check any "$CC" -U X -D X=9 -c a.c -o a.o
	check any "$CC" --define-macro=X=10 -c a.c -o a.o
	check any "$CC" --define-macro X=11 --undefine-macro X -c a.c -o a.o
	if is_clang; then
		check any clang -Xclang -DX=12 -c a.c -o a.o
		check any clang -Xclang -UX -DX=13 -c a.c -o a.o
	fi
}

trap_29_options_for_one_stage_count()
{
	put a.c 'int f(int x) { return x / 3; }'
	same "$CC" -O2 -c a.c -o a.o
	check changed "$CC" -O1 -c a.c -o a.o
	check changed "$CC" -O1 -O2 -c a.c -o a.o
	check changed "$CC" -O2 -O0 -c a.c -o a.o
	check changed "$CC" -O2 -fPIC -c a.c -o a.o
	check changed "$CC" -O2 -m32 -c a.c -o a.o
	check changed "$CC" -O2 -march=x86-64-v3 -c a.c -o a.o
	check changed "$CC" -O2 -Wa,--compress-debug-sections -g -c a.c -o a.o
	check changed "$CC" -O2 -fvisibility=hidden -c a.c -o a.o
	check changed "$CC" -O2 -std=gnu99 -c a.c -o a.o
	same "$CC" -O2 -w -c a.c -o a.o
	put a.c '#ifdef __OPTIMIZE__' 'int o;' '#endif' 'int x;'
	same "$CC" -O2 -c a.c -o a.o
	check changed "$CC" -O0 -c a.c -o a.o
}

trap_30_messages_are_replayed()
{
	put a.c '#warning careful' '#pragma message "told you"' 'int f(void) { int unused; }' 'static int g(void) { return 0; }'
	same "$CC" -Wall -Wextra -c a.c -o a.o
	has_text "$T/got/stderr" careful
	has_text "$T/got/stderr" unused
	same "$CC" -Wall -fdiagnostics-color=always -c a.c -o a.o
	has_text "$T/got/stderr" $'\e['
	right "$CC" -Wall -H -c a.c -o a.o
	if is_gcc; then
		same gcc -Wall -fdiagnostics-format=json -c a.c -o a.o
		right gcc -O2 -ftree-vectorize -fopt-info -c a.c -o a.o
		right gcc -O2 -fopt-info=x.txt -c a.c -o a.o
		right gcc -Wall -fno-diagnostics-show-caret -fdiagnostics-parseable-fixits -c a.c -o a.o
	else
		right clang -O2 -Rpass=inline -c a.c -o a.o
		right clang -Wall -fdiagnostics-format=vi -c a.c -o a.o
		right clang -Wall -fdiagnostics-absolute-paths -c a.c -o a.o
	fi
	same "$CC" -w -c a.c -o a.o
}

trap_30_standard_output_is_replayed()
{
	put a.c 'int f(void) { return 1; }'
	if is_gcc; then
		right gcc -Wa,-ahl -c a.c -o a.o
		[ -s "$T/got/stdout" ] || fail "the listing is lost"
		right gcc -O2 -fopt-info-all=stdout -c a.c -o a.o
		right gcc -fdump-tree-optimized=stdout -c a.c -o a.o
	else
		right clang -Xclang -fdump-record-layouts -c a.c -o a.o
		put h.h 'struct s { int a; char b; };'
		put a.c '#include "h.h"' 'struct s s; int f(void) { return sizeof(s); }'
		NORMALIZE='s/0x[0-9a-f]+/0x/g' right clang -Xclang -ast-dump -c a.c -o a.o
	fi
}

trap_30_messages_name_the_files_as_this_command_does()
{
	put inc/h.h 'static int g(void) { return 0; }'
	put a.c '#include "h.h"' 'int f(void) { int unused; return 0; }'
	same "$CC" -Wall -Iinc -c a.c -o a.o
	check any "$CC" -Wall -I./inc -c a.c -o a.o
	check any "$CC" -Wall -Iinc -c ./a.c -o a.o
	check any "$CC" -Wall -I"$PWD/inc" -c "$PWD/a.c" -o a.o
	mkdir sub
	in_dir sub check any "$CC" -Wall -I../inc -c ../a.c -o a.o
	in_dir sub check any "$CC" -Wall -I"$PWD/inc" -c "$PWD/a.c" -o a.o
	put one/.git/x
	put two/.git/x
	for dir in one two; do
		cp -r a.c inc $dir/
		COFFER_REPRODUCIBLE=on in_dir $dir check any "$CC" -Wall -Iinc -c a.c -o a.o
		COFFER_REPRODUCIBLE=on in_dir $dir check any "$CC" -Wall -I"$PWD/$dir/inc" -c "$PWD/$dir/a.c" -o a.o
		in_dir $dir check any "$CC" -Wall -I"$PWD/$dir/inc" -c "$PWD/$dir/a.c" -o a.o
	done
}

trap_30_long_and_odd_messages()
{
	local i
	for i in {1..300}; do printf 'int f%d(void) { int unused; return 0; }\n' $i; done >a.c
	same "$CC" -Wall -c a.c -o a.o
	printf '#pragma message "\xff\x01\x7f %% \\n"\nint x;\n' >a.c
	same "$CC" -Wall -c a.c -o a.o
	printf 'int f(void) { int \xc3\xa4unused; return 0; }' >a.c
	same "$CC" -Wall -c a.c -o a.o
}

trap_26_names_are_no_options_that_read_comments()
{
	put inc/h.h 'int h(int); // one'
	put ansible.c '#include "h.h"' 'int f(void) { return h(1); }'
	mkdir -p CMakeFiles/traditional.dir
	same "$CC" -Iinc -MD -MT CMakeFiles/traditional.dir/a.o -MF CMakeFiles/traditional.dir/a.d -o CMakeFiles/traditional.dir/a.o \
		-c ansible.c
	at_rest # the text is known
	put inc/h.h 'int h(int); // two'
	check preprocessed "$CC" -Iinc -MD -MT CMakeFiles/traditional.dir/a.o -MF CMakeFiles/traditional.dir/a.d \
		-o CMakeFiles/traditional.dir/a.o -c ansible.c
}

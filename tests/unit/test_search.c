// The question where headers are looked for, as a stand-in for a compiler hears it.
#include "tests/unit/cmdline_helpers.h"

#include "base/file.h"
#include "depscan/builtins.h"
#include "depscan/search.h"

#include <unistd.h>

static char dir[] = "/tmp/test_search.XXXXXX";

// Asks and returns the words that the compiler was given, with blanks between.
static const char *words_for(const char *line)
{
	static const char script[] =
		"#!/bin/sh\necho \"$@\" >\"$0.arguments\"\n"
		"printf '%s\\n' '#include \"...\" starts' '#include <...> starts' ' /inc' 'End of search list.' >&2\n";
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	struct compiler cc = {.path = arena_printf(&arena, "%s/cc", dir)};
	struct search answer = {0};
	struct err err = ERR_INIT;
	AUTO_BUF struct buf words = BUF_INIT;

	expect_reason(line, REASON_NONE);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, cc.path, script, strlen(script), 0755, NULL), 0);
	struct searches *s = searches_new();
	int result = searches_find(s, &cc, &c, "/", AT_FDCWD, env, &arena, &answer, &err);
	ck_assert_msg(result == 0, "%s", err.text);
	searches_free(s);
	search_release(&answer);
	ck_assert_uint_eq(answer.n_angled, 1);
	ck_assert_str_eq(answer.angled[0], "/inc");
	const char *name = arena_printf(&arena, "%s.arguments", cc.path);
	ck_assert_int_eq(file_read(AT_FDCWD, name, 4096, &words, NULL, NULL), 0);
	return arena_strndup(&arena, words.data, words.len - 1);
}

START_TEST(options_keep_their_values)
{
	ck_assert_str_eq(words_for("clang -idirafter -c -c x.c"), "-idirafter -c -E -v -x c /dev/null");
	ck_assert_str_eq(words_for("gcc -I -MD -iquote x.c -c x.c -o x.o"), "-I -MD -iquote x.c -E -v -x c /dev/null");
	ck_assert_str_eq(words_for("gcc -I -D -isystem -include -c x.cc"), "-I -D -isystem -include -E -v -x c++ /dev/null");
}
END_TEST

START_TEST(what_can_not_move_the_search_is_left_out)
{
	ck_assert_str_eq(words_for("gcc -O2 -g -Wall -DX -D Y -U -I -MD -MF x.d -c x.c -o x.o"), "-E -v -x c /dev/null");
	ck_assert_str_eq(words_for("gcc -include a.h -imacros=b.h --include c.h -c x.c"), "-E -v -x c /dev/null");
	ck_assert_str_eq(words_for("gcc -x c++ --language=c++ -c x.c"), "-E -v -x c++ /dev/null");
	ck_assert_str_eq(words_for("clang -c -o x.o -- x.c"), "-E -v -x c /dev/null");
	ck_assert_str_eq(words_for("clang -Xclang -include -Xclang a.h -Xclang -include-pch -Xclang a.pch -c x.c"),
			 "-E -v -x c /dev/null");
}
END_TEST

START_TEST(what_can_move_the_search_is_asked_for)
{
	ck_assert_str_eq(words_for("clang --include-directory=/a -Xclang -isystem -Xclang /b -c x.c"),
			 "--include-directory=/a -Xclang -isystem -Xclang /b -E -v -x c /dev/null");
	ck_assert_str_eq(words_for("gcc --include-directory-after /a -m32 -std=c99 -nostdinc --sysroot=/b -c x.c"),
			 "--include-directory-after /a -m32 -std=c99 -nostdinc --sysroot=/b -E -v -x c /dev/null");
}
END_TEST

START_TEST(builtins_are_known_by_their_key_and_within_bounds)
{
	struct builtins *b = builtins_new();
	AUTO_BUF struct buf answer = BUF_INIT;
	AUTO_BUF struct buf large = BUF_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct digest one = digest_of("1", 1), two = digest_of("2", 1);
	buf_adds(&answer, "#define linux 1\n");
	ck_assert(!builtins_find(b, &one, &out));
	builtins_keep(b, &one, &answer);
	builtins_keep(b, &one, &answer);
	ck_assert(builtins_find(b, &one, &out));
	ck_assert_str_eq(out.data, "#define linux 1\n");
	ck_assert(!builtins_find(b, &two, &out));
	while (large.len <= BUILTINS_MAX_BYTES)
		buf_adds(&large, "#define x y\n");
	builtins_keep(b, &two, &large);
	ck_assert(!builtins_find(b, &two, &out));
	for (int i = 0; i < BUILTINS_MAX; i++) {
		struct digest key = digest_of(&i, sizeof i);
		builtins_keep(b, &key, &answer);
		ck_assert(builtins_find(b, &key, &out));
	}
	ck_assert(!builtins_find(b, &one, &out));
	builtins_free(b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		options_keep_their_values,
		what_can_not_move_the_search_is_left_out,
		what_can_move_the_search_is_asked_for,
		builtins_are_known_by_their_key_and_within_bounds,
	};
	if (!mkdtemp(dir))
		return EXIT_FAILURE;
	int status = run_tests("search", tests, COUNT_OF(tests));
	static const char *const left[] = {"cc", "cc.arguments"};
	for (size_t i = 0; i < COUNT_OF(left); i++) {
		AUTO_FREE char *name = mem_printf("%s/%s", dir, left[i]);
		unlink(name);
	}
	rmdir(dir);
	return status;
}

// What the tests of the command line parser share. Numbers in comments are those of the list of correctness traps.
#ifndef COFFER_TESTS_CMDLINE_HELPERS_H
#define COFFER_TESTS_CMDLINE_HELPERS_H

#include "compiler/cmdline.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static struct arena arena;
static struct cmdline c;

static inline void release_arena(void)
{
	arena_release(&arena);
}

static inline void parse_words(const char *const *argv)
{
	cmdline_parse(&c, &arena, strstr(argv[0], "clang") ? FAMILY_CLANG : FAMILY_GCC, strstr(argv[0], "++") != NULL,
		      AT_FDCWD, argv);
}

// The first word is gcc, g++, clang or clang++; words end at a blank.
static inline void parse(const char *line)
{
	const char **argv = arena_alloc(&arena, (strlen(line) + 2) * sizeof *argv);
	char *save = NULL;
	unsigned n = 0;
	for (char *w = strtok_r(arena_strdup(&arena, line), " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	parse_words(argv);
}

static inline void parse_for(const char *compiler, const char *rest)
{
	parse(arena_printf(&arena, "%s %s", compiler, rest));
}

static const char *const both[] = {"gcc", "clang"};

static inline void expect_reason(const char *line, enum reason reason)
{
	parse(line);
	ck_assert_msg(c.reason == reason, "'%s' is '%s' and not '%s'", line, reason_name(c.reason), reason_name(reason));
}

static inline void expect_for_both(const char *rest, enum reason reason)
{
	for (size_t i = 0; i < COUNT_OF(both); i++)
		expect_reason(arena_printf(&arena, "%s %s", both[i], rest), reason);
}

static inline const struct argument *word_of(const char *text)
{
	for (unsigned i = 0; i < c.n_arguments; i++)
		if (strcmp(c.arguments[i].text, text) == 0)
			return &c.arguments[i];
	ck_abort_msg("there is no word '%s'", text);
}

static inline void expect_role(const char *line, const char *word, enum argument_role role)
{
	expect_reason(line, REASON_NONE);
	ck_assert_msg(word_of(word)->role == role, "'%s' in '%s' has role %d", word, line, word_of(word)->role);
}

static inline void expect_lang(const char *line, enum lang lang)
{
	expect_reason(line, REASON_NONE);
	ck_assert_msg(c.lang == lang, "'%s' has language %d", line, c.lang);
}

static inline int run_tests(const char *name, const TTest *const *tests, size_t n)
{
	Suite *s = suite_create(name);
	TCase *t = tcase_create(name);
	tcase_add_checked_fixture(t, NULL, release_arena);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	return unit_run(s);
}

#endif

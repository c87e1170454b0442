// What every unit program needs: main() (tests/unit/main.c), running its suite, a directory of its own, and marking tests that watch
// the clock.
#ifndef COFFER_TESTS_UNIT_UNIT_H
#define COFFER_TESTS_UNIT_UNIT_H

#include "base/mem.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

// What a program consists of; main() runs it. A program that must prepare something for all its tests has a main() of its own.
Suite *unit_suite(void);

// Runs the suite and frees it. The exit status of main().
static inline int unit_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// A new test case for tests that a busy machine can delay past their bounds: tools/unit runs them by themselves, and only they
// may be run twice.
static inline TCase *unit_clock_case(Suite *suite)
{
	TCase *t = tcase_create("clock");
	tcase_set_tags(t, "clock");
	suite_add_tcase(suite, t);
	return t;
}

// An empty directory below TMPDIR, to be removed and freed by the caller.
static inline char *unit_directory(void)
{
	const char *tmp = getenv("TMPDIR");
	char *directory = mem_printf("%s/coffer-unit-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	return directory;
}

#endif

// What is told once a build.
#include "client/services/notices.h"

#include "tests/unit/unit.h"

#include <check.h>

static struct notices notices;

START_TEST(a_build_is_told_once_and_the_next_one_again)
{
	notices_init(&notices);
	int64_t now = 1000;
	ck_assert(notices_is_first(&notices, 7, "wrong", now));
	for (int i = 0; i < 100; i++)
		ck_assert(!notices_is_first(&notices, 7, "wrong", now += NOTICE_PAUSE_MS));
	ck_assert(notices_is_first(&notices, 7, "wrong", now + NOTICE_PAUSE_MS + 1));
	ck_assert(notices_is_first(&notices, 8, "wrong", now));
	ck_assert(notices_is_first(&notices, 7, "wrong in another way", now));
}
END_TEST

START_TEST(of_too_many_the_oldest_is_forgotten)
{
	notices_init(&notices);
	for (int i = 0; i <= NOTICES_MAX; i++)
		ck_assert(notices_is_first(&notices, i, "wrong", i));
	for (int i = 1; i <= NOTICES_MAX; i++)
		ck_assert(!notices_is_first(&notices, i, "wrong", NOTICES_MAX + i));
	ck_assert(notices_is_first(&notices, 0, "wrong", 2 * NOTICES_MAX + 1));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("notices");
	TCase *t = tcase_create("notices");
	tcase_add_test(t, a_build_is_told_once_and_the_next_one_again);
	tcase_add_test(t, of_too_many_the_oldest_is_forgotten);
	suite_add_tcase(s, t);
	return s;
}

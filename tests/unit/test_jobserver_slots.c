// The daemon's gate: never more inside than there are slots, first come first served, and nobody waits for ever.
#include "jobserver/slots.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 24, ROUNDS = 200, SIZE = 3 };

static struct slots slots;
static atomic_int inside, most, order;
static int served[THREADS];

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void *go_in_and_out(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (!slots_enter(&slots, 60000, NULL, NULL))
			return (void *)1;
		int now = atomic_fetch_add(&inside, 1) + 1, max = atomic_load(&most);
		while (now > max && !atomic_compare_exchange_weak(&most, &max, now))
			;
		if (i % 16 == 0)
			sleep_ms(1);
		atomic_fetch_sub(&inside, 1);
		slots_leave(&slots);
	}
	return unused;
}

START_TEST(never_more_are_inside_than_there_are_slots)
{
	pthread_t t[THREADS];
	slots_init(&slots, SIZE);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, go_in_and_out, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;
		pthread_join(t[i], &failed);
		ck_assert_ptr_null(failed);
	}
	ck_assert_int_eq(atomic_load(&most), SIZE);
	ck_assert_uint_eq(slots.used, 0);
	slots_release(&slots);
}
END_TEST

static void *enter_once(void *mine)
{
	if (slots_enter(&slots, 60000, NULL, NULL)) {
		*(int *)mine = atomic_fetch_add(&order, 1);
		slots_leave(&slots);
	}
	return NULL;
}

static unsigned waiting(void)
{
	pthread_mutex_lock(&slots.lock);
	bool any = slots.first != NULL;
	pthread_mutex_unlock(&slots.lock);
	return any;
}

START_TEST(who_came_first_enters_first)
{
	pthread_t t[4];
	slots_init(&slots, 1);
	ck_assert(slots_enter(&slots, 0, NULL, NULL));
	for (int i = 0; i < 4; i++) {
		struct slots_waiter **last = slots.last;
		ck_assert_int_eq(pthread_create(&t[i], NULL, enter_once, &served[i]), 0);
		for (bool queued = false; !queued; sleep_ms(1)) {
			pthread_mutex_lock(&slots.lock);
			queued = slots.last != last;
			pthread_mutex_unlock(&slots.lock);
		}
	}
	slots_leave(&slots);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(served[i], i);
	ck_assert(!waiting());
	slots_release(&slots);
}
END_TEST

START_TEST(past_the_limit_one_goes_on_without_a_slot)
{
	slots_init(&slots, 1);
	ck_assert(slots_enter(&slots, 0, NULL, NULL));
	ck_assert(!slots_enter(&slots, 50, NULL, NULL));
	ck_assert(!slots_enter(&slots, 0, NULL, NULL));
	ck_assert(!waiting());
	slots_leave(&slots);
	ck_assert(slots_enter(&slots, 0, NULL, NULL));
	slots_leave(&slots);
	ck_assert_uint_eq(slots.used, 0);
	slots_release(&slots);
}
END_TEST

START_TEST(size_zero_is_no_limit)
{
	slots_init(&slots, 0);
	for (int i = 0; i < 100; i++)
		ck_assert(slots_enter(&slots, 0, NULL, NULL));
	for (int i = 0; i < 100; i++)
		slots_leave(&slots);
	slots_release(&slots);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("jobserver slots");
	TCase *t = tcase_create("slots");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, never_more_are_inside_than_there_are_slots);
	tcase_add_test(t, who_came_first_enters_first);
	tcase_add_test(t, past_the_limit_one_goes_on_without_a_slot);
	tcase_add_test(t, size_zero_is_no_limit);
	suite_add_tcase(s, t);
	return s;
}

#include "client/services/rest.h"
#include "tests/unit/unit.h"

#include <stdatomic.h>
#include <unistd.h>

static struct rest_turns rest;
static atomic_int entered, most, refused;

static void *wait_and_work(void *unused)
{
	(void)unused;
	if (!rest_enter(&rest)) {
		atomic_fetch_add(&refused, 1);
		return NULL;
	}
	int now = atomic_fetch_add(&entered, 1) + 1, was = atomic_load(&most);
	while (now > was && !atomic_compare_exchange_weak(&most, &was, now))
		;
	usleep(2000);
	atomic_fetch_sub(&entered, 1);
	rest_leave(&rest);
	return NULL;
}

static void start(pthread_t *threads, unsigned n)
{
	atomic_store(&entered, 0);
	atomic_store(&most, 0);
	atomic_store(&refused, 0);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_and_work, NULL), 0);
}

static void join(const pthread_t *threads, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

START_TEST(work_waits_for_the_last_compile)
{
	pthread_t threads[20];
	rest_init(&rest, 2);
	rest_compile_begins(&rest);
	rest_compile_begins(&rest);
	start(threads, COUNT_OF(threads));
	rest_compile_ends(&rest);
	usleep(2 * REST_MS * 1000);
	ck_assert_int_eq(atomic_load(&most), 0);
	rest_compile_ends(&rest);
	join(threads, COUNT_OF(threads));
	ck_assert_int_ge(atomic_load(&most), 1);
	ck_assert_int_le(atomic_load(&most), 2);
	ck_assert_int_eq(atomic_load(&refused), 0);
}
END_TEST

START_TEST(nobody_waits_once_the_daemon_ends)
{
	pthread_t threads[20];
	rest_init(&rest, 2);
	rest_compile_begins(&rest);
	start(threads, COUNT_OF(threads));
	usleep(1000);
	rest_end(&rest);
	join(threads, COUNT_OF(threads));
	ck_assert_int_eq(atomic_load(&refused), 20);
	ck_assert(!rest_enter(&rest));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("rest");
	TCase *t = tcase_create("rest");
	tcase_add_test(t, work_waits_for_the_last_compile);
	tcase_add_test(t, nobody_waits_once_the_daemon_ends);
	suite_add_tcase(s, t);
	return s;
}

// Local work of a shared store (store/shared): it is held back while jobs ask, within its bounds.
#include "base/clock.h"
#include "store/shared/shared.h"
#include "tests/unit/unit.h"

#include <stdatomic.h>

static atomic_int ran;
static struct shared *shared;

static int fake_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		    struct err *err)
{
	(void)t, (void)name, (void)max, (void)until_ms, (void)err;
	buf_adds(out, "bytes");
	return 1;
}

static void fake_close(struct tier *t)
{
	(void)t;
}

static const struct tier_ops fake_ops = {.kind = "fake", .get = fake_get, .close = fake_close};
static struct tier fake = {&fake_ops};

static void open_shared(void)
{
	ran = 0;
	shared = shared_new(&(struct shared_config){.tier = &fake, .timeout_ms = 5000});
}

static void close_shared(void)
{
	ck_assert(shared_close(shared, clock_ms() + 5000));
}

static void ask(unsigned n)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct tier_name name = {.space = TIER_CONTENT, .id = sha256_of(&n, sizeof n)};
	ck_assert_int_eq(shared_get(shared, &name, 100, 0, &out, NULL), 1);
	usleep(500);
}

static void run(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ran, 1);
}

static void later(size_t bytes)
{
	struct shared_task task = {.run = run, .drop = run, .bytes = bytes, .is_local = true};
	ck_assert(shared_later(shared, &task));
}

// Asks until so many have run, or the time is over. How long it took.
static int64_t ask_until(int n, int64_t most_ms)
{
	int64_t began = clock_ms();
	for (unsigned i = 0; ran < n && clock_ms() - began < most_ms; i++)
		ask(i);
	return clock_ms() - began;
}

START_TEST(local_work_waits_for_two_seconds_at_most)
{
	ask(0);
	later(1);
	ck_assert_int_ge(ask_until(1, 20000), 1900);
	ck_assert_int_eq(ran, 1);
}
END_TEST

START_TEST(local_work_that_fills_a_quarter_of_the_queue_is_done)
{
	ask(0);
	later(SHARED_QUEUE_BYTES / 3);
	ck_assert_int_lt(ask_until(1, 1900), 1900);
	ck_assert_int_eq(ran, 1);
}
END_TEST

START_TEST(local_work_is_done_where_nobody_asks_or_somebody_waits_for_it)
{
	ask(0);
	later(1);
	for (int64_t began = clock_ms(); !ran && clock_ms() - began < 20000;)
		usleep(500);
	ck_assert_int_eq(ran, 1);
	ask(0);
	later(1);
	ck_assert(shared_flush(shared, 20000));
	ck_assert_int_eq(ran, 2);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("shared_held");
	TCase *t = tcase_create("held"), *clock = unit_clock_case(suite);
	tcase_add_checked_fixture(t, open_shared, close_shared);
	tcase_add_test(t, local_work_that_fills_a_quarter_of_the_queue_is_done);
	tcase_add_test(t, local_work_is_done_where_nobody_asks_or_somebody_waits_for_it);
	suite_add_tcase(suite, t);
	tcase_add_checked_fixture(clock, open_shared, close_shared);
	tcase_add_test(clock, local_work_waits_for_two_seconds_at_most);
	return suite;
}

// A tenant's quota over several schedulers: what their records say, and what is left of it here.
#include "scheduler/quotas.h"

#include "base/mem.h"
#include "proto/coffer.pb-c.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define OWN "0000000000000001"
#define TWO "0000000000000002"
#define THREE "0000000000000003"

static struct service service; // its lock and its ledger are all that is used
static struct quotas *quotas;
static int64_t now = 1000000;

static void setup(void)
{
	pthread_mutex_init(&service.lock, NULL);
	service.grants = grants_new();
	quotas = quotas_new(&service, OWN);
}

static void teardown(void)
{
	quotas_free(quotas);
	grants_free(service.grants);
	pthread_mutex_destroy(&service.lock);
}

static struct grant_sums ask(const char *tenant, uint64_t quota, int64_t at)
{
	struct grant_sums sums;
	struct grant none = {.tenant = tenant,
			     .client = "c",
			     .image = "host:x",
			     .wanted = 1,
			     .ends_ms = at + 1000,
			     .claims_end_ms = at + 1000};
	grants_begin(service.grants, tenant, "c", "host:x", quota, at, &sums);
	grants_put(service.grants, &none, at);
	return sums;
}

// What a question for this tenant finds, once it is known everywhere.
static uint64_t quota_of(const char *tenant, uint64_t quota)
{
	now += 2000;
	ask(tenant, quota, now);
	struct grant_sums sums = ask(tenant, quota, now + GRANT_NEW_MS);
	ck_assert(!sums.is_new);
	return sums.quota;
}

static bool take(const char *key, const void *value, size_t n)
{
	return quotas_take(quotas, key, strlen(key), value, n);
}

static void is_there(const char *id)
{
	AUTO_FREE char *key = mem_printf("schedulers/%s", id);
	ck_assert(take(key, "1", 1));
}

static void tells(const char *id, const char *tenant, uint64_t wanted, uint64_t claimed)
{
	AUTO_FREE char *key = mem_printf("tenants/%s/%s", tenant, id);
	Coffer__V1__TenantRecord m = COFFER__V1__TENANT_RECORD__INIT;
	uint8_t bytes[64];
	m.wanted = wanted;
	m.claimed = claimed;
	ck_assert(take(key, bytes, protobuf_c_message_pack(&m.base, bytes)));
}

START_TEST(a_scheduler_that_is_alone_has_all)
{
	ck_assert_uint_eq(quota_of("a", 9), 9);
	is_there(TWO);
	is_there(OWN);
	ck_assert_uint_eq(quota_of("a", 9), 9);
}
END_TEST

START_TEST(what_others_claim_is_taken_from_it)
{
	is_there(TWO);
	is_there(THREE);
	tells(TWO, "a", 100, 4);
	ck_assert_uint_eq(quota_of("a", 9), 5);
	ck_assert_uint_eq(quota_of("b", 9), 9);
	tells(TWO, "a", 100, 2);
	tells(THREE, "a", 1, 0);
	ck_assert_uint_eq(quota_of("a", 9), 5); // the one may have its part of three, the other the one that it wants
	ck_assert(take("tenants/a/" TWO, NULL, 0));
	ck_assert_uint_eq(quota_of("a", 9), 8);
	tells(OWN, "a", 9, 9);
	ck_assert_uint_eq(quota_of("a", 9), 8);
}
END_TEST

START_TEST(each_scheduler_may_give_its_part)
{
	is_there(TWO);
	is_there(THREE);
	tells(TWO, "a", 9, 9);
	tells(THREE, "a", UINT64_MAX, UINT64_MAX);
	ck_assert_uint_eq(quota_of("a", 9), 3);
	ck_assert_uint_eq(quota_of("a", 1), 1);
	ck_assert(take("schedulers/" THREE, NULL, 0));
	ck_assert_uint_eq(quota_of("a", 9), 4);
}
END_TEST

START_TEST(who_has_just_come_gets_a_part)
{
	ck_assert(!ask("a", 9, now).is_new);
	is_there(TWO);
	is_there(THREE);
	for (int i = 0; i < 2; i++) {
		now += 2000; // what was given is over
		struct grant_sums sums = ask("a", 9, now);
		ck_assert(sums.is_new);
		ck_assert_uint_eq(sums.quota, 3);
		ck_assert_uint_eq(ask("a", 9, now + GRANT_NEW_MS - 1).quota, 3);
		ck_assert_uint_eq(ask("a", 9, now + GRANT_NEW_MS).quota, 9);
	}
}
END_TEST

START_TEST(what_is_not_read_again_is_gone)
{
	is_there(TWO);
	is_there(THREE);
	tells(TWO, "a", 9, 9);
	tells(THREE, "a", 9, 3);
	quotas_begin_read(quotas);
	is_there(TWO);
	tells(TWO, "a", 9, 6);
	quotas_end_read(quotas);
	ck_assert_uint_eq(quota_of("a", 8), 4); // of two
	ck_assert_uint_eq(grants_claimed_elsewhere(service.grants, "a"), 6);
	quotas_forget(quotas);
	ck_assert_uint_eq(quota_of("a", 8), 8);
}
END_TEST

START_TEST(records_that_are_none_change_nothing)
{
	ck_assert(!take("workers/w1", "x", 1));
	ck_assert(!take("", "", 0));
	ck_assert(take("schedulers/", "1", 1));
	ck_assert(take("schedulers/nobody", "1", 1));
	ck_assert(take("tenants/a", "x", 1));
	ck_assert(take("tenants/a/" TWO, "\xff", 1));
	ck_assert(take("tenants/a b/" TWO, "", 0));
	ck_assert(take("tenants/a/" TWO "/x", "", 0));
	ck_assert_uint_eq(quota_of("a", 9), 9);
	for (int i = 0; i < 200; i++) {
		char id[17];
		snprintf(id, sizeof id, "%016x", 100 + i);
		is_there(id);
		tells(id, "many", 1, 1);
	}
	ck_assert_uint_eq(quota_of("a", 6400), 6400);
	ck_assert_uint_ge(quota_of("many", 6400), 6400 - QUOTA_MAX_SCHEDULERS * 2);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("quotas");
	TCase *c = tcase_create("all");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_scheduler_that_is_alone_has_all);
	tcase_add_test(c, what_others_claim_is_taken_from_it);
	tcase_add_test(c, each_scheduler_may_give_its_part);
	tcase_add_test(c, who_has_just_come_gets_a_part);
	tcase_add_test(c, what_is_not_read_again_is_gone);
	tcase_add_test(c, records_that_are_none_change_nothing);
	suite_add_tcase(s, c);
	return s;
}

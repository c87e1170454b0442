// What clients have told of their results: which accounts stay, whose they are, and bytes that are none.
#include "worker/accounts.h"

#include "base/tree.h"
#include "store/store.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static char *directory;
static struct results *results;
static struct accounts *accounts;
static struct arena arena;
static struct account_list list;
static struct err err;
static const uint8_t unit[ACCOUNT_NAME] = {7};

static void open_accounts(void)
{
	directory = unit_directory();
	results = results_new(directory, (uint64_t)64 << 20);
	accounts = accounts_new(results);
	arena = (struct arena)ARENA_INIT;
	err_clear(&err);
}

static void close_accounts(void)
{
	accounts_free(accounts);
	results_free(results);
	arena_release(&arena);
	tree_remove(AT_FDCWD, directory);
	free(directory);
}

static struct key key_number(unsigned n)
{
	struct key key = {{0}};
	memcpy(key.b, &n, sizeof n);
	return key;
}

// A result of that key, which an account can be about.
static void put_result(const char *tenant, unsigned n)
{
	struct key key = key_number(n);
	struct result x = {.out = "", .errs = "", .n_outputs = 1};
	char frame[64];
	enum result_put what;
	x.outputs[0].size = 1;
	SHA256((const uint8_t *)"x", 1, x.outputs[0].sha256);
	x.n_frame = ZSTD_compress(frame, sizeof frame, "x", 1, 1);
	x.frame = frame;
	ck_assert_int_eq(results_put(results, tenant, &key, &x, &what, &err), 0);
}

static int tell(const char *tenant, unsigned n, const char *maker, unsigned variant)
{
	struct kept_account x = {.key = key_number(n), .maker = maker, .time_s = n, .how = "how", .n_how = 3};
	memcpy(x.variant, &variant, sizeof variant);
	return accounts_add(accounts, tenant, unit, &x, &err);
}

static const struct kept_account *told_of(unsigned n)
{
	struct key key = key_number(n);
	for (unsigned i = 0; i < list.n; i++)
		if (memcmp(list.accounts[i].key.b, key.b, sizeof key.b) == 0)
			return &list.accounts[i];
	return NULL;
}

START_TEST(a_tenant_meets_what_it_has_told_and_nothing_else)
{
	put_result("acme", 1);
	ck_assert_int_eq(tell("acme", 1, "ci", 1), 0);
	accounts_of(accounts, "acme", unit, &arena, &list);
	ck_assert_uint_eq(list.n, 1);
	ck_assert_str_eq(list.accounts[0].maker, "ci");
	ck_assert_uint_eq(list.accounts[0].n_how, 3);
	ck_assert_mem_eq(list.accounts[0].how, "how", 3);
	accounts_of(accounts, "other", unit, &arena, &list);
	ck_assert_uint_eq(list.n, 0);
	// To ask leaves no trace, and what another tenant has is no result of one's own.
	ck_assert(!results_has_tenant(results, "other"));
	put_result("other", 2);
	ck_assert_int_eq(tell("other", 1, "me", 1), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

START_TEST(an_account_is_of_a_result_that_is_there)
{
	ck_assert_int_eq(tell("acme", 1, "ci", 1), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	put_result("acme", 1);
	put_result("acme", 2);
	ck_assert_int_eq(tell("acme", 1, "ci", 1), 0);
	ck_assert_int_eq(tell("acme", 2, "me", 2), 0);
	AUTO_FREE char *path = mem_printf("%s/tenant-acme", directory);
	struct store *store = store_open(path, 0, 1, &err);
	struct digest gone;
	memcpy(gone.b, key_number(1).b, sizeof gone.b);
	ck_assert_ptr_nonnull(store);
	store_remove(store, STORE_RESULT, &gone);
	store_close(store);
	accounts_of(accounts, "acme", unit, &arena, &list);
	ck_assert_uint_eq(list.n, 1);
	ck_assert_str_eq(list.accounts[0].maker, "me");
}
END_TEST

START_TEST(of_one_maker_and_variant_the_newest_stays)
{
	for (unsigned n = 1; n <= 3; n++) {
		put_result("acme", n);
		ck_assert_int_eq(tell("acme", n, n == 2 ? "ci" : "me", 5), 0);
	}
	accounts_of(accounts, "acme", unit, &arena, &list);
	ck_assert_uint_eq(list.n, 2);
	ck_assert_ptr_nonnull(told_of(2));
	ck_assert_ptr_eq(told_of(3), &list.accounts[0]);
}
END_TEST

START_TEST(who_tries_much_does_not_push_out_others)
{
	for (unsigned n = 1; n <= 50; n++) {
		put_result("acme", n);
		ck_assert_int_eq(tell("acme", n, n == 1 ? "ci" : n == 2 ? "ann" : "me", n), 0);
	}
	accounts_of(accounts, "acme", unit, &arena, &list);
	ck_assert_uint_eq(list.n, ACCOUNTS_MAX);
	ck_assert_ptr_nonnull(told_of(1));
	ck_assert_ptr_nonnull(told_of(2));
	ck_assert_ptr_nonnull(told_of(50));
	ck_assert_ptr_null(told_of(3));
}
END_TEST

START_TEST(accounts_have_bounds)
{
	char maker[ACCOUNT_MAKER_MAX + 2];
	AUTO_FREE char *how = mem_alloc(ACCOUNT_HOW_MAX + 1);
	struct kept_account x = {.key = key_number(1), .maker = maker, .how = how, .n_how = 1};
	memset(maker, 'm', sizeof maker);
	maker[ACCOUNT_MAKER_MAX + 1] = '\0';
	put_result("acme", 1);
	ck_assert_int_eq(accounts_add(accounts, "acme", unit, &x, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	maker[ACCOUNT_MAKER_MAX] = '\0';
	ck_assert_int_eq(accounts_add(accounts, "acme", unit, &x, &err), 0);
	x.n_how = ACCOUNT_HOW_MAX + 1;
	ck_assert_int_eq(accounts_add(accounts, "acme", unit, &x, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	x.n_how = ACCOUNT_HOW_MAX;
	ck_assert_int_eq(accounts_add(accounts, "acme", unit, &x, &err), 0);
	accounts_of(accounts, "acme", unit, &arena, &list);
	ck_assert_uint_eq(list.n, 1);
}
END_TEST

START_TEST(bytes_that_are_no_accounts_are_nobodys)
{
	AUTO_BUF struct buf bytes = BUF_INIT, spoilt = BUF_INIT;
	put_result("acme", 1);
	ck_assert_int_eq(tell("acme", 1, "ci", 1), 0);
	ck_assert_int_eq(results_get_unit(results, "acme", unit, &bytes), 1);
	ck_assert_int_eq(accounts_decode(bytes.data, bytes.len, &arena, &list, &err), 0);
	for (size_t n = 0; n < bytes.len; n++)
		ck_assert_int_eq(accounts_decode(bytes.data, n, &arena, &list, &err), -1);
	buf_add(&spoilt, bytes.data, bytes.len - 1);
	ck_assert_int_eq(results_put_unit(results, "acme", unit, &spoilt, &err), 0);
	accounts_of(accounts, "acme", unit, &arena, &list);
	ck_assert_uint_eq(list.n, 0);
	// It does not keep the next one from being told.
	ck_assert_int_eq(tell("acme", 1, "ci", 1), 0);
	accounts_of(accounts, "acme", unit, &arena, &list);
	ck_assert_uint_eq(list.n, 1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("accounts");
	TCase *t = tcase_create("accounts");
	tcase_add_checked_fixture(t, open_accounts, close_accounts);
	tcase_add_test(t, a_tenant_meets_what_it_has_told_and_nothing_else);
	tcase_add_test(t, an_account_is_of_a_result_that_is_there);
	tcase_add_test(t, of_one_maker_and_variant_the_newest_stays);
	tcase_add_test(t, who_tries_much_does_not_push_out_others);
	tcase_add_test(t, accounts_have_bounds);
	tcase_add_test(t, bytes_that_are_no_accounts_are_nobodys);
	suite_add_tcase(s, t);
	return s;
}

// The operator's file of tenants: what it may say, and whom it lets in.
#include "auth/tenants.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char image[] = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static struct tenants *tenants;
static struct err err;

static void teardown(void)
{
	tenants_free(tenants);
	tenants = NULL;
}

static int parse(const char *text)
{
	teardown();
	return tenants_parse("t.conf", text, strlen(text), &tenants, &err);
}

static void parses(const char *text)
{
	ck_assert_msg(parse(text) == 0, "%s", err.text);
}

static void fails(const char *text, const char *why)
{
	ck_assert_int_eq(parse(text), -1);
	ck_assert_ptr_null(tenants);
	ck_assert_str_eq(err.text, why);
}

static const char good[] = "# the farm\n"
			   "[tenant acme]\n"
			   "slots = 200\n"
			   "isolation = microvm\n"
			   "image = sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
			   "image = host:debian-*\n"
			   "worker = gold-*\n"
			   "worker = w1\n"
			   "certificate = URI:coffer://tenant/acme\n"
			   "certificate = DNS:Acme.example\n"
			   "claim = group-acme\n"
			   "[workers]\n"
			   "certificate = URI:coffer://worker/{name}\n"
			   "certificate = DNS:{name}.farm.example\n"
			   "deny = w3\n"
			   "[tenant zeta]\n"
			   "slots = 1\n"
			   "image = *\n"
			   "claim = group-zeta\n"
			   "claim = group-both\n"
			   "[tenant eta]\n"
			   "slots = 1\n"
			   "image = *\n"
			   "certificate = CN:eta\n"
			   "claim = group-both\n";

START_TEST(a_file_says_what_each_tenant_may_use)
{
	parses(good);
	ck_assert_uint_eq(tenants_count(tenants), 3);
	const struct tenant *t = tenants_find(tenants, "acme");
	ck_assert_ptr_nonnull(t);
	ck_assert_uint_eq(t->slots, 200);
	ck_assert_int_eq(t->isolation, isolation_of_name("microvm"));
	ck_assert(tenant_may_use_image(t, image));
	ck_assert(tenant_may_use_image(t, "host:debian-12"));
	ck_assert(!tenant_may_use_image(t, "host:fedora"));
	ck_assert(tenant_may_use_worker(t, "gold-17"));
	ck_assert(tenant_may_use_worker(t, "w1"));
	ck_assert(!tenant_may_use_worker(t, "w11"));
	t = tenants_find(tenants, "zeta");
	ck_assert_int_eq(t->isolation, isolation_of_name("sandbox"));
	ck_assert(tenant_may_use_image(t, image));
	ck_assert(tenant_may_use_worker(t, "anything"));
	ck_assert_ptr_null(tenants_find(tenants, "beta"));
	ck_assert_ptr_eq(tenants_at(tenants, 1), t);
}
END_TEST

static const struct tenant *choose(const char *cn, const char *name, const char *claim, const char *wanted)
{
	struct caller_identity who = {
		.common_name = cn, .names = &name, .n_names = name ? 1 : 0, .claims = &claim, .n_claims = claim ? 1 : 0};
	return tenants_choose(tenants, &who, wanted, &err);
}

static void is_tenant(const struct tenant *t, const char *name)
{
	ck_assert_ptr_nonnull(t);
	ck_assert_str_eq(t->name, name);
}

static void is_nobody(const struct tenant *t, const char *why)
{
	ck_assert_ptr_null(t);
	ck_assert_int_eq(err.code, ERR_ACCESS);
	ck_assert_str_eq(err.text, why);
}

START_TEST(certificates_and_claims_say_whose_a_caller_is)
{
	parses(good);
	is_tenant(choose(NULL, "URI:coffer://tenant/acme", NULL, ""), "acme");
	is_tenant(choose(NULL, "DNS:acme.EXAMPLE", NULL, "acme"), "acme");
	is_tenant(choose("eta", NULL, NULL, ""), "eta");
	is_tenant(choose(NULL, NULL, "group-acme", ""), "acme");
	is_tenant(choose(NULL, NULL, "group-both", "zeta"), "zeta");
	is_tenant(choose("eta", NULL, "group-acme", "acme"), "acme");
	is_nobody(choose(NULL, NULL, "group-both", ""), "you may use several tenants: say which one");
	is_nobody(choose(NULL, NULL, NULL, ""), "you belong to no tenant here");
	is_nobody(choose(NULL, "URI:coffer://tenant/ACME", NULL, ""), "you belong to no tenant here");
	// The same for a tenant that exists and one that does not.
	is_nobody(choose(NULL, "URI:coffer://tenant/acme", NULL, "zeta"), "this tenant is not one of yours");
	is_nobody(choose(NULL, "URI:coffer://tenant/acme", NULL, "nosuch"), "this tenant is not one of yours");
	// A claim is no certificate's name, and the other way round.
	is_nobody(choose(NULL, NULL, "URI:coffer://tenant/acme", ""), "you belong to no tenant here");
	is_nobody(choose("group-acme", NULL, NULL, "acme"), "this tenant is not one of yours");
	is_nobody(choose(NULL, "CN:eta", NULL, ""), "you belong to no tenant here");
}
END_TEST

static bool is_worker(const char *name, const char *worker)
{
	struct caller_identity who = {.names = &name, .n_names = 1};
	return tenants_is_worker(tenants, &who, worker);
}

START_TEST(a_worker_has_its_own_name_and_no_tenants)
{
	parses(good);
	ck_assert(is_worker("URI:coffer://worker/w1", "w1"));
	ck_assert(is_worker("DNS:w1.farm.example", "w1"));
	ck_assert(!is_worker("URI:coffer://worker/w1", "w2"));
	ck_assert(!is_worker("URI:coffer://worker/w11", "w1"));
	ck_assert(!is_worker("URI:coffer://tenant/acme", "acme"));
	const char *both[] = {"URI:coffer://worker/w1", "URI:coffer://tenant/acme"};
	struct caller_identity who = {.names = both, .n_names = 2};
	ck_assert(!tenants_is_worker(tenants, &who, "w1"));
	ck_assert(tenants_is_denied(tenants, "w3"));
	ck_assert(!tenants_is_denied(tenants, "w1"));
	parses("");
	ck_assert(!is_worker("URI:coffer://worker/w1", "w1"));
}
END_TEST

START_TEST(mistakes_are_one_line_with_file_and_line)
{
	fails("slots = 1\n", "t.conf:1: 'slots' belongs below a line [tenant NAME] or [workers]");
	fails("[tenant a]\n[workers]\n", "t.conf:1: the tenant 'a' has no 'slots'");
	fails("[tenant a]\nslots = 1\n", "t.conf:1: the tenant 'a' has no 'image'");
	fails("\n[tenant a]\nslots = 1\nimage = *\n", "t.conf:2: the tenant 'a' has no 'certificate' or 'claim'");
	fails("[tenant]\n", "t.conf:1: unknown section 'tenant'");
	fails("[tenant a b]\n", "t.conf:1: a tenant's name has 1 to 64 of A-Z a-z 0-9 . _ -");
	fails("[tenant ../x]\n", "t.conf:1: a tenant's name has 1 to 64 of A-Z a-z 0-9 . _ -");
	fails("[tennant a]\n", "t.conf:1: unknown section 'tennant a'");
	fails("[workers]\n[workers]\n", "t.conf:2: [workers] is there already");
	fails("[tenant a]\nslots = 0\n", "t.conf:2: 'slots' can't be '0'; it takes 1 to 1000000");
	fails("[tenant a]\nslots = 1e3\n", "t.conf:2: 'slots' can't be '1e3'; it takes 1 to 1000000");
	fails("[tenant a]\nslots = 1\nslots = 2\n", "t.conf:3: 'slots' is there already");
	fails("[tenant a]\nisolation = some\n",
	      "t.conf:2: 'isolation' can't be 'some'; it takes none, process, sandbox or microvm");
	fails("[tenant a]\nimage = gcc:12\n",
	      "t.conf:2: 'image' can't be 'gcc:12'; it takes an image, the beginning of its name and '*', or '*'");
	fails("[tenant a]\nimage =\n",
	      "t.conf:2: 'image' can't be ''; it takes an image, the beginning of its name and '*', or '*'");
	fails("[tenant a]\ncertificate = acme\n",
	      "t.conf:2: 'certificate' can't be 'acme'; it takes a name with DNS:, URI:, email:, IP: or CN: before it");
	fails("[tenant a]\nquota = 7\n", "t.conf:2: unknown setting 'quota'");
	fails("[workers]\ncertificate = DNS:w1\n",
	      "t.conf:2: 'certificate' can't be 'DNS:w1'; it takes a name with DNS:, URI:, "
	      "email:, IP: or CN: before it, and {name} in it");
	fails("[workers]\nslots = 1\n", "t.conf:2: unknown setting 'slots'");
	fails("nonsense\n", "t.conf:1: this is not a line 'name = value'");
	fails("[tenant a]\nslots = 1\nimage = *\nclaim = a\n[tenant a]\n",
	      "t.conf:5: the tenant 'a' is there already (t.conf:1)");
}
END_TEST

START_TEST(an_empty_file_lets_nobody_in)
{
	parses("");
	ck_assert_uint_eq(tenants_count(tenants), 0);
	is_nobody(choose("x", "DNS:x", "x", ""), "you belong to no tenant here");
}
END_TEST

START_TEST(a_file_that_is_absent_is_an_error)
{
	ck_assert_int_eq(tenants_read("/nonexistent/t.conf", &tenants, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

// Who can write it decides who may use the farm.
START_TEST(a_file_that_others_can_write_is_refused)
{
	AUTO_FREE char *directory = unit_directory(), *path = mem_printf("%s/t.conf", directory);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, good, strlen(good), 0640, &err), 0);
	ck_assert_msg(tenants_read(path, &tenants, &err) == 0, "%s", err.text);
	teardown();
	ck_assert_int_eq(chmod(path, 0646), 0);
	ck_assert_int_eq(tenants_read(path, &tenants, &err), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
	ck_assert_ptr_nonnull(strstr(err.text, "everybody can write it"));
	if (geteuid() == 0) { // else it can't be given away
		ck_assert_int_eq(chmod(path, 0640) | chown(path, 12345, 12345), 0);
		ck_assert(tenants_read(path, &tenants, &err) == -1 && err.code == ERR_ACCESS);
	}
	tree_remove(AT_FDCWD, directory);
}
END_TEST

START_TEST(many_words_are_taken_up_to_a_limit)
{
	AUTO_BUF struct buf b = BUF_INIT;
	buf_adds(&b, "[tenant a]\nslots = 1\nimage = *\n");
	for (int i = 0; i < TENANT_MAX_WORDS; i++)
		buf_addf(&b, "claim = c%d\n", i);
	parses(b.data);
	is_tenant(choose(NULL, NULL, "c0", ""), "a");
	is_tenant(choose(NULL, NULL, "c1023", ""), "a");
	buf_adds(&b, "claim = one\n");
	fails(b.data, "t.conf:1028: more than 1024 lines 'claim'");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("tenants");
	TCase *tc = tcase_create("tenants");
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, a_file_says_what_each_tenant_may_use);
	tcase_add_test(tc, certificates_and_claims_say_whose_a_caller_is);
	tcase_add_test(tc, a_worker_has_its_own_name_and_no_tenants);
	tcase_add_test(tc, mistakes_are_one_line_with_file_and_line);
	tcase_add_test(tc, an_empty_file_lets_nobody_in);
	tcase_add_test(tc, a_file_that_is_absent_is_an_error);
	tcase_add_test(tc, a_file_that_others_can_write_is_refused);
	tcase_add_test(tc, many_words_are_taken_up_to_a_limit);
	suite_add_tcase(s, tc);
	return s;
}

// Tokens of the scheduler: what is taken, and every way in which somebody could try to pass with a wrong one.
#include "tests/unit/token_fixture.h"

// ---- good ones ----------------------------------------------------------------------------------------------------

START_TEST(a_good_route_passes_and_says_what_it_is_for)
{
	passes(sign(signer, route_claims()), expected_route);
	ck_assert_str_eq(got.tenant, "acme");
	ck_assert_str_eq(got.worker, "w1");
	ck_assert_str_eq(got.image, image);
	ck_assert_uint_eq(got.slots, 20);
	ck_assert_int_eq(got.isolation, 2);
	ck_assert_int_eq(got.expires, NOW + 300);
	ck_assert_uint_eq(strlen(got.id), 32);
	passes(forge_claim("iss", "\"coffer-scheduler\""), expected_route);
}
END_TEST

START_TEST(a_worker_may_leave_open_who_and_which)
{
	struct token_expected want = expected_route;
	want.tenant = want.image = want.issuer = NULL;
	want.isolation = COFFER__V1__ISOLATION__ISOLATION_MICROVM;
	passes(sign(signer, route_claims()), want);
	ck_assert_str_eq(got.tenant, "acme");
	want.worker = NULL;
	fails(sign(signer, route_claims()), want, "the token is for another worker");
}
END_TEST

START_TEST(a_registration_passes_and_is_no_route)
{
	struct token_claims c = {
		.use = TOKEN_REGISTER, .issuer = "s", .worker = "w1", .not_before = NOW, .expires = NOW + 86400};
	const char *text = sign(signer, c);
	struct token_expected want = {.use = TOKEN_REGISTER, .issuer = "s", .now = NOW};
	passes(text, want);
	ck_assert_str_eq(got.worker, "w1");
	want.worker = "w2";
	fails(text, want, "the token is for another worker");
	struct token_expected route = expected_route;
	route.issuer = NULL;
	fails(text, route, lacks);
	want.worker = NULL;
	fails(sign(signer, route_claims()), want, lacks);
	c.expires = NOW + (int64_t)401 * 86400;
	fails(sign(signer, c), want, "the token is valid for too long");
}
END_TEST

START_TEST(two_keys_in_the_set_are_a_rotation)
{
	EVP_PKEY *both[] = {other_key, key};
	jwks_release(&keys);
	make_set(both, 2, &keys);
	passes(sign(signer, route_claims()), expected_route);
	passes(sign(other_signer, route_claims()), expected_route);
	// Without a name there are two that it could be.
	fails(forge("{}", claims_with("iss", "\"coffer-scheduler\""), JWT_ALG_ES256, pem_of(key, true)), expected_route,
	      not_accepted);
}
END_TEST

START_TEST(without_a_name_the_only_key_is_taken)
{
	passes(forge("{}", claims_with("iss", "\"coffer-scheduler\""), JWT_ALG_ES256, pem_of(key, true)), expected_route);
}
END_TEST

START_TEST(every_signature_is_right)
{
	for (int i = 0; i < 300; i++)
		passes(sign(signer, route_claims()), expected_route);
}
END_TEST

// ---- attacks ------------------------------------------------------------------------------------------------------

START_TEST(an_expired_token_fails_after_the_skew)
{
	const char *text = sign(signer, route_claims());
	struct token_expected want = expected_route;
	want.now = NOW + 300 + TOKEN_SKEW_S;
	passes(text, want);
	want.now++;
	fails(text, want, "the token has expired");
}
END_TEST

START_TEST(a_token_of_the_future_fails_until_the_skew)
{
	const char *text = sign(signer, route_claims());
	struct token_expected want = expected_route;
	want.now = NOW - TOKEN_SKEW_S;
	passes(text, want);
	want.now--;
	fails(text, want, "the token is not valid yet: do the clocks differ?");
}
END_TEST

START_TEST(another_worker_tenant_image_or_issuer_fails)
{
	const char *text = sign(signer, route_claims());
	struct token_expected want = expected_route;
	want.worker = "w2";
	fails(text, want, "the token is for another worker");
	want = expected_route;
	want.tenant = "acme2";
	fails(text, want, "the token is for another tenant");
	want = expected_route;
	want.image = "host:x";
	fails(text, want, "the token is for another image");
	want = expected_route;
	want.issuer = "another";
	fails(text, want, "the token is of another issuer");
	want = expected_route;
	want.isolation = COFFER__V1__ISOLATION__ISOLATION_PROCESS;
	fails(text, want, "the token asks for a stronger isolation");
}
END_TEST

START_TEST(a_token_without_signature_fails)
{
	char *none = forge(kid_header(), claims_with("iss", "\"coffer-scheduler\""), JWT_ALG_NONE, NULL);
	fails(none, expected_route, not_accepted);
	fails(arena_printf(&arena, "%sAAAA", none), expected_route, not_accepted);
	const char *good = sign(signer, route_claims());
	size_t signed_part = (size_t)(strchr(strchr(good, '.') + 1, '.') - good);
	// "none" before the claims and the signature of a good one.
	fails(arena_printf(&arena, "%.*s%s", (int)strcspn(none, "."), none, strchr(good, '.')), expected_route,
	      not_accepted);
	// And the good one without its signature.
	fails(arena_printf(&arena, "%.*s", (int)signed_part + 1, good), expected_route, not_accepted);
	fails(arena_printf(&arena, "%.*s", (int)signed_part, good), expected_route, not_accepted);
}
END_TEST

START_TEST(the_public_key_is_no_shared_secret)
{
	const char *claims = claims_with("iss", "\"coffer-scheduler\"");
	static const jwt_alg_t algs[] = {JWT_ALG_HS256, JWT_ALG_HS384, JWT_ALG_HS512};
	for (size_t i = 0; i < COUNT_OF(algs); i++) {
		fails(forge(kid_header(), claims, algs[i], pem_of(keys.keys[0].key, false)), expected_route, not_accepted);
		fails(forge("{}", claims, algs[i], pem_of(key, false)), expected_route, not_accepted);
	}
}
END_TEST

START_TEST(a_change_of_any_part_fails)
{
	const char *good = sign(signer, route_claims());
	size_t n = strlen(good);
	for (size_t i = 0; i < n; i++) {
		char *bad = arena_strdup(&arena, good);
		if (bad[i] == '.')
			continue;
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		fails(bad, expected_route, not_accepted);
	}
}
END_TEST

START_TEST(the_right_name_with_the_wrong_key_fails)
{
	fails(sign(other_signer, route_claims()), expected_route, not_accepted);
	fails(forge(kid_header(), claims_with("iss", "\"coffer-scheduler\""), JWT_ALG_ES256, pem_of(other_key, true)),
	      expected_route, not_accepted);
	fails(forge("{\"kid\": \"another\"}", claims_with("iss", "\"coffer-scheduler\""), JWT_ALG_ES256, pem_of(key, true)),
	      expected_route, not_accepted);
}
END_TEST

START_TEST(other_curves_and_key_types_fail)
{
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *rsa = EVP_RSA_gen(2048);
	const char *claims = claims_with("iss", "\"coffer-scheduler\"");
	fails(forge(kid_header(), claims, JWT_ALG_ES384, pem_of(p384, true)), expected_route, not_accepted);
	fails(forge(kid_header(), claims, JWT_ALG_RS256, pem_of(rsa, true)), expected_route, not_accepted);
	struct token_signer *s;
	ck_assert_int_eq(keys_write_private(in_directory("rsa.pem"), rsa, &err), 0);
	ck_assert_int_eq(token_signer_read(in_directory("rsa.pem"), &s, &err), -1);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(rsa);
}
END_TEST

START_TEST(extensions_that_are_critical_fail)
{
	const char *headers =
		arena_printf(&arena, "{\"kid\": \"%s\", \"crit\": [\"x\"], \"x\": 1}", token_signer_key_id(signer));
	fails(forge(headers, claims_with("iss", "\"coffer-scheduler\""), JWT_ALG_ES256, pem_of(key, true)), expected_route,
	      not_accepted);
}
END_TEST

START_TEST(claims_that_are_missing_or_of_another_kind_fail)
{
	static const char *const names[] = {"iss", "aud", "sub", "image", "isolation", "slots",
					    "use", "iat", "nbf", "exp",   "jti"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		static const char *const values[] = {NULL, "null", "true", "\"\"",    "[]",
						     "{}", "-1",   "1e3",  "\"a b\"", "\"../x\""};
		for (size_t j = 0; j < COUNT_OF(values); j++)
			fails(forge_claim(names[i], values[j]), expected_route, lacks);
	}
	fails(forge_claim("exp", "99999999999999"), expected_route, lacks);
	fails(forge_claim("exp", "\"1900000000\""), expected_route, lacks);
	fails(forge_claim("slots", "4294967296"), expected_route, lacks);
	fails(forge_claim("aud", "[\"w1\", \"w2\"]"), expected_route, lacks);
	fails(forge_claim("isolation", "\"strong\""), expected_route, lacks);
	fails(forge_claim("exp", "1800003700"), expected_route, "the token is valid for too long");
	char name[80];
	snprintf(name, sizeof name, "\"%065d\"", 0);
	fails(forge_claim("sub", name), expected_route, lacks);
}
END_TEST

START_TEST(what_is_too_long_or_no_token_fails)
{
	static const char *const bad[] = {"",      ".",           "..",          "a.b",     "a.b.c",  "a.b.c.d",
					  ".b.c",  "a..c",        "a.b.",        "a b.c",   "a.b.c ", "a.b.c\n",
					  "=.=.=", "e30.e30.e30", "e30=.e30.AA", "\xff.a.b"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		fails(bad[i], expected_route, not_accepted);
	const char *good = sign(signer, route_claims());
	fails(arena_printf(&arena, "%s.AAAA", good), expected_route, not_accepted);
	fails(arena_printf(&arena, "%s=", good), expected_route, not_accepted);
	fails(arena_printf(&arena, " %s", good), expected_route, not_accepted);
	AUTO_BUF struct buf big = BUF_INIT;
	buf_adds(&big, "{\"x\":\"");
	while (big.len < TOKEN_MAX)
		buf_addc(&big, 'x');
	buf_adds(&big, "\"}");
	fails(forge(kid_header(), big.data, JWT_ALG_ES256, pem_of(key, true)), expected_route, not_accepted);
}
END_TEST

static Suite *token_suite(void)
{
	Suite *s = suite_create("token");
	TCase *tc = tcase_create("token");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_good_route_passes_and_says_what_it_is_for);
	tcase_add_test(tc, a_worker_may_leave_open_who_and_which);
	tcase_add_test(tc, a_registration_passes_and_is_no_route);
	tcase_add_test(tc, two_keys_in_the_set_are_a_rotation);
	tcase_add_test(tc, without_a_name_the_only_key_is_taken);
	tcase_add_test(tc, every_signature_is_right);
	tcase_add_test(tc, an_expired_token_fails_after_the_skew);
	tcase_add_test(tc, a_token_of_the_future_fails_until_the_skew);
	tcase_add_test(tc, another_worker_tenant_image_or_issuer_fails);
	tcase_add_test(tc, a_token_without_signature_fails);
	tcase_add_test(tc, the_public_key_is_no_shared_secret);
	tcase_add_test(tc, a_change_of_any_part_fails);
	tcase_add_test(tc, the_right_name_with_the_wrong_key_fails);
	tcase_add_test(tc, other_curves_and_key_types_fail);
	tcase_add_test(tc, extensions_that_are_critical_fail);
	tcase_add_test(tc, claims_that_are_missing_or_of_another_kind_fail);
	tcase_add_test(tc, what_is_too_long_or_no_token_fails);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return run_suite(token_suite());
}

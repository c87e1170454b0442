// Tokens of an identity provider, key sets, keys and certificates.
#include "tests/unit/token_fixture.h"

// ---- the identity provider's --------------------------------------------------------------------------------------

static const struct token_user_expected expected_user = {
	.issuer = "https://id.example", .audience = "coffer", .claim = "groups", .now = NOW};
static struct token_user user;

static char *user_token(const char *more)
{
	const char *claims = arena_printf(&arena,
					  "{\"iss\":\"https://id.example\",\"aud\":[\"x\",\"coffer\"],\"exp\":%d,"
					  "\"groups\":[\"a\",\"b\"]}",
					  NOW + 60);
	json_t *o = json_loads(claims, 0, NULL), *changes = json_loads(more, 0, NULL);
	json_object_update(o, changes);
	char *text = json_dumps(o, 0);
	char *token = forge(kid_header(), text, JWT_ALG_ES256, pem_of(key, true));
	free(text);
	json_decref(changes);
	json_decref(o);
	return token;
}

static void user_fails(const char *text, const char *why)
{
	ck_assert_int_eq(token_check_user(&keys, text, &expected_user, &user, &err), -1);
	ck_assert_str_eq(err.text, why);
	ck_assert_uint_eq(user.n, 0);
}

START_TEST(a_user_is_what_the_claim_says)
{
	ck_assert_int_eq(token_check_user(&keys, user_token("{}"), &expected_user, &user, &err), 0);
	ck_assert_uint_eq(user.n, 2);
	ck_assert_str_eq(user.values[1], "b");
	ck_assert_int_eq(
		token_check_user(&keys, user_token("{\"groups\": \"c\", \"aud\": \"coffer\"}"), &expected_user, &user, &err),
		0);
	ck_assert_uint_eq(user.n, 1);
	ck_assert_str_eq(user.values[0], "c");
}
END_TEST

START_TEST(a_user_of_another_issuer_audience_or_time_fails)
{
	user_fails(user_token("{\"iss\": \"https://evil.example\"}"), "the token is of another issuer");
	user_fails(user_token("{\"aud\": \"other\"}"), "the token is for another audience");
	user_fails(user_token("{\"aud\": null}"), "the token is for another audience");
	user_fails(user_token("{\"exp\": 1700000000}"), "the token has expired");
	user_fails(user_token("{\"exp\": null}"), lacks);
	user_fails(user_token("{\"nbf\": 1900000000}"), "the token is not valid yet: do the clocks differ?");
	user_fails(user_token("{\"groups\": []}"), "the token does not say who it is for");
	user_fails(user_token("{\"groups\": [1, {}, \"\"]}"), "the token does not say who it is for");
	user_fails("a.b.c", not_accepted);
}
END_TEST

START_TEST(a_user_may_come_with_rs256)
{
	EVP_PKEY *rsa = EVP_RSA_gen(2048);
	BIGNUM *n = NULL;
	ck_assert_int_eq(EVP_PKEY_get_bn_param(rsa, "n", &n), 1);
	uint8_t bytes[256];
	BN_bn2bin(n, bytes);
	unsigned char text[400];
	int len = EVP_EncodeBlock(text, bytes, sizeof bytes);
	for (int i = 0; i < len; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i] == '=' ? '\0' : text[i];
	const char *set =
		arena_printf(&arena,
			     "{\"keys\":[{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"%s\",\"e\":\"AQAB\"},{\"kty\":\"oct\","
			     "\"k\":\"AAAA\"},{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"%s\",\"e\":\"AQAB\"}]}",
			     (char *)text, (char *)text);
	jwks_release(&keys);
	ck_assert_msg(jwks_parse(set, strlen(set), &keys, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(keys.n, 1);
	const char *claims = "{\"iss\":\"https://id.example\",\"aud\":\"coffer\",\"exp\":1800000060,\"groups\":\"a\"}";
	const char *token = forge("{\"kid\":\"r\"}", claims, JWT_ALG_RS256, pem_of(rsa, true));
	ck_assert_int_eq(token_check_user(&keys, token, &expected_user, &user, &err), 0);
	user_fails(forge("{\"kid\":\"r\"}", claims, JWT_ALG_HS256, pem_of(keys.keys[0].key, false)), not_accepted);
	user_fails(forge("{\"kid\":\"r\"}", claims, JWT_ALG_RS512, pem_of(rsa, true)), not_accepted);
	BN_free(n);
	EVP_PKEY_free(rsa);
}
END_TEST

// Any header and claims, signed by OpenSSL alone.
static char *forge_ed25519(const char *header, const char *claims, EVP_PKEY *with)
{
	AUTO_BUF struct buf b = BUF_INIT;
	base64url_encode(&b, header, strlen(header));
	buf_addc(&b, '.');
	base64url_encode(&b, claims, strlen(claims));
	uint8_t signature[64];
	size_t n = sizeof signature;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ck_assert_int_eq(EVP_DigestSignInit(ctx, NULL, NULL, NULL, with), 1);
	ck_assert_int_eq(EVP_DigestSign(ctx, signature, &n, (unsigned char *)b.data, b.len), 1);
	EVP_MD_CTX_free(ctx);
	buf_addc(&b, '.');
	base64url_encode(&b, signature, n);
	return arena_strdup(&arena, b.data);
}

START_TEST(a_user_may_come_with_ed25519)
{
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t raw[32];
	size_t n = sizeof raw;
	ck_assert_int_eq(EVP_PKEY_get_raw_public_key(ed, raw, &n), 1);
	AUTO_BUF struct buf set = BUF_INIT;
	buf_adds(&set, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"e\",\"x\":\"");
	base64url_encode(&set, raw, n);
	buf_adds(&set, "\"}]}");
	jwks_release(&keys);
	ck_assert_msg(jwks_parse(set.data, set.len, &keys, &err) == 0, "%s", err.text);
	const char *claims = "{\"iss\":\"https://id.example\",\"aud\":\"coffer\",\"exp\":1800000060,\"groups\":\"a\"}";
	static const char *const good[] = {"{\"alg\":\"EdDSA\",\"kid\":\"e\"}", "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}"};
	for (size_t i = 0; i < COUNT_OF(good); i++)
		ck_assert_int_eq(token_check_user(&keys, forge_ed25519(good[i], claims, ed), &expected_user, &user, &err),
				 0);
	static const char *const bad[] = {"{\"alg\":\"eddsa\"}",
					  "{\"alg\":\"ES256\"}",
					  "{\"alg\":\"EdDSA\",\"typ\":\"logout+jwt\"}",
					  "{\"alg\":\"EdDSA\",\"typ\":1}",
					  "{\"alg\":\"EdDSA\",\"kid\":1}",
					  "{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"}",
					  "{\"alg\":[\"EdDSA\"]}",
					  "{\"alg\":\"EdDSA\"} x",
					  "[\"alg\",\"EdDSA\"]",
					  "{}"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		user_fails(forge_ed25519(bad[i], claims, ed), not_accepted);
	user_fails(forge_ed25519(good[0], "[]", ed), not_accepted);
	user_fails(forge_ed25519(good[0], "{\"iss\":\"a\",\"iss\":\"a\"}", ed), not_accepted);
	EVP_PKEY_free(ed);
}
END_TEST

START_TEST(base64url_has_one_text_for_each_sequence_of_bytes)
{
	static const char *const pairs[][2] = {{"", ""},        {"f", "Zg"},        {"fo", "Zm8"},
					       {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"\xfb\xff", "-_8"}};
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		AUTO_BUF struct buf text = BUF_INIT, bytes = BUF_INIT;
		base64url_encode(&text, pairs[i][0], strlen(pairs[i][0]));
		ck_assert_str_eq(text.len ? text.data : "", pairs[i][1]);
		ck_assert(base64url_decode(&bytes, pairs[i][1], strlen(pairs[i][1])));
		ck_assert_str_eq(bytes.len ? bytes.data : "", pairs[i][0]);
	}
	static const char *const bad[] = {"Z", "Zg==", "Zg=", "Zh", "Zm9", "+/8", "Z g", " Zg", "Zg\n", "Zm9vZ", "Zm\x80v"};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		AUTO_BUF struct buf bytes = BUF_INIT;
		ck_assert_msg(!base64url_decode(&bytes, bad[i], strlen(bad[i])), "%s", bad[i]);
		ck_assert_uint_eq(bytes.len, 0);
	}
}
END_TEST

// ---- key sets and keys --------------------------------------------------------------------------------------------

static void set_fails(const char *text, const char *why)
{
	struct jwks set;
	ck_assert_int_eq(jwks_parse(text, strlen(text), &set, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, why));
}

START_TEST(key_sets_without_a_good_key_are_refused)
{
	set_fails("", "line");
	set_fails("{}", "no list 'keys'");
	set_fails("{\"keys\": []}", "no key for ES256,");
	set_fails("{\"keys\": [1, null, {}]}", "no key for ES256,");
	// A point that is not on the curve.
	set_fails("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		  "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
		  "no key for ES256,");
	// A short RSA key.
	set_fails("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "no key for ES256,");
	set_fails("{\"keys\":[], \"keys\":[]}", "line");
	AUTO_BUF struct buf twice = BUF_INIT;
	buf_adds(&twice, "{\"keys\": [");
	ck_assert_int_eq(jwk_write(key, &twice, &err), 0);
	buf_adds(&twice, ",");
	ck_assert_int_eq(jwk_write(key, &twice, &err), 0);
	buf_adds(&twice, "]}");
	set_fails(twice.data, "the same name");
}
END_TEST

START_TEST(private_keys_are_secret)
{
	struct stat st;
	ck_assert_int_eq(stat(in_directory("key.pem"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(keys_write_private(in_directory("key.pem"), key, &err), -1);
	ck_assert_int_eq(err.code, ERR_USAGE);
	ck_assert_int_eq(chmod(in_directory("key.pem"), 0644), 0);
	struct token_signer *s;
	ck_assert_int_eq(token_signer_read(in_directory("key.pem"), &s, &err), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
}
END_TEST

START_TEST(certificates_chain_to_their_ca)
{
	X509 *ca = NULL, *leaf = NULL, *back = NULL;
	struct keys_plan plan = {.role = KEYS_CA, .common_name = "coffer CA", .days = 10};
	ck_assert_msg(keys_make_certificate(&plan, key, &ca, &err) == 0, "%s", err.text);
	static const char *const names[] = {"DNS:a.example", "IP:192.0.2.1", "IP:2001:db8::1", "URI:coffer://worker/w1",
					    "DNS:a,b"};
	plan = (struct keys_plan){KEYS_PEER, "w1", names, COUNT_OF(names), 5, ca, key};
	ck_assert_msg(keys_make_certificate(&plan, other_key, &leaf, &err) == 0, "%s", err.text);
	ck_assert_int_eq(X509_verify(leaf, key), 1);
	ck_assert_int_eq(X509_check_host(leaf, "a.example", 0, 0, NULL), 1);
	ck_assert_int_eq(X509_check_host(leaf, "b", 0, 0, NULL), 0);
	ck_assert_int_eq(X509_check_ip_asc(leaf, "2001:db8::1", 0), 1);
	ck_assert_int_eq(X509_check_ca(leaf), 0);
	ck_assert_int_eq(X509_check_ca(ca), 1);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE_add_cert(store, ca);
	ck_assert_int_eq(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
	ck_assert_int_eq(X509_verify_cert(ctx), 1);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ck_assert_int_eq(keys_write_certificate(in_directory("cert.pem"), leaf, &err), 0);
	ck_assert_int_eq(keys_read_certificate(in_directory("cert.pem"), &back, &err), 0);
	uint8_t one[32], two[32];
	ck_assert_int_eq(keys_fingerprint(leaf, one, &err), 0);
	ck_assert_int_eq(keys_fingerprint(back, two, &err), 0);
	ck_assert_mem_eq(one, two, 32);
	X509_free(ca);
	X509_free(leaf);
	X509_free(back);
}
END_TEST

START_TEST(headers_carry_a_bearer)
{
	ck_assert_str_eq(token_of_header("Bearer abc"), "abc");
	ck_assert_str_eq(token_of_header("bearer  abc"), "abc");
	ck_assert_ptr_null(token_of_header("Basic abc"));
	ck_assert_ptr_null(token_of_header("Bearerabc"));
	ck_assert_ptr_null(token_of_header(NULL));
	char *shown = token_show(sign(signer, route_claims()));
	ck_assert_ptr_nonnull(strstr(shown, "\"sub\": \"acme\""));
	free(shown);
	ck_assert_ptr_null(token_show("x"));
}
END_TEST

static Suite *token_keys_suite(void)
{
	Suite *s = suite_create("token_keys");
	TCase *tc = tcase_create("token_keys");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_user_is_what_the_claim_says);
	tcase_add_test(tc, a_user_of_another_issuer_audience_or_time_fails);
	tcase_add_test(tc, a_user_may_come_with_rs256);
	tcase_add_test(tc, a_user_may_come_with_ed25519);
	tcase_add_test(tc, base64url_has_one_text_for_each_sequence_of_bytes);
	tcase_add_test(tc, key_sets_without_a_good_key_are_refused);
	tcase_add_test(tc, private_keys_are_secret);
	tcase_add_test(tc, certificates_chain_to_their_ca);
	tcase_add_test(tc, headers_carry_a_bearer);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return run_suite(token_keys_suite());
}

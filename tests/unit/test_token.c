// Tokens, key sets and keys: what is taken, and every way in which somebody could try to pass with a wrong one.
#include "remote/token.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "proto/coffer.pb-c.h"
#include "remote/keys.h"
#include "remote/token_base64.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOW = 1800000000 };
static const char image[] = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static char *folder;
static struct arena arena;
static struct err err;
static EVP_PKEY *key, *other_key;
static struct token_signer *signer, *other_signer;
static struct jwks keys;
static struct token_claims got;

static const char *in_folder(const char *name)
{
	return path_join(&arena, folder, name);
}

static void make_set(EVP_PKEY *const *all, size_t n, struct jwks *set)
{
	AUTO_BUF struct buf text = BUF_INIT;
	buf_adds(&text, "{\"keys\": [");
	for (size_t i = 0; i < n; i++) {
		buf_adds(&text, i ? ", " : "");
		ck_assert_int_eq(jwk_write(all[i], &text, &err), 0);
	}
	buf_adds(&text, "]}");
	ck_assert_msg(jwks_parse(text.data, text.len, set, &err) == 0, "%s", err.text);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");
	folder = mem_printf("%s/coffer-token-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	err = (struct err)ERR_INIT;
	ck_assert_int_eq(keys_generate(&key, &err), 0);
	ck_assert_int_eq(keys_generate(&other_key, &err), 0);
	ck_assert_int_eq(keys_write_private(in_folder("key.pem"), key, &err), 0);
	ck_assert_int_eq(keys_write_private(in_folder("other.pem"), other_key, &err), 0);
	ck_assert_int_eq(token_signer_read(in_folder("key.pem"), &signer, &err), 0);
	ck_assert_int_eq(token_signer_read(in_folder("other.pem"), &other_signer, &err), 0);
	make_set(&key, 1, &keys);
}

static void teardown(void)
{
	static const char *const names[] = {"key.pem", "other.pem", "set.json", "ca.pem", "cert.pem", "rsa.pem"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		remove(in_folder(names[i]));
	ck_assert_int_eq(rmdir(folder), 0);
	token_signer_free(signer);
	token_signer_free(other_signer);
	jwks_release(&keys);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	arena_release(&arena);
	free(folder);
}

static struct token_claims route_claims(void)
{
	struct token_claims c = {.use = TOKEN_ROUTE,
				 .issuer = "coffer-scheduler",
				 .worker = "w1",
				 .tenant = "acme",
				 .isolation = COFFER__V1__ISOLATION__ISOLATION_SANDBOX,
				 .slots = 20,
				 .not_before = NOW,
				 .expires = NOW + 300};
	memcpy(c.image, image, sizeof image);
	return c;
}

static const struct token_expected expected_route = {.use = TOKEN_ROUTE,
						     .issuer = "coffer-scheduler",
						     .worker = "w1",
						     .tenant = "acme",
						     .image = image,
						     .isolation = COFFER__V1__ISOLATION__ISOLATION_SANDBOX,
						     .now = NOW + 10};

static char *sign(const struct token_signer *with, struct token_claims c)
{
	char *text;
	ck_assert_msg(token_make(with, &c, &text, &err) == 0, "%s", err.text);
	char *copy = arena_strdup(&arena, text);
	free(text);
	return copy;
}

static void passes(const char *text, struct token_expected want)
{
	ck_assert_msg(token_check(&keys, text, &want, &got, &err) == 0, "%s", err.text);
}

static void fails(const char *text, struct token_expected want, const char *why)
{
	ck_assert_int_eq(token_check(&keys, text, &want, &got, &err), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
	ck_assert_str_eq(err.text, why);
	ck_assert_str_eq(got.tenant, "");
}
static const char not_accepted[] = "the token is not one that is accepted here";
static const char lacks[] = "the token lacks a claim or is for another use";

static const char *pem_of(EVP_PKEY *k, bool is_private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	ck_assert_int_eq(is_private ? PEM_write_bio_PKCS8PrivateKey(bio, k, NULL, NULL, 0, NULL, NULL)
				    : PEM_write_bio_PUBKEY(bio, k),
			 1);
	long n = BIO_get_mem_data(bio, &data);
	char *copy = arena_strndup(&arena, data, (size_t)n);
	BIO_free(bio);
	return copy;
}

// Any header and claims, signed by libjwt, which is not ours, with whatever algorithm and key.
static char *forge(const char *headers, const char *claims, jwt_alg_t alg, const char *secret)
{
	jwt_t *jwt = NULL;
	ck_assert_int_eq(jwt_new(&jwt), 0);
	ck_assert_int_eq(jwt_add_headers_json(jwt, headers), 0);
	ck_assert_int_eq(jwt_add_grants_json(jwt, claims), 0);
	ck_assert_int_eq(jwt_set_alg(jwt, alg, (const unsigned char *)secret, secret ? (int)strlen(secret) : 0), 0);
	char *text = jwt_encode_str(jwt);
	ck_assert_ptr_nonnull(text);
	char *copy = arena_strdup(&arena, text);
	free(text);
	jwt_free(jwt);
	return copy;
}

static const char *kid_header(void)
{
	return arena_printf(&arena, "{\"kid\": \"%s\"}", token_signer_key_id(signer));
}

// The claims of a good route, with one member put in the place of another, or taken out (value NULL).
static const char *claims_with(const char *name, const char *json_value)
{
	const char *all = arena_printf(&arena,
				       "{\"iss\":\"coffer-scheduler\",\"aud\":\"w1\",\"sub\":\"acme\",\"image\":\"%s\","
				       "\"isolation\":\"sandbox\",\"slots\":20,\"use\":\"route\",\"iat\":%d,\"nbf\":%d,"
				       "\"exp\":%d,\"jti\":\"0123\"}",
				       image, NOW, NOW, NOW + 300);
	json_t *o = json_loads(all, 0, NULL);
	if (json_value)
		json_object_set_new(o, name, json_loads(json_value, JSON_DECODE_ANY, NULL));
	else
		json_object_del(o, name);
	char *text = json_dumps(o, JSON_COMPACT);
	char *copy = arena_strdup(&arena, text);
	free(text);
	json_decref(o);
	return copy;
}

static char *forge_claim(const char *name, const char *json_value)
{
	return forge(kid_header(), claims_with(name, json_value), JWT_ALG_ES256, pem_of(key, true));
}

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
	fails(text, want, "the token is not valid yet");
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
	ck_assert_int_eq(keys_write_private(in_folder("rsa.pem"), rsa, &err), 0);
	ck_assert_int_eq(token_signer_read(in_folder("rsa.pem"), &s, &err), -1);
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
	user_fails(user_token("{\"nbf\": 1900000000}"), "the token is not valid yet");
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
	ck_assert_int_eq(stat(in_folder("key.pem"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(keys_write_private(in_folder("key.pem"), key, &err), -1);
	ck_assert_int_eq(err.code, ERR_USAGE);
	ck_assert_int_eq(chmod(in_folder("key.pem"), 0644), 0);
	struct token_signer *s;
	ck_assert_int_eq(token_signer_read(in_folder("key.pem"), &s, &err), -1);
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
	ck_assert_int_eq(keys_write_certificate(in_folder("cert.pem"), leaf, &err), 0);
	ck_assert_int_eq(keys_read_certificate(in_folder("cert.pem"), &back, &err), 0);
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
	SRunner *sr = srunner_create(token_suite());
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}

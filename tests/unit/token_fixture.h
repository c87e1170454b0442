// What the tests of tokens share: keys and signers made anew for each test, and tokens that another library makes, right and
// wrong.
#ifndef COFFER_TESTS_TOKEN_FIXTURE_H
#define COFFER_TESTS_TOKEN_FIXTURE_H

#include "auth/token.h"

#include "auth/base64.h"
#include "auth/keys.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "proto/coffer.pb-c.h"
#include "tests/unit/unit.h"

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

static char *directory;
static struct arena arena;
static struct err err;
static EVP_PKEY *key, *other_key;
static struct token_signer *signer, *other_signer;
static struct jwks keys;
static struct token_claims got;

static inline const char *in_directory(const char *name)
{
	return path_join(&arena, directory, name);
}

static inline void make_set(EVP_PKEY *const *all, size_t n, struct jwks *set)
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

static inline void setup(void)
{
	directory = unit_directory();
	err = (struct err)ERR_INIT;
	ck_assert_int_eq(keys_generate(&key, &err), 0);
	ck_assert_int_eq(keys_generate(&other_key, &err), 0);
	ck_assert_int_eq(keys_write_private(in_directory("key.pem"), key, &err), 0);
	ck_assert_int_eq(keys_write_private(in_directory("other.pem"), other_key, &err), 0);
	ck_assert_int_eq(token_signer_read(in_directory("key.pem"), &signer, &err), 0);
	ck_assert_int_eq(token_signer_read(in_directory("other.pem"), &other_signer, &err), 0);
	make_set(&key, 1, &keys);
}

static inline void teardown(void)
{
	static const char *const names[] = {"key.pem", "other.pem", "set.json", "ca.pem", "cert.pem", "rsa.pem"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		remove(in_directory(names[i]));
	ck_assert_int_eq(rmdir(directory), 0);
	token_signer_free(signer);
	token_signer_free(other_signer);
	jwks_release(&keys);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	arena_release(&arena);
	free(directory);
}

static inline struct token_claims route_claims(void)
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

static inline char *sign(const struct token_signer *with, struct token_claims c)
{
	char *text;
	ck_assert_msg(token_make(with, &c, &text, &err) == 0, "%s", err.text);
	char *copy = arena_strdup(&arena, text);
	free(text);
	return copy;
}

static inline void passes(const char *text, struct token_expected want)
{
	ck_assert_msg(token_check(&keys, text, &want, &got, &err) == 0, "%s", err.text);
}

static inline void fails(const char *text, struct token_expected want, const char *why)
{
	ck_assert_int_eq(token_check(&keys, text, &want, &got, &err), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
	ck_assert_str_eq(err.text, why);
	ck_assert_str_eq(got.tenant, "");
}
static const char not_accepted[] = "the token is not one that is accepted here";
static const char lacks[] = "the token lacks a claim or is for another use";

static inline const char *pem_of(EVP_PKEY *k, bool is_private)
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
static inline char *forge(const char *headers, const char *claims, jwt_alg_t alg, const char *secret)
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

static inline const char *kid_header(void)
{
	return arena_printf(&arena, "{\"kid\": \"%s\"}", token_signer_key_id(signer));
}

// The claims of a good route, with one member put in the place of another, or taken out (value NULL).
static inline const char *claims_with(const char *name, const char *json_value)
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

static inline char *forge_claim(const char *name, const char *json_value)
{
	return forge(kid_header(), claims_with(name, json_value), JWT_ALG_ES256, pem_of(key, true));
}

static inline int run_suite(Suite *s)
{
	return unit_run(s);
}

#endif

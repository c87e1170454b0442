#include "remote/jwks.h"

#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <string.h>

enum { EC_BYTES = 32, RSA_MIN_BITS = 2048, RSA_MAX_BITS = 8192, NUMBER_MAX = RSA_MAX_BITS / 8 + 1 };

// ---- base64url (RFC 4648 section 5, without padding) ----------------------------------------------------------------

static void base64url_add(struct buf *out, const uint8_t *p, size_t n)
{
	char *to = buf_room(out, 4 * (n / 3 + 1) + 1);
	if (!to)
		return;
	EVP_EncodeBlock((unsigned char *)to, p, (int)n);
	size_t len = strcspn(to, "=");
	for (size_t i = 0; i < len; i++)
		to[i] = (char)(to[i] == '+' ? '-' : to[i] == '/' ? '_' : to[i]);
	buf_grew(out, len);
}

// Returns the bytes' number, or 0.
static size_t base64url_decode(const char *text, uint8_t *out, size_t room)
{
	unsigned char padded[4 * (NUMBER_MAX / 3 + 2)];
	size_t n = strlen(text), full = (n + 3) / 4 * 4;
	if (n == 0 || full > sizeof padded || full / 4 * 3 > room + 2)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (strchr("+/=", text[i]))
			return 0;
		padded[i] = (unsigned char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
	}
	memset(padded + n, '=', full - n);
	unsigned char bytes[sizeof padded];
	int got = EVP_DecodeBlock(bytes, padded, (int)full);
	if (got < 0 || (size_t)got <= full - n || (size_t)got - (full - n) > room)
		return 0;
	memcpy(out, bytes, (size_t)got - (full - n));
	return (size_t)got - (full - n);
}

// ---- one key ------------------------------------------------------------------------------------------------------

static const char *string_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static EVP_PKEY *make_public(const char *type, OSSL_PARAM_BLD *build)
{
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

static EVP_PKEY *ec_key(const json_t *o)
{
	uint8_t point[1 + 2 * EC_BYTES] = {4}; // uncompressed
	const char *curve = string_of(o, "crv"), *x = string_of(o, "x"), *y = string_of(o, "y");
	if (!curve || strcmp(curve, "P-256") != 0 || !x || !y || base64url_decode(x, point + 1, EC_BYTES) != EC_BYTES ||
	    base64url_decode(y, point + 1 + EC_BYTES, EC_BYTES) != EC_BYTES)
		return NULL;
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;
	// Refuses a point that is not on the curve.
	if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
		key = make_public("EC", build);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static BIGNUM *number_of(const json_t *o, const char *name)
{
	uint8_t bytes[NUMBER_MAX];
	const char *text = string_of(o, name);
	size_t n = text ? base64url_decode(text, bytes, sizeof bytes) : 0;
	return n ? BN_bin2bn(bytes, (int)n, NULL) : NULL;
}

static EVP_PKEY *rsa_key(const json_t *o)
{
	BIGNUM *n = number_of(o, "n"), *e = number_of(o, "e");
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;
	if (n && e && build && BN_num_bits(n) >= RSA_MIN_BITS && BN_num_bits(n) <= RSA_MAX_BITS && BN_num_bits(e) <= 32 &&
	    BN_is_odd(e) && !BN_is_one(e) && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
		key = make_public("RSA", build);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return key;
}

static int key_coordinates(EVP_PKEY *key, struct buf *x, struct buf *y, struct err *err)
{
	char group[32] = "";
	uint8_t point[1 + 2 * EC_BYTES];
	size_t n = 0;
	if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
	    strcmp(group, "prime256v1") != 0 ||
	    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n) != 1 || n != sizeof point)
		return err_set(err, ERR_FORMAT, "the key is not on the curve P-256");
	base64url_add(x, point + 1, EC_BYTES);
	base64url_add(y, point + 1 + EC_BYTES, EC_BYTES);
	return 0;
}

int jwk_thumbprint(EVP_PKEY *key, char out[JWK_THUMBPRINT + 1], struct err *err)
{
	AUTO_BUF struct buf x = BUF_INIT, y = BUF_INIT, text = BUF_INIT, name = BUF_INIT;
	if (key_coordinates(key, &x, &y, err) < 0)
		return -1;
	buf_addf(&text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x.data, y.data);
	uint8_t sha256[32];
	if (EVP_Digest(text.data, text.len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return err_set(err, ERR_FORMAT, "cannot hash a key");
	base64url_add(&name, sha256, sizeof sha256);
	memcpy(out, name.data, JWK_THUMBPRINT + 1);
	return 0;
}

int jwk_write(EVP_PKEY *key, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf x = BUF_INIT, y = BUF_INIT;
	char id[JWK_THUMBPRINT + 1];
	if (key_coordinates(key, &x, &y, err) < 0 || jwk_thumbprint(key, id, err) < 0)
		return -1;
	buf_addf(out,
		 "{\"kty\": \"EC\", \"crv\": \"P-256\", \"use\": \"sig\", \"alg\": \"ES256\", \"kid\": \"%s\", \"x\": "
		 "\"%s\", "
		 "\"y\": \"%s\"}",
		 id, x.data, y.data);
	return 0;
}

// ---- sets ---------------------------------------------------------------------------------------------------------

static bool is_for(const json_t *o, const char *algorithm)
{
	const char *use = string_of(o, "use"), *alg = string_of(o, "alg");
	return (!use || strcmp(use, "sig") == 0) && (!alg || strcmp(alg, algorithm) == 0);
}

static bool is_type(const json_t *o, const char *type)
{
	const char *kty = string_of(o, "kty");
	return kty && strcmp(kty, type) == 0;
}

static int set_id(struct jwk *k, const json_t *o, EVP_PKEY *key, struct err *err)
{
	const char *id = string_of(o, "kid");
	if (id && strlen(id) > JWK_MAX_ID)
		return err_set(err, ERR_LIMIT, "the name of a key is longer than %d bytes", JWK_MAX_ID);
	if (id)
		memcpy(k->id, id, strlen(id) + 1);
	else if (k->algorithm == JWK_ES256)
		return jwk_thumbprint(key, k->id, err);
	return 0;
}

static int set_pem(struct jwk *k, EVP_PKEY *key, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL;
	long n = bio && PEM_write_bio_PUBKEY(bio, key) ? BIO_get_mem_data(bio, &data) : 0;
	if (n > 0) {
		k->pem = mem_strndup(data, (size_t)n);
		k->pem_len = (size_t)n;
	}
	BIO_free(bio);
	return n > 0 ? 0 : err_set(err, ERR_FORMAT, "cannot write a public key");
}

// Adds the key, or skips what is not taken.
static int add_key(struct jwks *set, const json_t *o, struct err *err)
{
	bool is_ec = is_type(o, "EC") && is_for(o, "ES256"), is_rsa = is_type(o, "RSA") && is_for(o, "RS256");
	EVP_PKEY *key = is_ec ? ec_key(o) : is_rsa ? rsa_key(o) : NULL;
	ERR_clear_error();
	if (!key)
		return 0;
	struct jwk k = {.algorithm = is_ec ? JWK_ES256 : JWK_RS256};
	int rc = set_id(&k, o, key, err) < 0 || set_pem(&k, key, err) < 0 ? -1 : 0;
	EVP_PKEY_free(key);
	for (size_t i = 0; rc == 0 && i < set->n; i++)
		if (*k.id && strcmp(set->keys[i].id, k.id) == 0)
			rc = err_set(err, ERR_FORMAT, "two keys have the same name");
	if (rc == 0 && set->n == JWKS_MAX_KEYS)
		rc = err_set(err, ERR_LIMIT, "there are more than %d keys", JWKS_MAX_KEYS);
	if (rc < 0)
		free(k.pem);
	else
		set->keys[set->n++] = k;
	return rc;
}

int jwks_parse(const char *text, size_t n, struct jwks *set, struct err *err)
{
	memset(set, 0, sizeof *set);
	if (n > JWKS_MAX_FILE)
		return err_set(err, ERR_LIMIT, "the key set has more than %zu bytes", JWKS_MAX_FILE);
	json_error_t why;
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return err_set(err, ERR_FORMAT, "line %d of the key set: %s", why.line, why.text);
	const json_t *keys = json_object_get(root, "keys");
	int rc = json_is_array(keys) ? 0 : err_set(err, ERR_FORMAT, "the key set has no list 'keys'");
	for (size_t i = 0; rc == 0 && i < json_array_size(keys); i++)
		rc = add_key(set, json_array_get(keys, i), err);
	if (rc == 0 && set->n == 0)
		rc = err_set(err, ERR_FORMAT, "the key set has no key for ES256 or RS256");
	json_decref(root);
	if (rc < 0)
		jwks_release(set);
	return rc;
}

int jwks_read(const char *path, struct jwks *set, struct err *err)
{
	AUTO_BUF struct buf text = {.max = JWKS_MAX_FILE + 1};
	memset(set, 0, sizeof *set);
	if (file_read(AT_FDCWD, path, JWKS_MAX_FILE, &text, NULL, err) < 0)
		return -1;
	return jwks_parse(text.data ? text.data : "", text.len, set, err) < 0 ? err_wrap(err, "'%s'", path) : 0;
}

void jwks_release(struct jwks *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->keys[i].pem);
	memset(set, 0, sizeof *set);
}

const struct jwk *jwks_find(const struct jwks *set, enum jwk_algorithm algorithm, const char *id)
{
	const struct jwk *found = NULL;
	for (size_t i = 0; i < set->n; i++) {
		const struct jwk *k = &set->keys[i];
		if (k->algorithm != algorithm || (id && strcmp(k->id, id) != 0))
			continue;
		if (found)
			return NULL;
		found = k;
	}
	return found;
}

#include "auth/jwks.h"

#include "auth/base64.h"
#include "base/file.h"

#include <fcntl.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

enum { EC_BYTES = 32, RSA_MIN_BITS = 2048, RSA_MAX_BITS = 8192 };

const char *const jwk_algorithm_names[JWK_ALGORITHMS] = {
	[JWK_ES256] = "ES256", [JWK_RS256] = "RS256", [JWK_EDDSA] = "EdDSA"};

// ---- one key ------------------------------------------------------------------------------------------------------

static const char *string_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

// The bytes of a member in base64url; false if it is none.
static bool bytes_of(const json_t *o, const char *name, struct buf *bytes)
{
	const char *text = string_of(o, name);
	return text && base64url_decode(bytes, text, strlen(text));
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
	AUTO_BUF struct buf x = BUF_INIT, y = BUF_INIT, point = BUF_INIT;
	const char *curve = string_of(o, "crv");
	if (!curve || strcmp(curve, "P-256") != 0 || !bytes_of(o, "x", &x) || !bytes_of(o, "y", &y) || x.len != EC_BYTES ||
	    y.len != EC_BYTES)
		return NULL;
	buf_addc(&point, 4); // uncompressed
	buf_add(&point, x.data, x.len);
	buf_add(&point, y.data, y.len);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;
	// Refuses a point that is not on the curve.
	if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len))
		key = make_public("EC", build);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static EVP_PKEY *ed25519_key(const json_t *o)
{
	AUTO_BUF struct buf x = BUF_INIT;
	const char *curve = string_of(o, "crv");
	if (!curve || strcmp(curve, "Ed25519") != 0 || !bytes_of(o, "x", &x) || x.len != EC_BYTES)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (unsigned char *)x.data, x.len);
}

static BIGNUM *number_of(const json_t *o, const char *name)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	if (!bytes_of(o, name, &bytes) || bytes.len == 0 || bytes.len > RSA_MAX_BITS / 8 + 1)
		return NULL;
	return BN_bin2bn((unsigned char *)bytes.data, (int)bytes.len, NULL);
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
	base64url_encode(x, point + 1, EC_BYTES);
	base64url_encode(y, point + 1 + EC_BYTES, EC_BYTES);
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
	base64url_encode(&name, sha256, sizeof sha256);
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

static const struct {
	const char *type; // "kty"
	EVP_PKEY *(*make)(const json_t *o);
} key_types[JWK_ALGORITHMS] = {
	[JWK_ES256] = {"EC", ec_key}, [JWK_RS256] = {"RSA", rsa_key}, [JWK_EDDSA] = {"OKP", ed25519_key}};

// The key of a JWK, or NULL where it is of no kind that is taken.
static EVP_PKEY *key_of(const json_t *o, enum jwk_algorithm *algorithm)
{
	const char *type = string_of(o, "kty");
	EVP_PKEY *key = NULL;
	for (size_t i = 0; type && !key && i < JWK_ALGORITHMS; i++) {
		*algorithm = (enum jwk_algorithm)i;
		if (strcmp(type, key_types[i].type) == 0 && is_for(o, jwk_algorithm_names[i]))
			key = key_types[i].make(o);
	}
	ERR_clear_error();
	return key;
}

static int set_id(struct jwk *k, const json_t *o, struct err *err)
{
	const char *id = string_of(o, "kid");
	if (id && strlen(id) > JWK_MAX_ID)
		return err_set(err, ERR_LIMIT, "the name of a key is longer than %d bytes", JWK_MAX_ID);
	if (id)
		memcpy(k->id, id, strlen(id) + 1);
	else if (k->algorithm == JWK_ES256)
		return jwk_thumbprint(k->key, k->id, err);
	return 0;
}

// Adds the key, or skips what is not taken.
static int add_key(struct jwks *set, const json_t *o, struct err *err)
{
	struct jwk k = {0};
	k.key = key_of(o, &k.algorithm);
	if (!k.key)
		return 0;
	int rc = set_id(&k, o, err);
	for (size_t i = 0; rc == 0 && i < set->n; i++)
		if (*k.id && strcmp(set->keys[i].id, k.id) == 0)
			rc = err_set(err, ERR_FORMAT, "two keys have the same name");
	if (rc == 0 && set->n == JWKS_MAX_KEYS)
		rc = err_set(err, ERR_LIMIT, "there are more than %d keys", JWKS_MAX_KEYS);
	if (rc < 0)
		EVP_PKEY_free(k.key);
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
		rc = err_set(err, ERR_FORMAT, "the key set has no key for ES256, RS256 or EdDSA");
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
		EVP_PKEY_free(set->keys[i].key);
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

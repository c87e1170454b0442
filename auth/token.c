#include "auth/token.h"

#include "auth/base64.h"
#include "auth/keys.h"
#include "base/mem.h"
#include "base/value.h"

#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ES256_BYTES = 32 }; // of each of the two numbers

static const char not_accepted[] = "the token is not one that is accepted here";
static const char *const use_names[] = {[TOKEN_ROUTE] = "route", [TOKEN_REGISTER] = "register"};
static const char *const isolation_names[] = {"none", "process", "sandbox", "microvm"};

bool token_is_name(const char *text)
{
	return *text != '.' &&
	       value_is_name(text, TOKEN_NAME_MAX, "._-"); // names are also directories: neither "." nor ".."
}

bool token_is_image(const char *text)
{
	if (strncmp(text, "sha256:", 7) == 0)
		return strlen(text) == 7 + 64 && text[7 + strspn(text + 7, "0123456789abcdef")] == '\0';
	return strncmp(text, "host:", 5) == 0 && text[5] != '.' && value_is_name(text + 5, TOKEN_IMAGE_MAX - 5, "._-");
}

const char *isolation_name(int isolation)
{
	return isolation >= 0 && isolation < (int)COUNT_OF(isolation_names) ? isolation_names[isolation] : "unknown";
}

int isolation_of_name(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(isolation_names); i++)
		if (strcmp(name, isolation_names[i]) == 0)
			return (int)i;
	return -1;
}

const char *token_of_header(const char *authorization)
{
	// The scheme's name is without case (RFC 9110 11.1).
	if (!authorization || strncasecmp(authorization, "bearer ", 7) != 0)
		return NULL;
	return authorization + 7 + strspn(authorization + 7, " ");
}

// ---- the signature ------------------------------------------------------------------------------------------------

// A token taken apart (RFC 7515 section 7.1). Nothing of it is certain.
struct parts {
	size_t signed_len; // of the text: header '.' claims
	json_t *header, *claims;
	struct buf signature;
};

static void parts_release(struct parts *p)
{
	json_decref(p->header);
	json_decref(p->claims);
	buf_release(&p->signature);
}
#define AUTO_PARTS __attribute__((cleanup(parts_release)))

// An object, or NULL.
static json_t *decode_json(const char *text, size_t n)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	if (!n || !base64url_decode(&bytes, text, n))
		return NULL;
	json_t *o = json_loadb(bytes.data, bytes.len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

static bool take_apart(const char *text, struct parts *p)
{
	size_t n = strnlen(text, TOKEN_MAX + 1);
	const char *first = memchr(text, '.', n),
		   *second = first ? memchr(first + 1, '.', n - (size_t)(first + 1 - text)) : NULL;
	if (n > TOKEN_MAX || !second)
		return false;
	p->signed_len = (size_t)(second - text);
	p->header = decode_json(text, (size_t)(first - text));
	p->claims = decode_json(first + 1, (size_t)(second - first - 1));
	return p->header && p->claims && base64url_decode(&p->signature, second + 1, n - p->signed_len - 1);
}

static bool is_text(const json_t *o, const char *name, const char *wanted)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text && strcmp(text, wanted) == 0;
}

// The key that the header asks for; each key has its own algorithm.
static const struct jwk *choose_key(const struct jwks *keys, const json_t *header)
{
	const json_t *kid = json_object_get(header, "kid"), *type = json_object_get(header, "typ");
	if (json_object_get(header, "crit") || (kid && !json_is_string(kid)))
		return NULL;
	if (type && (!json_is_string(type) || (strcasecmp(json_string_value(type), "JWT") != 0 &&
					       strcasecmp(json_string_value(type), "at+jwt") != 0)))
		return NULL;
	for (size_t i = 0; i < JWK_ALGORITHMS; i++)
		if (is_text(header, "alg", jwk_algorithm_names[i]))
			return jwks_find(keys, (enum jwk_algorithm)i, json_string_value(kid));
	return NULL;
}

// ES256 has two numbers of 32 bytes (RFC 7518 section 3.4), OpenSSL wants them in DER.
static bool to_der(struct buf *signature)
{
	const unsigned char *p = (const unsigned char *)signature->data;
	if (signature->len != 2 * ES256_BYTES)
		return false;
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(p, ES256_BYTES, NULL), *s = BN_bin2bn(p + ES256_BYTES, ES256_BYTES, NULL);
	unsigned char *der = NULL;
	int n = pair && r && s && ECDSA_SIG_set0(pair, r, s) ? i2d_ECDSA_SIG(pair, &der) : -1;
	buf_clear(signature);
	buf_add(signature, der, n > 0 ? (size_t)n : 0);
	OPENSSL_free(der);
	ECDSA_SIG_free(pair);
	return n > 0;
}

static bool is_signed(const struct jwk *key, const char *text, struct parts *p)
{
	if (key->algorithm == JWK_ES256 && !to_der(&p->signature))
		return false;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = key->algorithm == JWK_EDDSA ? NULL : EVP_sha256();
	bool is_good = ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key->key) == 1 &&
		       EVP_DigestVerify(ctx, (const unsigned char *)p->signature.data, p->signature.len,
					(const unsigned char *)text, p->signed_len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return is_good;
}

// The claims of a token whose signature is right, or NULL.
static json_t *open_token(const struct jwks *keys, const char *text)
{
	AUTO_PARTS struct parts p = {0};
	const struct jwk *key = take_apart(text, &p) ? choose_key(keys, p.header) : NULL;
	return key && is_signed(key, text, &p) ? json_incref(p.claims) : NULL;
}

// ---- claims -------------------------------------------------------------------------------------------------------

static bool take_text(const json_t *claims, const char *name, bool (*is_right)(const char *), char *to)
{
	const char *text = json_string_value(json_object_get(claims, name));
	if (!text || !is_right(text))
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool is_id(const char *text)
{
	return value_is_name(text, 32, "-_");
}

// A whole number of seconds from 1970 to the year 9999.
static bool take_time(const json_t *claims, const char *name, int64_t *to)
{
	const json_t *v = json_object_get(claims, name);
	*to = json_integer_value(v);
	return json_is_integer(v) && *to > 0 && *to < 253402300800;
}

static int check_time(int64_t not_before, int64_t expires, int64_t now, struct err *err)
{
	if (now > expires + TOKEN_SKEW_S)
		return err_set(err, ERR_ACCESS, "the token has expired");
	if (now + TOKEN_SKEW_S < not_before)
		return err_set(err, ERR_ACCESS, "the token is not valid yet: do the clocks differ?");
	return 0;
}

static bool take_route(const json_t *o, struct token_claims *c)
{
	const char *isolation = json_string_value(json_object_get(o, "isolation"));
	const json_t *slots = json_object_get(o, "slots");
	c->isolation = isolation ? isolation_of_name(isolation) : -1;
	c->slots = (uint32_t)json_integer_value(slots);
	return c->isolation >= 0 && json_is_integer(slots) && json_integer_value(slots) == c->slots &&
	       take_text(o, "aud", token_is_name, c->worker) && take_text(o, "sub", token_is_name, c->tenant) &&
	       take_text(o, "image", token_is_image, c->image);
}

static bool take_claims(const json_t *o, enum token_use use, struct token_claims *c)
{
	int64_t issued_at;
	c->use = use;
	if (!is_text(o, "use", use_names[use]) || !take_text(o, "iss", token_is_name, c->issuer) ||
	    !take_text(o, "jti", is_id, c->id) || !take_time(o, "exp", &c->expires) ||
	    !take_time(o, "nbf", &c->not_before) || !take_time(o, "iat", &issued_at))
		return false;
	if (use == TOKEN_REGISTER)
		return is_text(o, "aud", c->issuer) && take_text(o, "sub", token_is_name, c->worker);
	return take_route(o, c);
}

static int compare(const struct token_claims *c, const struct token_expected *want, struct err *err)
{
	int64_t most = c->use == TOKEN_ROUTE ? TOKEN_ROUTE_MAX_S : TOKEN_REGISTER_MAX_S;
	if (want->issuer && strcmp(c->issuer, want->issuer) != 0)
		return err_set(err, ERR_ACCESS, "the token is of another issuer");
	if (check_time(c->not_before, c->expires, want->now, err) < 0)
		return -1;
	if (c->expires - c->not_before > most)
		return err_set(err, ERR_ACCESS, "the token is valid for too long");
	if ((want->worker || c->use == TOKEN_ROUTE) && (!want->worker || strcmp(c->worker, want->worker) != 0))
		return err_set(err, ERR_ACCESS, "the token is for another worker");
	if (want->tenant && strcmp(c->tenant, want->tenant) != 0)
		return err_set(err, ERR_ACCESS, "the token is for another tenant");
	if (want->image && strcmp(c->image, want->image) != 0)
		return err_set(err, ERR_ACCESS, "the token is for another image");
	if (c->use == TOKEN_ROUTE && c->isolation > want->isolation)
		return err_set(err, ERR_ACCESS, "the token asks for a stronger isolation");
	return 0;
}

int token_check(const struct jwks *keys, const char *text, const struct token_expected *expected,
		struct token_claims *claims, struct err *err)
{
	memset(claims, 0, sizeof *claims);
	json_t *o = open_token(keys, text);
	int rc = -1;
	if (!o)
		err_set(err, ERR_ACCESS, "%s", not_accepted);
	else if (!take_claims(o, expected->use, claims))
		err_set(err, ERR_ACCESS, "the token lacks a claim or is for another use");
	else
		rc = compare(claims, expected, err);
	json_decref(o);
	if (rc < 0)
		memset(claims, 0, sizeof *claims);
	return rc;
}

// ---- the identity provider's --------------------------------------------------------------------------------------

// RFC 7519 4.1.3: a text or a list of them.
static bool has_audience(const json_t *claims, const char *wanted)
{
	const json_t *aud = json_object_get(claims, "aud");
	for (size_t i = 0; i < json_array_size(aud); i++) {
		const char *text = json_string_value(json_array_get(aud, i));
		if (text && strcmp(text, wanted) == 0)
			return true;
	}
	return is_text(claims, "aud", wanted);
}

static void add_value(struct token_user *user, const json_t *v)
{
	const char *text = json_string_value(v);
	size_t n = text ? strlen(text) : 0;
	if (n == 0 || n > TOKEN_USER_VALUE_MAX || user->n == TOKEN_USER_VALUES)
		return;
	memcpy(user->values[user->n++], text, n + 1);
}

static int check_user(const json_t *o, const struct token_user_expected *want, struct token_user *user, struct err *err)
{
	int64_t not_before = 0;
	if (!is_text(o, "iss", want->issuer))
		return err_set(err, ERR_ACCESS, "the token is of another issuer");
	if (!has_audience(o, want->audience))
		return err_set(err, ERR_ACCESS, "the token is for another audience");
	if (!take_time(o, "exp", &user->expires) || (json_object_get(o, "nbf") && !take_time(o, "nbf", &not_before)))
		return err_set(err, ERR_ACCESS, "the token lacks a claim or is for another use");
	if (check_time(not_before, user->expires, want->now, err) < 0)
		return -1;
	const json_t *claim = json_object_get(o, want->claim);
	add_value(user, claim);
	for (size_t i = 0; i < json_array_size(claim); i++)
		add_value(user, json_array_get(claim, i));
	return user->n ? 0 : err_set(err, ERR_ACCESS, "the token does not say who it is for");
}

int token_check_user(const struct jwks *keys, const char *text, const struct token_user_expected *expected,
		     struct token_user *user, struct err *err)
{
	user->n = 0;
	json_t *o = open_token(keys, text);
	int rc = o ? check_user(o, expected, user, err) : err_set(err, ERR_ACCESS, "%s", not_accepted);
	json_decref(o);
	if (rc < 0)
		user->n = 0;
	return rc;
}

// ---- making them --------------------------------------------------------------------------------------------------

struct token_signer {
	EVP_PKEY *key;
	char key_id[JWK_THUMBPRINT + 1];
};

int token_signer_read(const char *path, struct token_signer **signer, struct err *err)
{
	struct token_signer *s = mem_alloc(sizeof *s);
	*signer = NULL;
	if (keys_read_private(path, &s->key, err) == 0 && jwk_thumbprint(s->key, s->key_id, err) == 0) {
		*signer = s;
		return 0;
	}
	if (s->key)
		err_wrap(err, "'%s'", path);
	token_signer_free(s);
	return -1;
}

void token_signer_free(struct token_signer *signer)
{
	if (!signer)
		return;
	EVP_PKEY_free(signer->key);
	free(signer);
}

const char *token_signer_key_id(const struct token_signer *signer)
{
	return signer->key_id;
}

static int make_id(char id[33])
{
	uint8_t bytes[16];
	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return -1;
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static json_t *claims_object(const struct token_claims *c)
{
	bool is_route = c->use == TOKEN_ROUTE;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "iss", c->issuer, "aud",
			      is_route ? c->worker : c->issuer, "sub", is_route ? c->tenant : c->worker, "use",
			      use_names[c->use], "iat", (json_int_t)c->not_before, "nbf", (json_int_t)c->not_before, "exp",
			      (json_int_t)c->expires, "jti", c->id);
	if (o && is_route) {
		json_object_set_new(o, "image", json_string(c->image));
		json_object_set_new(o, "isolation", json_string(isolation_name(c->isolation)));
		json_object_set_new(o, "slots", json_integer(c->slots));
	}
	return o;
}

// Takes over the reference.
static void encode_json(struct buf *out, json_t *o)
{
	AUTO_FREE char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	if (text)
		base64url_encode(out, text, strlen(text));
	json_decref(o);
}

// The opposite of to_der().
static bool add_signature(struct buf *out, const unsigned char *der, size_t n)
{
	unsigned char both[2 * ES256_BYTES];
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)n);
	bool is_whole = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), both, ES256_BYTES) == ES256_BYTES &&
			BN_bn2binpad(ECDSA_SIG_get0_s(pair), both + ES256_BYTES, ES256_BYTES) == ES256_BYTES;
	ECDSA_SIG_free(pair);
	if (is_whole)
		base64url_encode(out, both, sizeof both);
	return is_whole;
}

static bool sign(const struct token_signer *signer, struct buf *text)
{
	unsigned char der[128];
	size_t n = sizeof der;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool is_signed_now = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signer->key) == 1 &&
			     EVP_DigestSign(ctx, der, &n, (const unsigned char *)text->data, text->len) == 1;
	EVP_MD_CTX_free(ctx);
	buf_addc(text, '.');
	return is_signed_now && add_signature(text, der, n);
}

int token_make(const struct token_signer *signer, struct token_claims *claims, char **text, struct err *err)
{
	AUTO_BUF struct buf b = {.max = TOKEN_MAX};
	*text = NULL;
	if (!token_is_name(claims->issuer) || !token_is_name(claims->worker) ||
	    (claims->use == TOKEN_ROUTE && (!token_is_name(claims->tenant) || !token_is_image(claims->image))))
		return err_set(err, ERR_USAGE, "a token needs the names of issuer, worker, tenant and image");
	if (make_id(claims->id) < 0)
		return err_set(err, ERR_IO, "there are no random numbers");
	encode_json(&b, json_pack("{s:s, s:s, s:s}", "alg", "ES256", "typ", "JWT", "kid", signer->key_id));
	buf_addc(&b, '.');
	encode_json(&b, claims_object(claims));
	if (!sign(signer, &b) || b.over)
		return err_set(err, ERR_IO, "cannot sign a token");
	*text = buf_take(&b);
	return 0;
}

// ---- for people ---------------------------------------------------------------------------------------------------

char *token_show(const char *text)
{
	AUTO_PARTS struct parts p = {0};
	if (!take_apart(text, &p))
		return NULL;
	json_t *both = json_pack("{s:O, s:O}", "header", p.header, "claims", p.claims);
	char *shown = both ? json_dumps(both, JSON_INDENT(2)) : NULL;
	json_decref(both);
	return shown;
}

char *token_audience(const char *text)
{
	AUTO_PARTS struct parts p = {0};
	const char *audience = take_apart(text, &p) ? json_string_value(json_object_get(p.claims, "aud")) : NULL;
	return audience ? mem_strdup(audience) : NULL;
}

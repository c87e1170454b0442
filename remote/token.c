#include "remote/token.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/value.h"
#include "remote/keys.h"

#include <fcntl.h>
#include <jansson.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char not_accepted[] = "the token is not one that is accepted here";
static const char *const use_names[] = {[TOKEN_ROUTE] = "route", [TOKEN_REGISTER] = "register"};
static const char *const isolation_names[] = {"none", "process", "sandbox", "microvm"};

bool token_is_name(const char *text)
{
	return value_is_name(text, TOKEN_NAME_MAX, "._-");
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

// Three parts of base64url, none of them empty. libjwt's own decoder passes over what it does not know.
static bool is_compact(const char *text)
{
	size_t part = 0, dots = 0, n = 0;
	for (; text[n]; n++) {
		if (n == TOKEN_MAX)
			return false;
		if (text[n] == '.') {
			if (!part || ++dots > 2)
				return false;
			part = 0;
		} else if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", text[n])) {
			part++;
		} else {
			return false;
		}
	}
	return dots == 2 && part;
}

// The key that the token's header asks for. jwt_decode() without a key checks nothing and takes the algorithm for "none"; nothing of
// what it gives is used but to choose among keys, each of which has its own algorithm.
static const struct jwk *choose_key(const struct jwks *keys, const char *text)
{
	static const char *const algorithms[] = {[JWK_ES256] = "ES256", [JWK_RS256] = "RS256"};
	jwt_t *jwt = NULL;
	if (jwt_decode(&jwt, text, NULL, 0) != 0)
		return NULL;
	const struct jwk *key = NULL;
	const char *algorithm = jwt_get_header(jwt, "alg");
	char *critical = jwt_get_headers_json(jwt, "crit");
	for (size_t i = 0; algorithm && !critical && i < COUNT_OF(algorithms); i++)
		if (strcmp(algorithm, algorithms[i]) == 0)
			key = jwks_find(keys, (enum jwk_algorithm)i, jwt_get_header(jwt, "kid"));
	free(critical);
	jwt_free(jwt);
	return key;
}

// The claims of a token whose signature is right, or NULL.
static json_t *open_token(const struct jwks *keys, const char *text)
{
	const struct jwk *key = is_compact(text) ? choose_key(keys, text) : NULL;
	jwt_t *jwt = NULL;
	if (!key || jwt_decode(&jwt, text, (const unsigned char *)key->pem, (int)key->pem_len) != 0)
		return NULL;
	json_t *claims = NULL;
	// A PEM text would do as the secret of HS256, so that the algorithm is looked at again on what has been checked.
	if (jwt_get_alg(jwt) == (key->algorithm == JWK_ES256 ? JWT_ALG_ES256 : JWT_ALG_RS256)) {
		char *json = jwt_get_grants_json(jwt, NULL);
		claims = json ? json_loads(json, JSON_REJECT_DUPLICATES, NULL) : NULL;
		free(json);
	}
	jwt_free(jwt);
	return claims;
}

// ---- claims -------------------------------------------------------------------------------------------------------

static bool is_text(const json_t *claims, const char *name, const char *wanted)
{
	const char *text = json_string_value(json_object_get(claims, name));
	return text && strcmp(text, wanted) == 0;
}

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
		return err_set(err, ERR_ACCESS, "the token is not valid yet");
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
	char *pem;
	size_t pem_len;
	char key_id[JWK_THUMBPRINT + 1];
};

int token_signer_read(const char *path, struct token_signer **signer, struct err *err)
{
	EVP_PKEY *key = NULL;
	*signer = NULL;
	if (keys_read_private(path, &key, err) < 0)
		return -1;
	struct token_signer *s = mem_alloc(sizeof *s);
	BIO *bio = BIO_new(BIO_s_secmem());
	char *data = NULL;
	int rc = jwk_thumbprint(key, s->key_id, err) < 0 ? err_wrap(err, "'%s'", path) : 0;
	if (rc == 0 && (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)))
		rc = err_set(err, ERR_FORMAT, "cannot use the key '%s'", path);
	if (rc == 0) {
		s->pem_len = (size_t)BIO_get_mem_data(bio, &data);
		s->pem = mem_strndup(data, s->pem_len);
		*signer = TAKE(s);
	}
	BIO_free(bio);
	EVP_PKEY_free(key);
	token_signer_free(s);
	return rc;
}

void token_signer_free(struct token_signer *signer)
{
	if (!signer)
		return;
	if (signer->pem)
		OPENSSL_cleanse(signer->pem, signer->pem_len);
	free(signer->pem);
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

static bool add_claims(jwt_t *jwt, const struct token_claims *c)
{
	bool is_route = c->use == TOKEN_ROUTE;
	if (jwt_add_grant(jwt, "iss", c->issuer) || jwt_add_grant(jwt, "aud", is_route ? c->worker : c->issuer) ||
	    jwt_add_grant(jwt, "sub", is_route ? c->tenant : c->worker) || jwt_add_grant(jwt, "use", use_names[c->use]) ||
	    jwt_add_grant_int(jwt, "iat", c->not_before) || jwt_add_grant_int(jwt, "nbf", c->not_before) ||
	    jwt_add_grant_int(jwt, "exp", c->expires) || jwt_add_grant(jwt, "jti", c->id))
		return false;
	return !is_route ||
	       (!jwt_add_grant(jwt, "image", c->image) && !jwt_add_grant(jwt, "isolation", isolation_name(c->isolation)) &&
		!jwt_add_grant_int(jwt, "slots", c->slots));
}

int token_make(const struct token_signer *signer, struct token_claims *claims, char **text, struct err *err)
{
	jwt_t *jwt = NULL;
	*text = NULL;
	if (!token_is_name(claims->issuer) || !token_is_name(claims->worker) ||
	    (claims->use == TOKEN_ROUTE && (!token_is_name(claims->tenant) || !token_is_image(claims->image))))
		return err_set(err, ERR_USAGE, "a token needs the names of issuer, worker, tenant and image");
	char *encoded = NULL;
	if (make_id(claims->id) == 0 && jwt_new(&jwt) == 0 && jwt_add_header(jwt, "kid", signer->key_id) == 0 &&
	    add_claims(jwt, claims) &&
	    jwt_set_alg(jwt, JWT_ALG_ES256, (const unsigned char *)signer->pem, (int)signer->pem_len) == 0)
		encoded = jwt_encode_str(jwt);
	if (encoded)
		*text = mem_strdup(encoded);
	free(encoded);
	jwt_free(jwt);
	return *text ? 0 : err_set(err, ERR_IO, "cannot sign a token");
}

char *token_show(const char *text)
{
	jwt_t *jwt = NULL;
	if (!is_compact(text) || jwt_decode(&jwt, text, NULL, 0) != 0)
		return NULL;
	char *header = jwt_get_headers_json(jwt, NULL), *claims = jwt_get_grants_json(jwt, NULL);
	json_t *both = json_pack("{s:o, s:o}", "header", header ? json_loads(header, 0, NULL) : NULL, "claims",
				 claims ? json_loads(claims, 0, NULL) : NULL);
	char *shown = both ? json_dumps(both, JSON_INDENT(2)) : NULL;
	json_decref(both);
	free(header);
	free(claims);
	jwt_free(jwt);
	return shown;
}

char *token_audience(const char *text)
{
	jwt_t *jwt = NULL;
	if (!is_compact(text) || jwt_decode(&jwt, text, NULL, 0) != 0)
		return NULL;
	const char *audience = jwt_get_grant(jwt, "aud");
	char *copy = audience ? mem_strdup(audience) : NULL;
	jwt_free(jwt);
	return copy;
}

#include "scheduler/trust.h"

#include "auth/keys.h"
#include "base/buf.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

// The set with the public half of the signing key alone.
static int own_key(const char *path, struct jwks *set, struct err *err)
{
	EVP_PKEY *key = NULL;
	AUTO_BUF struct buf text = BUF_INIT;
	buf_adds(&text, "{\"keys\": [");
	if (keys_read_private(path, &key, err) < 0)
		return -1;
	int rc = jwk_write(key, &text, err);
	EVP_PKEY_free(key);
	buf_adds(&text, "]}");
	return rc < 0 ? -1 : jwks_parse(text.data, text.len, set, err);
}

static bool has_key(const struct jwks *set, const char *id)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->keys[i].id, id) == 0)
			return true;
	return false;
}

static int load(const struct trust_files *files, struct trust *t, struct err *err)
{
	if (tenants_read(files->tenants, &t->tenants, err) < 0 || token_signer_read(files->token_key, &t->signer, err) < 0)
		return -1;
	if ((*files->token_jwks ? jwks_read(files->token_jwks, &t->own, err) : own_key(files->token_key, &t->own, err)) < 0)
		return -1;
	// Else it would sign what nobody can check.
	if (!has_key(&t->own, token_signer_key_id(t->signer)))
		return err_set(err, ERR_USAGE, "'%s' does not have the public half of '%s'", files->token_jwks,
			       files->token_key);
	t->has_users = *files->users_jwks;
	return t->has_users ? jwks_read(files->users_jwks, &t->users, err) : 0;
}

int trust_load(const struct trust_files *files, struct trust **trust, struct err *err)
{
	struct trust *t = mem_alloc(sizeof *t);
	atomic_init(&t->refs, 1);
	*trust = NULL;
	if (load(files, t, err) < 0) {
		trust_unref(t);
		return -1;
	}
	*trust = t;
	return 0;
}

struct trust *trust_ref(struct trust *trust)
{
	atomic_fetch_add(&trust->refs, 1);
	return trust;
}

void trust_unref(struct trust *trust)
{
	if (!trust || atomic_fetch_sub(&trust->refs, 1) != 1)
		return;
	tenants_free(trust->tenants);
	token_signer_free(trust->signer);
	jwks_release(&trust->own);
	jwks_release(&trust->users);
	free(trust);
}

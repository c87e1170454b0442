#include "gateway/callers.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// What the files say; read-only and counted.
struct known {
	atomic_uint refs;
	struct tenants *tenants;
	struct jwks users;
};

struct callers {
	struct callers_config config;
	pthread_mutex_t lock;
	struct known *known;
};

// What a certificate and a token prove. The names are the call's.
struct proof {
	struct known *known; // NULL: everybody is everybody
	struct caller_identity identity;
	struct token_user user;
	const char *claims[TOKEN_USER_VALUES];
};

static const char *after(const char *text, const char *kind)
{
	size_t n = strlen(kind);
	return strncmp(text, kind, n) == 0 ? text + n : NULL;
}

static int check_writers(const char *const *writers, struct err *err)
{
	static const char *const kinds[] = {"CN:", "URI:", "DNS:", "email:", "IP:", "claim:"};
	for (; writers && *writers; writers++) {
		bool is_kind = strcmp(*writers, "*") == 0;
		for (size_t i = 0; i < COUNT_OF(kinds); i++)
			is_kind |= after(*writers, kinds[i]) && *after(*writers, kinds[i]);
		if (!is_kind)
			return err_set(err, ERR_USAGE,
				       "'result_writers' has '%.100s': write CN:, URI:, DNS:, email: or IP: before a "
				       "certificate's name, and claim: before a value of the claim",
				       *writers);
	}
	return 0;
}

// ---- what is known --------------------------------------------------------------------------------------------------------

static void known_unref(struct known *k)
{
	if (!k || atomic_fetch_sub(&k->refs, 1) != 1)
		return;
	tenants_free(k->tenants);
	jwks_release(&k->users);
	free(k);
}

static int known_load(const struct callers_config *config, struct known **out, struct err *err)
{
	struct known *k = mem_alloc(sizeof *k);
	atomic_init(&k->refs, 1);
	if (tenants_read(config->tenants, &k->tenants, err) < 0 ||
	    (*config->users_jwks && jwks_read(config->users_jwks, &k->users, err) < 0)) {
		known_unref(k);
		return -1;
	}
	*out = k;
	return 0;
}

int callers_new(const struct callers_config *config, struct callers **out, struct err *err)
{
	struct known *k = NULL;
	if (check_writers(config->result_writers, err) < 0 || (!config->is_open && known_load(config, &k, err) < 0))
		return -1;
	struct callers *c = mem_alloc(sizeof *c);
	c->config = *config;
	c->known = k;
	pthread_mutex_init(&c->lock, NULL);
	*out = c;
	return 0;
}

int callers_reload(struct callers *c, struct err *err)
{
	struct known *fresh, *old;
	if (c->config.is_open)
		return 0;
	if (known_load(&c->config, &fresh, err) < 0)
		return -1;
	pthread_mutex_lock(&c->lock);
	old = c->known;
	c->known = fresh;
	pthread_mutex_unlock(&c->lock);
	known_unref(old);
	return 0;
}

void callers_free(struct callers *c)
{
	if (!c)
		return;
	known_unref(c->known);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct known *present(struct callers *c)
{
	pthread_mutex_lock(&c->lock);
	struct known *k = c->known;
	atomic_fetch_add(&k->refs, 1);
	pthread_mutex_unlock(&c->lock);
	return k;
}

// ---- who it is ------------------------------------------------------------------------------------------------------------

static int read_token(const struct callers_config *config, const char *token, struct proof *p, struct err *err)
{
	struct token_user_expected expected = {.issuer = config->users_issuer,
					       .audience = config->users_audience,
					       .claim = config->users_claim,
					       .now = time(NULL)};
	if (!*config->users_jwks)
		return err_set(err, ERR_ACCESS, "no tokens of users are taken here");
	if (token_check_user(&p->known->users, token, &expected, &p->user, err) < 0)
		return -1;
	for (size_t i = 0; i < p->user.n; i++)
		p->claims[i] = p->user.values[i];
	p->identity.claims = p->claims;
	p->identity.n_claims = p->user.n;
	return 0;
}

static int read_proof(const struct callers_config *config, struct rpc_call *call, struct proof *p, struct err *err)
{
	const struct rpc_peer *peer = rpc_call_peer(call);
	const char *token = token_of_header(rpc_call_metadata(call, "authorization"));
	if (peer->has_certificate) {
		p->identity.common_name = *peer->subject ? peer->subject : NULL;
		p->identity.names = peer->names;
		p->identity.n_names = peer->n_names;
	}
	if (token)
		return read_token(config, token, p, err);
	return peer->has_certificate ? 0 : err_set(err, ERR_ACCESS, "show a client certificate or a bearer token");
}

int callers_prove(struct callers *c, struct rpc_call *call, struct proof **proof, struct err *err)
{
	struct proof *p = mem_alloc(sizeof *p);
	if (!c->config.is_open) {
		p->known = present(c);
		if (read_proof(&c->config, call, p, err) < 0) {
			callers_drop(p);
			return -1;
		}
	}
	*proof = p;
	return 0;
}

void callers_drop(struct proof *p)
{
	if (!p)
		return;
	known_unref(p->known);
	free(p);
}

static bool has_text(const char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

// ---- who may write results ------------------------------------------------------------------------------------------------

static bool is_writer(const struct caller_identity *who, const char *writer)
{
	const char *claim = after(writer, "claim:"), *common_name = after(writer, "CN:");
	if (claim)
		return has_text(who->claims, who->n_claims, claim);
	if (common_name)
		return who->common_name && strcmp(who->common_name, common_name) == 0;
	return strcmp(writer, "*") == 0 || has_text(who->names, who->n_names, writer);
}

static bool may_write(const struct callers_config *config, const struct caller_identity *who)
{
	for (const char *const *w = config->result_writers; w && *w; w++)
		if (is_writer(who, *w))
			return true;
	return false;
}

static int find_open(const struct callers_config *config, const char *instance, struct client_caller *caller,
		     struct err *err)
{
	const struct caller_identity anybody = {.common_name = NULL};
	if (*instance && !token_is_name(instance))
		return err_set(err, ERR_ACCESS, "the instance is the tenant: 1 to %d of A-Z a-z 0-9 . _ -", TOKEN_NAME_MAX);
	snprintf(caller->tenant, sizeof caller->tenant, "%s", *instance ? instance : "local");
	caller->may_write_results = may_write(config, &anybody);
	caller->isolation = 0;
	return 0;
}

int callers_find(struct callers *c, const struct proof *p, const char *instance, struct client_caller *caller,
		 struct err *err)
{
	if (c->config.is_open)
		return find_open(&c->config, instance, caller, err);
	const struct tenant *t = tenants_choose(p->known->tenants, &p->identity, instance, err);
	if (!t)
		return -1;
	snprintf(caller->tenant, sizeof caller->tenant, "%s", t->name);
	caller->may_write_results = may_write(&c->config, &p->identity);
	caller->isolation = t->isolation;
	return 0;
}

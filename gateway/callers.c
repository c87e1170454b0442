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

// What a certificate and a token prove.
struct proof {
	struct caller_identity identity;
	struct token_user user;
	const char *claims[TOKEN_USER_VALUES];
};

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
	if (!config->is_open && known_load(config, &k, err) < 0)
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

static int prove(const struct callers_config *config, const struct known *k, struct rpc_call *call, struct proof *p,
		 struct err *err)
{
	const struct rpc_peer *peer = rpc_call_peer(call);
	const char *token = token_of_header(rpc_call_metadata(call, "authorization"));
	memset(&p->identity, 0, sizeof p->identity);
	p->user.n = 0;
	if (peer->has_certificate) {
		p->identity.common_name = *peer->subject ? peer->subject : NULL;
		p->identity.names = peer->names;
		p->identity.n_names = peer->n_names;
	}
	if (!token)
		return peer->has_certificate ? 0 : err_set(err, ERR_ACCESS, "show a client certificate or a bearer token");
	if (!*config->users_jwks)
		return err_set(err, ERR_ACCESS, "no tokens of users are taken here");
	struct token_user_expected expected = {.issuer = config->users_issuer,
					       .audience = config->users_audience,
					       .claim = config->users_claim,
					       .now = time(NULL)};
	if (token_check_user(&k->users, token, &expected, &p->user, err) < 0)
		return -1;
	for (size_t i = 0; i < p->user.n; i++)
		p->claims[i] = p->user.values[i];
	p->identity.claims = p->claims;
	p->identity.n_claims = p->user.n;
	return 0;
}

static bool has_text(const char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static bool may_write(const struct callers_config *config, const struct caller_identity *who)
{
	for (const char *const *w = config->result_writers; w && *w; w++) {
		bool is_name = strncmp(*w, "CN:", 3) == 0 && who->common_name && strcmp(*w + 3, who->common_name) == 0;
		if (strcmp(*w, "*") == 0 || is_name || has_text(who->names, who->n_names, *w) ||
		    has_text(who->claims, who->n_claims, *w))
			return true;
	}
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

int callers_find(struct callers *c, struct rpc_call *call, const char *instance, struct client_caller *caller,
		 bool *is_known, struct err *err)
{
	struct proof p;
	*is_known = true;
	if (c->config.is_open)
		return find_open(&c->config, instance, caller, err);
	struct known *k = present(c);
	const struct tenant *t = NULL;
	*is_known = prove(&c->config, k, call, &p, err) == 0;
	if (*is_known)
		t = tenants_choose(k->tenants, &p.identity, instance, err);
	if (t) {
		snprintf(caller->tenant, sizeof caller->tenant, "%s", t->name);
		caller->may_write_results = may_write(&c->config, &p.identity);
		caller->isolation = t->isolation;
	}
	known_unref(k);
	return t ? 0 : -1;
}

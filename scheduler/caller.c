#include "scheduler/caller.h"

#include <string.h>
#include <time.h>

static const char nobody[] = "show a client certificate or a bearer token";

static void take_certificate(struct caller *c, struct rpc_call *call)
{
	const struct rpc_peer *peer = rpc_call_peer(call);
	memset(&c->identity, 0, sizeof c->identity);
	c->user.n = 0;
	c->worker[0] = '\0';
	if (!peer->has_certificate)
		return;
	c->identity.common_name = *peer->subject ? peer->subject : NULL;
	c->identity.names = peer->names;
	c->identity.n_names = peer->n_names;
}

static bool has_certificate(const struct caller *c)
{
	return c->identity.common_name || c->identity.n_names;
}

int caller_of_user(struct caller *c, struct rpc_call *call, const struct trust *trust, const struct service_config *config,
		   struct err *err)
{
	take_certificate(c, call);
	const char *token = token_of_header(rpc_call_metadata(call, "authorization"));
	if (!token)
		return has_certificate(c) ? 0 : err_set(err, ERR_ACCESS, "%s", nobody);
	if (!trust->has_users)
		return err_set(err, ERR_ACCESS, "no tokens of users are taken here");
	struct token_user_expected expected = {.issuer = config->users_issuer,
					       .audience = config->users_audience,
					       .claim = config->users_claim,
					       .now = time(NULL)};
	if (token_check_user(&trust->users, token, &expected, &c->user, err) < 0)
		return -1;
	for (size_t i = 0; i < c->user.n; i++)
		c->claims[i] = c->user.values[i];
	c->identity.claims = c->claims;
	c->identity.n_claims = c->user.n;
	return 0;
}

int caller_of_worker(struct caller *c, struct rpc_call *call, const struct trust *trust, const struct service_config *config,
		     struct err *err)
{
	take_certificate(c, call);
	const char *token = token_of_header(rpc_call_metadata(call, "authorization"));
	if (!token)
		return has_certificate(c) ? 0 : err_set(err, ERR_ACCESS, "%s", nobody);
	struct token_expected expected = {.use = TOKEN_REGISTER, .issuer = config->name, .now = time(NULL)};
	struct token_claims claims;
	if (token_check(&trust->own, token, &expected, &claims, err) < 0)
		return -1;
	memcpy(c->worker, claims.worker, sizeof c->worker);
	return 0;
}

bool caller_is_worker(const struct caller *c, const struct trust *trust, const char *worker)
{
	if (tenants_is_denied(trust->tenants, worker) || tenants_is_tenant(trust->tenants, &c->identity))
		return false;
	if (*c->worker)
		return strcmp(c->worker, worker) == 0;
	return tenants_is_worker(trust->tenants, &c->identity, worker);
}

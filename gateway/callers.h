// Who calls the gateway: which tenant's blobs a client certificate or a token of the identity provider leads to, and whether its
// holder may write results.
//
// The instance name of a request is the tenant's name; an empty one is the only tenant that the caller may be. Thread: any; what is
// known of tenants and keys is exchanged as a whole.
#ifndef COFFER_GATEWAY_CALLERS_H
#define COFFER_GATEWAY_CALLERS_H

#include "auth/tenants.h"
#include "remote/rpc.h"

struct callers_config {
	bool is_open;           // nobody shows anything: the instance is the tenant, an empty one is "local"
	const char *tenants;    // the file (coffer-tenants(5))
	const char *users_jwks; // "": users have no tokens
	const char *users_issuer, *users_audience, *users_claim;
	const char *const *result_writers; // names of certificates, values of claims, "*"; NULL-terminated
};
struct callers;

struct client_caller {
	char tenant[TOKEN_NAME_MAX + 1];
	bool may_write_results;
	int isolation; // the least that the tenant's actions run in
};

int callers_new(const struct callers_config *config, struct callers **out, struct err *err); // texts must live as long
int callers_reload(struct callers *c, struct err *err); // on failure all stays as it was
void callers_free(struct callers *c);
// ERR_ACCESS: it is nobody, with *is_known false, or not this tenant. The text may be told to it.
int callers_find(struct callers *c, struct rpc_call *call, const char *instance, struct client_caller *caller,
		 bool *is_known, struct err *err);

#endif

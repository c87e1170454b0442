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
	// NULL-terminated: a name of a certificate with its kind ("URI:…", "DNS:…", "email:…", "IP:…", "CN:…"), "claim:" and a value
	// of the claim, or "*". One kind never stands for another.
	const char *const *result_writers;
};
struct callers;
struct proof; // of who somebody is: a certificate, a token

struct client_caller {
	char tenant[TOKEN_NAME_MAX + 1];
	bool may_write_results;
	int isolation; // the least that the tenant's actions run in
};

// Texts must live as long. ERR_USAGE: a result writer of no kind.
int callers_new(const struct callers_config *config, struct callers **out, struct err *err);
int callers_reload(struct callers *c, struct err *err); // on failure all stays as it was
void callers_free(struct callers *c);
// By the call's headers alone. ERR_ACCESS: it is nobody. The text may be told to it, as that of callers_find.
int callers_prove(struct callers *c, struct rpc_call *call, struct proof **proof, struct err *err);
void callers_drop(struct proof *proof);
// ERR_ACCESS: whoever that is, it is not this tenant.
int callers_find(struct callers *c, const struct proof *proof, const char *instance, struct client_caller *caller,
		 struct err *err);

#endif

// What the scheduler trusts: tenants, keys. Read from files as a whole, and as a whole exchanged for a newer one.
//
// A struct trust is read-only and counted: whoever asks for the present one has it until it gives it back, also if a reload
// comes in between. Thread: any.
#ifndef COFFER_SCHEDULER_TRUST_H
#define COFFER_SCHEDULER_TRUST_H

#include "auth/tenants.h"
#include "auth/token.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>

struct trust_files {
	const char *tenants, *token_key;
	const char *token_jwks; // "": the public half of token_key
	const char *users_jwks; // "": users have no tokens
};

struct trust {
	atomic_uint refs;
	struct tenants *tenants;
	struct token_signer *signer;
	struct jwks own; // for workers' tokens
	struct jwks users;
	bool has_users;
};

int trust_load(const struct trust_files *files, struct trust **trust, struct err *err);
struct trust *trust_ref(struct trust *trust);
void trust_unref(struct trust *trust);

#endif

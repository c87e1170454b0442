// The operator's file: who may use the farm, how much of it, and who may be a worker (coffer-tenants(5) describes it).
//
//	[tenant acme]
//	slots = 200                              how many jobs at once, over all workers
//	isolation = sandbox                      the least; also process, microvm; none: even emulated VMs
//	image = sha256:…                         what it may use; as often as wanted; "host:*" and "*" are patterns
//	worker = gold-*                          and where; without any: everywhere
//	certificate = URI:coffer://tenant/acme   who it is: a name of a client certificate (DNS: URI: email: IP: CN:),
//	claim = group-acme                       or a value of the identity provider's claim
//
//	[workers]
//	certificate = URI:coffer://worker/{name} whose certificate has this name may register as {name}
//	deny = w3                                but not these, from now on
//
// A struct tenants is read-only. Thread: any.
#ifndef COFFER_AUTH_TENANTS_H
#define COFFER_AUTH_TENANTS_H

#include "auth/token.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENANTS_MAX = 4096, TENANT_MAX_WORDS = 1024, TENANT_MAX_SLOTS = 1000000 };

struct tenant_words {
	const char **all;
	size_t n;
};

struct tenant {
	const char *name;
	uint32_t slots;
	int isolation; // an enum Coffer__V1__Isolation
	struct tenant_words images, workers, certificates, claims;
	const char *where; // "FILE:LINE", for messages
};

struct tenants; // also the templates of workers
int tenants_read(const char *path, struct tenants **tenants, struct err *err);
int tenants_parse(const char *path, const char *text, size_t n, struct tenants **tenants, struct err *err);
void tenants_free(struct tenants *tenants);
size_t tenants_count(const struct tenants *tenants);
const struct tenant *tenants_at(const struct tenants *tenants, size_t i);
const struct tenant *tenants_find(const struct tenants *tenants, const char *name); // NULL: there is none

// What is certain about a caller: the names of a certificate that was verified and the claim's values of a token that was.
struct caller_identity {
	const char *common_name; // or NULL
	const char *const *names;
	size_t n_names;
	const char *const *claims;
	size_t n_claims;
};

// The tenant `wanted` ("": the only one) of the caller. NULL with ERR_ACCESS, whose text does not tell whether the name
// exists.
const struct tenant *tenants_choose(const struct tenants *tenants, const struct caller_identity *caller, const char *wanted,
				    struct err *err);
bool tenant_may_use_image(const struct tenant *tenant, const char *image);
bool tenant_may_use_worker(const struct tenant *tenant, const char *worker);

bool tenants_is_tenant(const struct tenants *tenants, const struct caller_identity *caller); // of any
// By certificate. A caller that is a tenant's never is a worker.
bool tenants_is_worker(const struct tenants *tenants, const struct caller_identity *caller, const char *worker);
bool tenants_is_denied(const struct tenants *tenants, const char *worker);

#endif

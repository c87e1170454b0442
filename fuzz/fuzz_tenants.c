// The operator's file of tenants. What is taken is within its limits, and lets in nobody who shows nothing.
#include "auth/tenants.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tenant(const struct tenant *t)
{
	if (!token_is_name(t->name) || t->slots < 1 || t->slots > TENANT_MAX_SLOTS || t->isolation < 1 || t->isolation > 3 ||
	    t->images.n < 1 || t->certificates.n + t->claims.n < 1)
		abort();
	tenant_may_use_image(t, "host:x");
	tenant_may_use_worker(t, "w1");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tenants *t;
	struct err err = ERR_INIT;
	if (tenants_parse("f", (const char *)data, size, &t, &err) < 0) {
		if (strncmp(err.text, "f:", 2) != 0)
			abort();
		return 0;
	}
	for (size_t i = 0; i < tenants_count(t); i++)
		check_tenant(tenants_at(t, i));
	static const char *const names[] = {"URI:coffer://worker/w1", "DNS:a"};
	struct caller_identity nobody = {0}, somebody = {.common_name = "a", .names = names, .n_names = 2};
	if (tenants_choose(t, &nobody, "", NULL) || tenants_is_worker(t, &nobody, "w1"))
		abort();
	if (tenants_is_worker(t, &somebody, "w1") && tenants_choose(t, &somebody, "", NULL))
		abort();
	tenants_is_denied(t, "w1");
	tenants_free(t);
	return 0;
}

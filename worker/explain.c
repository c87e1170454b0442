// Worker.Account and Worker.Explain: what clients tell of their results, for `coffer explain` on other machines (accounts.h).
#include "worker/service.h"

#include "base/clock.h"

#include <string.h>

static enum rpc_code code_of(enum err_code code)
{
	return code == ERR_NOT_FOUND ? RPC_NOT_FOUND : code == ERR_IO ? RPC_UNAVAILABLE : RPC_INVALID_ARGUMENT;
}

enum { MOST_MORE = 63 };

static int keep(struct worker_service *s, const char *tenant, const Coffer__V1__MoreAccount *a, struct err *err)
{
	struct kept_account x = {
		.maker = a->maker, .time_s = (uint64_t)clock_now_ms() / 1000, .how = a->how.data, .n_how = a->how.len};
	if (a->unit.len != ACCOUNT_NAME || a->variant.len != ACCOUNT_NAME || a->key.len != sizeof x.key.b)
		return err_set(err, ERR_FORMAT, "an account with a name of another length");
	memcpy(x.key.b, a->key.data, sizeof x.key.b);
	memcpy(x.variant, a->variant.data, sizeof x.variant);
	return s->is_paranoid ? 0 : accounts_add(s->accounts, tenant, a->unit.data, &x, err);
}

static void take_accounts(struct worker_service *s, struct rpc_call *call, const char *tenant,
			  const Coffer__V1__AccountRequest *r)
{
	Coffer__V1__AccountReply m = COFFER__V1__ACCOUNT_REPLY__INIT;
	Coffer__V1__MoreAccount first = COFFER__V1__MORE_ACCOUNT__INIT;
	struct err err = ERR_INIT;
	first.unit = r->unit;
	first.key = r->key;
	first.variant = r->variant;
	first.maker = r->maker;
	first.how = r->how;
	int rc = r->n_more > MOST_MORE ? err_set(&err, ERR_LIMIT, "more than %d accounts at once", MOST_MORE + 1)
				       : keep(s, tenant, &first, &err);
	for (size_t i = 0; i < r->n_more && r->n_more <= MOST_MORE; i++)
		keep(s, tenant, r->more[i], NULL);
	if (rc == 0)
		rpc_reply(call, &m.base);
	else
		worker_refuse(s, call, COUNT_invalid, code_of(err.code), "%s", err.text);
}

void account_serve(struct rpc_call *call, void *service)
{
	struct worker_service *s = service;
	struct token_claims claims;
	Coffer__V1__AccountRequest *r = NULL;
	if (worker_may_call(s, call, &claims) && rpc_receive_one(call, &coffer__v1__account_request__descriptor, &r) == 0)
		take_accounts(s, call, claims.tenant, r);
	if (r)
		coffer__v1__account_request__free_unpacked(r, NULL);
}

static void reply_accounts(struct worker_service *s, struct rpc_call *call, const char *tenant, const uint8_t *unit)
{
	AUTO_ARENA struct arena arena = ARENA_INIT;
	Coffer__V1__ExplainReply m = COFFER__V1__EXPLAIN_REPLY__INIT;
	Coffer__V1__Account accounts[ACCOUNTS_MAX], *pointers[ACCOUNTS_MAX];
	struct account_list list;
	accounts_of(s->accounts, tenant, unit, &arena, &list);
	for (unsigned i = 0; i < list.n; i++) {
		const struct kept_account *x = &list.accounts[i];
		coffer__v1__account__init(&accounts[i]);
		accounts[i].maker = (char *)(uintptr_t)x->maker;
		accounts[i].time_s = x->time_s;
		accounts[i].how = (ProtobufCBinaryData){x->n_how, (uint8_t *)(uintptr_t)x->how};
		pointers[i] = &accounts[i];
	}
	m.n_accounts = list.n;
	m.accounts = pointers;
	rpc_reply(call, &m.base);
}

void explain_serve(struct rpc_call *call, void *service)
{
	struct worker_service *s = service;
	struct token_claims claims;
	Coffer__V1__ExplainRequest *r = NULL;
	if (!worker_may_call(s, call, &claims) || rpc_receive_one(call, &coffer__v1__explain_request__descriptor, &r) != 0)
		return;
	if (r->unit.len == ACCOUNT_NAME)
		reply_accounts(s, call, claims.tenant, r->unit.data);
	else
		worker_refuse(s, call, COUNT_invalid, RPC_INVALID_ARGUMENT, "a unit's name of another length");
	coffer__v1__explain_request__free_unpacked(r, NULL);
}

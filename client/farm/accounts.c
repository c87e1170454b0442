// How results were made: told to the worker that has them, and asked of all.
#include "client/farm/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "proto/coffer.pb-c.h"

#include <stdlib.h>
#include <string.h>

enum { TELL_MS = 1000 };

// Under the lock. NULL: it has gone, or takes none.
static const struct route *find_worker(const struct farm *f, const char *worker)
{
	for (size_t i = 0; i < f->n_routes; i++) {
		const struct route *r = f->routes[i];
		if (r->is_current && !r->has_lied && r->takes_accounts && strcmp(r->worker, worker) == 0)
			return r;
	}
	return NULL;
}

static ProtobufCBinaryData bytes_of(const void *p, size_t n)
{
	return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
}

void farm_tell(struct farm *f, const char *worker, const struct farm_account *account)
{
	Coffer__V1__AccountRequest request = COFFER__V1__ACCOUNT_REQUEST__INIT;
	Coffer__V1__AccountReply *reply = NULL;
	struct err err = ERR_INIT;
	struct rpc_channel *channel;
	pthread_mutex_lock(&f->lock);
	const struct route *r = find_worker(f, worker);
	struct rpc_target *target = r ? r->target : NULL;
	char *authorization = r ? farm_authorization(r->token) : NULL;
	pthread_mutex_unlock(&f->lock);
	request.unit = bytes_of(account->unit, 16);
	request.variant = bytes_of(account->variant, 16);
	request.key = bytes_of(account->key, 32);
	request.maker = (char *)(uintptr_t)account->maker;
	request.how = bytes_of(account->how, account->n_how);
	struct rpc_call_options options = {.deadline_ms = TELL_MS, .authorization = authorization};
	if (r && rpc_target_channel(target, TELL_MS, &channel, &err) == 0) {
		rpc_unary(channel, "/coffer.v1.Worker/Account", &options, &request.base,
			  &coffer__v1__account_reply__descriptor, &reply, NULL, &err);
		rpc_channel_release(channel);
	}
	if (err.code != ERR_NONE)
		log_debug("worker '%s' does not keep how a result was made: %s", worker, err.text);
	if (reply)
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	if (authorization)
		explicit_bzero(authorization, strlen(authorization));
	free(authorization);
}

static void pass_on(const struct farm_answer *a, farm_told_fn each, void *ctx)
{
	const Coffer__V1__ExplainReply *reply = (const Coffer__V1__ExplainReply *)a->reply;
	for (size_t i = 0; i < reply->n_accounts; i++) {
		const Coffer__V1__Account *x = reply->accounts[i];
		each(ctx, a->worker, x->maker, (int64_t)x->time_s, x->how.data, x->how.len);
	}
}

int farm_explain(struct farm *f, const uint8_t unit[16], int ms, farm_told_fn each, void *ctx, struct err *err)
{
	Coffer__V1__ExplainRequest request = COFFER__V1__EXPLAIN_REQUEST__INIT;
	const struct farm_inquiry inquiry = {"/coffer.v1.Worker/Explain", &request.base,
					     &coffer__v1__explain_reply__descriptor, ms};
	request.unit = bytes_of(unit, 16);
	pthread_mutex_lock(&f->lock);
	if (f->scheduler && clock_ms() >= f->fresh_until_ms)
		farm_refresh(f);
	if (f->why[0])
		err_set(err, ERR_PEER, "%s", f->why);
	pthread_mutex_unlock(&f->lock);
	struct farm_answers answers = farm_ask_all(f, &inquiry);
	size_t n = 0;
	for (size_t i = 0; i < answers.n; i++) {
		n += answers.list[i].reply != NULL;
		if (answers.list[i].reply)
			pass_on(&answers.list[i], each, ctx);
		else
			err_set(err, ERR_PEER, "worker '%s': %s", answers.list[i].worker, answers.list[i].why_not);
	}
	farm_answers_release(&answers);
	return n ? 0 : -1;
}

// How results were made: told to the worker that has them, and asked of all.
#include "client/farm/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/coffer.pb-c.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	TELL_MS = 1000,
	TELL_MOST = 64,       // in one call
	TELL_BYTES = 1 << 20, // of them, but for the last one
	TOLD_MOST = 1024,     // that wait: what comes then is lost
	MANY_JOBS = 8,        // under way: then the next ones end soon, and are waited for
	GATHER_MS = 50,
};

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

// ---- telling --------------------------------------------------------------------------------------------------------

// One account that waits for who tells them: jobs that end together are told in one call.
struct told {
	struct told *next;
	char *worker, *maker;
	uint8_t unit[16], variant[16], key[32];
	size_t n_how;
	uint8_t how[];
};

static struct told *told_new(const char *worker, const struct farm_account *account)
{
	struct told *t = mem_alloc(sizeof *t + account->n_how);
	t->next = NULL;
	t->worker = mem_strdup(worker);
	t->maker = mem_strdup(account->maker);
	memcpy(t->unit, account->unit, sizeof t->unit);
	memcpy(t->variant, account->variant, sizeof t->variant);
	memcpy(t->key, account->key, sizeof t->key);
	t->n_how = account->n_how;
	if (t->n_how)
		memcpy(t->how, account->how, t->n_how);
	return t;
}

static void told_free(struct told *t)
{
	free(t->worker);
	free(t->maker);
	free(t);
}

static void say(Coffer__V1__MoreAccount *m, const struct told *t)
{
	coffer__v1__more_account__init(m);
	m->unit = bytes_of(t->unit, sizeof t->unit);
	m->variant = bytes_of(t->variant, sizeof t->variant);
	m->key = bytes_of(t->key, sizeof t->key);
	m->maker = t->maker;
	m->how = bytes_of(t->how, t->n_how);
}

// All of them are for one worker.
static void send_told(struct farm *f, struct told *const *list, size_t n)
{
	Coffer__V1__AccountRequest request = COFFER__V1__ACCOUNT_REQUEST__INIT;
	Coffer__V1__MoreAccount more[TELL_MOST], *pointers[TELL_MOST];
	Coffer__V1__AccountReply *reply = NULL;
	struct err err = ERR_INIT;
	struct rpc_channel *channel;
	pthread_mutex_lock(&f->lock);
	const struct route *r = find_worker(f, list[0]->worker);
	struct rpc_target *target = r ? r->target : NULL;
	char *authorization = r ? farm_authorization(r->token) : NULL;
	pthread_mutex_unlock(&f->lock);
	say(&more[0], list[0]);
	for (size_t i = 1; i < n; i++) {
		say(&more[i], list[i]);
		pointers[i] = &more[i];
	}
	request.unit = more[0].unit;
	request.variant = more[0].variant;
	request.key = more[0].key;
	request.maker = more[0].maker;
	request.how = more[0].how;
	request.more = pointers + 1;
	request.n_more = n - 1;
	struct rpc_call_options options = {.deadline_ms = TELL_MS, .authorization = authorization};
	if (r && rpc_target_channel(target, TELL_MS, &channel, &err) == 0) {
		rpc_unary(channel, "/coffer.v1.Worker/Account", &options, &request.base,
			  &coffer__v1__account_reply__descriptor, &reply, NULL, &err);
		rpc_channel_release(channel);
	}
	if (err.code != ERR_NONE)
		log_debug("worker '%s' does not keep how a result was made: %s", list[0]->worker, err.text);
	if (reply)
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	if (authorization)
		explicit_bzero(authorization, strlen(authorization));
	free(authorization);
}

// Under the lock: those at the front that are for one worker, as many as go into one call.
static size_t take_told(struct farm *f, struct told *list[TELL_MOST])
{
	size_t n = 0, bytes = 0;
	while (f->told && n < TELL_MOST &&
	       (n == 0 || (strcmp(f->told->worker, list[0]->worker) == 0 && bytes < TELL_BYTES))) {
		list[n] = f->told;
		bytes += list[n++]->n_how;
		f->told = f->told->next;
		f->n_told--;
	}
	return n;
}

void farm_tell(struct farm *f, const char *worker, const struct farm_account *account)
{
	struct told *list[TELL_MOST], *told = told_new(worker, account);
	pthread_mutex_lock(&f->lock);
	if (f->n_told == TOLD_MOST) {
		pthread_mutex_unlock(&f->lock);
		told_free(told);
		return;
	}
	if (!f->told)
		f->told_end = &f->told;
	*f->told_end = told;
	f->told_end = &told->next;
	f->n_told++;
	bool tells = !f->is_telling;
	f->is_telling = true;
	while (tells && f->told) {
		if (f->in_flight > MANY_JOBS && f->n_told < TELL_MOST) {
			pthread_mutex_unlock(&f->lock);
			nanosleep(&(struct timespec){.tv_nsec = GATHER_MS * 1000000L}, NULL);
			pthread_mutex_lock(&f->lock);
		}
		size_t n = take_told(f, list);
		pthread_mutex_unlock(&f->lock);
		send_told(f, list, n);
		for (size_t i = 0; i < n; i++)
			told_free(list[i]);
		pthread_mutex_lock(&f->lock);
	}
	if (tells)
		f->is_telling = false;
	pthread_mutex_unlock(&f->lock);
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

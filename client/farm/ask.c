// What a worker is asked before it gets a job: is its compiler ours, and may anything be kept?
#include "client/farm/cluster.h"
#include "client/farm/difference.h"
#include "client/farm/parts.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "loop/loop.h"
#include "proto/coffer.pb-c.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DESCRIBE_MS = 5000, POLICY_MS = 2000, LEARN_WAIT_MS = 8000, LEARN_AGAIN_MS = 60000 };

// ---- is its compiler ours? --------------------------------------------------------------------------------------------

static void note_abilities(struct farm *f, struct route *r, const Coffer__V1__DescribeReply *reply)
{
	pthread_mutex_lock(&f->lock);
	r->takes_trees = reply->takes_trees;
	r->takes_accounts = reply->takes_accounts;
	pthread_mutex_unlock(&f->lock);
}

static void note_policy(struct farm *f, struct route *r, bool keep_nothing)
{
	pthread_mutex_lock(&f->lock);
	r->has_told_policy = true;
	r->keep_nothing = keep_nothing;
	pthread_mutex_unlock(&f->lock);
}

static void note_difference(struct farm *f, struct route *r, const struct farm_compiler *c, const char *differs)
{
	pthread_mutex_lock(&f->lock);
	snprintf(r->differs, sizeof r->differs, "the '%.150s' of its %.50s is another one", differs, c->name);
	r->differs_since_s = time(NULL);
	pthread_mutex_unlock(&f->lock);
}

// A worker that has no such compiler does not describe it, but its policy is about what is compiled here, too.
static void ask_policy(struct farm *f, const struct farm_seat *seat)
{
	Coffer__V1__StatusRequest request = COFFER__V1__STATUS_REQUEST__INIT;
	Coffer__V1__StatusReply *reply = NULL;
	struct rpc_call_options options = {.deadline_ms = POLICY_MS, .authorization = seat->authorization};
	if (rpc_unary(seat->channel, "/coffer.v1.Worker/Status", &options, &request.base,
		      &coffer__v1__status_reply__descriptor, &reply, NULL, NULL) < 0)
		return;
	note_policy(f, seat->route, reply->keep_nothing);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
}

static int compare_cluster(struct farm *f, struct farm_seat *seat, const struct farm_compiler *c, struct err *err)
{
	const char *differs = NULL;
	int same = cluster_compare(seat->cluster, c, seat->identity, &differs, err);
	pthread_mutex_lock(&f->lock);
	snprintf(seat->route->load.why_not, sizeof seat->route->load.why_not, "%.150s", same < 0 ? err->text : "");
	pthread_mutex_unlock(&f->lock);
	if (same < 0)
		log_warn("cluster '%s' does not tell of its '%s': %s", seat->worker, c->path, err->text);
	if (same == 0) {
		note_difference(f, seat->route, c, differs);
		log_warn("cluster '%s' is not used for '%s': its %s is another one than here", seat->worker, c->path,
			 differs);
	}
	return same;
}

int farm_compare(struct farm *f, struct farm_seat *seat, const struct farm_compiler *c, struct err *err)
{
	Coffer__V1__DescribeRequest request = COFFER__V1__DESCRIBE_REQUEST__INIT;
	Coffer__V1__DescribeReply *reply = NULL;
	enum rpc_code code = RPC_OK;
	if (seat->cluster)
		return compare_cluster(f, seat, c, err);
	request.image = f->image;
	request.compiler = (char *)(uintptr_t)c->name;
	request.language = (char *)(uintptr_t)c->language;
	struct rpc_call_options options = {.deadline_ms = DESCRIBE_MS, .authorization = seat->authorization};
	if (rpc_unary(seat->channel, "/coffer.v1.Worker/Describe", &options, &request.base,
		      &coffer__v1__describe_reply__descriptor, &reply, &code, err) < 0) {
		if (code != RPC_NOT_FOUND && code != RPC_INVALID_ARGUMENT && code != RPC_FAILED_PRECONDITION)
			return -1;
		log_warn("worker '%s' has no '%s' for us: %s", seat->worker, c->name, err->text);
		ask_policy(f, seat);
		return 0;
	}
	const char *differs = farm_difference(f->isolation, c, reply);
	if (differs)
		note_difference(f, seat->route, c, differs);
	if (differs)
		log_warn("worker '%s' is not used for '%s': its %s is another one (here: %s, %s; there: %s, %s)",
			 seat->worker, c->name, differs, c->version, c->target, reply->version, reply->target);
	else
		snprintf(seat->identity, sizeof seat->identity, "%s", reply->identity);
	note_policy(f, seat->route, reply->keep_nothing);
	note_abilities(f, seat->route, reply);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	return !differs;
}

// ---- the operator's policy --------------------------------------------------------------------------------------------

// Under the lock. Routes that are gone count: what was said is so until the same worker says something else.
static bool has_policy(const struct farm *f, bool *keep_nothing)
{
	bool has = false;
	*keep_nothing = false;
	for (size_t i = 0; i < f->n_routes; i++) {
		has |= f->routes[i]->has_told_policy;
		*keep_nothing |= f->routes[i]->keep_nothing;
	}
	return has;
}

bool farm_keeps_nothing(struct farm *f)
{
	bool keep_nothing;
	pthread_mutex_lock(&f->lock);
	has_policy(f, &keep_nothing);
	pthread_mutex_unlock(&f->lock);
	return keep_nothing;
}

void farm_learn_policy(struct farm *f, const struct farm_compiler *compiler)
{
	struct farm_seat seat;
	struct err err = ERR_INIT;
	int64_t limit = clock_ms() + LEARN_WAIT_MS;
	bool keep_nothing;
	pthread_mutex_lock(&f->lock);
	// For the first answer. When there was none, one asks again from time to time, and holds nobody up.
	while (f->is_learning && !f->learn_at_ms && cond_wait_until(&f->asked, &f->lock, limit))
		;
	bool must_ask = !f->is_learning && !has_policy(f, &keep_nothing) && clock_ms() >= f->learn_at_ms;
	f->is_learning |= must_ask;
	pthread_mutex_unlock(&f->lock);
	if (!must_ask)
		return;
	if (farm_take(f, compiler, &seat, &err) == 1)
		farm_give(f, &seat, FARM_UNUSED);
	pthread_mutex_lock(&f->lock);
	f->is_learning = false;
	f->learn_at_ms = clock_ms() + LEARN_AGAIN_MS;
	pthread_cond_broadcast(&f->asked);
	pthread_mutex_unlock(&f->lock);
}

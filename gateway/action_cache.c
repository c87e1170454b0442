// ActionCache: what came of an action when it was run.
#include "gateway/results.h"
#include "gateway/service.h"

static void get(struct visit *v, const void *request)
{
	const Reapi__GetActionResultRequest *r = request;
	struct gateway *g = v->gateway;
	struct reapi_digest action;
	struct err err = ERR_INIT;
	struct held held;
	if (reapi_digest_read(r->action_digest, &action, &err) < 0 || reapi_check_function(r->digest_function, &err) < 0) {
		visit_fail(v, &err);
		return;
	}
	enum results_answer found = results_find(v->blobs, &action, &held, &err);
	if (found == RESULTS_FAILED) {
		visit_fail(v, &err);
		return;
	}
	gateway_count(g, COUNT_result_incomplete, found == RESULTS_INCOMPLETE);
	gateway_count(g, found == RESULTS_FOUND ? COUNT_result_hits : COUNT_result_misses, 1);
	if (found != RESULTS_FOUND) {
		rpc_finish(v->call, RPC_NOT_FOUND, "no result of this action is known");
		return;
	}
	const struct results_wish wish = {r->inline_stdout, r->inline_stderr, r->inline_output_files,
					  r->n_inline_output_files};
	results_add_inline(&held.room, (Reapi__ActionResult *)held.message, &wish, GATEWAY_BATCH_BYTES);
	rpc_reply(v->call, held.message);
	held_release(&held);
}

void action_cache_get(struct rpc_call *call, void *gateway)
{
	gateway_serve_named(gateway, call, &reapi__get_action_result_request__descriptor, get);
}

static void update(struct visit *v, const void *request)
{
	const Reapi__UpdateActionResultRequest *r = request;
	struct reapi_digest action;
	struct err err = ERR_INIT;
	if (!v->caller.may_write_results) {
		gateway_refuse(v->gateway, v->call, RPC_PERMISSION_DENIED,
			       "results are written by workers here, and by those whom 'result_writers' names");
		return;
	}
	if (!r->action_result)
		err_set(&err, ERR_FORMAT, "there is no result in the message");
	if (err.code || reapi_digest_read(r->action_digest, &action, &err) < 0 ||
	    reapi_check_function(r->digest_function, &err) < 0 || results_check(r->action_result, &err) < 0 ||
	    results_store(v->blobs, &action, r->action_result, &err) < 0) {
		visit_fail(v, &err);
		return;
	}
	gateway_count(v->gateway, COUNT_results_written, 1);
	rpc_reply(v->call, &r->action_result->base);
}

void action_cache_update(struct rpc_call *call, void *gateway)
{
	gateway_serve_named(gateway, call, &reapi__update_action_result_request__descriptor, update);
}

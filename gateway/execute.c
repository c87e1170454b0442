// Execution: an operation is told of until it has ended, whichever connection its client comes by.
#include "gateway/execution.h"
#include "gateway/results.h"

#include "base/mem.h"
#include "reapi/message.h"

#include <string.h>

enum { TELL_AGAIN_MS = 30000 }; // so that a connection that carries nothing else does not look dead
#define TYPE_URL "type.googleapis.com/build.bazel.remote.execution.v2."

static int send_operation(struct visit *v, const struct operation *op, enum operation_stage stage,
			  const struct buf *response)
{
	AUTO_BUF struct buf about = BUF_INIT;
	struct reapi_digest_message action;
	struct err err = ERR_INIT;
	Reapi__ExecuteOperationMetadata metadata = REAPI__EXECUTE_OPERATION_METADATA__INIT;
	Reapi__Any any = REAPI__ANY__INIT, answer = REAPI__ANY__INIT;
	Reapi__Operation m = REAPI__OPERATION__INIT;
	reapi_digest_write(&op->action, &action);
	metadata.stage = (int32_t)stage;
	metadata.action_digest = &action.m;
	metadata.digest_function = REAPI_SHA256;
	reapi_pack(&metadata.base, &about);
	any.type_url = (char *)(uintptr_t)TYPE_URL "ExecuteOperationMetadata";
	any.value = (ProtobufCBinaryData){about.len, (uint8_t *)about.data};
	m.name = (char *)(uintptr_t)op->name;
	m.metadata = &any;
	if (response) {
		m.done = true;
		answer.type_url = (char *)(uintptr_t)TYPE_URL "ExecuteResponse";
		answer.value = (ProtobufCBinaryData){response->len, (uint8_t *)response->data};
		m.response = &answer;
	}
	return rpc_send(v->call, &m.base, &err);
}

// ---- what a client wants to have at once ----------------------------------------------------------------------------------------

static void add_inline(struct visit *v, const struct buf *plain, const struct results_wish *wish, struct buf *out)
{
	struct held held;
	struct err err = ERR_INIT;
	if (held_unpack(&held, v->blobs, &reapi__execute_response__descriptor, plain->data ? plain->data : "", plain->len,
			&err) < 0) {
		buf_add(out, plain->data, plain->len); // there is no memory for more
		return;
	}
	Reapi__ExecuteResponse *m = (Reapi__ExecuteResponse *)held.message;
	if (m->result)
		results_add_inline(&held.room, m->result, wish, GATEWAY_BATCH_BYTES);
	reapi_pack(&m->base, out);
	held_release(&held);
}

// Until it has ended or nobody listens any more.
static void tell(struct visit *v, struct operation *op, const struct results_wish *wish)
{
	struct operations *all = v->gateway->executor->operations;
	AUTO_BUF struct buf response = BUF_INIT;
	enum operation_stage stage = 0;
	int rc = 0;
	while (rc == 0 && stage != OPERATION_COMPLETED && !rpc_call_is_cancelled(v->call)) {
		stage = operation_wait(all, op, stage, v->call, TELL_AGAIN_MS);
		if (stage == OPERATION_COMPLETED)
			add_inline(v, &op->response, wish, &response);
		rc = send_operation(v, op, stage, stage == OPERATION_COMPLETED ? &response : NULL);
	}
	rpc_finish(v->call, RPC_OK, "%s", "");
}

// ---- Execute ------------------------------------------------------------------------------------------------------------------

static bool tell_known(struct visit *v, const struct reapi_digest *action, const struct results_wish *wish)
{
	AUTO_BUF struct buf response = BUF_INIT;
	struct operation known = {.action = *action, .name = "operations/known"};
	struct held held;
	struct err err = ERR_INIT;
	if (results_find(v->blobs, action, &held, &err) != RESULTS_FOUND)
		return false;
	Reapi__ActionResult *result = (Reapi__ActionResult *)held.message;
	gateway_count(v->gateway, COUNT_executions_cached, 1);
	results_add_inline(&held.room, result, wish, GATEWAY_BATCH_BYTES);
	execution_pack(result, true, RPC_OK, "", &response);
	held_release(&held);
	send_operation(v, &known, OPERATION_COMPLETED, &response);
	rpc_finish(v->call, RPC_OK, "%s", "");
	return true;
}

static bool may_share(struct visit *v, const struct reapi_digest *d)
{
	struct held action;
	struct err err = ERR_INIT;
	if (held_load(&action, v->blobs, &reapi__action__descriptor, d, GATEWAY_BATCH_BYTES, &err) != 1)
		return false;
	bool may = !((const Reapi__Action *)action.message)->do_not_cache;
	held_release(&action);
	return may;
}

static void execute(struct visit *v, const void *request)
{
	const Reapi__ExecuteRequest *r = request;
	struct gateway *g = v->gateway;
	struct reapi_digest action;
	struct err err = ERR_INIT;
	bool is_new;
	const struct results_wish wish = {r->inline_stdout, r->inline_stderr, r->inline_output_files,
					  r->n_inline_output_files};
	if (reapi_digest_read(r->action_digest, &action, &err) < 0 || reapi_check_function(r->digest_function, &err) < 0) {
		visit_fail(v, &err);
		return;
	}
	gateway_count(g, COUNT_executions, 1);
	bool is_shared = may_share(v, &action);
	if (!r->skip_cache_lookup && is_shared && tell_known(v, &action, &wish))
		return;
	struct operation_plan plan = {v->blobs, r->instance_name, &action, v->caller.isolation,
				      is_shared && !r->skip_cache_lookup};
	struct operation *op = operations_start(g->executor->operations, &plan, &is_new, &err);
	if (!op) {
		visit_fail(v, &err);
		return;
	}
	gateway_count(g, COUNT_executions_joined, !is_new);
	tell(v, op, &wish);
	operation_release(g->executor->operations, op);
}

void execute_serve(struct rpc_call *call, void *gateway)
{
	gateway_serve_named(gateway, call, &reapi__execute_request__descriptor, execute);
}

// ---- WaitExecution --------------------------------------------------------------------------------------------------------------

// The instance stands before "operations/".
static bool instance_of(const char *name, char *instance, size_t room, struct err *err)
{
	const char *at = strncmp(name, "operations/", 11) == 0 ? name : strstr(name, "/operations/");
	size_t n = at ? (size_t)(at - name) : 0;
	if (!at || n >= room) {
		err_set(err, ERR_FORMAT, "the name is no operation's");
		return false;
	}
	memcpy(instance, name, n);
	instance[n] = '\0';
	return true;
}

static void wait_for(struct visit *v, const void *request)
{
	const Reapi__WaitExecutionRequest *r = request;
	const struct results_wish wish = {.out = false};
	struct operations *all = v->gateway->executor->operations;
	struct operation *op = operations_find(all, v->blobs, r->name);
	if (!op) {
		rpc_finish(v->call, RPC_NOT_FOUND, "no such operation: it has ended some time ago");
		return;
	}
	tell(v, op, &wish);
	operation_release(all, op);
}

void execute_wait(struct rpc_call *call, void *gateway)
{
	static const struct request_kind kind = {&reapi__wait_execution_request__descriptor, "name", instance_of};
	gateway_serve_one(gateway, call, &kind, wait_for);
}

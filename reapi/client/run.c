#include "reapi/client/run.h"

#include "base/clock.h"
#include "base/mem.h"
#include "reapi/message.h"

#include <stdlib.h>
#include <string.h>

#define V2 "/build.bazel.remote.execution.v2."
enum {
	ACTION_S = 600,    // of an action; a cluster may refuse more
	ASK_MS = 500,      // between two looks at go_on
	LOOK_MS = 2000,    // for a result that is kept there
	CALL_MS = 10000,   // uploads, and downloads; and MS_PER_MIB more
	MS_PER_MIB = 1000, //
	MOST_BREAKS = 5,   // of the stream
	MOST_UPLOADS = 2,  // of the same blobs: the cluster may have lost them meanwhile
	MOST_MESSAGES = 100000,
	ANSWER_MOST = 4 << 20,
};

// The messages that name what is to run, as bytes.
struct named {
	struct buf root, command, action;
	struct reapi_digest digest; // of the action
};

static void named_release(struct named *m)
{
	buf_release(&m->root);
	buf_release(&m->command);
	buf_release(&m->action);
}

static char *words(const char *text)
{
	return (char *)(uintptr_t)text;
}

// ---- the messages; canonical: fields in order, names sorted -------------------------------------------------------------

static void make_root(const struct reapi_run *r, struct buf *out)
{
	Reapi__Directory m = REAPI__DIRECTORY__INIT;
	Reapi__FileNode files[RUN_FILES], *pointers[RUN_FILES];
	struct reapi_digest_message digests[RUN_FILES];
	for (size_t i = 0; i < r->n_files; i++) {
		reapi__file_node__init(&files[i]);
		reapi_digest_write(&r->files[i].blob.digest, &digests[i]);
		files[i].name = words(r->files[i].name);
		files[i].digest = &digests[i].m;
		pointers[i] = &files[i];
	}
	m.files = pointers;
	m.n_files = r->n_files;
	reapi_pack(&m.base, out);
}

static void make_command(const struct reapi_run *r, Reapi__Platform *platform, struct buf *out)
{
	static const char *const variables[][2] = {{"LC_ALL", "C"}, {"PATH", "/usr/local/bin:/usr/bin:/bin"}};
	Reapi__Command m = REAPI__COMMAND__INIT;
	Reapi__EnvironmentVariable env[COUNT_OF(variables)], *env_pointers[COUNT_OF(variables)];
	char *outputs[RUN_OUTPUTS];
	for (size_t i = 0; i < COUNT_OF(variables); i++) {
		reapi__environment_variable__init(&env[i]);
		env[i].name = words(variables[i][0]);
		env[i].value = words(variables[i][1]);
		env_pointers[i] = &env[i];
	}
	for (size_t i = 0; i < r->n_outputs; i++)
		outputs[i] = words(r->outputs[i].path);
	m.arguments = (char **)(uintptr_t)r->arguments;
	m.n_arguments = r->n_arguments;
	m.environment_variables = env_pointers;
	m.n_environment_variables = COUNT_OF(variables);
	m.output_paths = m.output_files = outputs; // servers of 2.0 read the older one
	m.n_output_paths = m.n_output_files = r->n_outputs;
	m.platform = platform;
	reapi_pack(&m.base, out);
}

static void make_named(const struct reapi_run *r, struct named *named)
{
	Reapi__Platform platform = REAPI__PLATFORM__INIT;
	Reapi__Property properties[RUN_PROPERTIES], *pointers[RUN_PROPERTIES];
	Reapi__Action m = REAPI__ACTION__INIT;
	Reapi__Duration timeout = REAPI__DURATION__INIT;
	struct reapi_digest_message command, root;
	for (size_t i = 0; i < r->n_properties; i++) {
		reapi__property__init(&properties[i]);
		properties[i].name = words(r->properties[i].name);
		properties[i].value = words(r->properties[i].value);
		pointers[i] = &properties[i];
	}
	platform.properties = pointers;
	platform.n_properties = r->n_properties;
	make_root(r, &named->root);
	make_command(r, &platform, &named->command);
	struct reapi_digest of_command = reapi_digest_of(named->command.data, named->command.len),
			    of_root = reapi_digest_of(named->root.data ? named->root.data : "", named->root.len);
	reapi_digest_write(&of_command, &command);
	reapi_digest_write(&of_root, &root);
	// Always the same, so that one action has one name whatever is left of somebody's time.
	timeout.seconds = ACTION_S;
	m.command_digest = &command.m;
	m.input_root_digest = &root.m;
	m.timeout = &timeout;
	m.do_not_cache = r->is_fresh;
	m.platform = &platform;
	reapi_pack(&m.base, &named->action);
	named->digest = reapi_digest_of(named->action.data, named->action.len);
}

// ---- to the cluster ---------------------------------------------------------------------------------------------------------

static int64_t within(const struct reapi_run *r, int64_t ms)
{
	int64_t until = clock_ms() + ms;
	return until < r->until_ms ? until : r->until_ms;
}

static int64_t call_until(const struct reapi_run *r, uint64_t bytes)
{
	return within(r, CALL_MS + (int64_t)(bytes >> 20) * MS_PER_MIB);
}

static int upload(struct endpoint *e, struct reapi_run *r, const struct named *named, struct err *err)
{
	const struct buf *const messages[] = {&named->root, &named->command, &named->action};
	struct reapi_blob blobs[RUN_FILES + COUNT_OF(messages)];
	uint64_t bytes = 0;
	size_t n = 0;
	for (size_t i = 0; i < r->n_files; i++)
		blobs[n++] = r->files[i].blob;
	for (size_t i = 0; i < COUNT_OF(messages); i++) {
		const char *p = messages[i]->data ? messages[i]->data : "";
		blobs[n++] = (struct reapi_blob){.digest = reapi_digest_of(p, messages[i]->len), .p = p, .is_packed = true};
	}
	for (size_t i = 0; i < n; i++)
		bytes += (uint64_t)blobs[i].digest.size;
	return blobs_upload_missing(e, blobs, n, call_until(r, bytes), &r->sent, err);
}

// ---- from the cluster -------------------------------------------------------------------------------------------------------

// What is to be fetched of the outcome: outputs, and words that did not come with it. 1, 0: something is not there.
static int download(struct endpoint *e, struct reapi_run *r, struct err *err)
{
	struct reapi_wanted wanted[RUN_OUTPUTS + 2];
	struct buf *to[RUN_OUTPUTS + 2];
	struct reapi_words *const said[] = {&r->outcome.out, &r->outcome.errs};
	uint64_t bytes = 0;
	size_t n = 0;
	for (size_t i = 0; i < r->n_outputs && r->outcome.exit_code == 0; i++) {
		const struct reapi_output *o = &r->outputs[i];
		if (!o->is_there)
			continue;
		bytes += (uint64_t)o->digest.size;
		if ((uint64_t)o->digest.size > r->max_output || bytes > r->max_output)
			return err_set(err, ERR_LIMIT, "its outputs are larger than max_output");
		wanted[n] = (struct reapi_wanted){.digest = o->digest, .out = {.max = (size_t)o->digest.size + 1}};
		to[n++] = &r->made[i];
	}
	for (size_t i = 0; i < COUNT_OF(said); i++) {
		if ((uint64_t)said[i]->digest.size == said[i]->bytes.len)
			continue;
		wanted[n] = (struct reapi_wanted){.digest = said[i]->digest, .out = {.max = REAPI_WORDS_MOST + 1}};
		to[n++] = &said[i]->bytes;
	}
	int rc = blobs_download(e, wanted, n, call_until(r, bytes), err) < 0 ? -1 : 1;
	for (size_t i = 0; i < n; i++) {
		if (rc == 1 && !wanted[i].is_there && !reapi_digest_is_empty(&wanted[i].digest))
			rc = 0;
		buf_release(to[i]);
		*to[i] = wanted[i].out;
	}
	return rc;
}

// A result that is kept there, with all that it names. 1, 0, -1.
static int find_result(struct endpoint *e, struct reapi_run *r, const struct named *named, struct err *err)
{
	Reapi__GetActionResultRequest m = REAPI__GET_ACTION_RESULT_REQUEST__INIT;
	struct reapi_digest_message digest;
	AUTO_BUF struct buf answer = {.max = ANSWER_MOST};
	reapi_digest_write(&named->digest, &digest);
	m.instance_name = words(endpoint_instance(e));
	m.action_digest = &digest.m;
	m.inline_stdout = m.inline_stderr = true;
	int rc = endpoint_ask(e, V2 "ActionCache/GetActionResult", &m.base, within(r, LOOK_MS), &answer, err);
	if (rc == 1)
		rc = answer_result(answer.data ? answer.data : "", answer.len, r->outputs, r->n_outputs, &r->outcome, err) <
				     0
			     ? -1
			     : download(e, r, err);
	return rc;
}

// ---- the stream -------------------------------------------------------------------------------------------------------------

struct following {
	struct endpoint *endpoint;
	struct reapi_run *run;
	const struct named *named;
	unsigned breaks;
	bool is_given_up;
};

static int start(struct following *f, bool skips_cache, struct rpc_call **call, struct err *err)
{
	struct reapi_run *r = f->run;
	Reapi__ExecuteRequest execute = REAPI__EXECUTE_REQUEST__INIT;
	Reapi__WaitExecutionRequest wait = REAPI__WAIT_EXECUTION_REQUEST__INIT;
	struct reapi_digest_message digest;
	reapi_digest_write(&f->named->digest, &digest);
	execute.instance_name = words(endpoint_instance(f->endpoint));
	execute.skip_cache_lookup = skips_cache;
	execute.action_digest = &digest.m;
	execute.inline_stdout = execute.inline_stderr = true;
	wait.name = r->outcome.name;
	bool is_known = *r->outcome.name;
	if (endpoint_start(f->endpoint, is_known ? V2 "Execution/WaitExecution" : V2 "Execution/Execute", r->until_ms, call,
			   err) < 0)
		return -1;
	if (rpc_send(*call, is_known ? &wait.base : &execute.base, err) < 0)
		return 0; // the status says why
	rpc_send_end(*call);
	return 0;
}

// 1: the action has ended; 0: the stream has, or go_on said no; -1: the call has failed, or a message is none.
static int follow(struct following *f, struct rpc_call *call, struct err *err)
{
	struct reapi_run *r = f->run;
	int64_t ask_at = clock_ms() + ASK_MS;
	for (unsigned n = 0; n < MOST_MESSAGES; n++) {
		AUTO_FREE char *bytes = NULL;
		size_t n_bytes;
		struct err why = ERR_INIT;
		int64_t left = ask_at - clock_ms();
		int got = rpc_receive_bytes(call, left > 0 ? (int)left : 0, &bytes, &n_bytes, &why);
		bool is_quiet = got < 0 && why.code == ERR_TIMEOUT && !rpc_call_is_cancelled(call);
		if (got == 0 || (got < 0 && !is_quiet))
			return got == 0 ? 0 : err_take(err, &why);
		if (got == 1 && answer_operation(bytes, n_bytes, r->outputs, r->n_outputs, &r->outcome, err) < 0)
			return -1;
		if (r->outcome.is_done)
			return 1;
		if (clock_ms() < ask_at)
			continue;
		ask_at = clock_ms() + ASK_MS;
		// A server that does not say where it is may be at it.
		bool is_started = *r->outcome.name && r->outcome.stage != 1 && r->outcome.stage != 2;
		f->is_given_up = r->go_on && !r->go_on(r->ctx, is_started);
		if (f->is_given_up)
			return 0;
	}
	return err_set(err, ERR_FORMAT, "it sends without end");
}

static enum run_end end_of_code(enum rpc_code code)
{
	switch (code) {
	case RPC_RESOURCE_EXHAUSTED:
		return RUN_BUSY;
	case RPC_INVALID_ARGUMENT:
	case RPC_FAILED_PRECONDITION:
	case RPC_OUT_OF_RANGE:
	case RPC_UNIMPLEMENTED:
		return RUN_REFUSED;
	default:
		return RUN_FAILED;
	}
}

static enum run_end end_of_error(const struct err *err)
{
	return err->code == ERR_FORMAT ? RUN_LIED : err->code == ERR_LIMIT ? RUN_LIMIT : RUN_FAILED;
}

// One stream. RUN_DONE with outcome.is_done false: it has broken, and is to be taken up again.
static enum run_end follow_once(struct following *f, bool skips_cache, struct err *err)
{
	struct rpc_call *call;
	if (start(f, skips_cache, &call, err) < 0)
		return RUN_FAILED;
	int rc = follow(f, call, err);
	enum run_end end = RUN_DONE;
	if (f->is_given_up)
		end = RUN_GIVEN_UP;
	else if (rc < 0 && (err->code == ERR_FORMAT || err->code == ERR_LIMIT) && !rpc_call_is_cancelled(call))
		end = end_of_error(err); // what has come, and not how it ended
	else if (rc <= 0) {
		enum rpc_code code = rc == 0 ? RPC_UNAVAILABLE : rpc_wait_status(call)->code;
		bool is_lost = code == RPC_UNAVAILABLE || code == RPC_INTERNAL || code == RPC_UNKNOWN ||
			       code == RPC_CANCELLED || code == RPC_NOT_FOUND;
		if (code == RPC_NOT_FOUND) // the operation, after a restart there
			f->run->outcome.name[0] = '\0';
		end = is_lost && ++f->breaks < MOST_BREAKS ? RUN_DONE : end_of_code(code);
	}
	rpc_cancel(call);
	rpc_call_release(call);
	return end;
}

static enum run_end execute(struct following *f, bool skips_cache, struct err *err)
{
	struct reapi_run *r = f->run;
	enum run_end end = RUN_DONE;
	while (end == RUN_DONE && !r->outcome.is_done) {
		if (clock_ms() >= r->until_ms) {
			err_set(err, ERR_TIMEOUT, "the cluster has not run it in time");
			return RUN_FAILED;
		}
		end = follow_once(f, skips_cache, err);
	}
	return end;
}

// ---- the whole --------------------------------------------------------------------------------------------------------------

static void begin_again(struct reapi_run *r)
{
	outcome_release(&r->outcome);
	r->outcome = (struct reapi_outcome){.is_done = false};
	for (size_t i = 0; i < RUN_OUTPUTS; i++)
		buf_release(&r->made[i]);
}

// DEADLINE_EXCEEDED: the action's own time. FAILED_PRECONDITION: blobs that it needs are gone.
static enum run_end judge_status(const struct reapi_run *r, struct err *err)
{
	enum rpc_code code = (enum rpc_code)r->outcome.status;
	err_set(err, ERR_PEER, "%s: %s", rpc_code_name(code), r->outcome.why);
	return code == RPC_DEADLINE_EXCEEDED ? RUN_LIMIT : end_of_code(code);
}

static enum run_end run_anew(struct endpoint *e, struct reapi_run *r, const struct named *named, bool skips_cache,
			     struct err *err)
{
	struct following f = {.endpoint = e, .run = r, .named = named};
	for (int uploads = 1;; uploads++) {
		int64_t began_ms = clock_ms();
		begin_again(r);
		if (upload(e, r, named, err) < 0)
			return err->code == ERR_LIMIT ? RUN_LIMIT : RUN_FAILED;
		// Not at once: a core here that is idle this very moment would take back what has just been brought.
		if (r->go_on && clock_ms() - began_ms > ASK_MS && !r->go_on(r->ctx, false))
			return RUN_GIVEN_UP;
		enum run_end end = execute(&f, skips_cache, err);
		if (end != RUN_DONE)
			return end;
		if (!r->outcome.status)
			break;
		if (r->outcome.status != RPC_FAILED_PRECONDITION || uploads == MOST_UPLOADS)
			return judge_status(r, err);
	}
	int rc = download(e, r, err);
	return rc == 1 ? RUN_DONE : rc == 0 ? RUN_FAILED : end_of_error(err);
}

enum run_end run_action(struct endpoint *e, struct reapi_run *r, struct err *err)
{
	__attribute__((cleanup(named_release))) struct named named = {.root = BUF_INIT};
	int found = 0;
	begin_again(r);
	r->sent = 0;
	make_named(r, &named);
	if (!r->is_fresh)
		found = find_result(e, r, &named, err);
	if (found == 1)
		return RUN_DONE;
	if (found < 0 && (err->code == ERR_FORMAT || err->code == ERR_LIMIT))
		return end_of_error(err);
	// A cluster may have no ActionCache for us; and one whose result lacks something makes it again.
	bool is_incomplete = r->outcome.is_done;
	err_clear(err);
	return run_anew(e, r, &named, r->is_fresh || is_incomplete, err);
}

void run_release(struct reapi_run *r)
{
	begin_again(r);
}

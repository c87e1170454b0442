#include "worker/service.h"

#include "base/file.h"
#include "remote/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	FULL_AGAIN_MS = 500, // when somebody who found no place may come again
	SPACE_AGAIN_MS = 5000,
	LOST_AGAIN_MS = 0, // at once: the client is asked for what has gone
};

void worker_service_init(struct worker_service *s)
{
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->refusals.lock, NULL);
}

void worker_service_release(struct worker_service *s)
{
	pthread_mutex_destroy(&s->refusals.lock);
}

void service_look_at_images(struct worker_service *s)
{
	char **names;
	images_refresh(s->images);
	size_t n = images_list(s->images, &names);
	for (size_t i = 0; i < n; i++)
		runtime_expect(s->runtime, names[i]);
	images_list_free(names);
}

void worker_refuse(struct worker_service *s, struct rpc_call *call, enum worker_counter c, enum rpc_code code,
		   const char *fmt, ...)
{
	va_list ap;
	worker_count(s, c, 1);
	if (code == RPC_RESOURCE_EXHAUSTED) {
		char ms[16];
		snprintf(ms, sizeof ms, "%d",
			 c == COUNT_no_space ? SPACE_AGAIN_MS
			 : c == COUNT_lost   ? LOST_AGAIN_MS
					     : FULL_AGAIN_MS);
		rpc_call_add_trailer(call, "grpc-retry-pushback-ms", ms);
	}
	va_start(ap, fmt);
	rpc_refuse(call, c == COUNT_cancelled ? NULL : &s->refusals, c == COUNT_broken ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
		   code, fmt, ap);
	va_end(ap);
}

bool worker_may_call(struct worker_service *s, struct rpc_call *call, struct token_claims *claims)
{
	struct err err = ERR_INIT;
	if (access_check(s->access, rpc_call_metadata(call, "authorization"), claims, &err) < 0)
		worker_refuse(s, call, COUNT_unauthenticated, RPC_UNAUTHENTICATED, "%s", err.text);
	else if (rpc_call_admit(call, claims->tenant, false, &err) < 0)
		worker_refuse(s, call, COUNT_full, RPC_RESOURCE_EXHAUSTED, "%s", err.text);
	else
		return true;
	return false;
}

// ---- Describe -------------------------------------------------------------------------------------------------------

static void reply_facts(struct worker_service *s, struct rpc_call *call, const Coffer__V1__DescribeRequest *r,
			char *identity, struct toolchain_facts *facts)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	Coffer__V1__DescribeReply m = COFFER__V1__DESCRIBE_REPLY__INIT;
	struct image_files files;
	images_files(s->images, r->image, r->compiler, r->language, &a, &files);
	m.files = arena_alloc(&a, (files.n + 1) * sizeof(struct Coffer__V1__ToolchainFile *));
	for (size_t i = 0; i < files.n; i++) {
		Coffer__V1__ToolchainFile *file = arena_alloc(&a, sizeof *file);
		coffer__v1__toolchain_file__init(file);
		file->path = (char *)(uintptr_t)files.list[i].path;
		file->digest = (ProtobufCBinaryData){sizeof files.list[i].digest.b, files.list[i].digest.b};
		file->optional = files.list[i].optional;
		m.files[m.n_files++] = file;
	}
	m.identity = identity;
	m.version = facts->version;
	m.target = facts->target;
	m.defines = (ProtobufCBinaryData){sizeof facts->defines.b, facts->defines.b};
	m.isolation = (Coffer__V1__Isolation)runtime_isolation(s->runtime);
	m.keep_nothing = s->is_paranoid;
	m.takes_trees = runtime_has_roots(s->runtime);
	m.takes_accounts = !s->is_paranoid;
	rpc_reply(call, &m.base);
}

static void describe(struct worker_service *s, struct rpc_call *call, const struct token_claims *claims,
		     const Coffer__V1__DescribeRequest *r)
{
	struct err err = ERR_INIT;
	char identity[TOOLCHAIN_IDENTITY];
	struct toolchain_facts facts;
	struct pooled_session *session;
	if (header_check_describe(r, &err) < 0) {
		worker_refuse(s, call, COUNT_invalid, RPC_INVALID_ARGUMENT, "%s", err.text);
	} else if (access_check_image(s->access, claims, r->image, &err) < 0) {
		worker_refuse(s, call, COUNT_unauthenticated, RPC_PERMISSION_DENIED, "%s", err.text);
	} else if (images_identity(s->images, r->image, r->compiler, identity, &err) < 0) {
		worker_refuse(s, call, COUNT_impossible, RPC_FAILED_PRECONDITION, "%s", err.text);
	} else if (sessions_take(s->sessions, claims->tenant, images_session_name(r->image), &session, &err) < 0) {
		bool is_full = err.code == ERR_LIMIT;
		worker_refuse(s, call, is_full ? COUNT_full : COUNT_broken,
			      is_full ? RPC_RESOURCE_EXHAUSTED : RPC_UNAVAILABLE, "%s", err.text);
	} else {
		int rc = images_facts(s->images, pooled_session(session), identity, r->compiler, r->language, &facts, &err);
		sessions_give(s->sessions, session);
		// A session that has died says nothing of the compiler.
		bool is_broken = err.code == ERR_PEER || err.code == ERR_TIMEOUT || err.code == ERR_IO;
		if (rc < 0)
			worker_refuse(s, call, is_broken ? COUNT_broken : COUNT_impossible,
				      is_broken ? RPC_UNAVAILABLE : RPC_FAILED_PRECONDITION, "%s", err.text);
		else
			reply_facts(s, call, r, identity, &facts);
	}
}

static void serve_describe(struct rpc_call *call, void *service)
{
	struct worker_service *s = service;
	struct token_claims claims;
	Coffer__V1__DescribeRequest *r = NULL;
	if (worker_may_call(s, call, &claims) && rpc_receive_one(call, &coffer__v1__describe_request__descriptor, &r) == 0)
		describe(s, call, &claims, r);
	if (r)
		coffer__v1__describe_request__free_unpacked(r, NULL);
}

// ---- Status ---------------------------------------------------------------------------------------------------------

struct own_load {
	const char *tenant;
	unsigned running, waiting;
};

static void note_own(void *ctx, const char *tenant, unsigned running, unsigned waiting)
{
	struct own_load *own = ctx;
	if (strcmp(own->tenant, tenant) == 0) {
		own->running = running;
		own->waiting = waiting;
	}
}

static void reply_status(struct worker_service *s, struct rpc_call *call, const char *tenant)
{
	Coffer__V1__StatusReply m = COFFER__V1__STATUS_REPLY__INIT;
	struct own_load own = {.tenant = tenant};
	struct queue_load load;
	queue_look(s->queue, &load);
	queue_each(s->queue, note_own, &own);
	m.slots = load.slots;
	m.running = load.running;
	m.waiting = load.waiting;
	m.sessions = sessions_count(s->sessions);
	m.own_running = own.running;
	m.own_waiting = own.waiting;
	m.own_sessions = sessions_count_of(s->sessions, tenant);
	tenant_stats_of(s->tally, tenant, &m.own_answers, &m.own_hits);
	m.draining = s->is_draining;
	m.keep_nothing = s->is_paranoid;
	m.version = (char *)(uintptr_t)COFFER_VERSION;
	m.time_ms = (uint64_t)clock_now_ms();
	rpc_reply(call, &m.base);
}

static void serve_status(struct rpc_call *call, void *service)
{
	struct worker_service *s = service;
	struct token_claims claims;
	Coffer__V1__StatusRequest *r = NULL;
	if (worker_may_call(s, call, &claims) && rpc_receive_one(call, &coffer__v1__status_request__descriptor, &r) == 0)
		reply_status(s, call, claims.tenant);
	if (r)
		coffer__v1__status_request__free_unpacked(r, NULL);
}

const struct rpc_method worker_methods[WORKER_METHODS] = {
	{.path = "/coffer.v1.Worker/Compile", .serve = compile_serve},
	{.path = "/coffer.v1.Worker/Execute", .serve = action_serve},
	{.path = "/coffer.v1.Worker/Describe", .serve = serve_describe},
	{.path = "/coffer.v1.Worker/Status", .serve = serve_status},
	{.path = "/coffer.v1.Worker/Account", .serve = account_serve},
	{.path = "/coffer.v1.Worker/Explain", .serve = explain_serve},
};

#include "scheduler/service.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "remote/refusal.h"
#include "scheduler/caller.h"
#include "scheduler/route.h"
#include "scheduler/tokens.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ASK_AGAIN_MS = 5000, // where there was no route
	FIRST_MS = 1000,     // and where there will be more as soon as the other schedulers have heard of the tenant
};

// A worker's open call, which the loop follows. In the list while the call may be ended from elsewhere.
struct session {
	struct service *service;
	struct rpc_call *call;
	struct timer silence;
	uint64_t number; // in the registry
	char worker[TOKEN_NAME_MAX + 1];
	struct session *next, **from;
};

void service_init(struct service *s, const struct service_config *config, struct trust *trust)
{
	memset(s, 0, sizeof *s);
	s->config = *config;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->refused.lock, NULL);
	s->trust = trust;
	s->registry = registry_new(config->heartbeat_ms, config->max_workers);
	s->grants = grants_new();
	grants_set_rate(s->grants, config->tenant_routes);
	s->orders = orders_new();
	s->tokens = tokens_new();
}

void service_release(struct service *s)
{
	trust_unref(s->trust);
	registry_free(s->registry);
	grants_free(s->grants);
	orders_free(s->orders);
	tokens_free(s->tokens);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->refused.lock);
}

static struct trust *present_trust(struct service *s)
{
	pthread_mutex_lock(&s->lock);
	struct trust *t = trust_ref(s->trust);
	pthread_mutex_unlock(&s->lock);
	return t;
}

// What did not work out: counted, told, and logged.
__attribute__((format(printf, 5, 6))) static void
refuse(struct service *s, struct rpc_call *call, enum service_outcome outcome, enum rpc_code code, const char *fmt, ...)
{
	va_list ap;
	s->outcomes[outcome]++;
	va_start(ap, fmt);
	rpc_refuse(call, &s->refused, LOG_LEVEL_INFO, code, fmt, ap);
	va_end(ap);
}

// ---- Route --------------------------------------------------------------------------------------------------------

static int check_question(const Coffer__V1__RouteRequest *r, struct err *err)
{
	if (*r->tenant && !token_is_name(r->tenant))
		return err_set(err, ERR_FORMAT, "a tenant's name has 1 to %d of A-Z a-z 0-9 . _ -", TOKEN_NAME_MAX);
	if (!token_is_image(r->image))
		return err_set(err, ERR_FORMAT, "an image is 'sha256:' and 64 hex digits, or 'host:' and a name");
	if (r->minimum_isolation < 0 || r->minimum_isolation > COFFER__V1__ISOLATION__ISOLATION_MICROVM)
		return err_set(err, ERR_FORMAT, "this isolation is not known here");
	if (r->n_avoid > ROUTE_MAX_AVOID)
		return err_set(err, ERR_LIMIT, "more than %d workers to avoid", ROUTE_MAX_AVOID);
	for (size_t i = 0; i < r->n_avoid; i++)
		if (!token_is_name(r->avoid[i]))
			return err_set(err, ERR_FORMAT, "a worker's name has 1 to %d of A-Z a-z 0-9 . _ -", TOKEN_NAME_MAX);
	return 0;
}

// Under the lock. `routes` have room for all that may be given; their texts are good while the lock is held.
static int write_routes(struct service *s, const struct trust *trust, const struct route_question *q,
			const struct route_answer *answer, Coffer__V1__Route *routes, struct err *err)
{
	struct token_claims c = {.use = TOKEN_ROUTE, .isolation = answer->isolation};
	snprintf(c.issuer, sizeof c.issuer, "%s", s->config.name);
	snprintf(c.tenant, sizeof c.tenant, "%s", q->tenant->name);
	snprintf(c.image, sizeof c.image, "%s", q->image);
	for (size_t i = 0; i < answer->n; i++) {
		const struct worker *w = answer->picks[i].worker;
		const char *token;
		memcpy(c.worker, w->name, sizeof c.worker);
		c.slots = answer->picks[i].claim;
		if (tokens_get(s->tokens, trust->signer, &c, time(NULL), s->config.token_lifetime_ms / 1000, &token, err) <
		    0)
			return -1;
		routes[i] = (Coffer__V1__Route)COFFER__V1__ROUTE__INIT;
		routes[i].worker = (char *)(uintptr_t)w->name;
		routes[i].address = (char *)(uintptr_t)w->address;
		routes[i].slots = answer->picks[i].slots;
		routes[i].isolation = (Coffer__V1__Isolation)w->isolation;
		routes[i].certificate_sha256 =
			(ProtobufCBinaryData){w->has_certificate ? 32 : 0, (uint8_t *)(uintptr_t)w->certificate_sha256};
		routes[i].token = (char *)(uintptr_t)token;
		const char *namesake = worker_namesake(w, clock_ms());
		if (namesake)
			routes[i].namesake = (char *)(uintptr_t)namesake;
	}
	return 0;
}

static void log_route(struct rpc_call *call, const struct route_question *q, const struct route_answer *answer)
{
	uint32_t slots = 0;
	for (size_t i = 0; i < answer->n; i++)
		slots += answer->picks[i].slots;
	log_event(LOG_LEVEL_DEBUG, "route", LOG_TEXT("tenant", q->tenant->name), LOG_TEXT("image", q->image),
		  LOG_TEXT("peer", q->client), LOG_TEXT("call", rpc_call_path(call)), LOG_NUMBER("wanted", q->wanted),
		  LOG_NUMBER("slots", slots), LOG_NUMBER("workers", answer->n), LOG_TEXT("reason", answer->reason));
}

static uint32_t lifetime_of(const struct service *s, const struct route_answer *answer)
{
	int64_t most = answer->is_first ? FIRST_MS
		       : answer->n      ? INT32_MAX
					: ASK_AGAIN_MS,
		usual = s->config.route_lifetime_ms;
	return (uint32_t)(usual < most ? usual : most);
}

// Decides, signs and queues the answer; on the loop, so nothing of it sleeps.
static void decide(struct service *s, const struct trust *trust, const struct route_question *q, struct rpc_call *call)
{
	struct err err = ERR_INIT;
	struct route_answer answer;
	Coffer__V1__RouteReply m = COFFER__V1__ROUTE_REPLY__INIT;
	Coffer__V1__Route routes[GRANT_MAX_PICKS], *list[GRANT_MAX_PICKS];
	int64_t now = clock_ms();
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	bool may_ask = grants_may_ask(s->grants, q->tenant->name, now);
	if (may_ask) {
		route_decide(s->registry, s->grants, s->orders, q, now, s->config.route_lifetime_ms, &answer);
		rc = write_routes(s, trust, q, &answer, routes, &err);
	}
	if (may_ask && rc == 0) {
		for (size_t i = 0; i < answer.n; i++)
			list[i] = &routes[i];
		m.routes = list;
		m.n_routes = answer.n;
		m.reason = answer.reason;
		m.time_ms = (uint64_t)clock_now_ms();
		m.lifetime_ms = lifetime_of(s, &answer);
		rpc_reply(call, &m.base);
	}
	pthread_mutex_unlock(&s->lock);
	if (!may_ask) {
		refuse(s, call, ROUTES_LIMITED, RPC_RESOURCE_EXHAUSTED, "tenant '%s' asks for routes too often",
		       q->tenant->name);
	} else if (rc < 0) {
		log_event(LOG_LEVEL_ERROR, "token not signed", LOG_TEXT("why", err.text));
		rpc_finish(call, RPC_INTERNAL, "%s", err.text);
	} else {
		s->outcomes[answer.n ? ROUTES_GIVEN : ROUTES_EMPTY]++;
		log_route(call, q, &answer);
	}
}

static void ask(struct service *s, const struct trust *trust, const struct caller *caller, struct rpc_call *call,
		const Coffer__V1__RouteRequest *r)
{
	struct err err = ERR_INIT;
	const struct tenant *tenant = tenants_choose(trust->tenants, &caller->identity, r->tenant, &err);
	if (!tenant) {
		refuse(s, call, ROUTES_DENIED, RPC_PERMISSION_DENIED, "%s", err.text);
	} else if (!tenant_may_use_image(tenant, r->image)) {
		refuse(s, call, ROUTES_DENIED, RPC_PERMISSION_DENIED, "tenant '%s' may not use this image", tenant->name);
	} else if (rpc_call_admit(call, tenant->name, false, &err) < 0) {
		refuse(s, call, ROUTES_LIMITED, RPC_RESOURCE_EXHAUSTED, "%s", err.text);
	} else {
		struct route_question q = {.tenant = tenant,
					   .tenants = trust->tenants,
					   .client = rpc_call_peer(call)->address,
					   .image = r->image,
					   .wanted = r->slots,
					   .isolation = (int)r->minimum_isolation,
					   .avoid = (const char *const *)r->avoid,
					   .n_avoid = r->n_avoid,
					   .tokens_ms = s->config.token_lifetime_ms + 1000};
		decide(s, trust, &q, call);
	}
}

static void serve_route(struct rpc_call *call, void *arg)
{
	struct service *s = arg;
	struct err err = ERR_INIT;
	Coffer__V1__RouteRequest *r = NULL;
	struct caller caller;
	struct trust *trust = present_trust(s);
	if (caller_of_user(&caller, call, trust, &s->config, &err) < 0)
		refuse(s, call, UNAUTHENTICATED, RPC_UNAUTHENTICATED, "%s", err.text);
	else if (rpc_receive_one(call, &coffer__v1__route_request__descriptor, &r) == 0 && check_question(r, &err) < 0)
		refuse(s, call, ROUTES_INVALID, RPC_INVALID_ARGUMENT, "%s", err.text);
	else if (r)
		ask(s, trust, &caller, call, r);
	if (r)
		coffer__v1__route_request__free_unpacked(r, NULL);
	trust_unref(trust);
}

// ---- Register -----------------------------------------------------------------------------------------------------

static void session_link(struct service *s, struct session *session)
{
	session->next = s->sessions;
	session->from = &s->sessions;
	if (session->next)
		session->next->from = &session->next;
	s->sessions = session;
}

static void session_unlink(struct session *session)
{
	*session->from = session->next;
	if (session->next)
		session->next->from = session->from;
}

// Into the registry and the list of sessions. The call is finished where that fails.
static int begin_session(struct service *s, struct session *session, const Coffer__V1__WorkerHello *hello)
{
	struct err err = ERR_INIT;
	pthread_mutex_lock(&s->lock);
	bool is_draining = s->draining;
	int rc = is_draining ? -1 : registry_add(s->registry, hello, clock_ms(), &session->number, &err);
	if (rc == 0)
		session_link(s, session);
	pthread_mutex_unlock(&s->lock);
	if (is_draining)
		rpc_finish(session->call, RPC_UNAVAILABLE, "this scheduler is being shut down");
	else if (rc < 0)
		refuse(s, session->call, REGISTRATIONS_DENIED,
		       err.code == ERR_LIMIT ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT, "%s", err.text);
	return rc;
}

static int64_t silence_ms(const struct service *s)
{
	return REGISTRY_DEAD_AFTER * s->config.heartbeat_ms;
}

static void end_session(struct session *session, const char *why)
{
	struct service *s = session->service;
	timer_clear(&rpc_call_loop(session->call)->timers, &session->silence);
	pthread_mutex_lock(&s->lock);
	if (registry_remove(s->registry, session->number))
		grants_forget_worker(s->grants, session->worker);
	session_unlink(session);
	pthread_mutex_unlock(&s->lock);
	log_event(LOG_LEVEL_INFO, "worker gone", LOG_TEXT("worker", session->worker), LOG_TEXT("why", why));
	rpc_call_follow(session->call, NULL, NULL);
	free(session);
}

static void await_report(struct session *session)
{
	timer_set(&rpc_call_loop(session->call)->timers, &session->silence, clock_ms() + silence_ms(session->service));
}

static void session_is_silent(struct timer *t)
{
	struct session *session = CONTAINER_OF(t, struct session, silence);
	rpc_finish(session->call, RPC_DEADLINE_EXCEEDED, "no report for %d ms", (int)silence_ms(session->service));
	end_session(session, "it has not reported for two heartbeats");
}

// Returns why the session ends with this report, or NULL.
static const char *take_report(struct session *session, const Coffer__V1__WorkerReport *report)
{
	struct service *s = session->service;
	if (report->kind_case != COFFER__V1__WORKER_REPORT__KIND_LOAD) {
		rpc_finish(session->call, RPC_INVALID_ARGUMENT, "a report of the load was expected");
		return "it has sent what is no report";
	}
	pthread_mutex_lock(&s->lock);
	bool is_known = registry_report(s->registry, session->number, report->load, clock_ms());
	pthread_mutex_unlock(&s->lock);
	if (is_known)
		return NULL;
	rpc_finish(session->call, RPC_ABORTED, "this session is over");
	return "another session took its place";
}

static void follow_reports(void *arg)
{
	struct session *session = arg;
	const char *why = NULL;
	while (!why && rpc_call_has_news(session->call)) {
		struct err err = ERR_INIT;
		Coffer__V1__WorkerReport *report = NULL;
		int rc = rpc_receive(session->call, &coffer__v1__worker_report__descriptor, 0, &report, &err);
		if (rc <= 0) {
			rpc_finish(session->call, RPC_OK, "%s", "");
			why = rc == 0 ? "it has ended its session" : "its connection is gone";
		} else {
			why = take_report(session, report);
			coffer__v1__worker_report__free_unpacked(report, NULL);
		}
	}
	if (why)
		end_session(session, why);
	else
		await_report(session);
}

static void warn_of_namesake(struct service *s, const struct session *session)
{
	pthread_mutex_lock(&s->lock);
	const struct worker *w = registry_worker(s->registry, session->worker);
	const char *other = w && w->session == session->number ? worker_namesake(w, clock_ms()) : NULL;
	if (other)
		log_event(LOG_LEVEL_WARN, "two workers of one name", LOG_TEXT("worker", w->name),
			  LOG_TEXT("address", w->address), LOG_TEXT("other", other),
			  LOG_TEXT("advice", "give each a name and a certificate of its own: 'coffer keys add'"));
	pthread_mutex_unlock(&s->lock);
}

static void serve_session(struct service *s, struct rpc_call *call, const Coffer__V1__WorkerHello *hello)
{
	struct session *session = mem_alloc(sizeof *session);
	session->service = s;
	session->call = call;
	session->silence.fire = session_is_silent;
	snprintf(session->worker, sizeof session->worker, "%s", hello->worker);
	if (begin_session(s, session, hello) < 0) {
		free(session);
		return;
	}
	s->outcomes[REGISTRATIONS]++;
	log_event(LOG_LEVEL_INFO, "worker registered", LOG_TEXT("worker", session->worker),
		  LOG_TEXT("address", hello->address), LOG_NUMBER("slots", hello->slots),
		  LOG_NUMBER("images", hello->n_images), LOG_TEXT("isolation", isolation_name((int)hello->isolation)),
		  LOG_TEXT("version", hello->version), LOG_TEXT("peer", rpc_call_peer(call)->address));
	Coffer__V1__SchedulerNote note = COFFER__V1__SCHEDULER_NOTE__INIT;
	note.heartbeat_ms = (uint32_t)s->config.heartbeat_ms;
	warn_of_namesake(s, session);
	rpc_call_follow(call, follow_reports, session);
	rpc_send(call, &note.base, NULL); // the first word, so there is room; what fails here is news for who follows
	follow_reports(session);          // what has come with the hello
}

static int may_register(struct service *s, struct rpc_call *call, const struct caller *caller,
			const Coffer__V1__WorkerHello *hello)
{
	struct err err = ERR_INIT;
	struct trust *trust = present_trust(s);
	int rc = -1;
	if (registry_check_hello(hello, &err) < 0)
		refuse(s, call, REGISTRATIONS_DENIED, RPC_INVALID_ARGUMENT, "%s", err.text);
	else if (!caller_is_worker(caller, trust, hello->worker))
		refuse(s, call, REGISTRATIONS_DENIED, RPC_PERMISSION_DENIED, "you may not register as worker '%s'",
		       hello->worker);
	else if (rpc_call_admit(call, "(workers)", true, &err) < 0) // no tenant can have that name
		refuse(s, call, REGISTRATIONS_DENIED, RPC_RESOURCE_EXHAUSTED, "%s", err.text);
	else
		rc = 0;
	trust_unref(trust);
	return rc;
}

static void serve_register(struct rpc_call *call, void *arg)
{
	struct service *s = arg;
	struct err err = ERR_INIT;
	struct caller caller;
	struct trust *trust = present_trust(s);
	int rc = caller_of_worker(&caller, call, trust, &s->config, &err);
	trust_unref(trust);
	if (rc < 0) {
		refuse(s, call, UNAUTHENTICATED, RPC_UNAUTHENTICATED, "%s", err.text);
		return;
	}
	Coffer__V1__WorkerReport *first = NULL;
	rc = rpc_receive(call, &coffer__v1__worker_report__descriptor, 0, &first, &err);
	if (rc <= 0 || first->kind_case != COFFER__V1__WORKER_REPORT__KIND_HELLO)
		refuse(s, call, REGISTRATIONS_DENIED, RPC_INVALID_ARGUMENT, "a worker says hello first");
	else if (may_register(s, call, &caller, first->hello) == 0)
		serve_session(s, call, first->hello);
	if (first)
		coffer__v1__worker_report__free_unpacked(first, NULL);
}

const struct rpc_method service_methods[SERVICE_METHODS] = {
	{.path = "/coffer.v1.Scheduler/Route", .serve = serve_route, .on_loop = true},
	{.path = "/coffer.v1.Scheduler/Register", .serve = serve_register, .on_loop = true, .goes_on = true},
};

// ---- changes ------------------------------------------------------------------------------------------------------

void service_set_trust(struct service *s, struct trust *trust)
{
	pthread_mutex_lock(&s->lock);
	struct trust *old = s->trust;
	s->trust = trust;
	orders_forget(s->orders);
	tokens_forget(s->tokens);
	for (struct session *w = s->sessions; w; w = w->next)
		if (tenants_is_denied(trust->tenants, w->worker)) {
			registry_remove(s->registry, w->number);
			rpc_finish(w->call, RPC_PERMISSION_DENIED, "you may not register as worker '%s'", w->worker);
		}
	pthread_mutex_unlock(&s->lock);
	trust_unref(old);
}

void service_drain(struct service *s)
{
	pthread_mutex_lock(&s->lock);
	s->draining = true;
	for (struct session *w = s->sessions; w; w = w->next)
		rpc_finish(w->call, RPC_UNAVAILABLE, "this scheduler is being shut down");
	pthread_mutex_unlock(&s->lock);
}

#include "scheduler/status.h"

#include "base/clock.h"
#include "base/json.h"
#include "scheduler/service.h"
#include "scheduler/siblings.h"
#include "service/metrics.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *metric, *outcome;
} outcomes[SERVICE_OUTCOMES] = {
	[ROUTES_GIVEN] = {"given", "routes", "given"},
	[ROUTES_EMPTY] = {"empty", "routes", "empty"},
	[ROUTES_DENIED] = {"denied", "routes", "denied"},
	[ROUTES_LIMITED] = {"limited", "routes", "limited"},
	[ROUTES_INVALID] = {"invalid", "routes", "invalid"},
	[UNAUTHENTICATED] = {"unauthenticated", "calls", "unauthenticated"},
	[REGISTRATIONS] = {"registrations", "registrations", "taken"},
	[REGISTRATIONS_DENIED] = {"registrations_denied", "registrations", "denied"},
};

struct totals {
	uint64_t workers, slots, running, waiting, sessions, jobs, hits;
};

static struct totals add_up(const struct service *s, int64_t now)
{
	struct totals t = {0};
	for (size_t i = 0; i < registry_count(s->registry); i++) {
		const struct worker *w = registry_at(s->registry, i);
		if (!registry_is_alive(s->registry, w, now))
			continue;
		t.workers++;
		t.slots += w->draining ? 0 : w->slots;
		t.running += w->running;
		t.waiting += w->waiting;
		t.sessions += w->sessions;
		t.jobs += w->jobs;
		t.hits += w->hits;
	}
	return t;
}

// ---- /status ------------------------------------------------------------------------------------------------------

static void add_number(struct buf *b, const char *name, uint64_t value)
{
	json_add_name(b, name);
	buf_addf(b, "%llu", (unsigned long long)value);
}

// Of 1: how many of the jobs were hits. null before the first.
static void add_rate(struct buf *b, const char *name, uint64_t hits, uint64_t jobs)
{
	json_add_name(b, name);
	if (jobs)
		buf_addf(b, "%.4f", (double)hits / (double)jobs);
	else
		buf_adds(b, "null");
}

static void add_flag(struct buf *b, const char *name, bool is_set)
{
	json_add_name(b, name);
	buf_adds(b, is_set ? "true" : "false");
}

static void add_load(struct buf *b, const struct totals *t)
{
	add_number(b, "slots", t->slots);
	add_number(b, "running", t->running);
	add_number(b, "waiting", t->waiting);
	add_number(b, "sessions", t->sessions);
	add_number(b, "jobs", t->jobs);
	add_number(b, "hits", t->hits);
	add_rate(b, "hit_rate", t->hits, t->jobs);
}

static void add_separator(struct buf *b)
{
	if (b->data[b->len - 1] == '}')
		buf_addc(b, ',');
}

static void add_worker(struct buf *b, const struct worker *w, int64_t now)
{
	add_separator(b);
	buf_addc(b, '{');
	json_add_field(b, "name", w->name);
	json_add_field(b, "address", w->address);
	json_add_field(b, "version", w->version);
	json_add_field(b, "isolation", isolation_name(w->isolation));
	add_flag(b, "draining", w->draining);
	add_flag(b, "elsewhere", w->is_elsewhere);
	add_number(b, "reported_ms_ago", (uint64_t)(now - w->reported_ms));
	add_load(b, &(struct totals){1, w->slots, w->running, w->waiting, w->sessions, w->jobs, w->hits});
	json_add_name(b, "images");
	buf_addc(b, '[');
	for (size_t i = 0; i < w->n_images; i++) {
		buf_adds(b, i ? "," : "");
		json_add_str(b, w->images[i]);
	}
	buf_adds(b, "]}");
}

static void add_tenant(struct buf *b, const struct service *s, const struct tenant *t)
{
	uint64_t clients = grants_clients_of(s->grants, t->name);
	add_separator(b);
	buf_addc(b, '{');
	json_add_field(b, "name", t->name);
	add_number(b, "quota", t->slots);
	add_number(b, "granted", grants_slots_of(s->grants, t->name));
	add_number(b, "elsewhere", grants_claimed_elsewhere(s->grants, t->name));
	add_number(b, "clients", clients);
	json_add_field(b, "isolation", isolation_name(t->isolation));
	buf_addc(b, '}');
}

// null: this is the only scheduler.
static void add_etcd(struct buf *b, const struct service *s, int64_t now)
{
	struct siblings_state state;
	json_add_name(b, "etcd");
	if (!s->siblings) {
		buf_adds(b, "null");
		return;
	}
	siblings_state(s->siblings, &state);
	buf_addc(b, '{');
	add_flag(b, "connected", state.is_connected);
	add_number(b, "for_ms", (uint64_t)(now - state.since_ms));
	json_add_field(b, "why", state.why);
	buf_addc(b, '}');
}

static int write_status(void *ctx, struct buf *b)
{
	struct service *s = ctx;
	int64_t now = clock_ms();
	pthread_mutex_lock(&s->lock);
	grants_expire(s->grants, now);
	struct totals t = add_up(s, now);
	buf_addc(b, '{');
	json_add_field(b, "version", COFFER_VERSION);
	add_flag(b, "draining", s->draining);
	add_number(b, "heartbeat_ms", (uint64_t)s->config.heartbeat_ms);
	add_etcd(b, s, now);
	json_add_name(b, "totals");
	buf_addc(b, '{');
	add_number(b, "workers", t.workers);
	add_load(b, &t);
	buf_addc(b, '}');
	json_add_name(b, "calls");
	buf_addc(b, '{');
	for (size_t i = 0; i < SERVICE_OUTCOMES; i++)
		add_number(b, outcomes[i].name, s->outcomes[i]);
	buf_addc(b, '}');
	json_add_name(b, "workers");
	buf_addc(b, '[');
	for (size_t i = 0; i < registry_count(s->registry); i++)
		if (registry_is_alive(s->registry, registry_at(s->registry, i), now))
			add_worker(b, registry_at(s->registry, i), now);
	buf_addc(b, ']');
	json_add_name(b, "tenants");
	buf_addc(b, '[');
	for (size_t i = 0; i < tenants_count(s->trust->tenants); i++)
		add_tenant(b, s, tenants_at(s->trust->tenants, i));
	buf_adds(b, "]}\n");
	pthread_mutex_unlock(&s->lock);
	return 200;
}

// ---- /metrics -----------------------------------------------------------------------------------------------------

static uint64_t slots_of(const struct worker *w)
{
	return w->draining ? 0 : w->slots;
}
static uint64_t running_of(const struct worker *w)
{
	return w->running;
}
static uint64_t waiting_of(const struct worker *w)
{
	return w->waiting;
}
static uint64_t sessions_of(const struct worker *w)
{
	return w->sessions;
}
static uint64_t jobs_of(const struct worker *w)
{
	return w->jobs;
}
static uint64_t hits_of(const struct worker *w)
{
	return w->hits;
}

static const struct {
	const char *name, *type, *help;
	uint64_t (*value)(const struct worker *w);
} worker_families[] = {
	{"coffer_worker_slots", "gauge", "jobs a worker takes at once; 0 while it drains", slots_of},
	{"coffer_worker_running", "gauge", "jobs that run", running_of},
	{"coffer_worker_waiting", "gauge", "jobs that wait for a slot", waiting_of},
	{"coffer_worker_sessions", "gauge", "open runtimes of tenants", sessions_of},
	{"coffer_worker_jobs_total", "counter", "jobs since the worker's start", jobs_of},
	{"coffer_worker_hits_total", "counter", "of them those whose result was known", hits_of},
};

static void write_workers(const struct service *s, struct buf *b, int64_t now)
{
	for (size_t f = 0; f < sizeof worker_families / sizeof *worker_families; f++) {
		metrics_family(b, worker_families[f].name, worker_families[f].type, worker_families[f].help);
		for (size_t i = 0; i < registry_count(s->registry); i++) {
			const struct worker *w = registry_at(s->registry, i);
			struct metrics_label label = {"worker", w->name};
			// Whoever has the session tells its figures.
			if (!w->is_elsewhere && registry_is_alive(s->registry, w, now))
				metrics_value(b, worker_families[f].name, &label, 1, worker_families[f].value(w));
		}
	}
}

static void write_tenants(const struct service *s, struct buf *b)
{
	const struct tenants *all = s->trust->tenants;
	metrics_family(b, "coffer_tenant_quota_slots", "gauge", "jobs a tenant may run at once");
	for (size_t i = 0; i < tenants_count(all); i++) {
		const struct tenant *t = tenants_at(all, i);
		metrics_value(b, "coffer_tenant_quota_slots", &(struct metrics_label){"tenant", t->name}, 1, t->slots);
	}
	metrics_family(b, "coffer_tenant_granted_slots", "gauge", "slots in routes that have not ended");
	for (size_t i = 0; i < tenants_count(all); i++) {
		const struct tenant *t = tenants_at(all, i);
		metrics_value(b, "coffer_tenant_granted_slots", &(struct metrics_label){"tenant", t->name}, 1,
			      grants_slots_of(s->grants, t->name));
	}
}

static void write_etcd(const struct service *s, struct buf *b)
{
	struct siblings_state state;
	if (!s->siblings)
		return;
	siblings_state(s->siblings, &state);
	metrics_single(b, "coffer_scheduler_etcd_connected", "gauge", "1 while etcd answers", state.is_connected);
}

static void write_outcomes(const struct service *s, struct buf *b)
{
	const char *family = "";
	for (size_t i = 0; i < SERVICE_OUTCOMES; i++) {
		char name[64];
		snprintf(name, sizeof name, "coffer_scheduler_%s_total", outcomes[i].metric);
		if (strcmp(family, outcomes[i].metric) != 0)
			metrics_family(b, name, "counter", "calls by what came of them");
		family = outcomes[i].metric;
		metrics_value(b, name, &(struct metrics_label){"outcome", outcomes[i].outcome}, 1, s->outcomes[i]);
	}
}

static void write_handshakes(const struct rpc_server_stats *server, struct buf *b)
{
	const char *names[RPC_HANDSHAKES];
	for (int i = 0; i < RPC_HANDSHAKES; i++)
		names[i] = rpc_handshake_name((enum rpc_handshake)i);
	metrics_labelled(b, "coffer_scheduler_handshakes_failed_total", "TLS handshakes that failed, by cause", "cause",
			 names, server->handshakes, RPC_HANDSHAKES);
}

static void write_server(const struct service *s, struct buf *b)
{
	struct rpc_server_stats server;
	if (!s->server)
		return;
	rpc_server_stats(s->server, &server);
	metrics_single(b, "coffer_scheduler_connections", "gauge", "of clients and workers", server.connections);
	metrics_single(b, "coffer_scheduler_strangers", "gauge", "connections that have not shown whose they are",
		       server.strangers);
	metrics_single(b, "coffer_scheduler_strangers_crowded_out_total", "counter",
		       "connections of strangers that made room for others", server.crowded_out);
	metrics_single(b, "coffer_scheduler_attacks_total", "counter", "connections ended because of what the peer did",
		       server.attacks);
	write_handshakes(&server, b);
}

static int write_metrics(void *ctx, struct buf *b)
{
	struct service *s = ctx;
	int64_t now = clock_ms();
	pthread_mutex_lock(&s->lock);
	grants_expire(s->grants, now);
	metrics_single(b, "coffer_scheduler_workers", "gauge", "workers that are there", add_up(s, now).workers);
	metrics_single(b, "coffer_scheduler_draining", "gauge", "1 while it is being shut down", s->draining);
	write_workers(s, b, now);
	write_tenants(s, b);
	pthread_mutex_unlock(&s->lock);
	write_etcd(s, b);
	write_outcomes(s, b);
	write_server(s, b);
	return 200;
}

static int write_health(void *ctx, struct buf *b)
{
	struct service *s = ctx;
	pthread_mutex_lock(&s->lock);
	bool is_draining = s->draining;
	pthread_mutex_unlock(&s->lock);
	buf_adds(b, is_draining ? "draining\n" : "serving\n");
	return is_draining ? 503 : 200;
}

const struct admin_page status_pages[STATUS_PAGES] = {
	{"/status", "application/json", write_status, ADMIN_OPERATORS},
	{"/metrics", "text/plain; version=0.0.4", write_metrics, ADMIN_ANYBODY},
	{"/healthz", "text/plain", write_health, ADMIN_ANYBODY},
};

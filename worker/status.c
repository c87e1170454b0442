#include "worker/status.h"

#include "worker/shared_results.h"

#include "audit/log.h"
#include "base/json.h"
#include "base/mem.h"
#include "service/metrics.h"

#include <stdio.h>
#include <sys/resource.h>

static const struct {
	const char *name, *help;
} counters[WORKER_COUNTERS] = {
#define COUNTER(name, text) {#name, text},
#include "worker/counters.def"
#undef COUNTER
};

static uint64_t counter(const struct worker_status *w, enum worker_counter c)
{
	return w->service->counters[c];
}

static void update(struct worker_status *w)
{
	struct worker_service *s = w->service;
	struct shared_results *shared = results_shared(s->results);
	worker_count(s, COUNT_corrupt, results_take_corrupt(s->results));
	if (!shared)
		return;
	struct shared_counts counts;
	shared_results_take_counts(shared, &counts);
	worker_count(s, COUNT_store_hits, counts.hits);
	worker_count(s, COUNT_store_misses, counts.misses);
	worker_count(s, COUNT_store_failed, counts.failed);
	worker_count(s, COUNT_store_refused, counts.refused);
	worker_count(s, COUNT_store_given, counts.given);
	worker_count(s, COUNT_store_dropped, counts.dropped);
}

static void add_number(struct buf *b, const char *name, uint64_t value)
{
	json_add_name(b, name);
	buf_addf(b, "%llu", (unsigned long long)value);
}

static void add_flag(struct buf *b, const char *name, bool is_set)
{
	json_add_name(b, name);
	buf_adds(b, is_set ? "true" : "false");
}

// ---- /status --------------------------------------------------------------------------------------------------------

static void add_tenant(void *ctx, const char *tenant, unsigned running, unsigned waiting)
{
	struct buf *b = ctx;
	if (b->data[b->len - 1] == '}')
		buf_addc(b, ',');
	buf_addc(b, '{');
	json_add_field(b, "name", tenant);
	add_number(b, "running", running);
	add_number(b, "waiting", waiting);
	buf_addc(b, '}');
}

static int write_status(void *ctx, struct buf *b)
{
	struct worker_status *w = ctx;
	struct worker_service *s = w->service;
	struct queue_load load;
	struct rpc_server_stats server;
	char **images;
	queue_look(s->queue, &load);
	rpc_server_stats(w->server, &server);
	update(w);
	buf_addc(b, '{');
	json_add_field(b, "version", COFFER_VERSION);
	json_add_field(b, "name", s->name);
	json_add_field(b, "isolation", runtime_label(s->runtime));
	add_flag(b, "draining", s->is_draining);
	add_flag(b, "registered", registration_is_up(w->registration));
	add_number(b, "slots", load.slots);
	add_number(b, "running", load.running);
	add_number(b, "waiting", load.waiting);
	add_number(b, "sessions", sessions_count(s->sessions));
	add_number(b, "sessions_saved", sessions_count_saved(s->sessions));
	add_number(b, "guests_ahead", runtime_ahead(s->runtime));
	add_number(b, "source_memory", load.memory_bytes);
	add_number(b, "results_bytes", results_bytes(s->results));
	add_number(b, "connections", server.connections);
	add_number(b, "strangers", server.strangers);
	add_number(b, "attacks", server.attacks);
	for (int i = 0; i < WORKER_COUNTERS; i++)
		add_number(b, counters[i].name, counter(w, (enum worker_counter)i));
	json_add_name(b, "images");
	buf_addc(b, '[');
	size_t n = images_list(s->images, &images);
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? "," : "");
		json_add_str(b, images[i]);
	}
	images_list_free(images);
	buf_addc(b, ']');
	json_add_name(b, "tenants");
	buf_addc(b, '[');
	queue_each(s->queue, add_tenant, b);
	buf_adds(b, "]}\n");
	return 200;
}

// ---- /rows ----------------------------------------------------------------------------------------------------------

static int write_rows(void *ctx, struct buf *b)
{
	struct worker_status *w = ctx;
	buf_addc(b, '[');
	if (w->service->audit)
		audit_log_recent(w->service->audit, b);
	buf_adds(b, "]\n");
	return 200;
}

// ---- /metrics -------------------------------------------------------------------------------------------------------

static void write_handshakes(const struct rpc_server_stats *server, struct buf *b)
{
	const char *names[RPC_HANDSHAKES];
	for (int i = 0; i < RPC_HANDSHAKES; i++)
		names[i] = rpc_handshake_name((enum rpc_handshake)i);
	metrics_labelled(b, "coffer_worker_handshakes_failed_total", "TLS handshakes that failed, by cause", "cause", names,
			 server->handshakes, RPC_HANDSHAKES);
}

static void write_gauges(struct worker_status *w, struct buf *b)
{
	struct worker_service *s = w->service;
	struct queue_load load;
	struct rpc_server_stats server;
	queue_look(s->queue, &load);
	rpc_server_stats(w->server, &server);
	const struct {
		const char *name, *help;
		uint64_t value;
	} gauges[] = {
		{"slots", "jobs at once", s->is_draining ? 0 : load.slots},
		{"running", "jobs that have a slot", load.running},
		{"waiting", "jobs that wait for a slot", load.waiting},
		{"tenants", "tenants with calls", load.tenants},
		{"sessions", "open runtimes of tenants", sessions_count(s->sessions)},
		{"sessions_saved", "microVMs of tenants that sleep on disk", sessions_count_saved(s->sessions)},
		{"guests_ahead", "microVMs that are booted and nobody's", runtime_ahead(s->runtime)},
		{"source_memory_bytes", "memory of sources that wait", load.memory_bytes},
		{"results_bytes", "results on disk", results_bytes(s->results)},
		{"connections", "connections of clients", server.connections},
		{"strangers", "connections that have shown no token", server.strangers},
		{"registered", "1 while the scheduler knows us", registration_is_up(w->registration)},
		{"draining", "1 while it is being shut down", s->is_draining},
	};
	for (size_t i = 0; i < COUNT_OF(gauges); i++) {
		char name[64];
		snprintf(name, sizeof name, "coffer_worker_%s", gauges[i].name);
		metrics_single(b, name, "gauge", gauges[i].help, gauges[i].value);
	}
	metrics_single(b, "coffer_worker_attacks_total", "counter", "connections ended because of what the peer did",
		       server.attacks);
	metrics_single(b, "coffer_worker_strangers_crowded_out_total", "counter",
		       "connections without a token that made room for others", server.crowded_out);
	write_handshakes(&server, b);
}

static int write_metrics(void *ctx, struct buf *b)
{
	struct worker_status *w = ctx;
	update(w);
	write_gauges(w, b);
	for (int i = 0; i < WORKER_COUNTERS; i++) {
		char name[64];
		snprintf(name, sizeof name, "coffer_worker_%s_total", counters[i].name);
		metrics_single(b, name, "counter", counters[i].help, counter(w, (enum worker_counter)i));
	}
	return 200;
}

static int write_health(void *ctx, struct buf *b)
{
	const struct worker_status *w = ctx;
	bool is_draining = w->service->is_draining;
	buf_adds(b, is_draining ? "draining\n" : "serving\n");
	return is_draining ? 503 : 200;
}

const struct admin_page worker_pages[WORKER_PAGES] = {
	{"/status", "application/json", write_status, ADMIN_OPERATORS},
	{"/rows", "application/json", write_rows, ADMIN_OPERATORS},
	{"/metrics", "text/plain; version=0.0.4", write_metrics, ADMIN_ANYBODY},
	{"/healthz", "text/plain", write_health, ADMIN_ANYBODY},
};

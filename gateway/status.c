#include "gateway/status.h"

#include "base/json.h"
#include "base/mem.h"
#include "gateway/shared_actions.h"
#include "service/metrics.h"

#include <stdio.h>

static const struct {
	const char *name, *help;
} counters[GATEWAY_COUNTERS] = {
#define COUNTER(name, text) {#name, text},
#include "gateway/counters.def"
#undef COUNTER
};

enum { GAUGES = 11 };
struct gauge {
	const char *name, *help;
	uint64_t value;
};

static void read_gauges(struct gateway_status *s, struct gauge out[GAUGES])
{
	struct rpc_server_stats server;
	rpc_server_stats(s->server, &server);
	out[0] = (struct gauge){"connections", "connections of clients", server.connections};
	out[1] = (struct gauge){"calls", "calls that are open", server.calls};
	out[2] = (struct gauge){"disk_bytes", "blobs and results on disk", blobs_bytes(s->gateway->blobs)};
	out[3] = (struct gauge){"memory_bytes", "memory of blobs that come and go", blobs_memory(s->gateway->blobs)};
	out[4] = (struct gauge){"draining", "1 while it is being shut down", s->is_draining};
	struct shared_action_counts shared;
	shared_actions_counts(s->gateway->shared, &shared);
	out[5] = (struct gauge){"store_hits", "results that came from the store of the gateways", shared.hits};
	out[6] = (struct gauge){"store_misses", "results that it does not have", shared.misses};
	out[7] = (struct gauge){"store_failed", "results that it has not told in time, or not whole", shared.failed};
	out[8] = (struct gauge){"store_refused", "results of it that were not taken", shared.refused};
	out[9] = (struct gauge){"store_given", "results that were given to it", shared.given};
	out[10] = (struct gauge){"store_dropped", "results that could not be given to it", shared.dropped};
}

static void add_number(struct buf *b, const char *name, uint64_t value)
{
	json_add_name(b, name);
	buf_addf(b, "%llu", (unsigned long long)value);
}

static int write_status(void *ctx, struct buf *b)
{
	struct gateway_status *s = ctx;
	struct gauge gauges[GAUGES];
	read_gauges(s, gauges);
	buf_addc(b, '{');
	json_add_field(b, "version", COFFER_VERSION);
	for (size_t i = 0; i < GAUGES; i++)
		add_number(b, gauges[i].name, gauges[i].value);
	for (int i = 0; i < GATEWAY_COUNTERS; i++)
		add_number(b, counters[i].name, s->gateway->counters[i]);
	buf_adds(b, "}\n");
	return 200;
}

static int write_metrics(void *ctx, struct buf *b)
{
	struct gateway_status *s = ctx;
	struct gauge gauges[GAUGES];
	char name[64];
	read_gauges(s, gauges);
	for (size_t i = 0; i < GAUGES; i++) {
		snprintf(name, sizeof name, "coffer_gateway_%s", gauges[i].name);
		metrics_single(b, name, "gauge", gauges[i].help, gauges[i].value);
	}
	for (int i = 0; i < GATEWAY_COUNTERS; i++) {
		snprintf(name, sizeof name, "coffer_gateway_%s_total", counters[i].name);
		metrics_single(b, name, "counter", counters[i].help, s->gateway->counters[i]);
	}
	return 200;
}

static int write_health(void *ctx, struct buf *b)
{
	const struct gateway_status *s = ctx;
	bool is_draining = s->is_draining;
	buf_adds(b, is_draining ? "draining\n" : "serving\n");
	return is_draining ? 503 : 200;
}

const struct admin_page gateway_pages[GATEWAY_PAGES] = {
	{"/status", "application/json", write_status, ADMIN_OPERATORS},
	{"/metrics", "text/plain; version=0.0.4", write_metrics, ADMIN_ANYBODY},
	{"/healthz", "text/plain", write_health, ADMIN_ANYBODY},
};

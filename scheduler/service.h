// The two calls of coffer.v1.Scheduler, on top of registry, ledger and decision: who asks, may it, answer.
//
// It sees names of tenants, images and workers, and numbers; its messages have no room for sources, keys of the cache or
// results. Thread: calls are served on the loop, a worker's session, too; one lock guards what others change as well.
#ifndef COFFER_SCHEDULER_SERVICE_H
#define COFFER_SCHEDULER_SERVICE_H

#include "base/log_limit.h"
#include "remote/rpc.h"
#include "scheduler/grants.h"
#include "scheduler/registry.h"
#include "scheduler/trust.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct service_config {
	const char *name; // issuer of tokens
	const char *users_issuer, *users_audience, *users_claim;
	int64_t heartbeat_ms, route_lifetime_ms, token_lifetime_ms;
	size_t max_workers;
	unsigned tenant_routes; // questions of a tenant in a second
};

// How questions ended; in /status and /metrics.
enum service_outcome {
	ROUTES_GIVEN,
	ROUTES_EMPTY,
	ROUTES_DENIED,
	ROUTES_LIMITED,
	ROUTES_INVALID,
	UNAUTHENTICATED, // any call
	REGISTRATIONS,
	REGISTRATIONS_DENIED,
	SERVICE_OUTCOMES
};

struct session;  // a worker's
struct siblings; // scheduler/siblings.h
struct service {
	struct service_config config; // read-only
	atomic_uint_fast64_t outcomes[SERVICE_OUTCOMES];
	pthread_mutex_t lock;            // over all below
	const struct rpc_server *server; // for its figures; NULL in tests
	const struct siblings *siblings; // the same; NULL: there are no other schedulers
	struct trust *trust;
	struct registry *registry;
	struct grants *grants;
	struct orders *orders;
	struct tokens *tokens;
	struct session *sessions;
	bool draining;
	struct log_limit refused;
};

// Takes over a reference to `trust`. The strings of `config` must live as long.
void service_init(struct service *s, const struct service_config *config, struct trust *trust);
void service_release(struct service *s);
// From now on this holds; takes over the reference. Sessions of workers that are denied now end.
void service_set_trust(struct service *s, struct trust *trust);
// Ends workers' sessions, so that they go elsewhere, and takes no new ones.
void service_drain(struct service *s);

#define SERVICE_METHODS 2
extern const struct rpc_method service_methods[SERVICE_METHODS]; // arg is the struct service

#endif

// The workers that run actions: those that the operator names, of this machine, or those that the scheduler gives routes to.
//
// Routes are a tenant's, for one image, and kept for their short life. Whoever wants a place gets the worker with most room that has
// not just failed. Thread: any.
#ifndef COFFER_GATEWAY_FLEET_H
#define COFFER_GATEWAY_FLEET_H

#include "remote/rpc.h"

#include <stdbool.h>

struct fleet_config {
	struct loop *loop;
	const char *const *workers;    // addresses, without TLS and tokens; NULL-terminated
	const char *scheduler;         // "" where there are workers
	struct rpc_tls *scheduler_tls; // as a client of the scheduler
	struct rpc_tls *worker_tls;    // pins say who they are
};
struct fleet;
struct fleet *fleet_new(const struct fleet_config *config);
void fleet_free(struct fleet *f);

struct fleet_wish {
	const char *tenant, *image;
	int isolation; // the least
};
struct fleet_worker;
struct fleet_seat {
	struct fleet_worker *worker;
	struct rpc_channel *channel;
	char *authorization; // or NULL
};
// 0: a seat; -1: ERR_NOT_FOUND there is no such worker; ERR_ACCESS: the scheduler does not let us act for this tenant; ERR_PEER: it
// could not be reached; ERR_FULL: not now.
int fleet_take(struct fleet *f, const struct fleet_wish *wish, struct fleet_seat *seat, struct err *err);
void fleet_give(struct fleet *f, struct fleet_seat *seat, bool has_failed, int pause_ms);

#endif

// The pages of the operators' port: /status and /rows, the last of the audit log (JSON), /metrics (Prometheus) and /healthz. Thread: any.
#ifndef COFFER_WORKER_STATUS_H
#define COFFER_WORKER_STATUS_H

#include "service/admin.h"
#include "worker/register.h"

struct worker_status {
	struct worker_service *service;
	struct rpc_server *server;
	struct registration *registration; // or NULL
};

#define WORKER_PAGES 4
extern const struct admin_page worker_pages[WORKER_PAGES]; // ctx is the struct worker_status

#endif

// The pages of the operators' port: /status (JSON), /metrics (Prometheus) and /healthz. Thread: any.
#ifndef COFFER_GATEWAY_STATUS_H
#define COFFER_GATEWAY_STATUS_H

#include "gateway/service.h"
#include "service/admin.h"

struct gateway_status {
	struct gateway *gateway;
	struct rpc_server *server;
	atomic_bool is_draining;
};

#define GATEWAY_PAGES 3
extern const struct admin_page gateway_pages[GATEWAY_PAGES]; // ctx is the struct gateway_status

#endif

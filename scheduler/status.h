// The pages of the operators' port: /status (JSON), /metrics (Prometheus) and /healthz. Thread: any.
#ifndef COFFER_SCHEDULER_STATUS_H
#define COFFER_SCHEDULER_STATUS_H

#include "service/admin.h"

#define STATUS_PAGES 3
extern const struct admin_page status_pages[STATUS_PAGES]; // ctx is the struct service

#endif

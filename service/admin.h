// The port for operators: HTTP/1.1, GET and HEAD only, for Prometheus, curl and probes. One thread serves it.
//
// It has no authentication and is meant for loopback or a network of the operator's own. Every answer is a text that is made
// when it is asked for; the connection ends with it. At most ADMIN_MAX_CLIENTS at once, of which each has ADMIN_TIMEOUT_MS
// and may send ADMIN_MAX_REQUEST bytes; when there are more, the oldest that has not asked yet makes room. (libmicrohttpd would do the same, but the distribution's brings GnuTLS and its
// libraries into a program that starts for every verb.)
#ifndef COFFER_SERVICE_ADMIN_H
#define COFFER_SERVICE_ADMIN_H

#include "base/buf.h"

enum { ADMIN_MAX_CLIENTS = 16, ADMIN_TIMEOUT_MS = 5000, ADMIN_MAX_REQUEST = 8192, ADMIN_ADDRESS_MAX = 256 };

struct admin_page {
	const char *path; // "/metrics"
	const char *type; // "text/plain; version=0.0.4"
	// Called on the admin's thread; it returns the status, usually 200.
	int (*write)(void *ctx, struct buf *body);
};

struct admin;
// "host:port", port 0: any free one. `pages` must live as long. `bound` (may be NULL) is the address with its port.
int admin_start(const char *address, const struct admin_page *pages, size_t n, void *ctx, char bound[ADMIN_ADDRESS_MAX],
		struct admin **admin, struct err *err);
void admin_stop(struct admin *admin);

#endif

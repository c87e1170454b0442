// The port for operators: HTTP/1.1, GET and HEAD only, for Prometheus, curl, probes and browsers. One thread serves it.
//
// `/` is a page (page.html) that shows what `/status` and `/rows` say. These two name tenants, so on an address that others reach
// they need a token ("Authorization: Bearer …"); with none set they are refused there. On a loopback address they are open,
// but only to who calls us by such a name, so that no web page in a browser here can ask them under a name of its own
// (DNS rebinding). Every answer is a text that is made when it is asked for; the connection ends with it.
//
// At most ADMIN_MAX_CLIENTS at once, of which each has ADMIN_TIMEOUT_MS and may send ADMIN_MAX_REQUEST bytes; when there are
// more, the oldest that has not asked yet makes room. (libmicrohttpd would do the same, but the distribution's brings GnuTLS and
// its libraries into a program that starts for every verb.)
#ifndef COFFER_SERVICE_ADMIN_H
#define COFFER_SERVICE_ADMIN_H

#include "base/buf.h"

enum {
	ADMIN_MAX_CLIENTS = 16,
	ADMIN_TIMEOUT_MS = 5000,
	ADMIN_MAX_REQUEST = 8192,
	ADMIN_ADDRESS_MAX = 256,
	ADMIN_TOKEN_MAX = 512
};

enum admin_for { ADMIN_ANYBODY, ADMIN_OPERATORS };

struct admin_page {
	const char *path; // "/metrics"
	const char *type; // "text/plain; version=0.0.4"
	// Called on the admin's thread; it returns the status, usually 200.
	int (*write)(void *ctx, struct buf *body);
	enum admin_for who;
};

struct admin;
struct admin_config {
	const char *address;            // "host:port", port 0: any free one
	const char *token_file;         // operators' token, on one line; NULL: there is none
	const struct admin_page *pages; // besides `/`; must live as long
	size_t n_pages;
	void *ctx; // for the pages
};
// `bound` (may be NULL) is the address with its port.
int admin_start(const struct admin_config *config, char bound[ADMIN_ADDRESS_MAX], struct admin **admin, struct err *err);
void admin_stop(struct admin *admin);

#endif

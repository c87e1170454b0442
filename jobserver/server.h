// The front end's loop: the jobserver of one build, from before its tool starts until the tool has ended.
//
// One thread, which turns its loop by hand. It owns the pool of tokens, the socket for launchers (in the private directory of the build),
// the signals, and in a foreign jobserver the tokens taken from there. Every event is first entered in the books
// (clients.h) and then settled, so that no token is put and no launcher let go before all that is known is counted.
//
// Signals: SIGINT and SIGQUIT of the terminal reach the tool as well and are ignored; those that somebody sends to us, SIGTERM and
// SIGHUP are passed on; then the tool's end is awaited. Thread: the one that called server_open().
#ifndef COFFER_JOBSERVER_SERVER_H
#define COFFER_JOBSERVER_SERVER_H

#include "jobserver/clients.h"
#include "jobserver/parent.h"
#include "jobserver/pool.h"

#include <sys/types.h>

struct server_status {
	unsigned limit, remote, held, unread;
	long local;
	const struct client_figures *figures;
};

struct server_options {
	unsigned limit;        // local slots; in a foreign jobserver the most that are ever taken
	unsigned cap;          // loans at most
	enum pool_kind kind;   // POOL_NONE: only behind a gate
	bool is_gate;          // the tool knows no jobserver, and its commands wait for slots; the pool is for these
	const char *dir;       // the build's private directory
	struct parent *parent; // the jobserver around us, or NULL
	// Called about five times a second and when the terminal's size changes; may be NULL.
	void (*tick)(void *ctx, const struct server_status *st, bool resized);
	void *ctx;
};

struct server;
// Blocks the signals of the loop in this thread; server_before_exec() undoes that in the child. NULL on failure.
struct server *server_open(const struct server_options *o, struct err *err);
const char *server_auth(const struct server *s);   // for MAKEFLAGS; "": there is no pool
const char *server_socket(const struct server *s); // for COFFER_JOBSERVER
// How many commands behind a gate can be served at once: each holds a connection, and its launcher another one.
unsigned server_most_commands(const struct server *s);
void server_before_exec(const struct server *s); // in the child: signals, limits and descriptors as the tool expects
int server_run(struct server *s, pid_t tool);    // until the tool has ended: its status as of waitpid
struct server_status server_status(const struct server *s);
void server_close(struct server *s); // gives tokens back, removes socket and fifo; closing lets every launcher go on

#endif

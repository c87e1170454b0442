// A server's inside: its listeners and connections (the loop's), the threads that serve, and what it says of its health.
#ifndef COFFER_REMOTE_SERVER_H
#define COFFER_REMOTE_SERVER_H

#include "base/log_limit.h"
#include "base/map.h"
#include "remote/address.h"
#include "remote/conn.h"
#include "remote/pool.h"

struct listener {
	struct loop_source source;
	struct timer pause; // when there are no descriptors left
	struct rpc_server *server;
	struct rpc_tls *tls;
	char *path; // of a unix socket, to be removed; or NULL
	struct listener *next;
};

struct health {
	pthread_mutex_t lock;
	struct map services; // name -> SERVING or NOT_SERVING, one more
	bool is_draining;
	struct watcher *watchers; // the loop's
	unsigned n_watchers;      // the loop's
};

struct rpc_server {
	struct loop *loop;
	struct rpc_server_config config;
	struct rpc_limits limits;
	struct thread_pool *pool;
	int (*begin)(
		struct rpc_call *call); // on a thread; tests that have none put their own here. -1: there is none to be had
	struct health health;

	// The loop's.
	struct listener *listeners;
	struct conn *conns;
	struct conn *oldest[SHARE_BUCKETS], *newest[SHARE_BUCKETS];               // strangers
	struct rpc_call *oldest_call[SHARE_BUCKETS], *newest_call[SHARE_BUCKETS]; // of strangers, that have said nothing
	bool is_draining;
	struct log_limit refusals;

	pthread_mutex_t lock;
	pthread_cond_t change; // of the two
	size_t n_conns, n_calls;

	struct shares shares;
	atomic_ullong total_conns, total_calls, refused, attacks, crowded_out, refused_conns, handshakes[RPC_HANDSHAKES];
};

// ---- server.c -------------------------------------------------------------------------------------------------------------
// Takes over the listening descriptor. Any thread.
int server_add_listener(struct rpc_server *server, int fd, struct rpc_tls *tls, const char *unix_path, struct err *err);

// A connection that came in some other way. Loop thread.
void server_add_transport(struct rpc_server *server, struct transport *t);

// ---- server_call.c --------------------------------------------------------------------------------------------------------
void server_serve(void *call);                 // one call, on its thread; takes the reference over
void server_serve_here(struct rpc_call *call); // one that never sleeps, on the loop

// ---- health.c -------------------------------------------------------------------------------------------------------------
extern const struct rpc_method health_methods[2]; // their arg is the server; on the loop
void health_init(struct rpc_server *server);
void health_drain(struct rpc_server *server); // nothing serves any more; watchers are sent away
void health_release(struct rpc_server *server);

#endif

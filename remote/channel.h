// A client's connection as its callers see it: several handles, and a conn on the loop as long as there is one.
#ifndef COFFER_REMOTE_CHANNEL_H
#define COFFER_REMOTE_CHANNEL_H

#include "remote/conn.h"

enum channel_state { CHANNEL_CONNECTING, CHANNEL_READY, CHANNEL_FAILED };

struct rpc_channel {
	atomic_int handles; // of users; without any, the connection ends with its last call
	atomic_int refs;    // of memory: the handles as one, the connection, the calls
	struct loop *loop;
	struct loop_note release;
	struct conn *conn; // the loop's; NULL: gone
	struct link *link;
	struct rpc_limits limits;
	char *authority;
	bool has_tls;
	atomic_bool is_usable;
	atomic_uint keepalive_ms;

	pthread_mutex_t lock;
	pthread_cond_t change;
	enum channel_state state;
	struct err err; // why it failed
};

// Takes the transport over. The state is CHANNEL_CONNECTING until the peer's SETTINGS have come.
struct rpc_channel *channel_new(struct loop *loop, struct transport *t, const struct rpc_channel_config *config,
				const char *address);

#endif

// etcd as a scheduler needs it: keys under one prefix, bound to a lease, and news of them (etcd v3 API over gRPC, proto/etcd.proto;
// https://etcd.io/docs/v3.5/learning/api/). Everything sleeps, ETCD_CALL_MS at most for each call.
//
// One connection, kept until something fails; then etcd_close, and etcd_open again for the next attempt. Limits: a message of 4 MiB,
// a key of ETCD_MAX_KEY bytes. Thread: one.
#ifndef COFFER_SCHEDULER_ETCD_H
#define COFFER_SCHEDULER_ETCD_H

#include "remote/rpc.h"

enum { ETCD_CALL_MS = 3000, ETCD_MAX_KEY = 256, ETCD_PAGE = 500 };

struct rpc_target;
struct etcd_config {
	struct rpc_target *target; // the members of the cluster
	const char *prefix;        // of all keys; ends with '/'
	const char *user;          // "": none
	const char *password_file; // read at each attempt
};
struct etcd;

// Connects, shows who we are, and has a lease of so many seconds.
int etcd_open(const struct etcd_config *config, int lease_s, struct etcd **etcd, struct err *err);
// The lease is given back, where that is possible: its keys are gone at once. NULL is fine.
void etcd_close(struct etcd *e);

int etcd_keep_lease(struct etcd *e, struct err *err); // ERR_NOT_FOUND: it is gone, and with it its keys
// `name` is behind the prefix. The key is bound to the lease.
int etcd_put(struct etcd *e, const char *name, const void *value, size_t n, struct err *err);
int etcd_remove_own(struct etcd *e, const char *name, struct err *err); // nothing, where the key is not under our lease

// `value` NULL: the key is gone. The name is not terminated and may be anything.
typedef void (*etcd_news)(void *ctx, const char *name, size_t n_name, const void *value, size_t n_value);
// All that is there now, in pages of ETCD_PAGE; what changes afterwards comes by etcd_watch.
int etcd_read(struct etcd *e, etcd_news news, void *ctx, struct err *err);
// Tells what has changed since etcd_read, or the last call, and comes back after timeout_ms at the latest. ERR_FORMAT: the changes
// are no longer known (compaction): read all again.
int etcd_watch(struct etcd *e, int timeout_ms, etcd_news news, void *ctx, struct err *err);

#endif

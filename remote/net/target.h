// Where calls go: an address, and the connection to it, which is made when it is needed and made again when it is lost.
//
// Several addresses, with blanks or commas between them, are equals (the schedulers of one farm, the members of a cluster): one by
// chance is tried first, then the next, and the one that answered is kept until its connection is lost.
//
// Threads: any. Threads that need the connection at the same time share one attempt. After a failure the next attempt
// waits (200 ms, doubling up to 10 s, with some chance): until then rpc_target_channel fails at once with the last error.
#ifndef COFFER_REMOTE_NET_TARGET_H
#define COFFER_REMOTE_NET_TARGET_H

#include "remote/rpc.h"

struct rpc_target;

// `address`: one, or several. Copies it and the config's strings; config->tls must outlive it. Does not connect.
struct rpc_target *rpc_target_new(struct loop *loop, const char *address, const struct rpc_channel_config *config);
// A usable channel, to be released with rpc_channel_release, within timeout_ms.
int rpc_target_channel(struct rpc_target *target, int timeout_ms, struct rpc_channel **channel, struct err *err);
// Forgets the pause after a failure, for who knows better.
void rpc_target_retry(struct rpc_target *target);
void rpc_target_free(struct rpc_target *target); // channels that were handed out stay good until they are released

#endif

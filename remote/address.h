// Sockets and their names. "host:port", "[v6]:port" or "unix:PATH". Thread: any.
//
// What needs the resolver is in files of their own (net_*.c), for a static program that only has descriptors to talk over.
#ifndef COFFER_REMOTE_ADDRESS_H
#define COFFER_REMOTE_ADDRESS_H

#include "remote/rpc.h"
#include "remote/shares.h"

#include <sys/socket.h>

struct net_address {
	struct sockaddr_storage addr;
	socklen_t len;
};

// ---- net.c ----------------------------------------------------------------------------------------------------------------
void net_name(const struct net_address *a, char out[RPC_ADDRESS_MAX]);        // "192.0.2.1:80", "[2001:db8::1]:80", "unix"
bool net_same_host(const struct net_address *a, const struct net_address *b); // never of unix sockets
// The bucket of its block of addresses.
uint16_t net_bucket(const struct shares *shares, const struct net_address *a); // NULL: none
// No delay; and a peer that is gone without a word is noticed within 30 s.
void net_tune(int fd);
int net_set_nonblocking(int fd, struct err *err);

// ---- net_resolve.c ----------------------------------------------------------------------------------------------------------
#define NET_ADDRESSES 8
// What the text stands for: as many as fit, at least one. Sleeps as long as the system's resolver does.
int net_resolve(const char *address, bool to_listen, struct net_address out[NET_ADDRESSES], size_t *n, struct err *err);
char *net_host(const char *address); // the host of an address, to free(); "localhost" for unix sockets

#endif

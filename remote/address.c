#include "remote/address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#define DEAD_PEER_S 30

void net_name(const struct net_address *a, char out[RPC_ADDRESS_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in *four = (const struct sockaddr_in *)&a->addr;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&a->addr;
	switch (a->addr.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
		snprintf(out, RPC_ADDRESS_MAX, "%s:%u", host, ntohs(four->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
		snprintf(out, RPC_ADDRESS_MAX, "[%s]:%u", host, ntohs(six->sin6_port));
		break;
	default:
		snprintf(out, RPC_ADDRESS_MAX, "unix");
		break;
	}
}

bool net_same_host(const struct net_address *a, const struct net_address *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->addr, *b4 = (const struct sockaddr_in *)&b->addr;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->addr, *b6 = (const struct sockaddr_in6 *)&b->addr;
	if (a->addr.ss_family != b->addr.ss_family)
		return false;
	if (a->addr.ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	// Whoever has one address of IPv6 has 2^64 of them.
	return a->addr.ss_family == AF_INET6 && memcmp(&a6->sin6_addr, &b6->sin6_addr, 8) == 0;
}

uint16_t net_bucket(const struct shares *shares, const struct net_address *a)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->addr;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->addr;
	if (!a)
		return shares_bucket(shares, NULL, 0);
	if (a->addr.ss_family == AF_INET)
		return shares_bucket(shares, &a4->sin_addr, 4);
	if (a->addr.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a6->sin6_addr))
		return shares_bucket(shares, &a6->sin6_addr.s6_addr[12], 4);
	if (a->addr.ss_family == AF_INET6)
		return shares_bucket(shares, &a6->sin6_addr, 16);
	return shares_bucket(shares, NULL, 0);
}

void net_tune(int fd)
{
	const int one = 1, idle_s = 15, step_s = 5, steps = 3, limit_ms = DEAD_PEER_S * 1000;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step_s, sizeof step_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &steps, sizeof steps);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
}

int net_set_nonblocking(int fd, struct err *err)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return err_errno(err, "cannot take over a descriptor");
	return 0;
}

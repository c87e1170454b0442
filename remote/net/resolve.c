#include "remote/address.h"

#include "base/mem.h"

#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define UNIX_PREFIX "unix:"

static int unix_address(const char *path, struct net_address *out, struct err *err)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&out->addr;
	size_t n = strlen(path);
	if (!n || n >= sizeof un->sun_path)
		return err_set(err, ERR_USAGE, "'%s' is too long for the name of a socket, or empty", path);
	*out = (struct net_address){.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1)};
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	return 0;
}

static int split(const char *address, char **host, char **port, struct err *err)
{
	const char *colon = strrchr(address, ':');
	const char *end = colon;
	const char *begin = address;
	if (!colon || !colon[1])
		return err_set(err, ERR_USAGE, "'%s' is no host:port", address);
	if (*begin == '[' && colon[-1] == ']') {
		begin++;
		end--;
	} else if (memchr(begin, ':', (size_t)(colon - begin))) {
		return err_set(err, ERR_USAGE, "'%s': an IPv6 address stands in brackets", address);
	}
	*host = mem_strndup(begin, (size_t)(end - begin));
	*port = mem_strdup(colon + 1);
	return 0;
}

char *net_host(const char *address)
{
	char *host = NULL;
	AUTO_FREE char *port = NULL;
	if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0 || split(address, &host, &port, NULL))
		return mem_strdup("localhost");
	return host;
}

int net_resolve(const char *address, bool to_listen, struct net_address out[NET_ADDRESSES], size_t *n, struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = (to_listen ? AI_PASSIVE : 0)};
	struct addrinfo *list;
	AUTO_FREE char *host = NULL, *port = NULL;
	*n = 0;
	if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
		*n = 1;
		return unix_address(address + strlen(UNIX_PREFIX), out, err);
	}
	if (split(address, &host, &port, err) || !host)
		return -1;
	int rc = getaddrinfo(*host ? host : NULL, port, &hints, &list);
	if (rc)
		return err_set(err, ERR_NOT_FOUND, "cannot find '%s': %s", address, gai_strerror(rc));
	for (struct addrinfo *a = list; a && *n < NET_ADDRESSES; a = a->ai_next) {
		memcpy(&out[*n].addr, a->ai_addr, a->ai_addrlen);
		out[(*n)++].len = a->ai_addrlen;
	}
	freeaddrinfo(list);
	return *n ? 0 : err_set(err, ERR_NOT_FOUND, "cannot find '%s'", address);
}

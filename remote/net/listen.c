#include "remote/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

// A socket that nobody listens on any more makes place; one that is in use stays.
static int clear_path(const struct net_address *a, const char *path, struct err *err)
{
	struct stat st;
	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return 0; // bind(2) will say it
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)&a->addr, a->len) == 0 || errno != ECONNREFUSED)
		return err_set(err, ERR_FULL, "somebody listens on '%s' already", path);
	unlink(path);
	return 0;
}

static int bind_to(int fd, const struct net_address *a, const char *path, struct err *err)
{
	const int one = 1;
	if (!path) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
		return bind(fd, (const struct sockaddr *)&a->addr, a->len);
	}
	if (clear_path(a, path, err))
		return -1;
	// Its mode has to be right from the first moment on, and umask(2) belongs to all threads.
	return fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)&a->addr, a->len);
}

int rpc_server_listen(struct rpc_server *server, const char *address, struct rpc_tls *tls, char bound[RPC_ADDRESS_MAX],
		      struct err *err)
{
	struct net_address list[NET_ADDRESSES], real = {.len = sizeof real.addr};
	size_t n;
	struct err local = ERR_INIT;
	if (net_resolve(address, true, list, &n, err))
		return -1;
	const char *path = list[0].addr.ss_family == AF_UNIX ? ((struct sockaddr_un *)&list[0].addr)->sun_path : NULL;
	AUTO_CLOSE int fd = socket(list[0].addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, "cannot make a socket");
	if (bind_to(fd, &list[0], path, &local) || listen(fd, BACKLOG)) {
		if (local.code && err)
			*err = local;
		return local.code ? -1 : err_errno(err, "cannot listen on '%s'", address);
	}
	if (bound && !path && getsockname(fd, (struct sockaddr *)&real.addr, &real.len) == 0)
		net_name(&real, bound);
	else if (bound)
		snprintf(bound, RPC_ADDRESS_MAX, "%s", address);
	return server_add_listener(server, TAKE_FD(fd), tls, path, err);
}

#include "remote/address.h"
#include "remote/channel.h"

#include "base/clock.h"
#include "base/cond.h"

#include <errno.h>
#include <sys/time.h>
#include <unistd.h>

// Connects within the time; the descriptor does not block then.
static int dial(const struct net_address *a, int timeout_ms, int *out, struct err *err)
{
	char name[RPC_ADDRESS_MAX];
	const struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 + 1};
	net_name(a, name);
	AUTO_CLOSE int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "cannot make a socket");
	// Linux holds connect(2) to the limit on sending.
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (const struct sockaddr *)&a->addr, a->len)) {
		if (errno == EINPROGRESS || errno == EAGAIN)
			return err_set(err, ERR_TIMEOUT, "cannot connect to '%s' within %d ms", name, timeout_ms);
		return err_errno(err, "cannot connect to '%s'", name);
	}
	if (net_set_nonblocking(fd, err))
		return -1;
	if (a->addr.ss_family != AF_UNIX)
		net_tune(fd);
	*out = TAKE_FD(fd);
	return 0;
}

static int open_transport(int fd, const char *host, const struct rpc_channel_config *config, struct transport **t,
			  struct err *err)
{
	const struct tls_setup setup = {.name = config->server_name ? config->server_name : host,
					.pin_sha256 = config->pin_sha256};
	if (config->tls)
		return config->tls->open(config->tls, fd, &setup, t, err);
	*t = transport_plain(fd);
	return 0;
}

static int wait_ready(struct rpc_channel *ch, int64_t until, struct err *err)
{
	int rc = 0;
	bool in_time = true;
	pthread_mutex_lock(&ch->lock);
	while (ch->state == CHANNEL_CONNECTING && in_time)
		in_time = cond_wait_until(&ch->change, &ch->lock, until);
	if (ch->state == CHANNEL_CONNECTING)
		rc = err_set(err, ERR_TIMEOUT, "no answer from '%s' in time", ch->link->identity.peer.address);
	else if (ch->state == CHANNEL_FAILED)
		rc = err_set(err, ch->err.code, "cannot talk to '%s': %s", ch->link->identity.peer.address, ch->err.text);
	pthread_mutex_unlock(&ch->lock);
	return rc;
}

int rpc_connect(struct loop *loop, const char *address, const struct rpc_channel_config *config, int timeout_ms,
		struct rpc_channel **out, struct err *err)
{
	static const struct rpc_channel_config none;
	struct rpc_channel_config c = config ? *config : none;
	struct net_address list[NET_ADDRESSES];
	AUTO_FREE char *host = net_host(address);
	size_t n;
	int64_t until = clock_ms() + timeout_ms;
	if (net_resolve(address, false, list, &n, err))
		return -1;
	if (!c.authority)
		c.authority = list[0].addr.ss_family == AF_UNIX ? "localhost" : address;
	err_set(err, ERR_TIMEOUT, "cannot connect to '%s' in time", address);
	for (size_t i = 0; i < n; i++) {
		int fd = -1, left = (int)(until - clock_ms());
		struct transport *t;
		if (left <= 0)
			break;
		// Each address has its share of the time.
		if (dial(&list[i], left / (int)(n - i), &fd, err) || open_transport(fd, host, &c, &t, err))
			continue;
		struct rpc_channel *ch = channel_new(loop, t, &c, address);
		if (wait_ready(ch, until, err) == 0) {
			*out = ch;
			return 0;
		}
		rpc_channel_release(ch);
	}
	return -1;
}

#include "jobserver/client/lease.h"

#include "base/clock.h"
#include "base/mem.h"
#include "jobserver/client/makeflags.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_LIMIT_MS = 2000, QUERY_LIMIT_MS = 1000, QUERY_TEXT = 160 };

// Reads n bytes before `end` (INT64_MAX: whenever they come).
static bool read_until(int fd, uint8_t *to, size_t n, int64_t end)
{
	while (n) {
		int64_t left = end == INT64_MAX ? -1 : end - clock_ms();
		if (end != INT64_MAX && left <= 0)
			return false;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int ready = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (ready < 0 && errno != EINTR)
			return false;
		if (ready <= 0)
			continue;
		ssize_t got = recv(fd, to, n, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (got > 0) {
			to += got;
			n -= (size_t)got;
		}
	}
	return true;
}

// Connects and exchanges greetings, with as many milliseconds for the answer (-1: as long as the server lives); -1 if that fails.
static int greet(const char *path, const struct lease_hello *mine, int answer_ms, struct lease_hello *theirs,
		 struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	if (n >= sizeof addr.sun_path)
		return err_set(err, ERR_USAGE, "COFFER_JOBSERVER is longer than a socket's name can be");
	memcpy(addr.sun_path, path, n + 1);
	int fd AUTO_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "cannot make a socket");
	// A unix socket's connect() waits while the server's queue is full; this bounds it.
	struct timeval limit = {.tv_sec = CONNECT_LIMIT_MS / 1000};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		return err_errno(err, "cannot reach the jobserver at '%s'", path);
	uint8_t bytes[LEASE_HELLO_SIZE];
	lease_put_hello(bytes, mine);
	if (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) != sizeof bytes)
		return err_errno(err, "cannot write to the jobserver");
	if (!read_until(fd, bytes, sizeof bytes, answer_ms < 0 ? INT64_MAX : clock_ms() + answer_ms))
		return err_set(err, ERR_PEER, "the jobserver does not answer");
	if (!lease_get_hello(theirs, bytes) || theirs->role != LEASE_SERVER)
		return err_set(err, ERR_PEER, "the jobserver speaks another protocol");
	return TAKE_FD(fd);
}

// Does MAKEFLAGS still name the pool of the front end? A makefile that sets -j leaves it and makes its own.
static bool is_in_pool(void)
{
	const char *ours = getenv("COFFER_JOBSERVER_AUTH");
	if (!ours || !ours[0])
		return true; // behind some gates there is no pool
	struct auth a = makeflags_auth(getenv("MAKEFLAGS"));
	return a.text_len == strlen(ours) && memcmp(a.text, ours, a.text_len) == 0;
}

static uint32_t slot_in_env(void)
{
	const char *s = getenv("COFFER_SLOT");
	return s ? (uint32_t)strtoul(s, NULL, 10) : 0;
}

int lease_open(struct lease *l, struct err *err)
{
	*l = (struct lease)LEASE_INIT;
	l->limit_ms = LEASE_LIMIT_S * 1000;
	const char *path = getenv("COFFER_JOBSERVER");
	struct lease_hello mine = {.role = LEASE_LAUNCHER, .slot = slot_in_env()}, theirs = {0};
	if (!path || !path[0])
		return lend_open(&l->lend);
	if (!is_in_pool()) {
		mine.role = LEASE_LEFT;
		l->fd = greet(path, &mine, CONNECT_LIMIT_MS, &theirs, NULL);
		lease_close(l);
		l->limit_ms = LEASE_LIMIT_S * 1000;
		return lend_open(&l->lend);
	}
	l->fd = greet(path, &mine, CONNECT_LIMIT_MS, &theirs, err);
	if (l->fd < 0)
		return -1;
	l->will_go = theirs.flags & LEASE_WILL_GO;
	l->limit_ms = theirs.limit_s * (int64_t)1000;
	return 1;
}

void lease_remote(struct lease *l)
{
	const uint8_t msg = LEASE_MSG_REMOTE;
	if (l->on_loan)
		return;
	if (l->fd >= 0)
		l->on_loan = send(l->fd, &msg, 1, MSG_NOSIGNAL) == 1;
	else
		l->on_loan = lend_put(&l->lend);
}

bool lease_return(struct lease *l)
{
	const uint8_t msg = LEASE_MSG_RETURN;
	uint8_t answer = 0;
	if (!l->on_loan)
		return true;
	l->on_loan = false;
	if (l->fd < 0)
		return lend_take_back(&l->lend, l->limit_ms);
	bool went = send(l->fd, &msg, 1, MSG_NOSIGNAL) == 1 &&
		    (!l->will_go || (read_until(l->fd, &answer, 1, clock_ms() + l->limit_ms) && answer == LEASE_MSG_GO));
	if (!went)
		lease_close(l); // a late 'G' must not be taken for the next one
	return went;
}

void lease_close(struct lease *l)
{
	if (l->fd >= 0)
		close(TAKE_FD(l->fd));
	*l = (struct lease)LEASE_INIT;
}

// A server that has as many connections as it can hold takes no more for a while: then its queue is full (EAGAIN), or our greeting
// waits in it.
int lease_gate(uint32_t *slot, struct err *err)
{
	const char *path = getenv("COFFER_JOBSERVER");
	if (!path || !path[0])
		return 0;
	struct lease_hello mine = {.role = LEASE_GATE}, theirs = {0};
	struct err why = ERR_INIT;
	int fd AUTO_CLOSE = -1;
	uint8_t answer = 0;
	while ((fd = greet(path, &mine, -1, &theirs, &why)) < 0 && why.sys == EAGAIN)
		;
	if (fd < 0 && (why.sys == ENOENT || why.sys == ECONNREFUSED))
		return 0;
	if (fd < 0)
		return err_set(err, why.code, "%s", why.text);
	if (!read_until(fd, &answer, 1, INT64_MAX) || answer != LEASE_MSG_GO)
		return err_set(err, ERR_PEER, "the jobserver ended");
	*slot = theirs.slot;
	return 1;
}

bool lease_claim(const char *path, int *fd, pid_t *server)
{
	struct lease_hello mine = {.role = LEASE_CLAIM, .slot = slot_in_env()}, theirs = {0};
	struct ucred peer = {0};
	socklen_t n = sizeof peer;
	*fd = greet(path, &mine, CONNECT_LIMIT_MS, &theirs, NULL);
	*server = *fd >= 0 && getsockopt(*fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 ? peer.pid : 0;
	return *fd < 0 || theirs.slot == 1;
}

// The number behind "NAME ", or -1.
static long number_behind(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	if (!at)
		return -1;
	char *end;
	at += strlen(name);
	long n = strtol(at, &end, 10);
	return end == at || n < 0 || n > INT_MAX ? -1 : n;
}

long lease_idle_slots(const char *path)
{
	struct lease_hello mine = {.role = LEASE_QUERY}, theirs = {0};
	int fd AUTO_CLOSE = greet(path, &mine, CONNECT_LIMIT_MS, &theirs, NULL);
	char text[QUERY_TEXT] = "";
	if (fd < 0)
		return -1;
	int64_t end = clock_ms() + QUERY_LIMIT_MS;
	size_t n = 0;
	while (n + 1 < sizeof text && read_until(fd, (uint8_t *)text + n, 1, end) && text[n] != '\n')
		n++;
	if (text[n] != '\n')
		return -1;
	text[n] = '\0';
	long limit = number_behind(text, "limit "), local = number_behind(text, " local ");
	return limit < 0 || local < 0 ? -1 : limit > local ? limit - local : 0;
}

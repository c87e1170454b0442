#include "remote/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct plain {
	struct transport base;
	bool is_socket; // a serial port of a microVM is none
};

static int plain_shake_hands(struct transport *t, struct err *err)
{
	(void)t;
	(void)err;
	return 1;
}

static ssize_t outcome(ssize_t n, const char *what, struct err *err)
{
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	return err_errno(err, "cannot %s", what);
}

static ssize_t plain_read(struct transport *t, void *p, size_t n, struct err *err)
{
	ssize_t got = read(t->fd, p, n);
	t->wants_write = false;
	return got == 0 ? -1 : outcome(got, "read", err);
}

static ssize_t plain_write(struct transport *t, const void *p, size_t n, struct err *err)
{
	const struct plain *s = (const struct plain *)t;
	ssize_t sent = s->is_socket ? send(t->fd, p, n, MSG_NOSIGNAL) : write(t->fd, p, n);
	t->wants_write = sent >= 0 ? (size_t)sent < n : errno == EAGAIN;
	return outcome(sent, "write", err);
}

static void plain_describe(struct transport *t, struct peer_identity *id)
{
	(void)t;
	id->peer.subject = "";
}

static void plain_free(struct transport *t)
{
	close(t->fd);
	free(t);
}

struct transport *transport_plain(int fd)
{
	static const struct transport_ops ops = {plain_shake_hands, plain_read, plain_write, plain_describe, plain_free};
	struct plain *s = mem_alloc(sizeof *s);
	int type;
	socklen_t len = sizeof type;
	s->base.ops = &ops;
	s->base.fd = fd;
	s->is_socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
	return &s->base;
}

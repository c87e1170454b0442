// An HTTP/2 connection whose bytes come from a fuzzer: a transport without a socket, on a loop without a thread.
#ifndef COFFER_FUZZ_GRPC_FEED_H
#define COFFER_FUZZ_GRPC_FEED_H

#include "remote/transport.h"

#include "base/log.h"
#include "loop/loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct feed {
	struct transport base;
	const uint8_t *data;
	size_t size, at, wrote;
	bool is_turn; // of the peer: it speaks, and then it listens
};
// More than this from so little is a bomb of our own.
#define FEED_MAX_OUT ((size_t)64 << 20)

static int feed_shake(struct transport *t, struct err *err)
{
	(void)t;
	(void)err;
	return 1;
}

// In pieces of changing size, with time for an answer in between; then the end.
static ssize_t feed_read(struct transport *t, void *p, size_t n, struct err *err)
{
	struct feed *f = (struct feed *)t;
	size_t left = f->size - f->at, some = 1 + f->at * 7 % 997;
	(void)err;
	f->is_turn = !f->is_turn;
	if (f->is_turn)
		return 0;
	if (!left)
		return -1;
	some = some < left ? some : left;
	some = some < n ? some : n;
	memcpy(p, f->data + f->at, some);
	f->at += some;
	return (ssize_t)some;
}

static ssize_t feed_write(struct transport *t, const void *p, size_t n, struct err *err)
{
	struct feed *f = (struct feed *)t;
	(void)p;
	(void)err;
	f->wrote += n;
	if (f->wrote > FEED_MAX_OUT)
		abort();
	return (ssize_t)n;
}

static void feed_describe(struct transport *t, struct peer_identity *id)
{
	(void)t;
	id->peer.subject = "";
}

static void feed_free(struct transport *t)
{
	close(t->fd);
	free(t);
}

// Readable from the start.
static struct transport *feed_new(const uint8_t *data, size_t size)
{
	static const struct transport_ops ops = {feed_shake, feed_read, feed_write, feed_describe, feed_free};
	struct feed *f = mem_alloc(sizeof *f);
	f->base.ops = &ops;
	f->base.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	f->data = data;
	f->size = size;
	log_set_level(LOG_LEVEL_ERROR);
	return &f->base;
}

#endif

#include "jobserver/parent.h"

#include "base/mem.h"
#include "jobserver/client/makeflags.h"
#include "jobserver/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static bool can(int fd, int unwanted)
{
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && (flags & O_ACCMODE) != unwanted;
}

static int open_fds(struct parent *p, const struct auth *a)
{
	if (!can(a->r, O_WRONLY) || !can(a->w, O_RDONLY))
		return -1;
	p->r = pool_reopen_fd(a->r, O_RDONLY);
	p->w = pool_reopen_fd(a->w, O_WRONLY);
	if (p->r < 0 || p->w < 0)
		return -1;
	p->their_r = a->r;
	p->their_w = a->w;
	return 0;
}

static int open_fifo(struct parent *p, const struct auth *a)
{
	AUTO_FREE char *path = mem_strndup(a->path, a->path_len);
	p->r = pool_reopen_path(path, O_RDONLY);
	// Without anybody at the other end this fails: a fifo that a dead make has left behind.
	p->w = p->r < 0 ? -1 : pool_reopen_path(path, O_WRONLY);
	return p->w < 0 ? -1 : 0;
}

int parent_open(struct parent *p, const char *makeflags, struct err *err)
{
	*p = (struct parent)PARENT_INIT;
	struct auth a = makeflags_auth(makeflags);
	int rc = -1;
	if (a.kind == AUTH_NONE)
		return 0;
	if (a.kind == AUTH_FDS)
		rc = open_fds(p, &a);
	else if (a.kind == AUTH_FIFO)
		rc = open_fifo(p, &a);
	if (rc == 0)
		return 1;
	mem_close_cleanup(&p->r);
	mem_close_cleanup(&p->w);
	p->r = p->w = -1;
	return err_set(err, ERR_NOT_FOUND, "the jobserver '%.*s' cannot be reached", (int)a.text_len, a.text);
}

void parent_hide(const struct parent *p)
{
	if (p->their_r >= 0)
		fcntl(p->their_r, F_SETFD, FD_CLOEXEC);
	if (p->their_w >= 0)
		fcntl(p->their_w, F_SETFD, FD_CLOEXEC);
}

bool parent_take(struct parent *p)
{
	if (p->taken >= PARENT_MOST_TOKENS || read(p->r, &p->tokens[p->taken], 1) != 1)
		return false;
	p->taken++;
	return true;
}

void parent_give(struct parent *p, unsigned n)
{
	while (n-- && p->taken) {
		// The pipe had room for it before; a full one can only mean that others wrote too much, and waits.
		while (write(p->w, &p->tokens[p->taken - 1], 1) != 1 && (errno == EAGAIN || errno == EINTR))
			poll(&(struct pollfd){.fd = p->w, .events = POLLOUT}, 1, 100);
		p->taken--;
	}
}

void parent_close(struct parent *p)
{
	if (p->w >= 0)
		parent_give(p, p->taken);
	mem_close_cleanup(&p->r);
	mem_close_cleanup(&p->w);
	p->r = p->w = -1;
}

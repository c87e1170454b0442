#include "jobserver/pool.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

// The tool's ends get numbers that a make which leaves our pool will not get for its own pipe (those are the lowest
// free ones), so that the two cannot be mixed up; below FD_SETSIZE, since make waits with pselect().
enum { FIRST_TOOL_FD = 200, FD_LIMIT = 1024 };

int pool_reopen_path(const char *path, int how)
{
	int fd = open(path, how | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)))
		return fd;
	close(fd);
	errno = ENXIO;
	return -1;
}

int pool_reopen_fd(int fd, int how)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return pool_reopen_path(path, how);
}

static int tool_end(int *fd)
{
	int n = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_TOOL_FD);
	if (n >= FD_LIMIT) {
		close(n);
		errno = EMFILE;
		n = -1;
	}
	close(TAKE_FD(*fd));
	return n;
}

static int open_pipes(struct token_pool *p, struct err *err)
{
	int in[2], back[2];
	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(err, "cannot make the jobserver's pipe");
	p->put_fd = in[1];
	p->tool_r = tool_end(&in[0]);
	if (pipe2(back, O_CLOEXEC) < 0)
		return err_errno(err, "cannot make the jobserver's pipe");
	p->back_fd = back[0];
	p->tool_w = tool_end(&back[1]);
	if (p->tool_r < 0 || p->tool_w < 0)
		return err_errno(err, "cannot make the jobserver's descriptors");
	p->unread_fd = pool_reopen_fd(p->tool_r, O_RDONLY);
	if (p->unread_fd < 0)
		return err_errno(err, "cannot open the jobserver's pipe again through /proc");
	// These two are descriptions that no other process has.
	if (fcntl(p->put_fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(p->back_fd, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, "cannot set up the jobserver's pipe");
	snprintf(p->auth, sizeof p->auth, "%d,%d", p->tool_r, p->tool_w);
	return 0;
}

static int open_fifo(struct token_pool *p, const char *dir, struct err *err)
{
	AUTO_FREE char *path = mem_printf("%s/fifo", dir);
	if (snprintf(p->auth, sizeof p->auth, "fifo:%s", path) >= (int)sizeof p->auth)
		return err_set(err, ERR_LIMIT, "the name '%s' is too long for a jobserver", path);
	if (mkfifo(path, 0600) < 0)
		return err_errno(err, "cannot make the fifo '%s'", path);
	p->fifo = TAKE(path);
	// For reading and writing (Linux): it never sees an end of file, whoever comes and goes.
	p->put_fd = pool_reopen_path(p->fifo, O_RDWR);
	if (p->put_fd < 0)
		return err_errno(err, "cannot open the fifo '%s'", p->fifo);
	p->unread_fd = p->put_fd;
	return 0;
}

int pool_open(struct token_pool *p, enum pool_kind kind, const char *dir, struct err *err)
{
	*p = (struct token_pool)POOL_INIT;
	p->kind = kind;
	int rc = kind == POOL_PIPES ? open_pipes(p, err) : kind == POOL_FIFO ? open_fifo(p, dir, err) : 0;
	if (rc < 0)
		pool_close(p);
	return rc;
}

void pool_close(struct token_pool *p)
{
	if (p->unread_fd == p->put_fd)
		p->unread_fd = -1;
	int *const fds[] = {&p->put_fd, &p->unread_fd, &p->back_fd, &p->tool_r, &p->tool_w};
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		mem_close_cleanup(fds[i]);
	if (p->fifo)
		unlink(p->fifo);
	free(p->fifo);
	*p = (struct token_pool)POOL_INIT;
}

void pool_inherit(const struct token_pool *p)
{
	if (p->tool_r >= 0)
		fcntl(p->tool_r, F_SETFD, 0);
	if (p->tool_w >= 0)
		fcntl(p->tool_w, F_SETFD, 0);
}

bool pool_put(struct token_pool *p)
{
	return p->put_fd >= 0 && write(p->put_fd, "+", 1) == 1;
}

bool pool_take(struct token_pool *p)
{
	char token;
	return p->unread_fd >= 0 && read(p->unread_fd, &token, 1) == 1;
}

unsigned pool_unread(const struct token_pool *p)
{
	int n = 0;
	return p->unread_fd >= 0 && ioctl(p->unread_fd, FIONREAD, &n) == 0 && n > 0 ? (unsigned)n : 0;
}

unsigned pool_back(struct token_pool *p)
{
	char tokens[4096];
	unsigned sum = 0;
	for (ssize_t n = sizeof tokens; p->back_fd >= 0 && n == (ssize_t)sizeof tokens;) {
		n = read(p->back_fd, tokens, sizeof tokens);
		sum += n > 0 ? (unsigned)n : 0;
	}
	return sum;
}

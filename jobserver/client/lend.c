#include "jobserver/client/lend.h"

#include "base/clock.h"
#include "base/mem.h"
#include "jobserver/client/cores.h"
#include "jobserver/client/makeflags.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_ANCESTORS = 32, JOBS_PER_CORE = 2 };

// The parent of `pid`, and whether its own name looks like make's; -1 if there is none.
static int parent_of(int pid, bool *is_make)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	if (n <= 0)
		return -1;
	text[n] = '\0';
	// "pid (name) state ppid": the name may hold anything, the last ')' ends it.
	char *open_at = strchr(text, '('), *close_at = strrchr(text, ')');
	int parent;
	if (!open_at || !close_at || close_at < open_at || sscanf(close_at + 1, " %*c %d", &parent) != 1)
		return -1;
	*close_at = '\0';
	*is_make = strstr(open_at + 1, "make") != NULL;
	return parent;
}

// Are descriptors r and w of `pid` the two ends of one pipe?
static bool has_pipe(int pid, int r, int w)
{
	char path[64], target[2][64];
	const int fds[2] = {r, w};
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fds[i]);
		ssize_t n = readlink(path, target[i], sizeof target[i] - 1);
		if (n <= 0)
			return false;
		target[i][n] = '\0';
	}
	return strncmp(target[0], "pipe:[", 6) == 0 && strcmp(target[0], target[1]) == 0;
}

static bool find_pipe(struct lend *l, const struct auth *a)
{
	int pid = getppid();
	for (int i = 0; i < MOST_ANCESTORS && pid > 1; i++) {
		bool is_make = false;
		int parent = parent_of(pid, &is_make);
		if (parent < 0)
			return false;
		if (is_make && has_pipe(pid, a->r, a->w)) {
			snprintf(l->reader, sizeof l->reader, "/proc/%d/fd/%d", pid, a->r);
			snprintf(l->writer, sizeof l->writer, "/proc/%d/fd/%d", pid, a->w);
			return true;
		}
		pid = parent;
	}
	return false;
}

bool lend_open(struct lend *l)
{
	*l = (struct lend)LEND_INIT;
	const char *flags = getenv("MAKEFLAGS"), *wish = getenv("COFFER_LEND");
	if (!flags || (wish && strcmp(wish, "0") == 0))
		return false;
	struct auth a = makeflags_auth(flags);
	int jobs = makeflags_jobs(flags);
	if (a.kind == AUTH_NONE || a.kind == AUTH_CLOSED || jobs < 1 || (unsigned)jobs > JOBS_PER_CORE * cores_available())
		return false;
	if (a.kind == AUTH_FDS)
		return find_pipe(l, &a);
	if (a.path_len >= sizeof l->reader)
		return false;
	memcpy(l->reader, a.path, a.path_len);
	l->reader[a.path_len] = '\0';
	memcpy(l->writer, l->reader, a.path_len + 1);
	return true;
}

// An own description of one end, which never blocks; -1 if there is nobody at the other end or it is no pipe.
static int open_end(const char *path, int how)
{
	int fd = open(path, how | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)))
		close(TAKE_FD(fd));
	return fd;
}

bool lend_put(const struct lend *l)
{
	int fd AUTO_CLOSE = l->writer[0] ? open_end(l->writer, O_WRONLY) : -1;
	return fd >= 0 && write(fd, "+", 1) == 1;
}

bool lend_take_back(const struct lend *l, int64_t limit_ms)
{
	int fd AUTO_CLOSE = open_end(l->reader, O_RDONLY);
	int64_t end = clock_ms() + limit_ms;
	while (fd >= 0) {
		char token;
		ssize_t n = read(fd, &token, 1);
		if (n == 1)
			return true;
		int64_t left = end - clock_ms();
		if (n == 0 || (errno != EAGAIN && errno != EINTR) || left <= 0)
			return false;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
	}
	return false;
}

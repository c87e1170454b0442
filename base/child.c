#include "base/child.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CHUNK = 16 * 1024,
	DEATH_MS = 5000, // a killed process is gone before long, unless it stands in the kernel
	NO_PIDFD_MS = 5,
};

struct pipes {
	int out[2], errs[2], failed[2]; // `failed` carries the errno of a failed exec
};

static void close_pair(int p[2])
{
	for (int i = 0; i < 2; i++)
		mem_close_cleanup(&p[i]);
}

static void pipes_close(struct pipes *p)
{
	close_pair(p->out);
	close_pair(p->errs);
	close_pair(p->failed);
}

// Runs in the child between fork and exec: only async-signal-safe calls.
static _Noreturn void become(const struct child *c, const struct pipes *p)
{
	setpgid(0, 0);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (c->nice)
		setpriority(PRIO_PROCESS, 0, c->nice);
	int null = open("/dev/null", O_RDONLY);
	if ((c->cwd_fd < 0 || fchdir(c->cwd_fd) == 0) && null >= 0 && dup2(null, 0) >= 0 && dup2(p->out[1], 1) >= 0 &&
	    dup2(p->errs[1], 2) >= 0 && dup3(p->failed[1], 3, O_CLOEXEC) >= 0) {
		syscall(SYS_close_range, 4, ~0U, 0); // the C library of the launcher has no function for it
		execve(c->program ? c->program : c->argv[0], (char *const *)(uintptr_t)c->argv,
		       c->envp ? (char *const *)(uintptr_t)c->envp : environ);
	}
	int e = errno;
	(void)!write(3, &e, sizeof e);
	_exit(127);
}

// Reads what is there; 1 while the stream is open, 0 at its end, -1 past the limit.
static int drain(int *fd, struct buf *b, size_t max)
{
	ssize_t n = read(*fd, buf_room(b, CHUNK), CHUNK);
	if (n > 0)
		buf_grew(b, (size_t)n);
	if (n <= 0) {
		close(TAKE_FD(*fd));
		return 0;
	}
	return b->len > max ? -1 : 1;
}

static int collect(struct child *c, struct pipes *p, int64_t end, struct err *err)
{
	while (p->out[0] >= 0 || p->errs[0] >= 0) {
		struct pollfd fds[2] = {{.fd = p->out[0], .events = POLLIN}, {.fd = p->errs[0], .events = POLLIN}};
		int64_t left = (end - clock_ns()) / 1000000;
		int n = left > 0 ? poll(fds, 2, (int)left) : 0;
		if (n == 0)
			return err_set(err, ERR_TIMEOUT, "'%s' did not end within %d ms", c->argv[0], c->time_limit_ms);
		if ((fds[0].revents && drain(&p->out[0], &c->out, c->max_output) < 0) ||
		    (fds[1].revents && drain(&p->errs[0], &c->errs, c->max_output) < 0))
			return err_set(err, ERR_LIMIT, "'%s' printed more than %zu bytes", c->argv[0], c->max_output);
	}
	return 0;
}

// Whether the child ends within the time; then it is reaped. -1: it is no child of ours.
static int has_ended(pid_t pid, int process, int within_ms, int *status, struct rusage *usage)
{
	int64_t end = clock_ns() + (int64_t)within_ms * 1000000;
	for (;;) {
		pid_t ended = wait4(pid, status, WNOHANG, usage);
		if (ended == pid)
			return 1;
		if (ended < 0 && errno != EINTR)
			return -1;
		int64_t left = (end - clock_ns()) / 1000000;
		if (left <= 0)
			return 0;
		struct pollfd p = {.fd = process, .events = POLLIN};
		poll(&p, 1, process < 0 && left > NO_PIDFD_MS ? NO_PIDFD_MS : (int)left);
	}
}

int child_wait_usage(pid_t pid, int limit_ms, int *status, struct rusage *usage)
{
	int unused;
	AUTO_CLOSE int process = (int)syscall(SYS_pidfd_open, pid, 0); // before Linux 5.3 there is none
	int ended = has_ended(pid, process, limit_ms, status ? status : &unused, usage);
	if (ended != 0)
		return ended;
	if (kill(-pid, SIGKILL) < 0)
		kill(pid, SIGKILL);
	return has_ended(pid, process, DEATH_MS, status ? status : &unused, usage) == 1 ? 0 : -1;
}

int child_wait(pid_t pid, int limit_ms, int *status)
{
	return child_wait_usage(pid, limit_ms, status, NULL);
}

int child_run(struct child *c, struct err *err)
{
	struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}};
	c->out = (struct buf){.max = c->max_output + CHUNK};
	c->errs = (struct buf){.max = c->max_output + CHUNK};
	if (pipe2(p.out, O_CLOEXEC) < 0 || pipe2(p.errs, O_CLOEXEC) < 0 || pipe2(p.failed, O_CLOEXEC) < 0) {
		pipes_close(&p);
		return err_errno(err, "cannot make a pipe");
	}
	pid_t pid = fork();
	if (pid == 0)
		become(c, &p);
	close(TAKE_FD(p.out[1]));
	close(TAKE_FD(p.errs[1]));
	close(TAKE_FD(p.failed[1]));
	int64_t end = clock_ns() + (int64_t)c->time_limit_ms * 1000000;
	int rc = pid < 0 ? err_errno(err, "cannot fork") : collect(c, &p, end, err);
	// It may have closed its streams and go on.
	int64_t left = rc == 0 ? (end - clock_ns()) / 1000000 : 0;
	if (pid > 0 && child_wait(pid, left > 0 ? (int)left : 0, &c->status) < 1 && rc == 0)
		rc = err_set(err, ERR_TIMEOUT, "'%s' did not end within %d ms", c->argv[0], c->time_limit_ms);
	int failed;
	if (rc == 0 && read(p.failed[0], &failed, sizeof failed) == sizeof failed) {
		errno = failed;
		rc = err_errno(err, "cannot run '%s'", c->program ? c->program : c->argv[0]);
	}
	pipes_close(&p);
	return rc;
}

void child_release(struct child *c)
{
	buf_release(&c->out);
	buf_release(&c->errs);
}

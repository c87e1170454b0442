#include "worker/runtime/process_ops.h"

#include "base/child.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_FD = 3, MAX_FDS = 16, START_MS = 30000 };

static const char *const op_names[] = {
	[OP_WRITE] = "write",
	[OP_PRIVATE] = "private mounts",
	[OP_ROOT] = "tmpfs for the root",
	[OP_DIRECTORY] = "mkdir",
	[OP_FILE] = "create",
	[OP_LINK] = "symlink",
	[OP_BIND] = "bind",
	[OP_PIVOT] = "pivot_root",
	[OP_READ_ONLY] = "read-only root",
	[OP_HOSTNAME] = "sethostname",
	[OP_USER] = "setresuid",
	[OP_UNSHARE] = "unshare",
};

void ops_add(struct ops *o, enum op_kind kind, const char *a, const char *b, uint64_t flags)
{
	if (o->n == o->cap) {
		o->cap = o->cap ? 2 * o->cap : 64;
		o->all = mem_realloc(o->all, o->cap * sizeof *o->all);
	}
	o->all[o->n++] = (struct op){.kind = kind,
				     .a = a ? arena_strdup(&o->arena, a) : NULL,
				     .b = b ? arena_strdup(&o->arena, b) : NULL,
				     .flags = flags,
				     .fd = -1};
}

void ops_add_write(struct ops *o, int directory, const char *file, const char *text)
{
	ops_add(o, OP_WRITE, file, text, 0);
	o->all[o->n - 1].fd = directory;
}

void ops_release(struct ops *o)
{
	arena_release(&o->arena);
	free(o->all);
	*o = (struct ops){.n = 0};
}

// ---- in the child: system calls only --------------------------------------------------------------------------------

static int write_text(int directory, const char *file, const char *text)
{
	int fd = openat(directory, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static int make_root(const char *on)
{
	if (mount("tmpfs", on, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m,nr_inodes=4096,mode=0755") < 0)
		return -1;
	return chdir(on);
}

static int bind_at(const struct op *op)
{
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, op->b, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	struct mount_attr attr = {.attr_set = op->flags, .propagation = MS_PRIVATE};
	int rc = tree;
	if (rc >= 0)
		rc = (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr);
	if (rc >= 0)
		rc = (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, op->a, MOVE_MOUNT_F_EMPTY_PATH);
	return rc;
}

static int pivot(void)
{
	// The old root ends up on top of the new one, and is taken away.
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -1;
	return chdir("/");
}

static int become_user(uint64_t id)
{
	// By system call: the library's functions would tell other threads, which do not exist here.
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, id, id, id) < 0 ||
	    syscall(SYS_setresuid, id, id, id) < 0)
		return -1;
	return prctl(PR_SET_DUMPABLE, 1); // changing the user has taken that away
}

static int carry_out(const struct op *op)
{
	switch (op->kind) {
	case OP_WRITE:
		return write_text(op->fd, op->a, op->b);
	case OP_PRIVATE:
		return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	case OP_ROOT:
		return make_root(op->a);
	case OP_DIRECTORY:
		return mkdir(op->a, 0755);
	case OP_FILE:
		return mknod(op->a, S_IFREG | 0644, 0);
	case OP_LINK:
		return symlink(op->b, op->a);
	case OP_BIND:
		return bind_at(op);
	case OP_PIVOT:
		return pivot();
	case OP_READ_ONLY: {
		struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
		return (int)syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof attr);
	}
	case OP_HOSTNAME:
		return sethostname(op->a, strlen(op->a)) < 0 ? -1 : setdomainname("", 0);
	case OP_USER:
		return become_user(op->flags);
	case OP_UNSHARE:
		return (int)syscall(SYS_unshare, op->flags);
	}
	errno = EINVAL;
	return -1;
}

// The descriptors that the program gets, then ours for the report, then the program. By system call: a sanitizer would take
// them for the parent's.
static int arrange_descriptors(const struct start *s, int *report, int *program)
{
	int moved[MAX_FDS + 2];
	size_t n = 0;
	for (; n < s->n_fds; n++) {
		moved[n] = s->fds[n] < 0 ? -1 : fcntl(s->fds[n], F_DUPFD_CLOEXEC, 256);
		if (moved[n] < 0 && s->fds[n] >= 0)
			return -1;
	}
	moved[n++] = fcntl(*report, F_DUPFD_CLOEXEC, 256);
	moved[n++] = fcntl(s->program, F_DUPFD_CLOEXEC, 256);
	int null = fcntl(open("/dev/null", O_RDONLY | O_CLOEXEC), F_DUPFD_CLOEXEC, 256);
	if (moved[n - 1] < 0 || moved[n - 2] < 0 || null < 0 || syscall(SYS_dup3, null, 0, 0) < 0 ||
	    syscall(SYS_dup3, 2, 1, 0) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int to = FIRST_FD + (int)i;
		if (moved[i] < 0)
			syscall(SYS_close, to);
		else if (syscall(SYS_dup3, moved[i], to, i + 2 < n ? 0 : O_CLOEXEC) < 0)
			return -1;
	}
	*report = FIRST_FD + (int)n - 2;
	*program = FIRST_FD + (int)n - 1;
	return (int)syscall(SYS_close_range, FIRST_FD + (unsigned)n, ~0U, 0);
}

struct process_report {
	int op; // -1: the program itself; -2: its descriptors
	int error;
};

static _Noreturn void give_up(int report, int op)
{
	struct process_report r = {op, errno};
	(void)!write(report, &r, sizeof r);
	_exit(127);
}

static void reset_signals(void)
{
	// By system call: the library's functions take a lock in newer versions, which another thread may have held when this
	// process was cloned, and nobody will give back here. Zeros are the kernel's form of SIG_DFL and of an empty set.
	static const char default_action[64], none[8];
	for (int i = 1; i < NSIG; i++)
		syscall(SYS_rt_sigaction, i, default_action, NULL, sizeof none); // some can't be changed, which is fine
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, sizeof none);
}

static _Noreturn void become(const struct start *s, int report)
{
	static char *no_environment[] = {NULL};
	reset_signals();
	setpgid(0, 0);
	// Else /proc/self belongs to root, and what an ordinary user has to write there can't be written. A worker that has
	// been root before, as many services, is not.
	prctl(PR_SET_DUMPABLE, 1);
	for (size_t i = 0; i < s->ops->n; i++)
		if (carry_out(&s->ops->all[i]) < 0)
			give_up(report, (int)i);
	int program;
	if (arrange_descriptors(s, &report, &program) < 0)
		give_up(report, -2);
	syscall(SYS_execveat, program, "", s->arguments, no_environment, AT_EMPTY_PATH);
	give_up(report, -1);
}

// ---- in the parent --------------------------------------------------------------------------------------------------

static int explain(const struct start *s, const struct process_report *r, struct err *err)
{
	errno = r->error;
	if (r->op < 0)
		return err_errno(err, "cannot set up %s: %s", s->what, r->op == -1 ? "exec of the agent" : "descriptors");
	const struct op *op = &s->ops->all[r->op];
	const char *subject = op->kind == OP_BIND ? op->b : op->a;
	if (subject)
		return err_errno(err, "cannot set up %s: %s '%s'", s->what, op_names[op->kind], subject);
	return err_errno(err, "cannot set up %s: %s", s->what, op_names[op->kind]);
}

// A report, or the end of the pipe by exec. Not for ever: whoever starts a process holds up others.
static bool has_news(int fd)
{
	int64_t end = clock_ms() + START_MS;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = end - clock_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n > 0 || (n == 0 && left <= 0))
			return n > 0;
		if (n < 0 && errno != EINTR)
			return true; // read() says what is wrong
	}
}

int start_process(const struct start *s, pid_t *pid, struct err *err)
{
	int pipe_fds[2];
	if (s->n_fds > MAX_FDS)
		return err_set(err, ERR_LIMIT, "more than %d descriptors", MAX_FDS);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_errno(err, "cannot set up %s: pipe", s->what);
	// No signal handler of ours may run in the child.
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t child = (pid_t)syscall(SYS_clone, s->clone_flags | SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		become(s, pipe_fds[1]);
	int error = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(pipe_fds[1]);
	struct process_report r = {0, 0};
	ssize_t n = 0;
	bool is_late = child > 0 && !has_news(pipe_fds[0]);
	if (child > 0 && !is_late)
		do
			n = read(pipe_fds[0], &r, sizeof r);
		while (n < 0 && errno == EINTR);
	close(pipe_fds[0]);
	if (child < 0) {
		errno = error;
		return err_errno(err, "cannot set up %s: clone", s->what);
	}
	if (n == 0 && !is_late) {
		*pid = child;
		return 0;
	}
	child_wait(child, 0, NULL);
	if (is_late)
		return err_set(err, ERR_TIMEOUT, "cannot set up %s: it took more than %d ms", s->what, START_MS);
	return explain(s, &r, err);
}

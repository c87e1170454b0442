#include "observe/observe.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/file.h"
#include "base/map.h"
#include "base/path.h"
#include "observe/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_PATH = 4096, MAX_MAPS = 64 << 10, KILL_AGAIN_MS = 20 };
#define OPTIONS                                                                                                        \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | \
	 PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)

// One thread of the command.
struct tracee {
	pid_t pid; // 0: free
	// The call that it is in, if its result counts.
	struct look *pending[2];
};

struct run {
	struct observe *o;
	struct arena *a;
	struct err *err;
	struct map known; // path -> struct look
	unsigned cap;
	size_t bytes;
	bool failed; // err is set: all are killed
	int rc;
	struct sock_fprog filter;
	pid_t first;
	struct tracee tracees[OBSERVE_MAX_PROCESSES];

	// Shared by the thread that traces and the caller's, which watches the time.
	pthread_mutex_t lock; // of the pids in `tracees` and of what follows
	pthread_cond_t ended;
	bool is_over, timed_out;
};

// ---- the tracees ----------------------------------------------------------------------------------------------------

static struct tracee *find(struct run *r, pid_t pid)
{
	for (size_t i = 0; i < COUNT_OF(r->tracees); i++)
		if (r->tracees[i].pid == pid)
			return &r->tracees[i];
	return NULL;
}

static struct tracee *enter(struct run *r, pid_t pid)
{
	struct tracee *t = find(r, pid);
	if (t)
		return t;
	pthread_mutex_lock(&r->lock);
	t = find(r, 0);
	if (t)
		*t = (struct tracee){.pid = pid};
	pthread_mutex_unlock(&r->lock);
	return t;
}

static void leave(struct run *r, pid_t pid)
{
	pthread_mutex_lock(&r->lock);
	struct tracee *t = find(r, pid);
	if (t)
		t->pid = 0;
	pthread_mutex_unlock(&r->lock);
}

// Under the lock. A process that is not waited for yet keeps its number.
static void kill_all(struct run *r)
{
	for (size_t i = 0; i < COUNT_OF(r->tracees); i++)
		if (r->tracees[i].pid)
			kill(r->tracees[i].pid, SIGKILL);
}

static void fail(struct run *r)
{
	if (r->failed)
		return;
	r->failed = true;
	pthread_mutex_lock(&r->lock);
	kill_all(r);
	pthread_mutex_unlock(&r->lock);
}

// ---- looks ----------------------------------------------------------------------------------------------------------

static struct look *add_look(struct run *r, const char *path, unsigned how)
{
	struct observe *o = r->o;
	size_t n = strlen(path);
	intptr_t at = (intptr_t)map_gets(&r->known, path);
	if (at) {
		o->looks[at - 1].how |= how;
		return &o->looks[at - 1];
	}
	if (o->n_looks >= OBSERVE_MAX_NAMES || r->bytes + n > OBSERVE_MAX_BYTES) {
		err_set(r->err, ERR_LIMIT, "'%s' looks at too many names to observe it", o->argv[0]);
		fail(r);
		return NULL;
	}
	if (o->n_looks == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 512;
		struct look *looks = arena_alloc(r->a, r->cap * sizeof *looks);
		if (o->n_looks)
			memcpy(looks, o->looks, o->n_looks * sizeof *looks);
		o->looks = looks;
	}
	r->bytes += n;
	struct look *look = &o->looks[o->n_looks++];
	*look = (struct look){.path = arena_strdup(r->a, path), .how = how, .error = -1};
	map_puts(&r->known, path, (void *)(intptr_t)o->n_looks);
	return look;
}

// Text of another process up to its final '\0'; a page at a time, since what follows may not be mapped.
static bool read_text(pid_t pid, uint64_t address, char out[MAX_PATH])
{
	enum { PAGE = 4096 };
	size_t n = 0;
	while (n < MAX_PATH) {
		size_t len = PAGE - (address + n) % PAGE;
		len = len < MAX_PATH - n ? len : MAX_PATH - n;
		struct iovec ours = {out + n, len}, theirs = {(void *)(uintptr_t)(address + n), len};
		ssize_t got = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);
		if (got <= 0)
			return false;
		if (memchr(out + n, '\0', (size_t)got))
			return true;
		n += (size_t)got;
	}
	return false;
}

// The name of what a descriptor of the process stands for; AT_FDCWD: of its working directory.
static bool read_link(pid_t pid, int fd, char out[MAX_PATH])
{
	char name[64];
	if (fd == AT_FDCWD)
		snprintf(name, sizeof name, "/proc/%d/cwd", pid);
	else
		snprintf(name, sizeof name, "/proc/%d/fd/%d", pid, fd);
	ssize_t n = readlink(name, out, MAX_PATH - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

// The absolute name that a call means; NULL: none (a descriptor that has a look already, a pipe, a name that can't be read).
static const char *name_of(struct run *r, struct arena *a, pid_t pid, int dir, uint64_t address)
{
	char name[MAX_PATH], from[MAX_PATH];
	if (!address) // statx(fd, NULL, …)
		return NULL;
	if (!read_text(pid, address, name)) {
		r->o->unclear = true; // or the command gets EFAULT
		return NULL;
	}
	if (!name[0])
		return NULL;
	if (name[0] == '/')
		return path_tidy(a, name);
	if (!read_link(pid, dir, from) || from[0] != '/')
		return NULL;
	return path_tidy(a, arena_printf(a, "%s/%s", from, name));
}

static bool writes(uint64_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
}

// O_PATH opens nothing to read, but what it finds is looked at all the same.
static unsigned how_of(struct run *r, const struct call *c, pid_t pid, const uint64_t args[6])
{
	uint64_t flags = c->flags >= 0 ? args[c->flags] : 0;
	switch (c->kind) {
	case CALL_OPEN_HOW: {
		struct open_how how = {0};
		struct iovec ours = {&how, sizeof how}, theirs = {(void *)(uintptr_t)flags, sizeof how};
		if (process_vm_readv(pid, &ours, 1, &theirs, 1, 0) != sizeof how)
			r->o->unclear = true;
		return writes(how.flags) ? LOOK_WRITE | LOOK_OPEN : LOOK_OPEN;
	}
	case CALL_OPEN:
		return writes(flags) ? LOOK_WRITE | LOOK_OPEN : LOOK_OPEN;
	case CALL_STAT_AT:
		return flags & AT_SYMLINK_NOFOLLOW ? LOOK_LSTAT : LOOK_STAT;
	case CALL_LSTAT:
		return LOOK_LSTAT;
	case CALL_LINK:
		return LOOK_LINK;
	case CALL_LIST:
		return LOOK_LIST;
	case CALL_RUN:
		return LOOK_RUN;
	case CALL_WRITE:
	case CALL_WRITE_2:
		return LOOK_WRITE;
	case CALL_STAT:
	case CALL_CHDIR:
		break;
	}
	return LOOK_STAT;
}

static void note(struct run *r, struct tracee *t, const char *path, unsigned how, int slot)
{
	struct look *look = path ? add_look(r, path, how) : NULL;
	// Only the first attempt counts: a name that was met before, in this way or another, needs no second stop.
	if (look && look->error == -1)
		t->pending[slot] = look;
}

// Before a call. True if its result is wanted.
static bool note_call(struct run *r, struct tracee *t, const struct __ptrace_syscall_info *info)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const uint64_t *args = info->seccomp.args;
	const struct call *c = call_find((int)info->seccomp.nr);
	t->pending[0] = t->pending[1] = NULL;
	if (!c || info->seccomp.nr >= 0x40000000) {
		r->o->unclear = true;
		return false;
	}
	unsigned how = how_of(r, c, t->pid, args);
	int dir = c->dir >= 0 ? (int)args[c->dir] : AT_FDCWD;
	if (c->kind == CALL_LIST) {
		char name[MAX_PATH];
		if (read_link(t->pid, dir, name) && name[0] == '/')
			note(r, t, name, how, 0);
	} else {
		note(r, t, name_of(r, &a, t->pid, dir, args[c->path]), how, 0);
	}
	if (c->kind == CALL_WRITE_2 && !r->failed)
		note(r, t, name_of(r, &a, t->pid, c->dir_2 >= 0 ? (int)args[c->dir_2] : AT_FDCWD, args[c->path_2]), how, 1);
	return t->pending[0] || t->pending[1];
}

// The list may have moved since `pending` was noted, so it is found again by its name.
static void note_result(struct run *r, struct tracee *t, int error)
{
	for (int i = 0; i < 2; i++) {
		if (!t->pending[i])
			continue;
		intptr_t at = (intptr_t)map_gets(&r->known, t->pending[i]->path);
		if (at && r->o->looks[at - 1].error == -1)
			r->o->looks[at - 1].error = error;
		t->pending[i] = NULL;
	}
}

// The kernel itself opens a program, the interpreter of a script, and the dynamic loader: the new program's memory shows them.
static void note_mapped(struct run *r, pid_t pid)
{
	AUTO_BUF struct buf maps = BUF_INIT;
	char name[64];
	snprintf(name, sizeof name, "/proc/%d/maps", pid);
	AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || file_read_fd(fd, MAX_MAPS, &maps, NULL) < 0 || !maps.data) {
		r->o->unclear = true;
		return;
	}
	char *save = NULL;
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *path = strchr(line, '/');
		struct look *look = path && !r->failed ? add_look(r, path, LOOK_RUN) : NULL;
		if (look && look->error == -1)
			look->error = 0;
	}
}

// ---- the stops ------------------------------------------------------------------------------------------------------

static bool at_call(struct run *r, struct tracee *t)
{
	struct __ptrace_syscall_info info;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof info, &info) < 0 || info.op != PTRACE_SYSCALL_INFO_SECCOMP) {
		r->o->unclear = true;
		return false;
	}
	return note_call(r, t, &info);
}

static void after_call(struct run *r, struct tracee *t)
{
	struct __ptrace_syscall_info info;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof info, &info) < 0 || info.op != PTRACE_SYSCALL_INFO_EXIT) {
		r->o->unclear = true;
		return;
	}
	note_result(r, t, info.exit.is_error ? (int)-info.exit.rval : 0);
}

static bool is_stopping(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void stopped(struct run *r, pid_t pid, int status)
{
	struct tracee *t = enter(r, pid);
	int sig = WSTOPSIG(status), event = status >> 16, deliver = 0;
	bool want_result = false;
	if (!t) {
		err_set(r->err, ERR_LIMIT, "'%s' has too many processes to observe it", r->o->argv[0]);
		fail(r);
	}
	if (r->failed) {
		kill(pid, SIGKILL); // one that was made before all were killed
	} else if (event == PTRACE_EVENT_SECCOMP) {
		want_result = at_call(r, t);
	} else if (event == PTRACE_EVENT_EXEC) {
		note_result(r, t, 0);
		note_mapped(r, pid);
	} else if (sig == (SIGTRAP | 0x80)) {
		after_call(r, t);
	} else if (event == 0 && !is_stopping(sig)) {
		deliver = sig;
	}
	// It may be dead by now, which is no matter.
	ptrace(want_result ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL, (void *)(intptr_t)deliver);
}

// Nothing that a command does to itself by a mistake: who sends it wants the process gone. But for KILL it may be the command itself,
// which ends what it has started, and then well.
static bool wants_end(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;
}

// Until there is no process of the command any more. Only children of this thread are waited for.
static void follow(struct run *r)
{
	bool was_killed = false, was_ended = false;
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL | __WNOTHREAD);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			break;
		if (WIFSTOPPED(status)) {
			stopped(r, pid, status);
			continue;
		}
		leave(r, pid);
		was_killed |= WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		was_ended |= WIFSIGNALED(status) && wants_end(WTERMSIG(status));
		if (pid == r->first)
			r->o->status = status;
	}
	r->o->killed = was_killed || (was_ended && r->o->status != 0);
}

// In the calling thread, while another one traces.
static void watch_time(struct run *r)
{
	int64_t end = clock_ms() + r->o->time_limit_ms;
	pthread_mutex_lock(&r->lock);
	while (!r->is_over) {
		if (cond_wait_until(&r->ended, &r->lock, end) || r->is_over)
			continue;
		// Again and again: a process that was just made is not known yet.
		r->timed_out = true;
		kill_all(r);
		end = clock_ms() + KILL_AGAIN_MS;
	}
	pthread_mutex_unlock(&r->lock);
}

// ---- the start ------------------------------------------------------------------------------------------------------

enum stage { STAGE_FILTER, STAGE_RUN };
struct trouble {
	enum stage stage;
	int error;
};

// In the child: async-signal-safe calls only.
static _Noreturn void become(const struct observe *o, const struct sock_fprog *filter, const int go[2], int failed)
{
	struct trouble trouble = {STAGE_FILTER, 0};
	char byte;
	sigset_t none;
	// Who observes may be killed before it has said go. Our own end of the pipe would keep us waiting for ever.
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(go[1]);
	if (read(go[0], &byte, 1) != 1)
		_exit(127);
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || (o->cwd_fd >= 0 && fchdir(o->cwd_fd) < 0) || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0 || dup3(failed, 3, O_CLOEXEC) < 0)
		_exit(127);
	close_range(4, ~0U, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter) == 0) {
		trouble.stage = STAGE_RUN;
		execve(o->program ? o->program : o->argv[0], (char *const *)(uintptr_t)o->argv,
		       (char *const *)(uintptr_t)o->envp);
	}
	trouble.error = errno;
	(void)!write(3, &trouble, sizeof trouble);
	_exit(127);
}

static int start(struct run *r, int go[2], int failed[2])
{
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
		return err_errno(r->err, "cannot make a pipe");
	r->first = fork();
	if (r->first == 0)
		become(r->o, &r->filter, go, failed[1]);
	close(TAKE_FD(failed[1]));
	if (r->first < 0)
		return err_errno(r->err, "cannot fork");
	enter(r, r->first);
	if (ptrace(PTRACE_SEIZE, r->first, NULL, (void *)(uintptr_t)OPTIONS) < 0) {
		int e = errno;
		kill(r->first, SIGKILL);
		waitpid(r->first, NULL, 0);
		leave(r, r->first);
		errno = e;
		err_errno(r->err, "no process can be traced here (ptrace)");
		if (r->err)
			r->err->code = ERR_ACCESS;
		return -1;
	}
	return write(go[1], "", 1) == 1 ? 0 : err_errno(r->err, "cannot start '%s'", r->o->argv[0]);
}

static int judge_trouble(struct run *r, int failed)
{
	struct trouble t;
	if (read(failed, &t, sizeof t) != sizeof t)
		return 0;
	errno = t.error;
	if (t.stage == STAGE_RUN)
		return err_errno(r->err, "cannot run '%s'", r->o->argv[0]);
	err_errno(r->err, "no system calls can be filtered here (seccomp)");
	if (r->err)
		r->err->code = ERR_ACCESS;
	return -1;
}

// A thread of its own: it waits for all of its children, and the caller may have others.
static void *trace(void *run)
{
	struct run *r = run;
	int go[2] = {-1, -1}, failed[2] = {-1, -1};
	r->rc = start(r, go, failed);
	follow(r);
	if (r->rc == 0)
		r->rc = judge_trouble(r, failed[0]);
	for (int i = 0; i < 2; i++) {
		mem_close_cleanup(&go[i]);
		mem_close_cleanup(&failed[i]);
	}
	pthread_mutex_lock(&r->lock);
	r->is_over = true;
	pthread_cond_signal(&r->ended);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int observe_run(struct observe *o, struct arena *a, struct err *err)
{
	struct sock_fprog filter;
	pthread_t tracer;
	if (!calls_filter(&filter)) {
		errno = EPERM;
		return err_errno(err, "the system calls of this kind of machine are not known");
	}
	struct run *r = mem_alloc(sizeof *r);
	*r = (struct run){.o = o, .a = a, .err = err, .filter = filter};
	cond_init(&r->ended);
	pthread_mutex_init(&r->lock, NULL);
	o->looks = NULL;
	o->n_looks = 0;
	o->unclear = o->killed = false;
	o->status = 0;
	int rc = -1;
	errno = pthread_create(&tracer, NULL, trace, r);
	if (errno) {
		err_errno(err, "cannot start a thread");
	} else {
		watch_time(r);
		pthread_join(tracer, NULL);
		rc = r->rc;
	}
	if (r->failed)
		rc = -1; // err says why
	else if (r->timed_out)
		rc = err_set(err, ERR_TIMEOUT, "'%s' did not end within %d ms", o->argv[0], o->time_limit_ms);
	map_release(&r->known);
	pthread_cond_destroy(&r->ended);
	pthread_mutex_destroy(&r->lock);
	mem_free_cleanup(&r);
	return rc;
}

bool observe_possible(struct err *err)
{
	static const char *const argv[] = {"/proc/self/exe", "--version", NULL}, *const env[] = {NULL};
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct observe o = {.argv = argv, .envp = env, .cwd_fd = -1, .time_limit_ms = 10000};
	return observe_run(&o, &a, err) == 0 && o.n_looks > 0;
}

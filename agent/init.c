#include "agent/init.h"

#include "agent/cgroups.h"
#include "agent/landlock.h"
#include "agent/root.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KILL_ROUNDS = 1000 };

unsigned long init_clone_flags(const struct agent *agent)
{
	return agent->is_sandbox ? CLONE_NEWNS | CLONE_NEWPID : 0;
}

// ---- the steps; each returns 0, or -1 with errno ----------------------------------------------------------------------

static int join_cgroup(struct init *in)
{
	return cgroups_join(in->agent, in->request->slot);
}

static int enter_directory(const struct spawn_request *r)
{
	return *r->directory ? chdir(r->directory) : 0;
}

// The agent has made the file system and written the source; here it gets its place, which only this job sees.
static int mount_scratch(struct init *in)
{
	if (syscall(SYS_move_mount, in->fds[SPAWN_SCRATCH], "", AT_FDCWD, GUEST_SCRATCH, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -1;
	if (!in->request->is_root)
		return chdir(GUEST_WORK_DIR) < 0 ? -1 : enter_directory(in->request);
	return root_enter(&in->root) < 0 ? -1 : enter_directory(in->request);
}

static int enter_scratch(struct init *in)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	return fchdir(in->fds[SPAWN_SCRATCH]) < 0 || chdir(GUEST_WORK) < 0 ? -1 : enter_directory(in->request);
}

// A user namespace without any mapping: nothing that the job does has power over the session's namespaces, and the
// kernel counts its processes by themselves (RLIMIT_NPROC is by user and namespace).
static int leave_user(struct init *in)
{
	(void)in;
	return unshare(CLONE_NEWUSER);
}

static int set_limit(int resource, uint64_t soft, uint64_t hard)
{
	struct rlimit had;
	if (getrlimit((__rlimit_resource_t)resource, &had) < 0)
		return -1;
	struct rlimit want = {soft, hard};
	if (want.rlim_max > had.rlim_max)
		want.rlim_max = had.rlim_max;
	if (want.rlim_cur > want.rlim_max)
		want.rlim_cur = want.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &want);
}

static int set_limits(struct init *in)
{
	const struct spawn_request *r = in->request;
	const struct {
		int resource;
		uint64_t soft, hard;
	} all[] = {
		{RLIMIT_CPU, r->cpu_s, (uint64_t)r->cpu_s + 1}, // first SIGXCPU, then SIGKILL
		{RLIMIT_AS, r->memory_bytes, r->memory_bytes},
		{RLIMIT_NOFILE, r->files, r->files},
		{RLIMIT_FSIZE, r->file_bytes, r->file_bytes},
		{RLIMIT_STACK, 8 << 20, RLIM_INFINITY}, // compilers raise theirs; the address space bounds it
		{RLIMIT_CORE, 0, 0},
		{RLIMIT_MEMLOCK, 0, 0},
		{RLIMIT_MSGQUEUE, 0, 0},
		{RLIMIT_NICE, 0, 0},
		{RLIMIT_RTPRIO, 0, 0},
	};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (set_limit(all[i].resource, all[i].soft, all[i].hard) < 0)
			return -1;
	// Without a namespace of its own it would count everything of this user, other jobs and the worker too. This process
	// is one more.
	return in->agent->is_sandbox ? set_limit(RLIMIT_NPROC, (uint64_t)r->processes + 1, (uint64_t)r->processes + 1) : 0;
}

// Leaves nothing open but 0, 1 and 2. No terminal, either.
static int set_descriptors(struct init *in)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int moved[] = {null, in->fds[SPAWN_OUT], in->fds[SPAWN_ERR]};
	for (int i = 0; i < 3; i++) {
		// Out of the way first: they may be 0, 1 or 2 themselves.
		moved[i] = moved[i] < 0 ? -1 : fcntl(moved[i], F_DUPFD_CLOEXEC, 3);
		if (moved[i] < 0)
			return -1;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(moved[i], i) < 0)
			return -1;
	if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
		return -1;
	umask(022);
	return setsid() < 0 ? -1 : 0;
}

static int drop_capabilities(struct init *in)
{
	unsigned long locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			       SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
			       SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	if (in->agent->is_sandbox) {
		if (prctl(PR_SET_SECUREBITS, locked) < 0)
			return -1;
		for (unsigned long cap = 0; cap < 64; cap++)
			if (prctl(PR_CAPBSET_DROP, cap) < 0 && errno != EINVAL)
				return -1;
		struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
		struct __user_cap_data_struct none[2] = {{0}, {0}};
		if (syscall(SYS_capset, &head, none) < 0)
			return -1;
	}
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int restrict_files(struct init *in)
{
	// Directories of outputs are below the top of the root.
	const char **writable = mem_alloc((in->root.n_writable + 1) * sizeof *writable);
	for (unsigned i = 0; i < in->root.n_writable; i++)
		writable[i] = mem_printf("/%s", in->root.writable[i]);
	return landlock_apply(in->agent->landlock_abi, in->request->is_tree, writable);
}

static int filter_calls(struct init *in)
{
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &in->agent->filter);
}

struct step {
	enum agent_stage stage;
	int (*run)(struct init *in);
};
// What needs a descriptor comes before they are closed, what needs a capability before those are dropped, and what needs
// a system call that jobs may not make before the filter.
static const struct step sandbox_steps[] = {
	{STAGE_CGROUP, join_cgroup},      {STAGE_SCRATCH, mount_scratch},       {STAGE_USER, leave_user},
	{STAGE_LIMITS, set_limits},       {STAGE_DESCRIPTORS, set_descriptors}, {STAGE_CAPABILITIES, drop_capabilities},
	{STAGE_LANDLOCK, restrict_files}, {STAGE_SECCOMP, filter_calls},
};
static const struct step process_steps[] = {
	{STAGE_CGROUP, join_cgroup},          {STAGE_SCRATCH, enter_scratch},          {STAGE_LIMITS, set_limits},
	{STAGE_DESCRIPTORS, set_descriptors}, {STAGE_CAPABILITIES, drop_capabilities},
};

// ---- the program ----------------------------------------------------------------------------------------------------

struct environment {
	char tmpdir[300], pwd[310];
	char *words[8];
	const char *path; // where programs are looked up
};

// The same for every job everywhere, so that results depend on the job alone. In UTF-8, as most people's terminals are.
static void fill_environment(struct environment *e, const struct spawn_request *r)
{
	static char path[] = "PATH=" GUEST_PATH, locale[] = "LC_ALL=C.UTF-8", zone[] = "TZ=UTC",
		    home[] = "HOME=/nonexistent";
	snprintf(e->tmpdir, sizeof e->tmpdir, "TMPDIR=%s", r->scratch);
	snprintf(e->pwd, sizeof e->pwd, "PWD=%s/" GUEST_WORK, r->scratch);
	char *words[] = {path, locale, zone, home, e->tmpdir, e->pwd, NULL};
	memcpy(e->words, words, sizeof words);
	e->path = GUEST_PATH;
}

static bool is_variable(const char *word, const char *other)
{
	size_t n = strcspn(word, "=") + 1;
	return strncmp(word, other, n) == 0;
}

// An action's own variables count before ours. NULL-terminated, to free().
static char **join_environment(struct environment *e, char *const *own, unsigned n)
{
	char **all = mem_alloc((n + COUNT_OF(e->words)) * sizeof *all);
	unsigned used = 0;
	for (; used < n; used++) {
		all[used] = own[used];
		if (is_variable("PATH=", own[used]))
			e->path = own[used] + strlen("PATH=");
	}
	for (char **word = e->words; *word; word++) {
		bool is_there = false;
		for (unsigned i = 0; i < n && !is_there; i++)
			is_there = is_variable(*word, own[i]);
		if (!is_there)
			all[used++] = *word;
	}
	return all;
}

// The program's file, as PATH says; the name itself if it is in none of its directories.
static const char *find_program(const char *name, const char *path, char *file, size_t room)
{
	if (strchr(name, '/'))
		return name;
	for (const char *at = path; *at;) {
		int n = (int)strcspn(at, ":");
		if (snprintf(file, room, "%.*s/%s", n, at, name) < (int)room && access(file, X_OK) == 0)
			return file;
		at += n + (at[n] == ':');
	}
	return name;
}

static pid_t start_program(struct init *in)
{
	struct environment e = {.words = {NULL}};
	char file[4096];
	sigset_t none, all;
	posix_spawnattr_t attr;
	pid_t pid = -1;
	fill_environment(&e, in->request);
	char **words = join_environment(&e, in->environment, in->request->n_environment);
	sigemptyset(&none);
	sigfillset(&all);
	in->slot->stage = STAGE_PROGRAM;
	in->slot->start_ns = clock_ns();
	int error = posix_spawnattr_init(&attr);
	if (error == 0)
		error = posix_spawnattr_setsigmask(&attr, &none);
	// What the agent ignores, its jobs must not.
	if (error == 0)
		error = posix_spawnattr_setsigdefault(&attr, &all);
	// A process group for it, by which most of a tree can be killed at once.
	if (error == 0)
		error = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	if (error == 0)
		error = posix_spawn(&pid, find_program(in->arguments[0], e.path, file, sizeof file), NULL, &attr,
				    in->arguments, words);
	in->slot->error = error;
	if (error == 0)
		in->slot->stage = STAGE_RUNNING;
	return error ? -1 : pid;
}

// Sleeps until the program has ended (true), its time is over or we are told to stop (false). Reaps what is orphaned
// meanwhile.
static bool wait_program(struct init *in, pid_t program, const sigset_t *awaited)
{
	int64_t end = in->slot->start_ns + (int64_t)in->request->wall_ms * 1000000;
	for (;;) {
		int status;
		for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
			if (pid == program) {
				in->slot->status = status;
				in->slot->stage = STAGE_ENDED;
				return true;
			}
		int64_t now = clock_ns();
		if (now >= end) {
			in->slot->is_timed_out = true;
			return false;
		}
		struct timespec left = {(time_t)((end - now) / 1000000000), (long)((end - now) % 1000000000)};
		if (sigtimedwait(awaited, NULL, &left) == SIGTERM)
			return false;
	}
}

// The children that /proc knows of; -1 where it does not say.
static int kill_children(void)
{
	char text[4096];
	AUTO_CLOSE int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n < 0)
		return -1;
	text[n] = '\0';
	int killed = 0;
	char *end;
	for (char *at = text; strtol(at, &end, 10) > 0 && end != at && *end == ' '; at = end, killed++)
		kill((pid_t)strtol(at, NULL, 10), SIGKILL);
	return killed;
}

bool init_kill_tree(void)
{
	// Children of the killed become ours, and come with the next round. What forks all the time may outrun this for a
	// while.
	for (int round = 0; round < KILL_ROUNDS; round++) {
		int n = kill_children();
		if (n == 0)
			return true;
		pid_t pid;
		while ((pid = waitpid(-1, NULL, n > 0 ? 0 : WNOHANG)) > 0 && --n > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return true;
		if (n < 0)
			return false;
	}
	return false;
}

_Noreturn void init_run(struct init *in)
{
	const struct step *steps = in->agent->is_sandbox ? sandbox_steps : process_steps;
	size_t n = in->agent->is_sandbox ? COUNT_OF(sandbox_steps) : COUNT_OF(process_steps);
	sigset_t awaited;
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	// In a sandbox the agent kills us at once, and what the job sends to its PID 1 is ignored.
	if (!in->agent->is_sandbox)
		sigaddset(&awaited, SIGTERM);
	sigprocmask(SIG_SETMASK, &awaited, NULL);
	for (size_t i = 0; i < n; i++) {
		in->slot->stage = steps[i].stage;
		if (steps[i].run(in) < 0) {
			in->slot->error = errno;
			_exit(1);
		}
	}
	pid_t program = start_program(in);
	// The program's end of the pipes is its own now; the reader's end of file must not depend on us.
	syscall(SYS_close_range, 0, 2, 0);
	if (program > 0)
		wait_program(in, program, &awaited);
	if (!in->agent->is_sandbox) {
		if (program > 0)
			kill(-program, SIGKILL); // most of it at once
		in->slot->has_more = !init_kill_tree();
	}
	// In a sandbox: the kernel kills and reaps whatever is left in this namespace before we are gone.
	_exit(0);
}

// The compile in our hands: start the compiler as the daemon wants it, pass on what it prints and the signals that we get,
// report, and end as it ended. The daemon may die at any time in here without any effect on the compile.
#include "client/launcher/launcher.h"
#include "client/launcher/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	DEPFILE_FD = 100, // the compiler's depfile gets a number from here on, out of the way of a jobserver's
	RELEASE_S = 5,
	// A signal that somebody sent us: when the compiler is looked at, how often again, and when it is told in any case.
	SIGNAL_LOOK_MS = 10,
	SIGNAL_TELL_MS = 1000,
};

struct run {
	struct launch *launch;
	struct wire_run order;
	struct output_stream out, errs;
	int depfiles[2]; // RUN_DEPFILE, RUN_ASM_DEPFILE; -1 if not asked for
	char **env;

	sigset_t user_mask;         // as we were started
	bool masked, child_ignored; // whether ours is in place; whether SIGCHLD was ignored
	int signals;                // signalfd

	pid_t child; // 0: none, or it has ended
	int status;
	int exec_errno;
	bool told_to_end;   // a signal that ends compiles came
	uint64_t to_tell;   // bit N: signal N came, and the compiler may not have it
	uint64_t signal_us; // when the first of these came
	uint64_t start_ns, start_us, wall_us;
};

static uint64_t clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

// ---- before -------------------------------------------------------------------------------------------------------

// A memory file under a name that the compiler can open. The descriptor is inherited, see become_compiler.
static int open_depfile(struct run *r, uint32_t word)
{
	AUTO_CLOSE int file = memory_file();
	AUTO_CLOSE int fd = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, DEPFILE_FD);
	if (fd < 0)
		return -1;
	const char *name = arena_printf(&r->launch->arena, "/dev/fd/%d", fd);
	if (access(name, W_OK))
		return -1; // no /proc here
	r->order.argv[word] = arena_printf(&r->launch->arena, "%s%s", r->order.argv[word], name);
	return TAKE_FD(fd);
}

static int open_depfiles(struct run *r)
{
	const uint32_t words[2] = {r->order.depfile_word, r->order.asm_depfile_word};
	for (int i = 0; i < 2; i++)
		if ((r->order.flags & ((unsigned)RUN_DEPFILE << i)) && (r->depfiles[i] = open_depfile(r, words[i])) < 0)
			return -1;
	return 0;
}

// From here on signals wait for us in a descriptor, so that one poll waits for everything. SIGPIPE and SIGXFSZ are among
// them: a write that fails is seen by its error.
static int take_signals(struct run *r)
{
	static const int ours[] = {SIGCHLD, SIGPIPE, SIGXFSZ, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < COUNT_OF(ours); i++)
		sigaddset(&set, ours[i]);
	if (sigprocmask(SIG_BLOCK, &set, &r->user_mask))
		return -1;
	r->masked = true;
	struct sigaction old, ends = {.sa_handler = SIG_DFL};
	if (sigaction(SIGCHLD, &ends, &old)) // ignored, it would let the child vanish with its status
		return -1;
	r->child_ignored = old.sa_handler == SIG_IGN;
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signals < 0 ? -1 : 0;
}

static void give_signals_back(struct run *r)
{
	if (!r->masked)
		return;
	if (r->child_ignored)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, &r->user_mask, NULL);
	r->masked = false;
}

static int prepare(struct run *r, const struct wire_msg *order)
{
	struct launch *l = r->launch;
	uint64_t max;
	if (wire_get_run(&r->order, &l->arena, &order->payload, NULL))
		return -1;
	max = r->order.max_messages;
	r->env = launcher_compiler_environment(l, true);
	r->order.argv[0] = l->argv0;
	if (stream_open(&r->out, STDOUT_FILENO, l->tty & JOB_STDOUT_TTY, l->closed & 1u << STDOUT_FILENO, max) ||
	    stream_open(&r->errs, STDERR_FILENO, l->tty & JOB_STDERR_TTY, l->closed & 1u << STDERR_FILENO, max))
		return -1;
	return open_depfiles(r) || take_signals(r) ? -1 : 0;
}

// In the child, which shares our memory until it executes the compiler.
_Noreturn static void become_compiler(struct run *r)
{
	if ((r->out.child_end < 0 || dup2(r->out.child_end, STDOUT_FILENO) >= 0) &&
	    (r->errs.child_end < 0 || dup2(r->errs.child_end, STDERR_FILENO) >= 0)) {
		for (int i = 0; i < 2; i++)
			if (r->depfiles[i] >= 0)
				fcntl(r->depfiles[i], F_SETFD, 0);
		if (r->child_ignored)
			signal(SIGCHLD, SIG_IGN);
		sigprocmask(SIG_SETMASK, &r->user_mask, NULL);
		execve(r->launch->program, (char *const *)r->order.argv, r->env);
	}
	r->exec_errno = errno;
	_exit(127);
}

static int start(struct run *r)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	r->start_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	r->start_us = clock_us();
	// A fork would take longer than all the rest here. The child only makes system calls.
	pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork)
	if (child == 0)
		become_compiler(r); // NOLINT(clang-analyzer-unix.Vfork)
	if (child < 0)
		return -1;
	if (r->exec_errno) {
		waitpid(child, NULL, 0);
		return -1;
	}
	r->child = child;
	stream_started(&r->out);
	stream_started(&r->errs);
	return 0;
}

static void run_release(struct run *r)
{
	stream_release(&r->out);
	stream_release(&r->errs);
	for (int i = 0; i < 2; i++)
		if (r->depfiles[i] >= 0)
			close(r->depfiles[i]);
	if (r->signals >= 0)
		close(r->signals);
	give_signals_back(r);
}

// ---- meanwhile ----------------------------------------------------------------------------------------------------

static bool is_ignored(int sig)
{
	struct sigaction now;
	return sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void reap(struct run *r)
{
	pid_t ended = r->child ? waitpid(r->child, &r->status, WNOHANG) : 0;
	if (ended == 0)
		return;
	if (ended < 0)
		r->status = 1 << 8; // somebody else took its status: rather a failure than a hang
	r->wall_us = clock_us() - r->start_us;
	r->child = 0;
	r->to_tell = 0;
}

static void read_signals(struct run *r)
{
	struct signalfd_siginfo info;
	while (read(r->signals, &info, sizeof info) == sizeof info) {
		int sig = (int)info.ssi_signo;
		if (sig == SIGCHLD) {
			reap(r);
		} else if (sig != SIGPIPE && sig != SIGXFSZ && !is_ignored(sig)) {
			r->told_to_end = true;
			// What the kernel sends (a key, a hang-up of the terminal) the compiler has got, too.
			if (!r->child || info.ssi_code == SI_KERNEL)
				continue;
			if (!r->to_tell)
				r->signal_us = clock_us();
			r->to_tell |= UINT64_C(1) << sig;
		}
	}
}

// Who signals may mean us alone, or all of our process group. A compiler that removes its files because of the first signal
// must not get a second one: it would end before it is done. So it gets ours if it shows that it has none, or after a second.
static void pass_signals_on(struct run *r)
{
	uint64_t waited_ms = (clock_us() - r->signal_us) / 1000;
	if (waited_ms < SIGNAL_LOOK_MS)
		return; // the sender may not have come to the compiler yet
	for (int sig = 1; r->child && sig < 64; sig++) {
		uint64_t bit = UINT64_C(1) << sig;
		if (!(r->to_tell & bit) || (waited_ms < SIGNAL_TELL_MS && !launcher_signal_missed(r->child, sig)))
			continue;
		launcher_signal_tree(r->child, sig);
		r->to_tell &= ~bit;
	}
}

// Until the compiler has ended and what it printed is passed on. Where somebody else keeps its end of a stream open, what
// was printed so far is enough. Whoever was told to end does not wait for a reader.
static void pump(struct run *r)
{
	for (;;) {
		struct pollfd wants[3] = {
			stream_wants(&r->out), stream_wants(&r->errs), {.fd = r->signals, .events = POLLIN}};
		bool pending = stream_pending(&r->out) || stream_pending(&r->errs);
		bool more = r->child || (pending && !r->told_to_end);
		int n = poll(wants, 3, r->to_tell ? SIGNAL_LOOK_MS : more ? -1 : 0);
		if (n < 0)
			continue; // interrupted
		if (n == 0 && !more)
			return;
		if (wants[0].revents)
			stream_move(&r->out);
		if (wants[1].revents)
			stream_move(&r->errs);
		if (wants[2].revents)
			read_signals(r);
		if (r->to_tell)
			pass_signals_on(r);
	}
}

// ---- after --------------------------------------------------------------------------------------------------------

// Somebody whom the compiler left behind may still print: a process of ours stays behind, too, and passes it on. What it
// will be nobody knows, so what was kept is not all.
static void leave_streams(struct run *r, int sock)
{
	if (r->out.from < 0 && r->errs.from < 0)
		return;
	r->out.overflow = r->errs.overflow = true;
	if (r->told_to_end || fork() != 0)
		return;
	close(sock);
	give_signals_back(r);
	while (r->out.from >= 0 || r->errs.from >= 0 || stream_pending(&r->out) || stream_pending(&r->errs)) {
		struct pollfd wants[2] = {stream_wants(&r->out), stream_wants(&r->errs)};
		if (poll(wants, 2, -1) < 0 && errno != EINTR)
			break;
		if (wants[0].revents)
			stream_move(&r->out);
		if (wants[1].revents)
			stream_move(&r->errs);
	}
	_exit(0);
}

static void report(struct run *r, int sock)
{
	struct wire_result result = {
		.status = (uint32_t)r->status,
		.overflow = r->out.overflow || r->errs.overflow,
		.start_ns = r->start_ns,
		.wall_us = r->wall_us,
		.has = r->order.flags,
	};
	int fds[WIRE_MAX_FDS] = {r->out.kept, r->errs.kept};
	unsigned n_fds = 2;
	for (int i = 0; i < 2; i++)
		if (r->depfiles[i] >= 0)
			fds[n_fds++] = r->depfiles[i];
	AUTO_BUF struct buf payload = BUF_INIT;
	wire_put_result(&payload, &result);
	if (wire_send(sock, WIRE_RESULT, &payload, fds, n_fds, NULL))
		return;
	// The next step of the build may change what the daemon is about to read, and counts on its counters.
	const struct timeval limit = {.tv_sec = RELEASE_S};
	AUTO_MSG struct wire_msg released = WIRE_MSG_INIT;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	wire_recv(sock, &released, NULL);
}

int launcher_run_compiler(struct launch *l, int sock, const struct wire_msg *order)
{
	static struct run r;
	r = (struct run){.launch = l, .out = {.from = -1}, .depfiles = {-1, -1}, .signals = -1};
	r.out.child_end = r.out.kept = r.errs.from = r.errs.child_end = r.errs.kept = -1;
	if (prepare(&r, order) || start(&r)) {
		run_release(&r);
		return launcher_exec_compiler_lost(l);
	}
	pump(&r);
	leave_streams(&r, sock);
	read_signals(&r); // no SIGPIPE of ours is to stay pending
	give_signals_back(&r);
	report(&r, sock);
	launcher_end_as(r.status);
}

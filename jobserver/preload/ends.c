// What ninja makes of its commands' ends. Behind a gate it has started up to a thousand commands, most of which wait for a slot. A slot
// becomes free when ninja has seen the end of the command that had it and goes on, as without a gate; and when it goes on no
// more after a failure, those that wait are never run.
//
// Whether ninja goes on shows in what it calls. It is run with a -l that no machine reaches, so that it asks for the load
// whenever it could start something: between the end of a command (waitpid) and its next wait (ppoll) it has asked for the load or
// started a command, or else it starts nothing more. That holds for all its reasons to stop, and for every -k.
//
// Ninja knows nothing of commands that it has started and that were not run. When all the others have ended, these are killed, and what
// ninja says of them as failures is left out, but for its last words.
#include "jobserver/preload/preload.h"

#include "jobserver/client/lease.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 1 << 8 };

struct command {
	pid_t pid;
	bool is_console, is_stopped;
};

static struct command *commands; // those that ninja has not seen end
static size_t n_commands;
static pid_t *seen; // whose end it has seen, and has done nothing since
static size_t n_seen;

static enum { UNTRIED, SPEAKS, STOPPING, SILENT } state; // with the front end
static int server = -1;
static int last_failure = FAILED;

static int real_out = -1, captured = -1; // while ninja's output is kept back
static bool keeps_console;               // what is kept back has the output of others in front
static bool all_are_ended;               // that were started and are not to be run

// ---- the front end ----

static bool send_all(const uint8_t *p, size_t n)
{
	return send(server, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void fall_silent(void)
{
	if (server >= 0)
		close(server);
	server = -1;
	state = SILENT;
}

static void connect_to_server(void)
{
	const char *path = getenv("COFFER_JOBSERVER");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	uint8_t hello[LEASE_HELLO_SIZE];
	struct lease_hello theirs;
	state = SILENT;
	if (!path || strlen(path) >= sizeof addr.sun_path)
		return;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	lease_put_hello(hello, &(struct lease_hello){.role = LEASE_TOOL});
	if (server >= 0 && connect(server, (struct sockaddr *)&addr, sizeof addr) == 0 && send_all(hello, sizeof hello) &&
	    recv(server, hello, sizeof hello, MSG_WAITALL) == sizeof hello && lease_get_hello(&theirs, hello) &&
	    theirs.role == LEASE_SERVER)
		state = SPEAKS;
	else
		fall_silent();
}

static void tell(uint8_t what, pid_t pid)
{
	uint8_t msg[LEASE_TOOL_SIZE] = {what};
	lease_put_number(msg + 1, (uint32_t)pid);
	if (server >= 0 && !send_all(msg, sizeof msg))
		fall_silent();
}

static void tell_seen(void)
{
	for (size_t i = 0; i < n_seen; i++)
		tell(LEASE_MSG_DONE, seen[i]);
	n_seen = 0;
}

// ---- commands ----

static struct command *find(pid_t pid)
{
	for (size_t i = 0; i < n_commands; i++)
		if (commands[i].pid == pid)
			return &commands[i];
	return NULL;
}

void ends_started(pid_t pid, bool is_console)
{
	struct command *more = reallocarray(commands, n_commands + 1, sizeof *commands);
	pid_t *more_seen = reallocarray(seen, n_commands + n_seen + 1, sizeof *seen);
	commands = more ? more : commands;
	seen = more_seen ? more_seen : seen;
	if (!more || !more_seen) {
		fall_silent();
		return;
	}
	commands[n_commands++] = (struct command){.pid = pid, .is_console = is_console};
	tell_seen();
}

static bool only_stopped_are_left(void)
{
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].is_stopped)
			return false;
	return n_commands > 0;
}

// ---- what ninja says of commands that were not run ----

static void keep_output_back(void)
{
	fflush(stdout);
	captured = memfd_create("output", MFD_CLOEXEC);
	real_out = captured < 0 ? -1 : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	if (real_out >= 0)
		dup2(captured, STDOUT_FILENO);
}

static char *take_captured(size_t *n)
{
	fflush(stdout);
	off_t size = lseek(captured, 0, SEEK_END);
	char *text = size >= 0 ? malloc((size_t)size + 1) : NULL;
	ssize_t got = text ? pread(captured, text, (size_t)size, 0) : -1;
	*n = got > 0 ? (size_t)got : 0;
	if (text)
		text[*n] = '\0';
	if (ftruncate(captured, 0) < 0 || lseek(captured, 0, SEEK_SET) < 0)
		*n = 0;
	return text;
}

static void write_out(const char *p, size_t n)
{
	for (ssize_t got = 1; n && got > 0; p += got > 0 ? got : 0, n -= got > 0 ? (size_t)got : 0)
		got = write(real_out, p, n);
}

static const char *last_of(const char *text, const char *word)
{
	const char *found = NULL;
	for (const char *at = text; (at = strstr(at, word)); at++)
		found = at;
	return found;
}

// What was printed before the console's command failed is of others, which had to wait for it.
static void pass_on_others(const char *text)
{
	const char *own = last_of(text, "FAILED: ");
	while (own && own > text && own[-1] != '\n')
		own--;
	if (keeps_console && own)
		write_out(text, (size_t)(own - text));
	keeps_console = false;
}

static void forget_captured(void)
{
	size_t n;
	char *text = real_out >= 0 ? take_captured(&n) : NULL;
	if (text)
		pass_on_others(text);
	free(text);
}

// The console's command first: what ninja keeps until its end is of others, and would have the failures of the rest behind it.
static void end_stopped(void)
{
	bool has_console = false;
	for (size_t i = 0; i < n_commands; i++)
		has_console |= commands[i].is_console;
	if (real_out < 0)
		keep_output_back();
	for (size_t i = 0; i < n_commands; i++)
		if (!has_console || commands[i].is_console)
			kill(commands[i].pid, SIGKILL);
	all_are_ended = !has_console;
}

__attribute__((destructor)) static void say_last_words(void)
{
	static const char clear_line[] = "\r\033[K";
	size_t n;
	char *text = real_out >= 0 ? take_captured(&n) : NULL;
	if (!text)
		return;
	pass_on_others(text);
	const char *words = last_of(text, "\nninja: ");
	words = words ? words + 1 : text;
	if (isatty(real_out))
		write_out(clear_line, sizeof clear_line - 1);
	write_out(words, n - (size_t)(words - text));
	dup2(real_out, STDOUT_FILENO);
	free(text);
}

// ---- what ninja calls ----

SEEN_BY_ALL int getloadavg(double loads[], int n)
{
	int (*real)(double[], int);
	*(void **)&real = dlsym(RTLD_NEXT, "getloadavg");
	if (preload_gate && state == UNTRIED)
		connect_to_server();
	tell_seen();
	return real ? real(loads, n) : -1;
}

SEEN_BY_ALL pid_t waitpid(pid_t pid, int *status, int how)
{
	pid_t (*real)(pid_t, int *, int);
	*(void **)&real = dlsym(RTLD_NEXT, "waitpid");
	int own = 0;
	status = status ? status : &own;
	pid_t ended = real ? real(pid, status, how) : -1;
	struct command *c = ended > 0 ? find(ended) : NULL;
	if (!c)
		return ended;
	if (c->is_stopped) {
		forget_captured();
		keeps_console = c->is_console;
		*status = last_failure;
	} else {
		last_failure = WIFEXITED(*status) && *status ? *status : last_failure;
		seen[n_seen++] = ended;
	}
	*c = commands[--n_commands];
	return ended;
}

static void hear_of_stopped(void)
{
	uint8_t number[4];
	ssize_t n = recv(server, number, sizeof number, MSG_WAITALL);
	struct command *c = n == sizeof number ? find((pid_t)lease_get_number(number)) : NULL;
	if (c)
		c->is_stopped = true;
	else if (n != sizeof number)
		fall_silent();
}

// A ninja that waits here (those of CMake builds before 1.12) gets no news from us while it waits: it is left to itself.
SEEN_BY_ALL int pselect(int n, fd_set *reads, fd_set *writes, fd_set *others, const struct timespec *limit,
			const sigset_t *mask)
{
	int (*real)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);
	*(void **)&real = dlsym(RTLD_NEXT, "pselect");
	fall_silent();
	n_seen = 0;
	if (real)
		return real(n, reads, writes, others, limit, mask);
	errno = ENOSYS;
	return -1;
}

typedef int (*ppoll_fn)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);

// Waits for what ninja waits for, and for the front end. `all` has room for it behind them.
static int wait_for_both(ppoll_fn real, struct pollfd *all, nfds_t n, const struct timespec *limit, const sigset_t *mask)
{
	for (;;) {
		if (!all_are_ended && only_stopped_are_left())
			end_stopped();
		bool listens = state == STOPPING && real_out < 0;
		all[n] = (struct pollfd){.fd = server, .events = POLLIN};
		int ready = real(all, n + listens, limit, mask);
		if (ready <= 0 || !listens || !all[n].revents)
			return ready;
		hear_of_stopped();
		if (ready > 1)
			return ready - 1;
	}
}

SEEN_BY_ALL int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *limit, const sigset_t *mask)
{
	ppoll_fn real;
	*(void **)&real = dlsym(RTLD_NEXT, "ppoll");
	if (!real) {
		errno = ENOSYS;
		return -1;
	}
	if (state == SPEAKS && n_seen) {
		tell(LEASE_MSG_STOP, 0);
		state = state == SPEAKS ? STOPPING : state;
	}
	tell_seen();
	struct pollfd *all = state == STOPPING ? calloc(n + 1, sizeof *all) : NULL;
	if (!all)
		return real(fds, n, limit, mask);
	memcpy(all, fds, n * sizeof *all);
	int ready = wait_for_both(real, all, n, limit, mask);
	int e = errno;
	memcpy(fds, all, n * sizeof *all);
	free(all);
	errno = e;
	return ready;
}

// Starting the daemon: under a lock the launcher makes the listening socket and hands it to a detached cofferd, so that it,
// and whoever comes next, can connect at once and need not wait until the daemon is up.
#include "client/launcher/launcher.h"

#include "base/limits.h"
#include "client/wire/env_names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	LOG_MAX = 1 << 20,
	LOCK_TRIES = 400,
	LOCK_WAIT_MS = 5, // whoever holds the lock needs about a millisecond
	SOCKET_FD = 3,
	FREE_FD = 10, // above what the daemon gets
};

// The daemon lives long: it gets no passwords of the build, and nothing that is loaded into the build's programs.
static char **daemon_environment(struct arena *a)
{
	size_t n = 0, kept = 0;
	while (environ[n])
		n++;
	char **env = arena_alloc(a, (n + 1) * sizeof *env);
	for (size_t i = 0; i < n; i++)
		if (env_travels(environ[i]) && strncmp(environ[i], "LD_PRELOAD=", 11) != 0 &&
		    strncmp(environ[i], "LD_AUDIT=", 9) != 0)
			env[kept++] = environ[i];
	return env;
}

static int open_log(struct launch *l)
{
	const char *file = arena_printf(&l->arena, "%s/cofferd.log", l->place.dir);
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	if (fd >= 0 && (fstat(fd, &st) || (st.st_size > LOG_MAX && ftruncate(fd, 0)))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void close_from(int first)
{
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
		return;
	// Before Linux 5.9.
	DIR *d = opendir("/proc/self/fd");
	for (struct dirent *e; d && (e = readdir(d));) {
		int fd = atoi(e->d_name);
		if (fd >= first && fd != dirfd(d))
			close(fd);
	}
	if (d)
		closedir(d);
}

// A descriptor for a place below FREE_FD, from where it can be put to any other.
static int lift(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, FREE_FD);
}

_Noreturn static void become_daemon(const char *cofferd, char **env, bool is_elsewhere, int socket, int log)
{
	int null = lift(open("/dev/null", O_RDWR | O_CLOEXEC));
	socket = lift(socket);
	log = lift(log >= 0 ? log : null);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
	    dup2(socket, SOCKET_FD) < 0)
		_exit(1);
	close_from(SOCKET_FD + 1);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	limits_reset();
	umask(077);
	if (chdir("/"))
		_exit(1);
	const char *argv[] = {cofferd, "daemon", "--socket-fd", "3", is_elsewhere ? "--elsewhere" : NULL, NULL};
	execve(cofferd, (char *const *)argv, env);
	launcher_say("cannot execute '%s': %s", cofferd, strerror(errno)); // into the log
	_exit(1);
}

// Starts a daemon on a listening socket. Twice forked, it is nobody's child.
static int spawn_daemon(struct launch *l, const char *cofferd, int socket)
{
	char **env = daemon_environment(&l->arena);
	AUTO_CLOSE int log = open_log(l);
	pid_t child = fork();
	if (child < 0)
		return -1;
	if (child == 0) {
		setsid();
		pid_t daemon = fork();
		if (daemon == 0)
			become_daemon(cofferd, env, l->is_elsewhere, socket, log);
		_exit(daemon < 0);
	}
	int status = 0;
	while (waitpid(child, &status, 0) < 0)
		if (errno == ECHILD)
			return 0; // we were started with SIGCHLD ignored; if the fork failed, connecting will
		else if (errno != EINTR)
			return -1;
	return status ? -1 : 0;
}

// The caller holds the lock and nobody answers. A socket that its daemon never reads from would be a trap for the others:
// it closes with its last holder, and they find out when they connect.
static int start_daemon(struct launch *l)
{
	const char *cofferd = launcher_find_cofferd(&l->arena);
	if (!cofferd || access(cofferd, X_OK))
		return -1;
	mode_t old = umask(077);
	AUTO_CLOSE int socket = wire_listen(&l->place);
	int r = socket < 0 ? -1 : spawn_daemon(l, cofferd, socket);
	umask(old);
	return r ? -1 : wire_connect(&l->place);
}

static int connect_or_start(struct launch *l)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		struct err err = ERR_INIT;
		AUTO_CLOSE int lock = wire_lock(&l->place, &err);
		if (lock < 0 && err.code != ERR_TIMEOUT)
			return -1;
		int sock = wire_connect(&l->place);
		if (sock >= 0)
			return sock;
		if (lock >= 0)
			return start_daemon(l);
		nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_MS * 1000000}, NULL);
	}
	return -1;
}

int launcher_daemon_connect(struct launch *l)
{
	int sock = wire_connect(&l->place);
	if (sock < 0 && (errno == ENOENT || errno == ECONNREFUSED))
		sock = connect_or_start(l);
	if (sock >= 0 && wire_check_peer(sock, NULL)) {
		close(sock);
		return -1;
	}
	return sock;
}

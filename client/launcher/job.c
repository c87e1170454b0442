#include "client/launcher/launcher.h"
#include "client/wire/env_names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum {
	ANSWER_S = 10,           // at most, for a daemon that has read the job
	SOCKET_UNREAD = TIOCOUTQ // SIOCOUTQ of <linux/sockios.h>: bytes that the other side has not read
};

// As gcc does it: $PWD if it is the same directory, so that debug information has the name that the user knows.
static const char *working_directory(struct arena *a, int dot)
{
	const char *pwd = getenv("PWD");
	struct stat here, named;
	if (fstat(dot, &here))
		return NULL;
	if (pwd && pwd[0] == '/' && stat(pwd, &named) == 0 && named.st_dev == here.st_dev && named.st_ino == here.st_ino)
		return pwd;
	char path[PATH_MAX];
	return getcwd(path, sizeof path) ? arena_strdup(a, path) : NULL;
}

static void collect_words(struct launch *l, struct wire_job *j)
{
	while (l->argv[j->n_argv])
		j->n_argv++;
	j->argv = arena_alloc(&l->arena, (j->n_argv + 1) * sizeof *j->argv);
	memcpy(j->argv, l->argv, j->n_argv * sizeof *j->argv);
	// As the compiler will be called: a driver looks for itself, and so for its parts, by this name.
	j->argv[0] = l->argv0;
	char **env = launcher_compiler_environment(l, true);
	j->env = (const char **)env;
	for (; *env; env++)
		if (env_travels(*env))
			j->env[j->n_env++] = *env;
	j->env[j->n_env] = NULL;
	j->set = l->set;
	j->n_set = l->n_set;
}

int launcher_job_send(struct launch *l, int sock, unsigned flags)
{
	AUTO_CLOSE int dot = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct wire_job j = {.flags = l->tty | flags, .columns = l->columns};
	if (dot < 0 || !(j.cwd = working_directory(&l->arena, dot)))
		return -1;
	j.compiler = l->program[0] == '/' ? l->program : arena_printf(&l->arena, "%s/%s", j.cwd, l->program);
	j.umask = umask(077);
	umask(j.umask);
	collect_words(l, &j);
	AUTO_BUF struct buf payload = {.max = WIRE_MAX_PAYLOAD};
	wire_put_job(&payload, &j);
	return wire_send(sock, WIRE_JOB, &payload, &dot, 1, NULL);
}

int launcher_job_answer(int sock, struct wire_msg *answer, struct lease *lease)
{
	for (int waited = 0; waited < ANSWER_S; waited += WIRE_TIMEOUT_S) {
		struct err err = ERR_INIT;
		if (wire_recv(sock, answer, &err) == 0) {
			if (answer->type != WIRE_WAIT && answer->type != WIRE_REMOTE)
				return 0;
			if (answer->type == WIRE_REMOTE && !lease->on_loan && lease_open(lease, NULL) == 1)
				lease_remote(lease);
			waited = -WIRE_TIMEOUT_S;
			continue;
		}
		int unread = 0;
		// A daemon that has not even read the job hangs.
		if (err.code != ERR_TIMEOUT || ioctl(sock, SOCKET_UNREAD, &unread) || unread > 0)
			return -1;
	}
	return -1;
}

static bool copy_from(int fd, int to, size_t n)
{
	char part[16384];
	while (n > 0) {
		ssize_t r = read(fd, part, n < sizeof part ? n : sizeof part);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return true;
		if (!launcher_write_all(to, part, (size_t)r))
			return false;
		n -= (size_t)r;
	}
	return true;
}

static int pass_on(const struct wire_msg *answer, const struct wire_done *d, struct passed_on *done)
{
	if (!d->in_file) {
		done->is_unread = !launcher_write_all(STDOUT_FILENO, d->out, d->n_out) ||
				  !launcher_write_all(STDERR_FILENO, d->errs, d->n_errs);
		return 0;
	}
	// Half of the messages would be worse than another compile.
	int fd = answer->fds[0];
	struct stat st;
	if (answer->n_fds != 1 || fstat(fd, &st) || st.st_size < (off_t)d->n_out + (off_t)d->n_errs ||
	    lseek(fd, 0, SEEK_SET))
		return -1;
	done->is_unread = !copy_from(fd, STDOUT_FILENO, d->n_out) || !copy_from(fd, STDERR_FILENO, d->n_errs);
	return 0;
}

int launcher_job_done(const struct wire_msg *answer, struct passed_on *done)
{
	struct wire_done d;
	if (wire_get_done(&d, &answer->payload, NULL))
		return -1;
	done->exit_code = (int)d.exit_code;
	if (d.n_out + d.n_errs == 0)
		return 0;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, pipe, size;
	sigaction(SIGPIPE, &ignore, &pipe);
	sigaction(SIGXFSZ, &ignore, &size);
	int r = pass_on(answer, &d, done);
	sigaction(SIGPIPE, &pipe, NULL);
	sigaction(SIGXFSZ, &size, NULL);
	return r;
}

#include "agent/spawner.h"

#include "agent/cgroups.h"
#include "agent/init.h"
#include "agent/request.h"
#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MESSAGE_BYTES = sizeof(struct spawn_request) + REQUEST_ARGUMENT_BYTES + REQUEST_ROOT_BYTES };

struct spawner {
	int socket;
	pthread_mutex_t lock; // one request and its answer at a time
};

struct answer {
	pid_t pid; // -1: `error`
	int error;
};

// ---- in the spawner -------------------------------------------------------------------------------------------------

// A message and its descriptors. False: the agent is gone, or it is not one of its messages.
static bool take_request(int socket, char *message, size_t *n, int fds[SPAWN_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SPAWN_FDS * sizeof(int))];
	} control;
	struct iovec iov = {message, MESSAGE_BYTES};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t got;
	do
		got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != (size_t)CMSG_LEN(SPAWN_FDS * sizeof(int)) ||
	    (size_t)got <= sizeof(struct spawn_request) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return false;
	memcpy(fds, CMSG_DATA(c), SPAWN_FDS * sizeof(int));
	*n = (size_t)got;
	return true;
}

// With version 2 a process begins its life in the cgroup; joining it later would be slow.
static pid_t clone_init(const struct agent *agent, int slot)
{
	unsigned long flags = init_clone_flags(agent) | CLONE_PARENT;
	if (agent->cgroups != CGROUPS_V2)
		return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	AUTO_CLOSE int dir = cgroups_open(agent, slot);
	if (dir < 0)
		return -1;
	struct clone_args args = {.flags = flags | CLONE_INTO_CGROUP, .cgroup = (unsigned long long)dir};
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static char **take_words(char **at, const char *end, unsigned n)
{
	char **words = mem_alloc((n + 1) * sizeof *words);
	for (unsigned i = 0; i < n && *at < end; i++) {
		words[i] = *at;
		*at += strlen(*at) + 1;
	}
	return words;
}

static struct answer start(const struct agent *agent, char *message, size_t n, const int fds[SPAWN_FDS])
{
	struct spawn_request request;
	memcpy(&request, message, sizeof request);
	pid_t pid = clone_init(agent, request.slot);
	if (pid != 0)
		return (struct answer){pid, pid < 0 ? errno : 0};
	char *at = message + sizeof request;
	char **arguments = take_words(&at, message + n, request.n_arguments);
	char **environment = take_words(&at, message + n, request.n_environment);
	char **writable = take_words(&at, message + n, request.n_writable);
	char **whole = take_words(&at, message + n, request.n_whole);
	struct init init = {agent,
			    &request,
			    arguments,
			    environment,
			    {writable, request.n_writable, whole, request.n_whole},
			    {fds[0], fds[1], fds[2]},
			    slots_at(agent->slots, request.slot)};
	init_run(&init);
}

static _Noreturn void serve(const struct agent *agent, int socket)
{
	static char message[MESSAGE_BYTES + 1]; // always ends with a '\0'
	int fds[SPAWN_FDS];
	size_t n;
	prctl(PR_SET_NAME, "coffer-spawner");
	while (take_request(socket, message, &n, fds)) {
		message[n] = '\0';
		struct answer answer = start(agent, message, n, fds);
		for (int i = 0; i < SPAWN_FDS; i++)
			close(fds[i]);
		if (send(socket, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer)
			break;
	}
	_exit(0);
}

// ---- in the agent ---------------------------------------------------------------------------------------------------

int spawner_start(struct agent *agent, struct err *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "cannot make a socket pair");
	int room = 2 * MESSAGE_BYTES;
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		close(agent->socket);
		serve(agent, pair[1]);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_errno(err, "cannot fork");
	}
	agent->spawner = mem_alloc(sizeof *agent->spawner);
	agent->spawner->socket = pair[0];
	pthread_mutex_init(&agent->spawner->lock, NULL);
	return 0;
}

void spawner_stop(struct spawner *s)
{
	close(s->socket);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

// Under the lock.
static int ask(struct spawner *s, const struct msghdr *msg, struct answer *answer)
{
	ssize_t n = sendmsg(s->socket, msg, MSG_NOSIGNAL);
	if (n >= 0)
		do
			n = recv(s->socket, answer, sizeof *answer, 0);
		while (n < 0 && errno == EINTR);
	if (n == sizeof *answer)
		return 0;
	errno = n < 0 ? errno : EPIPE;
	return -1;
}

static int send_request(struct spawner *s, const struct spawn_request *request, const struct buf *words,
			const int fds[SPAWN_FDS], pid_t *pid, struct err *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SPAWN_FDS * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov[] = {{(void *)(uintptr_t)request, sizeof *request}, {words->data, words->len}};
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(SPAWN_FDS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, SPAWN_FDS * sizeof(int));
	struct answer answer;
	if (ask(s, &msg, &answer) < 0)
		return err_errno(err, "cannot reach the spawner");
	if (answer.pid < 0) {
		errno = answer.error;
		return err_errno(err, "cannot set up the job's first process: clone");
	}
	*pid = answer.pid;
	return 0;
}

static void add_words(struct buf *to, const char *const *words, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf_add(to, words[i], strlen(words[i]) + 1);
}

int spawner_run(struct spawner *s, const struct spawn_request *request, const struct spawn_words *said, int scratch,
		struct spawned *spawned, struct err *err)
{
	AUTO_BUF struct buf words = BUF_INIT;
	add_words(&words, said->arguments, request->n_arguments);
	add_words(&words, said->environment, request->n_environment);
	add_words(&words, said->writable, request->n_writable);
	add_words(&words, said->whole, request->n_whole);
	int out[2] = {-1, -1}, errs[2] = {-1, -1};
	pthread_mutex_lock(&s->lock);
	int rc = pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0 ? err_errno(err, "cannot make a pipe") : 0;
	const int fds[SPAWN_FDS] = {[SPAWN_SCRATCH] = scratch, [SPAWN_OUT] = out[1], [SPAWN_ERR] = errs[1]};
	if (rc == 0)
		rc = send_request(s, request, &words, fds, &spawned->pid, err);
	mem_close_cleanup(&out[1]);
	mem_close_cleanup(&errs[1]);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0) {
		mem_close_cleanup(&out[0]);
		mem_close_cleanup(&errs[0]);
		return -1;
	}
	spawned->out = out[0];
	spawned->errs = errs[0];
	return 0;
}

// Asking the daemon; `coffer stop`.
#include "client/verbs/verbs.h"
#include "client/wire/place.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	STOP_TIMEOUT_MS = 30000,
	STOP_FIRST_STEP_MS = 10,
	STOP_LONGEST_STEP_MS = 320,
	DRAIN_TIMEOUT_MS = 10000,
	ANSWER_S = 15,
	OTHERS_S = 1
};

static pid_t listener_of(int sock)
{
	struct ucred peer = {0};
	socklen_t n = sizeof peer;
	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 ? peer.pid : 0;
}

// The socket, or -1: *is_absent says that nobody listens.
static int connect_daemon(const struct wire_place *place, bool *is_absent, struct err *err)
{
	int sock = wire_connect(place);
	*is_absent = false;
	if (sock >= 0 && wire_check_peer(sock, err) == 0)
		return sock;
	if (sock >= 0) {
		close(sock);
		return -1;
	}
	*is_absent = errno == ENOENT || errno == ENOTDIR || errno == ECONNREFUSED;
	return err_errno(err, "cannot connect to the daemon at '%s/%s'", place->dir, place->name);
}

static int ask_at(const struct wire_place *place, int limit_s, const char *question, struct verb_answer *answer,
		  struct arena *a, struct err *err)
{
	bool is_absent;
	AUTO_CLOSE int sock = connect_daemon(place, &is_absent, err);
	if (sock < 0)
		return is_absent ? 0 : -1;
	AUTO_BUF struct buf payload = BUF_INIT;
	AUTO_MSG struct wire_msg m = WIRE_MSG_INIT;
	wire_put_text(&payload, question);
	// It may have to ask others before it answers.
	struct timeval limit = {.tv_sec = limit_s};
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	int name = (int)strcspn(question, "\n"); // the environment may follow
	if (wire_send(sock, WIRE_CONTROL, &payload, NULL, 0, err) < 0 || wire_recv(sock, &m, err) < 0)
		return err_wrap(err, "the daemon gave no answer to '%.*s'", name, question);
	if (m.type != WIRE_TEXT)
		return err_set(err, ERR_PEER, "the daemon answered '%.*s' with a message of type %d", name, question,
			       (int)m.type);
	answer->text = wire_get_text(a, &m.payload, err);
	answer->pid = listener_of(sock);
	return answer->text ? 1 : -1;
}

static bool find_place(struct wire_place *place, struct arena *a, struct err *err)
{
	if (wire_find_place(place, a, process_env, NULL))
		return true;
	err_set(err, ERR_USAGE, "no place for the daemon's socket is known: set HOME or COFFER_RUNTIME_DIR");
	return false;
}

int verb_ask_daemon(const char *question, struct verb_answer *answer, struct arena *a, struct err *err)
{
	struct wire_place place;
	return find_place(&place, a, err) ? ask_at(&place, ANSWER_S, question, answer, a, err) : -1;
}

// Asks all whose socket in `dir` has a name that begins so, but one (or NULL), and counts who answers. `answers` has room for `most`; NULL:
// nobody wants them.
static unsigned ask_all(const char *dir, const char *prefix, const char *but, const char *question,
			struct verb_answer *answers, unsigned most, struct arena *a)
{
	struct dirent *e;
	unsigned n = 0;
	DIR *d = opendir(dir);
	while (d && n < most && (e = readdir(d))) {
		struct wire_place other = {(char *)(uintptr_t)dir, e->d_name};
		struct verb_answer unread;
		// Beside each socket is its lock.
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 && !strchr(e->d_name, '.') &&
		    (!but || strcmp(e->d_name, but) != 0) &&
		    ask_at(&other, OTHERS_S, question, answers ? &answers[n] : &unread, a, NULL) == 1)
			n++;
	}
	if (d)
		closedir(d);
	return n;
}

unsigned verb_other_daemons(struct verb_answer *answers, unsigned most, struct arena *a)
{
	struct wire_place place;
	return find_place(&place, a, NULL) ? ask_all(place.dir, "daemon-", place.name, "status", answers, most, a) : 0;
}

const char *verb_answer_value(struct arena *a, const struct verb_answer *answer, const char *name)
{
	size_t n = strlen(name);
	for (const char *line = answer->text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, name, n) == 0 && line[n] == ' ')
			return arena_strndup(a, line + n + 1, strcspn(line + n + 1, "\n"));
	return NULL;
}

// Waits until nobody listens any more, or somebody else: a compile may have started the next daemon meanwhile.
static int wait_until_gone(pid_t pid, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct wire_place place;
	int step = STOP_FIRST_STEP_MS;
	if (!find_place(&place, &a, err))
		return -1;
	for (int waited = 0; waited < STOP_TIMEOUT_MS; waited += step) {
		bool is_absent;
		AUTO_CLOSE int sock = connect_daemon(&place, &is_absent, err);
		if (sock < 0)
			return is_absent ? 0 : -1;
		if (listener_of(sock) != pid)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = step * 1000000L}, NULL);
		if (step < STOP_LONGEST_STEP_MS)
			step *= 2;
	}
	return err_set(err, ERR_TIMEOUT, "the daemon (pid %d) was told to stop and still runs after %d s", (int)pid,
		       STOP_TIMEOUT_MS / 1000);
}

// The daemon's process, to wait for; -1 if it can't be had.
static int open_process(struct arena *a, const struct verb_answer *status)
{
	const char *pid = verb_answer_value(a, status, "pid");
	return pid ? (int)syscall(SYS_pidfd_open, atoi(pid), 0) : -1;
}

static bool has_ended(int process)
{
	struct pollfd p = {.fd = process, .events = POLLIN};
	return process < 0 || poll(&p, 1, DRAIN_TIMEOUT_MS) > 0;
}

// Daemons of other worlds (client/wire/place.h) over the same cache: each is told, none is waited for.
static unsigned stop_elsewhere(struct arena *a)
{
	struct wire_place usual, here;
	if (!find_place(&usual, a, NULL) || wire_find_place_in(&here, &usual, a, process_env, NULL) < 0)
		return 0;
	return ask_all(here.dir, arena_printf(a, "%s-", usual.name), NULL, "stop", NULL, UINT_MAX, a);
}

int verb_stop(int argc, char **argv)
{
	struct verb_args args = {
		.usage = "usage: coffer stop\n"
			 "\n"
			 "Ends the daemon and waits until it has gone. Compiles under way end first. The next compile\n"
			 "starts a new one. Daemons of other mount namespaces over the same cache are told to end, too.\n"};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct verb_answer answer = {"", 0};
	int rc = verb_ask_daemon("status", &answer, &a, &err);
	AUTO_CLOSE int process = rc > 0 ? open_process(&a, &answer) : -1;
	if (rc > 0)
		rc = verb_ask_daemon("stop", &answer, &a, &err);
	if (rc < 0 || (rc > 0 && wait_until_gone(answer.pid, &err) < 0))
		return verb_fail(&err);
	if (rc == 0)
		puts("no daemon is running");
	else
		puts(has_ended(process) ? "the daemon has ended" : "the daemon ends when the compiles it is at are done");
	unsigned elsewhere = stop_elsewhere(&a);
	if (elsewhere)
		printf("%u daemons of other mount namespaces or groups end\n", elsewhere);
	return 0;
}

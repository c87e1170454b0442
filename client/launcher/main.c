#include "client/launcher/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { USAGE = 2, NOT_FOUND = 127 };

static int not_found(const struct launch *l, bool behind_coffer)
{
	if (l->masquerade || behind_coffer) {
		launcher_say("cannot find the real '%s': PATH has nothing but coffer under this name", l->argv[0]);
		launcher_say("install the compiler, or put its folder into PATH");
	} else {
		launcher_say("'%s' is neither a compiler in PATH nor a verb", l->argv[0]);
		launcher_say("`coffer help` lists the verbs");
	}
	return NOT_FOUND;
}

// Programs that are no compilers, and that somebody types who means a verb: alone, without a word behind them.
static const char *meant_by(const struct launch *l)
{
	static const char *const words[][2] = {
		{"clear", "cache clear"},  {"clean", "cache clear"}, {"gc", "cache gc"}, {"stat", "stats"},
		{"top", "status --watch"}, {"kill", "stop"},         {"info", "help"},   {"man", "help"}};
	for (size_t i = 0; !l->masquerade && !l->argv[1] && i < sizeof words / sizeof *words; i++)
		if (strcmp(l->argv[0], words[i][0]) == 0)
			return words[i][1];
	return NULL;
}

static bool find_program(struct launch *l, bool *behind_coffer)
{
	struct stat self = {0};
	struct found found;
	*behind_coffer = false;
	if (l->file) {
		// As execve has it: a name without a folder is one of the working directory.
		l->program = strchr(l->file, '/') ? l->file : arena_printf(&l->arena, "./%s", l->file);
		l->argv0 = l->argv[0];
		return true;
	}
	launcher_find_self(&self);
	bool ok = launcher_find_compiler(&found, &l->arena, l->argv[0], getenv("PATH"), &self);
	*behind_coffer = found.behind_coffer;
	l->program = found.file;
	// A compiler finds its own files by its name: where that would lead to coffer it gets the full one.
	l->argv0 = l->masquerade || found.behind_coffer ? found.file : l->argv[0];
	return ok;
}

// Where a standard descriptor is closed, the next file to be opened would become the compiler's output. A stand-in holds
// its place; it can't be read or written and goes away at the next exec, so that everybody meets what they would have met.
static void look_at_stdio(struct launch *l)
{
	static const struct {
		int fd;
		unsigned flag;
	} streams[] = {{2, JOB_STDERR_TTY}, {0, JOB_STDIN_TTY}, {1, JOB_STDOUT_TTY}};
	for (size_t i = 0; i < COUNT_OF(streams); i++) {
		struct winsize size = {0};
		if (ioctl(streams[i].fd, TIOCGWINSZ, &size) == 0) {
			l->tty |= streams[i].flag;
			if (!l->columns)
				l->columns = size.ws_col;
		} else if (errno == EBADF) {
			l->closed |= 1u << streams[i].fd;
		}
	}
	for (unsigned left = l->closed; left; left &= left - 1)
		open("/", O_PATH | O_CLOEXEC);
}

static bool ask(struct launch *l, unsigned flags, int *sock, struct wire_msg *answer, struct lease *lease)
{
	*sock = launcher_daemon_connect(l);
	return *sock >= 0 && launcher_job_send(l, *sock, flags) == 0 && launcher_job_answer(*sock, answer, lease) == 0;
}

// The daemon sees other files than we. Where none can be had that sees ours, the first one counts us.
static bool ask_elsewhere(struct launch *l, int *sock, struct wire_msg *answer, struct lease *lease)
{
	struct wire_place usual = l->place;
	l->is_elsewhere = wire_find_place_in(&l->place, &usual, &l->arena, launcher_env, NULL) == 0;
	if (l->is_elsewhere && ask(l, 0, sock, answer, lease) && answer->type != WIRE_AGAIN &&
	    answer->type != WIRE_ELSEWHERE)
		return true;
	close(*sock);
	wire_msg_release(answer);
	l->place = usual;
	l->is_elsewhere = false;
	return ask(l, JOB_HAS_NO_OTHER, sock, answer, lease);
}

// The daemon's answer to the job. A daemon that must not serve us has made room for one that we start.
static bool ask_daemon(struct launch *l, int *sock, struct wire_msg *answer, struct lease *lease)
{
	for (int tries = 0; tries < 2; tries++) {
		if (!ask(l, 0, sock, answer, lease))
			return false;
		if (answer->type != WIRE_AGAIN && answer->type != WIRE_ELSEWHERE)
			return true;
		bool is_elsewhere = answer->type == WIRE_ELSEWHERE;
		close(*sock);
		*sock = -1;
		wire_msg_release(answer);
		if (is_elsewhere)
			return ask_elsewhere(l, sock, answer, lease);
	}
	return false;
}

// The daemon's second line of an EXEC.
static void tell(struct launch *l, const struct buf *payload)
{
	const char *text = wire_get_text(&l->arena, payload, NULL), *line = text ? strchr(text, '\n') : NULL;
	if (line)
		launcher_say("%s", line + 1);
}

int main(int argc, char **argv)
{
	static struct launch l;
	switch (launcher_args_read(&l, argc, argv)) {
	case ARGS_VERB:
		return launcher_exec_verb(&l);
	case ARGS_WRONG:
		return USAGE;
	case ARGS_COMPILE:
		break;
	}
	const char *meant = meant_by(&l);
	if (meant) {
		launcher_say("'%s' is no verb; did you mean `coffer %s`?", l.argv[0], meant);
		return USAGE;
	}
	bool behind_coffer;
	if (!find_program(&l, &behind_coffer))
		return not_found(&l, behind_coffer);
	char **words = !l.masquerade && !l.file && launcher_is_prefix(l.argv[0]) ? launcher_prefix_words(&l) : NULL;
	if (words)
		return launcher_exec_prefix(&l, words);
	if (launcher_is_too_deep()) {
		launcher_say("'%s' starts coffer, which starts '%s', and so on", l.program, l.program);
		launcher_say("let the script that calls coffer name the compiler by its full path");
		return NOT_FOUND;
	}
	if (launcher_args_disabled(&l))
		return launcher_exec_compiler(&l);

	look_at_stdio(&l);
	l.has_place = wire_find_place(&l.place, &l.arena, launcher_env, NULL);
	if (!l.has_place)
		return launcher_exec_compiler(&l);
	int sock;
	struct passed_on done = {0};
	struct wire_msg answer = WIRE_MSG_INIT;
	struct lease lease = LEASE_INIT;
	bool is_lost = !ask_daemon(&l, &sock, &answer, &lease);
	if (!is_lost && answer.type == WIRE_DONE)
		is_lost = launcher_job_done(&answer, &done) != 0;
	// What was lent while another machine compiled comes back before we end, or compile here after all.
	lease_return(&lease);
	lease_close(&lease);
	if (is_lost)
		return launcher_exec_compiler_lost(&l);
	switch (answer.type) {
	case WIRE_DONE:
		if (done.is_unread)
			return launcher_exec_compiler(&l);
		_exit(done.exit_code);
	case WIRE_RUN:
		return launcher_run_compiler(&l, sock, &answer);
	case WIRE_EXEC:
		tell(&l, &answer.payload);
		return launcher_exec_compiler(&l);
	case WIRE_FOLLOW:
		return launcher_exec_followed(&l, wire_get_text(&l.arena, &answer.payload, NULL));
	default:
		return launcher_exec_compiler_lost(&l);
	}
}

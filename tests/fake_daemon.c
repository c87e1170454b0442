// A daemon for tests of the launcher: says what its arguments say to every job, politely or not.
//
//	fake_daemon [--report FILE] MODE [ARG...]	listens where the environment says, prints its process id once it
//does
//	fake_daemon [--report FILE] [--socket-fd N] …	the same on a socket that the launcher made (in the foreground)
//
// MODE: exec | echo (DONE that prints the job) | done CODE OUT ERR | done-file CODE OUT ERR | run [max=N] [depfile=WORD]
// [asm=WORD] [add=WORD]… | run-hang, run-die, run-die-late (no, or half a conversation) | deaf, mute, slow MS, die,
// die-late, nonsense, half, half-hang, huge, wrong-type, wrong-run, wrong-file (of no daemon that we would want)
#include "client/wire/place.h"
#include "client/wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *report_file;
static char **arg; // MODE and what follows

static bool mode_is(const char *name)
{
	return strcmp(arg[0], name) == 0;
}

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "fake_daemon: %s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *own_env(void *unused, const char *name)
{
	(void)unused;
	return getenv(name);
}

static void send_or_say(int sock, enum wire_type type, struct buf *b, const int *fds, unsigned n_fds)
{
	struct err err = ERR_INIT;
	if (wire_send(sock, type, b, fds, n_fds, &err))
		fprintf(stderr, "fake_daemon: %s\n", err.text);
}

static void describe_words(struct buf *b, const char *what, const char *const *words)
{
	for (; *words; words++)
		buf_addf(b, "%s=%s\n", what, *words);
}

static void answer_echo(int sock, const struct wire_job *j, int dir)
{
	AUTO_BUF struct buf text = BUF_INIT, b = BUF_INIT;
	struct stat st;
	if (fstat(dir, &st))
		die("fstat");
	buf_addf(&text, "umask=%o\nflags=%u\ncolumns=%u\ncwd=%s\ncompiler=%s\n", j->umask, j->flags, j->columns, j->cwd,
		 j->compiler);
	buf_addf(&text, "dir=%llu:%llu\n", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	describe_words(&text, "argv", j->argv);
	describe_words(&text, "env", j->env);
	describe_words(&text, "set", j->set);
	wire_put_done(&b, &(struct wire_done){.out = text.data, .n_out = (uint32_t)text.len, .errs = ""});
	send_or_say(sock, WIRE_DONE, &b, NULL, 0);
}

static void answer_done(int sock, bool in_file)
{
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO_CLOSE int file = -1;
	struct wire_done d = {.exit_code = (uint32_t)atoi(arg[1]), .out = arg[2], .errs = arg[3], .in_file = in_file};
	d.n_out = (uint32_t)strlen(d.out);
	d.n_errs = (uint32_t)strlen(d.errs);
	if (mode_is("wrong-file"))
		d.n_errs += 1;
	if (in_file) {
		file = memfd_create("messages", MFD_CLOEXEC);
		if (dprintf(file, "%s%s", d.out, d.errs) < 0)
			die("memfd");
	}
	wire_put_done(&b, &d);
	send_or_say(sock, WIRE_DONE, &b, &file, in_file);
}

static void add_word(const char **words, uint32_t *n, const char *word)
{
	words[(*n)++] = word;
}

static void send_run(int sock, const struct wire_job *j)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	struct wire_run run = {.max_messages = 1 << 20};
	run.argv = arena_alloc(&a, (j->n_argv + 64) * sizeof *run.argv);
	for (uint32_t i = 0; i < j->n_argv; i++)
		add_word(run.argv, &run.n_argv, j->argv[i]);
	for (char **at = arg + 1; *at; at++) {
		const char *value = strchr(*at, '=') + 1;
		if (strncmp(*at, "max=", 4) == 0) {
			run.max_messages = strtoull(value, NULL, 10);
			continue;
		}
		if (strncmp(*at, "depfile=", 8) == 0) {
			run.flags |= RUN_DEPFILE;
			run.depfile_word = run.n_argv;
		} else if (strncmp(*at, "asm=", 4) == 0) {
			run.flags |= RUN_ASM_DEPFILE;
			run.asm_depfile_word = run.n_argv;
		}
		add_word(run.argv, &run.n_argv, value);
	}
	wire_put_run(&b, &run);
	if (mode_is("wrong-run")) // as if there were a depfile word past the end
		b.data[0] = RUN_DEPFILE, b.data[4] = 99;
	send_or_say(sock, WIRE_RUN, &b, NULL, 0);
}

static void print_file(FILE *f, const char *what, int fd)
{
	char part[4096];
	ssize_t n;
	fprintf(f, "%s<<", what);
	while ((n = read(fd, part, sizeof part)) > 0)
		fwrite(part, 1, (size_t)n, f);
	fprintf(f, ">>\n");
}

static void take_result(int sock)
{
	AUTO_MSG struct wire_msg m = WIRE_MSG_INIT;
	struct wire_result r;
	struct err err = ERR_INIT;
	FILE *f = fopen(report_file ? report_file : "/dev/null", "a");
	if (!f)
		die(report_file);
	if (wire_recv(sock, &m, &err) || m.type != WIRE_RESULT || wire_get_result(&r, &m.payload, &err)) {
		fprintf(f, "no result: %s\n", err.text);
	} else {
		static const char *const names[] = {"stdout", "stderr", "file1", "file2"};
		fprintf(f, "status=%x overflow=%u has=%u fds=%u\n", r.status, r.overflow, r.has, m.n_fds);
		for (unsigned i = 0; i < m.n_fds; i++)
			print_file(f, names[i], m.fds[i]);
	}
	fclose(f);
	if (!mode_is("run-hang"))
		send_or_say(sock, WIRE_RELEASED, NULL, NULL, 0);
	else
		sleep(60);
}

static void send_raw(int sock, const void *p, size_t n)
{
	if (send(sock, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		fprintf(stderr, "fake_daemon: cannot send: %s\n", strerror(errno));
}

static void send_header(int sock, uint32_t type, uint32_t len)
{
	AUTO_BUF struct buf b = BUF_INIT;
	buf_add_u32(&b, WIRE_MAGIC);
	buf_add_u32(&b, type);
	buf_add_u32(&b, len);
	send_raw(sock, b.data, b.len);
}

static void misbehave(int sock)
{
	static const char nonsense[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	AUTO_BUF struct buf b = BUF_INIT;
	if (mode_is("nonsense"))
		send_raw(sock, nonsense, sizeof nonsense - 1);
	else if (mode_is("huge"))
		send_header(sock, WIRE_DONE, UINT32_MAX);
	else if (mode_is("half") || mode_is("half-hang"))
		send_header(sock, WIRE_DONE, 100);
	else if (mode_is("wrong-type")) {
		wire_put_text(&b, "hello");
		send_or_say(sock, WIRE_TEXT, &b, NULL, 0);
	}
	if (mode_is("half-hang") || mode_is("mute"))
		sleep(60);
}

static void answer(int sock)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_MSG struct wire_msg m = WIRE_MSG_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct wire_job j;
	if (mode_is("die"))
		return;
	if (mode_is("deaf"))
		sleep(60);
	if (wire_check_peer(sock, &err) || wire_recv(sock, &m, &err) || m.type != WIRE_JOB || m.n_fds != 1 ||
	    wire_get_job(&j, &a, &m.payload, &err)) {
		fprintf(stderr, "fake_daemon: no job: %s\n", err.text);
		return;
	}
	if (mode_is("exec") || mode_is("slow")) {
		if (mode_is("slow"))
			poll(NULL, 0, atoi(arg[1]));
		wire_put_text(&b, "because");
		send_or_say(sock, WIRE_EXEC, &b, NULL, 0);
	} else if (mode_is("echo")) {
		answer_echo(sock, &j, m.fds[0]);
	} else if (mode_is("done") || mode_is("done-file") || mode_is("wrong-file")) {
		answer_done(sock, !mode_is("done"));
	} else if (mode_is("run") || strncmp(arg[0], "run-", 4) == 0 || mode_is("wrong-run")) {
		send_run(sock, &j);
		if (mode_is("run-die"))
			exit(0);
		if (mode_is("run-die-late"))
			sleep(1);
		else
			take_result(sock);
	} else {
		misbehave(sock);
	}
}

static int listen_here(void)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct wire_place place;
	struct err err = ERR_INIT;
	if (!wire_find_place(&place, &a, own_env, NULL)) {
		fprintf(stderr, "fake_daemon: no place\n");
		exit(1);
	}
	AUTO_CLOSE int lock = wire_lock(&place, &err);
	int sock = lock < 0 ? -1 : wire_listen(&place);
	if (sock < 0) {
		fprintf(stderr, "fake_daemon: cannot listen: %s\n", lock < 0 ? err.text : strerror(errno));
		exit(1);
	}
	return sock;
}

static void detach(void)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid > 0) {
		printf("%d\n", (int)pid);
		exit(0);
	}
	setsid();
	int null = open("/dev/null", O_RDWR);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
}

int main(int argc, char **argv)
{
	int sock = -1;
	arg = argv + 1;
	while (argc > 0 && arg[0] && strncmp(arg[0], "--", 2) == 0 && arg[1]) {
		if (strcmp(arg[0], "--report") == 0)
			report_file = arg[1];
		else
			sock = atoi(arg[1]);
		arg += 2;
	}
	if (!arg[0])
		return 2;
	signal(SIGCHLD, SIG_IGN);
	if (sock < 0) {
		sock = listen_here();
		detach();
	}
	// A process for each launcher, but for the answers that take no time and for the death that takes all with it.
	const bool in_this_process = mode_is("done") || mode_is("exec") || mode_is("echo") || mode_is("run-die");
	for (;;) {
		int client = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0)
			continue;
		if (in_this_process) {
			answer(client);
		} else if (fork() == 0) {
			answer(client);
			_exit(0);
		}
		close(client);
	}
}

// A compiler for tests of the launcher: shows what it was given and behaves as its words say, in their order.
//
// show (argv, to stdout; all that follows goes to stderr unless it says otherwise), env (to stdout), fds, tty, signals,
// below (what follows is done by a child, for which we wait), say TEXT, print TEXT (to stdout), flood MB, depfile FILE
// (writes it), sleep MS, leave (a process that says "late" and ends), exit N, die SIGNAL. Other words are passed over.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char **all_words;

static void show(void)
{
	for (char **w = all_words; *w; w++)
		printf("[%s]", *w);
	printf("\n");
}

static void show_env(void)
{
	for (char **e = environ; *e; e++)
		puts(*e);
}

static void show_fds(void)
{
	for (int fd = 0; fd < 200; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			fprintf(stderr, "fd %d\n", fd);
}

static void show_tty(void)
{
	struct winsize size = {0};
	for (int fd = 0; fd < 3; fd++)
		fprintf(stderr, "tty %d %d %d\n", fd, isatty(fd), ioctl(fd, TIOCGWINSZ, &size) ? 0 : size.ws_col);
}

static void show_signals(void)
{
	sigset_t blocked;
	struct sigaction a;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int sig = 1; sig < 32; sig++) {
		int b = sigismember(&blocked, sig), i = sigaction(sig, NULL, &a) == 0 && a.sa_handler == SIG_IGN;
		if (b || i)
			fprintf(stderr, "signal %d blocked %d ignored %d\n", sig, b, i);
	}
	fprintf(stderr, "umask %o\n", umask(0));
}

static void leave(void)
{
	if (fork() == 0) {
		poll(NULL, 0, 3000);
		fprintf(stderr, "late\n");
		_exit(0);
	}
}

static void below(void)
{
	pid_t child = fork();
	if (child == 0)
		return;
	int status;
	while (waitpid(child, &status, 0) < 0)
		;
	_exit(WEXITSTATUS(status));
}

static void flood(int megabytes)
{
	static char part[1 << 16];
	memset(part, 'x', sizeof part);
	for (int i = 0; i < megabytes * 16; i++)
		for (size_t at = 0; at < sizeof part;) {
			ssize_t n = write(STDERR_FILENO, part + at, sizeof part - at);
			if (n < 0)
				_exit(9);
			at += (size_t)n;
		}
}

static void write_depfile(const char *name)
{
	FILE *f = fopen(name, "w");
	if (!f || fprintf(f, "x.o: x.c\n") < 0 || fclose(f))
		_exit(8);
}

static void end(int status)
{
	fflush(stdout);
	_exit(status);
}

static void die(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
}

static int without_value(const char *word)
{
	static const struct {
		const char *word;
		void (*act)(void);
	} table[] = {{"show", show},   {"env", show_env}, {"fds", show_fds}, {"tty", show_tty}, {"signals", show_signals},
		     {"leave", leave}, {"below", below}};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(word, table[i].word) == 0) {
			table[i].act();
			return 1;
		}
	return 0;
}

static int with_value(const char *word, const char *value)
{
	if (strcmp(word, "say") == 0)
		fprintf(stderr, "%s\n", value);
	else if (strcmp(word, "print") == 0)
		fflush((printf("%s\n", value), stdout));
	else if (strcmp(word, "flood") == 0)
		flood(atoi(value));
	else if (strcmp(word, "depfile") == 0)
		write_depfile(value);
	else if (strcmp(word, "sleep") == 0)
		poll(NULL, 0, atoi(value));
	else if (strcmp(word, "exit") == 0)
		end(atoi(value));
	else if (strcmp(word, "die") == 0)
		die(atoi(value));
	else
		return 0;
	return 1;
}

int main(int argc, char **argv)
{
	(void)argc;
	all_words = argv;
	for (char **w = argv + 1; *w; w++)
		if (!without_value(*w) && w[1] && with_value(w[0], w[1]))
			w++;
	return 0;
}

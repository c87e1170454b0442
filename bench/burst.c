// Runs recorded compile commands many at once: `burst AT_ONCE COMMANDS CONFIG`. As many processes as AT_ONCE says are made
// first and wait at a gate; it opens, and all of them become the configuration's program at the same moment. With
// AT_ONCE 1 they run one after the other, made in the same way. Prints `name commands at_once wall_ns failed`.
#include "bench/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void make(const struct command *c, const struct config *cfg, const int gate[2])
{
	struct spawn s = command_words(c, cfg);
	pid_t pid = fork();
	if (pid < 0)
		die("cannot fork: %s", strerror(errno));
	if (pid == 0) {
		char byte;
		close(gate[1]); // it opens when nobody holds this end any more
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || chdir(c->cwd))
			_exit(126);
		if (read(gate[0], &byte, 1) < 0)
			_exit(126);
		execve(s.program, s.argv, cfg->env);
		_exit(127);
	}
	free(s.argv);
}

// From the opening of the gate to the last end.
static uint64_t run(const struct commands *all, size_t first, size_t n, const struct config *cfg, size_t *failed)
{
	int gate[2], status;
	if (pipe2(gate, O_CLOEXEC))
		die("cannot make a pipe: %s", strerror(errno));
	for (size_t i = 0; i < n; i++) {
		command_clean(&all->list[first + i]);
		make(&all->list[first + i], cfg, gate);
	}
	// Until each has reached the gate.
	long ms = n < 500 ? 2 + (long)n : 500;
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
	close(gate[0]);
	uint64_t start = now_ns();
	close(gate[1]);
	for (size_t i = 0; i < n; i++)
		if (wait(&status) < 0)
			die("cannot wait: %s", strerror(errno));
		else
			*failed += status != 0;
	return now_ns() - start;
}

int main(int argc, char **argv)
{
	size_t at_once = argc == 4 ? strtoul(argv[1], NULL, 10) : 0, failed = 0;
	if (at_once == 0)
		die("usage: burst AT_ONCE COMMANDS CONFIG");
	struct commands all = commands_load(argv[2]);
	struct config cfg = config_load(argv[3]);
	uint64_t wall = 0;
	for (size_t i = 0; i < all.n; i += at_once)
		wall += run(&all, i, at_once < all.n - i ? at_once : all.n - i, &cfg, &failed);
	printf("%s\t%zu\t%zu\t%llu\t%zu\n", cfg.name, all.n, at_once, (unsigned long long)wall, failed);
	return 0;
}

// Runs recorded compile commands one after the other and says what each took: `replay ROUNDS FILE COMMANDS CONFIG...`.
// Each command is run under every configuration before the next one is, beginning with another one each time, so that
// whatever else the machine does meets them all alike. FILE gets a line for each run, tab separated:
//   config  round  command  object  wall_ns  cpu_ns  daemon_ns  status
// cpu_ns is what the kernel charged to the process tree that was started, daemon_ns what the daemon has used since its last
// line: also what it does after it has answered, which would else be nobody's. A last line per configuration has the
// command "tail" and what the daemon did after the last one.
#include "bench/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { QUIET_MS = 200, TAIL_MAX_MS = 10000 };

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

static int run(FILE *to, const struct command *c, size_t index, struct config *cfg, unsigned round)
{
	struct spawn s = command_words(c, cfg);
	struct rusage used;
	int status;
	command_clean(c);
	uint64_t start = now_ns();
	pid_t pid = command_start(&s, c, cfg);
	while (wait4(pid, &status, 0, &used) < 0)
		if (errno != EINTR)
			die("cannot wait: %s", strerror(errno));
	uint64_t wall = now_ns() - start;
	fprintf(to, "%s\t%u\t%zu\t%s\t%llu\t%llu\t%llu\t%d\n", cfg->name, round, index, c->object, (unsigned long long)wall,
		(unsigned long long)(timeval_ns(used.ru_utime) + timeval_ns(used.ru_stime)),
		(unsigned long long)config_daemon_ns(cfg), status);
	free(s.argv);
	return status != 0;
}

static uint64_t tail_ns(struct config *cfg)
{
	uint64_t all = 0, part;
	for (int ms = 0; cfg->daemon && ms < TAIL_MAX_MS; ms += QUIET_MS) {
		nanosleep(&(struct timespec){.tv_nsec = QUIET_MS * 1000000L}, NULL);
		part = config_daemon_ns(cfg);
		all += part;
		if (part < 1000000)
			break;
	}
	return all;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		die("usage: replay ROUNDS FILE COMMANDS CONFIG...");
	unsigned rounds = (unsigned)strtoul(argv[1], NULL, 10);
	FILE *to = fopen(argv[2], "we");
	if (!to)
		die("cannot write '%s': %s", argv[2], strerror(errno));
	struct commands all = commands_load(argv[3]);
	size_t n = (size_t)argc - 4;
	struct config *configs = calloc(n, sizeof *configs);
	for (size_t i = 0; i < n; i++)
		configs[i] = config_load(argv[4 + i]);
	size_t failed = 0;
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < all.n; i++)
			for (size_t k = 0; k < n; k++)
				failed += (size_t)run(to, &all.list[i], i, &configs[(k + i + round) % n], round);
	for (size_t k = 0; k < n; k++)
		fprintf(to, "%s\t%u\ttail\t-\t0\t0\t%llu\t0\n", configs[k].name, rounds,
			(unsigned long long)tail_ns(&configs[k]));
	if (fclose(to))
		die("cannot write '%s': %s", argv[2], strerror(errno));
	if (failed)
		die("%zu commands failed; their lines in '%s' end with a status other than 0", failed, argv[2]);
	return 0;
}

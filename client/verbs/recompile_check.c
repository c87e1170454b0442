// `coffer recompile-check COMMAND`: a build whose hits are compiled all the same and compared.
#include "base/path.h"
#include "client/config.h"
#include "client/stats.h"
#include "client/verbs/history.h"
#include "client/verbs/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
	"usage: coffer recompile-check [--percent N] [--] COMMAND [ARGUMENT]...\n"
	"\n"
	"Runs a build, or one compile through coffer. What would be a hit is compiled all the same, and what the compiler\n"
	"makes is compared with what the cache has. A result that differs is replaced and named at the end.\n"
	"\n"
	"  --percent N  only N of 100 hits (the setting recompile_check)\n"
	"\n"
	"The exit status is that of the command; 3 if that is 0 and a result differs.\n";

enum { DIFFERS = 3 };

struct check {
	const char *percent;
	char **command;
	struct stats *stats;
};

// False: *status is what to return.
static bool take_words(struct check *c, int argc, char **argv, int *status)
{
	int i = 1;
	*status = 0;
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return false;
	}
	if (i + 1 < argc && strcmp(argv[i], "--percent") == 0) {
		char *end;
		unsigned long n = strtoul(argv[i + 1], &end, 10);
		if (*end || end == argv[i + 1] || n < 1 || n > 100) {
			*status = verb_wrong(argv[0], "'%s' is no number from 1 to 100", argv[i + 1]);
			return false;
		}
		c->percent = argv[i + 1];
		i += 2;
	}
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	else if (i < argc && argv[i][0] == '-')
		*status = verb_wrong(argv[0], "unknown option '%s'", argv[i]);
	if (i == argc)
		*status = verb_wrong(argv[0], "there is no command");
	c->command = argv + i;
	return *status == 0;
}

static int run(const struct check *c)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		setenv("COFFER_RECOMPILE_CHECK", c->percent, 1);
		execvp(c->command[0], c->command);
		fprintf(stderr, "coffer: cannot run '%s': %s\n", c->command[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	if (pid < 0) {
		fprintf(stderr, "coffer: cannot run '%s': %s\n", c->command[0], strerror(errno));
		return 126;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// The newest `n` records that tell of one.
static void name_those_that_differ(const char *cache_dir, uint64_t n)
{
	AUTO_HISTORY struct history h = {NULL};
	if (history_load(&h, cache_dir, NULL) < 0)
		return;
	for (size_t i = json_array_size(h.records); n && i-- > 0;) {
		const json_t *record = json_array_get(h.records, i), *cause = json_object_get(record, "cause");
		if (strcmp(record_text(cause, "kind"), "differs") != 0)
			continue;
		const json_t *change = json_array_get(json_object_get(cause, "changes"), 0);
		fprintf(stderr, "  %s/%s: %s\n", record_text(record, "cwd"), record_text(record, "source"),
			record_text(change, "name"));
		n--;
	}
}

int verb_recompile_check(int argc, char **argv)
{
	struct check c = {.percent = "100"};
	AUTO_ARENA struct arena a = ARENA_INIT;
	int status;
	if (!take_words(&c, argc, argv, &status))
		return status;
	char *cache_dir = config_cache_dir(&a, process_env, NULL);
	c.stats = cache_dir ? stats_open(cache_dir, NULL) : NULL;
	uint64_t checked = stats_value(c.stats, STAT_rechecked), differ = stats_value(c.stats, STAT_recheck_differs);
	status = run(&c);
	checked = stats_value(c.stats, STAT_rechecked) - checked;
	differ = stats_value(c.stats, STAT_recheck_differs) - differ;
	fprintf(stderr, "coffer: %llu hits compiled again, %llu differ\n", (unsigned long long)checked,
		(unsigned long long)differ);
	if (differ && cache_dir)
		name_those_that_differ(cache_dir, differ);
	stats_close(c.stats);
	return status == 0 && differ ? DIFFERS : status;
}

#include "bench/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("coffer: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (!p)
		die("out of memory");
	return p;
}

uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// ---- commands -----------------------------------------------------------------------------------------------------

static char *read_file(const char *file, size_t *n)
{
	FILE *f = fopen(file, "re");
	if (!f || fseek(f, 0, SEEK_END))
		die("cannot read '%s': %s", file, strerror(errno));
	long size = ftell(f);
	rewind(f);
	char *data = allocate((size_t)size + 1, 1);
	*n = fread(data, 1, (size_t)size, f);
	fclose(f);
	return data;
}

static char *next_word(char **at, const char *end, const char *file)
{
	char *word = *at;
	if (word >= end)
		die("'%s' ends in the middle of a command", file);
	*at += strlen(word) + 1;
	return word;
}

struct commands commands_load(const char *file)
{
	size_t size, room = 0;
	char *at = read_file(file, &size);
	const char *end = at + size;
	struct commands all = {NULL, 0};
	while (at < end) {
		if (all.n == room) {
			room = room ? room * 2 : 512;
			all.list = reallocarray(all.list, room, sizeof *all.list);
			if (!all.list)
				die("out of memory");
		}
		struct command *c = &all.list[all.n++];
		c->n_argv = strtoul(next_word(&at, end, file), NULL, 10);
		c->cwd = next_word(&at, end, file);
		c->object = next_word(&at, end, file);
		c->depfile = next_word(&at, end, file);
		c->argv = allocate(c->n_argv + 1, sizeof *c->argv);
		for (size_t i = 0; i < c->n_argv; i++)
			c->argv[i] = next_word(&at, end, file);
	}
	if (all.n == 0)
		die("'%s' holds no commands", file);
	return all;
}

void command_clean(const struct command *c)
{
	int dir = open(c->cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		die("cannot open '%s': %s", c->cwd, strerror(errno));
	unlinkat(dir, c->object, 0);
	if (c->depfile[0])
		unlinkat(dir, c->depfile, 0);
	close(dir);
}

// ---- configurations -----------------------------------------------------------------------------------------------

static void append(char ***list, size_t *n, char *word)
{
	*list = reallocarray(*list, *n + 2, sizeof **list);
	if (!*list)
		die("out of memory");
	(*list)[(*n)++] = word;
	(*list)[*n] = NULL;
}

struct config config_load(const char *file)
{
	size_t size;
	struct config cfg = {.name = file};
	for (char *rest = read_file(file, &size), *line; (line = strsep(&rest, "\n"));) {
		char *key = strsep(&line, " ");
		if (!line)
			continue;
		if (strcmp(key, "name") == 0)
			cfg.name = line;
		else if (strcmp(key, "word") == 0)
			append(&cfg.words, &cfg.n_words, line);
		else if (strcmp(key, "env") == 0)
			append(&cfg.env, &cfg.n_env, line);
		else if (strcmp(key, "daemon") == 0)
			cfg.daemon = (pid_t)strtol(line, NULL, 10);
		else
			die("'%s': what is '%s'?", file, key);
	}
	if (!cfg.env)
		die("'%s' has no environment", file);
	if (cfg.daemon && clock_getcpuclockid(cfg.daemon, &cfg.daemon_clock))
		die("'%s': there is no process %d", file, (int)cfg.daemon);
	config_daemon_ns(&cfg);
	return cfg;
}

// Of a process's children only those that it has waited for are known, in ticks of 10 ms: good enough for sums.
static uint64_t children_ns(pid_t pid)
{
	char file[64], text[1024];
	snprintf(file, sizeof file, "/proc/%d/stat", (int)pid);
	FILE *f = fopen(file, "re");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	if (f)
		fclose(f);
	text[n] = '\0';
	const char *after_name = strrchr(text, ')');
	unsigned long user, sys;
	if (!after_name ||
	    sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
		die("the daemon (pid %d) has ended", (int)pid);
	return (user + sys) * (1000000000u / (unsigned long)sysconf(_SC_CLK_TCK));
}

uint64_t config_daemon_ns(struct config *cfg)
{
	if (!cfg->daemon)
		return 0;
	struct timespec t;
	if (clock_gettime(cfg->daemon_clock, &t))
		die("the daemon of '%s' (pid %d) has ended", cfg->name, (int)cfg->daemon);
	uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + children_ns(cfg->daemon);
	uint64_t spent = now - cfg->daemon_seen_ns;
	cfg->daemon_seen_ns = now;
	return spent;
}

// ---- starting -----------------------------------------------------------------------------------------------------

static const char *find_in_path(const char *name, char *const *env)
{
	const char *path = "/usr/bin:/bin";
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			path = *env + 5;
	char *list = strdup(path), *dir;
	for (char *rest = list; (dir = strsep(&rest, ":"));) {
		char *file;
		if (asprintf(&file, "%s/%s", dir, name) < 0)
			die("out of memory");
		if (access(file, X_OK) == 0) {
			free(list);
			return file;
		}
		free(file);
	}
	die("cannot find '%s'", name);
}

struct spawn command_words(const struct command *c, const struct config *cfg)
{
	struct spawn s = {allocate(cfg->n_words + c->n_argv + 1, sizeof *s.argv), NULL};
	for (size_t i = 0; i < cfg->n_words; i++)
		s.argv[i] = cfg->words[i];
	for (size_t i = 0; i < c->n_argv; i++)
		s.argv[cfg->n_words + i] = c->argv[i];
	s.program = strchr(s.argv[0], '/') ? s.argv[0] : find_in_path(s.argv[0], cfg->env);
	return s;
}

pid_t command_start(const struct spawn *s, const struct command *c, const struct config *cfg)
{
	static posix_spawn_file_actions_t actions;
	static const char *actions_cwd;
	if (actions_cwd != c->cwd) {
		if (posix_spawn_file_actions_init(&actions) || posix_spawn_file_actions_addchdir_np(&actions, c->cwd) ||
		    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0) ||
		    posix_spawn_file_actions_adddup2(&actions, 0, 1) || posix_spawn_file_actions_adddup2(&actions, 0, 2))
			die("out of memory");
		actions_cwd = c->cwd;
	}
	pid_t pid;
	int e = posix_spawn(&pid, s->program, &actions, NULL, s->argv, cfg->env);
	if (e)
		die("cannot start '%s': %s", s->program, strerror(e));
	return pid;
}

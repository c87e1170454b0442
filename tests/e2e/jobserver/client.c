// A jobserver client as make 4.4 and ninja 1.14 are, for transports that no tool of this distribution speaks: reads
// --jobserver-auth (fifo or descriptors) from MAKEFLAGS, keeps its implicit slot, takes one token for every further job
// and gives one back at a job's end, at once.
//
//	client FILE	each line is "NAME [DEP...] : COMMAND"; dependencies stand above
//
// Exits with the number of commands that failed.
#include "base/mem.h"
#include "jobserver/client/makeflags.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_JOBS = 4096, MOST_DEPS = 512 };

struct job {
	char *name, *command;
	struct job *deps[MOST_DEPS];
	size_t n_deps;
	pid_t pid;
	bool started, done, failed;
};

static struct job *jobs[MOST_JOBS];
static size_t n_jobs, first_open;
static unsigned running, tokens;
static int token_r = -1, token_w = -1;

static struct job *find(const char *name)
{
	for (size_t i = 0; i < n_jobs; i++)
		if (strcmp(jobs[i]->name, name) == 0)
			return jobs[i];
	fprintf(stderr, "client: no job '%s'\n", name);
	exit(100);
}

static void read_jobs(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[8192];
	while (f && fgets(line, sizeof line, f) && n_jobs < MOST_JOBS) {
		line[strcspn(line, "\n")] = '\0';
		char *colon = strstr(line, " : "), *save;
		if (!colon)
			exit(100);
		*colon = '\0';
		struct job *j = mem_alloc(sizeof *j);
		j->command = mem_strdup(colon + 3);
		j->name = mem_strdup(strtok_r(line, " ", &save));
		for (char *dep; (dep = strtok_r(NULL, " ", &save)) && j->n_deps < MOST_DEPS;)
			j->deps[j->n_deps++] = find(dep);
		jobs[n_jobs++] = j;
	}
	if (!f)
		exit(100);
	fclose(f);
}

static void open_pool(void)
{
	struct auth a = makeflags_auth(getenv("MAKEFLAGS"));
	if (a.kind == AUTH_FIFO) {
		AUTO_FREE char *path = mem_strndup(a.path, a.path_len);
		token_r = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		token_w = open(path, O_WRONLY | O_CLOEXEC);
	} else if (a.kind == AUTH_FDS) {
		token_r = a.r;
		token_w = a.w;
		fcntl(token_r, F_SETFL, O_NONBLOCK);
	}
	if (token_r < 0 || token_w < 0) {
		fprintf(stderr, "client: no jobserver\n");
		exit(100);
	}
}

static struct job *ready_job(void)
{
	while (first_open < n_jobs && jobs[first_open]->started)
		first_open++;
	for (size_t i = first_open; i < n_jobs; i++) {
		bool ready = !jobs[i]->started;
		for (size_t d = 0; ready && d < jobs[i]->n_deps; d++)
			ready = jobs[i]->deps[d]->done;
		if (ready)
			return jobs[i];
	}
	return NULL;
}

static void start(struct job *j)
{
	j->started = true;
	j->pid = fork();
	if (j->pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/bin/sh", "sh", "-c", j->command, (char *)NULL);
		_exit(127);
	}
	running++;
}

static void reap(void)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		for (size_t i = 0; i < n_jobs; i++)
			if (jobs[i]->pid == pid) {
				jobs[i]->done = true;
				jobs[i]->failed = status != 0;
			}
		running--;
		if (tokens && write(token_w, "+", 1) == 1)
			tokens--;
	}
}

static void on_child(int sig)
{
	(void)sig;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 100;
	read_jobs(argv[1]);
	open_pool();
	sigset_t child, none;
	sigemptyset(&none);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child}, NULL);
	for (struct job *next; (next = ready_job()) || running;) {
		char token;
		if (next && running == 0) {
			start(next);
		} else if (next && read(token_r, &token, 1) == 1) {
			tokens++;
			start(next);
		} else {
			struct pollfd p = {.fd = next ? token_r : -1, .events = POLLIN};
			ppoll(&p, 1, NULL, &none);
		}
		reap();
	}
	int failed = 0;
	for (size_t i = 0; i < n_jobs; i++)
		failed += jobs[i]->failed;
	return failed > 99 ? 99 : failed;
}

// Linked with the agent: a guest that comes to its end when a job with -frandom-seed=ends-HOW runs in it, as faults of a kernel or of the agent
// would end it.
//   panic   the first process ends, and the kernel with it
//   agent   the agent is killed
//   silence the agent stands still
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_US = 150000, LONGEST = 16384 };
#define FLAG "-frandom-seed=ends-"

// The arguments of a process, each with its end, and one more; 0 when it has gone.
static size_t arguments_of(int proc, const char *pid, char text[LONGEST])
{
	char name[64];
	snprintf(name, sizeof name, "%.40s/cmdline", pid);
	int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, LONGEST - 1);
	if (fd >= 0)
		close(fd);
	n = n < 0 ? 0 : n;
	text[n] = '\0';
	return (size_t)n;
}

static pid_t agent_in(const char *pid, const char *text, size_t n)
{
	bool is_agent = strcmp(text, "coffer-agent") == 0 && n > sizeof "coffer-agent" &&
			strcmp(text + sizeof "coffer-agent", "--runtime") == 0;
	return is_agent ? (pid_t)atoi(pid) : 0;
}

static void find(int proc, pid_t *agent, char how[16])
{
	static char text[LONGEST];
	int again = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	for (struct dirent *e; d && (e = readdir(d));) {
		size_t n = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? arguments_of(proc, e->d_name, text) : 0;
		if (n && *agent == 0) // what it has forked looks the same
			*agent = agent_in(e->d_name, text, n);
		for (const char *p = text; n && p < text + n; p += strlen(p) + 1)
			if (strncmp(p, FLAG, strlen(FLAG)) == 0)
				snprintf(how, 16, "%.15s", p + strlen(FLAG));
	}
	if (d)
		closedir(d);
}

static void *watch(void *arg)
{
	int proc = -1;
	(void)arg;
	for (;; usleep(LOOK_US)) {
		char how[16] = "";
		pid_t agent = 0;
		if (proc < 0 && access("/proc/self", F_OK) == 0)
			proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (proc >= 0)
			find(proc, &agent, how);
		if (strcmp(how, "panic") == 0)
			_exit(0);
		if (agent && (strcmp(how, "agent") == 0 || strcmp(how, "silence") == 0))
			kill(agent, *how == 'a' ? SIGKILL : SIGSTOP);
	}
	return NULL;
}

__attribute__((constructor)) static void begin(void)
{
	pthread_t thread;
	if (getpid() == 1)
		pthread_create(&thread, NULL, watch, NULL);
}

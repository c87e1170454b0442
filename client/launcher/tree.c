#include "client/launcher/launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PROCESSES = 64 };

// Appends the children of a process, as far as the kernel lists them.
static size_t add_children(struct arena *a, pid_t parent, pid_t *all, size_t n)
{
	AUTO_CLOSE int fd =
		open(arena_printf(a, "/proc/%d/task/%d/children", (int)parent, (int)parent), O_RDONLY | O_CLOEXEC);
	char text[MAX_PROCESSES * 12];
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (size < 0)
		return n;
	text[size] = '\0';
	for (char *at = text, *end; n < MAX_PROCESSES; at = end) {
		long pid = strtol(at, &end, 10);
		if (end == at)
			break;
		if (pid > 1)
			all[n++] = (pid_t)pid;
	}
	return n;
}

void launcher_signal_tree(pid_t root, int sig)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	pid_t all[MAX_PROCESSES] = {root};
	size_t n = 1;
	// All are known before the first is told: its children would be nobody's then.
	for (size_t i = 0; i < n; i++)
		n = add_children(&a, all[i], all, n);
	for (size_t i = 0; i < n; i++)
		kill(all[i], sig);
}

bool launcher_signal_missed(pid_t pid, int sig)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_CLOSE int fd = open(arena_printf(&a, "/proc/%d/status", (int)pid), O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (size < 0)
		return false;
	text[size] = '\0';
	// Pending for the thread, for the process, blocked, caught
	static const char *const names[] = {"\nSigPnd:", "\nShdPnd:", "\nSigBlk:", "\nSigCgt:"};
	bool in[COUNT_OF(names)];
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *line = strstr(text, names[i]);
		if (!line)
			return false;
		in[i] = strtoull(line + strlen(names[i]), NULL, 16) >> (sig - 1) & 1;
	}
	return in[3] && !in[0] && !in[1] && !in[2];
}

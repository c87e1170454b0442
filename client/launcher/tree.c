#include "client/launcher/launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
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

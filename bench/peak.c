// The memory that one process touches: `peak PROGRAM WORDS...` prints `high_water_kb resident_kb status`. Both numbers are
// read when the process is about to end: what the kernel counted at most (VmHWM), and what is resident then (exact, from
// smaps). rusage is no use here: its maximum begins with that of the parent, who is larger than the launcher.
#include "bench/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static long field_kb(pid_t pid, const char *file, const char *field)
{
	char name[64], line[256];
	long kb = -1;
	snprintf(name, sizeof name, "/proc/%d/%s", (int)pid, file);
	FILE *f = fopen(name, "re");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, field, strlen(field)) == 0)
			kb = strtol(line + strlen(field), NULL, 10);
	if (f)
		fclose(f);
	return kb;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: peak PROGRAM WORDS...");
	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execv(argv[1], argv + 1);
		_exit(127);
	}
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_TRACEEXIT)) // NOLINT(performance-no-int-to-ptr)
		die("cannot trace '%s': %s", argv[1], strerror(errno));
	long high = -1, resident = -1;
	for (int sig = 0; ptrace(PTRACE_CONT, pid, NULL, (void *)(long)sig) == 0;) { // NOLINT(performance-no-int-to-ptr)
		if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
			break;
		sig = WSTOPSIG(status);
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
			high = field_kb(pid, "status", "VmHWM:");
			resident = field_kb(pid, "smaps_rollup", "Rss:");
			sig = 0;
		}
	}
	printf("%ld\t%ld\t%d\n", high, resident, status);
	return 0;
}

// Stands in for a ninja that waits in pselect(), as those that CMake built before ninja 1.12 do. Runs `false`, `sleep 1` and thirty times
// `true` at once, starts nothing more after the failure, waits for all that it has started, and ends with 1.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
enum { COMMANDS = 32 };

static int start(const char *command, pid_t *pid)
{
	int ends[2];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char *argv[] = {"/bin/sh", "-c", (char *)(size_t)command, NULL};
	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(2);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	if (posix_spawn(pid, "/bin/sh", &actions, &attr, argv, environ) != 0)
		exit(2);
	close(ends[1]);
	return ends[0];
}

int main(int argc, char **argv)
{
	int fds[COMMANDS], left = 0, status, failed = 0;
	pid_t pids[COMMANDS];
	double load;
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return puts("1.11.1") < 0;
	for (; left < COMMANDS && getloadavg(&load, 1) == 1; left++)
		fds[left] = start(left == 0 ? "sleep 0.1; false" : left == 1 ? "sleep 1" : "true", &pids[left]);
	while (left) {
		fd_set reads;
		sigset_t none;
		int most = -1;
		char text[64];
		sigemptyset(&none);
		FD_ZERO(&reads);
		for (int i = 0; i < left; i++) {
			FD_SET(fds[i], &reads);
			most = fds[i] > most ? fds[i] : most;
		}
		if (pselect(most + 1, &reads, NULL, NULL, NULL, &none) < 0)
			return 2;
		for (int i = left - 1; i >= 0; i--) {
			if (!FD_ISSET(fds[i], &reads) || read(fds[i], text, sizeof text) > 0)
				continue;
			close(fds[i]);
			failed |= waitpid(pids[i], &status, 0) == pids[i] && status != 0;
			fds[i] = fds[--left];
			pids[i] = pids[left];
			if (!failed)
				getloadavg(&load, 1);
		}
	}
	return failed;
}

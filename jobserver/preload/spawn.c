// libcoffer-gate.so, loaded into a ninja that knows no jobserver: it puts coffer-gate before each command that ninja
// starts, so that ninja can start a thousand and only as many run as there are local slots.
//
// The waiting must not be done in ninja itself: it would not read its commands' output meanwhile, and they would block.
// Active only in the program that COFFER_GATE_TOOL names; there it takes itself out of the environment, so that commands
// are as they would be without it. In others (a cmake that starts ninja) it only lies there.
#include "jobserver/preload/preload.h"

#include <dlfcn.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*spawn_fn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
			char *const[]);

char *preload_gate;

// We are the first word of LD_PRELOAD.
static void leave_environment(void)
{
	const char *list = getenv("LD_PRELOAD"), *others = list ? strchr(list, ':') : NULL;
	if (others)
		setenv("LD_PRELOAD", others + 1, 1);
	else
		unsetenv("LD_PRELOAD");
	unsetenv("COFFER_GATE");
	unsetenv("COFFER_GATE_TOOL");
}

__attribute__((constructor)) static void look_around(void)
{
	const char *tool = getenv("COFFER_GATE_TOOL"), *program = getenv("COFFER_GATE");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (!tool || !program || n < 0)
		return;
	self[n] = '\0';
	if (strcmp(self, tool) != 0)
		return;
	preload_gate = strdup(program);
	leave_environment();
}

static int spawn(const char *name, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	// dlsym gives a data pointer; POSIX says that it converts.
	spawn_fn real;
	*(void **)&real = dlsym(RTLD_NEXT, name);
	size_t n = 0;
	while (argv[n])
		n++;
	char **words = preload_gate ? calloc(n + 3, sizeof *words) : NULL;
	if (!words)
		return real(pid, path, actions, attr, argv, envp);
	words[0] = preload_gate;
	words[1] = (char *)(size_t)path;
	memcpy(words + 2, argv, n * sizeof *words);
	pid_t child;
	int rc = real(&child, preload_gate, actions, attr, words, envp);
	free(words);
	if (rc)
		return real(pid, path, actions, attr, argv, envp);
	// Ninja gives a process group of its own to all but the command that has the console.
	short flags = 0;
	if (attr)
		posix_spawnattr_getflags(attr, &flags);
	ends_started(child, !(flags & POSIX_SPAWN_SETPGROUP));
	if (pid)
		*pid = child;
	return 0;
}

SEEN_BY_ALL int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
			    const posix_spawnattr_t *restrict attr, char *const argv[restrict], char *const envp[restrict])
{
	// A bare name is a file in the working directory here; for coffer-gate it would be one in PATH.
	char file[PATH_MAX];
	size_t n = strlen(path);
	if (preload_gate && !strchr(path, '/') && n + 3 <= sizeof file) {
		memcpy(file, "./", 2);
		memcpy(file + 2, path, n + 1);
		return spawn("posix_spawn", pid, file, actions, attr, argv, envp);
	}
	return spawn("posix_spawn", pid, path, actions, attr, argv, envp);
}

SEEN_BY_ALL int posix_spawnp(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *actions,
			     const posix_spawnattr_t *restrict attr, char *const argv[restrict], char *const envp[restrict])
{
	return spawn("posix_spawnp", pid, file, actions, attr, argv, envp);
}

#include "client/launcher/launcher.h"

#include "base/self.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_FOUND = 127, NOT_EXECUTABLE = 126, MAX_DEPTH = 16 };

static long number_of(const char *variable)
{
	const char *text = getenv(variable);
	long n = text ? strtol(text, NULL, 10) : 0;
	return n > 0 ? n : 0;
}

static long depth(void)
{
	return number_of("COFFER_DEPTH");
}

// A script that is followed holds nothing of what a compile holds, so it does not make us deeper. The daemon follows only some.
bool launcher_is_too_deep(void)
{
	return depth() >= MAX_DEPTH;
}

static bool is_named(const char *entry, const char *name)
{
	size_t n = strlen(name);
	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

char **launcher_compiler_environment(struct launch *l, bool nested_disabled)
{
	size_t n = 0, kept = 0;
	while (environ[n])
		n++;
	char **env = arena_alloc(&l->arena, (n + 3) * sizeof *env);
	for (size_t i = 0; i < n; i++)
		if (!is_named(environ[i], "COFFER_DEPTH") && !(nested_disabled && is_named(environ[i], "COFFER_DISABLE")))
			env[kept++] = environ[i];
	env[kept++] = arena_printf(&l->arena, "COFFER_DEPTH=%ld", depth() + 1);
	if (nested_disabled)
		env[kept++] = arena_strdup(&l->arena, "COFFER_DISABLE=1");
	return env;
}

bool launcher_is_elf(const char *path)
{
	char magic[4];
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic && memcmp(magic, "\177ELF", sizeof magic) == 0;
}

// What execvp and the shells do with a file that has no "#!" and is no program. One of another machine, or a part of one, is no text.
static void exec_as_script(struct launch *l, char *const *env)
{
	if (launcher_is_elf(l->program)) {
		errno = ENOEXEC;
		return;
	}
	size_t n = 0;
	while (l->argv[n])
		n++;
	const char **argv = arena_alloc(&l->arena, (n + 2) * sizeof *argv);
	argv[0] = "sh";
	argv[1] = l->program;
	memcpy(argv + 2, l->argv + 1, (n - 1) * sizeof *argv);
	execve("/bin/sh", (char *const *)argv, env);
}

static int exec_failed(const char *file)
{
	int e = errno;
	launcher_say("cannot execute '%s': %s", file, strerror(e));
	return e == ENOENT || e == ENOTDIR ? NOT_FOUND : NOT_EXECUTABLE;
}

int launcher_exec_compiler(struct launch *l)
{
	char **env = launcher_compiler_environment(l, false);
	char *typed = l->argv[0];
	l->argv[0] = arena_strdup(&l->arena, l->argv0);
	execve(l->program, l->argv, env);
	if (errno == ENOEXEC)
		exec_as_script(l, env);
	l->argv[0] = typed;
	return exec_failed(l->program);
}

int launcher_exec_compiler_lost(struct launch *l)
{
	if (l->has_place) {
		const char *file = arena_printf(&l->arena, "%s/lost", l->place.dir);
		int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		if (fd >= 0)
			launcher_write_all(fd, "\n", 1);
	}
	return launcher_exec_compiler(l);
}

// Settings reach a verb, a script, and all that it starts, as variables.
static void settings_to_environment(struct launch *l)
{
	for (uint32_t i = 0; i < l->n_set; i++) {
		char *entry = arena_printf(&l->arena, "COFFER_%s", l->set[i]);
		for (char *p = entry; *p != '='; p++)
			*p = (char)toupper((unsigned char)*p);
		putenv(entry);
	}
}

int launcher_exec_prefix(struct launch *l, char *const *argv)
{
	settings_to_environment(l);
	execve(l->program, argv, environ);
	return exec_failed(l->program);
}

int launcher_exec_verb(struct launch *l)
{
	const char *cofferd = launcher_find_cofferd(&l->arena);
	if (!cofferd) {
		launcher_say("cannot find 'cofferd', the program behind `coffer %s`", l->argv[0]);
		launcher_say("install it in the folder of 'coffer', or name its file in COFFERD");
		return NOT_FOUND;
	}
	settings_to_environment(l);
	size_t n = 0;
	while (l->argv[n])
		n++;
	const char **argv = arena_alloc(&l->arena, (n + 2) * sizeof *argv);
	argv[0] = cofferd;
	memcpy(argv + 1, l->argv, n * sizeof *argv);
	execve(cofferd, (char *const *)argv, environ);
	return exec_failed(cofferd);
}

int launcher_exec_followed(struct launch *l, const char *order)
{
	const char *self = self_file(&l->arena), *from = order ? strchr(order, '\n') : NULL;
	if (!from || !self)
		return launcher_exec_compiler(l);
	settings_to_environment(l);
	putenv(arena_printf(&l->arena, "COFFER_FOLLOWED=%ld", number_of("COFFER_FOLLOWED") + 1));
	putenv(arena_printf(&l->arena, "COFFER_FOLLOWED_FROM=%s", from + 1));
	putenv(arena_printf(&l->arena, "COFFER_FOLLOW=%s", self));
	putenv(arena_printf(&l->arena, "LD_PRELOAD=%.*s", (int)(from - order), order));
	l->argv[0] = arena_strdup(&l->arena, l->argv0);
	execve(l->program, l->argv, environ);
	if (errno != E2BIG)
		return exec_failed(l->program);
	unsetenv("COFFER_FOLLOW");
	unsetenv("LD_PRELOAD");
	unsetenv("COFFER_FOLLOWED_FROM");
	return launcher_exec_compiler(l);
}

_Noreturn void launcher_end_as(int status)
{
	if (WIFSIGNALED(status)) {
		int sig = WTERMSIG(status);
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, sig);
		prctl(PR_SET_DUMPABLE, 0); // the compiler has left a core file, or not; ours would replace it
		signal(sig, SIG_DFL);
		raise(sig);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		_exit(128 + sig);
	}
	_exit(WEXITSTATUS(status));
}

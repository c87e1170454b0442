// libcoffer-follow.so, loaded into a script or a wrapper that stands where a build has its compiler: it puts coffer before the
// compiler that is run in the end.
//
// The script itself runs, each time: what it reads of files, environment and clock needs no guess. Only a compile of its (by its
// words, base/compile_words.h) becomes `coffer --program=FILE NAME WORD…`. In between there may be further scripts, and programs
// that run a command (env, nice, sh): they are loaded with this library as well, where it fits (base/preload.h). What is
// started in another way (posix_spawn, a static shell) runs as without us.
//
// COFFER_FOLLOW names coffer's file. The constructor takes it and our name in LD_PRELOAD out of the environment, so that no
// script sees them, and whatever is executed gets them again. Functions between vfork and exec come here, too: nothing is allocated.
// Thread: any; what is static is written by the constructor alone.
#include "base/compile_words.h"
#include "base/preload.h"

#include <alloca.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char library[PATH_MAX], coffer[PATH_MAX]; // empty: not active
static struct stat coffer_file;

static const char preload_name[] = "LD_PRELOAD=", follow_name[] = "COFFER_FOLLOW=";

static char **entry_of(char *const *env, const char *name)
{
	for (char *const *e = env; e && *e; e++)
		if (strncmp(*e, name, strlen(name)) == 0)
			return (char **)(size_t)e;
	return NULL;
}

static void remove_entry(char **entry)
{
	for (; *entry; entry++)
		entry[0] = entry[1];
}

// We are the first word of LD_PRELOAD.
__attribute__((constructor)) static void look_around(void)
{
	char **follow = entry_of(environ, follow_name), **preload = entry_of(environ, preload_name);
	if (!follow || !preload)
		return;
	const char *file = *follow + strlen(follow_name), *list = *preload + strlen(preload_name);
	size_t n = strcspn(list, ":");
	if (n == 0 || n >= sizeof library || strlen(file) >= sizeof coffer || stat(file, &coffer_file) < 0)
		return;
	memcpy(library, list, n);
	memcpy(coffer, file, strlen(file) + 1);
	if (list[n])
		memmove(*preload + strlen(preload_name), list + n + 1, strlen(list + n + 1) + 1);
	else
		remove_entry(preload);
	remove_entry(entry_of(environ, follow_name));
}

// ---- one program becomes another --------------------------------------------------------------------------------------

static int become(const char *file, char *const *argv, char *const *env)
{
	return (int)syscall(SYS_execve, file, argv, env);
}

static size_t count(char *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

// Programs that run what their words say: their words are those of a compile, and they are none.
static bool is_carrier(const char *file)
{
	static const char *const names[] = {"sh",      "bash", "dash", "ash",     "zsh",    "ksh",    "mksh",
					    "busybox", "env",  "nice", "timeout", "stdbuf", "ionice", "nohup",
					    "setsid",  "time", "chrt", "taskset", "perl",   "ruby",   "xargs"};
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(base, names[i]) == 0)
			return true;
	return strncmp(base, "python", 6) == 0;
}

// A carrier with the library that followed it here.
static int become_followed(const char *file, char *const *argv, char *const *env)
{
	if (!preload_fits_script(file))
		return become(file, argv, env);
	char **theirs = entry_of(env, preload_name);
	const char *others = theirs ? *theirs + strlen(preload_name) : "";
	size_t n = count(env), kept = 0;
	char **words = alloca((n + 3) * sizeof *words);
	char *follow = alloca(sizeof follow_name + strlen(coffer));
	char *preload = alloca(sizeof preload_name + strlen(library) + 1 + strlen(others));
	for (size_t i = 0; i < n; i++)
		if (!theirs || env[i] != *theirs)
			words[kept++] = env[i];
	strcpy(stpcpy(follow, follow_name), coffer);
	char *end = stpcpy(stpcpy(preload, preload_name), library);
	if (others[0])
		strcpy(stpcpy(end, ":"), others);
	words[kept++] = preload;
	words[kept++] = follow;
	words[kept] = NULL;
	return become(file, argv, words);
}

static int become_coffer(const char *file, char *const *argv, char *const *env)
{
	static const char option[] = "--program=";
	char name[] = "coffer";
	size_t n = count(argv);
	char **words = alloca((n + 3) * sizeof *words);
	char *program = alloca(sizeof option + strlen(file));
	strcpy(stpcpy(program, option), file);
	words[0] = name;
	words[1] = program;
	memcpy(words + 2, argv, (n + 1) * sizeof *words);
	become(coffer, words, env);
	return become(file, argv, env);
}

static int execute(const char *file, char *const *argv, char *const *env)
{
	struct stat st;
	// Whatever is wrong with it, the kernel says so.
	if (!coffer[0] || !file || !argv || !argv[0] || stat(file, &st) < 0 || access(file, X_OK) < 0 ||
	    !S_ISREG(st.st_mode))
		return become(file, argv, env);
	if (st.st_dev == coffer_file.st_dev && st.st_ino == coffer_file.st_ino)
		return become(file, argv, env);
	if (!is_carrier(file) && words_are_a_compile((const char *const *)argv))
		return become_coffer(file, argv, env);
	return become_followed(file, argv, env);
}

// ---- what programs call -----------------------------------------------------------------------------------------------

int execve(const char *file, char *const argv[], char *const envp[])
{
	return execute(file, argv, envp);
}

int execv(const char *file, char *const argv[])
{
	return execute(file, argv, environ);
}

// A file without "#!" that is no program is one of the shell's.
static int execute_or_shell(const char *file, char *const *argv, char *const *env)
{
	char name[] = "sh";
	size_t n = count(argv);
	execute(file, argv, env);
	if (errno != ENOEXEC)
		return -1;
	char **words = alloca((n + 3) * sizeof *words);
	words[0] = name;
	words[1] = (char *)(size_t)file;
	memcpy(words + 2, argv + (n ? 1 : 0), (n ? n : 1) * sizeof *words);
	return execute("/bin/sh", words, env);
}

int execvpe(const char *name, char *const argv[], char *const envp[])
{
	char **entry = entry_of(environ, "PATH="), file[PATH_MAX];
	const char *path = entry ? *entry + 5 : "/bin:/usr/bin";
	bool denied = false;
	size_t n_name = strlen(name);
	if (strchr(name, '/'))
		return execute_or_shell(name, argv, envp);
	errno = ENOENT;
	for (const char *at = path; name[0];) {
		size_t n = strcspn(at, ":");
		if (n + n_name + 2 <= sizeof file) {
			memcpy(file, at, n);
			file[n] = '/';
			memcpy(file + n + (n > 0), name, n_name + 1);
			execute_or_shell(file, argv, envp);
			denied |= errno == EACCES;
			if (errno != EACCES && errno != ENOENT && errno != ENOTDIR && errno != ESTALE && errno != ENODEV &&
			    errno != ETIMEDOUT)
				return -1;
		}
		if (!at[n])
			break;
		at += n + 1;
	}
	if (denied)
		errno = EACCES;
	return -1;
}

int execvp(const char *name, char *const argv[])
{
	return execvpe(name, argv, environ);
}

// The words of a call with a list (name, word, …, NULL), in the caller's frame.
#define LISTED(words, first, args)                                 \
	va_list args;                                              \
	size_t n_words = 1;                                        \
	va_start(args, first);                                     \
	while (va_arg(args, const char *))                         \
		n_words++;                                         \
	va_end(args);                                              \
	char **words = alloca((n_words + 1) * sizeof *words);      \
	va_start(args, first);                                     \
	words[0] = (char *)(size_t)first;                          \
	for (size_t i = 1; (words[i] = va_arg(args, char *)); i++) \
		;

int execl(const char *file, const char *arg, ...)
{
	LISTED(words, arg, args)
	va_end(args);
	return execute(file, words, environ);
}

int execlp(const char *file, const char *arg, ...)
{
	LISTED(words, arg, args)
	va_end(args);
	return execvpe(file, words, environ);
}

int execle(const char *file, const char *arg, ...)
{
	LISTED(words, arg, args)
	char *const *env = va_arg(args, char *const *);
	va_end(args);
	return execute(file, words, env);
}

// libcoffer-follow.so, loaded into a script or a wrapper that stands where a build has its compiler: it puts coffer before the
// compiler that is run in the end.
//
// The script itself runs, each time: what it reads of files, environment and clock needs no guess. Two kinds of calls of its differ
// from those of the plain script, and only if the kernel would do nothing but run the file (base/preload.h):
// - a compile (base/compile_words.h) by a program that is called like a compiler becomes `coffer --program=FILE NAME WORD…`;
// - further scripts, and programs that run a command (env, nice, sh), are loaded with this library as well.
// All other calls go on as they are: to the next library that has them, and to the kernel. What is started in another way (system() and
// popen(), fexecve(), a static shell) runs as without us.
//
// COFFER_FOLLOW names coffer's file, COFFER_FOLLOWED says how often coffer has followed a script, and COFFER_FOLLOWED_FROM which one
// it was at last; coffer gets these two back. The constructor takes all of them and LD_PRELOAD out of the environment, so that no
// script sees them. Functions between vfork and exec come here, too: nothing is allocated. Thread: any; what is static is written by the constructor alone.
#include "base/compile_words.h"
#include "base/preload.h"
#include "compiler/names.h"

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	SETTINGS_MAX = 16384,
	ENTRY_MAX = 64,
	PATH_LONGEST = 1024,       // that is looked for in PATH
	STACK_KNOWN = 1024 * 1024, // so near to its end the stack has room for as many words as the kernel takes
	FEW_WORDS = 256,           // for which any stack has room
};

typedef int execve_function(const char *, char *const *, char *const *);
typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
			   char *const *, char *const *);

// How the program wants to start another one.
struct starting {
	spawn_function *spawn; // NULL: it becomes it
	pid_t *pid;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attr;
};

static bool is_active;
static char library[PATH_MAX], coffer[PATH_MAX], followed[ENTRY_MAX], from[PATH_MAX + ENTRY_MAX];
static char **stack_end; // the environment that the kernel has put there
static struct stat library_file, coffer_file;
static char
	settings[SETTINGS_MAX]; // "NAME=value" of coffer's settings and of where they are found; an empty one is the last
static execve_function *next_execve, *next_execvpe;
static spawn_function *next_spawn, *next_spawnp;

static const char preload_name[] = "LD_PRELOAD=", follow_name[] = "COFFER_FOLLOW=", followed_name[] = "COFFER_FOLLOWED=",
		  from_name[] = "COFFER_FOLLOWED_FROM=";
static const char setting_name[] = "COFFER_";
static const char *const places[] = {"HOME=", "XDG_CONFIG_HOME=", "XDG_CACHE_HOME=", "XDG_RUNTIME_DIR="};

// ---- the environment --------------------------------------------------------------------------------------------------

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static char **entry_of(char *const *env, const char *name)
{
	for (char *const *e = env; e && *e; e++)
		if (begins(*e, name))
			return (char **)(size_t)e;
	return NULL;
}

static void remove_entry(const char *name)
{
	for (char **entry; (entry = entry_of(environ, name));)
		for (; *entry; entry++)
			entry[0] = entry[1];
}

static const char *place_name(const char *entry)
{
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (begins(entry, places[i]))
			return places[i];
	return NULL;
}

static bool keep_settings(void)
{
	size_t used = 0;
	for (char **e = environ; *e; e++) {
		size_t n = strlen(*e) + 1;
		if ((!begins(*e, setting_name) && !place_name(*e)) || !strchr(*e, '='))
			continue;
		if (used + n >= sizeof settings)
			return false;
		memcpy(settings + used, *e, n);
		used += n;
	}
	return true;
}

static const char *kept_setting(const char *name)
{
	const char *s = settings;
	while (*s && !begins(s, name))
		s += strlen(s) + 1;
	return *s ? s : NULL;
}

// Whether coffer would have in this environment the settings that it had when we were loaded, or others that are meant: none has
// gone, and they are found at the same place.
static bool has_settings(char *const *env)
{
	for (const char *s = settings; *s; s += strlen(s) + 1) {
		size_t n = strcspn(s, "=") + 1;
		char *const *e = env;
		while (e && *e && strncmp(*e, s, n) != 0)
			e++;
		if (!e || !*e || (!begins(s, setting_name) && strcmp(*e, s) != 0))
			return false;
	}
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (entry_of(env, places[i]) && !kept_setting(places[i]))
			return false;
	return true;
}

static void look_around(void)
{
	char **follow = entry_of(environ, follow_name), **preload = entry_of(environ, preload_name),
	     **times = entry_of(environ, followed_name), **first = entry_of(environ, from_name);
	if (!follow || !preload || !times || !first)
		return;
	const char *file = *follow + strlen(follow_name), *list = *preload + strlen(preload_name);
	if (strlen(list) >= sizeof library || strlen(file) >= sizeof coffer || strlen(*times) >= sizeof followed ||
	    strlen(*first) >= sizeof from || stat(list, &library_file) < 0 || stat(file, &coffer_file) < 0)
		return;
	strcpy(library, list);
	strcpy(coffer, file);
	strcpy(followed, *times);
	strcpy(from, *first);
	remove_entry(preload_name);
	remove_entry(follow_name);
	remove_entry(followed_name);
	remove_entry(from_name);
	is_active = keep_settings();
}

__attribute__((constructor)) static void begin(void)
{
	next_execve = (execve_function *)(size_t)dlsym(RTLD_NEXT, "execve");
	next_execvpe = (execve_function *)(size_t)dlsym(RTLD_NEXT, "execvpe");
	next_spawn = (spawn_function *)(size_t)dlsym(RTLD_NEXT, "posix_spawn");
	next_spawnp = (spawn_function *)(size_t)dlsym(RTLD_NEXT, "posix_spawnp");
	stack_end = environ;
	look_around();
}

// ---- one program becomes another --------------------------------------------------------------------------------------

static size_t count(char *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

// 0: spawned; -1: errno says why not.
static int become(const struct starting *c, const char *file, char *const *argv, char *const *env)
{
	if (c->spawn) {
		int e = c->spawn(c->pid, file, c->actions, c->attr, argv, env);
		errno = e ? e : errno;
		return e ? -1 : 0;
	}
	return next_execve ? next_execve(file, argv, env) : (int)syscall(SYS_execve, file, argv, env);
}

enum { MORE_ENTRIES = 5 };

// `words` has room for so many more than `env`, with the NULL at its end.
static void add_entries(char **words, char *const *env, char *const *more)
{
	size_t n = count(env), n_more = count(more);
	memcpy(words, env, n * sizeof *words);
	memcpy(words + n, more, (n_more + 1) * sizeof *words);
}

// A carrier with the library that followed it here.
static int become_followed(const struct starting *c, const char *file, char *const *argv, char *const *env)
{
	char **words = alloca((count(env) + MORE_ENTRIES) * sizeof *words);
	char *follow = alloca(sizeof follow_name + strlen(coffer));
	char *preload = alloca(sizeof preload_name + strlen(library));
	strcpy(stpcpy(follow, follow_name), coffer);
	strcpy(stpcpy(preload, preload_name), library);
	add_entries(words, env, (char *const[]){preload, follow, followed, from, NULL});
	if (become(c, file, argv, words) == 0)
		return 0;
	return errno == E2BIG ? become(c, file, argv, env) : -1;
}

static int become_coffer(const struct starting *c, const char *file, char *const *argv, char *const *env)
{
	static const char option[] = "--program=";
	char name[] = "coffer";
	size_t n = count(argv);
	char **words = alloca((n + 3) * sizeof *words), **with = alloca((count(env) + MORE_ENTRIES) * sizeof *with);
	char *program = alloca(sizeof option + strlen(file));
	strcpy(stpcpy(program, option), file);
	words[0] = name;
	words[1] = program;
	memcpy(words + 2, argv, (n + 1) * sizeof *words);
	add_entries(with, env, (char *const[]){followed, from, NULL});
	return become(c, coffer, words, with) == 0 ? 0 : become(c, file, argv, env);
}

static bool is_file(const char *path, const struct stat *file)
{
	struct stat st;
	return stat(path, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

// Who has become another user or has another root may not see it.
static bool can_load_library(void)
{
	return is_file(library, &library_file) && faccessat(AT_FDCWD, library, R_OK, AT_EACCESS) == 0;
}

static bool is_called_like_a_compiler(const char *file)
{
	const char *slash = strrchr(file, '/');
	return compiler_name_kind(slash ? slash + 1 : file) != NULL;
}

// Threads may have small stacks, and so has who is forked by one.
static bool has_stack(char *const *argv, char *const *env)
{
	const char *end = (const char *)stack_end, *here = (const char *)__builtin_frame_address(0);
	return (here < end && end - here < STACK_KNOWN) || count(argv) + count(env) <= FEW_WORDS;
}

// What is spawned may be in another directory, or another user, before it becomes its program.
static bool is_where_we_are(const struct starting *c, const char *file)
{
	short flags = 0;
	if (!c->spawn)
		return true;
	return (!c->actions || file[0] == '/') &&
	       (!c->attr || (posix_spawnattr_getflags(c->attr, &flags) == 0 && !(flags & POSIX_SPAWN_RESETIDS)));
}

static int execute(const struct starting *c, const char *file, char *const *argv, char *const *env)
{
	// A name without '/' is one of the working directory here, and in PATH for all others; what is below /proc is another file for
	// each process. Who loads a library of its own, or takes coffer's settings away, is left alone.
	if (!is_active || !file || !strchr(file, '/') || begins(file, "/proc/") || begins(file, "/dev/") || !argv ||
	    !argv[0] || !env || entry_of(env, preload_name) || entry_of(env, follow_name) || entry_of(env, followed_name) ||
	    entry_of(env, from_name) || !has_stack(argv, env) || !has_settings(env) || !is_where_we_are(c, file))
		return become(c, file, argv, env);
	if (is_file(file, &coffer_file)) {
		char **with = alloca((count(env) + MORE_ENTRIES) * sizeof *with);
		add_entries(with, env, (char *const[]){followed, from, NULL});
		return become(c, file, argv, with);
	}
	if (preload_fits_carrier(file))
		return can_load_library() ? become_followed(c, file, argv, env) : become(c, file, argv, env);
	if (is_called_like_a_compiler(file) && is_called_like_a_compiler(argv[0]) &&
	    words_are_a_compile((const char *const *)argv) && preload_is_program(file))
		return become_coffer(c, file, argv, env);
	return become(c, file, argv, env);
}

// ---- what programs call -----------------------------------------------------------------------------------------------

#define SEEN_BY_ALL __attribute__((visibility("default")))

static const struct starting becomes = {0};

SEEN_BY_ALL int execve(const char *file, char *const argv[], char *const envp[])
{
	return execute(&becomes, file, argv, envp);
}

SEEN_BY_ALL int execv(const char *file, char *const argv[])
{
	return execute(&becomes, file, argv, environ);
}

// The first file of that name in PATH, whose relative directories depend on where the program will be: the search ends there.
// False: there is none.
static bool find_in_path(char file[PATH_LONGEST], const char *name)
{
	char **entry = entry_of(environ, "PATH=");
	size_t n_name = strlen(name);
	struct stat st;
	for (const char *at = entry ? *entry + strlen("PATH=") : ""; *at == '/'; at++) {
		size_t n = strcspn(at, ":");
		if (n + n_name + 2 > PATH_LONGEST)
			return false;
		memcpy(file, at, n);
		file[n] = '/';
		memcpy(file + n + 1, name, n_name + 1);
		if (stat(file, &st) == 0)
			return true;
		at += n;
		if (!*at)
			return false;
	}
	return false;
}

// The file that such a name is, if it is one that the kernel runs; else NULL.
static const char *program_of(const char *name, char found[PATH_LONGEST])
{
	const char *file = NULL;
	if (is_active && name[0])
		file = strchr(name, '/') ? name : find_in_path(found, name) ? found : NULL;
	return file && (preload_is_program(file) || preload_fits_carrier(file)) ? file : NULL;
}

// The C library goes on past files that can't be executed, and takes a shell for what is no program. So it is asked, but where
// the first file of that name is one that the kernel runs.
SEEN_BY_ALL int execvpe(const char *name, char *const argv[], char *const envp[])
{
	char found[PATH_LONGEST];
	const char *file = program_of(name, found);
	if (file)
		return execute(&becomes, file, argv, envp);
	if (next_execvpe)
		return next_execvpe(name, argv, envp);
	errno = ENOSYS;
	return -1;
}

SEEN_BY_ALL int execvp(const char *name, char *const argv[])
{
	return execvpe(name, argv, environ);
}

// The words of execl() and the like, with the NULL at their end. A macro: what alloca() gives is the caller's.
#define WORDS_OF_LIST(words, first, ap)                              \
	do {                                                         \
		va_list counted;                                     \
		size_t n_words = 1;                                  \
		va_start(ap, first);                                 \
		va_copy(counted, ap);                                \
		while (va_arg(counted, char *))                      \
			n_words++;                                   \
		va_end(counted);                                     \
		(words) = alloca((n_words + 1) * sizeof *(words));   \
		(words)[0] = (char *)(size_t)(first);                \
		for (size_t i_word = 1; i_word <= n_words; i_word++) \
			(words)[i_word] = va_arg(ap, char *);        \
	} while (0)

SEEN_BY_ALL int execl(const char *file, const char *first, ...)
{
	va_list ap;
	char **words;
	WORDS_OF_LIST(words, first, ap);
	va_end(ap);
	return execv(file, words);
}

SEEN_BY_ALL int execlp(const char *name, const char *first, ...)
{
	va_list ap;
	char **words;
	WORDS_OF_LIST(words, first, ap);
	va_end(ap);
	return execvp(name, words);
}

SEEN_BY_ALL int execle(const char *file, const char *first, ...)
{
	va_list ap;
	char **words;
	WORDS_OF_LIST(words, first, ap);
	char *const *env = va_arg(ap, char *const *);
	va_end(ap);
	return execve(file, words, env);
}

static int spawn(spawn_function *next, const struct starting *c, const char *file, char *const *argv, char *const *env)
{
	if (!next)
		return ENOSYS;
	int e = errno, rc = execute(c, file, argv, env) == 0 ? 0 : errno;
	errno = e;
	return rc;
}

SEEN_BY_ALL int posix_spawn(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *actions,
			    const posix_spawnattr_t *restrict attr, char *const argv[restrict], char *const envp[restrict])
{
	return spawn(next_spawn, &(struct starting){next_spawn, pid, actions, attr}, file, argv, envp);
}

SEEN_BY_ALL int posix_spawnp(pid_t *restrict pid, const char *restrict name, const posix_spawn_file_actions_t *actions,
			     const posix_spawnattr_t *restrict attr, char *const argv[restrict], char *const envp[restrict])
{
	char found[PATH_LONGEST];
	const char *file = program_of(name, found);
	if (file && file[0] == '/' && next_spawn)
		return posix_spawn(pid, file, actions, attr, argv, envp);
	return next_spawnp ? next_spawnp(pid, name, actions, attr, argv, envp) : ENOSYS;
}

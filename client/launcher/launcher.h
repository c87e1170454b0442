// The launcher: `coffer gcc …`, or a link to coffer with a compiler's name. It asks the daemon what to do with a compile
// and does it; whatever goes wrong, it becomes the real compiler. main.c is the story, the other files are its steps.
//
// It starts once for every compile of a build, so it links nothing, allocates little and makes few system calls. Every
// descriptor that it opens is close-on-exec. Thread: one.
#ifndef COFFER_CLIENT_LAUNCHER_LAUNCHER_H
#define COFFER_CLIENT_LAUNCHER_LAUNCHER_H

#include "client/wire/place.h"
#include "client/wire/wire.h"
#include "jobserver/client/lease.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

// One compile, or one verb.
struct launch {
	struct arena arena;
	char **argv;      // as the user typed it, without coffer's own words: argv[0] is the compiler or the verb
	const char **set; // the --set words, NULL-terminated
	uint32_t n_set;
	bool masquerade;     // we were started by the compiler's name
	const char *file;    // --program: the compiler's file, whose name is argv[0] all the same; NULL: argv[0] tells
	const char *program; // the real compiler's file, as it is executed
	const char *argv0;   // what the compiler gets as argv[0]
	unsigned tty;        // JOB_*_TTY
	bool is_elsewhere;   // `place` is that of our own world's daemon (wire_find_place_in)
	unsigned closed;     // bit N: descriptor N was closed when we started (0 to 2); a stand-in is there now
	uint32_t columns;
	struct wire_place place;
	bool has_place;
};

// ---- args.c: what the user typed ----
enum args_kind { ARGS_COMPILE, ARGS_VERB, ARGS_WRONG /* the user has been told */ };
enum args_kind launcher_args_read(struct launch *l, int argc, char **argv);
// Whether environment or --set words say that coffer is to keep out of it.
bool launcher_args_disabled(const struct launch *l);

// ---- find.c: which file is executed ----
struct found {
	const char *file;   // in the arena
	bool behind_coffer; // something of that name is a link to coffer, or to ccache, and stands before it
};
// The first file `name` in `path` that is executable and neither coffer itself nor a link to ccache (of which the
// first is taken where there is nothing else). `self` is our own file. A name with a '/' is taken as it is unless it is one of
// these. false: there is none.
bool launcher_find_compiler(struct found *f, struct arena *a, const char *name, const char *path, const struct stat *self);
bool launcher_find_self(struct stat *self); // our own file
// cofferd: the file that COFFERD names (absolute), else beside our own file, else ../libexec/coffer/ or ../lib/coffer/ from
// there. NULL: there is none.
const char *launcher_find_cofferd(struct arena *a);

// ---- exec.c: becoming another program. All return only if that failed, with the exit status, having said why ----
int launcher_exec_compiler(struct launch *l);
int launcher_exec_compiler_lost(struct launch *l); // counts it: the daemon should have answered and did not
int launcher_exec_verb(struct launch *l);
// Our environment for a compiler; `nested_disabled` makes coffer run untouched what the compiler starts through coffer.
char **launcher_compiler_environment(struct launch *l, bool nested_disabled);
bool launcher_is_too_deep(void); // a compiler that starts coffer that starts the compiler…
// Ends as a process with this status (of waitpid) ended: the same exit code, or death by the same signal.
_Noreturn void launcher_end_as(int status);

// Whether a file begins as a program does. False for what can't be read, too.
bool launcher_is_elf(const char *path);

// Becomes what stands in the compiler's place, a script or a wrapper, with the library that puts coffer before the compiler
// which it runs (client/follow). `order` is the daemon's.
int launcher_exec_followed(struct launch *l, const char *order);

// Becomes a program that is none of coffer's affair: our environment, with the --set words as variables.
int launcher_exec_prefix(struct launch *l, char *const *argv);

// ---- prefix.c: `coffer env CPATH= gcc …` ----
// A program that runs a command: env, nice, timeout … (by its name).
bool launcher_is_prefix(const char *word);
// The words with coffer in front of the compiler, which stands behind one or more of these. NULL: no compiler is there.
char **launcher_prefix_words(struct launch *l);

// ---- start.c: the connection ----
// A connected socket, if need be to a daemon that was started for it; -1 if there is none.
int launcher_daemon_connect(struct launch *l);

// ---- job.c: question and answer ----
struct passed_on {
	int exit_code;
	bool is_unread; // somebody does not take the messages: what the compiler does then, only the compiler knows
};
int launcher_job_send(struct launch *l, int sock, unsigned flags);               // JOB_*, beside those of the terminal
int launcher_job_answer(int sock, struct wire_msg *answer, struct lease *lease); // within bounds of time
// Passes the messages on. -1: nothing was done yet.
int launcher_job_done(const struct wire_msg *answer, struct passed_on *done);

// ---- run.c: the compile in our hands ----
int launcher_run_compiler(struct launch *l, int sock,
			  const struct wire_msg *order); // does not return but as exec_compiler does

// ---- tree.c ----
// Sends a signal to a process and to all below it: a compiler's driver that is told to end leaves its stages running.
void launcher_signal_tree(pid_t root, int sig);
// Whether a process shows that it has not got a signal: it has a handler for it, which is not at work, and no such signal waits.
// A handler that ends the process takes itself out first, so false says little.
bool launcher_signal_missed(pid_t pid, int sig);

// ---- say.c ----
__attribute__((format(printf, 1, 2))) void launcher_say(const char *fmt, ...); // a line "coffer: …" on standard error
// All of it, also where the descriptor does not block. False: nobody reads it, or there is no room.
bool launcher_write_all(int fd, const char *p, size_t n);
const char *launcher_env(void *unused, const char *name);
const char *launcher_base_name(const char *path);

#endif

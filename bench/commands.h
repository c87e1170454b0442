// What is replayed, and under what: compile commands that project.sh has written down, and configurations (a program that
// is put before the compiler, its environment, its daemon). Everything is loaded before anything is timed; what can't be
// loaded ends the program. Thread: one.
#ifndef COFFER_BENCH_COMMANDS_H
#define COFFER_BENCH_COMMANDS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct command {
	const char *cwd, *object, *depfile; // depfile may be ""
	char **argv;                        // NULL-terminated; argv[0] is the compiler's name
	size_t n_argv;
};

struct commands {
	struct command *list;
	size_t n;
};
struct commands commands_load(const char *file);
void command_clean(const struct command *c); // removes the object and the depfile

// A configuration is a file of lines: `name NAME`; `word WORD` for each word before the compiler's name, the first an
// absolute path; `env NAME=VALUE` for each variable, there are no others; `daemon PID` where one serves the words.
struct config {
	const char *name;
	char **words, **env; // NULL-terminated
	size_t n_words, n_env;
	pid_t daemon;
	clockid_t daemon_clock;
	uint64_t daemon_seen_ns; // its processor time that has been counted
};
struct config config_load(const char *file);

// Starts the command under the configuration, by vfork, with /dev/null for its standard streams. The words are made by
// command_words, before the clock starts.
struct spawn {
	char **argv;
	const char *program;
};
struct spawn command_words(const struct command *c, const struct config *cfg);
pid_t command_start(const struct spawn *s, const struct command *c, const struct config *cfg);

// Processor time of the daemon, and of the children it has waited for, since the last call.
uint64_t config_daemon_ns(struct config *cfg);

uint64_t now_ns(void);
_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...);

#endif

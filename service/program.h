// What the long-running programs of the operator begin with: options, the log, signals. Thread: main, before any other.
#ifndef COFFER_SERVICE_PROGRAM_H
#define COFFER_SERVICE_PROGRAM_H

#include "settings/settings.h"

#include <signal.h>

// Which of a program's options say how it logs.
struct program_log {
	unsigned level, format;
};

// Loads the options, sets the log, and blocks SIGHUP, SIGTERM and SIGINT, so that they come to sigwaitinfo() with `signals`;
// SIGPIPE is ignored. Returns -1 to go on, else the exit status: help was asked for, or an error was said.
// `coffer scheduler --check`: whether "--check" is among the words, which it is taken out of.
bool program_take_check(int *argc, char **argv);
int program_begin(struct settings *o, const struct setting_table *t, int argc, char **argv, struct program_log log,
		  sigset_t *signals);

// From now on the process ends within this time, whatever its threads do: past it, it says so and exits with 1. For the end of
// a program, which may wait for others.
void program_end_within(int ms);

#endif

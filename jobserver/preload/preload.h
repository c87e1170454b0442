// The two halves of libcoffer-gate.so: spawn.c puts coffer-gate before each command of ninja, ends.c tells the front end what ninja
// makes of their ends. Thread: ninja has one.
#ifndef COFFER_JOBSERVER_PRELOAD_PRELOAD_H
#define COFFER_JOBSERVER_PRELOAD_PRELOAD_H

#include <stdbool.h>
#include <sys/types.h>

#define SEEN_BY_ALL __attribute__((visibility("default"))) // what takes the place of the C library's; all else is ours

extern char *preload_gate; // coffer-gate's file, or NULL: this is not the program that it is for
// Ninja has started this command. A console command has the terminal while it runs.
void ends_started(pid_t pid, bool is_console);

#endif

// coffer-gate PROGRAM ARGV0 WORD...: waits for a slot of the build and becomes PROGRAM.
//
// It stands before every command of a ninja that knows no jobserver (see spawn.c). Where there is no build around it any more, it
// goes on at once; where the build ends while it waits, it fails.
// The slot lasts as long as the process that it becomes. A static program: it costs less than a millisecond.
#include "jobserver/client/lease.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NO_SLOT = 1, USAGE = 2, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

int main(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: coffer-gate PROGRAM ARGV0 [WORD]...\n", stderr);
		return USAGE;
	}
	uint32_t slot;
	char text[16];
	struct err err = ERR_INIT;
	int rc = lease_gate(&slot, &err);
	if (rc < 0) {
		fprintf(stderr, "coffer-gate: no slot for '%s': %s\n", argv[1], err.text);
		return NO_SLOT;
	}
	if (rc == 1) {
		snprintf(text, sizeof text, "%u", (unsigned)slot);
		setenv("COFFER_SLOT", text, 1);
	}
	// What the command is told of the build's jobserver; ninja itself must not see it.
	const char *makeflags = getenv("COFFER_GATE_MAKEFLAGS");
	if (makeflags)
		setenv("MAKEFLAGS", makeflags, 1);
	unsetenv("COFFER_GATE_MAKEFLAGS");
	execvp(argv[1], argv + 2);
	int e = errno;
	fprintf(stderr, "coffer-gate: cannot run '%s': %s\n", argv[1], strerror(e));
	return e == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

// What a command looks at in the file system, told by the kernel: the command runs under ptrace, with a seccomp filter that
// stops it at the calls that look up names and at no others.
//
// Every name that the command's processes opened, asked for, read as a link, listed or executed is in the answer once, with
// what came of the first attempt. Names are absolute but as the command wrote them: symlinks and ".." are not resolved, since
// what they lead to is part of the look.
//
// Not seen: what is done by a descriptor that the command was given, by io_uring, and by a process that was asked to do it.
// A program of another architecture (32 bits) makes the answer `unclear`.
// The standard streams of the command are /dev/null. It is killed with all its processes past any of the limits. Signals of
// its own it gets. It runs without new privileges (set-user-id programs run as the user).
// Thread: any. Tracing is done by a thread that is made for it; the caller's waits.
#ifndef COFFER_OBSERVE_OBSERVE_H
#define COFFER_OBSERVE_OBSERVE_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

#define OBSERVE_MAX_NAMES 20000u
#define OBSERVE_MAX_BYTES ((size_t)4 << 20) // of all names together
#define OBSERVE_MAX_PROCESSES 256u

enum look_how {
	LOOK_OPEN = 1,   // opened for reading
	LOOK_STAT = 2,   // asked what it is, or whether it may be used
	LOOK_LSTAT = 4,  // the same, of a link itself
	LOOK_LINK = 8,   // read as a link
	LOOK_LIST = 16,  // a directory whose names were read
	LOOK_RUN = 32,   // executed
	LOOK_WRITE = 64, // made, changed, removed or opened for writing
};

struct look {
	const char *path;
	unsigned how; // enum look_how
	int error;    // of the first attempt: 0 or an errno
};

struct observe {
	const char *const *argv;
	const char *program;     // what is executed; NULL: argv[0]
	const char *const *envp; // of the command
	int cwd_fd;              // -1: our own working directory
	int time_limit_ms;
	// Filled in:
	struct look *looks; // in the order of the first look, in the caller's arena
	unsigned n_looks;
	bool unclear; // there was a call whose meaning is not known
	bool killed;  // somebody else ended a process of it: what is told here is not all
	int status;   // as of waitpid
};

// 0 when the command ran to its end (whatever its status), else -1: ERR_ACCESS (this process may not trace, or may not filter
// system calls: nothing can be observed here), ERR_NOT_FOUND (no such program), ERR_TIMEOUT, ERR_LIMIT, ERR_IO.
int observe_run(struct observe *o, struct arena *a, struct err *err);

// Whether this process may observe at all; asks once by observing a call of its own. Else `err` says why not.
bool observe_possible(struct err *err);

#endif

// Starts a process in surroundings of its own: a list of operations, prepared by the parent with everything that they need,
// and carried out by the child one after the other with no decisions left.
//
// The child is a copy of a program with many threads, so it makes system calls and nothing else. The first operation that
// fails ends it; the parent learns which one it was and why. Thread: any, one at a time for each list.
#ifndef COFFER_WORKER_RUNTIME_PROCESS_OPS_H
#define COFFER_WORKER_RUNTIME_PROCESS_OPS_H

#include "base/err.h"
#include "base/mem.h"

#include <stdint.h>
#include <sys/types.h>

enum op_kind {
	OP_WRITE,     // text `b` into the file `a` below the directory `fd`
	OP_PRIVATE,   // no mount event leaves or enters
	OP_ROOT,      // mounts an empty tmpfs on `a` and goes there: the new root. What follows is relative to it.
	OP_DIRECTORY, // makes the directory `a`
	OP_FILE,      // makes the empty file `a`, for a bind
	OP_LINK,      // makes the symbolic link `a` to `b`
	OP_BIND,      // the host's `b` appears as `a`, with the mount attributes `flags`
	OP_PIVOT,     // the new root becomes the root; the old one is gone
	OP_READ_ONLY, // the root itself
	OP_HOSTNAME,  // `a`
	OP_USER,      // becomes user and group `flags`, without further groups
	OP_UNSHARE,   // namespaces `flags`
};

struct op {
	enum op_kind kind;
	const char *a, *b;
	uint64_t flags;
	int fd;
};

struct ops {
	struct arena arena;
	struct op *all;
	size_t n, cap;
};
#define AUTO_OPS __attribute__((cleanup(ops_release)))

// Copies the strings (NULL is fine).
void ops_add(struct ops *ops, enum op_kind kind, const char *a, const char *b, uint64_t flags);
void ops_add_write(struct ops *ops, int directory, const char *file, const char *text);
void ops_release(struct ops *ops);

// What the new process is to be.
struct start {
	const struct ops *ops;
	uint64_t clone_flags;         // CLONE_NEW…
	const char *what;             // for messages: "cannot set up WHAT: bind '/usr': …"
	int program;                  // a descriptor of it
	const char *const *arguments; // NULL-terminated
	const int *fds;               // become 3, 4, …; -1 leaves one out. 0 is /dev/null, 1 and 2 are the caller's 2.
	size_t n_fds;
};
// Returns when the program runs. Its process group is its own; signals are neither blocked nor ignored.
int start_process(const struct start *start, pid_t *pid, struct err *err);

#endif

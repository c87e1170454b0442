// Runs a program and collects what it prints, within a time and a size. For short helper programs (compiler probes), not
// for compiles. The child gets stdin from /dev/null and no other descriptors. Thread: any.
#ifndef COFFER_BASE_CHILD_H
#define COFFER_BASE_CHILD_H

#include "base/buf.h"

#include <sys/types.h>

struct child {
	const char *const *argv; // argv[0] is the program's path unless `program` is set
	const char *program;     // what is executed; NULL: argv[0]
	const char *const *envp; // NULL: our own environment
	int cwd_fd;              // -1: our own working directory
	int time_limit_ms;       // the child (its process group) is killed after it
	size_t max_output;       // each stream; more kills the child
	int nice;                // 0: as we are; else it is this much nicer
	struct buf out, errs;    // filled in; the caller releases
	int status;              // as of waitpid
};
// 0 when the program ran to its end (whatever its status), else -1: ERR_NOT_FOUND, ERR_TIMEOUT, ERR_LIMIT, ERR_IO.
int child_run(struct child *c, struct err *err);
void child_release(struct child *c);

// Waits until a child has ended, for `limit_ms` at most; then kills its process group, or it alone where it leads none. 1: it
// has ended by itself; 0: it had to be killed; -1: it does not die (it stands in the kernel), and nobody waits for it any more.
int child_wait(pid_t pid, int limit_ms, int *status);
struct rusage; // the same, and what it has used, if it has ended
int child_wait_usage(pid_t pid, int limit_ms, int *status, struct rusage *usage);

#endif

// The system calls that look up names, and the filter that stops a process at them.
#ifndef COFFER_OBSERVE_CALLS_H
#define COFFER_OBSERVE_CALLS_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

enum call_kind {
	CALL_OPEN,     // flags tell what for
	CALL_OPEN_HOW, // openat2: flags in memory
	CALL_STAT,
	CALL_LSTAT,
	CALL_STAT_AT, // flags tell whether of the link
	CALL_LINK,
	CALL_LIST, // by a descriptor
	CALL_RUN,
	CALL_WRITE,
	CALL_WRITE_2, // two names
	CALL_CHDIR,
};

struct call {
	int nr;
	enum call_kind kind;
	signed char dir;    // which argument is the directory's descriptor; -1: none
	signed char path;   // which argument is the name; -1: none
	signed char flags;  // which argument has the flags; -1: none
	signed char dir_2;  // of a second name
	signed char path_2; // the second name
};

const struct call *call_find(int nr); // NULL: not one of these
// The program for the kernel: SECCOMP_RET_TRACE for these calls and for every call of another architecture. Static memory.
// False if this architecture is not known.
bool calls_filter(struct sock_fprog *out);

#endif

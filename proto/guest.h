// What a job finds where it runs, and what worker and agent agree on besides the messages: the one place for both.
#ifndef COFFER_PROTO_GUEST_H
#define COFFER_PROTO_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define GUEST_PATH "/usr/local/bin:/usr/bin:/bin" // where programs are looked up
#define GUEST_SCRATCH "/tmp"                      // the fresh file system of a job, and its TMPDIR
#define GUEST_WORK "job"                          // below the scratch directory: where its program starts
#define GUEST_WORK_DIR GUEST_SCRATCH "/" GUEST_WORK
#define GUEST_ROOT "root" // beside it, for a job whose tree is its root: where that root is put together

enum {
	GUEST_MAX_JOBS = 8192,       // at once on one connection
	GUEST_SCRATCH_FILES = 16384, // files that a job may make
	GUEST_TREE_FILES = 131072,   // that an action may have, with its inputs
};

// Whether jobs see a directory of that name from the top of an image: not what a running system would put there itself, and what no
// compiler reads. The worker's sandbox and the guest of a microVM make the same root.
static inline bool guest_leaves_out(const char *name)
{
	static const char *const names[] = {".",    "..",   "dev",   "proc", "sys", "tmp", "run",       "boot",
					    "home", "root", "media", "mnt",  "srv", "var", "lost+found"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

#endif

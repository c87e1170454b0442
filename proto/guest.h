// What a job finds where it runs, and what worker and agent agree on besides the messages: the one place for both.
#ifndef COFFER_PROTO_GUEST_H
#define COFFER_PROTO_GUEST_H

#define GUEST_PATH "/usr/local/bin:/usr/bin:/bin" // where programs are looked up
#define GUEST_SCRATCH "/tmp"                      // the fresh file system of a job, and its TMPDIR
#define GUEST_WORK "job"                          // below the scratch directory: where its program starts
#define GUEST_WORK_DIR GUEST_SCRATCH "/" GUEST_WORK

enum {
	GUEST_MAX_JOBS = 8192,       // at once on one connection
	GUEST_SCRATCH_FILES = 16384, // files that a job may make
};

#endif

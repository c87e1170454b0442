// What coffer needs of the kernel, and the daemon.
#include "client/verbs/doctor.h"

#include "base/limits.h"
#include "client/verbs/verbs.h"
#include "observe/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FEW_FILES = 256, USUAL_FILES = 1024 };

static void check_proc(struct doctor *d)
{
	if (access("/proc/self/exe", F_OK) < 0)
		found_problem(d, "proc", "mount -t proc proc /proc (in a container: its runtime does that)",
			      "/proc is not there: coffer can't find its own programs");
	else if (access("/dev/fd/0", F_OK) < 0 && access("/dev/fd/1", F_OK) < 0)
		found_problem(d, "proc", "ln -s /proc/self/fd /dev/fd",
			      "/dev/fd is not there: the compiler can't write to a memory file");
	else
		found_ok(d, "proc", "/proc and /dev/fd are there");
}

static void check_memory_files(struct doctor *d)
{
	AUTO_CLOSE int fd = memfd_create("coffer-doctor", MFD_CLOEXEC);
	if (fd < 0 || write(fd, "x", 1) != 1)
		found_problem(d, "memory_files", "use Linux 3.17 or later, and let the sandbox allow memfd_create",
			      "memory files do not work: %s", strerror(errno));
	else
		found_ok(d, "memory_files", "memory files work");
}

static void check_limits(struct doctor *d)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	unsigned long long soft = files.rlim_cur;
	if (soft < FEW_FILES)
		found_problem(d, "limits", "ulimit -n 4096", "only %llu files may be open at once", soft);
	else if (soft < USUAL_FILES)
		found_warning(d, "limits", "ulimit -n 4096",
			      "only %llu files may be open at once: too few for a build with many jobs", soft);
	else
		found_ok(d, "limits", "enough files may be open at once");
}

static void check_observation(struct doctor *d)
{
	struct err err = ERR_INIT;
	if (observe_possible(&err))
		found_ok(d, "observation", "what a compiler looks at can be observed (ptrace, seccomp)");
	else
		found_warning(d, "observation",
			      "allow ptrace and seccomp here (in a container: a security profile with both); without them "
			      "arguments "
			      "that send the compiler elsewhere are not cached",
			      "what a compiler looks at can't be observed: %s", err.text);
}

void doctor_check_machine(struct doctor *d)
{
	check_proc(d);
	check_memory_files(d);
	check_limits(d);
	check_observation(d);
}

// ---- the daemon ---------------------------------------------------------------------------------------------------

void doctor_check_daemon(struct doctor *d)
{
	struct err err = ERR_INIT;
	struct verb_answer answer = {"", 0};
	int rc = verb_ask_daemon("status", &answer, &d->arena, &err);
	if (rc < 0) {
		found_problem(d, "daemon", "coffer stop; if that fails, end the process cofferd", "%s", err.text);
		return;
	}
	if (rc == 0) {
		found_ok(d, "daemon", "no daemon is running; the next compile starts one");
		return;
	}
	const char *version = verb_answer_value(&d->arena, &answer, "version");
	if (!version || strcmp(version, COFFER_VERSION) != 0)
		found_problem(d, "daemon", "coffer stop; the next compile starts the right one",
			      "the daemon is version %s, and this is " COFFER_VERSION, version ? version : "unknown");
	else
		found_ok(d, "daemon", "the daemon answers, and its version is " COFFER_VERSION);
	const char *pid = verb_answer_value(&d->arena, &answer, "pid"), *narrow = pid ? limits_narrow(atoi(pid)) : NULL;
	if (narrow)
		found_warning(d, "daemon_limits", "coffer stop; the next compile starts one with its own shell's limits",
			      "the daemon has the limits of the shell that has started it: %s", narrow);
}

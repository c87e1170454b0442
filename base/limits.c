#include "base/limits.h"

#include "base/mem.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	FEW_FILES = 1024,   // a build with many jobs needs more
	MANY_FILES = 65536, // asked for where that is allowed
	IO_OF_THE_PROCESS = 1,
};

#define STACK_BYTES ((rlim_t)8 << 20) // what everybody has; "unlimited" changes how memory is laid out

static const struct inherited {
	const char *name;
	unsigned resource;
	rlim_t want;   // as a soft limit
	rlim_t enough; // a hard limit from here on holds nobody back
} inherited[] = {
	{"processor time", RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY},
	{"file size", RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY},
	{"address space", RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY},
	{"data size", RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY},
	{"processes", RLIMIT_NPROC, RLIM_INFINITY, 256},
	{"open files", RLIMIT_NOFILE, MANY_FILES, FEW_FILES},
	{"stack size", RLIMIT_STACK, STACK_BYTES, STACK_BYTES},
};

static void reset_limit(const struct inherited *i)
{
	struct rlimit now;
	if (getrlimit(i->resource, &now) < 0)
		return;
	rlim_t hard = now.rlim_max >= i->want ? now.rlim_max : i->want;
	struct rlimit all = {.rlim_cur = i->want, .rlim_max = hard};
	if (setrlimit(i->resource, &all) == 0)
		return;
	now.rlim_cur = i->want < now.rlim_max ? i->want : now.rlim_max;
	setrlimit(i->resource, &now);
}

void limits_reset(void)
{
	for (size_t i = 0; i < COUNT_OF(inherited); i++)
		reset_limit(&inherited[i]);
	struct sched_param usual = {0};
	sched_setscheduler(0, SCHED_OTHER, &usual);
	if (getpriority(PRIO_PROCESS, 0) != 0)
		setpriority(PRIO_PROCESS, 0, 0);
	syscall(SYS_ioprio_set, IO_OF_THE_PROCESS, 0, 0);
	syscall(SYS_set_mempolicy, 0, NULL, 0);
	personality(PER_LINUX);
	cpu_set_t all;
	memset(&all, 0xff, sizeof all);
	sched_setaffinity(0, sizeof all, &all);
}

static bool is_asked(pid_t pid, const struct inherited *i, rlim_t *hard)
{
	struct rlimit now;
	if (prlimit(pid, i->resource, NULL, &now) < 0)
		return false;
	*hard = now.rlim_max;
	return true;
}

// 0 where it can't be told; a higher priority than the usual one holds nobody back.
static int niceness(pid_t pid)
{
	errno = 0;
	int n = getpriority(PRIO_PROCESS, (id_t)pid);
	return errno || n < 0 ? 0 : n;
}

const char *limits_narrow(pid_t pid)
{
	rlim_t hard;
	for (size_t i = 0; i < COUNT_OF(inherited); i++)
		if (is_asked(pid, &inherited[i], &hard) && hard < inherited[i].enough)
			return inherited[i].name;
	return niceness(pid) > 0 ? "priority" : NULL;
}

bool limits_narrower(pid_t pid, pid_t other)
{
	rlim_t hard, others;
	for (size_t i = 0; i < COUNT_OF(inherited); i++)
		if (is_asked(pid, &inherited[i], &hard) && is_asked(other, &inherited[i], &others) && hard < others &&
		    hard < inherited[i].enough)
			return true;
	return niceness(pid) > niceness(other);
}

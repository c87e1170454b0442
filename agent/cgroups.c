#include "agent/cgroups.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int set(int dir, int slot, const char *file, uint64_t value, struct err *err)
{
	char name[64], text[32];
	snprintf(name, sizeof name, "job-%d/%s", slot, file);
	int n = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		return err_errno(err, "cannot set up the sandbox: the cgroup's '%s'", file);
	return 0;
}

static int make(int dir, int slot, struct err *err)
{
	char name[32];
	snprintf(name, sizeof name, "job-%d", slot);
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return err_errno(err, "cannot set up the sandbox: the cgroup '%s'", name);
	return 0;
}

int cgroups_make(const struct agent *a, int slot, uint64_t memory_bytes, unsigned processes, struct err *err)
{
	const char *memory = a->cgroups == CGROUPS_V1 ? "memory.limit_in_bytes" : "memory.max";
	if (a->memory_dir >= 0 &&
	    (make(a->memory_dir, slot, err) < 0 || set(a->memory_dir, slot, memory, memory_bytes, err) < 0))
		return -1;
	// Besides the job's own there is its first process.
	if (a->pids_dir >= 0 &&
	    (make(a->pids_dir, slot, err) < 0 || set(a->pids_dir, slot, "pids.max", (uint64_t)processes + 1, err) < 0))
		return -1;
	return 0;
}

int cgroups_open(const struct agent *a, int slot)
{
	char name[32];
	snprintf(name, sizeof name, "job-%d", slot);
	return openat(a->memory_dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

// "0" to `tasks`: a process of one thread that moves itself waits for nobody. Any other way waits for all processors.
static int join(int dir, int slot)
{
	char name[48];
	snprintf(name, sizeof name, "job-%d/tasks", slot);
	AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, "0", 1) == 1 ? 0 : -1;
}

int cgroups_join(const struct agent *a, int slot)
{
	if (a->cgroups != CGROUPS_V1)
		return 0;
	if (a->memory_dir >= 0 && join(a->memory_dir, slot) < 0)
		return -1;
	return a->pids_dir >= 0 ? join(a->pids_dir, slot) : 0;
}

uint64_t cgroups_kills(const struct agent *a, int slot)
{
	char name[64], text[1024];
	snprintf(name, sizeof name, "job-%d/%s", slot, a->cgroups == CGROUPS_V1 ? "memory.oom_control" : "memory.events");
	AUTO_CLOSE int fd = a->memory_dir < 0 ? -1 : openat(a->memory_dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[n < 0 ? 0 : n] = '\0';
	const char *at = strstr(text, "oom_kill ");
	return at ? strtoull(at + strlen("oom_kill "), NULL, 10) : 0;
}

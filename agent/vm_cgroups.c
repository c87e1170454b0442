#include "agent/vm_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define TOP "/sys/fs/cgroup"
#define AGENTS TOP "/coffer" // the agent's own: in `agent` itself, in `jobs` a cgroup for each job
#define DIVIDE "+cpu +memory +pids"
#define KEPT ((uint64_t)64 << 20) // for the kernel and the agent

static int set(const char *path, const char *text, struct err *err)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? err_errno(err, "write to '%s'", path) : 0;
}

static int make(const char *path, struct err *err)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? err_errno(err, "make '%s'", path) : 0;
}

// cgroups(7), "delegation": what the agent divides further, and where it moves processes from and to.
static int give_away(struct err *err)
{
	static const char *const files[] = {AGENTS "/cgroup.procs", AGENTS "/jobs", AGENTS "/jobs/cgroup.procs",
					    AGENTS "/jobs/cgroup.subtree_control"};
	for (size_t i = 0; i < COUNT_OF(files); i++)
		if (chown(files[i], VM_AGENT_UID, VM_AGENT_UID) < 0)
			return err_errno(err, "give '%s' away", files[i]);
	return 0;
}

static uint64_t memory_of_jobs(void)
{
	struct sysinfo info;
	uint64_t all = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
	return all > 2 * KEPT ? all - KEPT : all / 2;
}

int vm_make_cgroups(struct vm *vm, struct err *err)
{
	char most[32];
	snprintf(most, sizeof most, "%llu", (unsigned long long)memory_of_jobs());
	if (mount("cgroup2", TOP, "cgroup2", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL) < 0)
		return err_errno(err, "mount the cgroups");
	if (set(TOP "/cgroup.subtree_control", DIVIDE, err) < 0 || make(AGENTS, err) < 0 ||
	    set(AGENTS "/cgroup.subtree_control", DIVIDE, err) < 0 || make(AGENTS "/agent", err) < 0 ||
	    make(AGENTS "/jobs", err) < 0 || set(AGENTS "/jobs/cgroup.subtree_control", DIVIDE, err) < 0 ||
	    set(AGENTS "/agent/cpu.weight", "10000", err) < 0 || set(AGENTS "/jobs/memory.max", most, err) < 0 ||
	    give_away(err) < 0)
		return -1;
	vm->agent_cgroup = open(AGENTS "/agent/cgroup.procs", O_WRONLY | O_CLOEXEC);
	vm->job_cgroups = open(AGENTS "/jobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return vm->agent_cgroup < 0 || vm->job_cgroups < 0 ? err_errno(err, "open the cgroups") : 0;
}

#include "jobserver/client/cores.h"

#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_CPUS = 65536 };

static unsigned by_affinity(void)
{
	for (int cpus = CPU_SETSIZE; cpus <= MOST_CPUS; cpus *= 2) {
		cpu_set_t *set = CPU_ALLOC((size_t)cpus);
		if (!set)
			break;
		size_t size = CPU_ALLOC_SIZE((size_t)cpus);
		int n = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
		CPU_FREE(set);
		if (n > 0)
			return (unsigned)n;
	}
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

// A small file's text; "" if it cannot be read.
static void slurp(const char *path, char *to, size_t size)
{
	int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	for (ssize_t got = 1; fd >= 0 && got > 0 && n<size - 1; n += got> 0 ? (size_t)got : 0)
		got = read(fd, to + n, size - 1 - n);
	to[n] = '\0';
}

static unsigned of_quota(long long quota, long long period)
{
	if (quota <= 0 || period <= 0)
		return 0;
	long long n = (quota + period - 1) / period;
	return n < 1 ? 1 : n > MOST_CPUS ? MOST_CPUS : (unsigned)n;
}

static unsigned smaller(unsigned a, unsigned b)
{
	return !a ? b : !b || a < b ? a : b;
}

// The quota of one group's directory.
static unsigned quota_in(const char *dir, bool v2)
{
	char path[PATH_MAX], text[128];
	long long quota = 0, period = 0;
	snprintf(path, sizeof path, "%s/%s", dir, v2 ? "cpu.max" : "cpu.cfs_quota_us");
	slurp(path, text, sizeof text);
	if (v2)
		return sscanf(text, "%lld %lld", &quota, &period) == 2 ? of_quota(quota, period) : 0;
	if (sscanf(text, "%lld", &quota) != 1)
		return 0;
	snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
	slurp(path, text, sizeof text);
	return sscanf(text, "%lld", &period) == 1 ? of_quota(quota, period) : 0;
}

// The smallest quota of the group and of those above it. In a container the path of /proc/self/cgroup may be that of
// the host; then only the mount's top is there, and it is ours.
static unsigned quota_along(const char *mount, const char *group, bool v2)
{
	char dir[PATH_MAX];
	unsigned least = quota_in(mount, v2);
	if (snprintf(dir, sizeof dir, "%s%s", mount, group) >= (int)sizeof dir)
		return least;
	while (strlen(dir) > strlen(mount)) {
		least = smaller(least, quota_in(dir, v2));
		*strrchr(dir, '/') = '\0';
	}
	return least;
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ',') && (p[n] == '\0' || p[n] == ','))
			return true;
	return false;
}

// Lines are "id:controllers:path"; the unified hierarchy is "0::path".
unsigned cores_by_quota(const char *root)
{
	char path[PATH_MAX], text[8192];
	snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	slurp(path, text, sizeof text);
	unsigned least = 0;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!group || group[1] != '/')
			continue;
		*group++ = '\0';
		bool v2 = controllers[1] == '\0';
		if (!v2 && !has_word(controllers + 1, "cpu"))
			continue;
		const char *const v2_mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
		const char *const v1_mounts[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
		for (size_t i = 0; i < 2; i++) {
			char mount[PATH_MAX];
			snprintf(mount, sizeof mount, "%s%s", root, v2 ? v2_mounts[i] : v1_mounts[i]);
			least = smaller(least, quota_along(mount, group, v2));
		}
	}
	return least;
}

unsigned cores_available(void)
{
	unsigned n = by_affinity(), quota = cores_by_quota("");
	return smaller(n, quota);
}

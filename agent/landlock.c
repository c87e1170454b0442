#include "agent/landlock.h"

#include "agent/agent.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

// Of newer kernels than the headers that this is built with.
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

struct ruleset {
	uint64_t fs;
	uint64_t net;    // since version 4
	uint64_t scoped; // since version 6
};

#define FIRST_VERSION ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) // every right of version 1
#define READ_RIGHTS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define DEVICE_RIGHTS                                                                                               \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR | FS_TRUNCATE | \
	 FS_IOCTL_DEV)
#define NEVER_RIGHTS                                                                                 \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | FS_IOCTL_DEV)

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return (int)abi;
}

static int allow(int ruleset, const char *path, uint64_t rights)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
	return fd < 0 ? -1 : (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

int landlock_apply(int abi, bool may_execute, const char *const *writable)
{
	if (abi <= 0)
		return 0;
	struct ruleset wanted = {
		.fs = FIRST_VERSION | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
		      (abi >= 5 ? FS_IOCTL_DEV : 0),
		.net = NET_BIND_TCP | NET_CONNECT_TCP,
		.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL,
	};
	uint64_t scratch = wanted.fs & ~(uint64_t)NEVER_RIGHTS;
	if (may_execute)
		scratch |= LANDLOCK_ACCESS_FS_EXECUTE;
	size_t size = abi >= 6 ? sizeof wanted : abi >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
	AUTO_CLOSE int ruleset = (int)syscall(SYS_landlock_create_ruleset, &wanted, size, 0);
	if (ruleset < 0 || allow(ruleset, "/", READ_RIGHTS) < 0 || allow(ruleset, GUEST_SCRATCH, scratch) < 0 ||
	    allow(ruleset, "/dev", wanted.fs & DEVICE_RIGHTS) < 0)
		return -1;
	for (; *writable; writable++)
		if (allow(ruleset, *writable, scratch) < 0)
			return -1;
	return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}

#include "agent/scratch.h"

#include "base/mem.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

// A tmpfs that is mounted nowhere: the job's first process attaches it in its own mount namespace.
static int make_tmpfs(uint64_t bytes, struct err *err)
{
	char size[32], files[32];
	snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
	snprintf(files, sizeof files, "%d", AGENT_SCRATCH_FILES);
	AUTO_CLOSE int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "nr_inodes", files, 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_errno(err, "cannot set up the sandbox: a tmpfs for the scratch folder");
	int root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return root < 0 ? err_errno(err, "cannot set up the sandbox: the scratch folder") : root;
}

static int make_folder(struct scratch *s, struct err *err)
{
	char name[32];
	snprintf(name, sizeof name, "%d", s->slot);
	AUTO_CLOSE int parent = open(s->agent->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return err_errno(err, "cannot open '%s'", s->agent->scratch);
	tree_remove(parent, name);
	if (mkdirat(parent, name, 0700) < 0)
		return err_errno(err, "cannot make '%s'", s->path);
	int root = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return root < 0 ? err_errno(err, "cannot open '%s'", s->path) : root;
}

int scratch_open(struct scratch *s, const struct agent *agent, int slot, uint64_t bytes, struct err *err)
{
	s->agent = agent;
	s->slot = slot;
	s->room = bytes;
	if (agent->is_sandbox)
		snprintf(s->path, sizeof s->path, "%s", AGENT_SCRATCH);
	else
		snprintf(s->path, sizeof s->path, "%s/%d", agent->scratch, slot);
	s->root = agent->is_sandbox ? make_tmpfs(bytes, err) : make_folder(s, err);
	if (s->root < 0)
		return -1;
	if (mkdirat(s->root, AGENT_WORK, 0755) < 0)
		return err_errno(err, "cannot make the scratch folder");
	return 0;
}

static void in_work(char *path, size_t n, const char *name)
{
	snprintf(path, n, AGENT_WORK "/%s", name);
}

int scratch_make_parents(const struct scratch *s, const char *name, struct err *err)
{
	char path[2048];
	in_work(path, sizeof path, name);
	for (char *slash = path + sizeof AGENT_WORK; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdirat(s->root, path, 0755) < 0 && errno != EEXIST)
			return err_errno(err, "cannot make the folder of '%.200s'", name);
		*slash = '/';
	}
	return 0;
}

int scratch_create(const struct scratch *s, const char *name, struct err *err)
{
	char path[2048];
	in_work(path, sizeof path, name);
	int fd = openat(s->root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? err_errno(err, "cannot create '%.200s'", name) : fd;
}

int scratch_find(const struct scratch *s, const char *name, int *fd, uint64_t *size, struct err *err)
{
	char path[2048];
	in_work(path, sizeof path, name);
	// Not even a symbolic link within the folder: no compiler answers with one.
	struct open_how how = {
		.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	AUTO_CLOSE int opened = (int)syscall(SYS_openat2, s->root, path, &how, sizeof how);
	if (opened < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (opened < 0 && (errno == ELOOP || errno == EXDEV || errno == ENXIO))
		return err_set(err, ERR_FORMAT, "output '%.200s' is not a regular file", name);
	struct stat st;
	if (opened < 0 || fstat(opened, &st) < 0)
		return err_errno(err, "cannot read output '%.200s'", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_FORMAT, "output '%.200s' is not a regular file", name);
	*size = (uint64_t)st.st_size;
	*fd = TAKE_FD(opened);
	return 1;
}

bool scratch_is_full(const struct scratch *s)
{
	struct statfs st;
	return s->agent->is_sandbox && fstatfs(s->root, &st) == 0 && (st.f_bavail == 0 || st.f_ffree == 0);
}

void scratch_close(struct scratch *s)
{
	if (s->root < 0)
		return;
	close(TAKE_FD(s->root));
	if (s->agent->is_sandbox)
		return; // the last reference: the file system is gone
	char name[32];
	snprintf(name, sizeof name, "%d", s->slot);
	AUTO_CLOSE int parent = open(s->agent->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent >= 0)
		tree_remove(parent, name);
}

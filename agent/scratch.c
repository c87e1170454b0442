#include "agent/scratch.h"

#include "agent/layers.h"
#include "base/mem.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

// A tmpfs that is mounted nowhere: the job's first process attaches it in its own mount namespace.
static int make_tmpfs(uint64_t bytes, enum scratch_kind kind, struct err *err)
{
	char size[32], files[32];
	snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
	snprintf(files, sizeof files, "%d", kind == SCRATCH_SOURCE ? GUEST_SCRATCH_FILES : GUEST_TREE_FILES);
	AUTO_CLOSE int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "nr_inodes", files, 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_errno(err, "cannot set up the sandbox: a tmpfs for the scratch folder");
	unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			      (kind == SCRATCH_ACTION || kind == SCRATCH_LAYERS ? 0 : MOUNT_ATTR_NOEXEC);
	int root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
	return root < 0 ? err_errno(err, "cannot set up the sandbox: the scratch folder") : root;
}

static int make_directory(struct scratch *s, struct err *err)
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

static int begin_layers(struct scratch *s, struct err *err)
{
	if (mkdirat(s->root, GUEST_UPPER, 0755) < 0 || mkdirat(s->root, GUEST_OVERLAY, 0755) < 0)
		return err_errno(err, "cannot make the scratch folder");
	s->base = s->root;
	s->root = openat(s->base, GUEST_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->root < 0 ? err_errno(err, "cannot open the scratch folder") : 0;
}

int scratch_layer(struct scratch *s, const uint64_t *ids, size_t n, struct err *err)
{
	int root = layers_mount(s->agent->layers, ids, n, s->base, err);
	if (root < 0)
		return -1;
	close(s->root);
	s->root = root;
	return 0;
}

int scratch_open(struct scratch *s, const struct agent *agent, int slot, uint64_t bytes, enum scratch_kind kind,
		 struct err *err)
{
	s->agent = agent;
	s->slot = slot;
	s->room = bytes;
	if (agent->is_sandbox)
		snprintf(s->path, sizeof s->path, "%s", GUEST_SCRATCH);
	else
		snprintf(s->path, sizeof s->path, "%s/%d", agent->scratch, slot);
	s->root = agent->is_sandbox ? make_tmpfs(bytes, kind, err) : make_directory(s, err);
	if (s->root < 0 || (kind == SCRATCH_LAYERS && begin_layers(s, err) < 0))
		return -1;
	if (mkdirat(s->root, GUEST_WORK, 0755) < 0 ||
	    (kind == SCRATCH_ROOT &&
	     (mkdirat(s->root, GUEST_ROOT, 0755) < 0 || mkdirat(s->root, GUEST_WORK GUEST_SCRATCH, 0755) < 0)))
		return err_errno(err, "cannot make the scratch folder");
	return 0;
}

static void in_work(char *path, size_t n, const char *name)
{
	snprintf(path, n, GUEST_WORK "/%s", name);
}

int scratch_make_parents(const struct scratch *s, const char *name, struct err *err)
{
	char path[2048];
	in_work(path, sizeof path, name);
	for (char *slash = path + sizeof GUEST_WORK; (slash = strchr(slash, '/')); slash++) {
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

// The mount that a file is seen through. Files of an overlay have the device of the layer that they come from.
static bool is_on(const struct scratch *s, const struct stat *top, int fd, const struct stat *st)
{
	struct statx a, b;
	if (s->base < 0)
		return top->st_dev == st->st_dev;
	return statx(s->root, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) == 0 && (a.stx_mask & STATX_MNT_ID) &&
	       statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &b) == 0 && a.stx_mnt_id == b.stx_mnt_id;
}

// One part of a name, which is neither a link nor on another file system.
static int step(const struct scratch *s, const struct stat *top, int directory, const char *part)
{
	struct stat st;
	AUTO_CLOSE int next = openat(directory, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 || fstat(next, &st) < 0)
		return -1;
	errno = S_ISLNK(st.st_mode) ? ELOOP : !S_ISDIR(st.st_mode) ? ENOTDIR : !is_on(s, top, next, &st) ? EXDEV : 0;
	return errno ? -1 : TAKE_FD(next);
}

// As openat2() with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. That one is not to be had where systemd makes the user
// (DynamicUser takes it away together with set-user-ID bits).
static int open_beneath(const struct scratch *s, char *path, int flags)
{
	struct stat st;
	AUTO_CLOSE int directory = fcntl(s->root, F_DUPFD_CLOEXEC, 0);
	if (directory < 0 || fstat(s->root, &st) < 0)
		return -1;
	for (char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		*slash = '\0';
		int next = strcmp(path, "..") == 0 ? (errno = EXDEV, -1) : step(s, &st, directory, *path ? path : ".");
		if (next < 0)
			return -1;
		close(directory);
		directory = next;
	}
	int fd = openat(directory, path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat last;
	if (fd >= 0 && fstat(fd, &last) == 0 && !is_on(s, &st, fd, &last)) {
		close(fd);
		errno = EXDEV;
		return -1;
	}
	return fd;
}

int scratch_find(const struct scratch *s, const char *name, int *fd, uint64_t *size, struct err *err)
{
	char path[2048];
	in_work(path, sizeof path, name);
	// Not even a symbolic link within the directory: no compiler answers with one.
	AUTO_CLOSE int opened = open_beneath(s, path, O_RDONLY);
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

int scratch_find_any(const struct scratch *s, const char *name, int *fd, struct err *err)
{
	char path[2048];
	in_work(path, sizeof path, name);
	*fd = open_beneath(s, path, O_RDONLY);
	if (*fd < 0 && errno == ELOOP) {
		in_work(path, sizeof path, name);
		*fd = open_beneath(s, path, O_PATH);
	}
	if (*fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (*fd < 0)
		return err_set(err, ERR_FORMAT, "output '%.200s' leads through a symbolic link", name);
	return 1;
}

bool scratch_is_full(const struct scratch *s)
{
	struct statfs st;
	return s->agent->is_sandbox && fstatfs(s->root, &st) == 0 && (st.f_bavail == 0 || st.f_ffree == 0);
}

void scratch_close(struct scratch *s)
{
	mem_close_cleanup(&s->base);
	s->base = -1;
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

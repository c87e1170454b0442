#include "agent/root.h"

#include "base/mem.h"
#include "proto/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TREE GUEST_WORK_DIR               // where the tree was written
#define ROOT GUEST_SCRATCH "/" GUEST_ROOT // where the root is put together

enum { PATH_ROOM = 4096 + 64 };
enum what { NOTHING, LINK, DIRECTORY, OTHER };

static enum what look(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? NOTHING : OTHER;
	return S_ISLNK(st.st_mode) ? LINK : S_ISDIR(st.st_mode) ? DIRECTORY : OTHER;
}

static int bind_at(const char *from, const char *to, uint64_t attributes)
{
	AUTO_CLOSE int mount = (int)syscall(SYS_open_tree, AT_FDCWD, from,
					    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
	struct mount_attr attr = {.attr_set = attributes};
	if (mount < 0 ||
	    (attributes && syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0))
		return -1;
	return (int)syscall(SYS_move_mount, mount, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH);
}

static int copy_link(const char *from, const char *to)
{
	char target[PATH_ROOM];
	ssize_t n = readlink(from, target, sizeof target - 1);
	if (n < 0)
		return -1;
	target[n] = '\0';
	return symlink(target, to);
}

static int have_one_target(const char *a, const char *b)
{
	char x[PATH_ROOM], y[PATH_ROOM];
	ssize_t n = readlink(a, x, sizeof x), m = readlink(b, y, sizeof y);
	errno = EEXIST;
	return n > 0 && n == m && memcmp(x, y, (size_t)n) == 0 ? 0 : -1;
}

// Calls `visit` for each entry of a directory, with both names of it: here and in the new root.
typedef int (*visit_fn)(const struct root_directories *d, const char *from, const char *to);
static int each(const struct root_directories *d, const char *from, const char *to, visit_fn visit)
{
	char a[PATH_ROOM], b[PATH_ROOM];
	DIR *stream = opendir(from);
	int rc = stream ? 0 : -1;
	for (const struct dirent *e; rc == 0 && (e = readdir(stream));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		errno = ENAMETOOLONG;
		rc = snprintf(a, sizeof a, "%s/%s", strcmp(from, "/") == 0 ? "" : from, e->d_name) < (int)sizeof a &&
				     snprintf(b, sizeof b, "%s/%s", to, e->d_name) < (int)sizeof b
			     ? visit(d, a, b)
			     : -1;
	}
	if (stream)
		closedir(stream);
	return rc;
}

// ---- the toolchain --------------------------------------------------------------------------------------------------

static int take_toolchain(const struct root_directories *d, const char *from, const char *to)
{
	(void)d;
	if (strcmp(from, GUEST_SCRATCH) == 0)
		return 0;
	switch (look(from)) {
	case LINK:
		return copy_link(from, to);
	case DIRECTORY:
		return mkdir(to, 0755) < 0 ? -1 : bind_at(from, to, 0); // it is read-only already
	default:
		return 0;
	}
}

// ---- the tree -------------------------------------------------------------------------------------------------------

static bool is_whole(const struct root_directories *d, const char *path)
{
	for (unsigned i = 0; i < d->n_whole; i++)
		if (strcmp(path + strlen(TREE "/"), d->whole[i]) == 0)
			return true;
	return false;
}

static int take_tree(const struct root_directories *d, const char *from, const char *to)
{
	const uint64_t plain = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	enum what here = look(from), there = look(to);
	if (here == LINK)
		return there == NOTHING ? copy_link(from, to) : have_one_target(from, to);
	if (here != DIRECTORY || (there != NOTHING && there != DIRECTORY)) {
		errno = EEXIST;
		return -1;
	}
	// The root itself can be written to as yet, the toolchain cannot.
	if (there == NOTHING)
		return mkdir(to, 0755) < 0 ? -1 : bind_at(from, to, plain);
	return is_whole(d, from) ? bind_at(from, to, plain) : each(d, from, to, take_tree);
}

static int open_for_writing(const char *below)
{
	char from[PATH_ROOM], to[PATH_ROOM];
	errno = ENAMETOOLONG;
	if (snprintf(from, sizeof from, TREE "/%s", below) >= (int)sizeof from ||
	    snprintf(to, sizeof to, ROOT "/%s", below) >= (int)sizeof to)
		return -1;
	return bind_at(from, to, 0);
}

int root_enter(const struct root_directories *d)
{
	if (bind_at(ROOT, ROOT, 0) < 0 || each(d, "/", ROOT, take_toolchain) < 0 || each(d, TREE, ROOT, take_tree) < 0 ||
	    open_for_writing(&GUEST_SCRATCH[1]) < 0)
		return -1;
	for (unsigned i = 0; i < d->n_writable; i++)
		if (open_for_writing(d->writable[i]) < 0)
			return -1;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	// The old root ends up on top of the new one, and is taken away.
	if (syscall(SYS_mount_setattr, AT_FDCWD, ROOT, 0, &attr, sizeof attr) < 0 || chdir(ROOT) < 0 ||
	    syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -1;
	return chdir("/");
}

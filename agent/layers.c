#include "agent/layers.h"

#include "base/mem.h"
#include "base/tree.h"
#include "proto/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NAME = 24 };

static int set(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0);
}

static int set_directory(int fs, const char *key, int at, const char *name)
{
	AUTO_CLOSE int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -1 : (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, key, NULL, fd);
}

static int make_mount(int fs)
{
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

static int make_tmpfs(uint64_t bytes)
{
	char size[32];
	snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
	AUTO_CLOSE int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || set(fs, "size", size) < 0 || set(fs, "nr_inodes", "0") < 0 || set(fs, "mode", "0755") < 0)
		return -1;
	return make_mount(fs);
}

static int make_overlay(int layers, const uint64_t *ids, size_t n, int base)
{
	char name[NAME];
	AUTO_CLOSE int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%llu", (unsigned long long)ids[i]);
		if (set_directory(fs, "lowerdir+", layers, name) < 0)
			return -1;
	}
	// Numbers of files as they are, which fit into 32 bits; marks as whoever is no root may set them.
	if (set_directory(fs, "upperdir", base, GUEST_UPPER) < 0 || set_directory(fs, "workdir", base, GUEST_OVERLAY) < 0 ||
	    set(fs, "userxattr", NULL) < 0 || set(fs, "xino", "off") < 0)
		return -1;
	return make_mount(fs);
}

// Without its marks an overlay can't make a directory where another one was.
static bool has_overlays(int layers)
{
	static const uint64_t first = 0;
	AUTO_CLOSE int base = make_tmpfs(1 << 20);
	if (base < 0 || mkdirat(base, GUEST_UPPER, 0755) < 0 || mkdirat(base, GUEST_OVERLAY, 0755) < 0 ||
	    mkdirat(layers, "0", 0755) < 0)
		return false;
	AUTO_CLOSE int upper = openat(base, GUEST_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0 || fsetxattr(upper, "user.overlay.opaque", "y", 1, 0) < 0 ||
	    fremovexattr(upper, "user.overlay.opaque") < 0)
		return false;
	AUTO_CLOSE int overlay = make_overlay(layers, &first, 1, base);
	return overlay >= 0;
}

int layers_open(uint64_t bytes)
{
	AUTO_CLOSE int layers = bytes ? make_tmpfs(bytes) : -1;
	return layers >= 0 && has_overlays(layers) ? TAKE_FD(layers) : -1;
}

int layers_make(int layers, uint64_t id, struct err *err)
{
	char name[NAME];
	snprintf(name, sizeof name, "%llu", (unsigned long long)id);
	if (mkdirat(layers, name, 0755) < 0)
		return err_errno(err, "cannot make the layer %s", name);
	AUTO_CLOSE int top = openat(layers, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0 || mkdirat(top, GUEST_WORK, 0755) < 0)
		return err_errno(err, "cannot make the layer %s", name);
	int work = openat(top, GUEST_WORK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return work < 0 ? err_errno(err, "cannot open the layer %s", name) : work;
}

void layers_remove(int layers, uint64_t id)
{
	char name[NAME];
	snprintf(name, sizeof name, "%llu", (unsigned long long)id);
	tree_remove(layers, name);
}

int layers_mount(int layers, const uint64_t *ids, size_t n, int base, struct err *err)
{
	int overlay = make_overlay(layers, ids, n, base);
	return overlay < 0 ? err_errno(err, "cannot set up the sandbox: an overlay of %zu layers", n) : overlay;
}

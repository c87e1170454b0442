#include "agent/vm.h"

#include "agent/vm_parts.h"

#include "base/mem.h"
#include "proto/guest.h"
#include "proto/vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { DEVICE_MS = 5000, MOST_TEXT = 4096 };

// ---- the steps; each returns 0, or -1 with err --------------------------------------------------------------------------

static int mount_kernel_files(struct vm *vm, struct err *err)
{
	(void)vm;
	if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL) < 0 && errno != EBUSY)
		return err_errno(err, "mount /dev");
	if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL) < 0)
		return err_errno(err, "mount /sys");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL) < 0)
		return err_errno(err, "mount /proc");
	// Without a console the kernel gives no standard files.
	int fd;
	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
		;
	return fd < 0 ? err_errno(err, "open /dev/null") : (close(fd), 0);
}

ssize_t vm_read_text(const char *path, char *text, size_t room)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, room - 1);
	text[n < 0 ? 0 : n] = '\0';
	return n;
}

static int read_command_line(struct vm *vm, struct err *err)
{
	char text[MOST_TEXT], *save = NULL;
	if (vm_read_text("/proc/cmdline", text, sizeof text) < 0)
		return err_errno(err, "read /proc/cmdline");
	for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (strncmp(word, VM_JOBS, strlen(VM_JOBS)) == 0)
			snprintf(vm->jobs, sizeof vm->jobs, "%s", word + strlen(VM_JOBS));
		vm->has_vsock |= strcmp(word, VM_CHANNEL_IS "vsock") == 0;
	}
	return vm->jobs[0] ? 0 : err_set(err, ERR_FORMAT, "the kernel was not told " VM_JOBS);
}

static int load_modules(struct vm *vm, struct err *err)
{
	char order[MOST_TEXT], *save = NULL, path[512];
	(void)vm;
	if (vm_read_text("/" VM_MODULES "/" VM_MODULE_ORDER, order, sizeof order) < 0)
		return errno == ENOENT ? 0 : err_errno(err, "read the order of modules");
	for (char *name = strtok_r(order, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
		snprintf(path, sizeof path, "/" VM_MODULES "/%s", name);
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			return err_errno(err, "load the module '%s'", name);
	}
	return 0;
}

static int mount_image(struct vm *vm, struct err *err)
{
	(void)vm;
	for (int waited = 0; access("/dev/vda", F_OK) < 0; waited++) {
		if (waited == DEVICE_MS)
			return err_set(err, ERR_NOT_FOUND, "there is no disk");
		usleep(1000);
	}
	if (mkdir("/image", 0755) < 0 || mount("/dev/vda", "/image", "erofs", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
		return err_errno(err, "mount the image");
	return 0;
}

static int add_to_root(const char *name, struct err *err)
{
	char from[512], to[512], target[MOST_TEXT];
	struct stat st;
	snprintf(from, sizeof from, "/image/%.255s", name);
	snprintf(to, sizeof to, "/new/%.255s", name);
	if (lstat(from, &st) < 0)
		return err_errno(err, "look at '%s'", from);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(from, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = '\0';
		return n < 0 || symlink(target, to) < 0 ? err_errno(err, "make the link '%s'", to) : 0;
	}
	if (S_ISDIR(st.st_mode) && (mkdir(to, 0755) < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0))
		return err_errno(err, "mount '%s'", to);
	return 0;
}

static int add_devices(struct err *err)
{
	static const struct {
		const char *path;
		unsigned minor;
	} devices[] = {{"/new/dev/null", 3},
		       {"/new/dev/zero", 5},
		       {"/new/dev/full", 7},
		       {"/new/dev/random", 8},
		       {"/new/dev/urandom", 9}};
	for (size_t i = 0; i < COUNT_OF(devices); i++)
		if (mknod(devices[i].path, S_IFCHR | 0666, makedev(1, devices[i].minor)) < 0 ||
		    chmod(devices[i].path, 0666) < 0)
			return err_errno(err, "make '%s'", devices[i].path);
	return 0;
}

// A root that has the image read-only, a small /dev and an empty /tmp, and nothing else: as in a sandbox.
static int make_root(struct vm *vm, struct err *err)
{
	(void)vm;
	if (mkdir("/new", 0755) < 0 || mount("root", "/new", "tmpfs", MS_NOSUID, "size=64k,nr_inodes=128,mode=755") < 0)
		return err_errno(err, "mount the root");
	if (mkdir("/new/tmp", 0755) < 0 || mkdir("/new/dev", 0755) < 0)
		return err_errno(err, "make the root's directories");
	DIR *d = opendir("/image");
	int rc = d ? add_devices(err) : err_errno(err, "open the image");
	for (struct dirent *e; rc == 0 && (e = readdir(d));)
		if (!guest_leaves_out(e->d_name))
			rc = add_to_root(e->d_name, err);
	if (d)
		closedir(d);
	if (rc == 0 && mount(NULL, "/new", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) < 0)
		return err_errno(err, "make the root read-only");
	return rc;
}

static int open_own_files(struct vm *vm, struct err *err)
{
	vm->program = open("/" VM_INIT, O_PATH | O_CLOEXEC);
	vm->filter = open("/" VM_FILTER, O_RDONLY | O_CLOEXEC);
	if (vm->program < 0 || vm->filter < 0)
		return err_errno(err, "open the agent and its filter");
	vm->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return vm->proc < 0 ? err_errno(err, "open /proc") : 0;
}

static int change_root(struct vm *vm, struct err *err)
{
	(void)vm;
	if (sethostname("coffer", 6) < 0)
		return err_errno(err, "set the host's name");
	if (chdir("/new") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_errno(err, "change the root");
	return 0;
}

// ---- the story ------------------------------------------------------------------------------------------------------------

// Firecracker ends when its guest asks for a restart; it knows no power switch.
static void power_off(const struct vm *vm)
{
	sync();
	reboot(vm->has_vsock ? RB_AUTOBOOT : RB_POWER_OFF);
}

void vm_run(void)
{
	static int (*const steps[])(struct vm *, struct err *) = {
		mount_kernel_files, read_command_line, load_modules, vm_open_channels, vm_make_cgroups,
		mount_image,        open_own_files,    make_root,    change_root,      vm_start_agent,
	};
	struct vm vm = VM_INIT_VALUE;
	struct err err = ERR_INIT;
	int rc = 0;
	umask(0);
	for (size_t i = 0; rc == 0 && i < COUNT_OF(steps); i++)
		rc = steps[i](&vm, &err);
	if (rc == 0)
		rc = vm_serve(&vm, &err);
	if (rc < 0) {
		fprintf(stderr, "coffer-agent: %s\n", err.text);
		vm_tell_failure(&vm, err.text);
	}
	power_off(&vm);
}

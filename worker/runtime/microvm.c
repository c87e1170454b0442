// The runtime `microvm`: for each session a virtual machine with the image as a read-only disk and one channel to its agent, and
// nothing else. Its monitor is Firecracker (firecracker.c) or QEMU (qemu.c). The first process of the VM is coffer-agent
// (agent/vm.c); it says VM_READY, and from then on the channel carries gRPC.
//
// With KVM this is a boundary of hardware. Emulated (QEMU's TCG) it is none: QEMU's authors promise nothing there, so the label
// is `none`.
#include "worker/runtime/vm.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "proto/vm.h"
#include "worker/runtime/initramfs.h"
#include "worker/runtime/sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MKFS_MS = 600000, SAID_MAX = 600 };
#define VM_MEMORY ((uint64_t)1 << 30) // of a guest, where session_memory says nothing

uint64_t vm_memory(const struct runtime *r)
{
	return r->session_memory_bytes ? r->session_memory_bytes : VM_MEMORY;
}

const char *vm_file(struct arena *a, const struct runtime *r, const char *name)
{
	return arena_printf(a, "%s/vm/%s", r->directory, name);
}

static const struct vm_monitor *monitor_of(const struct runtime *r)
{
	static const struct vm_monitor *const monitors[] = {[VM_QEMU] = &vm_qemu, [VM_FIRECRACKER] = &vm_firecracker};
	return monitors[r->vm.monitor];
}

// ---- what all sessions share ----------------------------------------------------------------------------------------

static int microvm_prepare(struct runtime *r, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf archive = BUF_INIT;
	int filter;
	if (!r->vm.kernel || !r->vm.qemu || !r->vm.mkfs || !r->vm.firecracker || !r->vm.jailer)
		return err_set(
			err, ERR_USAGE,
			"the runtime 'microvm' needs a kernel: set vm_kernel and vm_modules (and vm_qemu, vm_firecracker, "
			"vm_jailer and vm_mkfs, if they were emptied)");
	if (access(r->vm.kernel, R_OK) < 0)
		return err_errno(err, "cannot use '%s'", r->vm.kernel);
	if (file_make_dirs(arena_printf(&a, "%s/vm", r->directory), 0711, err) < 0 || sandbox_filter(&filter, err) < 0)
		return -1;
	AUTO_CLOSE int rules = filter;
	AUTO_FREE char *self = mem_printf("/proc/self/fd/%d", r->agent);
	AUTO_CLOSE int agent = open(self, O_RDONLY | O_CLOEXEC);
	if (agent < 0)
		return err_errno(err, "cannot read the agent");
	if (initramfs_make(&archive, agent, rules, r->vm.modules, err) < 0 || monitor_of(r)->check(r, err) < 0)
		return -1;
	return file_write_atomic(AT_FDCWD, vm_file(&a, r, "initramfs"), archive.data, archive.len, 0644, err);
}

// The image as one read-only file system, the same bytes for the same files: made once, by mkfs.erofs.
static int make_disk(const struct runtime *r, const char *image, const char *disk, struct err *err)
{
	AUTO_FREE char *root = mem_printf("%s/sha256-%s/rootfs", r->toolchain->images, image + 7);
	AUTO_FREE char *temp = mem_printf("%s.new-%d", disk, (int)getpid());
	const char *const words[] = {
		"mkfs.erofs", "-T0", "-U00000000-0000-0000-0000-000000000000", "--all-root", "-x-1", temp, root, NULL};
	struct child c = {.argv = words, .program = r->vm.mkfs, .cwd_fd = -1, .time_limit_ms = MKFS_MS, .max_output = 65536};
	int rc = child_run(&c, err);
	if (rc == 0 && c.status != 0)
		rc = err_set(err, ERR_IO, "mkfs.erofs cannot pack '%s': %.200s", root, c.errs.data ? c.errs.data : "");
	child_release(&c);
	if (rc == 0 && (chmod(temp, 0444) < 0 || rename(temp, disk) < 0))
		rc = err_errno(err, "cannot keep '%s'", disk);
	if (rc < 0)
		unlink(temp);
	return rc;
}

static const char *disk_of(struct arena *a, const struct runtime *r, const struct toolchain *toolchain, struct err *err)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	const char *image = toolchain_image(toolchain);
	if (!image) {
		err_set(err, ERR_USAGE, "the runtime 'microvm' runs compilers of images only, not the host's");
		return NULL;
	}
	const char *disk = arena_printf(a, "%s/vm/sha256-%s.erofs", r->directory, image + 7);
	pthread_mutex_lock(&one);
	int rc = access(disk, R_OK) == 0 ? 0 : make_disk(r, image, disk, err);
	pthread_mutex_unlock(&one);
	return rc < 0 ? NULL : disk;
}

// The first line from the guest: it is ready, or what it could not set up.
int vm_wait_ready(int fd, uint32_t within_ms, struct err *err)
{
	char said[SAID_MAX] = "";
	size_t n = 0;
	int64_t until = clock_ms() + within_ms;
	while (n < sizeof said - 1 && !memchr(said, '\n', n)) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int64_t left = until - clock_ms();
		int rc = left > 0 ? poll(&wait, 1, (int)left) : 0;
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return err_set(err, ERR_TIMEOUT, VM_WHAT ": the guest is not ready after %u ms", within_ms);
		// One byte at a time: what follows the line is not ours.
		ssize_t got = read(fd, said + n, 1);
		if (got <= 0)
			return err_set(err, ERR_PEER, VM_WHAT ": the monitor has ended before the guest was ready");
		n++;
	}
	said[n] = '\0';
	if (strcmp(said, VM_READY) == 0)
		return 0;
	size_t head = strlen(VM_FAILED);
	if (strncmp(said, VM_FAILED, head) == 0)
		return err_set(err, ERR_IO, VM_WHAT ": %.*s", (int)strcspn(said + head, "\n"), said + head);
	return err_set(err, ERR_PEER, VM_WHAT ": the guest speaks another language");
}

static int microvm_open(struct runtime *r, const struct toolchain *toolchain, unsigned serial, struct place *p,
			struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *disk = disk_of(&a, r, toolchain, err);
	return disk ? monitor_of(r)->open(r, disk, serial, p, err) : -1;
}

const struct runtime_kind runtime_microvm = {.prepare = microvm_prepare, .open = microvm_open};

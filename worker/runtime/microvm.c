// The runtime `microvm` with QEMU as its monitor: for each session a virtual machine of QEMU's type microvm, with the image as a
// read-only disk, one virtio serial port, and nothing else: no network card, no shared file system, no console.
//
// QEMU itself runs as an unprivileged user in namespaces of its own, in a root that has its program's libraries, the kernel, the
// initial file system and the image, all read-only, and with its own seccomp filter (-sandbox). The first process of the VM is
// coffer-agent (agent/vm.c); it says VM_READY on the port, and from then on the port carries gRPC.
//
// With KVM this is a boundary of hardware. Emulated (TCG) it is none: QEMU's authors promise nothing there, so the label is `none`.
#include "worker/runtime/parts.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "proto/vm.h"
#include "worker/runtime/initramfs.h"
#include "worker/runtime/sandbox.h"
#include "worker/runtime/sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MKFS_MS = 600000, SAID_MAX = 600 };
#define VM_MEMORY ((uint64_t)1 << 30)     // of a guest, where session_memory says nothing
#define VM_OVERHEAD ((uint64_t)512 << 20) // of its monitor, besides the guest's memory

#define WHAT "cannot set up the microVM"

static const char *file_of(struct arena *a, const struct runtime *r, const char *name)
{
	return arena_printf(a, "%s/vm/%s", r->directory, name);
}

// ---- what all sessions share ----------------------------------------------------------------------------------------

static int microvm_prepare(struct runtime *r, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf archive = BUF_INIT;
	int filter;
	if (!r->vm.kernel || !r->vm.qemu || !r->vm.mkfs)
		return err_set(err, ERR_USAGE,
			       "the runtime 'microvm' needs a kernel: set vm_kernel and vm_modules (and vm_qemu and "
			       "vm_mkfs, if they were emptied)");
	if (access(r->vm.kernel, R_OK) < 0 || access(r->vm.qemu, X_OK) < 0)
		return err_errno(err, "cannot use '%s' and '%s'", r->vm.kernel, r->vm.qemu);
	if (r->vm.accel == VM_KVM && access("/dev/kvm", R_OK | W_OK) < 0)
		return err_errno(err, "cannot use /dev/kvm");
	if (file_make_dirs(arena_printf(&a, "%s/vm", r->directory), 0711, err) < 0 || sandbox_filter(&filter, err) < 0)
		return -1;
	AUTO_CLOSE int rules = filter;
	AUTO_FREE char *self = mem_printf("/proc/self/fd/%d", r->agent);
	AUTO_CLOSE int agent = open(self, O_RDONLY | O_CLOEXEC);
	if (agent < 0)
		return err_errno(err, "cannot read the agent");
	if (initramfs_make(&archive, agent, rules, r->vm.modules, err) < 0)
		return -1;
	return file_write_atomic(AT_FDCWD, file_of(&a, r, "initramfs"), archive.data, archive.len, 0644, err);
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

// ---- the monitor ----------------------------------------------------------------------------------------------------

// The guest can't find out by itself how fast the emulated clock counts (it hangs): 20 ms are long enough to tell.
static unsigned clock_khz(void)
{
#if defined(__x86_64__)
	int64_t from = clock_ns();
	uint64_t ticks = __builtin_ia32_rdtsc();
	usleep(20000);
	int64_t took = clock_ns() - from;
	return (unsigned)((__builtin_ia32_rdtsc() - ticks) * 1000000 / (uint64_t)took);
#else
	return 0;
#endif
}

// Its root has the host's libraries and QEMU's own files; of what belongs to the session only these.
static void add_files(struct ops *ops, const struct runtime *r, const char *disk, struct arena *a)
{
	const uint64_t plain = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	const char *const files[][2] = {
		{"vm/kernel", r->vm.kernel}, {"vm/initramfs", file_of(a, r, "initramfs")}, {"vm/disk", disk}};
	ops_add(ops, OP_DIRECTORY, "vm", NULL, 0);
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		ops_add(ops, OP_FILE, files[i][0], NULL, 0);
		ops_add(ops, OP_BIND, files[i][0], files[i][1], plain);
	}
	if (r->vm.accel == VM_KVM) {
		ops_add(ops, OP_FILE, "dev/kvm", NULL, 0);
		ops_add(ops, OP_BIND, "dev/kvm", "/dev/kvm", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	}
}

// The port is descriptor 3.
static void command(const struct runtime *r, struct arena *a, const char *arguments[64])
{
	size_t n = 0;
	uint64_t memory = r->session_memory_bytes ? r->session_memory_bytes : VM_MEMORY;
	const char *const fixed[] = {"qemu",
				     "-M",
				     "microvm,pit=off,pic=off,rtc=on,isa-serial=off",
				     "-nodefaults",
				     "-no-user-config",
				     "-nic",
				     "none",
				     "-display",
				     "none",
				     "-no-reboot",
				     "-serial",
				     "none",
				     "-monitor",
				     "none",
				     "-sandbox",
				     "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
				     "-smp",
				     "1",
				     "-kernel",
				     "/vm/kernel",
				     "-initrd",
				     "/vm/initramfs",
				     "-drive",
				     "id=image,file=/vm/disk,format=raw,if=none,readonly=on",
				     "-device",
				     "virtio-blk-device,drive=image",
				     "-chardev",
				     "socket,id=channel,fd=3,server=off",
				     "-device",
				     "virtio-serial-device",
				     "-device",
				     ("virtserialport,chardev=channel,name=" VM_CHANNEL)};
	for (; n < COUNT_OF(fixed); n++)
		arguments[n] = fixed[n];
	arguments[n++] = "-accel";
	arguments[n++] = r->vm.accel == VM_KVM ? "kvm" : "tcg";
	arguments[n++] = "-cpu";
	arguments[n++] = r->vm.accel == VM_KVM ? "host" : "max";
	arguments[n++] = "-m";
	arguments[n++] = arena_printf(a, "%lluM", (unsigned long long)(memory >> 20));
	arguments[n++] = "-append";
	arguments[n++] = arena_printf(a, "panic=-1 tsc_early_khz=%u nokaslr cryptomgr.notests quiet " VM_JOBS "%u",
				      clock_khz(), r->jobs);
	arguments[n] = NULL;
}

// The first line from the guest: it is ready, or what it could not set up.
static int wait_ready(const struct runtime *r, struct place *p, struct err *err)
{
	char said[SAID_MAX] = "";
	size_t n = 0;
	int64_t until = clock_ms() + r->vm.boot_ms;
	while (n < sizeof said - 1 && !memchr(said, '\n', n)) {
		struct pollfd wait = {.fd = p->fd, .events = POLLIN};
		int64_t left = until - clock_ms();
		int rc = left > 0 ? poll(&wait, 1, (int)left) : 0;
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return err_set(err, ERR_TIMEOUT, WHAT ": the guest is not ready after %u ms", r->vm.boot_ms);
		// One byte at a time: what follows the line is not ours.
		ssize_t got = read(p->fd, said + n, 1);
		if (got <= 0)
			return err_set(err, ERR_PEER, WHAT ": the monitor has ended before the guest was ready");
		n++;
	}
	said[n] = '\0';
	if (strcmp(said, VM_READY) == 0)
		return 0;
	size_t head = strlen(VM_FAILED);
	if (strncmp(said, VM_FAILED, head) == 0)
		return err_set(err, ERR_IO, WHAT ": %.*s", (int)strcspn(said + head, "\n"), said + head);
	return err_set(err, ERR_PEER, WHAT ": the guest speaks another language");
}

static int microvm_open(struct runtime *r, const struct toolchain *toolchain, unsigned serial, struct place *p,
			struct err *err)
{
	__attribute__((cleanup(sandbox_jail_release))) struct jail jail = {.proc = -1};
	const struct toolchain_config libraries = {.images = NULL};
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *arguments[64], *disk = disk_of(&a, r, toolchain, err);
	uint64_t limit = (r->session_memory_bytes ? r->session_memory_bytes : VM_MEMORY) + VM_OVERHEAD;
	struct toolchain *host;
	int pair[2];
	if (!disk || toolchain_open("host", &libraries, &host, err) < 0)
		return -1;
	int rc = sandbox_jail_begin(&jail, r, host, serial, limit, p, err);
	toolchain_free(host);
	if (rc < 0)
		return -1;
	add_files(&jail.ops, r, disk, &a);
	sandbox_jail_end(&jail);
	AUTO_CLOSE int program = open(r->vm.qemu, O_PATH | O_CLOEXEC);
	if (program < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, WHAT ": '%s'", r->vm.qemu);
	AUTO_CLOSE int theirs = pair[1];
	p->fd = pair[0];
	command(r, &a, arguments);
	struct start start = {.ops = &jail.ops,
			      .clone_flags = jail.clone_flags,
			      .what = "the microVM",
			      .program = program,
			      .arguments = arguments,
			      .fds = &theirs,
			      .n_fds = 1};
	return start_process(&start, &p->pid, err) < 0 ? -1 : wait_ready(r, p, err);
}

const struct runtime_kind runtime_microvm = {.prepare = microvm_prepare, .open = microvm_open};

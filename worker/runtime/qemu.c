// QEMU as the monitor of a microVM: its machine type microvm, with the image as a read-only disk, one virtio serial port, and
// nothing else: no network card, no shared file system, no console.
//
// QEMU itself runs as an unprivileged user in namespaces of its own, in a root that has its program's libraries, the kernel, the
// initial file system and the image, all read-only, and with its own seccomp filter (-sandbox).
#include "worker/runtime/vm.h"

#include "base/clock.h"
#include "proto/vm.h"
#include "worker/runtime/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#define VM_OVERHEAD ((uint64_t)512 << 20) // of the monitor, besides the guest's memory

static int qemu_check(const struct runtime *r, struct err *err)
{
	if (access(r->vm.qemu, X_OK) < 0)
		return err_errno(err, "cannot use '%s'", r->vm.qemu);
	if (r->vm.accel == VM_KVM && access("/dev/kvm", R_OK | W_OK) < 0)
		return err_errno(err, "cannot use /dev/kvm");
	return 0;
}

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
		{"vm/kernel", r->vm.kernel}, {"vm/initramfs", vm_file(a, r, "initramfs")}, {"vm/disk", disk}};
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
	arguments[n++] = arena_printf(a, "%lluM", (unsigned long long)(vm_memory(r) >> 20));
	arguments[n++] = "-append";
	arguments[n++] = arena_printf(a, "panic=-1 tsc_early_khz=%u nokaslr cryptomgr.notests quiet " VM_JOBS "%u",
				      clock_khz(), r->jobs);
	arguments[n] = NULL;
}

static int qemu_open(struct runtime *r, const char *disk, unsigned serial, struct place *p, struct err *err)
{
	__attribute__((cleanup(sandbox_jail_release))) struct jail jail = {.proc = -1};
	const struct toolchain_config libraries = {.images = NULL};
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *arguments[64];
	struct toolchain *host;
	int pair[2];
	if (toolchain_open("host", &libraries, &host, err) < 0)
		return -1;
	int rc = sandbox_jail_begin(&jail, r, host, serial, vm_memory(r) + VM_OVERHEAD, p, err);
	toolchain_free(host);
	if (rc < 0)
		return -1;
	add_files(&jail.ops, r, disk, &a);
	sandbox_jail_end(&jail);
	AUTO_CLOSE int program = open(r->vm.qemu, O_PATH | O_CLOEXEC);
	if (program < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, VM_WHAT ": '%s'", r->vm.qemu);
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
	return start_process(&start, &p->pid, err) < 0 ? -1 : vm_wait_ready(p->fd, r->vm.boot_ms, err);
}

const struct vm_monitor vm_qemu = {.name = "qemu", .check = qemu_check, .open = qemu_open};

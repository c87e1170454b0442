// QEMU as the monitor of a microVM: its machine type microvm, with the image as a read-only disk, two virtio serial ports, and
// nothing else: no network card, no shared file system, no console.
//
// A guest that may be saved has its memory in a file (shared), so that saving writes the state of the devices only (migration with
// x-ignore-shared to a descriptor), and a resumed guest goes on in the same file. QEMU must be started with the same words then.
//
// QEMU itself runs as an unprivileged user in namespaces of its own, in a root that has its program's libraries, the kernel, the
// initial file system and the image, all read-only, and with its own seccomp filter (-sandbox).
#include "worker/runtime/vm.h"

#include "base/child.h"
#include "base/clock.h"
#include "worker/runtime/qmp.h"
#include "worker/runtime/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#define OVERHEAD ((uint64_t)512 << 20)
enum { SAVE_MS = 60000, END_MS = 5000 };

// ---- the program and its words --------------------------------------------------------------------------------------

static int qemu_check(const struct runtime *r, struct err *err)
{
	if (access(r->vm.qemu, X_OK) < 0)
		return err_errno(err, "cannot use '%s'", r->vm.qemu);
	if (r->vm.accel == VM_KVM && access("/dev/kvm", R_OK | W_OK) < 0)
		return err_errno(err, "cannot use /dev/kvm");
	return 0;
}

// The guest can't find out by itself how fast the emulated clock counts (it hangs): 20 ms are long enough to tell.
unsigned qemu_clock_khz(void)
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
static void add_files(struct ops *ops, const struct runtime *r, const struct vm_start *vm, const struct place *p,
		      struct arena *a)
{
	const uint64_t plain = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	const char *const files[][2] = {
		{"vm/kernel", r->vm.kernel}, {"vm/initramfs", vm_file(a, r, "initramfs")}, {"vm/disk", vm->disk}};
	ops_add(ops, OP_DIRECTORY, "vm", NULL, 0);
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		ops_add(ops, OP_FILE, files[i][0], NULL, 0);
		ops_add(ops, OP_BIND, files[i][0], files[i][1], plain);
	}
	if (p->memory) {
		ops_add(ops, OP_FILE, "vm/memory", NULL, 0);
		ops_add(ops, OP_BIND, "vm/memory", p->memory, plain & ~(uint64_t)MOUNT_ATTR_RDONLY);
	}
	if (r->vm.accel == VM_KVM) {
		ops_add(ops, OP_FILE, "dev/kvm", NULL, 0);
		ops_add(ops, OP_BIND, "dev/kvm", "/dev/kvm", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	}
}

// Descriptors 3, 4 and 5 are the ports and QEMU's commands.
static const char *const fixed[] = {
	"qemu",
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
	"-device",
	"virtio-serial-device",
	"-chardev",
	"socket,id=data,fd=3,server=off",
	"-device",
	"virtserialport,chardev=data,name=" VM_DATA,
	"-chardev",
	"socket,id=control,fd=4,server=off",
	"-device",
	"virtserialport,chardev=control,name=" VM_CONTROL,
	"-chardev",
	"socket,id=commands,fd=5,server=off",
	"-mon",
	"chardev=commands,mode=control",
};
#define MACHINE "microvm,pit=off,pic=off,rtc=on,isa-serial=off"

static void command(const struct runtime *r, const struct vm_start *vm, bool has_file, struct arena *a,
		    const char *arguments[64])
{
	size_t n = 0;
	bool is_kvm = r->vm.accel == VM_KVM;
	unsigned long long megabytes = vm_memory(r) >> 20;
	for (; n < COUNT_OF(fixed); n++)
		arguments[n] = fixed[n];
	const char *const words[] = {"-M",
				     has_file ? MACHINE ",memory-backend=memory" : MACHINE,
				     "-accel",
				     is_kvm ? "kvm" : "tcg",
				     "-cpu",
				     is_kvm ? "host" : "max",
				     "-m",
				     arena_printf(a, "%lluM", megabytes),
				     "-append",
				     arena_printf(a,
						  "panic=-1 tsc_early_khz=%u nokaslr cryptomgr.notests quiet " VM_JOBS "%u",
						  r->clock_khz, r->jobs)};
	for (size_t i = 0; i < COUNT_OF(words); i++)
		arguments[n++] = words[i];
	if (has_file) {
		arguments[n++] = "-object";
		arguments[n++] =
			arena_printf(a, "memory-backend-file,id=memory,size=%lluM,mem-path=/vm/memory,share=on", megabytes);
	}
	if (vm->is_resumed) {
		arguments[n++] = "-incoming";
		arguments[n++] = "defer";
	}
	arguments[n] = NULL;
}

// ---- starting -------------------------------------------------------------------------------------------------------

// Room is taken on the disk now: a guest whose disk is full later would be killed in the middle of a job.
static int make_memory(const struct runtime *r, unsigned serial, struct place *p, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct sandbox_user user;
	p->memory = mem_strdup(vm_file(&a, r, arena_printf(&a, "%d-%u.memory", (int)getpid(), serial)));
	p->state = mem_strdup(vm_file(&a, r, arena_printf(&a, "%d-%u.state", (int)getpid(), serial)));
	AUTO_CLOSE int fd = open(p->memory, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)vm_memory(r)) < 0 ||
	    (fallocate(fd, 0, 0, (off_t)vm_memory(r)) < 0 && errno != EOPNOTSUPP))
		return err_errno(err, VM_WHAT ": the memory's file '%s'", p->memory);
	if (sandbox_choose_user(serial, &user, err) < 0)
		return -1;
	return fchown(fd, user.uid, user.gid) < 0 ? err_errno(err, VM_WHAT ": the memory's file") : 0;
}

enum { DATA, CONTROL, COMMANDS, CHANNELS };

static int make_channels(struct place *p, int theirs[CHANNELS], struct err *err)
{
	int *ours[CHANNELS] = {&p->fd, &p->control, &p->monitor};
	for (int i = 0; i < CHANNELS; i++) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return err_errno(err, VM_WHAT ": socket pairs");
		*ours[i] = pair[0];
		theirs[i] = pair[1];
	}
	return 0;
}

static int start_jailed(struct runtime *r, const struct vm_start *vm, const int theirs[CHANNELS], struct place *p,
			struct err *err)
{
	__attribute__((cleanup(sandbox_jail_release))) struct jail jail = {.proc = -1};
	const struct toolchain_config libraries = {.images = NULL};
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *arguments[64];
	struct toolchain *host;
	if (toolchain_open("host", &libraries, &host, err) < 0)
		return -1;
	int rc = sandbox_jail_begin(&jail, r, host, vm->serial, vm_memory(r) + OVERHEAD, p, err);
	toolchain_free(host);
	if (rc < 0)
		return -1;
	add_files(&jail.ops, r, vm, p, &a);
	sandbox_jail_end(&jail);
	AUTO_CLOSE int program = open(r->vm.qemu, O_PATH | O_CLOEXEC);
	if (program < 0)
		return err_errno(err, VM_WHAT ": '%s'", r->vm.qemu);
	command(r, vm, p->memory != NULL, &a, arguments);
	struct start start = {.ops = &jail.ops,
			      .clone_flags = jail.clone_flags,
			      .what = "the microVM",
			      .program = program,
			      .arguments = arguments,
			      .fds = theirs,
			      .n_fds = CHANNELS};
	return start_process(&start, &p->pid, err);
}

// ---- saving and resuming --------------------------------------------------------------------------------------------

static int ignore_shared(struct qmp *q, struct err *err)
{
	json_t *what = json_pack("{s:[{s:s, s:b}]}", "capabilities", "capability", "x-ignore-shared", "state", 1);
	return qmp_run(q, "migrate-set-capabilities", what, -1, NULL, err);
}

static int pass_file(struct qmp *q, int fd, struct err *err)
{
	return qmp_run(q, "getfd", json_pack("{s:s}", "fdname", "state"), fd, NULL, err);
}

// Until `command` answers with a `status` that is not one of the first words of a migration. Its last word is in `status`.
static int wait_status(struct qmp *q, const char *command, const char *const under_way[], char status[32], struct err *err)
{
	for (int64_t until = clock_ms() + SAVE_MS;; usleep(1000)) {
		json_t *answer;
		if (qmp_run(q, command, NULL, -1, &answer, err) < 0)
			return -1;
		const char *word = json_string_value(json_object_get(answer, "status"));
		snprintf(status, 32, "%s", word ? word : "none");
		json_decref(answer);
		bool is_over = true;
		for (size_t i = 0; under_way[i]; i++)
			is_over &= strcmp(status, under_way[i]) != 0;
		if (is_over)
			return 0;
		if (clock_ms() > until)
			return err_set(err, ERR_TIMEOUT, "QEMU says '%s' for too long", status);
	}
}

static int write_state(struct qmp *q, int fd, struct err *err)
{
	static const char *const under_way[] = {"none", "setup", "active", "device", "pre-switchover", NULL};
	char status[32];
	json_t *speed = json_pack("{s:I}", "max-bandwidth", (json_int_t)1 << 40);
	if (qmp_run(q, "stop", NULL, -1, NULL, err) < 0 || ignore_shared(q, err) < 0 ||
	    qmp_run(q, "migrate-set-parameters", speed, -1, NULL, err) < 0 || pass_file(q, fd, err) < 0 ||
	    qmp_run(q, "migrate", json_pack("{s:s}", "uri", "fd:state"), -1, NULL, err) < 0 ||
	    wait_status(q, "query-migrate", under_way, status, err) < 0)
		return -1;
	return strcmp(status, "completed") == 0 ? 0 : err_set(err, ERR_IO, "QEMU has not saved the guest: '%s'", status);
}

static int qemu_save(struct runtime *r, struct place *p, struct err *err)
{
	struct qmp q;
	(void)r;
	AUTO_CLOSE int state = open(p->state, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (state < 0)
		return err_errno(err, "cannot make '%s'", p->state);
	qmp_open(&q, p->monitor);
	int rc = write_state(&q, state, err);
	if (rc == 0)
		rc = qmp_run(&q, "quit", NULL, -1, NULL, err);
	qmp_close(&q);
	if (rc == 0 && child_wait(p->pid, END_MS, NULL) < 0)
		rc = err_set(err, ERR_IO, "QEMU does not end");
	p->pid = 0;
	return rc < 0 ? err_wrap(err, "cannot save the microVM") : 0;
}

static int read_state(struct place *p, struct err *err)
{
	static const char *const under_way[] = {"inmigrate", "prelaunch", NULL};
	struct qmp q;
	char status[32];
	AUTO_CLOSE int state = open(p->state, O_RDONLY | O_CLOEXEC);
	if (state < 0)
		return err_errno(err, "cannot open '%s'", p->state);
	qmp_open(&q, p->monitor);
	int rc = ignore_shared(&q, err) < 0 || pass_file(&q, state, err) < 0 ||
				 qmp_run(&q, "migrate-incoming", json_pack("{s:s}", "uri", "fd:state"), -1, NULL, err) < 0 ||
				 wait_status(&q, "query-status", under_way, status, err) < 0 ||
				 qmp_run(&q, "cont", NULL, -1, NULL, err) < 0
			 ? -1
			 : 0;
	qmp_close(&q);
	if (rc == 0)
		unlink(p->state);
	return rc < 0 ? err_wrap(err, "cannot resume the microVM") : 0;
}

// ---- the story ------------------------------------------------------------------------------------------------------

static int greet(const struct place *p, struct err *err)
{
	struct qmp q;
	qmp_open(&q, p->monitor);
	int rc = qmp_greet(&q, err);
	qmp_close(&q);
	return rc < 0 ? err_wrap(err, VM_WHAT) : 0;
}

static int qemu_start(struct runtime *r, const struct vm_start *vm, struct place *p, struct err *err)
{
	int theirs[CHANNELS] = {-1, -1, -1};
	if (!vm->is_resumed && r->vm.has_snapshots && make_memory(r, vm->serial, p, err) < 0)
		return -1;
	int rc = make_channels(p, theirs, err);
	if (rc == 0)
		rc = start_jailed(r, vm, theirs, p, err);
	for (int i = 0; i < CHANNELS; i++)
		mem_close_cleanup(&theirs[i]);
	if (rc < 0 || greet(p, err) < 0)
		return -1;
	return vm->is_resumed ? read_state(p, err) : vm_expect(p->control, VM_READY, r->vm.boot_ms, err);
}

const struct vm_monitor vm_qemu = {
	.name = "qemu", .overhead = OVERHEAD, .check = qemu_check, .start = qemu_start, .save = qemu_save};

// The runtime `microvm`: for each session a virtual machine with the image as a read-only disk, a channel to its first process
// and one to its agent (proto/vm.h), and nothing else. Its monitor is Firecracker (firecracker.c) or QEMU (qemu.c). The first
// process of the VM is coffer-agent (agent/vm.c).
//
// A VM is booted for a session, or ahead (vm_pool.c); it begins when it is a session's; after the end of the connection it is as new
// again, and can be saved (snapshot.c) and resumed, for the same tenant and image and once.
//
// With KVM this is a boundary of hardware. Emulated (QEMU's TCG) it is none: QEMU's authors promise nothing there, so the label
// is `none`.
#include "worker/runtime/vm.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/tree.h"
#include "image/disk.h"
#include "worker/runtime/initramfs.h"
#include "worker/runtime/sandbox.h"
#include "worker/runtime/sandbox_filter.h"
#include "worker/runtime/vm_pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum { QUIET_MS = 5000, BEGIN_MS = 5000, DISK_KEPT = 10 };
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

// The files of workers that were killed: PID-SERIAL.memory and the like. When this is called none is ours yet.
static void remove_old_files(const struct runtime *r)
{
	AUTO_FREE char *path = mem_printf("%s/vm", r->directory);
	DIR *d = opendir(path);
	if (!d)
		return;
	for (const struct dirent *e; (e = readdir(d));) {
		int pid;
		unsigned serial;
		if (sscanf(e->d_name, "%d-%u.", &pid, &serial) == 2 && pid > 0 &&
		    (pid == getpid() || (kill(pid, 0) < 0 && errno == ESRCH)))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
}

// Three quarters of the machine's memory, where the operator says nothing.
static uint64_t memory_of_all(const struct runtime *r)
{
	struct sysinfo info;
	if (r->vm.memory_bytes || sysinfo(&info) < 0)
		return r->vm.memory_bytes;
	return (uint64_t)info.totalram * info.mem_unit / 4 * 3;
}

// What a job writes is memory of its guest. None can use that up: the guest would end, and all other jobs in it.
static void fit_limits(struct runtime *r)
{
	uint64_t all = vm_memory(r);
	struct limits most = {.memory_bytes = all / 4 * 3, .scratch_bytes = all / 2, .file_bytes = all / 2};
	r->limits = limits_lower(&r->limits, &most);
}

static int boot(struct runtime *r, const char *image, struct place *p, struct err *err);

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
	if (file_write_atomic(AT_FDCWD, vm_file(&a, r, "initramfs"), archive.data, archive.len, 0644, err) < 0)
		return -1;
	remove_old_files(r);
	fit_limits(r);
	r->clock_khz = qemu_clock_khz();
	struct vm_pool_config pool = {.per_image = r->vm.ahead,
				      .cost = vm_memory(r) + monitor_of(r)->overhead,
				      .most = memory_of_all(r),
				      .boot = boot};
	r->pool = vm_pool_new(r, &pool);
	return 0;
}

// The image's own disk, or one that is made here.
static int make_disk(const struct runtime *r, const char *image, const char *disk, struct err *err)
{
	AUTO_FREE char *root = mem_printf("%s/sha256-%s/rootfs", r->toolchain->images, image + 7);
	int rc = disk_copy(r->toolchain->images, image, disk, err);
	return rc ? rc : disk_make(r->vm.mkfs, root, disk, err);
}

static int make_disk_once(const struct runtime *r, const char *image, const char *disk, struct err *err)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&one);
	int rc = access(disk, R_OK) == 0 || make_disk(r, image, disk, err) >= 0 ? 0 : -1;
	pthread_mutex_unlock(&one);
	return rc;
}

// ---- what a guest says ----------------------------------------------------------------------------------------------

int vm_expect(int fd, const char *wanted, uint32_t within_ms, struct err *err)
{
	char said[VM_LINE_MAX + 1] = "";
	size_t n = 0;
	int64_t until = clock_ms() + within_ms;
	while (n < VM_LINE_MAX && !memchr(said, '\n', n)) {
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
	if (strcmp(said, wanted) == 0)
		return 0;
	size_t head = strlen(VM_FAILED);
	if (strncmp(said, VM_FAILED, head) == 0)
		return err_set(err, ERR_IO, VM_WHAT ": %.*s", (int)strcspn(said + head, "\n"), said + head);
	return err_set(err, ERR_PEER, VM_WHAT ": the guest speaks another language");
}

// Before any work: a guest that was booted ahead or resumed has an old clock, and random numbers that may have been given already.
static int begin(const struct place *p, struct err *err)
{
	uint8_t bytes[VM_RANDOM];
	char line[VM_LINE_MAX];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return err_errno(err, VM_WHAT ": no random bytes");
	int n = snprintf(line, sizeof line, VM_BEGIN "%lld ", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
	for (size_t i = 0; i < sizeof bytes; i++)
		n += snprintf(line + n, sizeof line - (size_t)n, "%02x", bytes[i]);
	line[n++] = '\n';
	if (send(p->control, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
		return err_set(err, ERR_PEER, VM_WHAT ": the monitor has ended");
	return vm_expect(p->control, VM_BEGUN, BEGIN_MS, err);
}

// ---- the life of a VM -----------------------------------------------------------------------------------------------

static const char *disk_path(struct arena *a, const struct runtime *r, const char *image)
{
	return arena_printf(a, "%s/vm/sha256-%s.erofs", r->directory, image + 7);
}

// Its memory is reserved.
static int boot(struct runtime *r, const char *image, struct place *p, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct vm_start start = {.disk = disk_path(&a, r, image), .serial = place_serial()};
	return make_disk_once(r, image, start.disk, err) < 0 ? -1 : monitor_of(r)->start(r, &start, p, err);
}

static int microvm_open(struct runtime *r, const struct toolchain *toolchain, unsigned serial, struct place *p,
			struct err *err)
{
	struct err why = ERR_INIT;
	const char *image = toolchain_image(toolchain);
	(void)serial;
	if (!image)
		return err_set(err, ERR_USAGE, "the runtime 'microvm' runs compilers of images only, not the host's");
	vm_pool_want(r->pool, image);
	if (vm_pool_take(r->pool, image, p)) {
		if (begin(p, &why) == 0)
			return 0;
		log_event(LOG_LEVEL_WARN, "a VM that was booted ahead is no good", LOG_TEXT("why", why.text));
		place_close(r, p);
	}
	if (vm_pool_reserve(r->pool, err) < 0)
		return -1;
	p->is_counted = true;
	return boot(r, image, p, err) < 0 ? -1 : begin(p, err);
}

// All of a guest's memory may have to go there, and a tenth of the disk is for jobs.
static int check_disk(const struct runtime *r, struct err *err)
{
	AUTO_FREE char *directory = mem_printf("%s/vm", r->directory);
	struct statvfs fs;
	if (statvfs(directory, &fs) < 0)
		return err_errno(err, "look at '%s'", directory);
	uint64_t all = (uint64_t)fs.f_blocks * fs.f_frsize, left = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (left < all / DISK_KEPT + vm_memory(r))
		return err_set(err, ERR_LIMIT, "'%s' has no room for a saved session", directory);
	return 0;
}

static int microvm_save(struct runtime *r, const struct snapshot_owner *owner, struct place *p, struct err *err)
{
	if (!r->vm.has_snapshots)
		return err_set(err, ERR_USAGE, "VMs are not saved here");
	// It has ended its jobs and its agent, and has a new one.
	if (check_disk(r, err) < 0 || vm_expect(p->control, VM_READY, QUIET_MS, err) < 0 ||
	    monitor_of(r)->save(r, p, err) < 0)
		return -1;
	char *memory = TAKE(p->memory), *state = TAKE(p->state);
	place_close(r, p);
	p->memory = memory;
	p->state = state;
	return snapshot_seal(owner, p->memory, p->state, &p->seal, err);
}

static int microvm_resume(struct runtime *r, const struct snapshot_owner *owner, unsigned serial, struct place *p,
			  struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct vm_start start = {.disk = disk_path(&a, r, owner->image), .serial = serial, .is_resumed = true};
	struct sandbox_user user;
	if (!p->is_counted && vm_pool_reserve(r->pool, err) < 0)
		return -1;
	p->is_counted = true;
	if (sandbox_choose_user(serial, &user, err) < 0 ||
	    snapshot_break(owner, p->memory, p->state, user.uid, user.gid, &p->seal, err) < 0 ||
	    monitor_of(r)->start(r, &start, p, err) < 0)
		return -1;
	return begin(p, err);
}

static void microvm_close(struct runtime *r, struct place *p)
{
	mem_close_cleanup(&p->control);
	mem_close_cleanup(&p->monitor);
	if (p->memory)
		unlink(p->memory);
	if (p->state)
		unlink(p->state);
	free(TAKE(p->memory));
	free(TAKE(p->state));
	if (p->jail)
		tree_remove(AT_FDCWD, p->jail);
	free(TAKE(p->jail));
	if (p->is_counted)
		vm_pool_release(r->pool);
	p->is_counted = false;
}

void runtime_expect(struct runtime *r, const char *image)
{
	if (r->pool && strncmp(image, "sha256:", 7) == 0)
		vm_pool_want(r->pool, image);
}

unsigned runtime_ahead(struct runtime *r)
{
	return r->pool ? vm_pool_count(r->pool) : 0;
}

static void microvm_end(struct runtime *r)
{
	vm_pool_free(r->pool); // its guests are counted until they are closed
	r->pool = NULL;
}

const struct runtime_kind runtime_microvm = {.prepare = microvm_prepare,
					     .end = microvm_end,
					     .open = microvm_open,
					     .save = microvm_save,
					     .resume = microvm_resume,
					     .close = microvm_close};

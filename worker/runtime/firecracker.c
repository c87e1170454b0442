// Firecracker as the monitor of a microVM, jailed by its own jailer: a user id of the session's own, an empty network namespace,
// the session's cgroup, and a root that has the kernel, the initial file system and the image, all read-only.
//
// Firecracker is configured over its API (firecracker_api.h), before the guest starts, and then asked whether it has a network
// card: with one the guest does not start. The guest tells that it is ready by a call to the port VM_READY_PORT, which Firecracker
// passes on to a unix socket that we listen on; then we connect to its ports for control and for the agent. (docs/vsock.md of
// Firecracker: "CONNECT PORT\n", "OK HOST-PORT\n".)
//
// Saving is its own too: paused, it writes two files into its jail, which are then the worker's. A new Firecracker loads them, tells its
// configuration as after a boot, and runs on; all connections are new (docs/snapshotting/snapshot-support.md).
#include "worker/runtime/vm.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/tree.h"
#include "worker/runtime/firecracker_api.h"
#include "worker/runtime/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	API_MS = 5000,
	CONNECT_MS = 5000,
	HELLO_MS = 5000,
	LOG_MAX = 16 << 20,
	GUEST_CID = 3,
	KERNEL_MAX = 256 << 20,
	OK_MAX = 32
};
#define OVERHEAD ((uint64_t)64 << 20)

// The oldest version that has no known fault in what is used here: 1.16.1 mends connections that hang after a snapshot.
enum { LEAST_MAJOR = 1, LEAST_MINOR = 16, LEAST_PATCH = 1 };

#define MEMORY "memory" // files in the jail, when it is saved
#define STATE "state"

struct firecracker_vm {
	struct runtime *runtime;
	struct place *place;
	struct arena arena;
	const char *id;
	struct sandbox_user user;
	int root;  // the jail's root directory
	int ready; // listens for the guest's call
	struct firecracker_api *api;
	int64_t until_ms;
};

static void vm_release(struct firecracker_vm *vm)
{
	firecracker_api_close(vm->api);
	mem_close_cleanup(&vm->ready);
	mem_close_cleanup(&vm->root);
	arena_release(&vm->arena);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

// ---- once -----------------------------------------------------------------------------------------------------------

// The jails of workers that were killed: their names are PID-SERIAL. When this is called none is ours yet, whoever had our number.
static void remove_old_jails(const struct runtime *r)
{
	AUTO_FREE char *path = mem_printf("%s/vm/jail/%s", r->directory, base_name(r->vm.firecracker));
	DIR *d = opendir(path);
	if (!d)
		return;
	for (const struct dirent *e; (e = readdir(d));) {
		int pid;
		if (sscanf(e->d_name, "%d-", &pid) == 1 && pid > 0 &&
		    (pid == getpid() || (kill(pid, 0) < 0 && errno == ESRCH)))
			tree_remove(dirfd(d), e->d_name);
	}
	closedir(d);
}

// A copy that a jail can have a link to, readable by its user.
static int copy_kernel(const struct runtime *r, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf kernel = BUF_INIT;
	if (file_read(AT_FDCWD, r->vm.kernel, KERNEL_MAX, &kernel, NULL, err) < 0)
		return -1;
	if (kernel.len < 4 || memcmp(kernel.data, "\177ELF", 4) != 0)
		return err_set(
			err, ERR_USAGE,
			"Firecracker needs an uncompressed ELF kernel, and '%s' is none ('scripts/extract-vmlinux' of the "
			"kernel's sources takes it out of a bzImage)",
			r->vm.kernel);
	return file_write_atomic(AT_FDCWD, vm_file(&a, r, "kernel"), kernel.data, kernel.len, 0444, err);
}

static int firecracker_check(const struct runtime *r, struct err *err)
{
	struct sandbox_user user;
	if (access(r->vm.firecracker, X_OK) < 0)
		return err_errno(err, "cannot use '%s'", r->vm.firecracker);
	if (access(r->vm.jailer, X_OK) < 0)
		return err_errno(err, "cannot use '%s'", r->vm.jailer);
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return err_errno(err, "cannot use /dev/kvm");
	if (sandbox_choose_user(0, &user, err) < 0)
		return -1;
	if (!user.is_root)
		return err_set(err, ERR_ACCESS, "Firecracker's jailer must be started by root");
	remove_old_jails(r);
	return copy_kernel(r, err);
}

// ---- the jail -------------------------------------------------------------------------------------------------------

static int make_jail(struct firecracker_vm *vm, const struct vm_start *start, struct err *err)
{
	const struct runtime *r = vm->runtime;
	vm->place->jail = mem_printf("%s/vm/jail/%s/%s", r->directory, base_name(r->vm.firecracker), vm->id);
	const char *root = arena_printf(&vm->arena, "%s/root", vm->place->jail);
	if (file_make_dirs(root, 0700, err) < 0)
		return -1;
	vm->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (vm->root < 0)
		return err_errno(err, VM_WHAT ": '%s'", root);
	const char *const files[][2] = {{vm_file(&vm->arena, r, "kernel"), "kernel"},
					{vm_file(&vm->arena, r, "initramfs"), "initramfs"},
					{start->disk, "disk"},
					{vm->place->memory, MEMORY},
					{vm->place->state, STATE}};
	for (size_t i = 0; i < (start->is_resumed ? 5 : 3); i++)
		if (linkat(AT_FDCWD, files[i][0], vm->root, files[i][1], 0) < 0)
			return err_errno(err, VM_WHAT ": link '%s'", files[i][0]);
	return 0;
}

// By way of /proc/self/fd, as a socket's name has 107 characters at most.
static struct sockaddr_un address_of(int fd, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof a.sun_path, name ? "/proc/self/fd/%d/%s" : "/proc/self/fd/%d", fd, name);
	return a;
}

static int listen_for_guest(struct firecracker_vm *vm, struct err *err)
{
	const char *name = arena_printf(&vm->arena, "vsock_%d", VM_READY_PORT);
	struct sockaddr_un a = address_of(vm->root, name);
	vm->ready = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (vm->ready < 0 || bind(vm->ready, (struct sockaddr *)&a, sizeof a) < 0 || listen(vm->ready, 1) < 0 ||
	    fchownat(vm->root, name, vm->user.uid, vm->user.gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, VM_WHAT ": listen for the guest");
	return 0;
}

static unsigned long long file_size(const struct runtime *r)
{
	return LOG_MAX + (r->vm.has_snapshots ? vm_memory(r) : 0);
}

static int start_jailer(struct firecracker_vm *vm, unsigned serial, struct err *err)
{
	struct runtime *r = vm->runtime;
	AUTO_OPS struct ops ops = {.n = 0};
	struct arena *a = &vm->arena;
	const char *arguments[] = {
		"jailer", "--id", vm->id, "--exec-file", r->vm.firecracker, "--uid",
		arena_printf(a, "%u", (unsigned)vm->user.uid), "--gid", arena_printf(a, "%u", (unsigned)vm->user.gid),
		"--chroot-base-dir", arena_printf(a, "%s/vm/jail", r->directory), "--resource-limit", "no-file=256",
		// What it can put on the disk: its log, its metrics, and what is saved.
		"--resource-limit", arena_printf(a, "fsize=%llu", file_size(r)), "--", "--api-sock", "/api.socket", NULL};
	if (cgroup_open(&vm->place->cgroup, &r->cgroups, arena_printf(a, "%u", serial), vm_memory(r) + OVERHEAD,
			vm->user.uid, vm->user.gid, err) < 0)
		return err_wrap(err, VM_WHAT);
	place_join(vm->place, false, &ops);
	AUTO_CLOSE int program = open(r->vm.jailer, O_PATH | O_CLOEXEC);
	if (program < 0)
		return err_errno(err, VM_WHAT ": '%s'", r->vm.jailer);
	// The jailer makes a mount namespace of its own.
	struct start start = {.ops = &ops,
			      .clone_flags = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
			      .what = "the microVM",
			      .program = program,
			      .arguments = arguments};
	return start_process(&start, &vm->place->pid, err);
}

// ---- the machine ----------------------------------------------------------------------------------------------------

// One request after the other; frees all bodies.
struct request {
	const char *path;
	json_t *body;
};
static int put_all(struct firecracker_vm *vm, const struct request *requests, size_t n, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; i < n; i++)
		if (rc == 0)
			rc = firecracker_put(vm->api, requests[i].path, requests[i].body, err);
		else
			json_decref(requests[i].body);
	return rc;
}

// The log and the metrics, before everything else, so that they tell of errors in it.
static int configure_logs(struct firecracker_vm *vm, struct err *err)
{
	const struct request requests[] = {
		{"/logger", json_pack("{s:s, s:s}", "log_path", "/log", "level", "Warn")},
		{"/metrics", json_pack("{s:s}", "metrics_path", "/metrics")},
	};
	return put_all(vm, requests, COUNT_OF(requests), err);
}

// The machine, before the start.
static int configure(struct firecracker_vm *vm, struct err *err)
{
	const char *boot =
		arena_printf(&vm->arena,
			     "reboot=k panic=1 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd swiotlb=noforce "
			     "quiet " VM_JOBS "%u " VM_CHANNEL_IS "vsock",
			     vm->runtime->jobs);
	const struct request requests[] = {
		{"/machine-config", json_pack("{s:i, s:I, s:b}", "vcpu_count", 1, "mem_size_mib",
					      (json_int_t)(vm_memory(vm->runtime) >> 20), "smt", 0)},
		{"/boot-source", json_pack("{s:s, s:s, s:s}", "kernel_image_path", "/kernel", "initrd_path", "/initramfs",
					   "boot_args", boot)},
		{"/drives/image", json_pack("{s:s, s:s, s:b, s:b}", "drive_id", "image", "path_on_host", "/disk",
					    "is_root_device", 0, "is_read_only", 1)},
		{"/vsock", json_pack("{s:i, s:s}", "guest_cid", GUEST_CID, "uds_path", "/vsock")},
		{"/entropy", json_object()},
	};
	return put_all(vm, requests, COUNT_OF(requests), err);
}

// Fields by version: `clock_realtime` came with 1.16.0, which is older than the oldest that is used here.
static int load(struct firecracker_vm *vm, struct err *err)
{
	const struct request requests[] = {
		{"/snapshot/load",
		 json_pack("{s:s, s:{s:s, s:s}, s:b, s:b}", "snapshot_path", "/" STATE, "mem_backend", "backend_type",
			   "File", "backend_path", "/" MEMORY, "resume_vm", 0, "clock_realtime", 1)},
	};
	return put_all(vm, requests, COUNT_OF(requests), err);
}

// What it says of itself is what counts, not what it was told.
static int check_network(struct firecracker_vm *vm, struct err *err)
{
	json_t *config;
	if (firecracker_get(vm->api, "/vm/config", &config, err) < 0)
		return -1;
	const json_t *cards = json_object_get(config, "network-interfaces"), *disks = json_object_get(config, "drives");
	bool is_as_told = json_is_object(config) && (!cards || (json_is_array(cards) && json_array_size(cards) == 0)) &&
			  json_array_size(disks) == 1;
	json_decref(config);
	return is_as_told ? 0 : err_set(err, ERR_ACCESS, "Firecracker says that it has a network card, or other disks");
}

static int check_version(const struct firecracker_vm *vm, struct err *err)
{
	struct firecracker_version v = firecracker_api_version(vm->api);
	if (firecracker_is_at_least(v, LEAST_MAJOR, LEAST_MINOR, LEAST_PATCH))
		return 0;
	return err_set(err, ERR_ACCESS, "Firecracker %u.%u.%u is too old, %d.%d.%d is needed", v.major, v.minor, v.patch,
		       LEAST_MAJOR, LEAST_MINOR, LEAST_PATCH);
}

static int left_ms(const struct firecracker_vm *vm)
{
	int64_t left = vm->until_ms - clock_ms();
	return left > 0 ? (int)left : 0;
}

// The guest calls, and says how it went; or the monitor ends; or the time does.
static int wait_for_guest(struct firecracker_vm *vm, struct err *err)
{
	AUTO_CLOSE int process = (int)syscall(SYS_pidfd_open, vm->place->pid, 0);
	struct pollfd wait[] = {{.fd = vm->ready, .events = POLLIN}, {.fd = process, .events = POLLIN}};
	int rc;
	while ((rc = poll(wait, COUNT_OF(wait), left_ms(vm))) < 0 && errno == EINTR)
		;
	if (rc == 0)
		return err_set(err, ERR_TIMEOUT, VM_WHAT ": the guest is not ready after %u ms", vm->runtime->vm.boot_ms);
	if (!wait[0].revents)
		return err_set(err, ERR_PEER, VM_WHAT ": the monitor has ended before the guest was ready");
	AUTO_CLOSE int call = accept4(vm->ready, NULL, NULL, SOCK_CLOEXEC);
	if (call < 0)
		return err_errno(err, VM_WHAT ": the guest's call");
	return vm_expect(call, VM_READY, (uint32_t)left_ms(vm), err);
}

// ---- the channel ----------------------------------------------------------------------------------------------------

// To the very socket that Firecracker has made: nothing that was put in its place.
static int connect_monitor(const struct firecracker_vm *vm, struct err *err)
{
	struct stat st;
	AUTO_CLOSE int socket_file = openat(vm->root, "vsock", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (socket_file < 0 || fstat(socket_file, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != vm->user.uid)
		return err_set(err, ERR_PEER, VM_WHAT ": the monitor's socket is not there");
	struct sockaddr_un a = address_of(socket_file, NULL);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	// A monitor that takes no connection would keep us waiting in its queue.
	struct timeval limit = {.tv_sec = CONNECT_MS / 1000};
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	err_errno(err, VM_WHAT ": connect to the monitor");
	mem_close_cleanup(&fd);
	return -1;
}

// "CONNECT PORT\n" in one write, then "OK NUMBER\n", and not a byte more. 1; 0: nobody took it (yet).
static int ask_for_port(int fd, int port, int wait_ms, struct err *err)
{
	char ask[32], answer[OK_MAX + 1] = "";
	int64_t until = clock_ms() + wait_ms;
	int n = snprintf(ask, sizeof ask, "CONNECT %d\n", port);
	if (send(fd, ask, (size_t)n, MSG_NOSIGNAL) != n)
		return 0;
	for (size_t got = 0; got < OK_MAX && !memchr(answer, '\n', got);) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int64_t left = until - clock_ms();
		int rc = left > 0 ? poll(&wait, 1, (int)left) : 0;
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0 || read(fd, answer + got, 1) != 1)
			return 0;
		got++;
	}
	return strncmp(answer, "OK ", 3) == 0 && strchr(answer, '\n')
		       ? 1
		       : err_set(err, ERR_PEER, VM_WHAT ": the monitor answers CONNECT with '%.20s'", answer);
}

static int connect_guest(struct firecracker_vm *vm, int port, int *connection, struct err *err)
{
	for (int wait_us = 1000;; wait_us *= 2) {
		int fd = connect_monitor(vm, err);
		int rc = fd < 0 ? -1 : ask_for_port(fd, port, left_ms(vm) < CONNECT_MS ? left_ms(vm) : CONNECT_MS, err);
		if (rc == 1) {
			*connection = fd;
			return 0;
		}
		mem_close_cleanup(&fd);
		if (rc < 0)
			return -1;
		if (left_ms(vm) == 0)
			return err_set(err, ERR_TIMEOUT, VM_WHAT ": the agent takes no connection");
		usleep((useconds_t)wait_us);
	}
}

// To its first process, which says again that it is ready, and only then to the agent: it drops what has called before.
static int connect_both(struct firecracker_vm *vm, struct err *err)
{
	if (connect_guest(vm, VM_CONTROL_PORT, &vm->place->control, err) < 0 ||
	    vm_expect(vm->place->control, VM_READY, HELLO_MS, err) < 0)
		return -1;
	return connect_guest(vm, VM_DATA_PORT, &vm->place->fd, err);
}

// ---- saving ---------------------------------------------------------------------------------------------------------

// What it has written becomes the worker's, under a name of the worker's own.
static int take_file(const struct firecracker_vm *vm, const char *name, char **path, struct err *err)
{
	*path = mem_printf("%s/vm/%d-%u.%s", vm->runtime->directory, (int)getpid(), place_serial(), name);
	struct stat st;
	AUTO_CLOSE int fd = openat(vm->root, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
		return err_set(err, ERR_PEER, "Firecracker has not written '%s'", name);
	return renameat(vm->root, name, AT_FDCWD, *path) < 0 ? err_errno(err, "keep '%s'", name) : 0;
}

static int save(struct firecracker_vm *vm, struct err *err)
{
	struct place *p = vm->place;
	AUTO_FREE char *root = mem_printf("%s/root", p->jail);
	vm->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (vm->root < 0)
		return err_errno(err, "'%s'", root);
	// Those of a guest that was resumed before; it has them in memory, but the names are needed.
	if ((unlinkat(vm->root, MEMORY, 0) < 0 || unlinkat(vm->root, STATE, 0) < 0) && errno != ENOENT)
		return err_errno(err, "remove old files");
	struct sockaddr_un socket = address_of(vm->root, "api.socket");
	json_t *files = json_pack("{s:s, s:s, s:s}", "snapshot_type", "Full", "snapshot_path", "/" STATE, "mem_file_path",
				  "/" MEMORY);
	if (firecracker_api_open(socket.sun_path, API_MS, &vm->api, err) < 0 ||
	    firecracker_patch(vm->api, "/vm", json_pack("{s:s}", "state", "Paused"), err) < 0) {
		json_decref(files);
		return -1;
	}
	if (firecracker_put(vm->api, "/snapshot/create", files, err) < 0)
		return -1;
	// It must not run on: what is saved is resumed once.
	if (child_wait(p->pid, 0, NULL) < 0)
		return err_set(err, ERR_IO, "Firecracker does not end");
	p->pid = 0;
	return take_file(vm, MEMORY, &p->memory, err) < 0 ? -1 : take_file(vm, STATE, &p->state, err);
}

static int firecracker_save(struct runtime *r, struct place *p, struct err *err)
{
	__attribute__((cleanup(vm_release))) struct firecracker_vm vm = {.runtime = r, .place = p, .root = -1, .ready = -1};
	return save(&vm, err) < 0 ? err_wrap(err, "cannot save the microVM") : 0;
}

// ---- the story ------------------------------------------------------------------------------------------------------

static int boot(struct firecracker_vm *vm, struct err *err)
{
	if (configure(vm, err) < 0 || check_network(vm, err) < 0 ||
	    firecracker_put(vm->api, "/actions", json_pack("{s:s}", "action_type", "InstanceStart"), err) < 0)
		return err_wrap(err, VM_WHAT);
	return wait_for_guest(vm, err);
}

static int resume(struct firecracker_vm *vm, struct err *err)
{
	struct place *p = vm->place;
	if (load(vm, err) < 0 || check_network(vm, err) < 0 ||
	    firecracker_patch(vm->api, "/vm", json_pack("{s:s}", "state", "Resumed"), err) < 0)
		return err_wrap(err, "cannot resume the microVM");
	// The jail's links are enough.
	unlink(p->memory);
	unlink(p->state);
	free(TAKE(p->memory));
	free(TAKE(p->state));
	return 0;
}

static int start(struct firecracker_vm *vm, const struct vm_start *how, struct err *err)
{
	vm->id = arena_printf(&vm->arena, "%d-%u", (int)getpid(), how->serial);
	if (sandbox_choose_user(how->serial, &vm->user, err) < 0 || make_jail(vm, how, err) < 0 ||
	    listen_for_guest(vm, err) < 0 || start_jailer(vm, how->serial, err) < 0)
		return -1;
	vm->until_ms = clock_ms() + vm->runtime->vm.boot_ms;
	struct sockaddr_un socket = address_of(vm->root, "api.socket");
	if (firecracker_api_open(socket.sun_path, API_MS, &vm->api, err) < 0 || check_version(vm, err) < 0 ||
	    configure_logs(vm, err) < 0)
		return err_wrap(err, VM_WHAT);
	if ((how->is_resumed ? resume(vm, err) : boot(vm, err)) < 0)
		return -1;
	return connect_both(vm, err);
}

static int firecracker_start(struct runtime *r, const struct vm_start *how, struct place *p, struct err *err)
{
	__attribute__((cleanup(vm_release))) struct firecracker_vm vm = {.runtime = r, .place = p, .root = -1, .ready = -1};
	return start(&vm, how, err);
}

const struct vm_monitor vm_firecracker = {.name = "firecracker",
					  .overhead = OVERHEAD,
					  .check = firecracker_check,
					  .start = firecracker_start,
					  .save = firecracker_save};

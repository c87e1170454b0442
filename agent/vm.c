#include "agent/vm.h"

#include "base/err.h"
#include "base/mem.h"
#include "proto/guest.h"
#include "proto/vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEVICE_MS = 5000, BEGIN_MS = 60000, AGENT_UID = 2000000000, MOST_TEXT = 4096, PIECE = 64 * 1024 };

struct vm {
	int channel;  // the port, or the worker's connection by vsock
	int listener; // with vsock
	bool has_vsock;
	int agent; // our end of the socket pair, and the agent's
	int theirs;
	int program; // this program's file
	int filter;
	char jobs[16];
};

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
	return 0;
}

static ssize_t read_text(const char *path, char text[MOST_TEXT])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, MOST_TEXT - 1);
	text[n < 0 ? 0 : n] = '\0';
	return n;
}

static int read_command_line(struct vm *vm, struct err *err)
{
	char text[MOST_TEXT], *save = NULL;
	if (read_text("/proc/cmdline", text) < 0)
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
	if (read_text("/" VM_MODULES "/" VM_MODULE_ORDER, order) < 0)
		return errno == ENOENT ? 0 : err_errno(err, "read the order of modules");
	for (char *name = strtok_r(order, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
		snprintf(path, sizeof path, "/" VM_MODULES "/%s", name);
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			return err_errno(err, "load the module '%s'", name);
	}
	return 0;
}

// The port of that name, as its number depends on the other devices.
static bool find_channel(char device[64])
{
	DIR *d = opendir("/sys/class/virtio-ports");
	bool found = false;
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		char path[512], name[MOST_TEXT];
		snprintf(path, sizeof path, "/sys/class/virtio-ports/%.200s/name", e->d_name);
		found = read_text(path, name) > 0 && strncmp(name, VM_CHANNEL "\n", strlen(VM_CHANNEL) + 1) == 0;
		if (found)
			snprintf(device, 64, "/dev/%.40s", e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static int listen_vsock(struct vm *vm, struct err *err)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_port = VM_PORT, .svm_cid = VMADDR_CID_ANY};
	vm->listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (vm->listener < 0 || bind(vm->listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(vm->listener, 1) < 0)
		return err_errno(err, "listen on the vsock port");
	return 0;
}

static int open_channel(struct vm *vm, struct err *err)
{
	char device[64];
	if (vm->has_vsock)
		return listen_vsock(vm, err);
	for (int waited = 0; !find_channel(device) || (vm->channel = open(device, O_RDWR | O_CLOEXEC)) < 0; waited++) {
		if (waited == DEVICE_MS)
			return err_set(err, ERR_NOT_FOUND, "there is no port '" VM_CHANNEL "'");
		usleep(1000);
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
	int pair[2];
	vm->program = open("/" VM_INIT, O_PATH | O_CLOEXEC);
	vm->filter = open("/" VM_FILTER, O_RDONLY | O_CLOEXEC);
	if (vm->program < 0 || vm->filter < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "open the agent and its filter");
	vm->agent = pair[0];
	vm->theirs = pair[1];
	return 0;
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

// ---- the agent ------------------------------------------------------------------------------------------------------------

static int write_self(int proc, const char *file, const char *text)
{
	AUTO_CLOSE int fd = openat(proc, file, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -1 : 0;
}

// As the last step of a sandbox (worker/runtime/sandbox.c): an unused user, who is root in namespaces of its own and nothing
// outside of them.
static const char *become_agent(const struct vm *vm, int proc)
{
	char map[32];
	snprintf(map, sizeof map, "0 %d 1", AGENT_UID);
	if (syscall(SYS_setgroups, 0, NULL) < 0 || setresgid(AGENT_UID, AGENT_UID, AGENT_UID) < 0 ||
	    setresuid(AGENT_UID, AGENT_UID, AGENT_UID) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		return "become the agent's user";
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return "make the agent's namespaces";
	if (write_self(proc, "self/setgroups", "deny") < 0 || write_self(proc, "self/uid_map", map) < 0 ||
	    write_self(proc, "self/gid_map", map) < 0)
		return "map the agent's user";
	return dup2(vm->theirs, 3) < 0 || dup2(vm->filter, 4) < 0 ? "hand on the agent's descriptors" : NULL;
}

static _Noreturn void run_agent(const struct vm *vm, int proc, int failed)
{
	const char *const arguments[] = {"coffer-agent", "--runtime", "sandbox", "--socket", "3", "--filter", "4",
					 "--cgroups",    "none",      "--jobs",  vm->jobs,   NULL};
	const char *const environment[] = {"PATH=" GUEST_PATH, NULL};
	struct err err = ERR_INIT;
	// Out of the way of descriptors 3 and 4.
	int program = fcntl(vm->program, F_DUPFD_CLOEXEC, 10), tell = fcntl(failed, F_DUPFD_CLOEXEC, 10);
	const char *what = become_agent(vm, proc);
	// The first process of the new PID namespace is a child.
	pid_t pid = what ? -1 : fork();
	if (pid == 0)
		syscall(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
	if (pid <= 0) {
		err_errno(&err, "%s", what ? what : pid < 0 ? "fork" : "start the agent");
		(void)!write(tell, err.text, strlen(err.text));
		_exit(127);
	}
	close(3);
	close(tell);
	close(failed);
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 124);
}

// Returns when it runs.
static int start_agent(struct vm *vm, int proc, struct err *err)
{
	int failed[2];
	char why[400];
	if (pipe2(failed, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	pid_t pid = fork();
	if (pid == 0)
		run_agent(vm, proc, failed[1]);
	close(failed[1]);
	close(vm->theirs);
	ssize_t n = pid < 0 ? -1 : read(failed[0], why, sizeof why - 1);
	close(failed[0]);
	if (n < 0)
		return err_errno(err, "start the agent");
	why[n] = '\0';
	return n ? err_set(err, ERR_IO, "%s", why) : 0;
}

// ---- the channel ----------------------------------------------------------------------------------------------------------

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
			struct pollfd wait = {.fd = fd, .events = POLLOUT};
			poll(&wait, 1, 1000);
			continue;
		}
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

// Firecracker ends when its guest asks for a restart; it knows no power switch.
static void power_off(const struct vm *vm)
{
	sync();
	reboot(vm->has_vsock ? RB_AUTOBOOT : RB_POWER_OFF);
}

// From the agent to the worker. Ends when the agent's end is closed.
static void *carry_out(void *arg)
{
	struct vm *vm = arg;
	char *bytes = mem_alloc(PIECE);
	for (ssize_t n; (n = read(vm->agent, bytes, PIECE)) > 0;)
		if (!write_all(vm->channel, bytes, (size_t)n))
			break;
	free(bytes);
	power_off(vm);
	return NULL;
}

// From the worker to the agent. A port gives 0 bytes while nobody is at its other end: before the first byte we wait, and after it
// the session is over.
static void carry_in(struct vm *vm)
{
	char *bytes = mem_alloc(PIECE);
	bool has_begun = false;
	for (int waited = 0; waited < BEGIN_MS;) {
		ssize_t n = read(vm->channel, bytes, PIECE);
		if (n > 0) {
			has_begun = true;
			if (!write_all(vm->agent, bytes, (size_t)n))
				break;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			break;
		} else if (n == 0 && has_begun) {
			break;
		} else {
			waited += !has_begun;
			usleep(1000);
		}
	}
	free(bytes);
}

// ---- the story ------------------------------------------------------------------------------------------------------------

// By the port, or by a call to the host. False: nobody hears us.
static bool tell_worker(const struct vm *vm, const char *head, const char *text)
{
	struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_port = VM_READY_PORT, .svm_cid = VMADDR_CID_HOST};
	AUTO_CLOSE int call = vm->has_vsock ? socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	if (vm->has_vsock && (call < 0 || connect(call, (struct sockaddr *)&host, sizeof host) < 0))
		return false;
	int to = vm->has_vsock ? call : vm->channel;
	return to >= 0 && write_all(to, head, strlen(head)) && write_all(to, text, strlen(text));
}

static int accept_worker(struct vm *vm)
{
	struct pollfd wait = {.fd = vm->listener, .events = POLLIN};
	if (vm->has_vsock && poll(&wait, 1, BEGIN_MS) == 1)
		vm->channel = accept4(vm->listener, NULL, NULL, SOCK_CLOEXEC);
	return vm->channel < 0 ? -1 : 0;
}

static void serve(struct vm *vm)
{
	pthread_t out;
	if (tell_worker(vm, VM_READY, "") && accept_worker(vm) == 0 && pthread_create(&out, NULL, carry_out, vm) == 0)
		carry_in(vm);
}

void vm_run(void)
{
	static int (*const steps[])(struct vm *, struct err *) = {
		mount_kernel_files, read_command_line, load_modules, open_channel, mount_image, open_own_files, make_root,
	};
	struct vm vm = {.channel = -1, .listener = -1, .agent = -1, .theirs = -1, .program = -1, .filter = -1};
	struct err err = ERR_INIT;
	int rc = 0;
	umask(0);
	for (size_t i = 0; rc == 0 && i < COUNT_OF(steps); i++)
		rc = steps[i](&vm, &err);
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rc == 0)
		rc = change_root(&vm, &err);
	if (rc == 0)
		rc = start_agent(&vm, proc, &err);
	if (rc == 0) {
		serve(&vm);
	} else {
		fprintf(stderr, "coffer-agent: cannot set up the VM: %s\n", err.text);
		char why[sizeof err.text + 1];
		snprintf(why, sizeof why, "%s\n", err.text);
		tell_worker(&vm, VM_FAILED, why);
		usleep(100000); // the port is emptied by the other side
	}
	power_off(&vm);
}

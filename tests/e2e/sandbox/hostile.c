// A job that means harm. Each subcommand tries one kind of it, prints "bad: …" for what should not have worked, and "done".
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void refused(const char *what, long result)
{
	if (result >= 0)
		printf("bad: %s works\n", what);
	else if (errno != EPERM && errno != ENOSYS && errno != EACCES && errno != EROFS && errno != ENOENT &&
		 errno != EINVAL && errno != ESRCH && errno != ECHILD && errno != ENOTTY && errno != ENXIO &&
		 errno != EXDEV && errno != ETXTBSY)
		printf("odd: %s: %s\n", what, strerror(errno));
}

// ---- using up -------------------------------------------------------------------------------------------------------

// As many children as there can be, all asleep.
static int many(void)
{
	int n = 0;
	for (;; n++) {
		pid_t pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		if (pid < 0)
			break;
	}
	printf("forked %d\n", n);
	fflush(stdout);
	return pause();
}

static int bomb(void)
{
	while (fork() >= 0 || sched_yield() == 0)
		;
	return 1;
}

// Fills the job's folder and another place.
static int fill(const char *there)
{
	static char block[1 << 20];
	int fd = open("big", O_WRONLY | O_CREAT, 0644), other = open(there, O_WRONLY | O_CREAT, 0644);
	size_t n = 0;
	memset(block, 'x', sizeof block);
	signal(SIGXFSZ, SIG_IGN);
	while (write(fd, block, sizeof block) > 0 || write(other, block, sizeof block) > 0)
		n++;
	printf("wrote %zu MB: %s\n", n, strerror(errno));
	return 1;
}

static int files(int n)
{
	char name[32];
	int made = 0;
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "small-%d", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0644);
		if (fd < 0)
			break;
		made += write(fd, "x", 1) == 1;
		close(fd);
	}
	printf("made %d\n", made);
	return 0;
}

static int chatter(int fd)
{
	static char block[1 << 16];
	memset(block, 'x', sizeof block);
	for (;;)
		if (write(fd, block, sizeof block) < 0)
			return 1;
}

static int memory(size_t most_mb)
{
	size_t n = 0;
	for (; n < most_mb; n++) {
		char *p = malloc(1 << 20);
		if (!p)
			break;
		memset(p, 1, 1 << 20);
	}
	printf("took %zu MB\n", n);
	if (n < most_mb) {
		fprintf(stderr, "out of memory\n");
		return 1;
	}
	return 0;
}

// Together more than one alone may have.
static int memory_of_many(int n, size_t each_mb)
{
	int killed = 0, status;
	for (int i = 0; i < n; i++)
		if (fork() == 0) {
			fclose(stdout);
			memory(each_mb);
			sleep(1);
			_exit(0);
		}
	while (wait(&status) > 0)
		killed += WIFSIGNALED(status);
	printf("killed %d\n", killed);
	return killed ? 1 : 0;
}

static int burn(void)
{
	for (volatile unsigned n = 1; n; n |= 1)
		;
	return 1;
}

// ---- reaching out ---------------------------------------------------------------------------------------------------

static int sockets(void)
{
	int pair[2];
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG};
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
		refused("socket", socket(families[i], SOCK_STREAM, 0));
		refused("socket", socket(families[i], SOCK_DGRAM, 0));
		refused("socket", socket(families[i], SOCK_RAW, 0));
	}
	refused("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	return 0;
}

static int reading(void)
{
	static const char *const names[] = {"/etc/shadow",
					    "/etc/passwd",
					    "/etc/hostname",
					    "/root",
					    "/home",
					    "/proc",
					    "/proc/1/environ",
					    "/proc/self/maps",
					    "/proc/self/exe",
					    "/proc/1/root/etc",
					    "/sys",
					    "/var",
					    "/run",
					    "/dev/mem",
					    "/dev/kmsg",
					    "/dev/tty",
					    "/dev/pts",
					    "/dev/shm",
					    "/dev/vda",
					    "/dev/sda",
					    "/boot",
					    "/oldroot",
					    "/../etc/shadow",
					    "/tmp/../../etc/shadow"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		refused(names[i], open(names[i], O_RDONLY));
	return 0;
}

static int writing(void)
{
	static const char *const names[] = {"/x",           "/usr/x", "/usr/bin/x",       "/usr/lib/x",
					    "/usr/bin/gcc", "/etc/x", "/etc/ld.so.cache", "/dev/x",
					    "/bin/x",       "/lib/x", "/opt/test/x",      "/opt/test/hostile"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		refused(names[i], open(names[i], O_WRONLY | O_CREAT, 0644));
		refused(names[i], unlink(names[i]));
		refused(names[i], chmod(names[i], 0777));
		refused(names[i], rename(names[i], "/tmp/moved"));
	}
	refused("mknod", mknod("/tmp/disk", S_IFBLK | 0666, 0xfe00));
	refused("mknod", mknod("/tmp/mem", S_IFCHR | 0666, 0x101));
	return 0;
}

static int tracing(void)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {(void *)tracing, 1};
	refused("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
	for (pid_t pid = 1; pid < 40; pid++) {
		if (pid == getpid())
			continue;
		refused("ptrace", ptrace(PTRACE_ATTACH, pid, 0, 0));
		refused("ptrace", ptrace(PTRACE_SEIZE, pid, 0, 0));
		refused("process_vm_readv", process_vm_readv(pid, &here, 1, &there, 1, 0));
		refused("process_vm_writev", process_vm_writev(pid, &here, 1, &there, 1, 0));
		refused("pidfd_open", syscall(SYS_pidfd_open, pid, 0));
	}
	return 0;
}

// Where there is a machine below the job that is its own: its devices, its channel to the host, its other processes.
static int machine(void)
{
	static const char *const names[] = {
		"/dev/vda",   "/dev/vport0p1",  "/dev/vport0p2", "/dev/vport1p1", "/dev/vsock", "/dev/hvc0",
		"/dev/ttyS0", "/dev/console",   "/dev/mem",      "/dev/port",     "/dev/kmsg",  "/dev/kvm",
		"/dev/hwrng", "/sys/class/net", "/proc/kcore",   "/proc/1/mem",   "/proc/1/fd", "/proc/sysrq-trigger",
		"/proc/kmsg", "/proc/net/dev",  "/init",         "/image"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		refused(names[i], open(names[i], O_RDONLY));
		refused(names[i], open(names[i], O_WRONLY));
	}
	for (unsigned major = 1; major < 256; major++)
		refused("mknod", mknod("/tmp/device", S_IFCHR | 0666, major << 8 | 1));
	refused("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
	refused("init_module", syscall(SYS_init_module, "", 0, ""));
	refused("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	refused("syslog", syscall(SYS_syslog, 3, NULL, 0));
	refused("swapon", syscall(SYS_swapon, "/tmp/device", 0));
	refused("iopl", syscall(SYS_iopl, 3));
	refused("settimeofday", syscall(SYS_settimeofday, NULL, NULL));
	refused("kill", kill(-1, 0));
	return 0;
}

struct clone3_args {
	unsigned long long flags, words[10];
};

static int mounting(void)
{
	static const unsigned long spaces[] = {CLONE_NEWNS,  CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET,
					       CLONE_NEWIPC, CLONE_NEWUTS,  CLONE_NEWCGROUP, 0x80 /* time */};
	refused("mount", mount("tmpfs", "/tmp", "tmpfs", 0, ""));
	refused("mount", mount("/usr", "/tmp", NULL, MS_BIND, NULL));
	refused("mount", mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
	refused("mount", mount("proc", "/tmp", "proc", 0, ""));
	refused("umount", umount2("/tmp", MNT_DETACH));
	refused("umount", umount2("/usr", MNT_DETACH));
	refused("pivot_root", syscall(SYS_pivot_root, ".", "."));
	refused("chroot", chroot("/tmp"));
	refused("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	refused("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/usr", 1));
	refused("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/usr", AT_FDCWD, "/tmp", 0));
	refused("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/usr", 0, NULL, 0));
	refused("setns", setns(0, 0));
	for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
		struct clone3_args args = {.flags = spaces[i], .words = {[3] = SIGCHLD}};
		refused("unshare", unshare((int)spaces[i]));
		long pid = spaces[i] == 0x80 ? -1 : syscall(SYS_clone, spaces[i] | SIGCHLD, 0, 0, 0, 0);
		if (pid == 0)
			_exit(0);
		refused("clone", pid);
		pid = syscall(SYS_clone3, &args, sizeof args);
		if (pid == 0)
			_exit(0);
		refused("clone3", pid);
	}
	return 0;
}

static int signalling(void)
{
	// What can be seen is PID 1, which the kernel shields, and this.
	int seen = 0;
	for (pid_t pid = 1; pid < 33000; pid++)
		if (pid != getpid() && kill(pid, 0) == 0)
			seen++;
	if (seen != 1)
		printf("bad: %d other processes can be seen\n", seen);
	for (int sig = 1; sig < 65; sig++)
		kill(1, sig);
	signal(SIGTERM, SIG_IGN);
	kill(-1, SIGTERM);
	tgkill(1, 1, SIGKILL);
	usleep(50000);
	return 0;
}

static int calls(void)
{
	char text[16] = "x";
	refused("keyctl", syscall(SYS_keyctl, 0, -3, 1, 0, 0));
	refused("add_key", syscall(SYS_add_key, "user", "x", text, 1, -3));
	refused("request_key", syscall(SYS_request_key, "user", "x", NULL, -3));
	refused("bpf", syscall(SYS_bpf, 0, text, sizeof text));
	refused("userfaultfd", syscall(SYS_userfaultfd, 1));
	refused("perf_event_open", syscall(SYS_perf_event_open, text, 0, -1, -1, 0));
	refused("io_uring_setup", syscall(SYS_io_uring_setup, 1, text));
	refused("memfd_create", syscall(SYS_memfd_create, "x", 0));
	refused("shmget", syscall(SYS_shmget, 1, 4096, 01666));
	refused("msgget", syscall(SYS_msgget, 1, 01666));
	refused("semget", syscall(SYS_semget, 1, 1, 01666));
	refused("mq_open", syscall(SYS_mq_open, "x", O_RDWR | O_CREAT, 0666, NULL));
	refused("setuid", setuid(0));
	refused("setgid", setgid(0));
	refused("setresuid", setresuid(0, 0, 0));
	refused("setgroups", syscall(SYS_setgroups, 0, NULL));
	refused("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, text, O_RDONLY));
	refused("name_to_handle_at", syscall(SYS_name_to_handle_at, AT_FDCWD, "/", text, text, 0));
	refused("init_module", syscall(SYS_init_module, text, 1, ""));
	refused("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	refused("personality", syscall(SYS_personality, 0x0040000));
	refused("sethostname", sethostname("x", 1));
	refused("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
	refused("quotactl", syscall(SYS_quotactl, 0, "/", 0, text));
	refused("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
	refused("inotify_init", syscall(SYS_inotify_init1, 0));
	refused("TIOCSTI", ioctl(0, 0x5412, text));
	refused("TIOCSTI", ioctl(1, 0x5412, text));
	return 0;
}

// A call of another architecture would slip through a filter that looks at numbers only.
static int foreign(void)
{
#ifdef __x86_64__
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */));
	printf("bad: a 32 bit call answers %ld\n", result);
#else
	raise(SIGSYS);
#endif
	return 0;
}

static int rights(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[2] = {{0}, {0}};
	struct rlimit l;
	syscall(SYS_capget, &head, caps);
	if (caps[0].effective | caps[1].effective | caps[0].permitted | caps[1].permitted | caps[0].inheritable)
		printf("bad: there are capabilities\n");
	for (int i = 0; i < 41; i++)
		if (prctl(PR_CAPBSET_READ, i) == 1)
			printf("bad: capability %d could be had\n", i);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		printf("bad: new privileges could be had\n");
	if (geteuid() == 0 || getuid() == 0)
		printf("bad: this is root\n");
	if (getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_max != 0)
		printf("bad: cores could be dumped\n");
	l = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	refused("setrlimit", setrlimit(RLIMIT_NPROC, &l));
	refused("setrlimit", setrlimit(RLIMIT_AS, &l));
	if (access("/usr/bin/su", X_OK) == 0) {
		pid_t pid = fork();
		if (pid == 0) {
			execl("/usr/bin/su", "su", "-c", "true", (char *)NULL);
			_exit(1);
		}
		int status;
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			printf("bad: su works\n");
	}
	return 0;
}

static int descriptors(void)
{
	struct stat st[3];
	for (int fd = 3; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("bad: descriptor %d is open\n", fd);
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st[fd]) < 0)
			printf("bad: descriptor %d is closed\n", fd);
	if (!S_ISCHR(st[0].st_mode) || !S_ISFIFO(st[1].st_mode) || !S_ISFIFO(st[2].st_mode))
		printf("bad: the three descriptors are no /dev/null and two pipes\n");
	if ((fcntl(0, F_GETFL) & O_ACCMODE) != O_RDONLY || (fcntl(1, F_GETFL) & O_ACCMODE) != O_WRONLY)
		printf("bad: the descriptors can do more than they should\n");
	refused("openat beyond the root", openat(AT_FDCWD, "/../../../../../root", O_RDONLY));
	return 0;
}

// Runs what it has written itself.
static int running(void)
{
	char block[65536];
	ssize_t n;
	int in = open("/opt/test/hostile", O_RDONLY), out = open("/tmp/job/copy", O_WRONLY | O_CREAT, 0755);
	while ((n = read(in, block, sizeof block)) > 0)
		if (write(out, block, (size_t)n) != n)
			return 1;
	close(out);
	execl("/tmp/job/copy", "copy", "nothing", (char *)NULL);
	refused("exec of a new file", -1);
	return 0;
}

// ---- staying --------------------------------------------------------------------------------------------------------

static int leave(void)
{
	static const char *const names[] = {"/tmp/left", "/tmp/job/left", "/tmp/.left", "left"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		close(open(names[i], O_WRONLY | O_CREAT, 0666));
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			signal(SIGTERM, SIG_IGN);
			signal(SIGHUP, SIG_IGN);
			for (;;)
				pause(); // with stdout and stderr open
		}
		_exit(0);
	}
	wait(NULL);
	return 0;
}

static int look(void)
{
	static const char *const directories[] = {"/tmp", "/tmp/job"};
	for (size_t i = 0; i < 2; i++) {
		DIR *d = opendir(directories[i]);
		for (const struct dirent *e; d && (e = readdir(d));)
			if (e->d_name[0] != '.' && strcmp(e->d_name, "job") != 0 && strcmp(e->d_name, "source.i") != 0)
				printf("bad: %s/%s is there\n", directories[i], e->d_name);
		if (d)
			closedir(d);
	}
	for (pid_t pid = 2; pid < 1000; pid++)
		if (pid != getpid() && kill(pid, 0) == 0)
			printf("bad: process %d is there\n", (int)pid);
	return 0;
}

// Ends its stdout and stderr long before itself.
static int silent(void)
{
	fclose(stdout);
	fclose(stderr);
	close(1);
	close(2);
	usleep(300000);
	int fd = open("x.o", O_WRONLY | O_CREAT, 0644);
	(void)!write(fd, "late", 4);
	return 3;
}

// ---- outputs --------------------------------------------------------------------------------------------------------

static int output(const char *kind)
{
	if (strcmp(kind, "link") == 0)
		return symlink("/etc/ld.so.cache", "x.o");
	if (strcmp(kind, "inner-link") == 0)
		return symlink("source.i", "x.o");
	if (strcmp(kind, "fifo") == 0)
		return mkfifo("x.o", 0666);
	if (strcmp(kind, "folder") == 0)
		return mkdir("x.o", 0777);
	if (strcmp(kind, "folder-link") == 0)
		return rmdir("sub") < 0 || symlink("/usr/bin", "sub");
	if (strcmp(kind, "work-link") == 0)
		return rename("/tmp/job", "/tmp/other") < 0 || symlink("/usr/bin", "/tmp/job");
	if (strcmp(kind, "sparse") == 0) {
		int fd = open("x.o", O_WRONLY | O_CREAT, 0644);
		signal(SIGXFSZ, SIG_IGN);
		for (int i = 40; i > 12; i--)
			if (ftruncate(fd, 1L << i) == 0)
				break;
		return 0;
	}
	if (strcmp(kind, "unreadable") == 0) {
		close(open("x.o", O_WRONLY | O_CREAT, 0644));
		return chmod("x.o", 0);
	}
	return 2;
}

static int try(int argc, char **argv)
{
	const char *what = argv[1];
	const struct {
		const char *name;
		int (*run)(void);
	} all[] = {{"many", many},
		   {"bomb", bomb},
		   {"burn", burn},
		   {"sockets", sockets},
		   {"reading", reading},
		   {"writing", writing},
		   {"tracing", tracing},
		   {"machine", machine},
		   {"mounting", mounting},
		   {"calls", calls},
		   {"foreign", foreign},
		   {"rights", rights},
		   {"running", running},
		   {"leave", leave},
		   {"look", look},
		   {"silent", silent},
		   {"descriptors", descriptors},
		   {"signalling", signalling}};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (strcmp(all[i].name, what) == 0)
			return all[i].run();
	if (strcmp(what, "sleep") == 0) {
		sleep(argc > 2 ? (unsigned)atoi(argv[2]) : 100000);
		return 0;
	}
	if (strcmp(what, "fill") == 0)
		return fill(argc > 2 ? argv[2] : "/tmp/big");
	if (strcmp(what, "chatter") == 0)
		return chatter(atoi(argv[2]));
	if (strcmp(what, "files") == 0)
		return files(atoi(argv[2]));
	if (strcmp(what, "memory") == 0)
		return memory((size_t)atoi(argv[2]));
	if (strcmp(what, "memory-of-many") == 0)
		return memory_of_many(atoi(argv[2]), (size_t)atoi(argv[3]));
	if (strcmp(what, "output") == 0)
		return output(argv[2]);
	if (strcmp(what, "nothing") == 0) {
		printf("bad: a new file runs\n");
		return 0;
	}
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	int status = try(argc, argv);
	printf("done\n");
	return status;
}

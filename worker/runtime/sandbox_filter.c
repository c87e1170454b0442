#include "worker/runtime/sandbox_filter.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

// Of the kernel's ABI; the C library's headers may not know all of them.
enum {
	NEW_NAMESPACES =
		CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
};

// What compilers, assemblers and linkers need, and the first process of a job. What a kernel or an architecture does not
// have is skipped. Everything else answers ENOSYS, so that a C library falls back to an older call, as from clone3 to clone.
// clang-format off
static const char *const allowed[] = {
	// files
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "open",
	"openat", "openat2", "creat", "close", "close_range", "stat", "fstat", "lstat", "newfstatat", "fstatat64", "statx",
	"statfs", "fstatfs", "access", "faccessat", "faccessat2", "lseek", "_llseek", "truncate", "ftruncate", "fallocate",
	"fadvise64", "readahead", "fsync", "fdatasync", "sync_file_range", "sendfile", "copy_file_range", "getdents",
	"getdents64", "getcwd", "chdir", "fchdir", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "mknod",
	"mknodat", "rmdir", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "readlink", "readlinkat",
	"chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "umask", "utime", "utimes",
	"utimensat", "futimesat", "flock", "fcntl", "pipe", "pipe2", "dup", "dup2", "dup3", "poll", "ppoll", "select",
	"pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd", "eventfd2",
	"getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
	// memory
	"brk", "mmap", "mprotect", "munmap", "mremap", "madvise", "msync", "mincore", "membarrier",
	// processes, threads, signals
	"fork", "vfork", "execve", "exit", "exit_group", "wait4", "waitid", "kill", "tgkill", "tkill", "getpid", "gettid",
	"getppid", "getpgrp", "getpgid", "setpgid", "getsid", "setsid", "getuid", "geteuid", "getgid", "getegid",
	"getresuid", "getresgid", "getgroups", "capget", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigtimedwait", "rt_sigsuspend", "rt_sigpending", "sigaltstack", "pause", "alarm", "setitimer", "getitimer",
	"futex", "futex_waitv", "set_tid_address", "set_robust_list", "get_robust_list", "rseq", "arch_prctl",
	"restart_syscall", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
	"sched_get_priority_max", "sched_get_priority_min", "getpriority", "getrlimit", "setrlimit", "prlimit64",
	"getrusage", "times",
	// time and the rest
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom", "getcpu",
	"uname", "sysinfo",
};
// clang-format on

// Those get EPERM, which says more than ENOSYS where a program asks for something that jobs must not have.
// clang-format off
static const char *const refused[] = {
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
	"mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
	"mount_setattr", "unshare", "setns", "socket", "socketpair", "bind", "connect", "listen", "accept", "accept4",
	"sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "keyctl", "add_key", "request_key", "bpf",
	"userfaultfd", "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_create",
	"memfd_secret", "shmget", "shmat", "shmctl", "shmdt", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd",
	"msgrcv", "msgctl", "mq_open", "mq_unlink", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
	"setgroups", "setfsuid", "setfsgid", "capset", "personality", "seccomp", "name_to_handle_at", "open_by_handle_at",
	"fanotify_init", "inotify_init", "inotify_init1", "init_module", "finit_module", "delete_module", "kexec_load",
	"kexec_file_load", "reboot", "swapon", "swapoff", "syslog", "acct", "quotactl", "sethostname", "setdomainname",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "iopl", "ioperm", "modify_ldt", "vhangup", "nice",
	"setpriority", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "ioprio_set", "mbind",
	"migrate_pages", "move_pages", "set_mempolicy", "vmsplice", "splice", "tee", "lookup_dcookie", "mlock",
	"mlock2", "mlockall", "process_madvise", "process_mrelease",
	"landlock_create_ruleset",
};
// clang-format on

// As on a file system that keeps no attributes: cp -p and mv go on without them.
static const char *const unsupported[] = {"setxattr",    "lsetxattr",    "fsetxattr",    "setxattrat",
					  "removexattr", "lremovexattr", "fremovexattr", "removexattrat"};

// What is asked of a descriptor is mostly whether it is a terminal.
static const uint64_t allowed_ioctls[] = {0x5401 /* TCGETS */,  0x5413 /* TIOCGWINSZ */, 0x541b /* FIONREAD */,
					  0x5421 /* FIONBIO */, 0x5450 /* FIONCLEX */,   0x5451 /* FIOCLEX */};
static const uint64_t allowed_prctls[] = {PR_SET_NAME,         PR_GET_NAME,     PR_SET_PDEATHSIG,
					  PR_GET_PDEATHSIG,    PR_GET_DUMPABLE, PR_SET_NO_NEW_PRIVS,
					  PR_GET_NO_NEW_PRIVS, PR_CAPBSET_READ, 0x53564d41 /* PR_SET_VMA */};

static int add(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);
		// Negative: this architecture has no such call.
		int rc = call < 0 ? 0 : seccomp_rule_add(ctx, action, call, 0);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int add_values(scmp_filter_ctx ctx, int call, unsigned argument, const uint64_t *values, size_t n)
{
	// The kernel looks at 32 bits of both, whatever the others are.
	for (size_t i = 0; i < n; i++) {
		struct scmp_arg_cmp is = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, UINT32_MAX, values[i]);
		int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, 1, &is);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int add_rules(scmp_filter_ctx ctx)
{
	struct scmp_arg_cmp no_namespace = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, (uint64_t)(uint32_t)NEW_NAMESPACES, 0);
	int rc = add(ctx, SCMP_ACT_ALLOW, allowed, COUNT_OF(allowed));
	if (rc == 0)
		rc = add(ctx, SCMP_ACT_ERRNO(EPERM), refused, COUNT_OF(refused));
	if (rc == 0)
		rc = add(ctx, SCMP_ACT_ERRNO(EOPNOTSUPP), unsupported, COUNT_OF(unsupported));
	if (rc == 0)
		rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &no_namespace);
	if (rc == 0)
		rc = add_values(ctx, SCMP_SYS(ioctl), 1, allowed_ioctls, COUNT_OF(allowed_ioctls));
	if (rc == 0)
		rc = add_values(ctx, SCMP_SYS(prctl), 0, allowed_prctls, COUNT_OF(allowed_prctls));
	return rc;
}

static int compile(int *fd)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!ctx)
		return -ENOMEM;
	*fd = memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc = *fd < 0 ? -errno : 0;
	// Calls of another architecture (as int 0x80) kill. Sorted as a tree: for the kernel, taking in a long list costs
	// 0.3 ms for each job, a tree 0.08.
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc == 0)
		rc = add_rules(ctx);
	if (rc == 0)
		rc = seccomp_export_bpf(ctx, *fd);
	if (rc == 0 && fcntl(*fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		rc = -errno;
	seccomp_release(ctx);
	return rc;
}

int sandbox_filter(int *fd, struct err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int made = -1;
	pthread_mutex_lock(&lock);
	int rc = 0;
	if (made < 0) {
		int fresh = -1;
		rc = compile(&fresh);
		if (rc == 0)
			made = fresh;
		else
			mem_close_cleanup(&fresh);
	}
	*fd = made;
	pthread_mutex_unlock(&lock);
	if (rc == 0)
		return 0;
	errno = -rc;
	return err_errno(err, "cannot set up the sandbox: compiling the seccomp filter");
}

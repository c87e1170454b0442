#include "agent/vm_parts.h"

#include "base/mem.h"
#include "proto/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_self(int proc, const char *file, const char *text)
{
	AUTO_CLOSE int fd = openat(proc, file, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -1 : 0;
}

// As the last step of a sandbox (worker/runtime/sandbox.c): an unused user, who is root in namespaces of its own and nothing
// outside of them.
static const char *become_agent(const struct vm *vm)
{
	char map[32];
	snprintf(map, sizeof map, "0 %d 1", VM_AGENT_UID);
	if (syscall(SYS_setgroups, 0, NULL) < 0 || setresgid(VM_AGENT_UID, VM_AGENT_UID, VM_AGENT_UID) < 0 ||
	    setresuid(VM_AGENT_UID, VM_AGENT_UID, VM_AGENT_UID) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		return "become the agent's user";
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return "make the agent's namespaces";
	if (write_self(vm->proc, "self/setgroups", "deny") < 0 || write_self(vm->proc, "self/uid_map", map) < 0 ||
	    write_self(vm->proc, "self/gid_map", map) < 0)
		return "map the agent's user";
	return NULL;
}

// The keeper: it is in the agent's namespaces but that of processes, whose first process is its child.
static _Noreturn void keep_agent(const struct vm *vm, int theirs, int failed)
{
	const char *const arguments[] = {"coffer-agent", "--runtime", "sandbox",  "--socket", "3",      "--filter", "4",
					 "--cgroups",    "v2",        "--memory", "5",        "--pids", "5",        "--jobs",
					 vm->jobs,       NULL};
	const char *const environment[] = {"PATH=" GUEST_PATH, NULL};
	struct err err = ERR_INIT;
	// Out of the way of descriptors 3, 4 and 5.
	int program = fcntl(vm->program, F_DUPFD_CLOEXEC, 10), tell = fcntl(failed, F_DUPFD_CLOEXEC, 10);
	int worker = fcntl(theirs, F_DUPFD_CLOEXEC, 10), filter = fcntl(vm->filter, F_DUPFD_CLOEXEC, 10);
	int cgroups = fcntl(vm->job_cgroups, F_DUPFD_CLOEXEC, 10);
	const char *what = write(vm->agent_cgroup, "0", 1) != 1 ? "enter the agent's cgroup" : become_agent(vm);
	if (!what && (dup2(worker, 3) < 0 || dup2(filter, 4) < 0 || dup2(cgroups, 5) < 0))
		what = "hand on the agent's descriptors";
	pid_t pid = what ? -1 : fork();
	// Whoever kills the keeper kills the first process of that namespace, and so all of them.
	if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		syscall(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
	if (pid <= 0) {
		err_errno(&err, "%s", what ? what : pid < 0 ? "fork" : "start the agent");
		(void)!write(tell, err.text, strlen(err.text));
		_exit(127);
	}
	close(3);
	close(worker);
	close(theirs);
	close(tell);
	close(failed);
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 124);
}

int vm_start_agent(struct vm *vm, struct err *err)
{
	int failed[2], pair[2];
	char why[400];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a socket pair");
	AUTO_CLOSE int theirs = pair[1];
	vm->agent = pair[0];
	if (pipe2(failed, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	vm->keeper = fork();
	if (vm->keeper == 0)
		keep_agent(vm, theirs, failed[1]);
	close(failed[1]);
	ssize_t n = vm->keeper < 0 ? -1 : read(failed[0], why, sizeof why - 1);
	close(failed[0]);
	if (n < 0)
		return err_errno(err, "start the agent");
	why[n] = '\0';
	return n ? err_set(err, ERR_IO, "%s", why) : 0;
}

void vm_end_agent(struct vm *vm)
{
	if (vm->keeper > 0)
		kill(vm->keeper, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	mem_close_cleanup(&vm->agent);
}

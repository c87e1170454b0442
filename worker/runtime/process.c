// The runtime `process`: an agent as a plain child, with limits and nothing else. For tests, and machines where everything
// is trusted: jobs see the host's files, each other and the worker.
#include "worker/runtime/parts.h"
#include "worker/runtime/process_ops.h"

#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void place_join(const struct place *p, bool with_namespace, struct ops *ops)
{
	const struct cgroup *c = &p->cgroup;
	if (c->version == CGROUP_V1) {
		ops_add_write(ops, c->memory_dir, "tasks", "0");
		ops_add_write(ops, c->pids_dir, "tasks", "0");
	} else if (c->version == CGROUP_V2) {
		ops_add_write(ops, c->memory_dir, "cgroup.procs", "0");
	}
	// As seen from inside, that is the root. What is moved later must stay below it.
	if (with_namespace)
		ops_add(ops, OP_UNSHARE, NULL, NULL, CLONE_NEWCGROUP);
	if (c->version == CGROUP_V2) {
		ops_add_write(ops, c->memory_dir, CGROUP_AGENT "/cgroup.procs", "0");
		ops_add_write(ops, c->memory_dir, "cgroup.subtree_control", CGROUP_DIVIDE);
	}
}

int place_start(struct runtime *r, struct place *p, const struct ops *ops, uint64_t clone_flags, int filter, struct err *err)
{
	static const char *const versions[] = {[CGROUP_NONE] = "none", [CGROUP_V1] = "v1", [CGROUP_V2] = "v2"};
	bool is_sandbox = r->isolation == ISOLATION_SANDBOX;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "cannot make a socket pair");
	AUTO_CLOSE int theirs = pair[1];
	p->fd = pair[0];
	char jobs[16], layers[24];
	snprintf(jobs, sizeof jobs, "%u", r->jobs);
	// Descriptors 3, 4, 5 and 6, as start_process numbers them.
	const int fds[] = {theirs, filter, p->cgroup.memory_dir, p->cgroup.pids_dir};
	const char *arguments[24] = {"coffer-agent", "--runtime", is_sandbox ? "sandbox" : "process",
				     "--socket",     "3",         "--jobs",
				     jobs,           "--cgroups", versions[p->cgroup.version]};
	size_t n = 9;
	if (filter >= 0) {
		arguments[n++] = "--filter";
		arguments[n++] = "4";
	}
	if (is_sandbox && r->layer_bytes) {
		// Layers that go and new ones may be there at once.
		snprintf(layers, sizeof layers, "%llu", (unsigned long long)(2 * r->layer_bytes));
		arguments[n++] = "--layers";
		arguments[n++] = layers;
	}
	if (p->directory) {
		arguments[n++] = "--scratch";
		arguments[n++] = p->directory;
	}
	if (p->cgroup.version != CGROUP_NONE) {
		arguments[n++] = "--memory";
		arguments[n++] = "5";
		arguments[n++] = "--pids";
		arguments[n++] = p->cgroup.pids_dir == p->cgroup.memory_dir ? "5" : "6";
	}
	if (is_sandbox && r->landlock_if_available)
		arguments[n++] = "--landlock-if-available";
	struct start start = {.ops = ops,
			      .clone_flags = clone_flags,
			      .what = is_sandbox ? "the sandbox" : "the agent",
			      .program = r->agent,
			      .arguments = arguments,
			      .fds = fds,
			      .n_fds = COUNT_OF(fds)};
	return start_process(&start, &p->pid, err);
}

// What killed workers have left behind.
static int process_prepare(struct runtime *r, struct err *err)
{
	(void)err;
	DIR *d = opendir(r->directory);
	if (!d)
		return 0;
	for (const struct dirent *e; (e = readdir(d));) {
		int pid;
		if (sscanf(e->d_name, "process-%d-", &pid) == 1 && pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
			tree_remove(dirfd(d), e->d_name);
	}
	closedir(d);
	return 0;
}

static int process_open(struct runtime *r, const struct toolchain *toolchain, unsigned serial, struct place *p,
			struct err *err)
{
	AUTO_OPS struct ops ops = {.n = 0};
	char name[16];
	if (!toolchain_is_host(toolchain))
		return err_set(err, ERR_USAGE, "the runtime 'process' runs the host's compilers only, no images");
	p->directory = mem_printf("%s/process-%d-%u", r->directory, (int)getpid(), serial);
	if (mkdir(p->directory, 0700) < 0)
		return err_errno(err, "cannot make '%s'", p->directory);
	snprintf(name, sizeof name, "%u", serial);
	if (cgroup_open(&p->cgroup, &r->cgroups, name, r->session_memory_bytes, geteuid(), getegid(), err) < 0)
		return -1;
	place_join(p, false, &ops);
	return place_start(r, p, &ops, 0, -1, err);
}

const struct runtime_kind runtime_process = {.prepare = process_prepare, .open = process_open};

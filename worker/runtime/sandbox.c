// The runtime `sandbox`: for each session user, mount, pid, ipc, uts, net and cgroup namespaces with an agent as their first
// process, in a root that has the toolchain read-only and nothing else. What is done for each job on top of that is in
// agent/init.c.
//
// As root, the root is built first, with the right to read what only root may, and then everything is given up: the session
// is an unused user id of the host, which is root in a user namespace of its own. As an ordinary user, all happens in a user
// namespace from the start. In both, the last step makes new user and mount namespaces, so that the mounts are locked: even
// the agent can't undo them (mount_namespaces(7)).
#include "worker/runtime/sandbox.h"
#include "worker/runtime/sandbox_filter.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

// Ids that no distribution gives to people, services or containers (systemd's "UIDs and GIDs on systemd systems"), one for
// each session in turn.
enum { ID_FIRST = 2000000000, ID_COUNT = 65536 };

// Whether the map of our own user namespace (user_namespaces(7)) has that id.
static bool is_mapped(const char *file, unsigned long id)
{
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || file_read_fd(fd, 32 * 1024, &b, NULL) < 0 || !b.data)
		return false;
	char *save = NULL;
	for (char *line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long first, outside, n;
		if (sscanf(line, "%lu %lu %lu", &first, &outside, &n) == 3 && id >= first && id - first < n)
			return true;
	}
	return false;
}

static bool may_become_others(void)
{
	static const unsigned wanted[] = {CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID};
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[2] = {{0}, {0}};
	if (syscall(SYS_capget, &head, caps) < 0)
		return false;
	for (size_t i = 0; i < COUNT_OF(wanted); i++)
		if (!(caps[wanted[i] / 32].effective & (1U << (wanted[i] % 32))))
			return false;
	return true;
}

// Root in a container may have a few ids only; nobody's is nearly always among them.
int sandbox_choose_user(unsigned serial, struct sandbox_user *user, struct err *err)
{
	const uid_t ids[] = {ID_FIRST + serial % ID_COUNT, 65534};
	*user = (struct sandbox_user){false, geteuid(), getegid()};
	for (size_t i = 0; i < COUNT_OF(ids) && user->uid == 0; i++) {
		if (!is_mapped("/proc/self/uid_map", ids[i]) || !is_mapped("/proc/self/gid_map", ids[i]))
			continue;
		// As root itself, jobs could read what only root may, and the kernel would not count their processes.
		if (!may_become_others())
			return err_set(
				err, ERR_ACCESS,
				"cannot set up the sandbox: root without the capabilities SYS_ADMIN, SETUID and SETGID");
		*user = (struct sandbox_user){true, ids[i], ids[i]};
	}
	return 0;
}

// Root in the new namespace is `uid` outside of it.
static void add_maps(struct ops *ops, int proc, unsigned long uid, unsigned long gid)
{
	char text[64];
	ops_add_write(ops, proc, "self/setgroups", "deny");
	snprintf(text, sizeof text, "0 %lu 1", uid);
	ops_add_write(ops, proc, "self/uid_map", text);
	snprintf(text, sizeof text, "0 %lu 1", gid);
	ops_add_write(ops, proc, "self/gid_map", text);
}

static void add_toolchain(struct ops *ops, const struct toolchain *toolchain)
{
	const uint64_t plain = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	const uint64_t device = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	size_t n;
	const struct toolchain_entry *e = toolchain_entries(toolchain, &n);
	for (; n--; e++) {
		bool is_file = e->is_file || e->kind == TOOLCHAIN_DEVICE;
		if (e->kind == TOOLCHAIN_LINK) {
			ops_add(ops, OP_LINK, e->path, e->source, 0);
			continue;
		}
		ops_add(ops, is_file ? OP_FILE : OP_DIRECTORY, e->path, NULL, 0);
		if (e->kind != TOOLCHAIN_DIRECTORY)
			ops_add(ops, OP_BIND, e->path, e->source, e->kind == TOOLCHAIN_DEVICE ? device : plain);
	}
}

int sandbox_jail_begin(struct jail *j, struct runtime *r, const struct toolchain *toolchain, unsigned serial,
		       uint64_t memory, struct place *p, struct err *err)
{
	struct sandbox_user user;
	char name[16];
	*j = (struct jail){.proc = -1, .ops = {.n = 0}};
	if (sandbox_choose_user(serial, &user, err) < 0)
		return -1;
	j->user = user;
	j->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (j->proc < 0)
		return err_errno(err, "cannot set up the sandbox: /proc");
	snprintf(name, sizeof name, "%u", serial);
	if (cgroup_open(&p->cgroup, &r->cgroups, name, memory, user.uid, user.gid, err) < 0)
		return err_wrap(err, "cannot set up the sandbox");
	place_join(p, true, &j->ops);
	// When memory is short, jobs go before the worker does.
	ops_add_write(&j->ops, j->proc, "self/oom_score_adj", "500");
	if (!user.is_root)
		add_maps(&j->ops, j->proc, user.uid, user.gid);
	ops_add(&j->ops, OP_PRIVATE, NULL, NULL, 0);
	// A directory that is on every system, and not needed by its name any more.
	ops_add(&j->ops, OP_ROOT, "/proc", NULL, 0);
	add_toolchain(&j->ops, toolchain);
	return 0;
}

void sandbox_jail_end(struct jail *j)
{
	ops_add(&j->ops, OP_PIVOT, NULL, NULL, 0);
	ops_add(&j->ops, OP_READ_ONLY, NULL, NULL, 0);
	ops_add(&j->ops, OP_HOSTNAME, "coffer", NULL, 0);
	if (j->user.is_root)
		ops_add(&j->ops, OP_USER, NULL, NULL, j->user.uid);
	ops_add(&j->ops, OP_UNSHARE, NULL, NULL, CLONE_NEWUSER | CLONE_NEWNS);
	add_maps(&j->ops, j->proc, j->user.is_root ? j->user.uid : 0, j->user.is_root ? j->user.gid : 0);
	j->clone_flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
	if (!j->user.is_root)
		j->clone_flags |= CLONE_NEWUSER;
}

void sandbox_jail_release(struct jail *j)
{
	mem_close_cleanup(&j->proc);
	ops_release(&j->ops);
}

static int sandbox_open(struct runtime *r, const struct toolchain *toolchain, unsigned serial, struct place *p,
			struct err *err)
{
	__attribute__((cleanup(sandbox_jail_release))) struct jail jail = {.proc = -1};
	int filter;
	if (sandbox_jail_begin(&jail, r, toolchain, serial, r->session_memory_bytes, p, err) < 0 ||
	    sandbox_filter(&filter, err) < 0)
		return -1;
	sandbox_jail_end(&jail);
	return place_start(r, p, &jail.ops, jail.clone_flags, filter, err);
}

const struct runtime_kind runtime_sandbox = {.open = sandbox_open};

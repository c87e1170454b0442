// The jail of a session: an unprivileged user in namespaces of its own, in a read-only root that has a toolchain and what the
// caller adds. Agents of `sandbox` live in one, and so do the monitors of `microvm`. Thread: any.
#ifndef COFFER_WORKER_RUNTIME_SANDBOX_H
#define COFFER_WORKER_RUNTIME_SANDBOX_H

#include "worker/runtime/parts.h"
#include "worker/runtime/process_ops.h"

struct sandbox_user {
	bool is_root; // we may become another user
	uid_t uid;    // of the session, as the worker sees it
	gid_t gid;
};
// As root an id that nobody else has, another one for each session in turn; else ourselves.
int sandbox_choose_user(unsigned serial, struct sandbox_user *user, struct err *err);

struct jail {
	struct ops ops;
	uint64_t clone_flags; // filled in by sandbox_jail_end
	struct sandbox_user user;
	int proc;
};
// The operations up to the new root with its toolchain; the caller may add more to it. `memory`: of the session's cgroup, 0: no
// limit.
int sandbox_jail_begin(struct jail *j, struct runtime *r, const struct toolchain *toolchain, unsigned serial,
		       uint64_t memory, struct place *p, struct err *err);
// And those that give everything up.
void sandbox_jail_end(struct jail *j);
void sandbox_jail_release(struct jail *j);

#endif

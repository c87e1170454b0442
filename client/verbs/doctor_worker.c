// `coffer doctor worker`: what this machine can do as a worker of a farm, found out by doing it.
#include "client/verbs/doctor.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/self.h"
#include "base/tree.h"
#include "loop/loop.h"
#include "worker/runtime/kvm_probe.h"
#include "worker/runtime/runtime.h"
#include "worker/runtime/toolchain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void check_kvm(struct doctor *d)
{
	struct kvm_probe probe;
	struct err err = ERR_INIT;
	if (kvm_probe(&probe, &err) < 0)
		found_warning(d, "kvm",
			      "use a machine with hardware virtualisation, and let the worker's user open /dev/kvm",
			      "no microVM here: %s", err.text);
	else if (!probe.is_over)
		found_warning(d, "kvm", "use a machine whose processor runs guests itself",
			      "no microVM here: /dev/kvm opens, but a guest of a few bytes was not through after %d ms",
			      KVM_PROBE_MS);
	else if (!probe.is_usable)
		found_warning(d, "kvm", "use a machine whose processor runs guests itself",
			      "no microVM here: guests run, but at %" PRIu64
			      " million instructions a second: they are emulated",
			      probe.mips);
	else
		found_ok(d, "kvm", "KVM runs guests (%" PRIu64 " million instructions a second): label 'microvm'",
			 probe.mips);
}

static void check_monitors(struct doctor *d)
{
	static const char *const programs[][2] = {{"/usr/bin/firecracker", "/usr/bin/jailer"},
						  {"/usr/bin/qemu-system-x86_64", "/usr/bin/mkfs.erofs"}};
	bool is_there = false;
	for (size_t i = 0; i < COUNT_OF(programs); i++)
		if (access(programs[i][0], X_OK) == 0 && access(programs[i][1], X_OK) == 0) {
			found_ok(d, "monitor", "%s and %s are there", programs[i][0], programs[i][1]);
			is_there = true;
		}
	if (!is_there)
		found_warning(d, "monitor",
			      "install qemu-system-x86 and erofs-utils, or Firecracker with its jailer and erofs-utils",
			      "no program for microVMs is where it usually is");
	AUTO_CLOSE int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		found_ok(d, "vsock", "the host knows vsock (Firecracker does not need that)");
	else
		found_ok(d, "vsock", "the host knows no vsock: neither monitor needs it");
}

static void check_landlock(struct doctor *d)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version > 0)
		found_ok(d, "landlock", "landlock is there, version %ld", version);
	else
		found_problem(d, "landlock",
			      "use Linux 5.13 or later with landlock among 'lsm='; or set landlock = if_available",
			      "no landlock (%s): a worker does not start without being told to go without", strerror(errno));
}

// Reads only: a worker itself finds out by making one.
static void check_cgroups(struct doctor *d)
{
	AUTO_BUF struct buf controllers = BUF_INIT;
	bool has_v2 = file_read(AT_FDCWD, "/sys/fs/cgroup/cgroup.controllers", 4096, &controllers, NULL, NULL) == 0 &&
		      controllers.data && strstr(controllers.data, "memory") && strstr(controllers.data, "pids");
	bool has_v1 = access("/sys/fs/cgroup/memory", F_OK) == 0 && access("/sys/fs/cgroup/pids", F_OK) == 0;
	if (has_v2 || has_v1)
		found_ok(d, "cgroups", "cgroups version %d bound the memory of sessions%s", has_v2 ? 2 : 1,
			 geteuid() ? ", where systemd delegates them (Delegate=yes)" : "");
	else
		found_warning(d, "cgroups", "boot with cgroups that have memory and pids",
			      "no cgroups with memory and pids: only each job's own limits hold");
}

static const char *agent_file(struct doctor *d)
{
	const char *file = self_beside(&d->arena, "coffer-agent");
	return file ? file : "coffer-agent";
}

// A session, as a worker opens it.
static int try_runtime(struct doctor *d, enum isolation kind, const char *directory, int64_t *took_us, struct err *err)
{
	struct toolchain_config toolchain = {.images = NULL};
	struct loop *loop;
	struct runtime *runtime = NULL;
	struct runtime_session *session = NULL;
	if (loop_start(&loop, err) < 0)
		return -1;
	struct runtime_config config = {.loop = loop,
					.agent = agent_file(d),
					.directory = directory,
					.toolchain = &toolchain,
					.landlock_if_available = true};
	int64_t began = clock_ns();
	int rc = runtime_new(kind, &config, &runtime, err);
	if (rc == 0)
		rc = runtime_session_open(runtime, "doctor", "host:any", NULL, &session, err);
	*took_us = (clock_ns() - began) / 1000;
	runtime_session_close(session);
	runtime_free(runtime);
	loop_stop(loop);
	return rc;
}

static void check_runtimes(struct doctor *d)
{
	static const enum isolation kinds[] = {ISOLATION_SANDBOX, ISOLATION_PROCESS};
	static const char *const names[] = {"sandbox", "process"};
	const char *tmp = getenv("TMPDIR");
	char *directory = arena_printf(&d->arena, "%s/coffer-doctor-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
	if (!mkdtemp(directory)) {
		found_problem(d, "runtime", "make TMPDIR a folder that can be written", "cannot make a folder: %s",
			      strerror(errno));
		return;
	}
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct err err = ERR_INIT;
		int64_t took_us;
		if (try_runtime(d, kinds[i], directory, &took_us, &err) == 0)
			found_ok(d, names[i], "a session of the runtime '%s' opens in %.1f ms: label '%s'", names[i],
				 (double)took_us / 1000, names[i]);
		else
			found_problem(d, names[i], "what the text names; in a container: allow user namespaces and mounts",
				      "no session of the runtime '%s': %s", names[i], err.text);
	}
	tree_remove(AT_FDCWD, directory);
}

void doctor_check_worker(struct doctor *d)
{
	check_runtimes(d);
	check_landlock(d);
	check_cgroups(d);
	check_kvm(d);
	check_monitors(d);
}

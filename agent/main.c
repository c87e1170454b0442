// coffer-agent: see agent.h. Started by a worker with descriptors, never by hand.
#include "agent/agent.h"
#include "agent/exec.h"
#include "agent/init.h"
#include "agent/landlock.h"
#include "agent/layers.h"
#include "agent/slots.h"
#include "agent/spawner.h"
#include "agent/vm.h"
#include "base/mem.h"
#include "remote/rpc.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAX_FILTER = 64 * 1024,
	WATCH_MS = 500, // the worker may ask so often whether a guest is alive
};

static const struct option options[] = {
	{"runtime", required_argument, NULL, 'r'}, // process, sandbox
	{"socket", required_argument, NULL, 's'},  // descriptor: the worker
	{"scratch", required_argument, NULL, 'd'}, // process: the directory for scratch directories
	{"filter", required_argument, NULL, 'f'},  // sandbox: descriptor of seccomp's program
	{"cgroups", required_argument, NULL, 'c'}, // none, v1, v2
	{"memory", required_argument, NULL, 'm'},  // descriptor of the session's cgroup
	{"pids", required_argument, NULL, 'p'},    // the same for v1's second hierarchy
	{"jobs", required_argument, NULL, 'j'},    // at once
	{"layers", required_argument, NULL, 'y'},  // sandbox: bytes of the layers of inputs; 0: there are none
	{"landlock-if-available", no_argument, NULL, 'l'},
	{NULL, 0, NULL, 0},
};

// By position from the start: the worker's other agents read the same descriptor's file.
static int read_filter(int fd, struct sock_fprog *filter, struct err *err)
{
	char *bytes = mem_alloc(MAX_FILTER);
	ssize_t n = pread(fd, bytes, MAX_FILTER, 0);
	close(fd);
	if (n <= 0 || n == MAX_FILTER || (size_t)n % sizeof(struct sock_filter) != 0) {
		free(bytes);
		return err_set(err, ERR_FORMAT, "the seccomp filter is no program");
	}
	filter->len = (unsigned short)((size_t)n / sizeof(struct sock_filter));
	filter->filter = (struct sock_filter *)(void *)bytes;
	return 0;
}

static int number(const char *text, int most, int *n, struct err *err)
{
	char *end;
	long v = strtol(text, &end, 10);
	if (end == text || *end || v < 0 || v > most)
		return err_set(err, ERR_USAGE, "'%s' is no number from 0 to %d", text, most);
	*n = (int)v;
	return 0;
}

static int take_option(struct agent *a, int option, const char *value, struct err *err)
{
	static const char *const cgroups[] = {"none", "v1", "v2"};
	int n = 0;
	switch (option) {
	case 'r':
		a->is_sandbox = strcmp(value, "sandbox") == 0;
		return a->is_sandbox || strcmp(value, "process") == 0 ? 0 : err_set(err, ERR_USAGE, "runtime '%s'", value);
	case 's':
		return number(value, 1 << 20, &a->socket, err);
	case 'd':
		a->scratch = value;
		return 0;
	case 'f':
		return number(value, 1 << 20, &n, err) < 0 ? -1 : read_filter(n, &a->filter, err);
	case 'c':
		for (size_t i = 0; i < COUNT_OF(cgroups); i++)
			if (strcmp(value, cgroups[i]) == 0) {
				a->cgroups = (enum agent_cgroups)i;
				return 0;
			}
		return err_set(err, ERR_USAGE, "cgroups '%s'", value);
	case 'm':
		return number(value, 1 << 20, &a->memory_dir, err);
	case 'p':
		return number(value, 1 << 20, &a->pids_dir, err);
	case 'j':
		if (number(value, GUEST_MAX_JOBS, &n, err) < 0)
			return -1;
		a->jobs = (unsigned)n;
		return 0;
	case 'y':
		a->layer_bytes = strtoull(value, NULL, 10);
		return 0;
	case 'l':
		a->landlock_if_available = true;
		return 0;
	default:
		return err_set(err, ERR_USAGE, "an unknown option");
	}
}

static int take_options(struct agent *a, int argc, char **argv, struct err *err)
{
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		if (take_option(a, option, optarg, err) < 0)
			return -1;
	if (a->socket < 0 || a->jobs == 0)
		return err_set(err, ERR_USAGE, "--socket and --jobs are needed");
	if (a->is_sandbox ? !a->filter.len : !a->scratch)
		return err_set(err, ERR_USAGE, "%s is needed", a->is_sandbox ? "--filter" : "--scratch");
	return 0;
}

// Three descriptors for each job.
static void raise_files(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int serve(struct agent *a, struct err *err)
{
	static const struct rpc_method methods[] = {{.path = AGENT_EXEC_PATH, .serve = exec_serve}};
	struct rpc_server_config config = {
		.methods = methods,
		.n_methods = COUNT_OF(methods),
		.arg = a,
		.limits = {.streams = a->jobs,
			   .calls = a->jobs,
			   .connections = 1,
			   .connections_per_address = 1,
			   .ping_ms = WATCH_MS},
	};
	struct loop *loop;
	struct rpc_server *server;
	if (loop_start(&loop, err) < 0)
		return -1;
	if (rpc_server_new(loop, &config, &server, err) < 0)
		return -1;
	if (rpc_server_adopt(server, a->socket, err) < 0)
		return -1;
	// The worker has gone, or has closed the session: every call is cancelled, which kills the jobs.
	rpc_server_wait_gone(server, -1);
	rpc_server_free(server);
	loop_stop(loop);
	return 0;
}

static int start(struct agent *a, int argc, char **argv, struct err *err)
{
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	umask(022);
	raise_files();
	if (take_options(a, argc, argv, err) < 0)
		return -1;
	a->landlock_abi = a->is_sandbox ? landlock_abi() : 0;
	if (a->landlock_abi < 0 && a->landlock_if_available && (errno == ENOSYS || errno == EOPNOTSUPP))
		a->landlock_abi = 0; // the operator has said so, and the worker's label tells it
	if (a->landlock_abi < 0)
		return err_errno(err, "cannot set up the sandbox: landlock");
	if (a->is_sandbox)
		a->layers = layers_open(a->layer_bytes);
	a->slots = slots_new(a->jobs);
	if (!a->slots)
		return err_errno(err, "no memory for %u jobs", a->jobs);
	if (!a->is_sandbox)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	return spawner_start(a, err);
}

int main(int argc, char **argv)
{
	struct agent agent = {.socket = -1, .memory_dir = -1, .pids_dir = -1, .layers = -1};
	struct err err = ERR_INIT;
	// The kernel gives its first process the words of its command line that it does not know. (In a sandbox we are PID 1 too.)
	if (getpid() == 1 && (argc == 1 || strncmp(argv[1], "--", 2) != 0)) {
		vm_run();
		return 1;
	}
	int rc = start(&agent, argc, argv, &err);
	if (rc == 0)
		rc = serve(&agent, &err);
	if (rc < 0)
		fprintf(stderr, "coffer-agent: %s\n", err.text);
	if (agent.spawner)
		spawner_stop(agent.spawner);
	if (agent.spawner && !agent.is_sandbox)
		init_kill_tree();
	if (agent.slots)
		slots_free(agent.slots);
	free(agent.filter.filter);
	return rc < 0;
}

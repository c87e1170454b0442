#include "worker/runtime/runtime.h"

#include "auth/token.h"
#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "proto/coffer.pb-c.h"
#include "remote/rpc.h"
#include "worker/runtime/parts.h"
#include "worker/runtime/reply.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_JOBS = 1024, PIECE = 64 * 1024, GRACE_MS = 30000, VM_WATCH_MS = 20000 };
#define EXEC_PATH "/coffer.v1.Agent/Exec"

struct running {
	struct rpc_call *call;
	struct running *next, **link; // `link`: what points to it
};

// ---- runtimes -------------------------------------------------------------------------------------------------------

static int check(const struct runtime *r, const struct runtime_config *c, struct err *err)
{
	if (!r->kind)
		return err_set(err, ERR_USAGE, "there is no runtime '%s'", isolation_name((int)r->isolation));
	if (r->agent < 0)
		return err_errno(err, "cannot open the agent '%s'", c->agent);
	if (faccessat(r->agent, "", X_OK, AT_EMPTY_PATH) < 0)
		return err_errno(err, "cannot run the agent '%s'", c->agent);
	if (r->isolation == ISOLATION_PROCESS && (!c->directory || c->directory[0] != '/' || strlen(c->directory) > 180))
		return err_set(err, ERR_USAGE,
			       "the runtime 'process' needs the absolute name of a folder for scratch files");
	if (r->isolation == ISOLATION_PROCESS && access(c->directory, W_OK | X_OK) < 0)
		return err_errno(err, "cannot write to '%s'", c->directory);
	if (r->jobs > GUEST_MAX_JOBS)
		return err_set(err, ERR_USAGE, "at most %d jobs at once in one session", GUEST_MAX_JOBS);
	if (c->cgroups_required && r->cgroups.version == CGROUP_NONE)
		return err_set(err, ERR_ACCESS, "cannot set up cgroups: %s", r->cgroups.reason);
	if (r->isolation == ISOLATION_SANDBOX && !r->has_landlock && !c->landlock_if_available)
		return err_errno(err, "cannot set up the sandbox: landlock ('landlock = if_available' goes without)");
	return limits_check(&r->limits, err);
}

static char *copy_of(const char *text)
{
	return text && *text ? mem_strdup(text) : NULL;
}

static void copy_vm(struct vm_config *to, const struct vm_config *from)
{
	*to = *from;
	to->qemu = copy_of(from->qemu);
	to->firecracker = copy_of(from->firecracker);
	to->jailer = copy_of(from->jailer);
	to->mkfs = copy_of(from->mkfs);
	to->kernel = copy_of(from->kernel);
	to->modules = copy_of(from->modules);
}

static void free_vm(struct vm_config *vm)
{
	const char *const strings[] = {vm->qemu, vm->firecracker, vm->jailer, vm->mkfs, vm->kernel, vm->modules};
	for (size_t i = 0; i < COUNT_OF(strings); i++)
		free((char *)(uintptr_t)strings[i]);
}

int runtime_new(enum isolation kind, const struct runtime_config *c, struct runtime **runtime, struct err *err)
{
	static const struct runtime_kind *const kinds[] = {[ISOLATION_NONE] = NULL,
							   [ISOLATION_PROCESS] = &runtime_process,
							   [ISOLATION_SANDBOX] = &runtime_sandbox,
							   [ISOLATION_MICROVM] = &runtime_microvm};
	struct runtime *r = mem_alloc(sizeof *r);
	r->isolation = kind;
	r->kind = kinds[kind < COUNT_OF(kinds) ? kind : 0];
	r->loop = c->loop;
	r->directory = c->directory ? mem_strdup(c->directory) : NULL;
	r->toolchain = c->toolchain;
	r->limits = limits_with_defaults(&c->limits);
	r->jobs = c->jobs ? c->jobs : DEFAULT_JOBS;
	r->session_memory_bytes = c->session_memory_bytes;
	r->layer_bytes = c->layer_bytes;
	r->agent = open(c->agent, O_PATH | O_CLOEXEC);
	cgroup_find_home(&r->cgroups);
	r->landlock_if_available = c->landlock_if_available;
	errno = 0;
	r->has_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
	copy_vm(&r->vm, &c->vm);
	if (!r->vm.watch_ms)
		r->vm.watch_ms = VM_WATCH_MS;
	if (check(r, c, err) < 0 || (r->kind->prepare && r->kind->prepare(r, err) < 0)) {
		runtime_free(r);
		return -1;
	}
	*runtime = r;
	return 0;
}

// Firecracker knows only KVM.
static bool is_emulated(const struct runtime *r)
{
	return r->isolation == ISOLATION_MICROVM && r->vm.monitor == VM_QEMU && r->vm.accel == VM_TCG;
}

enum isolation runtime_isolation(const struct runtime *r)
{
	return is_emulated(r) ? ISOLATION_NONE : r->isolation;
}

const char *runtime_monitor(const struct runtime *r)
{
	if (r->isolation != ISOLATION_MICROVM)
		return NULL;
	return r->vm.monitor == VM_FIRECRACKER ? "firecracker" : is_emulated(r) ? "qemu-tcg" : "qemu-kvm";
}

bool runtime_has_roots(const struct runtime *r)
{
	return r->isolation != ISOLATION_PROCESS;
}

const char *runtime_label(const struct runtime *r)
{
	if (r->isolation == ISOLATION_MICROVM)
		return is_emulated(r) ? "microvm-emulated" : "microvm";
	if (r->isolation == ISOLATION_SANDBOX)
		return r->has_landlock ? "sandbox" : "sandbox-without-landlock";
	return isolation_name((int)r->isolation);
}

void runtime_free(struct runtime *r)
{
	if (!r)
		return;
	if (r->kind && r->kind->end)
		r->kind->end(r);
	mem_close_cleanup(&r->agent);
	free(r->directory);
	free_vm(&r->vm);
	free(r);
}

// ---- sessions -------------------------------------------------------------------------------------------------------

void place_close(struct runtime *r, struct place *p)
{
	mem_close_cleanup(&p->fd);
	// In a sandbox it is the first process of its namespace, and all others die with it. Under `process` it ends its
	// jobs by itself when the connection is closed.
	if (p->pid > 0 && child_wait(p->pid, p->directory ? GRACE_MS : 0, NULL) < 0)
		log_warn("the process %d of a session does not die", (int)p->pid);
	p->pid = 0;
	cgroup_close(&p->cgroup);
	p->cgroup = (struct cgroup)CGROUP_INIT;
	if (p->directory)
		tree_remove(AT_FDCWD, p->directory);
	free(TAKE(p->directory));
	if (r->kind->close)
		r->kind->close(r, p);
}

unsigned place_serial(void)
{
	static atomic_uint serial;
	return atomic_fetch_add(&serial, 1);
}

static int connect_agent(struct runtime_session *s, struct err *err)
{
	struct rpc_channel_config config = {
		.authority = "agent",
		.limits = {.streams = s->runtime->jobs},
		// A guest that is stuck closes no connection. A process that is gone does.
		.keepalive_ms = s->runtime->isolation == ISOLATION_MICROVM ? s->runtime->vm.watch_ms : 0,
	};
	return rpc_channel_adopt(s->runtime->loop, TAKE_FD(s->place.fd), &config, &s->channel, err);
}

static void session_free(struct runtime_session *s)
{
	if (s->channel)
		rpc_channel_release(s->channel);
	place_close(s->runtime, &s->place);
	toolchain_free(s->toolchain);
	free(s->tenant);
	free(s->image);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int runtime_session_open(struct runtime *r, const char *tenant, const char *image, const struct limits *most,
			 struct runtime_session **session, struct err *err)
{
	struct runtime_session *s = mem_alloc(sizeof *s);
	s->runtime = r;
	s->place = (struct place)PLACE_INIT;
	s->tenant = mem_strdup(tenant);
	s->image = mem_strdup(image);
	s->limits = most ? limits_lower(&r->limits, most) : r->limits;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	if (limits_check(&s->limits, err) < 0 || toolchain_open(image, r->toolchain, &s->toolchain, err) < 0 ||
	    toolchain_hold(s->toolchain, r->toolchain, err) < 0 ||
	    r->kind->open(r, s->toolchain, place_serial(), &s->place, err) < 0 || connect_agent(s, err) < 0) {
		session_free(s);
		return err_wrap(err, "no session for tenant '%s'", tenant);
	}
	*session = s;
	return 0;
}

bool runtime_session_is_alive(const struct runtime_session *s)
{
	return !s->channel || rpc_channel_is_usable(s->channel);
}

const struct limits *runtime_session_limits(const struct runtime_session *s)
{
	return &s->limits;
}

const char *runtime_session_cgroups(const struct runtime_session *s)
{
	static const char *const names[] = {[CGROUP_NONE] = "none", [CGROUP_V1] = "cgroup v1", [CGROUP_V2] = "cgroup v2"};
	return names[s->place.cgroup.version];
}

int runtime_session_pid(const struct runtime_session *s)
{
	return (int)s->place.pid;
}

void runtime_session_close(struct runtime_session *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->is_closing = true;
	for (struct running *r = s->running; r; r = r->next)
		rpc_cancel(r->call);
	while (s->running)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
	session_free(s);
}

bool runtime_can_save(const struct runtime *r)
{
	return r->kind->save && r->vm.has_snapshots;
}

int runtime_session_save(struct runtime_session *s, struct err *err)
{
	struct snapshot_owner owner = {s->tenant, s->image};
	pthread_mutex_lock(&s->lock);
	bool is_idle = runtime_can_save(s->runtime) && s->channel && !s->running && !s->is_closing;
	if (is_idle)
		rpc_channel_release(TAKE(s->channel));
	pthread_mutex_unlock(&s->lock);
	if (!is_idle)
		return err_set(err, ERR_USAGE, "the session can't be saved");
	return s->runtime->kind->save(s->runtime, &owner, &s->place, err);
}

int runtime_session_resume(struct runtime_session *s, struct err *err)
{
	struct snapshot_owner owner = {s->tenant, s->image};
	if (!runtime_can_save(s->runtime) || s->channel)
		return err_set(err, ERR_USAGE, "the session is not saved");
	return s->runtime->kind->resume(s->runtime, &owner, place_serial(), &s->place, err) < 0 ? -1 : connect_agent(s, err);
}

// ---- sinks and sources ----------------------------------------------------------------------------------------------

static int write_buf(void *ctx, const void *p, size_t n, struct err *err)
{
	struct buf *b = ctx;
	buf_add(b, p, n);
	return buf_check(b, "what a job has written", err);
}

struct job_sink job_sink_buf(struct buf *buf)
{
	return (struct job_sink){write_buf, buf};
}

static int write_fd(void *ctx, const void *p, size_t n, struct err *err)
{
	return file_write_fd(*(const int *)ctx, p, n, err);
}

struct job_sink job_sink_fd(const int *fd)
{
	return (struct job_sink){write_fd, (void *)(uintptr_t)fd};
}

ssize_t job_read_bytes(void *bytes, void *to, size_t room, struct err *err)
{
	struct job_bytes *b = bytes;
	size_t n = b->n < room ? b->n : room;
	(void)err;
	if (n)
		memcpy(to, b->p, n);
	b->p += n;
	b->n -= n;
	return (ssize_t)n;
}

void job_cancel_fire(struct job_cancel *c)
{
	pthread_mutex_lock(&c->lock);
	c->fired = true;
	if (c->call)
		rpc_cancel(c->call);
	pthread_mutex_unlock(&c->lock);
}

// ---- one job --------------------------------------------------------------------------------------------------------

// From here on a fired cancel ends the call; `call` NULL takes that back.
static void job_attach(const struct runtime_job *job, struct rpc_call *call)
{
	struct job_cancel *c = job->cancel;
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->call = call;
	if (call && c->fired)
		rpc_cancel(call);
	pthread_mutex_unlock(&c->lock);
}

static bool is_cancelled(const struct runtime_job *job)
{
	if (!job->cancel)
		return false;
	pthread_mutex_lock(&job->cancel->lock);
	bool fired = job->cancel->fired;
	pthread_mutex_unlock(&job->cancel->lock);
	return fired;
}

static int send_header(struct rpc_call *call, const struct runtime_job *job, const struct limits *l, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	Coffer__V1__Limits limits;
	coffer__v1__limits__init(&limits);
	limits.wall_ms = l->wall_ms;
	limits.cpu_s = l->cpu_s;
	limits.memory_bytes = l->memory_bytes;
	limits.files = l->files;
	limits.processes = l->processes;
	limits.file_bytes = l->file_bytes;
	limits.scratch_bytes = l->scratch_bytes;
	limits.message_bytes = l->message_bytes;
	Coffer__V1__ExecHeader h;
	coffer__v1__exec_header__init(&h);
	h.limits = &limits;
	h.arguments = (char **)(uintptr_t)job->arguments;
	while (job->arguments[h.n_arguments])
		h.n_arguments++;
	if (job->source_name)
		h.source_name = (char *)(uintptr_t)job->source_name;
	h.source_packed = job->is_packed;
	h.n_outputs = job->n_outputs;
	h.outputs = arena_alloc(&a, (job->n_outputs + 1) * sizeof *h.outputs);
	for (size_t i = 0; i < job->n_outputs; i++)
		h.outputs[i] = (char *)(uintptr_t)job->outputs[i].name;
	Coffer__V1__ExecTree tree;
	coffer__v1__exec_tree__init(&tree);
	if (job->tree) {
		h.tree = &tree;
		tree.directory = (char *)(uintptr_t)job->tree->directory;
		tree.environment = (char **)(uintptr_t)job->tree->environment;
		tree.n_environment = job->tree->n_environment;
		tree.is_root = job->tree->is_root;
		tree.writable = (char **)(uintptr_t)job->tree->writable;
		tree.n_writable = job->tree->n_writable;
		tree.whole = (char **)(uintptr_t)job->tree->whole;
		tree.n_whole = job->tree->n_whole;
		tree.absent = (char **)(uintptr_t)job->tree->absent;
		tree.n_absent = job->tree->n_absent;
		tree.layers = (uint64_t *)(uintptr_t)job->tree->layers;
		tree.n_layers = job->tree->n_layers;
		tree.layers_made = (uint64_t *)(uintptr_t)job->tree->layers_made;
		tree.n_layers_made = job->tree->n_layers_made;
		tree.layers_removed = (uint64_t *)(uintptr_t)job->tree->layers_removed;
		tree.n_layers_removed = job->tree->n_layers_removed;
	}
	Coffer__V1__ExecRequest m;
	coffer__v1__exec_request__init(&m);
	m.kind_case = COFFER__V1__EXEC_REQUEST__KIND_HEADER;
	m.header = &h;
	return rpc_send(call, &m.base, err);
}

// 1: the agent wants no more of it, and says why.
static int send_source(struct rpc_call *call, const struct runtime_job *job, struct err *err)
{
	if ((!job->source_name && !job->tree) || !job->read)
		return 0;
	AUTO_FREE uint8_t *piece = mem_realloc(NULL, PIECE);
	for (;;) {
		ssize_t n = job->read(job->read_ctx, piece, PIECE, err);
		if (n <= 0)
			return (int)n;
		Coffer__V1__ExecRequest m;
		coffer__v1__exec_request__init(&m);
		m.kind_case = COFFER__V1__EXEC_REQUEST__KIND_SOURCE;
		m.source = (ProtobufCBinaryData){(size_t)n, piece};
		int rc = rpc_send(call, &m.base, err);
		if (rc != 0)
			return rc;
	}
}

static int receive_all(struct rpc_call *call, struct reply *reply, struct err *err)
{
	// The agent ends the job by itself in time; this is for an agent that hangs. Each message starts it again, but what a
	// job may send has its limits.
	uint32_t wall_ms = reply->limits->wall_ms;
	int timeout_ms = wall_ms < INT32_MAX - GRACE_MS ? (int)wall_ms + GRACE_MS : INT32_MAX;
	Coffer__V1__ExecReply *m;
	int rc;
	while ((rc = rpc_receive(call, &coffer__v1__exec_reply__descriptor, timeout_ms, &m, err)) > 0) {
		rc = reply_take(reply, m, err);
		coffer__v1__exec_reply__free_unpacked(m, NULL);
		if (rc < 0)
			return -1;
	}
	return rc < 0 ? -1 : reply_end(reply, err);
}

// What the agent's status means to the caller.
static enum err_code code_of(enum rpc_code code)
{
	switch (code) {
	case RPC_INVALID_ARGUMENT:
		return ERR_USAGE;
	case RPC_RESOURCE_EXHAUSTED:
		return ERR_LIMIT;
	case RPC_NOT_FOUND:
		return ERR_NOT_FOUND;
	case RPC_ABORTED:
		return ERR_FORMAT;
	case RPC_FAILED_PRECONDITION:
		return ERR_ACCESS;
	case RPC_INTERNAL:
		return ERR_IO;
	default:
		return ERR_PEER;
	}
}

static int talk(struct rpc_call *call, const struct runtime_job *job, const struct limits *limits, struct job_result *result,
		struct err *err)
{
	struct reply reply = {.job = job, .limits = limits, .result = result};
	int rc = send_header(call, job, limits, err);
	if (rc == 0)
		rc = send_source(call, job, err);
	bool is_ours = rc < 0 && !rpc_call_is_cancelled(call); // the source's reader failed
	if (rc == 0)
		rpc_send_end(call);
	if (rc >= 0) {
		rc = receive_all(call, &reply, err);
		is_ours = rc < 0 && !rpc_call_is_cancelled(call);
	}
	if (rc == 0)
		return 0;
	if (is_ours) {
		rpc_cancel(call);
		return -1;
	}
	const struct rpc_status *status = rpc_wait_status(call);
	if (is_cancelled(job))
		return err_set(err, ERR_TIMEOUT, "the job was cancelled");
	if (status->code == RPC_OK)
		return -1; // as reply_end said
	return err_set(err, code_of(status->code), "%s", status->text);
}

static int enter(struct runtime_session *s, struct running *r, struct err *err)
{
	pthread_mutex_lock(&s->lock);
	int rc = s->is_closing || !s->channel ? err_set(err, ERR_PEER, "the session is closed")
					      : rpc_call_start(s->channel, EXEC_PATH, NULL, &r->call, err);
	if (rc >= 0) {
		r->next = s->running;
		r->link = &s->running;
		if (r->next)
			r->next->link = &r->next;
		s->running = r;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void leave(struct runtime_session *s, struct running *r)
{
	pthread_mutex_lock(&s->lock);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	// Before anybody may free the session, and stop the loop.
	rpc_call_release(r->call);
	if (!s->running)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

int runtime_session_exec(struct runtime_session *s, const struct runtime_job *job, struct job_result *result,
			 struct err *err)
{
	struct limits limits = limits_lower(&s->limits, &job->limits);
	struct running running = {NULL, NULL, NULL};
	*result = (struct job_result){.exit_status = -1};
	for (size_t i = 0; i < job->n_outputs; i++)
		job->outputs[i].is_present = false;
	if (enter(s, &running, err) < 0)
		return -1;
	job_attach(job, running.call);
	int rc = talk(running.call, job, &limits, result, err);
	job_attach(job, NULL);
	leave(s, &running);
	return rc;
}

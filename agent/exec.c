#include "agent/exec.h"

#include "agent/agent.h"
#include "agent/cgroups.h"
#include "agent/init.h"
#include "agent/layers.h"
#include "agent/leavings.h"
#include "agent/request.h"
#include "agent/scratch.h"
#include "agent/slots.h"
#include "agent/source.h"
#include "agent/spawner.h"
#include "agent/tree.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proto/coffer.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 16 * 1024, OUTPUT_CHUNK = 64 * 1024, TAIL = 256, FIRST_MESSAGE_MS = 30000 };

// One of the program's two streams.
struct exec_stream {
	int fd; // -1: ended
	uint64_t n;
	bool is_err;
};

struct exec {
	struct rpc_call *call;
	const struct agent *agent;
	Coffer__V1__ExecRequest *first; // holds the header
	const Coffer__V1__ExecHeader *header;
	struct scratch scratch;
	int slot;
	size_t n_made; // layers of it that have been begun
	pid_t init;    // 0: there is none
	struct exec_stream out, errs;
	char tail[TAIL + 1]; // of stderr
	size_t n_tail;
	const char *limit; // that ended it, or ""
	int exit_status;
	uint64_t output_room;    // of an action: bytes that its outputs may still have
	uint64_t wall_ns, kills; // `kills`: in its cgroup, before it
	struct rusage usage;
	enum rpc_code code; // of a failure
	struct err err;
};

static int fail(struct exec *x, enum rpc_code code)
{
	x->code = code;
	return -1;
}

// ---- what comes in --------------------------------------------------------------------------------------------------

static int receive(struct exec *x, Coffer__V1__ExecRequest **m)
{
	int rc = rpc_receive(x->call, &coffer__v1__exec_request__descriptor, -1, m, &x->err);
	return rc < 0 ? fail(x, RPC_CANCELLED) : rc;
}

static int receive_header(struct exec *x)
{
	int rc = receive(x, &x->first);
	if (rc < 0)
		return -1;
	if (rc == 0 || x->first->kind_case != COFFER__V1__EXEC_REQUEST__KIND_HEADER) {
		err_set(&x->err, ERR_FORMAT, "the first message is no header");
		return fail(x, RPC_INVALID_ARGUMENT);
	}
	x->header = x->first->header;
	return request_check(x->header, &x->err) < 0 ? fail(x, RPC_INVALID_ARGUMENT) : 0;
}

static int make_directory(struct exec *x, const char *name)
{
	char inside[REQUEST_MAX_NAME + 3];
	snprintf(inside, sizeof inside, "%s/.", name);
	return scratch_make_parents(&x->scratch, inside, &x->err);
}

// The job's root has the toolchain beside the tree: nothing of it may stand where the client has nothing.
static int check_root(struct exec *x)
{
	const Coffer__V1__ExecTree *t = x->header->tree;
	struct stat st;
	if (!x->agent->is_sandbox) {
		err_set(&x->err, ERR_USAGE, "only a sandbox has roots of its own for jobs");
		return fail(x, RPC_FAILED_PRECONDITION);
	}
	for (size_t i = 0; i < t->n_absent; i++)
		if (lstat(t->absent[i], &st) == 0) {
			err_set(&x->err, ERR_USAGE, "'%.200s' is here, and not at the client's", t->absent[i]);
			return fail(x, RPC_FAILED_PRECONDITION);
		}
	return 0;
}

static int take_layers(struct exec *x)
{
	const Coffer__V1__ExecTree *t = x->header->tree;
	if (x->agent->layers < 0 && (t->n_layers || t->n_layers_removed)) {
		err_set(&x->err, ERR_USAGE, "there are no layers here");
		return fail(x, RPC_INVALID_ARGUMENT);
	}
	for (size_t i = 0; i < t->n_layers_removed; i++)
		layers_remove(x->agent->layers, t->layers_removed[i]);
	return 0;
}

static int make_scratch(struct exec *x)
{
	const Coffer__V1__ExecHeader *h = x->header;
	x->slot = slots_take(x->agent->slots);
	if (x->slot < 0) {
		err_set(&x->err, ERR_FULL, "more than %u jobs at once", x->agent->jobs);
		return fail(x, RPC_RESOURCE_EXHAUSTED);
	}
	enum scratch_kind kind = !h->tree            ? SCRATCH_SOURCE
				 : h->tree->is_root  ? SCRATCH_ROOT
				 : h->tree->n_layers ? SCRATCH_LAYERS
						     : SCRATCH_ACTION;
	if (h->tree && take_layers(x) < 0)
		return -1;
	if (h->tree && h->tree->is_root && check_root(x) < 0)
		return -1;
	if (scratch_open(&x->scratch, x->agent, x->slot, h->limits->scratch_bytes, kind, &x->err) < 0)
		return fail(x, RPC_INTERNAL);
	if (h->source_name[0] && scratch_make_parents(&x->scratch, h->source_name, &x->err) < 0)
		return fail(x, RPC_INTERNAL);
	// A root has it already, maybe behind a link.
	if (h->tree && !h->tree->is_root && h->tree->directory[0] && make_directory(x, h->tree->directory) < 0)
		return fail(x, RPC_INTERNAL);
	for (size_t i = 0; h->tree && i < h->tree->n_writable; i++)
		if (make_directory(x, h->tree->writable[i]) < 0)
			return fail(x, RPC_INVALID_ARGUMENT);
	for (size_t i = 0; i < h->n_outputs; i++)
		if (scratch_make_parents(&x->scratch, h->outputs[i], &x->err) < 0)
			return fail(x, RPC_INVALID_ARGUMENT);
	return 0;
}

static int fail_source(struct exec *x)
{
	switch (x->err.code) {
	case ERR_LIMIT:
	case ERR_FULL:
		return fail(x, RPC_RESOURCE_EXHAUSTED);
	case ERR_FORMAT:
		return fail(x, RPC_INVALID_ARGUMENT);
	default:
		return fail(x, RPC_INTERNAL);
	}
}

static int write_piece(struct exec *x, struct source *source, const Coffer__V1__ExecRequest *m)
{
	if (m->kind_case != COFFER__V1__EXEC_REQUEST__KIND_SOURCE || source->fd < 0) {
		err_set(&x->err, ERR_FORMAT,
			source->fd < 0 ? "a source without a name" : "a message that is no piece of the source");
		return fail(x, RPC_INVALID_ARGUMENT);
	}
	return source_take(source, m->source.data, m->source.len, &x->err) < 0 ? fail_source(x) : 0;
}

static int receive_pieces(struct exec *x, struct source *source)
{
	Coffer__V1__ExecRequest *m;
	int rc;
	while ((rc = receive(x, &m)) > 0) {
		rc = write_piece(x, source, m);
		coffer__v1__exec_request__free_unpacked(m, NULL);
		if (rc < 0)
			return -1;
	}
	if (rc == 0 && source->fd >= 0 && source_end(source, &x->err) < 0)
		return fail_source(x);
	return rc;
}

static int receive_tree_pieces(struct exec *x, struct tree_in *tree)
{
	Coffer__V1__ExecRequest *m;
	int rc;
	while ((rc = receive(x, &m)) > 0) {
		if (m->kind_case != COFFER__V1__EXEC_REQUEST__KIND_SOURCE)
			rc = err_set(&x->err, ERR_FORMAT, "a message that is no piece of the tree");
		else
			rc = tree_in_take(tree, m->source.data, m->source.len, &x->err);
		coffer__v1__exec_request__free_unpacked(m, NULL);
		if (rc < 0)
			return fail_source(x);
	}
	return rc == 0 && tree_in_end(tree, &x->err) < 0 ? fail_source(x) : rc;
}

// Where the next tree of the source goes: each layer that is made, then what is the job's alone.
static int next_tree(struct tree_in *tree, void *exec, struct err *err)
{
	struct exec *x = exec;
	const Coffer__V1__ExecTree *t = x->header->tree;
	if (x->n_made < t->n_layers_made) {
		tree->max = x->agent->layer_bytes;
		return layers_make(x->agent->layers, t->layers_made[x->n_made++], err);
	}
	tree->max = x->scratch.room;
	tree->next = NULL;
	int top = openat(x->scratch.root, GUEST_WORK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return top < 0 ? err_errno(err, "cannot open the work directory") : top;
}

static int receive_tree(struct exec *x)
{
	const Coffer__V1__ExecTree *t = x->header->tree;
	struct tree_in first, tree;
	int top = next_tree(&first, x, &x->err);
	if (top < 0)
		return fail(x, t->n_layers_made ? RPC_UNAVAILABLE : RPC_INTERNAL);
	tree_in_init(&tree, top, first.max);
	tree.next = t->n_layers_made ? next_tree : NULL;
	tree.ctx = x;
	int rc = receive_tree_pieces(x, &tree);
	bool is_last = !tree.next;
	tree_in_release(&tree);
	if (rc == 0 && !is_last) {
		err_set(&x->err, ERR_FORMAT, "a layer without a tree behind it");
		return fail_source(x);
	}
	// Where a layer can't be laid out or put below, the worker does without them from now on.
	if (rc < 0 && !is_last && x->code != RPC_CANCELLED)
		return fail(x, RPC_UNAVAILABLE);
	if (rc == 0 && t->n_layers && scratch_layer(&x->scratch, t->layers, t->n_layers, &x->err) < 0)
		return fail(x, RPC_UNAVAILABLE);
	return rc;
}

static int receive_source(struct exec *x)
{
	if (x->header->tree)
		return receive_tree(x);

	AUTO_CLOSE int fd = -1;
	struct source source;
	if (x->header->source_name[0]) {
		fd = scratch_create(&x->scratch, x->header->source_name, &x->err);
		if (fd < 0)
			return fail(x, RPC_INVALID_ARGUMENT);
	}
	source_init(&source, fd, x->scratch.room, fd >= 0 && x->header->source_packed);
	int rc = receive_pieces(x, &source);
	source_release(&source);
	return rc;
}

// ---- the run --------------------------------------------------------------------------------------------------------

// Also on the connection's thread, when the call is cancelled. The process is not reaped before that is taken back.
static void kill_job(void *arg)
{
	const struct exec *x = arg;
	// Under `process` the first process has to end the others itself.
	kill(x->init, x->agent->is_sandbox ? SIGKILL : SIGTERM);
}

static int start(struct exec *x)
{
	const Coffer__V1__ExecHeader *h = x->header;
	if (cgroups_make(x->agent, x->slot, h->limits->memory_bytes, h->limits->processes, &x->err) < 0)
		return fail(x, RPC_INTERNAL);
	x->kills = cgroups_kills(x->agent, x->slot);
	struct spawn_request request = {
		.slot = x->slot,
		.n_arguments = (unsigned)h->n_arguments,
		.wall_ms = h->limits->wall_ms,
		.cpu_s = h->limits->cpu_s,
		.files = h->limits->files,
		.processes = h->limits->processes,
		.memory_bytes = h->limits->memory_bytes,
		.file_bytes = h->limits->file_bytes,
	};
	snprintf(request.scratch, sizeof request.scratch, "%s", x->scratch.path);
	struct spawn_words words = {.arguments = (const char *const *)h->arguments};
	if (h->tree) {
		request.is_root = h->tree->is_root;
		request.is_tree = !request.is_root;
		request.n_environment = (unsigned)h->tree->n_environment;
		words.environment = (const char *const *)h->tree->environment;
		request.n_writable = (unsigned)h->tree->n_writable;
		words.writable = (const char *const *)h->tree->writable;
		request.n_whole = (unsigned)h->tree->n_whole;
		words.whole = (const char *const *)h->tree->whole;
		snprintf(request.directory, sizeof request.directory, "%s", h->tree->directory);
	}
	struct spawned spawned;
	if (spawner_run(x->agent->spawner, &request, &words, x->scratch.root, &spawned, &x->err) < 0)
		return fail(x, RPC_INTERNAL);
	x->init = spawned.pid;
	x->out.fd = spawned.out;
	x->errs = (struct exec_stream){.fd = spawned.errs, .is_err = true};
	rpc_call_on_cancel(x->call, kill_job, x);
	return 0;
}

static void keep_tail(struct exec *x, const char *p, size_t n)
{
	if (n > TAIL) {
		p += n - TAIL;
		n = TAIL;
	}
	size_t kept = x->n_tail + n > TAIL ? TAIL - n : x->n_tail;
	memmove(x->tail, x->tail + x->n_tail - kept, kept);
	memcpy(x->tail + kept, p, n);
	x->n_tail = kept + n;
	x->tail[x->n_tail] = '\0';
}

static int send_bytes(struct exec *x, int kind, const char *p, size_t n)
{
	Coffer__V1__ExecReply m;
	coffer__v1__exec_reply__init(&m);
	m.kind_case = (Coffer__V1__ExecReply__KindCase)kind;
	m.out = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p}; // one member of a union of three alike
	return rpc_send(x->call, &m.base, &x->err) < 0 ? fail(x, RPC_CANCELLED) : 0;
}

static int pass_on(struct exec *x, struct exec_stream *s)
{
	char chunk[CHUNK];
	ssize_t n = read(s->fd, chunk, sizeof chunk);
	if (n <= 0) {
		close(TAKE_FD(s->fd));
		return 0;
	}
	uint64_t most = x->header->limits->message_bytes;
	size_t fits = s->n + (uint64_t)n > most ? (size_t)(most - s->n) : (size_t)n;
	s->n += fits;
	if (s->is_err)
		keep_tail(x, chunk, fits);
	if (fits < (size_t)n && !x->limit[0]) {
		x->limit = "messages";
		kill_job(x);
	}
	int kind = s->is_err ? COFFER__V1__EXEC_REPLY__KIND_ERR : COFFER__V1__EXEC_REPLY__KIND_OUT;
	return fits ? send_bytes(x, kind, chunk, fits) : 0;
}

// Until the program and all that it has started have closed their ends.
static int pump(struct exec *x)
{
	while (x->out.fd >= 0 || x->errs.fd >= 0) {
		struct pollfd fds[] = {{.fd = x->out.fd, .events = POLLIN}, {.fd = x->errs.fd, .events = POLLIN}};
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			err_errno(&x->err, "cannot wait for the job");
			return fail(x, RPC_INTERNAL);
		}
		if ((fds[0].revents && pass_on(x, &x->out) < 0) || (fds[1].revents && pass_on(x, &x->errs) < 0))
			return -1;
	}
	return 0;
}

// The whole tree is gone when this returns.
static void reap(struct exec *x, bool kill_first)
{
	if (!x->init)
		return;
	if (kill_first)
		kill_job(x);
	siginfo_t info;
	while (waitid(P_PID, (id_t)x->init, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	rpc_call_on_cancel(x->call, NULL, NULL);
	while (wait4(x->init, NULL, 0, &x->usage) < 0 && errno == EINTR)
		;
	x->init = 0;
	int64_t start_ns = slots_at(x->agent->slots, x->slot)->start_ns;
	x->wall_ns = start_ns ? (uint64_t)(clock_ns() - start_ns) : 0;
}

static const char *limit_of(const struct exec *x)
{
	static const char *const memory[] = {"out of memory", "irtual memory exhausted", "Cannot allocate memory",
					     "bad_alloc"};
	int64_t cpu_s = x->usage.ru_utime.tv_sec + x->usage.ru_stime.tv_sec;
	if (x->exit_status == 128 + SIGXCPU || cpu_s >= (int64_t)x->header->limits->cpu_s)
		return "cpu";
	if (x->exit_status == 128 + SIGXFSZ || strstr(x->tail, "File too large") ||
	    strstr(x->tail, "File size limit exceeded"))
		return "file";
	if (scratch_is_full(&x->scratch) || strstr(x->tail, "No space left on device"))
		return "scratch";
	for (size_t i = 0; i < COUNT_OF(memory); i++)
		if (strstr(x->tail, memory[i]))
			return "memory";
	return cgroups_kills(x->agent, x->slot) > x->kills ? "memory" : "";
}

// What the first process of the job says of it.
static int judge(struct exec *x)
{
	struct agent_slot slot = *slots_at(x->agent->slots, x->slot);
	if (slot.error && slot.stage == STAGE_PROGRAM) {
		errno = slot.error;
		err_errno(&x->err, "cannot run '%.200s'", x->header->arguments[0]);
		return fail(x, slot.error == ENOENT ? RPC_NOT_FOUND : RPC_FAILED_PRECONDITION);
	}
	// Files and links of the tree stand where the toolchain has others, or where it would have to make room.
	bool is_root = x->header->tree && x->header->tree->is_root;
	if (is_root && slot.stage == STAGE_SCRATCH && (slot.error == EEXIST || slot.error == EROFS)) {
		err_set(&x->err, ERR_USAGE, "the tree and the toolchain here do not go together");
		return fail(x, RPC_FAILED_PRECONDITION);
	}
	if (slot.error) {
		errno = slot.error;
		err_errno(&x->err, "cannot set up the %s: %s", x->agent->is_sandbox ? "sandbox" : "job",
			  stage_name(slot.stage));
		return fail(x, RPC_INTERNAL);
	}
	if (slot.has_more) {
		err_set(&x->err, ERR_IO, "some processes of the job can't be ended");
		return fail(x, RPC_INTERNAL);
	}
	x->exit_status = 128 + SIGKILL;
	if (slot.stage == STAGE_ENDED)
		x->exit_status = WIFSIGNALED(slot.status) ? 128 + WTERMSIG(slot.status) : WEXITSTATUS(slot.status);
	if (slot.is_timed_out)
		x->limit = "wall";
	else if (!x->limit[0] && slot.stage != STAGE_ENDED)
		x->limit = "memory"; // nobody else kills the first process
	else if (!x->limit[0] && x->exit_status != 0)
		x->limit = limit_of(x);
	return 0;
}

static int run(struct exec *x)
{
	if (start(x) < 0)
		return -1;
	int rc = pump(x);
	reap(x, rc < 0);
	return rc < 0 ? -1 : judge(x);
}

// ---- what goes out --------------------------------------------------------------------------------------------------

static int send_pieces(struct exec *x, int fd, uint64_t size)
{
	AUTO_FREE char *chunk = mem_alloc(OUTPUT_CHUNK);
	while (size) {
		ssize_t n = read(fd, chunk, size < OUTPUT_CHUNK ? (size_t)size : OUTPUT_CHUNK);
		if (n <= 0) {
			err_errno(&x->err, "cannot read an output");
			return fail(x, RPC_INTERNAL);
		}
		if (send_bytes(x, COFFER__V1__EXEC_REPLY__KIND_PIECE, chunk, (size_t)n) < 0)
			return -1;
		size -= (uint64_t)n;
	}
	return 0;
}

// One entry of an action's outputs.
static int send_entry(void *exec, const Coffer__V1__ExecOutput *entry, int fd, struct err *err)
{
	struct exec *x = exec;
	Coffer__V1__ExecReply m;
	(void)err; // ours
	if (entry->size > x->output_room || entry->size > x->header->limits->file_bytes) {
		err_set(&x->err, ERR_LIMIT, "the outputs have more bytes than a job may write");
		return fail(x, RPC_RESOURCE_EXHAUSTED);
	}
	x->output_room -= entry->size;
	coffer__v1__exec_reply__init(&m);
	m.kind_case = COFFER__V1__EXEC_REPLY__KIND_OUTPUT;
	m.output = (Coffer__V1__ExecOutput *)(uintptr_t)entry;
	if (rpc_send(x->call, &m.base, &x->err) < 0)
		return fail(x, RPC_CANCELLED);
	return fd < 0 ? 0 : send_pieces(x, fd, entry->size);
}

static int send_leavings(struct exec *x)
{
	struct leavings l = {.scratch = &x->scratch, .tell = send_entry, .ctx = x};
	x->output_room = x->header->limits->scratch_bytes;
	for (size_t i = 0; i < x->header->n_outputs; i++)
		if (leavings_walk(&l, (uint32_t)i, x->header->outputs[i], &x->err) < 0) {
			if (x->code == RPC_OK)
				x->code = x->err.code == ERR_FORMAT  ? RPC_ABORTED
					  : x->err.code == ERR_LIMIT ? RPC_RESOURCE_EXHAUSTED
								     : RPC_INTERNAL;
			return -1;
		}
	return 0;
}

static int send_outputs(struct exec *x)
{
	if (x->header->tree && !x->header->tree->is_root)
		return send_leavings(x);

	uint64_t left = x->header->limits->scratch_bytes; // a sparse file can be larger than that
	for (size_t i = 0; i < x->header->n_outputs; i++) {
		AUTO_CLOSE int fd = -1;
		uint64_t size = 0;
		int found = scratch_find(&x->scratch, x->header->outputs[i], &fd, &size, &x->err);
		if (found == 0)
			continue;
		if (found < 0)
			return fail(x, x->err.code == ERR_FORMAT ? RPC_ABORTED : RPC_INTERNAL);
		if (size > left || size > x->header->limits->file_bytes) {
			err_set(&x->err, ERR_LIMIT, "output '%.200s' has %llu bytes, which is more than a job may write",
				x->header->outputs[i], (unsigned long long)size);
			return fail(x, RPC_RESOURCE_EXHAUSTED);
		}
		left -= size;
		Coffer__V1__ExecOutput output = COFFER__V1__EXEC_OUTPUT__INIT;
		output.index = (uint32_t)i;
		output.size = size;
		Coffer__V1__ExecReply m;
		coffer__v1__exec_reply__init(&m);
		m.kind_case = COFFER__V1__EXEC_REPLY__KIND_OUTPUT;
		m.output = &output;
		if (rpc_send(x->call, &m.base, &x->err) < 0)
			return fail(x, RPC_CANCELLED);
		if (send_pieces(x, fd, size) < 0)
			return -1;
	}
	return 0;
}

static int send_exit(struct exec *x)
{
	Coffer__V1__Usage usage = COFFER__V1__USAGE__INIT;
	usage.wall_us = x->wall_ns / 1000;
	usage.user_us = clock_us_of(x->usage.ru_utime);
	usage.system_us = clock_us_of(x->usage.ru_stime);
	usage.peak_bytes = (uint64_t)x->usage.ru_maxrss * 1024;
	Coffer__V1__ExecExit end = COFFER__V1__EXEC_EXIT__INIT;
	end.exit_status = x->exit_status;
	end.limit = (char *)(uintptr_t)x->limit;
	end.usage = &usage;
	end.has_layers = x->agent->layers >= 0;
	Coffer__V1__ExecReply m;
	coffer__v1__exec_reply__init(&m);
	m.kind_case = COFFER__V1__EXEC_REPLY__KIND_EXIT;
	m.exit = &end;
	return rpc_send(x->call, &m.base, &x->err) < 0 ? fail(x, RPC_CANCELLED) : 0;
}

static void release(struct exec *x)
{
	mem_close_cleanup(&x->out.fd);
	mem_close_cleanup(&x->errs.fd);
	scratch_close(&x->scratch);
	if (x->slot >= 0)
		slots_give(x->agent->slots, x->slot);
	if (x->first)
		coffer__v1__exec_request__free_unpacked(x->first, NULL);
}

void exec_serve(struct rpc_call *call, void *agent)
{
	struct exec x = {.call = call,
			 .agent = agent,
			 .scratch = SCRATCH_INIT,
			 .slot = -1,
			 .out = {.fd = -1},
			 .errs = {.fd = -1},
			 .limit = "",
			 .err = ERR_INIT};
	static int (*const steps[])(struct exec *) = {receive_header, make_scratch, receive_source, run,
						      send_outputs,   send_exit};
	int rc = 0;
	for (size_t i = 0; i < COUNT_OF(steps) && rc == 0; i++)
		rc = steps[i](&x);
	// Before the answer's end: a job is over only when nothing of it is left.
	release(&x);
	if (rc == 0)
		rpc_finish(call, RPC_OK, "%s", "");
	else
		rpc_finish(call, x.code, "%s", x.err.text);
}

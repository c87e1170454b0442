// How a worker runs a job: open a session for a tenant and an image, execute in it, close, whatever the boundary is.
//
// A session is a place where one tenant's jobs run, beside each other and one after the other, with a coffer-agent in it.
// It is made once and serves thousands of jobs; nothing survives in it from one job to the next. The runtimes differ in how
// the place is made and how one talks to its agent; jobs go through Agent.Exec (proto/coffer.proto) in all of them.
//
// A boundary is there in full or not at all: when any part can't be set up, opening or executing fails, and the text names
// it ("cannot set up the sandbox: pivot_root: Operation not permitted"). Nothing ever steps down by itself.
//
// Threads: runtime_session_exec sleeps until the job has ended; call it from one thread for each job, from many at once.
// Everything else may be called from any thread. Nothing here may be called on the thread of the rpc loop but
// job_cancel_fire.
#ifndef COFFER_WORKER_RUNTIME_RUNTIME_H
#define COFFER_WORKER_RUNTIME_RUNTIME_H

#include "base/buf.h"
#include "base/err.h"
#include "worker/runtime/limits.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct rpc_call;
struct toolchain_config;

// From weak to strong, with the numbers of proto/coffer.proto. What audit rows and routes say. (Names: auth/token.h)
enum isolation {
	ISOLATION_NONE = 0,
	ISOLATION_PROCESS = 1, // limits only
	ISOLATION_SANDBOX = 2, // namespaces, seccomp, no network, fresh scratch for each job
	ISOLATION_MICROVM = 3, // a kernel of its own
};

// ---- runtimes and sessions ------------------------------------------------------------------------------------------

struct runtime;
struct runtime_session;

enum vm_accel {
	VM_KVM, // hardware: a boundary
	VM_TCG, // emulated: none, and labelled so; for tests where there is no KVM
};
enum vm_monitor_kind { VM_QEMU, VM_FIRECRACKER };
// Of `microvm`. Names are absolute.
struct vm_config {
	enum vm_monitor_kind monitor;
	const char *qemu;        // qemu-system-x86_64
	const char *firecracker; // and the program that jails it
	const char *jailer;
	const char *mkfs;    // mkfs.erofs
	const char *kernel;  // a bzImage or an ELF kernel with PVH
	const char *modules; // its directory of /lib/modules; NULL: it has built in what a VM needs
	enum vm_accel accel;
	uint32_t boot_ms;      // a guest that is not ready by then is given up
	uint32_t watch_ms;     // and one that does not answer for so long, while jobs run in it; 0: 20 s
	uint64_t memory_bytes; // of all guests and their monitors together; 0: three quarters of the machine's
	unsigned ahead;        // clean guests of each image that are booted ahead; at most 8
	bool has_snapshots;    // idle sessions may be saved; the memory of guests is in files of `directory` then
};

struct runtime_config {
	struct vm_config vm;
	struct loop *loop;                        // for the connections to agents; must outlive the runtime
	const char *agent;                        // the program, a static coffer-agent
	const char *directory;                    // exists, private: scratch directories of `process`
	const struct toolchain_config *toolchain; // worker/runtime/toolchain.h; what it names must outlive the runtime
	struct limits limits;                     // the operator's; zeros stand for those of limits_default
	unsigned jobs;                            // at once in one session; 0: 1024, at most 8192
	uint64_t layer_bytes;          // `sandbox`: of the layers of one session (agent/layers.h); 0: there are none
	uint64_t session_memory_bytes; // of all jobs of a session together, by cgroup; 0: what the machine has
	bool cgroups_required;         // refuse to open sessions where cgroups can't be used
	bool landlock_if_available;    // `sandbox` goes without landlock where the kernel has none; else it is refused
};

// Knows the kind and checks what can be known before a session (the agent is there, the directory is). `config` is copied.
// The label of a runtime can be less than its kind: an emulated microVM is no boundary (ISOLATION_NONE).
int runtime_new(enum isolation kind, const struct runtime_config *config, struct runtime **runtime, struct err *err);
enum isolation runtime_isolation(const struct runtime *runtime);
// What it is in full: "process", "sandbox", "sandbox-without-landlock", "microvm", "microvm-emulated".
const char *runtime_label(const struct runtime *runtime);
const char *runtime_monitor(const struct runtime *runtime); // of microvm: "firecracker", "qemu-kvm", "qemu-tcg"; else NULL
bool runtime_has_roots(const struct runtime *runtime);      // job_tree.is_root
void runtime_free(struct runtime *runtime);                 // after its sessions

// `image` is "host:…" (the part after the colon is not looked at here) or "sha256:…". `most` may be NULL: the runtime's.
// Takes some milliseconds. ERR_NOT_FOUND: there is no such image.
int runtime_session_open(struct runtime *runtime, const char *tenant, const char *image, const struct limits *most,
			 struct runtime_session **session, struct err *err);
bool runtime_session_is_alive(
	const struct runtime_session *session); // its agent has not gone; else close it and open another
const struct limits *runtime_session_limits(const struct runtime_session *session);
// What limits memory and processes of a job as a whole: "cgroup v1", "cgroup v2", or "none" where it is not allowed.
const char *runtime_session_cgroups(const struct runtime_session *session);
int runtime_session_pid(
	const struct runtime_session *session); // of its first process; killing it ends everything in the session
// Kills what runs, waits until every runtime_session_exec has returned, and frees. NULL is fine.
void runtime_session_close(struct runtime_session *session);

// An idle session can be put to sleep: it takes no memory then but on disk, and is resumed as it was, for the same tenant and once.
bool runtime_can_save(const struct runtime *runtime);
// Nothing may run in it. Afterwards nothing can be executed until it is resumed. After an error close it.
int runtime_session_save(struct runtime_session *session, struct err *err);
int runtime_session_resume(struct runtime_session *session, struct err *err);

// `microvm`: sessions of that image will be wanted. Guests are booted ahead for it.
void runtime_expect(struct runtime *runtime, const char *image);
unsigned runtime_ahead(struct runtime *runtime); // guests that are ready and nobody's

// ---- jobs -----------------------------------------------------------------------------------------------------------

// Gives up to `room` bytes of the source: how many, 0 at the end, -1 to give up (the job fails with err).
typedef ssize_t (*job_read_fn)(void *ctx, void *to, size_t room, struct err *err);
// Takes bytes of stdout, stderr or an output: 0, or -1 to give up.
typedef int (*job_write_fn)(void *ctx, const void *p, size_t n, struct err *err);
struct job_sink {
	job_write_fn write; // NULL: the bytes are dropped
	void *ctx;
};
struct job_sink job_sink_buf(struct buf *buf); // past buf->max it gives up
struct job_sink job_sink_fd(const int *fd);
// A source in memory: job.read = job_read_bytes, job.read_ctx = &bytes.
struct job_bytes {
	const char *p;
	size_t n;
};
ssize_t job_read_bytes(void *bytes, void *to, size_t room, struct err *err);

struct job_output {
	const char *name; // below the scratch directory, as "x.o"; no "..", not absolute
	struct job_sink sink;
	bool is_present; // filled in: the job has written it
	uint64_t size;
};

// Ends a job from another thread: its whole tree of processes is killed. May be fired before, while and after it runs.
struct job_cancel {
	pthread_mutex_t lock;
	bool fired;
	struct rpc_call *call;
};
#define JOB_CANCEL_INIT                                \
	{                                              \
		PTHREAD_MUTEX_INITIALIZER, false, NULL \
	}
void job_cancel_fire(struct job_cancel *cancel); // never sleeps

// The source is a tree (agent/tree.h). Of an action, outputs may be files, directories and links.
enum job_entry_kind { JOB_FILE, JOB_EXECUTABLE, JOB_DIRECTORY, JOB_SYMLINK };
struct job_entry {
	size_t index;     // of the output
	const char *name; // below it, where it is a directory; "": itself
	enum job_entry_kind kind;
	const char *target;
	uint64_t size;
};
struct job_tree {
	const char *directory;          // where the program starts, below the top; ""
	const char *const *environment; // "NAME=value"
	size_t n_environment;
	// A compile of the user's own text: the tree is the job's root, beside the toolchain (agent/root.h), and outputs are plain files.
	// ERR_ACCESS: not here (`process` has no roots, or the toolchain has an absent name).
	bool is_root;
	const char *const *writable; // directories below the top in which outputs are made
	size_t n_writable;
	const char *const *whole; // directories in which nothing of the toolchain is to be seen; none within another
	size_t n_whole;
	const char *const *absent; // absolute names of which the toolchain must have nothing
	size_t n_absent;
	// Of an action in a session that has said it has layers: see ExecTree. The source begins with what is made.
	const uint64_t *layers, *layers_made, *layers_removed;
	size_t n_layers, n_layers_made, n_layers_removed;
	// Of an action. A directory comes before what is in it; the bytes of a file come after it. 0, or -1 to give up.
	int (*entry)(void *ctx, const struct job_entry *entry, struct err *err);
	job_write_fn write;
	void *ctx;
};

struct runtime_job {
	const char *const *arguments; // NULL-terminated: the program (looked up in the toolchain's PATH) and all its words
	const char *source_name;      // below the scratch directory, where the program starts; NULL: there is no source
	job_read_fn read;
	void *read_ctx;
	bool is_packed;       // what `read` gives is one zstd frame: the agent unpacks it
	struct limits limits; // lower the session's; zeros: as the session's
	struct job_sink out, errs;
	struct job_output *outputs;
	size_t n_outputs;
	struct job_tree *tree;     // or NULL
	struct job_cancel *cancel; // or NULL
};

struct job_usage {
	uint64_t wall_us, user_us, system_us, peak_bytes; // of the job without its set-up; peak: of its largest process
};
struct job_result {
	int exit_status; // 0..255; 128 + signal where one killed it
	char limit[24];  // which limit ended the job, by its name in proto/coffer.proto's Limits; "" if none did
	struct job_usage usage;
	bool has_layers; // the session may have layers
};

// 0: the program has run, whatever its status. -1: it has not, or not to an end that means anything: ERR_USAGE, ERR_LIMIT
// (this job can't be run here: a bad name, a source larger than the scratch space), ERR_FORMAT (an output is no
// regular file), ERR_NOT_FOUND (no such program), ERR_PEER (the session is gone: open another), ERR_TIMEOUT (cancelled),
// ERR_IO and others (set-up failed).
// Sinks may have got bytes in any case.
int runtime_session_exec(struct runtime_session *session, const struct runtime_job *job, struct job_result *result,
			 struct err *err);

#endif

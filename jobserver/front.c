#include "jobserver/front.h"

#include "base/path.h"
#include "base/preload.h"
#include "jobserver/client/cores.h"
#include "jobserver/client/lease.h"
#include "jobserver/masquerade.h"
#include "jobserver/place.h"
#include "jobserver/progress.h"
#include "jobserver/server.h"
#include "jobserver/tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOT_FOUND = 127, NOT_EXECUTABLE = 126, TOOLS_OWN_FILES = 64 };

// One run: what the steps find out, in their order.
struct run {
	struct front *f;
	struct arena arena;
	char *program; // argv[0]'s file
	char *probed;  // the file of the tool whose version decides
	char *path;    // PATH with the masquerade directory in front
	bool has_parent, parent_lost;
	int claim; // of the slot that a command of another front end was started with; -1: none
	bool has_slot;
	struct parent parent;
	unsigned limit;
	struct tool tool;
	enum transport transport;
	struct build_place place;
	struct server *server;
	struct progress progress;
	struct timespec started;
};

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("coffer: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

// ---- what is around us ----

static const char *env_or(const char *name, const char *other)
{
	const char *v = getenv(name);
	return v ? v : other;
}

static void find_programs(struct run *r)
{
	const char *list = env_or("PATH", "/usr/bin:/bin");
	r->program = tool_find(&r->arena, r->f->argv[0], list, NULL);
	r->probed = r->f->probe ? tool_find(&r->arena, r->f->probe, list, NULL) : NULL;
	r->path = arena_strdup(&r->arena, list);
	if (!r->f->launcher || !r->f->cache_dir)
		return;
	struct err err = ERR_INIT;
	char *dir;
	int found = masquerade_dir(&r->arena, r->f->launcher, r->f->cache_dir, list, &dir, &err);
	if (found > 0)
		r->path = arena_printf(&r->arena, "%s:%s", dir, list);
	else if (found < 0)
		say("compilers are not cached unless the build calls coffer itself: %s", err.text);
}

static bool is_ours(const struct auth *a)
{
	const char *ours = getenv("COFFER_JOBSERVER_AUTH");
	return getenv("COFFER_JOBSERVER") && ours && a->text_len == strlen(ours) && memcmp(a->text, ours, a->text_len) == 0;
}

// Are we in a pool of another front end of ours that is still the one MAKEFLAGS names, and that this tool understands?
static bool is_nested(const struct run *r, const struct auth *a)
{
	if (!r->has_parent || !is_ours(a) || r->f->jobs != JOBS_UNSET)
		return false;
	bool knows_fds = r->transport == TRANSPORT_PIPES || r->tool.kind == TOOL_MAKE;
	bool knows_fifo = r->transport == TRANSPORT_FIFO;
	return r->tool.kind == TOOL_OTHER || (a->kind == AUTH_FDS ? knows_fds : knows_fifo);
}

// In a recipe of make or a command of ninja we were started with a slot of our own. In a command that is the tool itself, or
// behind a gate, another front end beside us may have it.
static void find_slot(struct run *r, const struct auth *a)
{
	pid_t server;
	r->has_slot = true;
	if (!r->has_parent || !is_ours(a) || lease_claim(getenv("COFFER_JOBSERVER"), &r->claim, &server))
		return;
	struct tree t;
	bool is_known = tree_read(&t, server);
	unsigned clients = tree_clients_above(&t, getpid());
	r->has_slot = !is_known || clients > (getenv("COFFER_SLOT") ? 1 : 0);
	tree_release(&t);
}

static void find_parent(struct run *r, const struct auth *a)
{
	int found = parent_open(&r->parent, getenv("MAKEFLAGS"), NULL);
	r->has_parent = found > 0;
	r->parent_lost = found < 0;
	find_slot(r, a);
}

static void find_limit(struct run *r, const struct auth *a)
{
	struct front *f = r->f;
	bool reads_makeflags = f->grammar != JOBS_OF_NINJA;
	if (f->jobs == JOBS_UNSET && a->kind == AUTH_NONE && reads_makeflags) {
		f->jobs = makeflags_jobs(getenv("GNUMAKEFLAGS"));
		f->jobs = f->jobs == JOBS_UNSET ? makeflags_jobs(getenv("MAKEFLAGS")) : f->jobs;
	}
	if (f->jobs > 0)
		r->limit = (unsigned)f->jobs;
	else if (r->has_parent)
		r->limit = PARENT_MOST_TOKENS;
	else if (r->parent_lost || getenv("COFFER_SLOT"))
		r->limit = 1;
	else
		r->limit = cores_available();
	if (r->parent_lost && f->jobs == JOBS_UNSET)
		say("the make around this one keeps its jobserver to itself: using 1 local job\n"
		    "coffer: add '+' in front of the recipe that calls coffer");
}

// ---- which transport ----

static bool has_pidfds(void)
{
	int fd AUTO_CLOSE = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return fd >= 0;
}

static bool can_gate(const struct run *r)
{
	struct arena a AUTO_ARENA = ARENA_INIT;
	const char *dir = r->f->gate_dir;
	return dir && r->probed && access(path_join(&a, dir, "coffer-gate"), X_OK) == 0 &&
	       access(path_join(&a, dir, "libcoffer-gate.so"), R_OK) == 0 && preload_fits(r->probed) && has_pidfds();
}

static void find_transport(struct run *r)
{
	if (r->probed)
		r->tool = tool_probe(r->probed);
	r->transport = tool_transport(&r->tool, r->tool.kind == TOOL_NINJA && can_gate(r));
	// Whatever `coffer run` starts most likely knows what every jobserver client has known for twenty years.
	if (r->tool.kind == TOOL_OTHER && r->f->grammar == JOBS_OF_NONE)
		r->transport = TRANSPORT_PIPES;
}

// What a tool behind a gate may start: each of its commands costs it a descriptor. Without a farm no more than may run.
static unsigned jobs_behind_gate(const struct run *r)
{
	if (!r->f->has_farm && !r->has_parent)
		return r->limit;
	unsigned jobs = FRONT_MOST_LOANS + r->limit;
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < jobs + TOOLS_OWN_FILES)
		jobs = files.rlim_cur > 2 * TOOLS_OWN_FILES ? (unsigned)files.rlim_cur - TOOLS_OWN_FILES : r->limit;
	return jobs;
}

// ---- the tool's words and environment ----

// Puts `word` where the tool takes options: behind its name, or for cmake behind "--".
static void insert_option(struct run *r, const char *word)
{
	struct front *f = r->f;
	size_t n = 0, at = 1;
	while (f->argv[n])
		n++;
	char **argv = arena_alloc(&r->arena, (n + 3) * sizeof *argv);
	if (f->grammar == JOBS_OF_CMAKE)
		for (at = 1; at < n && strcmp(f->argv[at - 1], "--") != 0; at++)
			;
	bool dashes = f->grammar == JOBS_OF_CMAKE && strcmp(f->argv[at - 1], "--") != 0;
	if (dashes)
		at = n;
	memcpy(argv, f->argv, at * sizeof *argv);
	size_t k = at;
	if (dashes)
		argv[k++] = arena_strdup(&r->arena, "--");
	argv[k++] = arena_strdup(&r->arena, word);
	memcpy(argv + k, f->argv + at, (n - at) * sizeof *argv);
	f->argv = argv;
}

static char *makeflags_for(struct run *r, const char *old, const char *words)
{
	struct buf flags AUTO_BUF = BUF_INIT;
	makeflags_write(&flags, old, r->has_parent ? cores_available() : r->limit, words);
	return arena_strdup(&r->arena, flags.data ? flags.data : "");
}

static const char *jobserver_words(struct run *r, const char *auth)
{
	bool is_fifo = strncmp(auth, "fifo:", 5) == 0;
	return arena_printf(&r->arena, is_fifo ? "--jobserver-auth=%s" : "--jobserver-fds=%s --jobserver-auth=%s", auth,
			    auth);
}

static void set_gate_environment(struct run *r)
{
	const char *old = getenv("LD_PRELOAD"), *dir = r->f->gate_dir;
	char *lib = path_join(&r->arena, dir, "libcoffer-gate.so");
	AUTO_FREE char *real = realpath(r->probed, NULL);
	setenv("LD_PRELOAD", old && old[0] ? arena_printf(&r->arena, "%s:%s", lib, old) : lib, 1);
	setenv("COFFER_GATE", path_join(&r->arena, dir, "coffer-gate"), 1);
	setenv("COFFER_GATE_TOOL", real ? real : r->probed, 1);
	const char *auth = server_auth(r->server);
	if (auth[0])
		setenv("COFFER_GATE_MAKEFLAGS", makeflags_for(r, getenv("MAKEFLAGS"), jobserver_words(r, auth)), 1);
	if (r->has_parent)
		unsetenv("MAKEFLAGS"); // what it names is ours now
}

static void set_environment(struct run *r)
{
	for (const char *const *e = r->f->env; e && e[0]; e += 2)
		setenv(e[0], e[1], 0);
	setenv("PATH", r->path, 1);
	if (!r->server)
		return;
	parent_hide(&r->parent);
	setenv("COFFER_JOBSERVER", server_socket(r->server), 1);
	const char *auth = server_auth(r->server);
	if (auth[0])
		setenv("COFFER_JOBSERVER_AUTH", auth, 1);
	else
		unsetenv("COFFER_JOBSERVER_AUTH");
	unsetenv("COFFER_SLOT");
	if (r->transport == TRANSPORT_GATE) {
		set_gate_environment(r);
		return;
	}
	setenv("MAKEFLAGS", makeflags_for(r, getenv("MAKEFLAGS"), jobserver_words(r, auth)), 1);
	if (getenv("GNUMAKEFLAGS"))
		setenv("GNUMAKEFLAGS", makeflags_for(r, getenv("GNUMAKEFLAGS"), NULL), 1);
}

// Becomes the tool; returns only if that failed.
static int become(struct run *r)
{
	set_environment(r);
	if (r->program)
		execv(r->program, r->f->argv);
	else
		errno = ENOENT;
	int e = errno;
	say("cannot run '%s': %s", r->f->argv[0], strerror(e));
	return e == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

// ---- without a jobserver of ours ----

static int run_plain(struct run *r)
{
	struct front *f = r->f;
	bool is_client = r->has_parent && r->tool.kind == TOOL_MAKE;
	if (f->grammar == JOBS_OF_NONE || (is_client && f->jobs == JOBS_UNSET))
		return become(r);
	unsigned jobs = r->has_parent && f->jobs < 1 ? 1 : r->limit;
	if (r->tool.kind == TOOL_NINJA && (r->tool.major > 1 || r->tool.minor >= 13))
		say("elastic mode is off: this ninja (%u.%u) takes tokens only as its own jobs end, and coffer-gate can't "
		    "count its "
		    "commands here; it runs with -j%u",
		    r->tool.major, r->tool.minor, jobs);
	else if (r->tool.kind == TOOL_NINJA)
		say("elastic mode is off: this ninja (%u.%u) takes part in no jobserver; it runs with -j%u", r->tool.major,
		    r->tool.minor, jobs);
	else if (r->tool.kind == TOOL_MAKE)
		say("elastic mode is off: it needs GNU make 4.3 or later, this is %u.%u; it runs with -j%u", r->tool.major,
		    r->tool.minor, jobs);
	insert_option(r, arena_printf(&r->arena, "-j%u", jobs));
	return become(r);
}

// ---- progress and summary ----

static struct front_counts counts_of(const struct run *r)
{
	struct front_counts c = {0, 0};
	if (r->f->counts)
		r->f->counts(r->f->ctx, &c);
	return c;
}

static void on_tick(void *ctx, const struct server_status *st, bool resized)
{
	struct run *r = ctx;
	struct front_counts c = counts_of(r);
	char line[200];
	if (!c.compiles && !st->figures->loans)
		return;
	snprintf(line, sizeof line, "coffer: %llu done, %ld local, %u remote, %u held, %llu hits",
		 (unsigned long long)(c.compiles ? c.compiles : st->figures->loans - st->remote - st->held), st->local,
		 st->remote, st->held, (unsigned long long)c.hits);
	progress_draw(&r->progress, line, resized);
}

static void print_summary(const struct run *r)
{
	struct server_status st = server_status(r->server);
	const struct client_figures *g = st.figures;
	struct front_counts c = counts_of(r);
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	double wall = (double)(now.tv_sec - r->started.tv_sec) + (double)(now.tv_nsec - r->started.tv_nsec) / 1e9;
	say("%.1f s, %llu compiles, %llu hits", wall, (unsigned long long)c.compiles, (unsigned long long)c.hits);
	say("local: at most %u commands at once, %u slots", g->most_local, r->has_parent ? g->most_local : r->limit);
	if (g->loans)
		say("remote: %llu, at most %u at once; %llu held for a local slot, %.2f s on average, %.2f s at most",
		    (unsigned long long)g->loans, g->most_remote, (unsigned long long)g->helds,
		    g->helds ? (double)g->held_ms / 1000 / (double)g->helds : 0.0, (double)g->longest_held_ms / 1000);
	if (g->lost)
		say("%u tokens were lost with a make that was killed, and replaced", g->lost);
	if (g->refused)
		say("%u compiles kept their slot while they were remote: %d loans at once is the most", g->refused,
		    FRONT_MOST_LOANS);
}

// ---- with a jobserver of ours ----

static enum pool_kind pool_for(enum transport t)
{
	return t == TRANSPORT_PIPES ? POOL_PIPES : t == TRANSPORT_FIFO ? POOL_FIFO : POOL_NONE;
}

// Most that asks behind a gate is a make. Where there is none, a fifo is what ninja and all others of today know.
static enum transport transport_of_commands(struct run *r)
{
	char *make = tool_find(&r->arena, "make", env_or("PATH", "/usr/bin:/bin"), NULL);
	struct tool t = make ? tool_probe(make) : (struct tool){TOOL_OTHER, 0, 0, false};
	return t.kind == TOOL_MAKE ? tool_transport(&t, false) : TRANSPORT_FIFO;
}

static int open_server(struct run *r, struct err *err)
{
	if (place_make(&r->place, err) < 0)
		return -1;
	bool is_gate = r->transport == TRANSPORT_GATE;
	progress_init(&r->progress, STDERR_FILENO, r->f->wants_progress);
	struct server_options o = {.limit = r->limit,
				   .cap = FRONT_MOST_LOANS,
				   .kind = pool_for(is_gate ? transport_of_commands(r) : r->transport),
				   .is_gate = is_gate,
				   .dir = r->place.dir,
				   .parent = r->has_parent ? &r->parent : NULL,
				   .tick = r->progress.fd >= 0 ? on_tick : NULL,
				   .ctx = r};
	r->server = server_open(&o, err);
	return r->server ? 0 : -1;
}

// The tool ends when we are killed, as a build ends when its make is.
static pid_t spawn(struct run *r)
{
	pid_t us = getpid(), pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != us)
		_exit(NOT_EXECUTABLE);
	server_before_exec(r->server);
	_exit(become(r));
}

static void die_by(int sig)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); // the tool has left a core file, or not
	signal(sig, SIG_DFL);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
}

static int finish(struct run *r, int status)
{
	progress_end(&r->progress);
	if (r->f->wants_summary)
		print_summary(r);
	server_close(r->server);
	place_remove(&r->place);
	if (WIFSIGNALED(status)) {
		die_by(WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}

// Another front end has the slot that we were started with: we begin with it when that has ended, or with a token, which the server
// gives back.
static void await_slot(struct run *r)
{
	char go;
	while (!r->has_slot) {
		struct pollfd fds[] = {{.fd = r->parent.r, .events = POLLIN}, {.fd = r->claim, .events = POLLIN}};
		poll(fds, 2, -1);
		r->has_slot = (fds[1].revents && recv(r->claim, &go, 1, MSG_DONTWAIT) >= 0) || parent_take(&r->parent);
	}
	if (r->parent.taken) // the next one may have the slot
		close(TAKE_FD(r->claim));
}

// A load that no machine reaches: ninja asks for it whenever it could start something (jobserver/preload/ends.c). A -l of the user
// stands behind it, and counts.
static const char asks_for_load[] = "-l1000000000";

static int run_as_jobserver(struct run *r)
{
	unsigned jobs = jobs_behind_gate(r); // with the limits that the tool will have, too
	struct err err = ERR_INIT;
	await_slot(r);
	if (open_server(r, &err) < 0) {
		say("elastic mode is off: %s", err.text);
		place_remove(&r->place);
		return run_plain(r);
	}
	if (jobs > server_most_commands(r->server))
		jobs = server_most_commands(r->server);
	if (r->transport == TRANSPORT_GATE) {
		insert_option(r, asks_for_load);
		insert_option(r, arena_printf(&r->arena, "-j%u", jobs));
	}
	clock_gettime(CLOCK_MONOTONIC, &r->started);
	fflush(NULL);
	pid_t pid = spawn(r);
	int status = pid < 0 ? err_errno(&err, "cannot start '%s'", r->f->argv[0]) : server_run(r->server, pid);
	if (status < 0) {
		say("%s", err.text);
		if (pid > 0) {
			kill(pid, SIGTERM);
			while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
				;
		}
		status = 1 << 8;
	}
	return finish(r, status);
}

int front_run(struct front *f)
{
	struct run r = {.f = f, .claim = -1, .parent = PARENT_INIT, .place = PLACE_INIT, .progress = {.fd = -1}};
	int status;
	find_programs(&r);
	struct auth around = makeflags_auth(getenv("MAKEFLAGS"));
	if (!f->untouched) {
		find_transport(&r);
		find_parent(&r, &around);
	}
	if (f->untouched || !r.program || is_nested(&r, &around)) {
		status = become(&r);
	} else {
		find_limit(&r, &around);
		status = r.transport == TRANSPORT_NONE ? run_plain(&r) : run_as_jobserver(&r);
	}
	mem_close_cleanup(&r.claim);
	arena_release(&r.arena);
	return status;
}

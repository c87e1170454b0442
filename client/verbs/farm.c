// `coffer farm`: a farm on this machine in one command, to try it; and one more machine for a farm that is there.
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/path.h"
#include "base/tree.h"
#include "base/value.h"
#include "client/verbs/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
	"usage: coffer farm try [--workers N] [--runtime sandbox|process] [-- COMMAND [ARGUMENT]...]\n"
	"       coffer farm add HOST --site FOLDER [--name NAME] [--dry-run]\n"
	"\n"
	"try makes keys, a scheduler and N workers (2) on this machine, in a folder that only you can read, and\n"
	"says how to use them. With a COMMAND it runs that on the farm, else it waits for Ctrl-C; then all of it\n"
	"is taken down. Compiles of the command go to the workers but for what one core does.\n"
	"add makes a worker's keys from the farm's FOLDER (coffer keys init), brings them to HOST by ssh as root,\n"
	"and starts coffer-worker.service there.\n";

enum { MAX_WORKERS = 16, START_MS = 20000, STOP_MS = 20000, MAX_LOG = 1 << 20, MAX_ADDRESS = 128 };

struct part {
	pid_t pid;
	const char *name, *log;
	char address[MAX_ADDRESS];
};

struct farm_try {
	struct arena arena;
	const char *dir, *runtime;
	int n_workers;
	struct part scheduler, workers[MAX_WORKERS];
};

static const char *in_dir(struct farm_try *t, const char *name)
{
	return path_join(&t->arena, t->dir, name);
}

// ---- processes ------------------------------------------------------------------------------------------------------

// Our own program with these arguments, its output in `log`. -1 with err.
static pid_t start_self(const char *const *arguments, const char *log, struct err *err)
{
	AUTO_CLOSE int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "cannot make '%s'", log);
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		return err_errno(err, "cannot start a process");
	if (pid > 0)
		return pid;
	// With us gone nobody would end it. A Ctrl-C is for us, who then end it in order.
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0);
	if (getppid() == parent && dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0)
		execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
	_exit(127);
}

static bool has_ended(pid_t pid)
{
	int status;
	return waitpid(pid, &status, WNOHANG) != 0;
}

static void stop_part(struct part *p)
{
	if (p->pid <= 0)
		return;
	kill(p->pid, SIGTERM);
	int64_t until = clock_ms() + STOP_MS;
	while (!has_ended(p->pid)) {
		if (clock_ms() > until)
			kill(p->pid, SIGKILL);
		usleep(20000);
	}
	p->pid = 0;
}

// The last line of a log, for what went wrong.
static int fail_with_log(const struct part *p, const char *what, struct err *err)
{
	AUTO_BUF struct buf text = {.max = MAX_LOG};
	struct err ignored = ERR_INIT;
	const char *last = "";
	if (file_read(AT_FDCWD, p->log, MAX_LOG, &text, NULL, &ignored) == 0 && text.len) {
		while (text.len && text.data[text.len - 1] == '\n')
			text.data[--text.len] = '\0';
		const char *newline = strrchr(text.data, '\n');
		last = newline ? newline + 1 : text.data;
	}
	return err_set(err, ERR_IO, "%s %s: %.500s", p->name, what, last);
}

// Waits until the part says in its log that it serves, and takes the address from there.
static int wait_until_it_serves(struct part *p, struct err *err)
{
	int64_t until = clock_ms() + START_MS;
	while (clock_ms() < until) {
		AUTO_BUF struct buf text = {.max = MAX_LOG};
		struct err ignored = ERR_INIT;
		bool is_gone = has_ended(p->pid);
		if (file_read(AT_FDCWD, p->log, MAX_LOG, &text, NULL, &ignored) == 0 && text.len) {
			const char *line = strstr(text.data, " serves\""),
				   *at = line ? strstr(line, "\"address\":\"") : NULL;
			if (at && sscanf(at, "\"address\":\"%127[^\"]", p->address) == 1)
				return 0;
		}
		if (is_gone) {
			p->pid = 0;
			return fail_with_log(p, "has ended", err);
		}
		usleep(20000);
	}
	return fail_with_log(p, "does not start", err);
}

// ---- try ------------------------------------------------------------------------------------------------------------

static int make_keys(struct farm_try *t, struct err *err)
{
	const char *arguments[8 + 2 * MAX_WORKERS] = {"coffer", "keys", "init", in_dir(t, "site"), "--tenant", "you"};
	size_t n = 6;
	for (int i = 0; i < t->n_workers; i++) {
		arguments[n++] = "--worker";
		arguments[n++] = arena_printf(&t->arena, "w%d", i + 1);
	}
	struct part keys = {.name = "coffer keys", .log = in_dir(t, "keys.log")};
	int status;
	keys.pid = start_self(arguments, keys.log, err);
	if (keys.pid < 0)
		return -1;
	while (waitpid(keys.pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0 ? 0 : fail_with_log(&keys, "has failed", err);
}

static int start_scheduler(struct farm_try *t, struct err *err)
{
	const char *arguments[] = {"coffer",   "scheduler",   "--config", in_dir(t, "site/scheduler.conf"),
				   "--listen", "127.0.0.1:0", "--admin",  "",
				   NULL};
	t->scheduler = (struct part){.name = "the scheduler", .log = in_dir(t, "scheduler.log")};
	t->scheduler.pid = start_self(arguments, t->scheduler.log, err);
	return t->scheduler.pid < 0 ? -1 : wait_until_it_serves(&t->scheduler, err);
}

static int start_worker(struct farm_try *t, int i, struct err *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN), slots = (cores + t->n_workers - 1) / t->n_workers;
	struct part *p = &t->workers[i];
	const char *name = arena_printf(&t->arena, "w%d", i + 1);
	const char *arguments[] = {"coffer",
				   "worker",
				   "--config",
				   in_dir(t, arena_printf(&t->arena, "site/worker-%s.conf", name)),
				   "--listen",
				   "127.0.0.1:0",
				   "--address",
				   "",
				   "--scheduler",
				   t->scheduler.address,
				   "--admin",
				   "",
				   "--folder",
				   in_dir(t, name),
				   "--runtime",
				   t->runtime,
				   "--slots",
				   arena_printf(&t->arena, "%ld", slots < 1 ? 1 : slots),
				   "--drain-time",
				   "2s",
				   NULL};
	*p = (struct part){.name = arena_printf(&t->arena, "worker %s", name),
			   .log = in_dir(t, arena_printf(&t->arena, "%s.log", name))};
	p->pid = start_self(arguments, p->log, err);
	return p->pid < 0 ? -1 : wait_until_it_serves(p, err);
}

// The scheduler has to know them before the first compile asks.
static int wait_for_registrations(struct farm_try *t, struct err *err)
{
	int64_t until = clock_ms() + START_MS;
	while (clock_ms() < until) {
		AUTO_BUF struct buf text = {.max = MAX_LOG};
		int n = 0;
		if (file_read(AT_FDCWD, t->scheduler.log, MAX_LOG, &text, NULL, err) < 0)
			return -1;
		for (const char *p = text.len ? text.data : ""; (p = strstr(p, "worker registered")); p++)
			n++;
		if (n >= t->n_workers)
			return 0;
		usleep(20000);
	}
	return fail_with_log(&t->scheduler, "knows too few workers", err);
}

static int write_settings(struct farm_try *t, struct err *err)
{
	const char *site = in_dir(t, "site");
	AUTO_FREE char *text = mem_printf("# Of 'coffer farm try': coffer.conf(5).\n"
					  "scheduler = %s\n"
					  "certificate = %s/tenant-you.pem\n"
					  "certificate_key = %s/tenant-you-key.pem\n"
					  "scheduler_ca = %s/ca.pem\n"
					  "isolation = %s\n"
					  "# One core here, which preprocesses: so what may go to workers does.\n"
					  "local_jobs = 1\n",
					  t->scheduler.address, site, site, site, t->runtime);
	return file_write_atomic(AT_FDCWD, in_dir(t, "coffer.conf"), text, strlen(text), 0600, err);
}

static int allow_runtime(struct farm_try *t, struct err *err)
{
	AUTO_BUF struct buf text = {.max = MAX_LOG};
	const char *path = in_dir(t, "site/tenants.conf");
	if (strcmp(t->runtime, "process") != 0)
		return 0;
	if (file_read(AT_FDCWD, path, MAX_LOG, &text, NULL, err) < 0)
		return -1;
	const char *was = "isolation = sandbox", *at = strstr(text.data, was);
	if (!at)
		return err_set(err, ERR_FORMAT, "'%s' has no line '%s'", path, was);
	AUTO_FREE char *now = mem_printf("%.*sisolation = process%s", (int)(at - text.data), text.data, at + strlen(was));
	return file_write_atomic(AT_FDCWD, path, now, strlen(now), 0600, err);
}

static int make_farm(struct farm_try *t, struct err *err)
{
	if (make_keys(t, err) < 0 || allow_runtime(t, err) < 0 || start_scheduler(t, err) < 0)
		return -1;
	for (int i = 0; i < t->n_workers; i++)
		if (start_worker(t, i, err) < 0)
			return -1;
	return wait_for_registrations(t, err) < 0 ? -1 : write_settings(t, err);
}

static void say_what_there_is(struct farm_try *t, bool has_command)
{
	fprintf(stderr, "coffer: a farm is in %s: keys, a scheduler (%s)", t->dir, t->scheduler.address);
	for (int i = 0; i < t->n_workers; i++)
		fprintf(stderr, "%s %s (%s)",
			i == 0                 ? ","
			: i + 1 < t->n_workers ? ","
					       : " and",
			t->workers[i].name, t->workers[i].address);
	fprintf(stderr, "\ncoffer: builds use it with: COFFER_CONFIG=%s coffer make\n", in_dir(t, "coffer.conf"));
	if (!has_command)
		fprintf(stderr, "coffer: Ctrl-C takes it down\n");
}

// Runs the command with our settings. Its exit status as a shell has it.
static int run_command(struct farm_try *t, char **words)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setenv("COFFER_CONFIG", in_dir(t, "coffer.conf"), 1);
		execvp(words[0], words);
		fprintf(stderr, "coffer: cannot run '%s': %s\n", words[0], strerror(errno));
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	if (pid < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The daemon of these settings has nothing to do any more.
static void stop_daemon(struct farm_try *t)
{
	struct err err = ERR_INIT;
	const char *arguments[] = {"coffer", "stop", NULL};
	setenv("COFFER_CONFIG", in_dir(t, "coffer.conf"), 1);
	pid_t pid = start_self(arguments, in_dir(t, "stop.log"), &err);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void take_down(struct farm_try *t)
{
	for (int i = 0; i < t->n_workers; i++)
		if (t->workers[i].pid > 0)
			kill(t->workers[i].pid, SIGTERM);
	for (int i = 0; i < t->n_workers; i++)
		stop_part(&t->workers[i]);
	stop_part(&t->scheduler);
	tree_remove(AT_FDCWD, t->dir);
}

static int make_dir(struct farm_try *t, struct err *err)
{
	const char *parent = getenv("TMPDIR");
	char *dir = arena_printf(&t->arena, "%s/coffer-farm-XXXXXX", parent && parent[0] == '/' ? parent : "/tmp");
	if (!mkdtemp(dir)) // mode 0700
		return err_errno(err, "cannot make the folder '%s'", dir);
	t->dir = dir;
	return 0;
}

static int try_farm(int n_workers, const char *runtime, char **command)
{
	struct farm_try t = {.n_workers = n_workers, .runtime = runtime};
	struct err err = ERR_INIT;
	sigset_t signals, old;
	int status = 1;
	if (make_dir(&t, &err) < 0)
		return verb_fail(&err);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &old); // they end the farm, not this function
	if (make_farm(&t, &err) < 0) {
		status = verb_fail(&err);
	} else {
		say_what_there_is(&t, command[0]);
		int number = 0;
		status = command[0] ? run_command(&t, command) : sigwait(&signals, &number);
		stop_daemon(&t);
	}
	take_down(&t);
	sigprocmask(SIG_SETMASK, &old, NULL);
	arena_release(&t.arena);
	return status;
}

// ---- add ------------------------------------------------------------------------------------------------------------

static int run_and_wait(const char *const *arguments, struct err *err)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		execvp(arguments[0], (char *const *)(uintptr_t)arguments);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && status == 0 ? 0 : err_set(err, ERR_IO, "'%s' has failed: see above", arguments[0]);
}

// One shell command: what is brought there, and what is run there. Names were checked: none has a quote or a blank in it.
static const char *script_of(struct arena *a, const char *site, const char *host, const char *name)
{
	return arena_printf(
		a,
		"set -eu; cd '%s'; d=$(mktemp -d); trap 'rm -rf \"$d\"' EXIT; umask 077\n"
		"cp worker-%s.conf \"$d/worker.conf\"; cp ca.pem jwks.json \"$d/\"\n"
		"cp worker-%s.pem \"$d/worker.pem\"; cp worker-%s-key.pem \"$d/worker-key.pem\"\n"
		"sed -i 's/= worker-%s\\.pem/= worker.pem/; s/= worker-%s-key\\.pem/= worker-key.pem/' \"$d/worker.conf\"\n"
		"chmod 644 \"$d\"/*; chmod 600 \"$d/worker-key.pem\"\n"
		"tar -C \"$d\" -cf - . | ${COFFER_SSH:-ssh} 'root@%s' 'set -e; install -d -m 755 /etc/coffer; "
		"tar -C /etc/coffer --no-same-owner -xpf -; chmod 755 /etc/coffer; "
		"systemctl enable coffer-worker; systemctl restart coffer-worker'\n",
		site, name, name, name, name, name, host);
}

static int add_machine(const char *host, const char *site, const char *name, bool is_dry)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	AUTO_FREE char *full = realpath(site, NULL);
	if (!full || strpbrk(full, "'\n"))
		return verb_wrong("farm", "there is no folder '%s'", site);
	if (!name)
		name = arena_strndup(&a, host, strcspn(host, "."));
	if (!value_is_name(host, 253, ".-") || !value_is_name(name, 64, ".-_"))
		return verb_wrong("farm", "'%.80s' is no host's name or address (a port is not part of it)", host);
	const char *script = script_of(&a, full, host, name);
	const char *pair = arena_printf(&a, "%s=%s", name, host);
	const char *keys[] = {"/proc/self/exe", "keys", "add", full, "--worker", pair, NULL};
	const char *shell[] = {"sh", "-c", script, NULL};
	if (is_dry) {
		printf("coffer keys add %s --worker %s\n%s", full, pair, script);
		return 0;
	}
	if (access(arena_printf(&a, "%s/worker-%s.pem", full, name), F_OK) < 0 && run_and_wait(keys, &err) < 0)
		return verb_fail(&err);
	if (run_and_wait(shell, &err) < 0)
		return verb_fail(&err);
	printf("worker %s runs on %s; see it register: journalctl -u coffer-scheduler | grep %s\n", name, host, name);
	return 0;
}

// ---- words ----------------------------------------------------------------------------------------------------------

enum { VALUE_WORKERS = 1, VALUE_RUNTIME, VALUE_SITE, VALUE_NAME };

int verb_farm(int argc, char **argv)
{
	int is_dry = 0;
	const struct option options[] = {{"workers", required_argument, NULL, VALUE_WORKERS},
					 {"runtime", required_argument, NULL, VALUE_RUNTIME},
					 {"site", required_argument, NULL, VALUE_SITE},
					 {"name", required_argument, NULL, VALUE_NAME},
					 {"dry-run", no_argument, &is_dry, 1},
					 {0}};
	// What stands behind "--" is the command, with options of its own.
	int n = 0;
	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	char **command = n < argc ? argv + n + 1 : argv + argc;
	argv[n] = NULL;
	struct verb_args args = {.usage = usage, .options = options, .min_words = 1, .max_words = 2};
	if (!verb_parse(&args, n, argv))
		return args.exit_status;
	const char *runtime = args.values[VALUE_RUNTIME] ? args.values[VALUE_RUNTIME] : "sandbox";
	int64_t n_workers = 2;
	if (args.values[VALUE_WORKERS] && (value_parse(VALUE_INTEGER, NULL, args.values[VALUE_WORKERS], &n_workers) ||
					   n_workers < 1 || n_workers > MAX_WORKERS))
		return verb_wrong("farm", "'%.80s' is no number of workers: 1 to %d", args.values[VALUE_WORKERS],
				  MAX_WORKERS);
	if (strcmp(runtime, "sandbox") != 0 && strcmp(runtime, "process") != 0)
		return verb_wrong("farm", "there is no runtime '%.80s': sandbox, process", runtime);
	if (strcmp(args.words[0], "try") == 0 && args.n_words == 1)
		return try_farm((int)n_workers, runtime, command);
	if (strcmp(args.words[0], "add") == 0 && args.n_words == 2 && args.values[VALUE_SITE])
		return add_machine(args.words[1], args.values[VALUE_SITE], args.values[VALUE_NAME], is_dry);
	return verb_wrong("farm", "it is 'coffer farm try [-- COMMAND]' or 'coffer farm add HOST --site FOLDER'");
}

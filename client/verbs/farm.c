// `coffer farm`: a farm on this machine in one command, to try it; and one more machine for a farm that is there.
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/path.h"
#include "base/tree.h"
#include "base/value.h"
#include "client/config.h"
#include "client/stats.h"
#include "client/verbs/farm_vm.h"
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
	"       coffer farm try --runtime microvm [--image sha256:…] [--images DIR] [--vm-kernel FILE] [--vm-modules DIR]\n"
	"                       [--workers N] [-- COMMAND [ARGUMENT]...]\n"
	"       coffer farm add HOST --site FOLDER [--name NAME] [--dry-run]\n"
	"\n"
	"try makes keys, a scheduler and N workers (2) on this machine, in a folder that only you can read, and\n"
	"says how to use them. With a COMMAND it runs that on the farm, else it waits for Ctrl-C; then all of it\n"
	"is taken down. Compiles of the command go to the workers but for what one core does.\n"
	"With the runtime microvm they run in virtual machines, with the compiler of an image (coffer image).\n"
	"add makes a worker's keys from the farm's FOLDER (coffer keys init), brings them to HOST by ssh as root,\n"
	"and starts coffer-worker.service there.\n";

enum {
	MAX_WORKERS = 16,
	START_MS = 20000,
	STOP_MS = 20000,
	MACHINES_MS = 180000,
	MAX_LOG = 1 << 20,
	MAX_ADDRESS = 128,
	MAX_WORDS = 40
};

struct part {
	pid_t pid;
	const char *name, *log;
	char address[MAX_ADDRESS];
};

struct farm_try {
	struct arena arena;
	const char *dir, *runtime;
	struct farm_vm vm; // of the runtime microvm only
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

// What a worker has to be told besides, appended to its arguments.
static void add_vm_words(const struct farm_try *t, const char **arguments, size_t n)
{
	const char *const words[] = {"--images", t->vm.images, "--vm-kernel", t->vm.kernel, "--vm-modules", t->vm.modules,
				     "--vm-accel", t->vm.is_emulated ? "tcg" : "kvm",
				     // A boot that is emulated takes a core away from those that somebody waits for.
				     "--vm-ahead", t->vm.is_emulated ? "0" : "1"};
	for (size_t i = 0; t->vm.kernel && i < COUNT_OF(words); i++)
		arguments[n++] = words[i];
}

static int start_worker(struct farm_try *t, int i, struct err *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN), slots = (cores + t->n_workers - 1) / t->n_workers;
	struct part *p = &t->workers[i];
	const char *name = arena_printf(&t->arena, "w%d", i + 1);
	const char *arguments[MAX_WORDS] = {"coffer",       "worker",
					    "--config",     in_dir(t, arena_printf(&t->arena, "site/worker-%s.conf", name)),
					    "--listen",     "127.0.0.1:0",
					    "--address",    "",
					    "--scheduler",  t->scheduler.address,
					    "--admin",      "",
					    "--folder",     in_dir(t, name),
					    "--runtime",    t->runtime,
					    "--slots",      arena_printf(&t->arena, "%ld", slots < 1 ? 1 : slots),
					    "--drain-time", "2s"};
	size_t n = 0;
	while (arguments[n])
		n++;
	add_vm_words(t, arguments, n);
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

// The label of its jobs: an emulated machine is no boundary.
static const char *isolation_of(const struct farm_try *t)
{
	return t->vm.is_emulated ? "none" : t->runtime;
}

static int write_settings(struct farm_try *t, struct err *err)
{
	const char *site = in_dir(t, "site");
	AUTO_FREE char *text =
		mem_printf("# Of 'coffer farm try': coffer.conf(5).\n"
			   "scheduler = %s\n"
			   "certificate = %s/tenant-you.pem\n"
			   "certificate_key = %s/tenant-you-key.pem\n"
			   "scheduler_ca = %s/ca.pem\n"
			   "isolation = %s\n"
			   "# One core here, which preprocesses: so what may go to workers does.\n"
			   "local_jobs = 1\n"
			   "image = %s\n",
			   t->scheduler.address, site, site, site, isolation_of(t), t->vm.image ? t->vm.image : "host:any");
	return file_write_atomic(AT_FDCWD, in_dir(t, "coffer.conf"), text, strlen(text), 0600, err);
}

static int allow_isolation(struct farm_try *t, struct err *err)
{
	AUTO_BUF struct buf text = {.max = MAX_LOG};
	const char *path = in_dir(t, "site/tenants.conf");
	if (strcmp(isolation_of(t), "sandbox") == 0)
		return 0;
	if (file_read(AT_FDCWD, path, MAX_LOG, &text, NULL, err) < 0)
		return -1;
	const char *was = "isolation = sandbox", *at = strstr(text.data, was);
	if (!at)
		return err_set(err, ERR_FORMAT, "'%s' has no line '%s'", path, was);
	AUTO_FREE char *now =
		mem_printf("%.*sisolation = %s%s", (int)(at - text.data), text.data, isolation_of(t), at + strlen(was));
	return file_write_atomic(AT_FDCWD, path, now, strlen(now), 0600, err);
}

static int run_doctor(struct farm_try *t, struct buf *said, struct err *err)
{
	const char *arguments[] = {"coffer", "doctor", NULL}, *log = in_dir(t, "doctor.log");
	unlink(log);
	pid_t pid = start_self(arguments, log, err);
	if (pid < 0)
		return -1;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return file_read(AT_FDCWD, log, MAX_LOG, said, NULL, err);
}

// A machine that boots at the first question, as it is for a client that was never here, is late with its answer, and then its jobs
// would be done here. So they are asked until they have answered, and what is not alike is said.
static int wait_for_machines(struct farm_try *t, struct err *err)
{
	int64_t until = clock_ms() + MACHINES_MS;
	setenv("COFFER_CONFIG", in_dir(t, "coffer.conf"), 1);
	for (;;) {
		AUTO_BUF struct buf said = {.max = MAX_LOG};
		if (run_doctor(t, &said, err) < 0)
			return -1;
		const char *text = said.len ? said.data : "", *differs = strstr(text, "is not used for"),
			   *fails = strstr(text, "does not describe its");
		bool is_late = strstr(text, "DEADLINE_EXCEEDED");
		if (is_late && clock_ms() < until)
			continue;
		if (is_late)
			return err_set(err, ERR_TIMEOUT, "the virtual machines are not ready after %d s",
				       MACHINES_MS / 1000);
		if (fails)
			return err_set(err, ERR_IO, "a worker %.*s", (int)strcspn(fails, "\n"), fails);
		if (differs)
			fprintf(stderr, "coffer: a worker %.*s\n", (int)strcspn(differs, "\n"), differs);
		if (!strstr(text, "compiles as this machine does"))
			fprintf(stderr, "coffer: the image has no compiler that is this machine's: all compiles stay here\n"
					"coffer: use an image with the same packages, or try with --runtime sandbox\n");
		return 0;
	}
}

static int make_farm(struct farm_try *t, struct err *err)
{
	if (make_keys(t, err) < 0 || allow_isolation(t, err) < 0 || start_scheduler(t, err) < 0)
		return -1;
	for (int i = 0; i < t->n_workers; i++)
		if (start_worker(t, i, err) < 0)
			return -1;
	if (wait_for_registrations(t, err) < 0 || write_settings(t, err) < 0)
		return -1;
	return t->vm.kernel ? wait_for_machines(t, err) : 0;
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
	if (t->vm.kernel)
		fprintf(stderr, "\ncoffer: jobs run in virtual machines of %s, kernel '%s'%s", t->vm.image, t->vm.kernel,
			t->vm.is_emulated ? ", emulated, as KVM runs no guests here: slow, and no boundary" : "");
	fprintf(stderr, "\ncoffer: builds use it with: COFFER_CONFIG=%s coffer make\n", in_dir(t, "coffer.conf"));
	if (!has_command)
		fprintf(stderr, "coffer: Ctrl-C takes it down\n");
}

// How many compiles came by coffer, and how many of them went away.
static void count_compiles(uint64_t *all, uint64_t *away)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *dir = config_cache_dir(&a, process_env, NULL);
	struct stats *s = dir ? stats_open(dir, NULL) : NULL;
	*all = stats_value(s, STAT_compiles);
	*away = stats_value(s, STAT_remote_compiles) + stats_value(s, STAT_remote_hits);
	stats_close(s);
}

static void say_what_came(const char *command, uint64_t all_before, uint64_t away_before)
{
	uint64_t all, away;
	count_compiles(&all, &away);
	if (all > all_before)
		fprintf(stderr, "coffer: %llu of %llu compiles went to the workers\n",
			(unsigned long long)(away - away_before), (unsigned long long)(all - all_before));
	else
		fprintf(stderr,
			"coffer: '%s' has compiled nothing by coffer; a build does so behind it: 'coffer farm try -- coffer "
			"make'\n",
			command);
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

static int try_farm(struct farm_try t, char **command)
{
	struct err err = ERR_INIT;
	sigset_t signals, old;
	int status = 1;
	if ((strcmp(t.runtime, "microvm") == 0 && farm_vm_find(&t.vm, &t.arena, &err) < 0) || make_dir(&t, &err) < 0) {
		arena_release(&t.arena);
		return verb_fail(&err);
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &old); // they end the farm, not this function
	if (make_farm(&t, &err) < 0) {
		status = verb_fail(&err);
	} else {
		int number = 0;
		uint64_t all, away;
		say_what_there_is(&t, command[0]);
		count_compiles(&all, &away);
		status = command[0] ? run_command(&t, command) : sigwait(&signals, &number);
		stop_daemon(&t);
		if (command[0])
			say_what_came(command[0], all, away);
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

enum {
	VALUE_WORKERS = 1,
	VALUE_RUNTIME,
	VALUE_SITE,
	VALUE_NAME,
	VALUE_IMAGE,
	VALUE_IMAGES,
	VALUE_VM_KERNEL,
	VALUE_VM_MODULES,
	VALUE_DRY_RUN
};

static const struct option farm_options[] = {
	{"workers", required_argument, NULL, VALUE_WORKERS},     {"runtime", required_argument, NULL, VALUE_RUNTIME},
	{"site", required_argument, NULL, VALUE_SITE},           {"name", required_argument, NULL, VALUE_NAME},
	{"image", required_argument, NULL, VALUE_IMAGE},         {"images", required_argument, NULL, VALUE_IMAGES},
	{"vm-kernel", required_argument, NULL, VALUE_VM_KERNEL}, {"vm-modules", required_argument, NULL, VALUE_VM_MODULES},
	{"dry-run", no_argument, NULL, VALUE_DRY_RUN},           {0}};

// Reads what `try` is to make. 0, or the exit status of wrong words.
static int read_try(const struct verb_args *args, struct farm_try *t)
{
	static const char *const runtimes[] = {"sandbox", "process", "microvm"};
	const char *workers = args->values[VALUE_WORKERS];
	int64_t n = 2;
	size_t kind = 0;
	if (workers && (value_parse(VALUE_INTEGER, NULL, workers, &n) || n < 1 || n > MAX_WORKERS))
		return verb_wrong("farm", "'%.80s' is no number of workers: 1 to %d", workers, MAX_WORKERS);
	t->n_workers = (int)n;
	t->runtime = args->values[VALUE_RUNTIME] ? args->values[VALUE_RUNTIME] : runtimes[0];
	while (kind < COUNT_OF(runtimes) && strcmp(t->runtime, runtimes[kind]) != 0)
		kind++;
	if (kind == COUNT_OF(runtimes))
		return verb_wrong("farm", "there is no runtime '%.80s': sandbox, process, microvm", t->runtime);
	for (int i = VALUE_IMAGE; i <= VALUE_VM_MODULES; i++)
		if (args->values[i] && strcmp(t->runtime, "microvm") != 0)
			return verb_wrong("farm", "--%s is for --runtime microvm", farm_options[i - 1].name);
	t->vm = (struct farm_vm){.kernel = args->values[VALUE_VM_KERNEL],
				 .modules = args->values[VALUE_VM_MODULES],
				 .images = args->values[VALUE_IMAGES],
				 .image = args->values[VALUE_IMAGE]};
	return 0;
}

static int wrong_words(const struct verb_args *args)
{
	static const char *const known[] = {"try", "add"};
	const char *word = args->n_words ? args->words[0] : NULL;
	if (word && strcmp(word, "try") == 0)
		return verb_wrong("farm", "unexpected word '%s'; a command comes after '--': 'coffer farm try -- %s'",
				  args->words[1], args->words[1]);
	if (word && strcmp(word, "add") == 0)
		return verb_wrong("farm",
				  "%s missing: 'coffer farm add HOST --site FOLDER', the folder of 'coffer keys init'",
				  args->n_words == 1 ? "the host is" : "--site is");
	return verb_wrong_word("farm", word, known, COUNT_OF(known));
}

int verb_farm(int argc, char **argv)
{
	// What stands behind "--" is the command, with options of its own.
	int n = 0;
	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	char **command = n < argc ? argv + n + 1 : argv + argc;
	argv[n] = NULL;
	struct verb_args args = {.usage = usage, .options = farm_options, .max_words = 2};
	if (!verb_parse(&args, n, argv))
		return args.exit_status;
	if (!args.n_words)
		return wrong_words(&args);
	if (strcmp(args.words[0], "try") == 0 && args.n_words == 1) {
		struct farm_try t = {0};
		int wrong = read_try(&args, &t);
		return wrong ? wrong : try_farm(t, command);
	}
	if (strcmp(args.words[0], "add") == 0 && args.n_words == 2 && args.values[VALUE_SITE])
		return add_machine(args.words[1], args.values[VALUE_SITE], args.values[VALUE_NAME],
				   args.values[VALUE_DRY_RUN] != NULL);
	return wrong_words(&args);
}

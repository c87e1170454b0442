// What the tests of runtimes and sandboxes share: a directory with a hostile program, a session in it for every test, and
// jobs by name. Run by root, everything is tried a second time as an ordinary user.
#ifndef COFFER_TESTS_SANDBOX_FIXTURE_H
#define COFFER_TESTS_SANDBOX_FIXTURE_H

#include "remote/rpc.h"
#include "worker/runtime/runtime.h"
#include "worker/runtime/toolchain.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOSTILE "/opt/test/hostile" // as jobs see it
enum { NOBODY = 65534, OUTPUTS = 2 };

static char *directory; // "programs" and "scratch" are in it
static enum isolation tried = ISOLATION_SANDBOX;
static struct loop *loop;
static struct runtime *runtime;
static struct runtime_session *session;
static struct err err;

// Sanitizers need more than a sandbox gives: then the agent is the plain build's.
static inline const char *agent_path(void)
{
	static char path[4096];
	const char *set = getenv("COFFER_AGENT");
	if (set)
		return set;
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
	path[n < 0 ? 0 : n] = '\0';
	for (int i = 0; i < 2; i++)
		*strrchr(path, '/') = '\0';
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	strcpy(strrchr(path, '/'), "/release");
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	strcpy(strrchr(path, '/'), "/release");
#endif
#endif
	return strcat(path, "/coffer-agent");
}

static struct runtime_config config_of_tests;

static inline void make_runtime(enum isolation kind, const struct limits *limits)
{
	static char extra[4096], scratch[4096];
	static const char *const directories[] = {extra, NULL};
	static struct toolchain_config toolchain;
	snprintf(extra, sizeof extra, "%s/programs:/opt/test", directory);
	snprintf(scratch, sizeof scratch, "%s/scratch", directory);
	toolchain = (struct toolchain_config){.images = directory, .extra = directories};
	ck_assert_msg(loop_start(&loop, &err) == 0, "%s", err.text);
	struct runtime_config config = {.loop = loop, .agent = agent_path(), .directory = scratch, .toolchain = &toolchain};
	if (limits)
		config.limits = *limits;
	config_of_tests = config;
	ck_assert_msg(runtime_new(kind, &config, &runtime, &err) == 0, "%s", err.text);
}

static inline struct runtime_session *new_session(void)
{
	struct runtime_session *s = NULL;
	ck_assert_msg(runtime_session_open(runtime, "tenant", "host", NULL, &s, &err) == 0, "%s", err.text);
	return s;
}

static inline void set_up(void)
{
	err_clear(&err);
	make_runtime(tried, NULL);
	session = new_session();
}

static inline void tear_down(void)
{
	runtime_session_close(session);
	runtime_free(runtime);
	loop_stop(loop);
}

// ---- jobs -----------------------------------------------------------------------------------------------------------

// Everything about one job, with its answer.
struct trial {
	const char *arguments[16];
	char words[4096]; // that the arguments point to
	const char *source;
	struct runtime_job job;
	struct job_bytes bytes;
	struct job_output outputs[OUTPUTS];
	struct buf out, errs, output_bytes[OUTPUTS];
	struct job_result result;
	int rc;
	int64_t took_ms;
};

static inline const char *text_of(const struct buf *b)
{
	return b->data ? b->data : "";
}

// The words of a command, separated by single blanks; no quoting.
static inline void trial_words(struct trial *t, const char *command)
{
	char *save = NULL;
	size_t n = 0;
	snprintf(t->words, sizeof t->words, "%s", command);
	for (char *word = strtok_r(t->words, " ", &save); word && n < 15; word = strtok_r(NULL, " ", &save))
		t->arguments[n++] = word;
	t->arguments[n] = NULL;
}

static inline void trial_init(struct trial *t, const char *command)
{
	*t = (struct trial){.source = "int x;\n"};
	if (command)
		trial_words(t, command);
	t->job.source_name = "source.i";
	t->outputs[0].name = "x.o";
	t->job.n_outputs = 1;
}

static inline void trial_run_in(struct trial *t, struct runtime_session *in)
{
	t->out.max = t->errs.max = (size_t)64 << 20;
	t->bytes = (struct job_bytes){t->source, strlen(t->source)};
	t->job.arguments = t->arguments;
	t->job.read = job_read_bytes;
	t->job.read_ctx = &t->bytes;
	t->job.out = job_sink_buf(&t->out);
	t->job.errs = job_sink_buf(&t->errs);
	t->job.outputs = t->outputs;
	for (size_t i = 0; i < OUTPUTS; i++)
		t->outputs[i].sink = job_sink_buf(&t->output_bytes[i]);
	int64_t start = clock_now_ns();
	struct err own = ERR_INIT;
	t->rc = runtime_session_exec(in, &t->job, &t->result, &own);
	t->took_ms = (clock_now_ns() - start) / 1000000;
	if (t->rc < 0)
		err = own;
}

static inline void trial_run(struct trial *t)
{
	trial_run_in(t, session);
}

// A trial on a thread of its own: pthread_create(&o->thread, NULL, run_one, o).
struct one {
	pthread_t thread;
	struct trial trial;
};

static inline void *run_one(void *arg)
{
	struct one *o = arg;
	trial_run(&o->trial);
	return NULL;
}

static inline void trial_release(struct trial *t)
{
	buf_release(&t->out);
	buf_release(&t->errs);
	for (size_t i = 0; i < OUTPUTS; i++)
		buf_release(&t->output_bytes[i]);
}

static inline void expect_status(const struct trial *t, int status)
{
	ck_assert_msg(t->rc == 0, "'%s' was not run: %s", t->arguments[0], err.text);
	ck_assert_msg(t->result.exit_status == status, "'%s %s': status %d, limit '%s', '%s' '%s'", t->arguments[0],
		      t->arguments[1] ? t->arguments[1] : "", t->result.exit_status, t->result.limit, text_of(&t->out),
		      text_of(&t->errs));
}

// A job that ends well, and says nothing of what it should not be able to do.
static inline void expect_harmless(const char *command)
{
	struct trial t;
	trial_init(&t, command);
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert_str_eq(text_of(&t.out), "done\n");
	trial_release(&t);
}

static inline void expect_good_job_in(struct runtime_session *s)
{
	struct trial t;
	trial_init(&t, "gcc -c source.i -o x.o");
	trial_run_in(&t, s);
	expect_status(&t, 0);
	ck_assert(t.outputs[0].is_present && t.output_bytes[0].len > 200);
	trial_release(&t);
}

static inline void expect_good_job(void)
{
	expect_good_job_in(session);
}

// ---- running it all -------------------------------------------------------------------------------------------------

static inline bool may_have_namespaces(void)
{
	// Not by unshare: a sanitizer has threads.
	unsigned long spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET;
	pid_t pid = (pid_t)syscall(SYS_clone, spaces | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		syscall(SYS_exit_group, 0);
	int status = 1;
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static inline void make_directory(void)
{
	const char *tmp = getenv("TMPDIR");
	directory = mem_printf("%s/coffer-runtime-XXXXXX", tmp ? tmp : "/tmp");
	AUTO_FREE char *programs = NULL, *scratch = NULL, *command = NULL;
	if (!mkdtemp(directory))
		exit(1);
	programs = mem_printf("%s/programs", directory);
	scratch = mem_printf("%s/scratch", directory);
	command = mem_printf("cc -static -O1 -D_GNU_SOURCE -o %s/hostile tests/e2e/sandbox/hostile.c", programs);
	if (chmod(directory, 0755) < 0 || mkdir(programs, 0755) < 0 || mkdir(scratch, 0777) < 0 ||
	    chmod(scratch, 0777) < 0 || system(command) != 0)
		exit(1);
}

static inline int run_suite(Suite *(*make)(void))
{
	return unit_run(make());
}

static inline int run_as_nobody(Suite *(*make)(void))
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(1);
		int rc = run_suite(make);
		fflush(stdout);
		_exit(rc);
	}
	int status = 1;
	waitpid(pid, &status, 0);
	return status != 0;
}

static inline int run_everything(Suite *(*make)(void))
{
	if (tried == ISOLATION_SANDBOX && !may_have_namespaces()) {
		printf("0%%: skipped, as there are no namespaces for this user\n");
		return 0;
	}
	if (access(agent_path(), X_OK) < 0) {
		printf("0%%: '%s' is missing; `make build/release/coffer-agent`\n", agent_path());
		return 1;
	}
	make_directory();
	if (geteuid() == 0 && chown(directory, NOBODY, NOBODY) < 0)
		return 1;
	int failed = geteuid() == 0 ? run_as_nobody(make) : 0;
	failed |= run_suite(make);
	tree_remove(AT_FDCWD, directory);
	free(directory);
	return failed;
}

#endif

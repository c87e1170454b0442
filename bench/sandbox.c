// What a sandbox costs: the same program, which does nothing, run plainly, by bwrap, and in sessions of both runtimes, in
// turn. Prints for each the median and the least of the wall time, and the CPU of everything that took part, in
// microseconds.
//
//     sandbox AGENT SCRATCH-DIRECTORY PROGRAM-DIRECTORY ROUNDS    (PROGRAM-DIRECTORY has the static program "stub")
//     sandbox AGENT SCRATCH-DIRECTORY PROGRAM-DIRECTORY at-once RUNTIME JOBS SECONDS
#include "base/mem.h"
#include "remote/rpc.h"
#include "worker/runtime/runtime.h"
#include "worker/runtime/toolchain.h"

#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct way {
	const char *name;
	const char *const *command;      // a plain child
	struct runtime_session *session; // or a job in it, as the session sees the program
	double *wall_us, cpu_us;
};

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double us_of(struct timeval t)
{
	return (double)t.tv_sec * 1e6 + (double)t.tv_usec;
}

static double rusage_us(int who)
{
	struct rusage u;
	getrusage(who, &u);
	return us_of(u.ru_utime) + us_of(u.ru_stime);
}

// utime, stime, cutime and cstime of /proc/PID/stat. In ticks of 10 ms, so only over many rounds.
static double process_us(int pid)
{
	char name[64], text[1024];
	unsigned long t[4] = {0};
	snprintf(name, sizeof name, "/proc/%d/stat", pid);
	FILE *f = fopen(name, "r");
	if (!f)
		return 0;
	if (fgets(text, sizeof text, f) && strrchr(text, ')'))
		sscanf(strrchr(text, ')') + 2, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu %lu %lu", &t[0], &t[1],
		       &t[2], &t[3]);
	fclose(f);
	return (double)(t[0] + t[1] + t[2] + t[3]) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
	exit(1);
}

static void run_plain(const char *const *command)
{
	pid_t pid;
	int status;
	if (posix_spawn(&pid, command[0], NULL, NULL, (char *const *)(uintptr_t)command, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		die(command[0], NULL);
}

static void run_job(struct runtime_session *s, const char *const *arguments)
{
	struct err err = ERR_INIT;
	struct job_bytes source = {"int x;\n", 7};
	struct runtime_job job = {
		.arguments = arguments, .source_name = "source.i", .read = job_read_bytes, .read_ctx = &source};
	struct job_result result;
	if (runtime_session_exec(s, &job, &result, &err) < 0 || result.exit_status != 0)
		die("job", &err);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void measure(struct way *ways, size_t n_ways, size_t rounds)
{
	for (size_t i = 0; i < n_ways; i++)
		ways[i].wall_us = mem_alloc(rounds * sizeof(double));
	for (size_t k = 0; k < rounds; k++)
		for (size_t i = 0; i < n_ways; i++) {
			struct way *w = &ways[i];
			double cpu = rusage_us(RUSAGE_SELF) + rusage_us(RUSAGE_CHILDREN), start = now_us();
			if (w->session)
				run_job(w->session, w->command);
			else
				run_plain(w->command);
			w->wall_us[k] = now_us() - start;
			w->cpu_us += rusage_us(RUSAGE_SELF) + rusage_us(RUSAGE_CHILDREN) - cpu;
		}
	for (size_t i = 0; i < n_ways; i++) {
		struct way *w = &ways[i];
		if (w->session)
			w->cpu_us += process_us(runtime_session_pid(w->session));
		qsort(w->wall_us, rounds, sizeof(double), compare);
		printf("%s %.0f %.0f %.0f\n", w->name, w->wall_us[rounds / 2], w->wall_us[0], w->cpu_us / (double)rounds);
	}
}

struct sleeper {
	pthread_t thread;
	struct runtime_session *session;
	const char *program, *seconds;
};

static void *sleep_once(void *arg)
{
	struct sleeper *s = arg;
	const char *const command[] = {s->program, s->seconds, NULL};
	run_job(s->session, command);
	return NULL;
}

static void at_once(const struct way *way, size_t n, const char *seconds)
{
	struct sleeper *all = mem_alloc(n * sizeof *all);
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	double start = now_us(), cpu = rusage_us(RUSAGE_SELF), agent = process_us(runtime_session_pid(way->session));
	for (size_t i = 0; i < n; i++) {
		all[i] = (struct sleeper){.session = way->session, .program = way->command[0], .seconds = seconds};
		if (pthread_create(&all[i].thread, &attr, sleep_once, &all[i]) != 0)
			die("pthread_create", NULL);
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(all[i].thread, NULL);
	printf("%.3f s, CPU per job %.2f ms here, %.2f ms in the session\n", (now_us() - start) / 1e6,
	       (rusage_us(RUSAGE_SELF) - cpu) / 1e3 / (double)n,
	       (process_us(runtime_session_pid(way->session)) - agent) / 1e3 / (double)n);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	struct loop *loop;
	struct runtime *runtimes[2];
	struct runtime_session *sessions[2];
	if (argc < 5)
		return 2;
	AUTO_FREE char *extra = mem_printf("%s:/opt/bench", argv[3]);
	const char *const directories[] = {extra, NULL};
	struct toolchain_config toolchain = {.extra = directories};
	if (loop_start(&loop, &err) < 0)
		die("loop", &err);
	for (int i = 0; i < 2; i++) {
		struct runtime_config config = {
			.loop = loop, .agent = argv[1], .directory = argv[2], .toolchain = &toolchain, .jobs = 8192};
		if (runtime_new(i ? ISOLATION_SANDBOX : ISOLATION_PROCESS, &config, &runtimes[i], &err) < 0 ||
		    runtime_session_open(runtimes[i], "bench", "host", NULL, &sessions[i], &err) < 0)
			die("session", &err);
	}
	AUTO_FREE char *stub = mem_printf("%s/stub", argv[3]);
	const char *const plain[] = {stub, NULL};
	const char *const inside[] = {"/opt/bench/stub", NULL};
	const char *const bwrap[] = {"/usr/bin/bwrap", "--unshare-all", "--ro-bind", "/",         "/",
				     "--dev",          "/dev",          "--tmpfs",   "/tmp",      "--ro-bind",
				     argv[3],          "/mnt",          "--",        "/mnt/stub", NULL};
	struct way ways[] = {
		{"plain", plain, NULL, NULL, 0},
		{"bwrap", bwrap, NULL, NULL, 0},
		{"process", plain, sessions[0], NULL, 0},
		{"sandbox", inside, sessions[1], NULL, 0},
	};
	if (strcmp(argv[4], "at-once") == 0 && argc == 8)
		at_once(&ways[strcmp(argv[5], "sandbox") == 0 ? 3 : 2], strtoul(argv[6], NULL, 10), argv[7]);
	else
		measure(ways, COUNT_OF(ways), strtoul(argv[4], NULL, 10));
	for (int i = 0; i < 2; i++) {
		runtime_session_close(sessions[i]);
		runtime_free(runtimes[i]);
	}
	loop_stop(loop);
	return 0;
}

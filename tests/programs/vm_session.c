// Drives one session of the runtime `microvm` (or `sandbox`) by commands, for tests and measurements of what a worker does between
// jobs.
//
// usage: vm_session [OPTION]... COMMAND...
//   --runtime R (microvm)  --kernel K  --modules M  --images DIR  --image I  --directory D  --agent A  --ahead N  --memory MB
//   --boot-time MS  --accel tcg|kvm
// Commands, one after the other; each prints a line that begins with its name:
//   open              a session; in how many milliseconds
//   ahead             waits until a guest is booted ahead
//   run WORD... ;     a job; prints what it prints, and its status
//   save, resume      the session; in how many milliseconds
//   twins WORD... ;   saves the session, resumes it and a copy of it, and runs the job in both
//   spoil             changes a byte of the saved memory
//   stranger          calls the saved session another tenant's
//   empty N WORD... ; N jobs one after the other: the median and the 99th percentile of their time
//   many N WORD... ;  N jobs at once
//   upload MB         a job with so large a source
//   pid               of the session's first process
//   memory            that is the session's own: of its monitor and all in it, or of the sandbox's processes (Pss)
//   close             the session
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "worker/runtime/parts.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 64, AT_ONCE = 1000, AHEAD_MS = 60000, STACK = 256 * 1024 };

static struct runtime *runtime;
static struct runtime_session *session;
static const char *image = "sha256:";
static struct err err;

static _Noreturn void give_up(const char *what)
{
	printf("%s: %s\n", what, err.text);
	exit(1);
}

static double ms_since(int64_t from)
{
	return (double)(clock_ns() - from) / 1e6;
}

// The words up to ";".
static char **take_words(char **at, const char *words[WORDS])
{
	int n = 0;
	while (*at && strcmp(*at, ";") != 0 && n < WORDS - 1)
		words[n++] = *at++;
	words[n] = NULL;
	return *at ? at + 1 : at;
}

static int run(struct runtime_session *s, const char *const *words, struct buf *out, int *status, struct err *why)
{
	struct runtime_job job = {.arguments = words, .out = job_sink_buf(out), .errs = job_sink_buf(out)};
	struct job_result result;
	int rc = runtime_session_exec(s, &job, &result, why);
	*status = result.exit_status;
	return rc;
}

static void run_once(struct runtime_session *s, const char *what, const char *const *words)
{
	AUTO_BUF struct buf out = BUF_INIT;
	int status;
	int64_t from = clock_ns();
	if (run(s, words, &out, &status, &err) < 0)
		give_up(what);
	printf("%s %.2f ms: %d %s", what, ms_since(from), status, out.len ? out.data : "\n");
}

static int by_value(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : 1;
}

static void run_many_times(int n, const char *const *words)
{
	double *took = mem_alloc((size_t)n * sizeof *took);
	for (int i = 0; i < n; i++) {
		AUTO_BUF struct buf out = BUF_INIT;
		int status;
		int64_t from = clock_ns();
		if (run(session, words, &out, &status, &err) < 0 || status != 0)
			give_up("empty");
		took[i] = ms_since(from);
	}
	qsort(took, (size_t)n, sizeof *took, by_value);
	printf("empty median %.2f ms, p99 %.2f ms\n", took[n / 2], took[n * 99 / 100]);
	free(took);
}

static const char *const *words_of_many;
static atomic_int failed;

static void *run_one_of_many(void *arg)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct err why = ERR_INIT;
	int status;
	(void)arg;
	if (run(session, words_of_many, &out, &status, &why) < 0 || status != 0)
		atomic_fetch_add(&failed, 1);
	return NULL;
}

static void run_at_once(int n, const char *const *words)
{
	static pthread_t threads[AT_ONCE];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	words_of_many = words;
	int64_t from = clock_ns();
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], &attr, run_one_of_many, NULL) != 0)
			give_up("many");
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("many %d in %.0f ms, %d failed\n", n, ms_since(from), (int)failed);
}

static void upload(size_t megabytes)
{
	static const char *const words[] = {"probe", "true", NULL};
	AUTO_FREE char *text = mem_alloc(megabytes << 20);
	struct job_bytes bytes = {text, megabytes << 20};
	struct runtime_job job = {.arguments = words, .source_name = "x", .read = job_read_bytes, .read_ctx = &bytes};
	struct job_result result;
	int64_t from = clock_ns();
	if (runtime_session_exec(session, &job, &result, &err) < 0)
		give_up("upload");
	printf("upload %.0f MB/s\n", (double)megabytes / ms_since(from) * 1000);
}

// With its holes, as they are part of what is sealed.
static char *copy_file(const char *path)
{
	AUTO_FREE char *piece = mem_alloc(1 << 20);
	char *copy = mem_printf("%s.copy", path);
	AUTO_CLOSE int from = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int to = open(copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t at = 0, size = lseek(from, 0, SEEK_END);
	if (from < 0 || to < 0 || ftruncate(to, size) < 0)
		give_up("copy");
	while ((at = lseek(from, at, SEEK_DATA)) >= 0)
		for (off_t end = lseek(from, at, SEEK_HOLE); at < end;) {
			ssize_t n = pread(from, piece, end - at < 1 << 20 ? (size_t)(end - at) : 1 << 20, at);
			if (n <= 0 || pwrite(to, piece, (size_t)n, at) != n)
				give_up("copy");
			at += n;
		}
	return copy;
}

// What no worker does. Both are the same but for what is renewed when they begin.
static void run_twins(const char *const *words)
{
	if (runtime_session_save(session, &err) < 0)
		give_up("save");
	struct runtime_session *twin = mem_alloc(sizeof *twin);
	*twin = *session;
	pthread_mutex_init(&twin->lock, NULL);
	pthread_cond_init(&twin->idle, NULL);
	twin->tenant = mem_strdup(session->tenant);
	twin->image = mem_strdup(session->image);
	twin->place.memory = copy_file(session->place.memory);
	twin->place.state = copy_file(session->place.state);
	if (toolchain_open(image, runtime->toolchain, &twin->toolchain, &err) < 0 ||
	    runtime_session_resume(session, &err) < 0 || runtime_session_resume(twin, &err) < 0)
		give_up("twins");
	run_once(session, "first", words);
	run_once(twin, "second", words);
	runtime_session_close(twin);
}

static void spoil(void)
{
	char byte = 'x';
	AUTO_CLOSE int fd = open(session->place.memory, O_RDWR | O_CLOEXEC);
	off_t at = lseek(fd, 1 << 20, SEEK_DATA);
	if (fd < 0 || at < 0 || pread(fd, &byte, 1, at) != 1)
		give_up("spoil");
	byte = (char)(byte + 1);
	if (pwrite(fd, &byte, 1, at) != 1)
		give_up("spoil");
}

static void wait_ahead(void)
{
	int64_t from = clock_ms();
	runtime_expect(runtime, image);
	while (runtime_ahead(runtime) == 0)
		if (clock_ms() - from > AHEAD_MS)
			give_up("ahead");
		else
			usleep(10000);
	printf("ahead after %lld ms\n", (long long)(clock_ms() - from));
}

static void timed(const char *what, int (*f)(struct runtime_session *, struct err *))
{
	int64_t from = clock_ns();
	if (f(session, &err) < 0)
		give_up(what);
	printf("%s %.1f ms\n", what, ms_since(from));
}

// Of the session's first process and its descendants.
static long proportional_kb(int pid)
{
	AUTO_FREE char *map = mem_printf("/proc/%d/smaps_rollup", pid),
		       *list = mem_printf("/proc/%d/task/%d/children", pid, pid);
	char line[256];
	long all = 0, kb;
	FILE *f = fopen(map, "re");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "Pss: %ld", &kb) == 1)
			all += kb;
	if (f)
		fclose(f);
	f = fopen(list, "re");
	for (int child; f && fscanf(f, "%d", &child) == 1;)
		all += proportional_kb(child);
	if (f)
		fclose(f);
	return all;
}

static char **command(char **at)
{
	const char *name = *at++, *words[WORDS];
	int64_t from = clock_ns();
	if (strcmp(name, "open") == 0) {
		if (runtime_session_open(runtime, "tenant", image, NULL, &session, &err) < 0)
			give_up(name);
		printf("open %.1f ms\n", ms_since(from));
	} else if (strcmp(name, "ahead") == 0) {
		wait_ahead();
	} else if (strcmp(name, "save") == 0) {
		timed(name, runtime_session_save);
	} else if (strcmp(name, "resume") == 0) {
		timed(name, runtime_session_resume);
	} else if (strcmp(name, "spoil") == 0) {
		spoil();
	} else if (strcmp(name, "stranger") == 0) {
		session->tenant[0] = 'T';
	} else if (strcmp(name, "pid") == 0) {
		printf("pid %d\n", runtime_session_pid(session));
	} else if (strcmp(name, "memory") == 0) {
		printf("memory %.1f MB\n", (double)proportional_kb(runtime_session_pid(session)) / 1024);
	} else if (strcmp(name, "sleep") == 0) {
		usleep((useconds_t)atoi(*at++) * 1000);
	} else if (strcmp(name, "close") == 0) {
		runtime_session_close(TAKE(session));
	} else if (strcmp(name, "upload") == 0) {
		upload((size_t)atoi(*at++));
	} else if (strcmp(name, "run") == 0 || strcmp(name, "twins") == 0) {
		at = take_words(at, words);
		if (*name == 'r')
			run_once(session, name, words);
		else
			run_twins(words);
	} else if (strcmp(name, "empty") == 0 || strcmp(name, "many") == 0) {
		int n = atoi(*at++);
		at = take_words(at, words);
		if (*name == 'e')
			run_many_times(n, words);
		else
			run_at_once(n < AT_ONCE ? n : AT_ONCE, words);
	} else {
		err_set(&err, ERR_USAGE, "there is no command '%s'", name);
		give_up("usage");
	}
	fflush(stdout);
	return at;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"runtime", 1, NULL, 'r'}, {"kernel", 1, NULL, 'k'},    {"modules", 1, NULL, 'm'}, {"images", 1, NULL, 'i'},
		{"image", 1, NULL, 'I'},   {"directory", 1, NULL, 'd'}, {"agent", 1, NULL, 'a'},   {"ahead", 1, NULL, 'n'},
		{"memory", 1, NULL, 'M'},  {"boot-time", 1, NULL, 'b'}, {"accel", 1, NULL, 'A'},   {NULL, 0, NULL, 0},
	};
	static struct toolchain_config toolchain;
	struct runtime_config c = {.toolchain = &toolchain,
				   .vm = {.monitor = VM_QEMU,
					  .qemu = "/usr/bin/qemu-system-x86_64",
					  .firecracker = "/usr/bin/firecracker",
					  .jailer = "/usr/bin/jailer",
					  .mkfs = "/usr/bin/mkfs.erofs",
					  .accel = VM_TCG,
					  .boot_ms = 60000,
					  .has_snapshots = true}};
	enum isolation kind = ISOLATION_MICROVM;
	signal(SIGPIPE, SIG_IGN);
	for (int o; (o = getopt_long(argc, argv, "+", options, NULL)) >= 0;)
		switch (o) {
		case 'r':
			kind = strcmp(optarg, "sandbox") == 0 ? ISOLATION_SANDBOX : ISOLATION_MICROVM;
			break;
		case 'k':
			c.vm.kernel = optarg;
			break;
		case 'm':
			c.vm.modules = optarg;
			break;
		case 'i':
			toolchain.images = optarg;
			break;
		case 'I':
			image = optarg;
			break;
		case 'd':
			c.directory = optarg;
			break;
		case 'a':
			c.agent = optarg;
			break;
		case 'n':
			c.vm.ahead = (unsigned)atoi(optarg);
			break;
		case 'M':
			c.session_memory_bytes = (uint64_t)atoi(optarg) << 20;
			break;
		case 'A':
			c.vm.accel = strcmp(optarg, "kvm") == 0 ? VM_KVM : VM_TCG;
			break;
		case 'b':
			c.vm.boot_ms = (uint32_t)atoi(optarg);
			break;
		default:
			return 2;
		}
	if (loop_start(&c.loop, &err) < 0 || runtime_new(kind, &c, &runtime, &err) < 0)
		give_up("start");
	for (char **at = argv + optind; *at;)
		at = command(at);
	runtime_session_close(session);
	runtime_free(runtime);
	loop_stop(c.loop);
	return 0;
}

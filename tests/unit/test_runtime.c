// What runtimes share, and the runtime `process`: limits, what an agent may answer, toolchains, sessions.
#include "sandbox_fixture.h"

#include "compiler/compiler.h"
#include "depscan/files.h"
#include "worker/runtime/reply.h"

#include <zstd.h>

#define GB ((uint64_t)1 << 30)

// ---- limits ---------------------------------------------------------------------------------------------------------

START_TEST(asking_lowers_and_never_raises)
{
	struct limits asked = {.wall_ms = 10, .memory_bytes = 1000 * GB};
	struct limits l = limits_lower(&limits_default, &asked);
	ck_assert_uint_eq(l.wall_ms, 10);
	ck_assert_uint_eq(l.memory_bytes, limits_default.memory_bytes);
	ck_assert_uint_eq(l.processes, limits_default.processes);
	ck_assert_int_eq(limits_check(&l, &err), 0);
}
END_TEST

START_TEST(defaults_are_as_documented)
{
	struct limits l = limits_with_defaults(&(struct limits){.wall_ms = 1000000});
	ck_assert_uint_eq(l.wall_ms, 1000000);
	ck_assert_uint_eq(limits_default.wall_ms, 600000);
	ck_assert_uint_eq(l.memory_bytes, 4 * GB);
	ck_assert_uint_eq(l.files, 1024);
	ck_assert_uint_eq(l.processes, 256);
}
END_TEST

START_TEST(no_limit_can_be_off)
{
	struct limits l = limits_default;
	l.processes = 0;
	ck_assert_int_lt(limits_check(&l, &err), 0);
	ck_assert_int_eq(err.code, ERR_USAGE);
	ck_assert_str_eq(err.text, "the limit of processes is at least 1, not 0");
}
END_TEST

// ---- what an agent may answer ---------------------------------------------------------------------------------------

static struct limits reply_limits;
static struct job_output reply_outputs[2];
static struct buf reply_bytes[2], reply_out;
static struct runtime_job reply_job;
static struct job_result reply_result;
static struct reply reply;

static void set_up_reply(void)
{
	err_clear(&err);
	reply_limits = limits_default;
	reply_limits.message_bytes = 10;
	reply_limits.file_bytes = 100;
	reply_limits.scratch_bytes = 150;
	for (int i = 0; i < 2; i++)
		reply_outputs[i] = (struct job_output){.name = "x.o", .sink = job_sink_buf(&reply_bytes[i])};
	reply_job = (struct runtime_job){.outputs = reply_outputs, .n_outputs = 2, .out = job_sink_buf(&reply_out)};
	reply = (struct reply){.job = &reply_job, .limits = &reply_limits, .result = &reply_result};
}

static void tear_down_reply(void)
{
	buf_release(&reply_out);
	for (int i = 0; i < 2; i++)
		buf_release(&reply_bytes[i]);
}

static int take_bytes(Coffer__V1__ExecReply__KindCase kind, size_t n)
{
	static uint8_t bytes[1000];
	Coffer__V1__ExecReply m;
	coffer__v1__exec_reply__init(&m);
	m.kind_case = kind;
	m.out = (ProtobufCBinaryData){n, bytes};
	return reply_take(&reply, &m, &err);
}

static int take_output(uint32_t index, uint64_t size)
{
	Coffer__V1__ExecOutput o;
	coffer__v1__exec_output__init(&o);
	o.index = index;
	o.size = size;
	Coffer__V1__ExecReply m;
	coffer__v1__exec_reply__init(&m);
	m.kind_case = COFFER__V1__EXEC_REPLY__KIND_OUTPUT;
	m.output = &o;
	return reply_take(&reply, &m, &err);
}

static int take_exit(int status, const char *limit)
{
	Coffer__V1__ExecExit e;
	coffer__v1__exec_exit__init(&e);
	e.exit_status = status;
	e.limit = (char *)(uintptr_t)limit;
	Coffer__V1__ExecReply m;
	coffer__v1__exec_reply__init(&m);
	m.kind_case = COFFER__V1__EXEC_REPLY__KIND_EXIT;
	m.exit = &e;
	return reply_take(&reply, &m, &err);
}

#define OUT COFFER__V1__EXEC_REPLY__KIND_OUT
#define PIECE COFFER__V1__EXEC_REPLY__KIND_PIECE

START_TEST(a_whole_answer_is_taken)
{
	ck_assert_int_eq(take_bytes(OUT, 10), 0);
	ck_assert_int_eq(take_output(0, 0), 0);
	ck_assert_int_eq(take_output(1, 60), 0);
	ck_assert_int_eq(take_bytes(PIECE, 40), 0);
	ck_assert_int_eq(take_bytes(PIECE, 20), 0);
	ck_assert_int_eq(take_exit(3, "wall"), 0);
	ck_assert_int_eq(reply_end(&reply, &err), 0);
	ck_assert(reply_outputs[0].is_present && reply_outputs[1].is_present);
	ck_assert_uint_eq(reply_bytes[1].len, 60);
	ck_assert_int_eq(reply_result.exit_status, 3);
	ck_assert_str_eq(reply_result.limit, "wall");
}
END_TEST

START_TEST(more_messages_than_allowed_are_refused)
{
	ck_assert_int_eq(take_bytes(OUT, 8), 0);
	ck_assert_int_lt(take_bytes(OUT, 3), 0);
	ck_assert_int_eq(err.code, ERR_PEER);
}
END_TEST

START_TEST(outputs_nobody_asked_for_are_refused)
{
	ck_assert_int_lt(take_output(2, 1), 0);
	ck_assert_int_lt(take_output(UINT32_MAX, 1), 0);
	ck_assert_int_lt(take_bytes(PIECE, 1), 0);
	ck_assert_int_eq(take_output(1, 1), 0);
	ck_assert_int_lt(take_output(0, 1), 0); // the first is not whole yet
	ck_assert_int_eq(take_bytes(PIECE, 1), 0);
	ck_assert_int_lt(take_output(1, 1), 0); // a second time
	ck_assert_int_lt(take_output(0, 1), 0); // out of order
}
END_TEST

START_TEST(outputs_larger_than_allowed_are_refused)
{
	ck_assert_int_lt(take_output(0, 101), 0);
	set_up_reply();
	ck_assert_int_eq(take_output(0, 100), 0);
	ck_assert_int_lt(take_bytes(PIECE, 101), 0);
	set_up_reply();
	ck_assert_int_eq(take_output(0, 100), 0);
	ck_assert_int_eq(take_bytes(PIECE, 100), 0);
	ck_assert_int_lt(take_output(1, 100), 0);
	set_up_reply();
	ck_assert_int_lt(take_output(0, UINT64_MAX), 0);
}
END_TEST

START_TEST(an_exit_must_make_sense)
{
	ck_assert_int_lt(take_exit(256, ""), 0);
	ck_assert_int_lt(take_exit(-1, ""), 0);
	ck_assert_int_lt(take_exit(0, "wall\n<b>"), 0);
	ck_assert_int_lt(take_exit(0, "wallwallwallwallwallwallwall"), 0);
	ck_assert_int_lt(reply_end(&reply, &err), 0);
	ck_assert_int_eq(take_output(0, 5), 0);
	ck_assert_int_lt(take_exit(0, ""), 0); // an output is not whole
	set_up_reply();
	ck_assert_int_eq(take_exit(0, ""), 0);
	ck_assert_int_lt(take_exit(0, ""), 0);
	ck_assert_int_lt(take_bytes(OUT, 1), 0);
}
END_TEST

START_TEST(an_unknown_message_is_refused)
{
	ck_assert_int_lt(take_bytes(COFFER__V1__EXEC_REPLY__KIND__NOT_SET, 0), 0);
}
END_TEST

// ---- toolchains -----------------------------------------------------------------------------------------------------

static const struct toolchain_entry *entry(const struct toolchain *t, const char *path)
{
	size_t n;
	const struct toolchain_entry *e = toolchain_entries(t, &n);
	for (; n--; e++)
		if (strcmp(e->path, path) == 0)
			return e;
	return NULL;
}

START_TEST(the_host_gives_its_compilers_and_nothing_else)
{
	struct toolchain *t = NULL;
	struct toolchain_config config = {0};
	ck_assert_msg(toolchain_open("host:0123", &config, &t, &err) == 0, "%s", err.text);
	ck_assert(toolchain_is_host(t));
	ck_assert(entry(t, "usr")->kind == TOOLCHAIN_BIND);
	ck_assert(entry(t, "dev/null")->kind == TOOLCHAIN_DEVICE);
	ck_assert(entry(t, "tmp")->kind == TOOLCHAIN_DIRECTORY);
	static const char *const never[] = {"home", "root",       "proc",       "sys",    "var",
					    "run",  "etc/shadow", "etc/passwd", "dev/mem"};
	for (size_t i = 0; i < COUNT_OF(never); i++)
		ck_assert_ptr_null(entry(t, never[i]));
	toolchain_free(t);
}
END_TEST

START_TEST(further_directories_are_added)
{
	struct toolchain *t = NULL;
	const char *const extra[] = {"/usr/share:/opt/deep/down", NULL};
	struct toolchain_config config = {.extra = extra};
	ck_assert_msg(toolchain_open("host", &config, &t, &err) == 0, "%s", err.text);
	ck_assert(entry(t, "opt")->kind == TOOLCHAIN_DIRECTORY && entry(t, "opt/deep")->kind == TOOLCHAIN_DIRECTORY);
	ck_assert_str_eq(entry(t, "opt/deep/down")->source, "/usr/share");
	toolchain_free(t);
}
END_TEST

START_TEST(bad_further_directories_are_refused)
{
	static const char *const bad[] = {"relative",     "/no/such/folder",   "/usr/share:/tmp/x", "/usr/share:/dev",
					  "/usr/share:/", "/usr/share:/usr/x", "/etc/hosts:/opt/x", "/usr/share:/a/../b"};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct toolchain *t = NULL;
		const char *const extra[] = {bad[i], NULL};
		struct toolchain_config config = {.extra = extra};
		ck_assert_msg(toolchain_open("host", &config, &t, &err) < 0, "%s", bad[i]);
	}
}
END_TEST

START_TEST(the_host_is_identified_by_its_compiler)
{
	struct toolchain *t = NULL;
	struct toolchain_config config = {0};
	char one[TOOLCHAIN_IDENTITY], two[TOOLCHAIN_IDENTITY];
	struct files *files = files_new();
	struct compilers *compilers = compilers_new(files_digester(files), NULL);
	ck_assert_int_eq(toolchain_open("host", &config, &t, &err), 0);
	ck_assert_msg(toolchain_identity(t, compilers, "gcc", one, &err) == 0, "%s", err.text);
	ck_assert_int_eq(toolchain_identity(t, compilers, "g++", two, &err), 0);
	ck_assert_int_eq(strncmp(one, "host:", 5), 0);
	ck_assert_str_ne(one, two);
	ck_assert_int_lt(toolchain_identity(t, compilers, "../gcc", two, &err), 0);
	ck_assert_int_lt(toolchain_identity(t, compilers, "ls", two, &err), 0);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	toolchain_free(t);
	compilers_free(compilers);
	files_free(files);
}
END_TEST

START_TEST(facts_are_read_from_what_compilers_print)
{
	struct toolchain_facts f;
	const char *gcc =
		"Using built-in specs.\nTarget: x86_64-linux-gnu\nThread model: posix\ngcc version 12.2.0 (Debian) \n";
	const char *clang = "Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu\n";
	ck_assert_int_eq(toolchain_facts_of_text("#define A 1\n", 12, gcc, &f, &err), 0);
	ck_assert_str_eq(f.version, "gcc version 12.2.0 (Debian)");
	ck_assert_str_eq(f.target, "x86_64-linux-gnu");
	ck_assert_int_eq(toolchain_facts_of_text("#define A 1\n", 12, clang, &f, &err), 0);
	ck_assert_str_eq(f.version, "clang version 14.0.6");
	ck_assert_int_lt(toolchain_facts_of_text("", 0, gcc, &f, &err), 0);
	ck_assert_int_lt(toolchain_facts_of_text("#define A 1\n", 12, "Target: x\n", &f, &err), 0);
	ck_assert_int_lt(toolchain_facts_of_text("#define A 1\n", 12, "gcc version 1\n", &f, &err), 0);
}
END_TEST

// ---- the runtime `process` ------------------------------------------------------------------------------------------

START_TEST(process_compiles)
{
	expect_good_job();
	ck_assert_int_eq(runtime_isolation(runtime), ISOLATION_PROCESS);
}
END_TEST

static size_t count_scratch(void)
{
	AUTO_FREE char *command = mem_printf("find %s/scratch/process-*-* -mindepth 1 | wc -l", directory);
	FILE *f = popen(command, "r");
	unsigned long n = 999;
	ck_assert_int_eq(fscanf(f, "%lu", &n), 1);
	pclose(f);
	return n;
}

// A command that sleeps for a time for which nobody else sleeps.
static char *long_sleep(void)
{
	return mem_printf("sleep 1000.%d", (int)getpid());
}

static void expect_no_sleep(const char *sleeper)
{
	AUTO_FREE char *command = mem_printf("! pgrep -u %u -f '^%s$' >/dev/null", geteuid(), sleeper);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(process_leaves_no_files_and_no_processes)
{
	struct trial t;
	AUTO_FREE char *sleeper = long_sleep();
	AUTO_FREE char *text = mem_printf("mkdir -p a/b; touch a/b/c $TMPDIR/d; (setsid %s &) ; echo $$", sleeper);
	const char *const script[] = {"sh", "-c", text, NULL};
	trial_init(&t, NULL);
	memcpy(t.arguments, script, sizeof script);
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert_int_lt(t.took_ms, 10000);
	ck_assert_uint_eq(count_scratch(), 0);
	trial_release(&t);
	expect_no_sleep(sleeper);
}
END_TEST

START_TEST(process_keeps_the_wall_clock_limit)
{
	struct trial t;
	AUTO_FREE char *sleeper = long_sleep();
	AUTO_FREE char *text = mem_printf("(setsid %s &); %s", sleeper, sleeper);
	const char *const script[] = {"sh", "-c", text, NULL};
	trial_init(&t, NULL);
	memcpy(t.arguments, script, sizeof script);
	t.job.limits.wall_ms = 300;
	trial_run(&t);
	expect_status(&t, 128 + SIGKILL);
	ck_assert_str_eq(t.result.limit, "wall");
	ck_assert_int_lt(t.took_ms, 10000);
	trial_release(&t);
	expect_no_sleep(sleeper);
}
END_TEST

START_TEST(process_limits_files_and_messages)
{
	AUTO_FREE char *fill = mem_printf("%s/programs/hostile fill there", directory), *chatter = NULL;
	struct trial t;
	trial_init(&t, fill);
	t.job.limits.file_bytes = 1 << 20;
	trial_run(&t);
	expect_status(&t, 1);
	ck_assert_ptr_nonnull(strstr(text_of(&t.out), "File too large"));
	trial_release(&t);
	chatter = mem_printf("%s/programs/hostile chatter 2", directory);
	trial_init(&t, chatter);
	t.job.limits.message_bytes = 1000;
	trial_run(&t);
	ck_assert_str_eq(t.result.limit, "messages");
	ck_assert_uint_eq(t.errs.len, 1000);
	trial_release(&t);
	expect_good_job();
}
END_TEST

START_TEST(process_knows_no_images)
{
	struct runtime_session *s = NULL;
	char image[80] = "sha256:";
	memset(image + 7, 'a', 64);
	ck_assert_int_lt(runtime_session_open(runtime, "tenant", image, NULL, &s, &err), 0);
}
END_TEST

START_TEST(process_cancels)
{
	struct job_cancel cancel = JOB_CANCEL_INIT;
	struct one o;
	AUTO_FREE char *sleeper = long_sleep();
	trial_init(&o.trial, sleeper);
	o.trial.job.cancel = &cancel;
	ck_assert_int_eq(pthread_create(&o.thread, NULL, run_one, &o), 0);
	usleep(200000);
	job_cancel_fire(&cancel);
	pthread_join(o.thread, NULL);
	ck_assert(o.trial.rc < 0 && err.code == ERR_TIMEOUT);
	trial_release(&o.trial);
	expect_good_job();
	expect_no_sleep(sleeper);
}
END_TEST

START_TEST(closing_a_process_session_ends_its_jobs)
{
	struct one o;
	AUTO_FREE char *sleeper = long_sleep();
	trial_init(&o.trial, sleeper);
	ck_assert_int_eq(pthread_create(&o.thread, NULL, run_one, &o), 0);
	usleep(200000);
	runtime_session_close(session);
	pthread_join(o.thread, NULL);
	ck_assert_int_lt(o.trial.rc, 0);
	ck_assert_int_lt(o.trial.took_ms, 10000);
	trial_release(&o.trial);
	expect_no_sleep(sleeper);
	session = new_session();
}
END_TEST

static int fail_write(void *ctx, const void *p, size_t n, struct err *e)
{
	(void)ctx;
	(void)p;
	(void)n;
	return err_set(e, ERR_FULL, "the disk is full");
}

static ssize_t fail_read(void *ctx, void *to, size_t room, struct err *e)
{
	(void)ctx;
	(void)to;
	(void)room;
	return err_set(e, ERR_FORMAT, "the upload is broken");
}

START_TEST(errors_of_sinks_and_sources_come_through)
{
	static const char *const words[] = {"echo", "x", NULL};
	struct runtime_job job = {.arguments = words, .out = {fail_write, NULL}};
	struct job_result result;
	ck_assert_int_lt(runtime_session_exec(session, &job, &result, &err), 0);
	ck_assert_int_eq(err.code, ERR_FULL);
	job = (struct runtime_job){.arguments = words, .source_name = "x.i", .read = fail_read};
	ck_assert_int_lt(runtime_session_exec(session, &job, &result, &err), 0);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	ck_assert_str_eq(err.text, "the upload is broken");
	// A job without a source, and without anybody who listens.
	job = (struct runtime_job){.arguments = words};
	ck_assert_msg(runtime_session_exec(session, &job, &result, &err) == 0, "%s", err.text);
	ck_assert_int_eq(result.exit_status, 0);
}
END_TEST

// Runs `cat source.i` with a source of these bytes.
static int cat_packed(const char *packed, size_t n, struct buf *out)
{
	static const char *const words[] = {"cat", "source.i", NULL};
	struct job_bytes bytes = {packed, n};
	struct job_result result;
	struct runtime_job job = {.arguments = words,
				  .source_name = "source.i",
				  .read = job_read_bytes,
				  .read_ctx = &bytes,
				  .is_packed = true,
				  .limits = {.scratch_bytes = 1 << 20},
				  .out = job_sink_buf(out)};
	return runtime_session_exec(session, &job, &result, &err);
}

START_TEST(a_packed_source_is_unpacked_beside_the_job)
{
	AUTO_BUF struct buf text = BUF_INIT, out = {.max = 1 << 20};
	static char packed[1 << 20];
	for (int i = 0; i < 20000; i++)
		buf_addf(&text, "int x%d;\n", i * i);
	size_t n = ZSTD_compress(packed, sizeof packed, text.data, text.len, 3);
	ck_assert_msg(cat_packed(packed, n, &out) == 0, "%s", err.text);
	ck_assert_uint_eq(out.len, text.len);
	ck_assert_mem_eq(out.data, text.data, text.len);
	ck_assert_int_lt(cat_packed(packed, n - 1, &out), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "not whole"));
	ck_assert_int_lt(cat_packed(packed, n + 1, &out), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "bytes behind"));
	ck_assert_int_lt(cat_packed("int x;\n", 7, &out), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "no zstd frame"));
}
END_TEST

START_TEST(a_packed_source_may_not_grow_past_the_scratch_space)
{
	AUTO_BUF struct buf out = {.max = 1 << 20};
	AUTO_FREE char *zeros = mem_alloc(8 << 20);
	static char packed[1 << 16];
	size_t n = ZSTD_compress(packed, sizeof packed, zeros, 8 << 20, 3);
	ck_assert_int_lt(cat_packed(packed, n, &out), 0);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(err.text, "scratch space"));
	expect_good_job();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create(geteuid() == 0 ? "runtime, root" : "runtime, user");
	TCase *limits = tcase_create("limits");
	tcase_add_test(limits, asking_lowers_and_never_raises);
	tcase_add_test(limits, defaults_are_as_documented);
	tcase_add_test(limits, no_limit_can_be_off);
	suite_add_tcase(s, limits);
	TCase *replies = tcase_create("replies");
	tcase_add_checked_fixture(replies, set_up_reply, tear_down_reply);
	tcase_add_test(replies, a_whole_answer_is_taken);
	tcase_add_test(replies, more_messages_than_allowed_are_refused);
	tcase_add_test(replies, outputs_nobody_asked_for_are_refused);
	tcase_add_test(replies, outputs_larger_than_allowed_are_refused);
	tcase_add_test(replies, an_exit_must_make_sense);
	tcase_add_test(replies, an_unknown_message_is_refused);
	suite_add_tcase(s, replies);
	TCase *toolchains = tcase_create("toolchains");
	tcase_set_timeout(toolchains, 60);
	tcase_add_test(toolchains, the_host_gives_its_compilers_and_nothing_else);
	tcase_add_test(toolchains, further_directories_are_added);
	tcase_add_test(toolchains, bad_further_directories_are_refused);
	tcase_add_test(toolchains, the_host_is_identified_by_its_compiler);
	tcase_add_test(toolchains, facts_are_read_from_what_compilers_print);
	suite_add_tcase(s, toolchains);
	TCase *process = tcase_create("process");
	tcase_set_timeout(process, 60);
	tcase_add_checked_fixture(process, set_up, tear_down);
	tcase_add_test(process, process_compiles);
	tcase_add_test(process, process_leaves_no_files_and_no_processes);
	tcase_add_test(process, process_keeps_the_wall_clock_limit);
	tcase_add_test(process, process_limits_files_and_messages);
	tcase_add_test(process, process_knows_no_images);
	tcase_add_test(process, process_cancels);
	tcase_add_test(process, closing_a_process_session_ends_its_jobs);
	tcase_add_test(process, errors_of_sinks_and_sources_come_through);
	tcase_add_test(process, a_packed_source_is_unpacked_beside_the_job);
	tcase_add_test(process, a_packed_source_may_not_grow_past_the_scratch_space);
	suite_add_tcase(s, process);
	return s;
}

int main(void)
{
	tried = ISOLATION_PROCESS;
	return run_everything(make_suite);
}

// Jobs that mean well, in the sandbox: results are those of a local compile, surroundings are the same everywhere, sessions
// come and go, and what can't be set up is refused by name.
#include "sandbox_fixture.h"

#include "worker/runtime/toolchain.h"

#include <linux/capability.h>
#include <pthread.h>
#include <seccomp.h>

// ---- real compiles --------------------------------------------------------------------------------------------------

static char c_source[] =
	"#include <stdio.h>\n#include <stdlib.h>\nstatic int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\n"
	"int main(int argc, char **argv) { printf(\"%d %s\\n\", f(argc), argv[0]); return EXIT_SUCCESS; }\n";
static char cxx_source[] =
	"#include <map>\n#include <string>\n#include <iostream>\ntemplate <class T> T twice(T t) { return t + t; }\n"
	"int main() { std::map<std::string, int> m; m[\"x\"] = twice(3); for (auto &p : m)\n"
	"std::cout << p.first << p.second; try { throw 1; } catch (int) { } }\n";
static char as_source[] = ".globl f\nf:\n\tnop\n\t.section .rodata\nx:\t.asciz \"text\"\n";

// A file of its own for each user, as root runs these tests too.
static char *local_path(const char *name)
{
	return mem_printf("%s/scratch/%u-%s", directory, geteuid(), name);
}

static void run_here(const char *command)
{
	AUTO_FREE char *whole = mem_printf("cd %s/scratch && LC_ALL=C.UTF-8 %s", directory, command);
	ck_assert_msg(system(whole) == 0, "%s", whole);
}

static void read_here(const char *name, struct buf *b)
{
	AUTO_FREE char *path = local_path(name);
	ck_assert_msg(file_read(AT_FDCWD, path, 64 << 20, b, NULL, &err) == 0, "%s", err.text);
}

// Preprocesses here, then compiles that text here and in the sandbox: the same object, bit for bit.
static void expect_same(const char *compiler, const char *language, const char *options, const char *source)
{
	AUTO_BUF struct buf text = BUF_INIT, here = BUF_INIT;
	AUTO_FREE char *path = local_path("in"), *words = NULL, *command = NULL;
	unsigned id = geteuid();
	bool is_asm = strcmp(language, "assembler") == 0;
	const char *preprocessed = is_asm ? "assembler" : strcmp(language, "c") == 0 ? "cpp-output" : "c++-cpp-output";
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, source, strlen(source), 0644, &err), 0);
	command = is_asm ? mem_printf("cp %u-in %u-source.i", id, id)
			 : mem_printf("%s -E %s -x %s -o %u-source.i %u-in", compiler, options, language, id, id);
	run_here(command);
	read_here("source.i", &text);
	// The same relative names in both places: they are part of the object.
	free(command);
	command = mem_printf(
		"mkdir -p %u && cp %u-source.i %u/source.i && cd %u && %s %s -x %s -c source.i -o x.o && cp x.o ../%u-x.o",
		id, id, id, id, compiler, options, preprocessed, id);
	run_here(command);
	read_here("x.o", &here);
	struct trial t;
	words = mem_printf("%s %s -x %s -c source.i -o x.o", compiler, options, preprocessed);
	trial_init(&t, words);
	t.source = text.data;
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert_str_eq(text_of(&t.errs), "");
	ck_assert_msg(t.output_bytes[0].len == here.len && memcmp(t.output_bytes[0].data, here.data, here.len) == 0,
		      "%s %s: the objects differ", compiler, options);
	trial_release(&t);
}

static bool is_there(const char *program)
{
	AUTO_FREE char *path = mem_printf("/usr/bin/%s", program);
	return access(path, X_OK) == 0;
}

START_TEST(objects_are_those_of_a_local_compile)
{
	expect_same("gcc", "c", "-O2", c_source);
	// The text itself says in which directory it was made, so debug information is the same too.
	expect_same("gcc", "c", "-O1 -g", c_source);
	expect_same("gcc", "c", "-O2 -pipe -fPIC", c_source);
	expect_same("gcc", "assembler", "", as_source);
	if (is_there("g++"))
		expect_same("g++", "c++", "-O2 -std=c++17", cxx_source);
	if (is_there("clang")) {
		expect_same("clang", "c", "-O2", c_source);
		expect_same("clang", "c", "-O2 -g -fdebug-compilation-dir=.", c_source);
		expect_same("clang++", "c++", "-O2", cxx_source);
		expect_same("clang", "assembler", "-fno-integrated-as", as_source);
	}
	if (is_there("aarch64-linux-gnu-gcc"))
		expect_same("aarch64-linux-gnu-gcc", "c", "-O2", c_source);
}
END_TEST

START_TEST(side_files_come_back)
{
	struct trial t;
	trial_init(&t, "gcc -O1 -g -gsplit-dwarf -fstack-usage -c source.i -o x.o");
	t.source = "int f(int x) { return x + 1; }\n";
	t.outputs[1].name = "x.dwo";
	t.job.n_outputs = 2;
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert(t.outputs[0].is_present && t.outputs[1].is_present);
	ck_assert_uint_eq(t.outputs[1].size, t.output_bytes[1].len);
	trial_release(&t);
}
END_TEST

START_TEST(what_is_not_written_is_left_out)
{
	struct trial t;
	trial_init(&t, "gcc -c source.i -o y.o");
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert(!t.outputs[0].is_present);
	trial_release(&t);
}
END_TEST

START_TEST(diagnostics_and_status_are_the_compilers)
{
	struct trial t;
	trial_init(&t, "gcc -c source.i -o x.o");
	t.source = "int main(void) { return y; }\n";
	trial_run(&t);
	expect_status(&t, 1);
	ck_assert_ptr_nonnull(strstr(text_of(&t.errs), "‘y’ undeclared"));
	ck_assert(!t.outputs[0].is_present);
	ck_assert_str_eq(t.result.limit, "");
	trial_release(&t);
}
END_TEST

START_TEST(a_large_source_goes_through)
{
	struct trial t;
	AUTO_BUF struct buf text = BUF_INIT;
	for (int i = 0; i < 100000; i++)
		buf_addf(&text, "extern int variable_number_%d_of_this_source;\n", i);
	trial_init(&t, "gcc -c source.i -o x.o");
	t.source = text.data;
	trial_run(&t);
	expect_status(&t, 0);
	trial_release(&t);
	trial_init(&t, "true");
	t.source = text.data;
	t.job.limits = (struct limits){.scratch_bytes = 1 << 20};
	trial_run(&t);
	ck_assert_msg(t.rc < 0 && err.code == ERR_LIMIT, "%s", err.text);
	trial_release(&t);
}
END_TEST

START_TEST(crashes_are_told_by_their_signal)
{
	// PIPE: the agent ignores it, its jobs don't.
	static const struct {
		const char *script;
		int signal;
	} all[] = {{"kill -SEGV $$", SIGSEGV},
		   {"kill -ABRT $$", SIGABRT},
		   {"kill -PIPE $$", SIGPIPE},
		   {"kill -TERM $$", SIGTERM},
		   {"kill -KILL $$", SIGKILL}};
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		struct trial t;
		trial_init(&t, NULL);
		t.arguments[0] = "sh";
		t.arguments[1] = "-c";
		t.arguments[2] = all[i].script;
		trial_run(&t);
		expect_status(&t, 128 + all[i].signal);
		ck_assert_str_eq(t.result.limit, "");
		trial_release(&t);
	}
}
END_TEST

START_TEST(there_is_no_such_program)
{
	struct trial t;
	trial_init(&t, "no-such-compiler -c source.i");
	trial_run(&t);
	ck_assert_int_lt(t.rc, 0);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_str_eq(err.text, "cannot run 'no-such-compiler': No such file or directory");
	trial_release(&t);
}
END_TEST

// ---- surroundings ---------------------------------------------------------------------------------------------------

static void expect_script(const char *script, const char *answer)
{
	struct trial t;
	trial_init(&t, NULL);
	t.arguments[0] = "sh";
	t.arguments[1] = "-c";
	t.arguments[2] = script;
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert_str_eq(text_of(&t.out), answer);
	trial_release(&t);
}

START_TEST(surroundings_are_the_same_everywhere)
{
	expect_script("env | sort", "HOME=/nonexistent\nLC_ALL=C.UTF-8\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD=/tmp/job\n"
				    "TMPDIR=/tmp\nTZ=UTC\n");
	expect_script("pwd; umask; hostname; ls", "/tmp/job\n0022\ncoffer\nsource.i\n");
	expect_script("ulimit -n; ulimit -p; ulimit -v; ulimit -c; ulimit -s", "1024\n257\n4194304\n0\n8192\n");
	expect_script("echo /home* /proc* /root* /sys* /var* /run* /boot*",
		      "/home* /proc* /root* /sys* /var* /run* /boot*\n");
	expect_script("echo /dev/*; id -u; id -G", "/dev/full /dev/null /dev/random /dev/urandom /dev/zero\n65534\n65534\n");
}
END_TEST

START_TEST(usage_is_measured)
{
	struct trial t;
	trial_init(&t, HOSTILE " memory 50");
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert_uint_gt(t.result.usage.peak_bytes, 50 << 20);
	ck_assert_uint_gt(t.result.usage.wall_us, 0);
	ck_assert_uint_gt(t.result.usage.user_us + t.result.usage.system_us, 0);
	trial_release(&t);
}
END_TEST

START_TEST(the_compiler_tells_its_facts)
{
	struct toolchain_facts c, cxx, again;
	ck_assert_msg(toolchain_facts(session, "gcc", "c", &c, &err) == 0, "%s", err.text);
	ck_assert_msg(toolchain_facts(session, "gcc", "c++", &cxx, &err) == 0, "%s", err.text);
	ck_assert_int_eq(toolchain_facts(session, "gcc", "c", &again, &err), 0);
	ck_assert_ptr_nonnull(strstr(c.version, "gcc version "));
	ck_assert_ptr_nonnull(strstr(c.target, "linux-gnu"));
	ck_assert(digest_equal(&c.defines, &again.defines) && !digest_equal(&c.defines, &cxx.defines));
	if (is_there("clang")) {
		ck_assert_msg(toolchain_facts(session, "clang", "c", &c, &err) == 0, "%s", err.text);
		ck_assert_ptr_nonnull(strstr(c.version, "clang version "));
	}
	ck_assert_int_lt(toolchain_facts(session, "true", "c", &c, &err), 0);
	ck_assert_int_lt(toolchain_facts(session, "no-such-compiler", "c", &c, &err), 0);
}
END_TEST

// ---- sessions -------------------------------------------------------------------------------------------------------

START_TEST(two_hundred_jobs_run_at_once)
{
	enum { N = 200 };
	struct one *all = mem_alloc(N * sizeof *all);
	int64_t start = clock_now_ns();
	for (int i = 0; i < N; i++) {
		trial_init(&all[i].trial, HOSTILE " sleep 2");
		ck_assert_int_eq(pthread_create(&all[i].thread, NULL, run_one, &all[i]), 0);
	}
	for (int i = 0; i < N; i++) {
		pthread_join(all[i].thread, NULL);
		expect_status(&all[i].trial, 0);
		trial_release(&all[i].trial);
	}
	ck_assert_int_lt((clock_now_ns() - start) / 1000000, 60000);
	free(all);
}
END_TEST

START_TEST(a_job_is_cancelled_from_another_thread)
{
	struct job_cancel cancel = JOB_CANCEL_INIT;
	struct one o;
	trial_init(&o.trial, HOSTILE " sleep");
	o.trial.job.cancel = &cancel;
	ck_assert_int_eq(pthread_create(&o.thread, NULL, run_one, &o), 0);
	usleep(200000);
	job_cancel_fire(&cancel);
	pthread_join(o.thread, NULL);
	ck_assert_int_lt(o.trial.rc, 0);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	ck_assert_int_lt(o.trial.took_ms, 10000);
	trial_release(&o.trial);
	// Fired before it starts, it never runs.
	trial_init(&o.trial, "true");
	o.trial.job.cancel = &cancel;
	trial_run(&o.trial);
	ck_assert(o.trial.rc < 0 && err.code == ERR_TIMEOUT);
	trial_release(&o.trial);
	expect_good_job();
}
END_TEST

START_TEST(closing_a_session_ends_its_jobs)
{
	struct one o;
	trial_init(&o.trial, HOSTILE " sleep");
	ck_assert_int_eq(pthread_create(&o.thread, NULL, run_one, &o), 0);
	usleep(200000);
	int64_t start = clock_now_ns();
	int pid = runtime_session_pid(session);
	runtime_session_close(session);
	pthread_join(o.thread, NULL);
	ck_assert_int_lt((clock_now_ns() - start) / 1000000, 5000);
	ck_assert_int_lt(o.trial.rc, 0);
	ck_assert_int_eq(kill(pid, 0), -1);
	trial_release(&o.trial);
	session = new_session();
}
END_TEST

START_TEST(a_dead_agent_is_noticed)
{
	struct one o;
	trial_init(&o.trial, HOSTILE " sleep");
	ck_assert_int_eq(pthread_create(&o.thread, NULL, run_one, &o), 0);
	usleep(200000);
	kill(runtime_session_pid(session), SIGKILL);
	pthread_join(o.thread, NULL);
	ck_assert(o.trial.rc < 0 && err.code == ERR_PEER);
	ck_assert(!runtime_session_is_alive(session));
	trial_release(&o.trial);
	trial_init(&o.trial, "true");
	trial_run(&o.trial);
	ck_assert(o.trial.rc < 0 && err.code == ERR_PEER);
	trial_release(&o.trial);
}
END_TEST

// A worker of its own, which tells its agent's process and waits to be killed.
static void be_a_worker(int tell)
{
	struct one *o = mem_alloc(sizeof *o);
	set_up();
	int pid = runtime_session_pid(session);
	trial_init(&o->trial, HOSTILE " sleep");
	ck_assert_int_eq(pthread_create(&o->thread, NULL, run_one, o), 0);
	usleep(200000);
	ck_assert_int_eq(write(tell, &pid, sizeof pid), sizeof pid);
	pause();
}

START_TEST(a_killed_worker_takes_everything_with_it)
{
	int tell[2], agent = 0;
	// No threads may be there when it is forked.
	tear_down();
	ck_assert_int_eq(pipe(tell), 0);
	pid_t worker = fork();
	if (worker == 0)
		be_a_worker(tell[1]);
	ck_assert_int_eq(read(tell[0], &agent, sizeof agent), sizeof agent);
	ck_assert_int_eq(kill(agent, 0), 0);
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	int waited = 0;
	while (kill(agent, 0) == 0 && waited++ < 500)
		usleep(10000);
	ck_assert_int_lt(waited, 500);
	set_up();
}
END_TEST

START_TEST(a_session_of_root_is_nobody_on_the_host)
{
	struct stat st;
	AUTO_FREE char *process = mem_printf("/proc/%d", runtime_session_pid(session));
	ck_assert_int_eq(stat(process, &st), 0);
	ck_assert(geteuid() == 0 ? st.st_uid >= NOBODY && st.st_gid >= NOBODY : st.st_uid == geteuid());
	// And no other session is the same nobody, unless this machine has no other to give.
	uid_t first = st.st_uid;
	struct runtime_session *other = new_session();
	AUTO_FREE char *second = mem_printf("/proc/%d", runtime_session_pid(other));
	ck_assert_int_eq(stat(second, &st), 0);
	ck_assert(first <= NOBODY || st.st_uid != first);
	runtime_session_close(other);
}
END_TEST

START_TEST(images_are_directories_by_digest)
{
	char image[80] = "sha256:";
	memset(image + 7, 'a', 64);
	struct runtime_session *s = NULL;
	ck_assert_int_lt(runtime_session_open(runtime, "tenant", image, NULL, &s, &err), 0);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_int_lt(runtime_session_open(runtime, "tenant", "sha256:../../etc", NULL, &s, &err), 0);
	ck_assert_int_eq(err.code, ERR_USAGE);
	// An image with one program, and a link out of it that leads nowhere.
	AUTO_FREE char *root = mem_printf("%s/sha256-%s/rootfs", directory, image + 7);
	AUTO_FREE char *command = mem_printf("mkdir -p %s/usr/bin %s/etc && cp %s/programs/hostile %s/usr/bin/ && "
					     "ln -s usr/bin %s/bin && ln -s /etc %s/out && echo it >%s/etc/image",
					     root, root, directory, root, root, root, root);
	ck_assert_int_eq(system(command), 0);
	ck_assert_msg(runtime_session_open(runtime, "tenant", image, NULL, &s, &err) == 0, "%s", err.text);
	struct trial t;
	trial_init(&t, "hostile reading");
	trial_run_in(&t, s);
	expect_status(&t, 0);
	ck_assert_str_eq(text_of(&t.out), "done\n");
	trial_release(&t);
	trial_init(&t, "gcc --version");
	trial_run_in(&t, s);
	ck_assert(t.rc < 0 && err.code == ERR_NOT_FOUND);
	trial_release(&t);
	runtime_session_close(s);
	tree_remove(AT_FDCWD, root);
}
END_TEST

// ---- refusals -------------------------------------------------------------------------------------------------------

// From now on this process and all it starts get an error for that call.
static void forbid_with(int call, unsigned number)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	ck_assert_ptr_nonnull(ctx);
	// A thread is no new process. LeakSanitizer starts one when this process ends.
	struct scmp_arg_cmp no_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_VM, 0);
	ck_assert_int_eq(seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(number), call, call == SCMP_SYS(clone), &no_thread), 0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
}

static void forbid(int call)
{
	forbid_with(call, EPERM);
}

static const struct refusal {
	int call;
	const char *text;
} refusals[] = {
	{SCMP_SYS(mount), "cannot set up the sandbox: private mounts"},
	{SCMP_SYS(open_tree), "cannot set up the sandbox: bind '/usr'"},
	{SCMP_SYS(mount_setattr), "cannot set up the sandbox: bind '/usr'"},
	{SCMP_SYS(move_mount), "cannot set up the sandbox: bind '/usr'"},
	{SCMP_SYS(pivot_root), "cannot set up the sandbox: pivot_root"},
	{SCMP_SYS(umount2), "cannot set up the sandbox: pivot_root"},
	{SCMP_SYS(sethostname), "cannot set up the sandbox: sethostname 'coffer'"},
	{SCMP_SYS(unshare), "cannot set up the sandbox: unshare"},
	{SCMP_SYS(execveat), "cannot set up the sandbox: exec of the agent"},
	{SCMP_SYS(clone), "cannot set up the sandbox: clone"},
	// In the agent, or a job's first process.
	{SCMP_SYS(fsopen), "cannot set up the sandbox: a tmpfs for the scratch folder"},
	{SCMP_SYS(capset), "cannot set up the sandbox: dropping capabilities"},
	{SCMP_SYS(landlock_add_rule), "cannot set up the sandbox: landlock"},
	{SCMP_SYS(landlock_restrict_self), "cannot set up the sandbox: landlock"},
	{SCMP_SYS(seccomp), "cannot set up the sandbox: the seccomp filter"},
	{SCMP_SYS(prlimit64), "cannot set up the sandbox: the limits"},
	{SCMP_SYS(setsid), "cannot set up the sandbox: the descriptors"},
	{SCMP_SYS(landlock_create_ruleset), NULL}, // the agent does not even start, and says so in the log
};

START_TEST(what_can_not_be_set_up_is_refused_by_name)
{
	const struct refusal *r = &refusals[_i];
	struct runtime_session *s = NULL;
	forbid(r->call);
	int rc = runtime_session_open(runtime, "tenant", "host", NULL, &s, &err);
	if (rc == 0) {
		struct trial t;
		trial_init(&t, "true");
		trial_run_in(&t, s);
		ck_assert_int_lt(t.rc, 0);
		trial_release(&t);
		runtime_session_close(s);
	}
	ck_assert_msg(!r->text || strstr(err.text, r->text), "%d: %s", _i, err.text);
}
END_TEST

// Root that may not become others would run jobs as root.
START_TEST(root_that_is_not_all_of_root_is_refused)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[2];
	struct runtime_session *s = NULL;
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(syscall(SYS_capget, &head, caps), 0);
	caps[0].effective &= ~(1U << CAP_SETUID);
	ck_assert_int_eq(syscall(SYS_capset, &head, caps), 0);
	ck_assert_int_eq(runtime_session_open(runtime, "tenant", "host", NULL, &s, &err), -1);
	ck_assert_ptr_nonnull(
		strstr(err.text, "cannot set up the sandbox: root without the capabilities SYS_ADMIN, SETUID and SETGID"));
}
END_TEST

START_TEST(cgroups_that_are_required_and_not_there_are_refused)
{
	struct runtime_config c = config_of_tests;
	struct runtime *r = NULL;
	c.cgroups_required = true;
	bool has_cgroups = strcmp(runtime_session_cgroups(session), "none") != 0;
	ck_assert_int_eq(runtime_new(ISOLATION_SANDBOX, &c, &r, &err), has_cgroups ? 0 : -1);
	if (has_cgroups)
		runtime_free(r);
	else
		ck_assert_msg(strstr(err.text, "cannot set up cgroups: ") == err.text, "%s", err.text);
}
END_TEST

// A kernel without landlock: there is no fallback, unless the operator has said so, and then it shows.
START_TEST(a_kernel_without_landlock_is_refused_or_told)
{
	static const unsigned numbers[] = {ENOSYS, EOPNOTSUPP};
	struct runtime_config c = config_of_tests;
	struct runtime *r = NULL;
	forbid_with(SCMP_SYS(landlock_create_ruleset), numbers[_i]);
	ck_assert_int_eq(runtime_new(ISOLATION_SANDBOX, &c, &r, &err), -1);
	ck_assert_msg(strstr(err.text, "cannot set up the sandbox: landlock") != NULL, "%s", err.text);
	c.landlock_if_available = true;
	ck_assert_msg(runtime_new(ISOLATION_SANDBOX, &c, &r, &err) == 0, "%s", err.text);
	ck_assert_str_eq(runtime_label(r), "sandbox-without-landlock");
	ck_assert_str_eq(runtime_label(runtime), "sandbox");
	struct runtime_session *s;
	struct trial t;
	ck_assert_msg(runtime_session_open(r, "tenant", "host", NULL, &s, &err) == 0, "%s", err.text);
	trial_init(&t, "true");
	trial_run_in(&t, s);
	expect_status(&t, 0);
	trial_release(&t);
	runtime_session_close(s);
	runtime_free(r);
}
END_TEST

START_TEST(a_runtime_that_can_not_work_is_not_made)
{
	struct runtime *r = NULL;
	struct toolchain_config toolchain = {.no_host = true};
	struct runtime_config config = {.loop = loop, .agent = "/no/such/agent", .toolchain = &toolchain};
	ck_assert_int_lt(runtime_new(ISOLATION_SANDBOX, &config, &r, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "/no/such/agent"));
	config.agent = agent_path();
	ck_assert_int_lt(runtime_new(ISOLATION_MICROVM, &config, &r, &err), 0);
	ck_assert_int_lt(runtime_new(ISOLATION_NONE, &config, &r, &err), 0);
	config.limits.files = 3;
	ck_assert_int_lt(runtime_new(ISOLATION_SANDBOX, &config, &r, &err), 0);
	ck_assert_int_eq(err.code, ERR_USAGE);
	config.limits.files = 0;
	ck_assert_int_eq(runtime_new(ISOLATION_SANDBOX, &config, &r, &err), 0);
	struct runtime_session *s = NULL;
	ck_assert_int_lt(runtime_session_open(r, "tenant", "host", NULL, &s, &err), 0);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	runtime_free(r);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create(geteuid() == 0 ? "sandbox, root" : "sandbox, user");
	TCase *tc = tcase_create("all");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, objects_are_those_of_a_local_compile);
	tcase_add_test(tc, side_files_come_back);
	tcase_add_test(tc, what_is_not_written_is_left_out);
	tcase_add_test(tc, diagnostics_and_status_are_the_compilers);
	tcase_add_test(tc, a_large_source_goes_through);
	tcase_add_test(tc, crashes_are_told_by_their_signal);
	tcase_add_test(tc, there_is_no_such_program);
	tcase_add_test(tc, surroundings_are_the_same_everywhere);
	tcase_add_test(tc, usage_is_measured);
	tcase_add_test(tc, the_compiler_tells_its_facts);
	tcase_add_test(tc, two_hundred_jobs_run_at_once);
	tcase_add_test(tc, a_job_is_cancelled_from_another_thread);
	tcase_add_test(tc, closing_a_session_ends_its_jobs);
	tcase_add_test(tc, a_dead_agent_is_noticed);
	tcase_add_test(tc, a_killed_worker_takes_everything_with_it);
	tcase_add_test(tc, a_session_of_root_is_nobody_on_the_host);
	tcase_add_test(tc, images_are_directories_by_digest);
	tcase_add_test(tc, root_that_is_not_all_of_root_is_refused);
	tcase_add_test(tc, cgroups_that_are_required_and_not_there_are_refused);
	tcase_add_loop_test(tc, a_kernel_without_landlock_is_refused_or_told, 0, 2);
	tcase_add_loop_test(tc, what_can_not_be_set_up_is_refused_by_name, 0, COUNT_OF(refusals));
	tcase_add_test(tc, a_runtime_that_can_not_work_is_not_made);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return run_everything(make_suite);
}

// Jobs that mean harm, in the sandbox: each is stopped, says so where it should, and its neighbours' jobs go on.
#include "sandbox_fixture.h"

#define MB ((uint64_t)1 << 20)

START_TEST(sockets_are_refused)
{
	expect_harmless(HOSTILE " sockets");
}
END_TEST

START_TEST(nothing_of_the_host_can_be_read)
{
	expect_harmless(HOSTILE " reading");
}
END_TEST

START_TEST(the_toolchain_can_not_be_written)
{
	expect_harmless(HOSTILE " writing");
}
END_TEST

START_TEST(nobody_can_be_traced)
{
	expect_harmless(HOSTILE " tracing");
}
END_TEST

START_TEST(the_machine_is_out_of_reach)
{
	expect_harmless(HOSTILE " machine");
}
END_TEST

START_TEST(mounts_and_namespaces_are_refused)
{
	expect_harmless(HOSTILE " mounting");
}
END_TEST

START_TEST(the_agent_can_not_be_signalled)
{
	expect_harmless(HOSTILE " signalling");
	ck_assert(runtime_session_is_alive(session));
	expect_good_job();
}
END_TEST

START_TEST(other_dangerous_calls_are_refused)
{
	expect_harmless(HOSTILE " calls");
}
END_TEST

START_TEST(a_call_of_another_architecture_kills)
{
	struct trial t;
	trial_init(&t, HOSTILE " foreign");
	trial_run(&t);
	expect_status(&t, 128 + SIGSYS);
	ck_assert_str_eq(text_of(&t.out), "");
	trial_release(&t);
}
END_TEST

START_TEST(there_are_no_rights_and_setuid_programs_give_none)
{
	expect_harmless(HOSTILE " rights");
}
END_TEST

START_TEST(no_descriptor_leaks_into_a_job)
{
	// What the worker and the session have open, on purpose without close-on-exec.
	int leaks[20];
	for (int i = 0; i < 20; i++)
		leaks[i] = open("/etc/passwd", O_RDONLY);
	struct runtime_session *other = new_session();
	struct trial t;
	trial_init(&t, HOSTILE " descriptors");
	trial_run_in(&t, other);
	expect_status(&t, 0);
	ck_assert_str_eq(text_of(&t.out), "done\n");
	trial_release(&t);
	runtime_session_close(other);
	for (int i = 0; i < 20; i++)
		close(leaks[i]);
}
END_TEST

START_TEST(what_a_job_writes_can_not_be_run)
{
	expect_harmless(HOSTILE " running");
}
END_TEST

START_TEST(nothing_is_left_for_the_next_job)
{
	expect_harmless(HOSTILE " leave");
	for (int i = 0; i < 5; i++)
		expect_harmless(HOSTILE " look");
}
END_TEST

START_TEST(a_daemon_does_not_keep_a_job_alive)
{
	struct trial t;
	trial_init(&t, HOSTILE " leave");
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert_int_lt(t.took_ms, 5000);
	trial_release(&t);
}
END_TEST

// ---- limits ---------------------------------------------------------------------------------------------------------

static void expect_limit(const char *command, struct limits limits, const char *limit, int64_t within_ms)
{
	struct trial t;
	trial_init(&t, command);
	t.job.limits = limits;
	trial_run(&t);
	ck_assert_msg(t.rc == 0, "%s", err.text);
	ck_assert_int_ne(t.result.exit_status, 0);
	ck_assert_msg(strcmp(t.result.limit, limit) == 0, "'%s', status %d: '%s' '%s'", t.result.limit, t.result.exit_status,
		      text_of(&t.out), text_of(&t.errs));
	ck_assert_int_lt(t.took_ms, within_ms);
	trial_release(&t);
	expect_good_job();
}

START_TEST(a_sleeper_is_ended)
{
	expect_limit(HOSTILE " sleep", (struct limits){.wall_ms = 300}, "wall", 10000);
}
END_TEST

START_TEST(a_fork_bomb_is_ended)
{
	expect_limit(HOSTILE " bomb", (struct limits){.wall_ms = 700, .processes = 100}, "wall", 20000);
}
END_TEST

START_TEST(processes_are_counted_for_each_job)
{
	struct trial t;
	trial_init(&t, HOSTILE " many");
	t.job.limits = (struct limits){.wall_ms = 1500, .processes = 20};
	trial_run(&t);
	ck_assert_msg(t.rc == 0, "%s", err.text);
	ck_assert_str_eq(text_of(&t.out), "forked 19\n");
	ck_assert_str_eq(t.result.limit, "wall");
	trial_release(&t);
}
END_TEST

START_TEST(cpu_is_limited)
{
	expect_limit(HOSTILE " burn", (struct limits){.wall_ms = 60000, .cpu_s = 1}, "cpu", 30000);
}
END_TEST

START_TEST(a_full_disk_is_the_jobs_own)
{
	expect_limit(HOSTILE " fill", (struct limits){.scratch_bytes = 20 * MB}, "scratch", 20000);
}
END_TEST

START_TEST(a_large_file_is_stopped)
{
	struct trial t;
	trial_init(&t, HOSTILE " fill");
	t.job.limits = (struct limits){.file_bytes = 4 * MB, .scratch_bytes = 40 * MB};
	trial_run(&t);
	expect_status(&t, 1);
	ck_assert_ptr_nonnull(strstr(text_of(&t.out), "File too large"));
	trial_release(&t);
}
END_TEST

START_TEST(memory_is_limited)
{
	expect_limit(HOSTILE " memory 1000", (struct limits){.memory_bytes = 100 * MB}, "memory", 20000);
}
END_TEST

START_TEST(memory_of_all_processes_together_is_limited)
{
	if (strcmp(runtime_session_cgroups(session), "none") == 0)
		return; // what bounds them then is the number of processes times the limit of each
	expect_limit(HOSTILE " memory-of-many 8 60", (struct limits){.memory_bytes = 100 * MB}, "memory", 20000);
}
END_TEST

static void expect_messages(const char *command, bool is_err)
{
	struct trial t;
	trial_init(&t, command);
	t.job.limits = (struct limits){.message_bytes = 300000};
	trial_run(&t);
	ck_assert_msg(t.rc == 0, "%s", err.text);
	ck_assert_str_eq(t.result.limit, "messages");
	ck_assert_uint_eq((is_err ? &t.errs : &t.out)->len, 300000);
	ck_assert_int_lt(t.took_ms, 20000);
	trial_release(&t);
	expect_good_job();
}

START_TEST(gigabytes_of_messages_are_cut_off)
{
	expect_messages(HOSTILE " chatter 1", false);
	expect_messages(HOSTILE " chatter 2", true);
}
END_TEST

START_TEST(a_hundred_thousand_files_are_too_many)
{
	struct trial t;
	trial_init(&t, HOSTILE " files 100000");
	trial_run(&t);
	expect_status(&t, 0);
	int made = atoi(text_of(&t.out) + strlen("made "));
	ck_assert_msg(made > 1000 && made < 20000, "%s", text_of(&t.out));
	trial_release(&t);
	expect_good_job();
}
END_TEST

START_TEST(a_client_can_not_raise_a_limit)
{
	struct limits low = {.processes = 10, .wall_ms = 1500};
	struct runtime_session *other = NULL;
	ck_assert_int_eq(runtime_session_open(runtime, "tenant", "host", &low, &other, &err), 0);
	struct trial t;
	trial_init(&t, HOSTILE " many");
	t.job.limits = (struct limits){.processes = 1000, .wall_ms = 1000000};
	trial_run_in(&t, other);
	ck_assert_msg(t.rc == 0, "%s", err.text);
	ck_assert_str_eq(text_of(&t.out), "forked 9\n");
	ck_assert_str_eq(t.result.limit, "wall");
	trial_release(&t);
	runtime_session_close(other);
}
END_TEST

// ---- outputs --------------------------------------------------------------------------------------------------------

static void expect_refused_output(const char *kind, const char *name)
{
	struct trial t;
	AUTO_FREE char *command = mem_printf(HOSTILE " output %s", kind);
	trial_init(&t, command);
	t.outputs[0].name = name;
	trial_run(&t);
	ck_assert_msg(t.rc < 0 && err.code == ERR_FORMAT, "'%s': %d %s", kind, t.rc, err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "is not a regular file"));
	ck_assert(!t.outputs[0].is_present && t.output_bytes[0].len == 0);
	trial_release(&t);
}

START_TEST(outputs_that_are_no_files_are_refused)
{
	expect_refused_output("link", "x.o");
	expect_refused_output("inner-link", "x.o");
	expect_refused_output("fifo", "x.o");
	expect_refused_output("folder", "x.o");
	expect_refused_output("folder-link", "sub/gcc");
	expect_refused_output("work-link", "gcc");
	expect_good_job();
}
END_TEST

START_TEST(an_output_larger_than_it_may_be_is_refused)
{
	struct trial t;
	trial_init(&t, HOSTILE " output sparse");
	t.job.limits = (struct limits){.scratch_bytes = 4 * MB};
	trial_run(&t);
	ck_assert_int_lt(t.rc, 0);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	trial_release(&t);
}
END_TEST

START_TEST(an_unreadable_output_is_read)
{
	struct trial t;
	trial_init(&t, HOSTILE " output unreadable");
	trial_run(&t);
	expect_status(&t, 0);
	ck_assert(t.outputs[0].is_present && t.outputs[0].size == 0);
	trial_release(&t);
}
END_TEST

START_TEST(names_outside_of_the_scratch_directory_are_refused)
{
	static const char *const names[] = {"../x.o", "/tmp/x.o", "a/../../x.o", "", ".", "..", "a//b", "./x.o", "x.o/"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct trial t;
		trial_init(&t, "true");
		t.outputs[0].name = names[i];
		trial_run(&t);
		ck_assert_msg(t.rc < 0 && err.code == ERR_USAGE, "'%s': %d %s", names[i], t.rc, err.text);
		t.outputs[0].name = "x.o";
		t.job.source_name = names[i];
		trial_run(&t);
		// An empty name stands for no source, and then there may be none.
		ck_assert_msg(t.rc < 0 && err.code == ERR_USAGE, "'%s': %d %s", names[i], t.rc, err.text);
		trial_release(&t);
	}
}
END_TEST

// ---- neighbours -----------------------------------------------------------------------------------------------------

struct neighbour {
	struct runtime_session *in;
	const char *command;
	struct limits limits;
	struct trial trial;
};

static void *run_neighbour(void *arg)
{
	struct neighbour *n = arg;
	trial_run_in(&n->trial, n->in);
	return NULL;
}

START_TEST(neighbours_go_on)
{
	static const char *const harms[] = {HOSTILE " bomb", HOSTILE " fill", HOSTILE " chatter 2", HOSTILE " many",
					    HOSTILE " files 100000"};
	struct neighbour all[COUNT_OF(harms)];
	pthread_t threads[COUNT_OF(harms)];
	struct runtime_session *other = new_session();
	for (size_t i = 0; i < COUNT_OF(harms); i++) {
		all[i] = (struct neighbour){.in = session, .command = harms[i]};
		trial_init(&all[i].trial, harms[i]);
		all[i].trial.job.limits = (struct limits){
			.wall_ms = 1500, .processes = 50, .scratch_bytes = 50 * MB, .message_bytes = 100 * MB};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_neighbour, &all[i]), 0);
	}
	// In the same session, and in another tenant's.
	for (int i = 0; i < 5; i++) {
		expect_good_job();
		expect_good_job_in(other);
	}
	for (size_t i = 0; i < COUNT_OF(harms); i++) {
		pthread_join(threads[i], NULL);
		ck_assert_msg(all[i].trial.rc == 0, "'%s': %s", harms[i], err.text);
		trial_release(&all[i].trial);
	}
	runtime_session_close(other);
	expect_good_job();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create(geteuid() == 0 ? "hostile jobs, root" : "hostile jobs, user");
	TCase *tc = tcase_create("all");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, sockets_are_refused);
	tcase_add_test(tc, nothing_of_the_host_can_be_read);
	tcase_add_test(tc, the_toolchain_can_not_be_written);
	tcase_add_test(tc, nobody_can_be_traced);
	tcase_add_test(tc, the_machine_is_out_of_reach);
	tcase_add_test(tc, mounts_and_namespaces_are_refused);
	tcase_add_test(tc, the_agent_can_not_be_signalled);
	tcase_add_test(tc, other_dangerous_calls_are_refused);
	tcase_add_test(tc, a_call_of_another_architecture_kills);
	tcase_add_test(tc, there_are_no_rights_and_setuid_programs_give_none);
	tcase_add_test(tc, no_descriptor_leaks_into_a_job);
	tcase_add_test(tc, what_a_job_writes_can_not_be_run);
	tcase_add_test(tc, nothing_is_left_for_the_next_job);
	tcase_add_test(tc, a_daemon_does_not_keep_a_job_alive);
	tcase_add_test(tc, a_sleeper_is_ended);
	tcase_add_test(tc, a_fork_bomb_is_ended);
	tcase_add_test(tc, processes_are_counted_for_each_job);
	tcase_add_test(tc, cpu_is_limited);
	tcase_add_test(tc, a_full_disk_is_the_jobs_own);
	tcase_add_test(tc, a_large_file_is_stopped);
	tcase_add_test(tc, memory_is_limited);
	tcase_add_test(tc, memory_of_all_processes_together_is_limited);
	tcase_add_test(tc, gigabytes_of_messages_are_cut_off);
	tcase_add_test(tc, a_hundred_thousand_files_are_too_many);
	tcase_add_test(tc, a_client_can_not_raise_a_limit);
	tcase_add_test(tc, outputs_that_are_no_files_are_refused);
	tcase_add_test(tc, an_output_larger_than_it_may_be_is_refused);
	tcase_add_test(tc, an_unreadable_output_is_read);
	tcase_add_test(tc, names_outside_of_the_scratch_directory_are_refused);
	tcase_add_test(tc, neighbours_go_on);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return run_everything(make_suite);
}

// observe: every name that a command's processes look at is told once, with what came of it; and it always ends.
#include "base/clock.h"
#include "observe/observe.h"
#include "tests/unit/forbid.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[64];
static struct arena arena;

static void set_up(void)
{
	strcpy(top, "/tmp/test_observe.XXXXXX");
	ck_assert(mkdtemp(top) != NULL);
}

static void tear_down(void)
{
	char command[100];
	arena_release(&arena);
	snprintf(command, sizeof command, "rm -rf %s", top);
	ck_assert_int_eq(system(command), 0);
}

static const char *in(const char *name)
{
	return arena_printf(&arena, "%s/%s", top, name);
}

static int observe_shell(struct observe *o, const char *script, int limit_ms, struct err *err)
{
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	const char **argv = arena_alloc(&arena, 4 * sizeof *argv);
	argv[0] = "/bin/sh";
	argv[1] = "-c";
	argv[2] = script;
	int cwd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*o = (struct observe){.argv = argv, .envp = env, .cwd_fd = cwd, .time_limit_ms = limit_ms};
	int rc = observe_run(o, &arena, err);
	close(cwd);
	return rc;
}

static const struct look *look_at(const struct observe *o, const char *path)
{
	const struct look *found = NULL;
	for (unsigned i = 0; i < o->n_looks; i++)
		if (strcmp(o->looks[i].path, path) == 0) {
			ck_assert_msg(!found, "'%s' is told twice", path);
			found = &o->looks[i];
		}
	return found;
}

START_TEST(a_read_file_an_absent_one_and_a_program_are_told)
{
	struct observe o;
	struct err err = ERR_INIT;
	ck_assert_int_eq(observe_shell(&o,
				       "echo x >new; cat new not-there; ls . >/dev/null; [ -e asked ]; readlink l; exit 7",
				       10000, &err),
			 0);
	ck_assert_int_eq(WEXITSTATUS(o.status), 7);
	ck_assert(!o.unclear);
	const struct look *l = look_at(&o, in("new"));
	ck_assert(l && (l->how & LOOK_WRITE) && (l->how & LOOK_OPEN) && l->error == 0);
	l = look_at(&o, in("not-there"));
	ck_assert(l && (l->how & LOOK_OPEN) && l->error == ENOENT);
	l = look_at(&o, in("asked"));
	ck_assert(l && (l->how & LOOK_STAT) && l->error == ENOENT);
	l = look_at(&o, in("l"));
	ck_assert(l && (l->how & LOOK_LINK) && l->error == ENOENT);
	l = look_at(&o, top);
	ck_assert(l && (l->how & LOOK_LIST) && l->error == 0);
	l = look_at(&o, "/usr/bin/cat");
	ck_assert(l && (l->how & LOOK_RUN) && l->error == 0);
	for (unsigned i = 0; i < o.n_looks; i++)
		ck_assert_msg(o.looks[i].error >= 0, "nothing came of '%s'", o.looks[i].path);
}
END_TEST

START_TEST(names_are_relative_to_the_process_that_says_them)
{
	struct observe o;
	ck_assert_int_eq(observe_shell(&o, "mkdir -p a/b; cd a; (cd b; cat x); cat x; cat ../y", 10000, NULL), 0);
	ck_assert(look_at(&o, in("a/b/x")));
	ck_assert(look_at(&o, in("a/x")));
	ck_assert_msg(look_at(&o, in("a/../y")) != NULL, "a name keeps its '..'");
	ck_assert(!look_at(&o, in("x")));
}
END_TEST

START_TEST(the_interpreter_of_a_script_and_the_loader_are_told)
{
	struct observe o;
	ck_assert_int_eq(observe_shell(&o, "printf '#!/usr/bin/env cat\\n' >s; chmod +x s; ./s", 10000, NULL), 0);
	ck_assert(look_at(&o, in("s")));
	ck_assert(look_at(&o, "/usr/bin/env"));
	bool loader = false;
	for (unsigned i = 0; i < o.n_looks; i++)
		loader |= strstr(o.looks[i].path, "/ld-") != NULL;
	ck_assert(loader);
}
END_TEST

// Its parent may not have waited for it yet.
static bool is_alive(int pid)
{
	char state = 'Z';
	FILE *f = fopen(arena_printf(&arena, "/proc/%d/stat", pid), "r");
	if (!f)
		return false;
	bool ok = fscanf(f, "%*d (%*[^)]) %c", &state) == 1;
	fclose(f);
	return ok && state != 'Z' && state != 'X';
}

START_TEST(a_command_that_never_ends_is_killed_with_its_processes)
{
	struct observe o;
	struct err err = ERR_INIT;
	int64_t began = clock_ms();
	const char *pids = in("pids");
	ck_assert_int_eq(observe_shell(&o,
				       "trap '' TERM INT; for i in 1 2 3; do (setsid sh -c 'echo $$ >>pids; sleep 100' &) ; "
				       "done; sleep 100",
				       2000, &err),
			 -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	ck_assert_int_lt(clock_ms() - began, 20000);
	FILE *f = fopen(pids, "r");
	ck_assert(f != NULL);
	int pid, n = 0;
	while (fscanf(f, "%d", &pid) == 1) {
		n++;
		ck_assert_msg(!is_alive(pid), "process %d lives", pid);
	}
	fclose(f);
	ck_assert_int_eq(n, 3);
}
END_TEST

START_TEST(too_many_names_are_refused)
{
	struct observe o;
	struct err err = ERR_INIT;
	ck_assert_int_eq(observe_shell(&o, "i=0; while :; do [ -e name-$i ]; i=$((i + 1)); done", 60000, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(too_many_processes_are_refused)
{
	struct observe o;
	struct err err = ERR_INIT;
	ck_assert_int_eq(
		observe_shell(&o, "i=0; while [ $i -lt 400 ]; do sleep 100 & i=$((i + 1)); done; wait", 60000, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(a_missing_program_is_an_error)
{
	static const char *const argv[] = {"/no/such/program", NULL}, *const env[] = {NULL};
	struct observe o = {.argv = argv, .envp = env, .cwd_fd = -1, .time_limit_ms = 5000};
	struct err err = ERR_INIT;
	ck_assert_int_eq(observe_run(&o, &arena, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_command_that_is_killed_by_a_signal_says_so)
{
	struct observe o;
	ck_assert_int_eq(observe_shell(&o, "kill -SEGV $$", 10000, NULL), 0);
	ck_assert(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGSEGV);
	ck_assert(!o.killed);
	ck_assert_int_eq(observe_shell(&o, "trap 'cat caught' USR1; kill -USR1 $$; exit 3", 10000, NULL), 0);
	ck_assert_int_eq(WEXITSTATUS(o.status), 3);
	ck_assert(look_at(&o, in("caught")));
	ck_assert(!o.killed);
	ck_assert_int_eq(observe_shell(&o, "sh -c 'kill -KILL $$'; exit 3", 10000, NULL), 0);
	ck_assert(o.killed && WEXITSTATUS(o.status) == 3);
	ck_assert_int_eq(observe_shell(&o, "sleep 10 & kill -TERM $!; exit 0", 10000, NULL), 0);
	ck_assert(!o.killed);
	ck_assert_int_eq(observe_shell(&o, "kill -TERM $$", 10000, NULL), 0);
	ck_assert(o.killed);
}
END_TEST

// In a child, which keeps the filter.
START_TEST(without_ptrace_it_says_that_nothing_can_be_observed)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct observe o;
		struct err err = ERR_INIT;
		if (forbid_ptrace() < 0)
			_exit(3);
		_exit(observe_shell(&o, "exit 0", 5000, &err) == -1 && err.code == ERR_ACCESS && !observe_possible(NULL)
			      ? 0
			      : 1);
	}
	int status;
	ck_assert(waitpid(pid, &status, 0) == pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(children_of_the_caller_are_left_alone)
{
	struct observe o;
	pid_t pid = fork();
	if (pid == 0) {
		sleep(100);
		_exit(0);
	}
	ck_assert_int_eq(observe_shell(&o, "exit 5", 10000, NULL), 0);
	ck_assert_int_eq(WEXITSTATUS(o.status), 5);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	ck_assert(waitpid(pid, NULL, 0) == pid);
}
END_TEST

START_TEST(it_can_be_observed_here)
{
	struct err err = ERR_INIT;
	ck_assert_msg(observe_possible(&err), "%s", err.text);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("observe");
	TCase *t = tcase_create("observe");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_read_file_an_absent_one_and_a_program_are_told);
	tcase_add_test(t, names_are_relative_to_the_process_that_says_them);
	tcase_add_test(t, the_interpreter_of_a_script_and_the_loader_are_told);
	tcase_add_test(t, a_command_that_never_ends_is_killed_with_its_processes);
	tcase_add_test(t, too_many_names_are_refused);
	tcase_add_test(t, too_many_processes_are_refused);
	tcase_add_test(t, a_missing_program_is_an_error);
	tcase_add_test(t, a_command_that_is_killed_by_a_signal_says_so);
	tcase_add_test(t, without_ptrace_it_says_that_nothing_can_be_observed);
	tcase_add_test(t, children_of_the_caller_are_left_alone);
	tcase_add_test(t, it_can_be_observed_here);
	suite_add_tcase(s, t);
	return s;
}

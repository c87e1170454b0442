// depscan/view: what a compiler looks at is found by observation, holds until something of it changes, and is remembered.
#include "depscan/view.h"
#include "tests/unit/forbid.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char top[64];
static struct arena arena;
static struct files *files;
static struct compilers *cs;
static struct store *store;
static struct views *vs;
static const char *env[] = {"PATH=/usr/bin:/bin", NULL, NULL};
static int cwd_fd = -1;

static const char *in(const char *name)
{
	return arena_printf(&arena, "%s/%s", top, name);
}

static void run(const char *words)
{
	char command[400];
	snprintf(command, sizeof command, "cd %s && %s", top, words);
	ck_assert_int_eq(system(command), 0);
}

static void set_up(void)
{
	strcpy(top, "/tmp/test_view.XXXXXX");
	ck_assert(mkdtemp(top) != NULL);
	files = files_new();
	cs = compilers_new(files_digester(files), NULL);
	store = store_open(in("store"), 0, 1, NULL);
	ck_assert(store != NULL);
	vs = views_new(files, NULL, store, top);
	run("mkdir bin sr && echo 'int x;' >x.c");
	env[1] = NULL;
	cwd_fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void tear_down(void)
{
	mem_close_cleanup(&cwd_fd);
	views_free(vs);
	store_close(store);
	compilers_free(cs);
	files_free(files);
	run("ls -d observe.* 2>/dev/null && exit 1; rm -rf ../$(basename $PWD)");
	arena_release(&arena);
}

// The view of `COMPILER WORD… -c x.c`; NULL: refused, or none.
static struct view *view_of(const char *compiler, const char *words, int *rc)
{
	struct cmdline *line = arena_alloc(&arena, sizeof *line);
	const char **argv = arena_alloc(&arena, 32 * sizeof *argv);
	char *save = NULL, *copy = arena_strdup(&arena, words);
	unsigned n = 0;
	argv[n++] = compiler;
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[n++] = word;
	argv[n++] = "-c";
	argv[n++] = "x.c";
	enum reason reason;
	struct err err = ERR_INIT;
	const struct compiler_call call = {
		.path = arena_printf(&arena, "/usr/bin/%s", compiler), .argv0 = compiler, .env = env};
	const struct compiler *c = compilers_find(cs, &call, &reason, &err);
	ck_assert_msg(c != NULL, "%s: %s", compiler, reason_name(reason));
	cmdline_parse(line, &arena, c->family, c->is_cxx, cwd_fd, argv);
	ck_assert_msg(line->reason == REASON_NONE, "%s", reason_name(line->reason));
	struct view_query q = {.compiler = c, .argv0 = compiler, .line = line, .cwd = top, .cwd_fd = cwd_fd, .env = env};
	struct view *v = NULL;
	*rc = views_find(vs, &q, &v, &err);
	return v;
}

static struct digest digest_of_view(const char *compiler, const char *words)
{
	int rc;
	struct view *v = view_of(compiler, words, &rc);
	ck_assert_msg(v != NULL, "%s %s", compiler, words);
	struct digest d = *view_digest(v);
	view_unref(v);
	return d;
}

static bool same(const char *compiler, const char *words, const char *then)
{
	struct digest one = digest_of_view(compiler, words), again = digest_of_view(compiler, words);
	ck_assert_msg(digest_equal(&one, &again), "%s %s", compiler, words);
	run(then);
	struct digest two = digest_of_view(compiler, words);
	return digest_equal(&one, &two);
}

static bool has_finding(const struct view *v, const char *end, enum finding_kind kind)
{
	uint32_t n;
	const struct finding *list = findings_list(view_findings(v), &n);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strlen(list[i].path), tail = strlen(end);
		if (list[i].kind == kind && len >= tail && strcmp(list[i].path + len - tail, end) == 0)
			return true;
	}
	return false;
}

START_TEST(programs_libraries_and_absent_specs_are_found)
{
	int rc;
	struct view *v = view_of("gcc", "-O2", &rc);
	ck_assert(v != NULL);
	ck_assert(has_finding(v, "/cc1", FOUND_CONTENT));
	ck_assert(has_finding(v, "-as", FOUND_CONTENT));
	ck_assert(has_finding(v, "/specs", FOUND_NOTHING));
	ck_assert(has_finding(v, "/etc/ld.so.cache", FOUND_CONTENT));
	ck_assert_msg(!has_finding(v, "/u.c", FOUND_CONTENT), "the scratch directory is beside the question");
	view_unref(v);
}
END_TEST

START_TEST(a_directory_that_appears_below_the_sysroot_is_another_toolchain)
{
	ck_assert(!same("clang", "--sysroot=sr", "mkdir -p sr/usr/include/x86_64-linux-gnu"));
	run("rm -r sr/usr");
	ck_assert(!same("clang", arena_printf(&arena, "--sysroot=%s/sr", top),
			"mkdir -p sr/usr/lib/gcc/x86_64-linux-gnu/12; touch sr/usr/lib/gcc/x86_64-linux-gnu/12/crtbegin.o"));
}
END_TEST

// Where gcc looks for its assembler was settled when it was built: in PATH (Debian 12), or at one place (gcc 16 of Debian sid).
static bool finds_assembler_in_path(void)
{
	return system("test \"$(gcc -print-prog-name=as)\" = as") == 0;
}

START_TEST(an_assembler_that_appears_earlier_is_another_toolchain)
{
	env[0] = arena_printf(&arena, "PATH=%s/bin:/usr/bin:/bin", top);
	bool is_same = same("gcc", "-O1", "printf '#!/bin/sh\nexec /usr/bin/as \"$@\"\n' >bin/as; chmod +x bin/as");
	ck_assert(is_same == !finds_assembler_in_path());
	env[0] = "PATH=/usr/bin:/bin";
}
END_TEST

START_TEST(what_is_not_looked_at_counts_for_nothing)
{
	ck_assert(same("gcc", "-O2", "mkdir sr/usr; touch bin/other"));
	env[0] = arena_printf(&arena, "PATH=%s/bin:/usr/bin:/bin", top);
	struct digest one = digest_of_view("gcc", "-O2");
	env[0] = "PATH=/usr/bin:/bin";
	struct digest two = digest_of_view("gcc", "-O2");
	ck_assert_msg(digest_equal(&one, &two), "a longer PATH that leads to the same programs");
	one = digest_of_view("gcc", "-DA -I. -Wall -include x.h -MD -MF d -o o");
	two = digest_of_view("gcc", "-DB");
	ck_assert(digest_equal(&one, &two));
}
END_TEST

START_TEST(it_is_remembered_on_disk)
{
	// A compiler that can't be run any more in time would tell; the count of what is stored does as well.
	struct digest one = digest_of_view("gcc", "-O2");
	struct store_report r;
	ck_assert(store_verify(store, &r, NULL) == 0);
	ck_assert_uint_eq(r.blobs[STORE_TOOLCHAIN], 1);
	views_free(vs);
	vs = views_new(files, NULL, store, top);
	pid_t pid = fork();
	if (pid == 0) {
		// Without ptrace nothing can be observed: what is found must have been stored.
		int rc;
		struct view *v = forbid_ptrace() == 0 ? view_of("gcc", "-O2", &rc) : NULL;
		_exit(v && digest_equal(view_digest(v), &one) ? 0 : 1);
	}
	int status;
	ck_assert(waitpid(pid, &status, 0) == pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(without_ptrace_risky_words_are_refused_and_others_are_not)
{
	pid_t pid = fork();
	if (pid == 0) {
		int plain = 9, risky = 9;
		if (forbid_ptrace() < 0)
			_exit(3);
		struct view *v = view_of("gcc", "-O2 -Wall", &plain), *w = view_of("gcc", "--sysroot=sr", &risky);
		_exit(!v && plain == 0 && !w && risky == -1 ? 0 : 1);
	}
	int status;
	ck_assert(waitpid(pid, &status, 0) == pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(words_that_fail_are_refused)
{
	int rc;
	ck_assert(view_of("gcc", "-fno-such-option", &rc) == NULL);
	ck_assert_int_eq(rc, -1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("view");
	TCase *t = tcase_create("view");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, programs_libraries_and_absent_specs_are_found);
	tcase_add_test(t, a_directory_that_appears_below_the_sysroot_is_another_toolchain);
	tcase_add_test(t, an_assembler_that_appears_earlier_is_another_toolchain);
	tcase_add_test(t, what_is_not_looked_at_counts_for_nothing);
	tcase_add_test(t, it_is_remembered_on_disk);
	tcase_add_test(t, without_ptrace_risky_words_are_refused_and_others_are_not);
	tcase_add_test(t, words_that_fail_are_refused);
	suite_add_tcase(s, t);
	return s;
}

// depscan/findings: whatever is another thing than it was at a name, or on the way to it, is noticed; nothing else is.
#include "base/clock.h"
#include "depscan/findings.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[100];
static struct arena arena;
static struct files *files;
static struct watch *w;
static struct findings *f;

static const char *in(const char *name)
{
	return arena_printf(&arena, "%s/%s", top, name);
}

static void put(const char *name, const char *text)
{
	ck_assert(file_write_atomic(AT_FDCWD, in(name), text, strlen(text), 0644, NULL) == 0);
}

static void run(const char *fmt)
{
	char command[400];
	snprintf(command, sizeof command, "cd %s && %s", top, fmt);
	ck_assert_int_eq(system(command), 0);
}

static void set_up(void)
{
	int tmp = open("/tmp", O_PATH | O_CLOEXEC);
	snprintf(top, sizeof top, "%s/test_findings.XXXXXX", watch_tells_everything(tmp) ? "/tmp" : "/dev/shm");
	close(tmp);
	ck_assert(mkdtemp(top) != NULL);
	files = files_new();
	w = NULL;
	f = findings_new();
	run("mkdir -p bin lib/sub && echo one >lib/text && ln -s lib library && ln -s text lib/link && echo x >lib/sub/y");
}

static void tear_down(void)
{
	findings_unref(f);
	watch_free(w);
	files_free(files);
	run("rm -rf ../$(basename $PWD)");
	arena_release(&arena);
}

static void find(const char *name, enum finding_want want, int kind)
{
	struct err err = ERR_INIT;
	ck_assert_msg(findings_add(f, files, in(name), want, &err) == kind, "%s: %s", name, err.text);
}

static bool holds(void)
{
	return findings_hold(f, files, w, watch_epoch(w), NULL);
}

// Old enough to be trusted, so that a look at directories is all there is.
static void settle(void)
{
	usleep(2100000);
	ck_assert(holds());
	ck_assert(holds());
}

static void find_all(void)
{
	find("library/text", WANT_CONTENT, FOUND_FILE);
	find("lib/link", WANT_LINK, FOUND_LINK);
	find("bin/as", WANT_KIND, FOUND_NOTHING);
	find("gone/deep/down", WANT_KIND, FOUND_NOTHING);
	find("lib/sub", WANT_LIST, FOUND_DIRECTORY);
	find("bin", WANT_KIND, FOUND_DIRECTORY);
	find("bin/../lib/text", WANT_KIND, FOUND_FILE);
	findings_seal(f);
}

// Each of these ends it, and taking it back makes it hold again.
static const char *const changes[][2] = {
	{"echo two >lib/text", "echo one >lib/text"},
	{"echo one >lib/text2; mv lib/text lib/old; ln -s old lib/text", "mv lib/old lib/text"},
	{"touch bin/as", "rm bin/as"},
	{"mkdir gone", "rmdir gone"},
	{"ln -s nowhere gone", "rm gone"},
	{"touch lib/sub/z", "rm lib/sub/z"},
	{"mv lib/sub/y lib/sub/Y", "mv lib/sub/Y lib/sub/y"},
	{"ln -sfn bin library", "ln -sfn lib library"},
	{"ln -sfn other lib/link", "ln -sfn text lib/link"},
	{"rm -r bin && touch bin", "rm bin && mkdir bin"},
	{"mv lib elsewhere", "mv elsewhere lib"},
	{"rm lib/text && mkdir lib/text", "rmdir lib/text && echo one >lib/text"},
};

static void try_all(void)
{
	find_all();
	ck_assert(holds());
	for (size_t i = 0; i < COUNT_OF(changes); i++) {
		ck_assert_msg(holds(), "before %s", changes[i][0]);
		run(changes[i][0]);
		ck_assert_msg(!holds(), "%s", changes[i][0]);
		ck_assert_msg(!holds(), "%s", changes[i][0]);
		run(changes[i][1]);
		ck_assert_msg(holds(), "%s", changes[i][1]);
	}
}

START_TEST(every_change_is_noticed_young)
{
	try_all();
}
END_TEST

START_TEST(every_change_is_noticed_old)
{
	find_all();
	for (size_t i = 0; i < COUNT_OF(changes); i += 3) {
		settle();
		run(changes[i][0]);
		ck_assert_msg(!holds(), "%s", changes[i][0]);
		run(changes[i][1]);
		ck_assert(holds());
	}
}
END_TEST

START_TEST(every_change_is_noticed_watched)
{
	w = watch_new(top, files);
	ck_assert(w != NULL);
	try_all();
}
END_TEST

START_TEST(every_change_is_noticed_watched_and_old)
{
	w = watch_new(top, files);
	find_all();
	for (size_t i = 0; i < COUNT_OF(changes); i += 2) {
		settle();
		run(changes[i][0]);
		ck_assert_msg(!holds(), "%s", changes[i][0]);
		run(changes[i][1]);
		ck_assert(holds());
	}
}
END_TEST

START_TEST(the_culprit_is_named)
{
	const char *culprit = NULL;
	find_all();
	ck_assert(holds());
	run("touch bin/as");
	ck_assert(!findings_hold(f, files, NULL, 0, &culprit));
	ck_assert_str_eq(culprit, in("bin/as"));
}
END_TEST

START_TEST(what_does_not_count_ends_nothing)
{
	find_all();
	settle();
	run("touch lib/other bin/ld; mkdir goner; touch lib/text; chmod 600 lib/text");
	ck_assert(holds());
}
END_TEST

START_TEST(the_digest_is_of_what_is_there)
{
	struct findings *g = findings_new();
	find("lib/text", WANT_CONTENT, FOUND_FILE);
	findings_seal(f);
	findings_add(g, files, in("bin/as"), WANT_KIND, NULL);
	findings_add(g, files, in("lib/text"), WANT_CONTENT, NULL);
	findings_seal(g);
	struct digest one = findings_digest(f, NULL, NULL), two = findings_digest(g, NULL, NULL);
	ck_assert_msg(digest_equal(&one, &two), "what is absent does not count");
	findings_unref(g);
	// Another tree with the same in it, and the same tree with something else in it.
	run("mkdir copy && cp -r lib copy/");
	g = findings_new();
	findings_add(g, files, in("copy/lib/text"), WANT_CONTENT, NULL);
	findings_seal(g);
	one = findings_digest(f, top, NULL);
	two = findings_digest(g, in("copy"), NULL);
	ck_assert(digest_equal(&one, &two));
	two = findings_digest(g, NULL, NULL);
	ck_assert(!digest_equal(&one, &two));
	findings_unref(g);
	put("copy/lib/text", "two\n");
	g = findings_new();
	findings_add(g, files, in("copy/lib/text"), WANT_CONTENT, NULL);
	findings_seal(g);
	two = findings_digest(g, in("copy"), NULL);
	ck_assert(!digest_equal(&one, &two));
	findings_unref(g);
}
END_TEST

START_TEST(they_can_be_stored)
{
	AUTO_BUF struct buf b = BUF_INIT;
	find_all();
	struct digest was = findings_digest(f, NULL, NULL);
	findings_encode(f, &b);
	for (size_t n = 0; n <= b.len; n++) {
		struct rd r = RD(b.data, n);
		struct findings *g = findings_decode(&r);
		ck_assert_msg((g != NULL) == (n == b.len), "%zu of %zu bytes", n, b.len);
		if (!g)
			continue;
		struct digest is = findings_digest(g, NULL, NULL);
		ck_assert(digest_equal(&was, &is));
		ck_assert(findings_hold(g, files, NULL, 0, NULL));
		run("echo two >lib/text");
		ck_assert(!findings_hold(g, files, NULL, 0, NULL));
		findings_unref(g);
	}
}
END_TEST

START_TEST(circles_and_long_names_are_errors)
{
	struct err err = ERR_INIT;
	run("ln -s a b && ln -s b a");
	ck_assert_int_eq(findings_add(f, files, in("a"), WANT_KIND, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_int_eq(findings_add(f, files, "relative", WANT_KIND, &err), -1);
	char *name = arena_alloc(&arena, 6000);
	memset(name, '/', 5999);
	ck_assert_int_eq(findings_add(f, files, name, WANT_KIND, &err), -1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("findings");
	TCase *t = tcase_create("findings");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_change_is_noticed_young);
	tcase_add_test(t, every_change_is_noticed_old);
	tcase_add_test(t, every_change_is_noticed_watched);
	tcase_add_test(t, every_change_is_noticed_watched_and_old);
	tcase_add_test(t, the_culprit_is_named);
	tcase_add_test(t, what_does_not_count_ends_nothing);
	tcase_add_test(t, the_digest_is_of_what_is_there);
	tcase_add_test(t, they_can_be_stored);
	tcase_add_test(t, circles_and_long_names_are_errors);
	suite_add_tcase(s, t);
	return s;
}

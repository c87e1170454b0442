// depscan/arrivals: a stamp is another one after anything that could be an expected name has come.
#include "base/file.h"
#include "base/mem.h"
#include "depscan/directory_watch.h"
#include "depscan/watch.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[100], dir[120];
static struct arena arena;
static struct directory_watch *a;

static const char *in(const char *name)
{
	return arena_printf(&arena, "%s/%s", dir, name);
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);
	ck_assert_msg(fd >= 0, "%s", path);
	close(fd);
}

static uint64_t stamp_of(const char *directory)
{
	struct stat st;
	directory_watch_read(a);
	ck_assert(stat(directory, &st) == 0);
	return directory_watch_stamp(a, AT_FDCWD, directory, &st);
}

static void set_up(void)
{
	// In a container /tmp may be on a file system that does not tell of all changes.
	int tmp = open("/tmp", O_PATH | O_CLOEXEC);
	snprintf(top, sizeof top, "%s/test_arrivals.XXXXXX", watch_tells_everything(tmp) ? "/tmp" : "/dev/shm");
	close(tmp);
	ck_assert(mkdtemp(top) != NULL);
	snprintf(dir, sizeof dir, "%s/dir", top);
	ck_assert(mkdir(dir, 0755) == 0);
	a = directory_watch_new();
	ck_assert(a != NULL);
}

static void tear_down(void)
{
	directory_watch_free(a);
	arena_release(&arena);
	char command[200];
	snprintf(command, sizeof command, "rm -rf %s", top);
	ck_assert_int_eq(system(command), 0);
}

static const char *const expected[] = {"a.h", "Sub/h.h", "folder/", "\303\244.h"};

static uint64_t expecting(void)
{
	uint64_t stamp = stamp_of(dir);
	ck_assert_msg(stamp != 0, "this file system does not tell of changes");
	ck_assert(directory_watch_expect(a, stamp, expected, 4));
	return stamp;
}

START_TEST(a_directory_keeps_its_stamp_while_other_names_come)
{
	uint64_t stamp = expecting();
	touch(in("b.o"));
	ck_assert(rename(in("b.o"), in("b2.o")) == 0);
	ck_assert(symlink("a.h", in("link")) == 0);
	ck_assert(mkdir(in("new"), 0755) == 0);
	touch(in("new/a.h"));
	ck_assert(unlink(in("link")) == 0);
	ck_assert_uint_eq(stamp_of(dir), stamp);
}
END_TEST

static void by_open(const char *name)
{
	touch(in(name));
}
static void by_mkdir(const char *name)
{
	ck_assert(mkdir(in(name), 0755) == 0);
}
static void by_symlink(const char *name)
{
	ck_assert(symlink("nowhere", in(name)) == 0);
}
static void by_fifo(const char *name)
{
	ck_assert(mkfifo(in(name), 0644) == 0);
}
static void by_link(const char *name)
{
	touch(in("other"));
	ck_assert(link(in("other"), in(name)) == 0);
}
static void by_rename(const char *name)
{
	touch(in("other"));
	ck_assert(rename(in("other"), in(name)) == 0);
}
static void from_outside(const char *name)
{
	char other[160];
	snprintf(other, sizeof other, "%s/other", top);
	touch(other);
	ck_assert(rename(other, in(name)) == 0);
}
static void by_another_name(const char *name)
{
	char link[160];
	snprintf(link, sizeof link, "%s/link", top);
	ck_assert(symlink("dir", link) == 0);
	touch(arena_printf(&arena, "%s/%s", link, name));
}
static void by_unnamed(const char *name)
{
	char proc[64];
	int fd = open(dir, O_TMPFILE | O_WRONLY, 0644);
	if (fd < 0) {
		touch(in(name));
		return;
	}
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	ck_assert(linkat(AT_FDCWD, proc, AT_FDCWD, in(name), AT_SYMLINK_FOLLOW) == 0);
	close(fd);
}
static void by_exchange(const char *name)
{
	char other[160];
	snprintf(other, sizeof other, "%s/other", top);
	touch(other);
	ck_assert(symlink("nowhere", in("theirs")) == 0);
	ck_assert(renameat2(AT_FDCWD, other, AT_FDCWD, in("theirs"), RENAME_EXCHANGE) == 0);
	ck_assert(renameat2(AT_FDCWD, in("theirs"), AT_FDCWD, in(name), RENAME_NOREPLACE) == 0);
}

static void (*const ways[])(const char *) = {by_open,   by_mkdir,     by_symlink,      by_fifo,    by_link,
					     by_rename, from_outside, by_another_name, by_unnamed, by_exchange};
static const char *const names[] = {"a.h", "sub", "Sub", "FOLDER", "A.H", "\303\204.h", "x\303\204"};

START_TEST(an_expected_name_ends_the_stamp_however_it_comes)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		tear_down();
		set_up();
		uint64_t stamp = expecting();
		ways[_i](names[i]);
		uint64_t other = stamp_of(dir);
		ck_assert_msg(other != stamp && other != 0, "way %d, %s", _i, names[i]);
		ck_assert(!directory_watch_expect(a, stamp, expected, 4));
		ck_assert(directory_watch_expect(a, other, expected, 4));
	}
}
END_TEST

START_TEST(another_directory_of_that_name_has_another_stamp)
{
	uint64_t stamp = expecting();
	char other[160];
	snprintf(other, sizeof other, "%s/other", top);
	ck_assert(rename(dir, other) == 0);
	ck_assert(mkdir(dir, 0755) == 0);
	uint64_t fresh = stamp_of(dir);
	ck_assert(fresh != 0 && fresh != stamp);
	// The first one has only another name, and is still watched.
	ck_assert_uint_eq(stamp_of(other), stamp);
	touch(arena_printf(&arena, "%s/a.h", other));
	ck_assert_uint_ne(stamp_of(other), stamp);
	ck_assert_uint_eq(stamp_of(dir), fresh);
	// One that was removed never comes back, even if it is made anew with the same inode.
	for (int i = 0; i < 20; i++) {
		ck_assert(rmdir(dir) == 0 && mkdir(dir, 0755) == 0);
		uint64_t again = stamp_of(dir);
		ck_assert(again != 0 && again != fresh);
		fresh = again;
	}
}
END_TEST

START_TEST(lost_news_end_all_stamps)
{
	uint64_t stamp = expecting();
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	int most = 16384;
	if (f) {
		ck_assert_int_eq(fscanf(f, "%d", &most), 1);
		fclose(f);
	}
	if (most > 100000)
		return;
	for (int i = 0; i <= most / 2 + 1; i++) {
		char one[160];
		snprintf(one, sizeof one, "%s/%d", dir, i % 2);
		touch(one);
		ck_assert(unlink(one) == 0);
		snprintf(one, sizeof one, "%s/o%d", dir, i % 2);
		touch(one);
		ck_assert(unlink(one) == 0);
	}
	touch(in("a.h"));
	ck_assert_uint_ne(stamp_of(dir), stamp);
}
END_TEST

START_TEST(a_file_system_that_does_not_tell_has_no_stamps)
{
	ck_assert_uint_eq(stamp_of("/proc/self"), 0);
	ck_assert_uint_eq(stamp_of("/proc/self"), 0);
	ck_assert(!directory_watch_expect(a, 0, expected, 4));
	struct stat st;
	ck_assert(stat(dir, &st) == 0);
	ck_assert_uint_eq(directory_watch_stamp(NULL, AT_FDCWD, dir, &st), 0);
	// The name leads elsewhere by now.
	ck_assert(stat("/", &st) == 0);
	ck_assert_uint_eq(directory_watch_stamp(a, AT_FDCWD, dir, &st), 0);
}
END_TEST

START_TEST(it_is_bounded)
{
	uint64_t stamp = expecting(), last = 0;
	for (unsigned i = 0; i < DIRECTORY_WATCH_MAX_DIRECTORIES + 10; i++) {
		const char *directory = arena_printf(&arena, "%s/f%u", top, i);
		ck_assert(mkdir(directory, 0755) == 0);
		uint64_t s = stamp_of(directory);
		ck_assert(s > last);
		last = s;
	}
	ck_assert_uint_ne(stamp_of(dir), stamp);
	stamp = expecting();
	enum { MANY = 60000 };
	const char **many = arena_alloc(&arena, MANY * sizeof *many);
	for (int i = 0; i < MANY; i++)
		many[i] = arena_printf(&arena, "n%d", i);
	ck_assert(directory_watch_expect(a, stamp, many, MANY));
	ck_assert(directory_watch_expect(a, stamp, many, 30000));
	for (int i = 0; i < MANY; i++)
		many[i] = arena_printf(&arena, "m%d", i);
	ck_assert(!directory_watch_expect(a, stamp, many, MANY));
	ck_assert_uint_ne(stamp_of(dir), stamp);
}
END_TEST

static void *ask(void *arg)
{
	bool *wrong = arg;
	for (int i = 0; i < 300; i++) {
		const char *names_of_it[] = {"x.h"};
		struct stat st;
		char path[160];
		snprintf(path, sizeof path, "%s/x.h", dir);
		directory_watch_read(a);
		if (stat(dir, &st) < 0)
			continue;
		uint64_t stamp = directory_watch_stamp(a, AT_FDCWD, dir, &st);
		bool kept = directory_watch_expect(a, stamp, names_of_it, 1) && access(path, F_OK) != 0;
		if (!kept)
			continue;
		touch(path);
		directory_watch_read(a);
		if (directory_watch_stamp(a, AT_FDCWD, dir, &st) == stamp)
			*wrong = true;
		unlink(path);
	}
	return NULL;
}

START_TEST(threads_never_see_an_old_stamp)
{
	pthread_t threads[4];
	bool wrong[4] = {false};
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, &wrong[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert(!wrong[i]);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("arrivals");
	TCase *tc = tcase_create("arrivals");
	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_directory_keeps_its_stamp_while_other_names_come);
	tcase_add_loop_test(tc, an_expected_name_ends_the_stamp_however_it_comes, 0, sizeof ways / sizeof *ways);
	tcase_add_test(tc, another_directory_of_that_name_has_another_stamp);
	tcase_add_test(tc, lost_news_end_all_stamps);
	tcase_add_test(tc, a_file_system_that_does_not_tell_has_no_stamps);
	tcase_add_test(tc, it_is_bounded);
	tcase_add_test(tc, threads_never_see_an_old_stamp);
	return s;
}

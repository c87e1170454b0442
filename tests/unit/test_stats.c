// Counters: shared by processes, kept across versions and deaths, never a reason for a compile to fail.
#include "client/stats.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILE_SIZE = 32 * 1024 };

static char *directory;
static struct arena arena;
static struct err err;

static const char *in_directory(const char *name)
{
	return path_join(&arena, directory, name);
}

static void setup(void)
{
	directory = unit_directory();
	err = (struct err)ERR_INIT;
}

static void teardown(void)
{
	static const char *const names[] = {"cache/v1/stats", "cache/v1", "cache", "lost", "file"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		remove(in_directory(names[i]));
	ck_assert_int_eq(rmdir(directory), 0);
	arena_release(&arena);
	free(directory);
}

static struct stats *open_stats(void)
{
	struct stats *s = stats_open(in_directory("cache"), &err);
	ck_assert_msg(s != NULL, "%s", err.text);
	return s;
}

static void write_file(const char *name, const void *p, size_t n)
{
	const char *path = in_directory(name);
	ck_assert_int_eq(file_make_dirs(path_dir(&arena, path), 0700, &err), 0);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, p, n, 0600, &err), 0);
}

static void read_stats_file(struct buf *b)
{
	ck_assert_int_eq(file_read(AT_FDCWD, in_directory("cache/v1/stats"), FILE_SIZE, b, NULL, &err), 0);
}

START_TEST(a_new_file_has_every_counter_at_zero)
{
	struct stats *s = open_stats();
	for (enum stat_counter c = 0; c < STAT_COUNT; c++)
		ck_assert_uint_eq(stats_value(s, c), 0);
	ck_assert_int_le(labs(stats_zeroed_at(s) - time(NULL)), 5);
	stats_close(s);
	struct stat st;
	ck_assert_int_eq(stat(in_directory("cache/v1/stats"), &st), 0);
	ck_assert_int_eq(st.st_size, FILE_SIZE);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_ge(st.st_blocks * 512, FILE_SIZE);
}
END_TEST

START_TEST(counts_outlive_the_process_and_are_shared)
{
	struct stats *mine = open_stats();
	stats_add(mine, STAT_misses, 1);
	pid_t pid = fork();
	if (pid == 0) {
		struct stats *s = stats_open(in_directory("cache"), NULL);
		stats_add(s, STAT_misses, 2);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_uint_eq(stats_value(mine, STAT_misses), 3);
	stats_close(mine);
	mine = open_stats();
	ck_assert_uint_eq(stats_value(mine, STAT_misses), 3);
	stats_close(mine);
}
END_TEST

static void *add_often(void *s)
{
	for (int i = 0; i < 10000; i++)
		stats_add(s, STAT_compiles, 1);
	return NULL;
}

START_TEST(threads_lose_no_count)
{
	struct stats *s = open_stats();
	pthread_t threads[4];
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add_often, s), 0);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(stats_value(s, STAT_compiles), 40000);
	stats_close(s);
}
END_TEST

START_TEST(two_that_begin_at_once_agree_on_the_slots)
{
	pid_t pids[8];
	for (size_t i = 0; i < COUNT_OF(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct stats *s = stats_open(in_directory("cache"), NULL);
			for (enum stat_counter c = 0; c < STAT_COUNT; c++)
				stats_add(s, c, (uint64_t)c + 1);
			_exit(s ? 0 : 1);
		}
	}
	for (size_t i = 0; i < COUNT_OF(pids); i++) {
		int status;
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
	}
	struct stats *s = open_stats();
	for (enum stat_counter c = 0; c < STAT_COUNT; c++)
		ck_assert_uint_eq(stats_value(s, c), 8 * ((uint64_t)c + 1));
	stats_close(s);
}
END_TEST

START_TEST(a_reason_has_its_own_counter)
{
	struct stats *s = open_stats();
	stats_add_reason(s, REASON_link);
	stats_add_reason(s, REASON_NONE);
	ck_assert_uint_eq(stats_value(s, stats_of_reason(REASON_link)), 1);
	ck_assert_uint_eq(stats_value(s, STAT_not_cached), 1);
	ck_assert_str_eq(stats_name(stats_of_reason(REASON_link)), "not_cached_link");
	ck_assert_str_eq(stats_text(stats_of_reason(REASON_link)), reason_text(REASON_link));
	ck_assert_int_eq(stats_of_reason(REASON_daemon_lost), STAT_COUNT - 1);
	stats_close(s);
}
END_TEST

START_TEST(names_are_unique_and_fit)
{
	for (enum stat_counter a = 0; a < STAT_COUNT; a++) {
		ck_assert_uint_lt(strlen(stats_name(a)), 56);
		ck_assert_uint_gt(strlen(stats_text(a)), 0);
		for (enum stat_counter b = a + 1; b < STAT_COUNT; b++)
			ck_assert_str_ne(stats_name(a), stats_name(b));
	}
}
END_TEST

START_TEST(counters_of_another_version_stay)
{
	struct stats *s = open_stats();
	stats_add(s, STAT_stored, 7);
	stats_close(s);
	// A version that lacks "compiles" and knows "teleported" wrote the file.
	struct buf b = BUF_INIT;
	read_stats_file(&b);
	char *slot = memmem(b.data, b.len, "compiles\0", 9);
	ck_assert_ptr_nonnull(slot);
	memcpy(slot, "teleported", 10);
	slot[56] = 42;
	write_file("cache/v1/stats", b.data, b.len);
	s = open_stats();
	ck_assert_uint_eq(stats_value(s, STAT_compiles), 0);
	ck_assert_uint_eq(stats_value(s, STAT_stored), 7);
	stats_add(s, STAT_compiles, 3);
	stats_close(s);
	buf_clear(&b);
	read_stats_file(&b);
	slot = memmem(b.data, b.len, "teleported", 11);
	ck_assert_ptr_nonnull(slot);
	ck_assert_int_eq(slot[56], 42);
	s = open_stats();
	ck_assert_uint_eq(stats_value(s, STAT_compiles), 3);
	stats_zero(s);
	stats_close(s);
	buf_clear(&b);
	read_stats_file(&b);
	slot = memmem(b.data, b.len, "teleported", 11);
	ck_assert_ptr_nonnull(slot);
	ck_assert_int_eq(slot[56], 0);
	buf_release(&b);
}
END_TEST

START_TEST(a_full_table_counts_what_it_knows)
{
	struct stats *s = open_stats();
	stats_close(s);
	struct buf b = BUF_INIT;
	read_stats_file(&b);
	for (size_t at = 64; at < b.len; at += 64)
		snprintf(b.data + at, 56, "foreign_%zu", at);
	memset(b.data + 64, 0, 56);
	memcpy(b.data + 64, "misses", 6);
	write_file("cache/v1/stats", b.data, b.len);
	s = open_stats();
	stats_add(s, STAT_misses, 5);
	stats_add(s, STAT_compiles, 5);
	ck_assert_uint_eq(stats_value(s, STAT_misses), 5);
	ck_assert_uint_eq(stats_value(s, STAT_compiles), 0);
	stats_close(s);
	buf_release(&b);
}
END_TEST

START_TEST(a_file_that_is_not_ours_is_begun_anew)
{
	char junk[FILE_SIZE];
	memset(junk, 0xee, sizeof junk);
	write_file("cache/v1/stats", junk, sizeof junk);
	struct stats *s = open_stats();
	ck_assert_uint_eq(stats_value(s, STAT_misses), 0);
	stats_close(s);
	write_file("cache/v1/stats", junk, 100);
	s = open_stats();
	for (enum stat_counter c = 0; c < STAT_COUNT; c++)
		ck_assert_uint_eq(stats_value(s, c), 0);
	stats_close(s);
}
END_TEST

START_TEST(zero_sets_all_back_and_notes_the_time)
{
	struct stats *s = open_stats();
	stats_add(s, STAT_direct_hits, 9);
	stats_add_reason(s, REASON_modules);
	stats_zero(s);
	ck_assert_uint_eq(stats_value(s, STAT_direct_hits), 0);
	ck_assert_uint_eq(stats_value(s, stats_of_reason(REASON_modules)), 0);
	ck_assert_int_le(labs(stats_zeroed_at(s) - time(NULL)), 5);
	stats_close(s);
}
END_TEST

START_TEST(no_stats_count_nothing)
{
	stats_add(NULL, STAT_compiles, 1);
	stats_add_reason(NULL, REASON_link);
	stats_take_lost(NULL, directory);
	ck_assert_uint_eq(stats_value(NULL, STAT_compiles), 0);
	ck_assert_int_eq(stats_zeroed_at(NULL), 0);
	stats_close(NULL);
}
END_TEST

START_TEST(a_directory_that_cannot_be_is_an_error)
{
	write_file("file", "x", 1);
	ck_assert_ptr_null(stats_open(in_directory("file"), &err));
	ck_assert_ptr_nonnull(strstr(err.text, in_directory("file")));
	ck_assert_int_eq(file_make_dirs(in_directory("cache/v1/stats"), 0700, &err), 0);
	ck_assert_ptr_null(stats_open(in_directory("cache"), &err));
	ck_assert_int_eq(rmdir(in_directory("cache/v1/stats")), 0);
	ck_assert_int_eq(symlink(in_directory("file"), in_directory("cache/v1/stats")), 0);
	ck_assert_ptr_null(stats_open(in_directory("cache"), &err));
}
END_TEST

START_TEST(a_file_that_stays_locked_is_no_hang)
{
	write_file("cache/v1/stats", "", 0);
	int fd = open(in_directory("cache/v1/stats"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_ptr_null(stats_open(in_directory("cache"), &err));
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	close(fd);
}
END_TEST

START_TEST(a_file_that_cannot_be_written_can_be_read)
{
	if (geteuid() == 0)
		return; // root can write everything
	struct stats *s = open_stats();
	stats_add(s, STAT_misses, 4);
	stats_close(s);
	ck_assert_int_eq(chmod(in_directory("cache/v1/stats"), 0400), 0);
	s = open_stats();
	ck_assert_uint_eq(stats_value(s, STAT_misses), 4);
	stats_add(s, STAT_misses, 1);
	stats_close(s);
	s = open_stats();
	ck_assert_uint_eq(stats_value(s, STAT_misses), 4);
	stats_close(s);
}
END_TEST

START_TEST(lost_compiles_are_counted_once)
{
	struct stats *s = open_stats();
	write_file("lost", "...", 3);
	stats_take_lost(s, directory);
	stats_take_lost(s, directory);
	ck_assert_uint_eq(stats_value(s, STAT_compiles), 3);
	ck_assert_uint_eq(stats_value(s, STAT_not_cached), 3);
	ck_assert_uint_eq(stats_value(s, stats_of_reason(REASON_daemon_lost)), 3);
	struct stat st;
	ck_assert_int_eq(stat(in_directory("lost"), &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	stats_close(s);
}
END_TEST

START_TEST(a_strange_lost_file_is_no_lost_compile)
{
	struct stats *s = open_stats();
	stats_take_lost(s, in_directory("nowhere"));
	ck_assert_int_eq(mkfifo(in_directory("lost"), 0600), 0);
	stats_take_lost(s, directory);
	ck_assert_int_eq(unlink(in_directory("lost")), 0);
	write_file("file", "xx", 2);
	ck_assert_int_eq(symlink(in_directory("file"), in_directory("lost")), 0);
	stats_take_lost(s, directory);
	ck_assert_uint_eq(stats_value(s, STAT_compiles), 0);
	stats_close(s);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("stats");
	TCase *t = tcase_create("stats");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_new_file_has_every_counter_at_zero);
	tcase_add_test(t, counts_outlive_the_process_and_are_shared);
	tcase_add_test(t, threads_lose_no_count);
	tcase_add_test(t, two_that_begin_at_once_agree_on_the_slots);
	tcase_add_test(t, a_reason_has_its_own_counter);
	tcase_add_test(t, names_are_unique_and_fit);
	tcase_add_test(t, counters_of_another_version_stay);
	tcase_add_test(t, a_full_table_counts_what_it_knows);
	tcase_add_test(t, a_file_that_is_not_ours_is_begun_anew);
	tcase_add_test(t, zero_sets_all_back_and_notes_the_time);
	tcase_add_test(t, no_stats_count_nothing);
	tcase_add_test(t, a_directory_that_cannot_be_is_an_error);
	tcase_add_test(t, a_file_that_stays_locked_is_no_hang);
	tcase_add_test(t, a_file_that_cannot_be_written_can_be_read);
	tcase_add_test(t, lost_compiles_are_counted_once);
	tcase_add_test(t, a_strange_lost_file_is_no_lost_compile);
	suite_add_tcase(s, t);
	return s;
}

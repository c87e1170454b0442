// The index over an audit log: it finds what a look at every row would find, also while the log grows, is another one, or
// the index itself is spoilt.
#include "audit/index/index.h"
#include "audit/log.h"
#include "base/file.h"
#include "base/tree.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static struct err err;
static char *top, *file;
static int dirfd_of_log;

static void setup(void)
{
	top = unit_directory();
	file = mem_printf("%s/index.sqlite", top);
	dirfd_of_log = open(top, O_RDONLY | O_DIRECTORY);
	err = (struct err)ERR_INIT;
	ck_assert_int_eq(mkdirat(dirfd_of_log, "rows", 0755), 0);
}

static void teardown(void)
{
	close(dirfd_of_log);
	tree_remove(AT_FDCWD, top);
	free(top);
	free(file);
	arena_release(&arena);
}

static const char *digest(unsigned long n)
{
	return arena_printf(&arena, "sha256:%016lx%048lx", n * 0x9e3779b97f4a7c15UL, n);
}

// Row i has the key of i % 100, a source of its own, two outputs, and a time that is once set back.
static void write_rows(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to;) {
		AUTO_BUF struct buf lines = BUF_INIT;
		char name[32];
		snprintf(name, sizeof name, "rows/%08u", i / AUDIT_SEGMENT_ROWS);
		do {
			unsigned minutes = i < 700 ? i : i - 400;
			struct audit_row row = {.value[AUDIT_outcome] = "run", .value[AUDIT_tenant] = "a"};
			row.value[AUDIT_image_digest] = i % 3 ? "host:0123456789abcdef" : digest(7);
			row.value[AUDIT_key] = digest(1000 + i % 100);
			row.value[AUDIT_source_digest] = digest(100000 + i);
			row.value[AUDIT_output_digest] =
				arena_printf(&arena, "%s,dwo=%s", digest(200000 + i), digest(300000 + i % 10));
			row.value[AUDIT_job] = arena_printf(&arena, "0123456789abcdef-%u", i);
			row.value[AUDIT_time] = arena_printf(&arena, "2026-11-%02uT%02u:%02u:00Z", 1 + minutes / 1440,
							     minutes / 60 % 24, minutes % 60);
			audit_row_write(&row, &lines);
			buf_addc(&lines, '\n');
		} while (++i < to && i % AUDIT_SEGMENT_ROWS);
		AUTO_CLOSE int fd = openat(dirfd_of_log, name, O_WRONLY | O_CREAT | O_APPEND, 0644);
		ck_assert_int_eq(file_write_fd(fd, lines.data, lines.len, &err), 0);
	}
}

static struct audit_index *open_index(uint64_t rows)
{
	struct audit_index *x = NULL;
	uint64_t n = 0;
	ck_assert_msg(audit_index_open(file, dirfd_of_log, &x, &err) == 0, "%s", err.text);
	ck_assert_msg(audit_index_catch_up(x, &n, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(n, rows);
	return x;
}

static void finds(struct audit_index *x, const char *what, const uint64_t *rows, size_t n)
{
	struct audit_rows found;
	ck_assert_msg(audit_index_find(x, what, &found, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(found.n, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(found.rows[i], rows[i]);
	free(found.rows);
}

START_TEST(every_name_finds_its_rows)
{
	write_rows(0, 250);
	struct audit_index *x = open_index(250);
	finds(x, digest(1042), (uint64_t[]){42, 142, 242}, 3);
	finds(x, digest(1042) + 7, (uint64_t[]){42, 142, 242}, 3);
	finds(x, arena_strndup(&arena, digest(100017), 7 + 12), (uint64_t[]){17}, 1);
	finds(x, digest(200249), (uint64_t[]){249}, 1);
	finds(x, "0123456789abcdef-7", (uint64_t[]){7}, 1);
	finds(x, "0123456789abcdef-999", NULL, 0);
	finds(x, digest(5), NULL, 0);
	struct audit_rows found;
	ck_assert_int_eq(audit_index_find(x, digest(300003), &found, &err), 0);
	ck_assert_uint_eq(found.n, 25);
	free(found.rows);
	audit_index_close(x);
}
END_TEST

START_TEST(it_goes_on_where_the_log_does)
{
	static const unsigned steps[] = {1, 255, 256, 257, 600, 1300};
	unsigned at = 0;
	for (size_t i = 0; i < COUNT_OF(steps); at = steps[i++]) {
		write_rows(at, steps[i]);
		struct audit_index *x = open_index(steps[i]);
		finds(x, digest(100000 + at), (uint64_t[]){at}, 1);
		finds(x, digest(100000 + steps[i] - 1), (uint64_t[]){steps[i] - 1}, 1);
		audit_index_close(x);
	}
}
END_TEST

static void expect_row(struct audit_index *x, struct audit_reader *r, uint64_t at)
{
	const char *line;
	size_t n;
	ck_assert_msg(audit_index_seek(x, r, at, &err) == 0, "%s", err.text);
	ck_assert_int_eq(audit_reader_next(r, &line, &n, &err), 1);
	ck_assert_ptr_nonnull(memmem(line, n, digest(100000 + at), 71));
}

START_TEST(rows_are_found_in_their_files)
{
	static const uint64_t rows[] = {0, 1, 255, 256, 300, 65535, 65536, 65537, 65999, 12};
	struct audit_reader r;
	write_rows(0, 66000);
	struct audit_index *x = open_index(66000);
	audit_reader_init(&r, dirfd_of_log);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect_row(x, &r, rows[i]);
	ck_assert_int_eq(audit_index_seek(x, &r, 66001, &err), -1);
	audit_reader_release(&r);
	audit_index_close(x);
}
END_TEST

// As a look at every row: none at or after `time` is before the row that is named, and it is not far.
START_TEST(a_time_names_a_row_before_all_that_are_later)
{
	write_rows(0, 2000);
	struct audit_index *x = open_index(2000);
	for (unsigned minutes = 0; minutes < 1700; minutes += 37) {
		uint64_t row, first = 2000;
		const char *time =
			arena_printf(&arena, "2026-11-%02uT%02u:%02u", 1 + minutes / 1440, minutes / 60 % 24, minutes % 60);
		for (unsigned i = 0; i < 2000 && first == 2000; i++)
			if ((i < 700 ? i : i - 400) >= minutes)
				first = i;
		ck_assert_int_eq(audit_index_since(x, time, &row, &err), 0);
		ck_assert_uint_le(row, first);
		ck_assert_uint_le(first - row, 256);
	}
	audit_index_close(x);
}
END_TEST

START_TEST(images_are_counted)
{
	struct audit_image image;
	write_rows(0, 100);
	struct audit_index *x = open_index(100);
	ck_assert_int_eq(audit_index_image(x, digest(7), &image, &err), 1);
	ck_assert_uint_eq(image.rows, 34);
	ck_assert_uint_eq(image.first, 0);
	ck_assert_uint_eq(image.last, 99);
	ck_assert_int_eq(audit_index_image(x, "host:01234567", &image, &err), 1);
	ck_assert_uint_eq(image.rows, 66);
	ck_assert_int_eq(audit_index_image(x, "01234567", &image, &err), 1);
	ck_assert_int_eq(audit_index_image(x, "host:ff234567", &image, &err), 0);
	ck_assert_int_eq(audit_index_image(x, "h", &image, &err), 0);
	audit_index_close(x);
}
END_TEST

START_TEST(another_log_is_indexed_from_its_start)
{
	write_rows(0, 300);
	audit_index_close(open_index(300));
	ck_assert_int_eq(unlinkat(dirfd_of_log, "rows/00000000", 0), 0);
	write_rows(50, 90);
	struct audit_index *x = open_index(40);
	finds(x, digest(100050), (uint64_t[]){0}, 1);
	finds(x, digest(100001), NULL, 0);
	audit_index_close(x);
}
END_TEST

START_TEST(a_spoilt_index_is_an_error_that_says_so)
{
	struct audit_index *x;
	write_rows(0, 10);
	ck_assert_int_eq(
		file_write_atomic(AT_FDCWD, file, "this is no database, and longer than its header", 47, 0644, &err), 0);
	ck_assert_int_eq(audit_index_open(file, dirfd_of_log, &x, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("audit_index");
	TCase *t = tcase_create("audit_index");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_name_finds_its_rows);
	tcase_add_test(t, it_goes_on_where_the_log_does);
	tcase_add_test(t, rows_are_found_in_their_files);
	tcase_add_test(t, a_time_names_a_row_before_all_that_are_later);
	tcase_add_test(t, images_are_counted);
	tcase_add_test(t, another_log_is_indexed_from_its_start);
	tcase_add_test(t, a_spoilt_index_is_an_error_that_says_so);
	suite_add_tcase(s, t);
	return s;
}

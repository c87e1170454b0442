// base/: buffers, maps, paths, JSON, children.
#include "base/buf.h"
#include "base/child.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/self.h"
#include "base/value.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(buf_adds_nothing_past_its_maximum)
{
	AUTO_BUF struct buf b = {.max = 4};
	buf_adds(&b, "abcd");
	buf_addc(&b, 'e');
	ck_assert_str_eq(b.data, "abcd");
	ck_assert(b.over);
	struct err err = ERR_INIT;
	ck_assert_int_eq(buf_check(&b, "a thing", &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(rd_reads_what_buf_added_and_stays_bad_after_a_short_read)
{
	AUTO_BUF struct buf b = BUF_INIT;
	buf_add_u64(&b, 0x1122334455667788u);
	buf_add_str(&b, "name");
	buf_add_u32(&b, 1000); // a length without its bytes
	struct rd r = RD(b.data, b.len);
	size_t n;
	ck_assert(rd_u64(&r) == 0x1122334455667788u);
	ck_assert_int_eq(memcmp(rd_str(&r, &n), "name", 4), 0);
	ck_assert_uint_eq(n, 4);
	ck_assert_ptr_null(rd_str(&r, &n));
	ck_assert(r.bad);
	ck_assert_uint_eq(rd_u8(&r), 0);
}
END_TEST

START_TEST(map_keeps_every_key_through_growth_and_deletes)
{
	struct map m = MAP_INIT;
	char key[32];
	for (uintptr_t i = 1; i <= 5000; i++) {
		snprintf(key, sizeof key, "key %zu", (size_t)i);
		ck_assert_ptr_null(map_puts(&m, key, (void *)i));
	}
	for (uintptr_t i = 2; i <= 5000; i += 2) {
		snprintf(key, sizeof key, "key %zu", (size_t)i);
		ck_assert_ptr_eq(map_del(&m, key, strlen(key)), (void *)i);
	}
	// Adding and removing for ever must not fill the table with tombs.
	for (uintptr_t i = 0; i < 100000; i++) {
		map_puts(&m, "again", &m);
		map_del(&m, "again", 5);
	}
	ck_assert_uint_eq(m.n, 2500);
	for (uintptr_t i = 1; i <= 5000; i++) {
		snprintf(key, sizeof key, "key %zu", (size_t)i);
		ck_assert_ptr_eq(map_gets(&m, key), i % 2 ? (void *)i : NULL);
	}
	map_release(&m);
}
END_TEST

START_TEST(map_of_callers_keys_keeps_no_copies)
{
	static char keys[200][8];
	struct map m = MAP_OF_CALLERS_KEYS;
	const char *key;
	void *value;
	for (int round = 0; round < 2; round++) {
		for (uintptr_t i = 0; i < 200; i++) {
			snprintf(keys[i], sizeof keys[i], "k%d", (int)i);
			ck_assert_ptr_null(map_puts(&m, keys[i], keys[i]));
		}
		ck_assert_ptr_eq(map_puts(&m, "k7", keys[7]), keys[7]);
		ck_assert_ptr_eq(map_del(&m, "k9", 2), keys[9]);
		for (size_t at = 0; map_next(&m, &at, &key, NULL, &value);)
			ck_assert_ptr_eq(key, value);
		ck_assert_uint_eq(m.n, 199);
		map_release(&m); // and it stays one of callers' keys
	}
}
END_TEST

START_TEST(map_may_be_used_again_after_all_is_released)
{
	struct map m = MAP_INIT;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 100; i++) {
			char key[20];
			snprintf(key, sizeof key, "k%d", i);
			ck_assert_ptr_null(map_puts(&m, key, mem_strdup(key)));
		}
		free(map_del(&m, "k7", 2));
		ck_assert_uint_eq(m.n, 99);
		ck_assert_str_eq(map_gets(&m, "k8"), "k8");
		map_release_all(&m);
		ck_assert_uint_eq(m.n, 0);
		ck_assert_ptr_null(map_gets(&m, "k8"));
	}
}
END_TEST

START_TEST(a_program_knows_where_it_is)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct stat is, real;
	const char *file = self_file(&a);
	ck_assert_msg(file && file[0] == '/', "it says '%s'", file);
	ck_assert(stat(file, &is) == 0 && stat("/proc/self/exe", &real) == 0 && is.st_ino == real.st_ino &&
		  is.st_dev == real.st_dev);
	ck_assert_str_eq(self_beside(&a, path_base(file)), file);
}
END_TEST

START_TEST(path_functions_work_on_text)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	ck_assert_str_eq(path_tidy(&a, "/a//b/./c/"), "/a/b/c");
	ck_assert_str_eq(path_tidy(&a, "./x"), "x");
	ck_assert_str_eq(path_tidy(&a, "a/../b"), "a/../b");
	ck_assert_str_eq(path_tidy(&a, ""), ".");
	ck_assert_str_eq(path_dir(&a, "/x"), "/");
	ck_assert_str_eq(path_dir(&a, "x"), ".");
	ck_assert_str_eq(path_dir(&a, "a//b"), "a");
	ck_assert_str_eq(path_join(&a, "d", "/x"), "/x");
	ck_assert_str_eq(path_join(&a, ".", "x"), "x");
	ck_assert_str_eq(path_below("/src/p", "/src/p/x.c"), "x.c");
	ck_assert_str_eq(path_below("/src/p", "/src/p"), ".");
	ck_assert_ptr_null(path_below("/src/p", "/src/p2/x.c"));
	ck_assert_str_eq(path_ext("a.b/c"), "");
	ck_assert_str_eq(path_ext("a.b/.c"), "");
	ck_assert_str_eq(path_ext("x.tar.gz"), ".gz");
}
END_TEST

START_TEST(json_strings_are_always_valid)
{
	AUTO_BUF struct buf b = BUF_INIT;
	json_add_str(&b, "a\"\\\n\x01\xff\xc3\xa9\xe2\x82");
	ck_assert_str_eq(b.data, "\"a\\\"\\\\\\u000a\\u0001\\ufffd\xc3\xa9\\ufffd\\ufffd\"");
}
END_TEST

START_TEST(write_atomic_leaves_no_temp_file_and_replaces_whole)
{
	char dir[] = "/tmp/coffer-test-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(dir));
	AUTO_CLOSE int fd = open(dir, O_PATH | O_DIRECTORY);
	ck_assert_int_eq(file_write_atomic(fd, "x", "one", 3, 0644, NULL), 0);
	ck_assert_int_eq(file_write_atomic(fd, "x", "second", 6, 0600, NULL), 0);
	AUTO_BUF struct buf b = BUF_INIT;
	struct stat st;
	ck_assert_int_eq(file_read(fd, "x", 100, &b, &st, NULL), 0);
	ck_assert_str_eq(b.data, "second");
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	struct err err = ERR_INIT;
	ck_assert_int_eq(file_write_atomic(fd, "missing/x", "a", 1, 0644, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_int_eq(mkdirat(fd, "folder", 0700), 0);
	ck_assert_int_eq(file_write_atomic(fd, "folder", "a", 1, 0644, &err), -1);
	ck_assert_int_eq(unlinkat(fd, "folder", AT_REMOVEDIR), 0);
	ck_assert_int_eq(unlinkat(fd, "x", 0), 0);
	ck_assert_int_eq(rmdir(dir), 0); // only if nothing else was left
}
END_TEST

START_TEST(read_refuses_what_is_no_file_and_what_is_too_large)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	ck_assert_int_eq(file_read(AT_FDCWD, "/tmp", 10, &b, NULL, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	ck_assert_int_eq(file_read(AT_FDCWD, "/dev/null", 10, &b, NULL, &err), -1);
	ck_assert_int_eq(file_read(AT_FDCWD, "/proc/self/exe", 10, &b, NULL, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_int_eq(file_read(AT_FDCWD, "/nowhere", 10, &b, NULL, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

static int run(const char *script, int ms, size_t max, struct child *c, struct err *err)
{
	static const char *argv[] = {"/bin/sh", "-c", NULL, NULL};
	argv[2] = script;
	*c = (struct child){.argv = argv, .cwd_fd = -1, .time_limit_ms = ms, .max_output = max};
	return child_run(c, err);
}

START_TEST(child_is_collected_within_time_and_size)
{
	struct child c;
	struct err err = ERR_INIT;
	ck_assert_int_eq(run("echo out; echo err >&2; exit 3", 5000, 1000, &c, &err), 0);
	ck_assert_str_eq(c.out.data, "out\n");
	ck_assert_str_eq(c.errs.data, "err\n");
	ck_assert_int_eq(WEXITSTATUS(c.status), 3);
	child_release(&c);
	ck_assert_int_eq(run("sleep 60 & sleep 60", 100, 1000, &c, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	child_release(&c);
	ck_assert_int_eq(run("exec >&- 2>&-; trap '' TERM; sleep 60", 100, 1000, &c, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	child_release(&c);
	ck_assert_int_eq(run("while :; do echo spam; done", 5000, 10000, &c, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	child_release(&c);
	const char *argv[] = {"/nowhere/cc", NULL};
	c = (struct child){.argv = argv, .cwd_fd = -1, .time_limit_ms = 1000, .max_output = 100};
	ck_assert_int_eq(child_run(&c, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	child_release(&c);
}
END_TEST

START_TEST(an_address_is_of_this_machine_by_what_it_is_and_not_by_its_text)
{
	static const char *const here[] = {"127.0.0.1:1",    "127.9.9.9:7430", "[::1]:7430",
					   "localhost:7430", "unix:/x",        "[::ffff:127.0.0.1]:1"};
	static const char *const elsewhere[] = {"127.example.org:7430",
						"127.0.0.1.example.org:1",
						"127.1:1",
						"localhost.example.org:1",
						"[::]:7430",
						"0.0.0.0:1",
						"128.0.0.1:1",
						"[::2]:1",
						"localhost",
						"",
						"unixx:/x"};
	for (size_t i = 0; i < COUNT_OF(here); i++)
		ck_assert_msg(value_is_of_this_machine(here[i]), "%s", here[i]);
	for (size_t i = 0; i < COUNT_OF(elsewhere); i++)
		ck_assert_msg(!value_is_of_this_machine(elsewhere[i]), "%s", elsewhere[i]);
}
END_TEST

START_TEST(arena_gives_zeroed_memory_of_any_size)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	for (size_t i = 0; i < 3000; i++) {
		size_t n = i * 37 % 9000;
		char *p = arena_alloc(&a, n + 1);
		for (size_t k = 0; k <= n; k += 100)
			ck_assert_int_eq(p[k], 0);
		memset(p, 0xee, n + 1);
	}
	ck_assert_str_eq(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("base");
	TCase *t = tcase_create("base");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, buf_adds_nothing_past_its_maximum);
	tcase_add_test(t, rd_reads_what_buf_added_and_stays_bad_after_a_short_read);
	tcase_add_test(t, map_keeps_every_key_through_growth_and_deletes);
	tcase_add_test(t, map_of_callers_keys_keeps_no_copies);
	tcase_add_test(t, map_may_be_used_again_after_all_is_released);
	tcase_add_test(t, a_program_knows_where_it_is);
	tcase_add_test(t, path_functions_work_on_text);
	tcase_add_test(t, json_strings_are_always_valid);
	tcase_add_test(t, write_atomic_leaves_no_temp_file_and_replaces_whole);
	tcase_add_test(t, read_refuses_what_is_no_file_and_what_is_too_large);
	tcase_add_test(t, child_is_collected_within_time_and_size);
	tcase_add_test(t, an_address_is_of_this_machine_by_what_it_is_and_not_by_its_text);
	tcase_add_test(t, arena_gives_zeroed_memory_of_any_size);
	suite_add_tcase(s, t);
	return s;
}

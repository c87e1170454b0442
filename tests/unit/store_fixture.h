// What the tests of the store share: a fresh directory with an open store for every test, blobs by number, file times.
#ifndef COFFER_TESTS_STORE_FIXTURE_H
#define COFFER_TESTS_STORE_FIXTURE_H

#include "store/blob.h"
#include "store/store.h"

#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HOUR INT64_C(3600)

static char *dir;
static struct store *store;
static struct err err;

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct store *open_store(uint64_t max)
{
	struct store *s = store_open(dir, max, 1, &err);
	ck_assert_msg(s != NULL, "%s", err.text);
	return s;
}

static inline void setup(void)
{
	const char *tmp = getenv("TMPDIR");
	dir = mem_printf("%s/coffer-store-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	err_clear(&err);
	store = open_store(0);
}

static inline void teardown(void)
{
	store_close(store);
	remove_tree(dir);
	free(dir);
}

static inline struct digest key_of(unsigned n)
{
	return digest_of(&n, sizeof n);
}

static inline char *blob_path(enum store_kind kind, const struct digest *key)
{
	static const char *const names[STORE_KINDS] = {"result",    "manifest", "unit",   "text",
						       "toolchain", "action",   "content"};
	char hex[DIGEST_HEX];
	digest_hex(key, hex);
	return mem_printf("%s/v1/%s/%.2s/%s", dir, names[kind], hex, hex + 2);
}

static inline int put(struct store *s, enum store_kind kind, unsigned n, const void *p, size_t len)
{
	struct digest key = key_of(n);
	struct store_part part = {p, len};
	return store_put(s, kind, &key, &part, 1, &err);
}

static inline void put_text(enum store_kind kind, unsigned n, const char *text)
{
	ck_assert_msg(put(store, kind, n, text, strlen(text)) == 0, "%s", err.text);
}

static inline bool reads_back(struct store *s, enum store_kind kind, unsigned n, const void *p, size_t len)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct digest key = key_of(n);
	return store_get(s, kind, &key, &out, &err) == 1 && out.len == len && memcmp(out.data, p, len) == 0;
}

static inline int get(enum store_kind kind, unsigned n)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct digest key = key_of(n);
	int found = store_get(store, kind, &key, &out, &err);
	ck_assert(found == 1 || out.len == 0);
	return found;
}

static inline void fill(char *p, size_t n, unsigned seed, bool is_random)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		p[i] = is_random ? (char)x : "abcdefgh"[(i / 7 + seed) % 8];
	}
}

static unsigned entries;
static const char *entries_in;
static inline int count_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (flag != FTW_D && strstr(path, entries_in))
		entries++;
	return 0;
}
static inline unsigned files_in(const char *part)
{
	entries = 0;
	entries_in = part;
	nftw(dir, count_entry, 16, FTW_PHYS);
	return entries;
}

static inline void write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static inline void set_age(const char *path, int64_t seconds)
{
	struct timespec t[2];
	clock_gettime(CLOCK_REALTIME, &t[0]);
	t[0].tv_sec -= seconds;
	t[1] = t[0];
	ck_assert_int_eq(utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

static inline int64_t age_of(const char *path)
{
	struct stat st;
	ck_assert_int_eq(lstat(path, &st), 0);
	return (clock_now_ns() - file_id_of(&st).mtime_ns) / 1000000000;
}

static inline uint64_t evict(struct store *s)
{
	uint64_t removed = 0;
	ck_assert_msg(store_evict_some(s, &removed, &err) == 0, "%s", err.text);
	return removed;
}

// ---- running -------------------------------------------------------------------------------------------------------

static inline void add_tests(Suite *suite, const char *name, const TTest *const *tests, size_t n)
{
	TCase *c = tcase_create(name);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(suite, c);
}

static inline int run_suite(Suite *suite)
{
	return unit_run(suite);
}

#endif

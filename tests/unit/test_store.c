// The store: what is put, what comes back, and what damage, faults of the machine and neighbours lead to.
#include "tests/unit/store_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

// ---- put and get ---------------------------------------------------------------------------------------------------

START_TEST(get_returns_what_put_stored)
{
	static const size_t sizes[] = {0, 1, 127, 128, 129, 4096, 100000, 300001, 5000000};
	char *p = mem_alloc(5000000);
	for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
		for (unsigned is_random = 0; is_random < 2; is_random++) {
			unsigned n = 2 * i + is_random;
			fill(p, sizes[i], n, is_random);
			ck_assert_int_eq(put(store, STORE_RESULT, n, p, sizes[i]), 0);
			ck_assert_msg(reads_back(store, STORE_RESULT, n, p, sizes[i]), "%zu bytes", sizes[i]);
		}
	}
	free(p);
	ck_assert_uint_eq(files_in("/v1/tmp/"), 0);
	ck_assert_uint_eq(store_take_corrupt(store), 0);
}
END_TEST

START_TEST(get_adds_behind_what_the_buffer_has)
{
	put_text(STORE_RESULT, 1, "world");
	AUTO_BUF struct buf out = BUF_INIT;
	buf_adds(&out, "hello ");
	struct digest key = key_of(1);
	ck_assert_int_eq(store_get(store, STORE_RESULT, &key, &out, &err), 1);
	ck_assert_str_eq(out.data, "hello world");
}
END_TEST

START_TEST(put_joins_the_parts)
{
	char *p = mem_alloc(300000);
	fill(p, 300000, 1, false);
	struct store_part parts[] = {{p, 10}, {NULL, 0}, {p + 10, 200000}, {p + 200010, 99990}, {"", 0}};
	struct digest key = key_of(1);
	ck_assert_int_eq(store_put(store, STORE_RESULT, &key, parts, COUNT_OF(parts), &err), 0);
	ck_assert(reads_back(store, STORE_RESULT, 1, p, 300000));
	key = key_of(2);
	ck_assert_int_eq(store_put(store, STORE_RESULT, &key, NULL, 0, &err), 0);
	ck_assert(reads_back(store, STORE_RESULT, 2, "", 0));
	free(p);
}
END_TEST

START_TEST(absent_blobs_and_other_kinds_are_no_errors)
{
	put_text(STORE_RESULT, 1, "x");
	struct digest key = key_of(1);
	ck_assert(store_has(store, STORE_RESULT, &key));
	ck_assert(!store_has(store, STORE_MANIFEST, &key));
	ck_assert_int_eq(get(STORE_MANIFEST, 1), 0);
	ck_assert_int_eq(get(STORE_RESULT, 2), 0);
	store_remove(store, STORE_RESULT, &key);
	store_remove(store, STORE_RESULT, &key);
	ck_assert_int_eq(get(STORE_RESULT, 1), 0);
	ck_assert_uint_eq(store_bytes(store), 0);
}
END_TEST

START_TEST(immutable_kinds_keep_the_first_and_the_others_the_last)
{
	put_text(STORE_RESULT, 1, "first");
	put_text(STORE_RESULT, 1, "second");
	ck_assert(reads_back(store, STORE_RESULT, 1, "first", 5));
	put_text(STORE_MANIFEST, 1, "first");
	put_text(STORE_MANIFEST, 1, "second");
	ck_assert(reads_back(store, STORE_MANIFEST, 1, "second", 6));
}
END_TEST

START_TEST(replacing_gives_the_old_size_back)
{
	char *p = mem_alloc(100000);
	fill(p, 100000, 1, true);
	ck_assert_int_eq(put(store, STORE_MANIFEST, 1, p, 100000), 0);
	ck_assert_uint_eq(store_bytes(store), 25 * 4096);
	ck_assert_int_eq(put(store, STORE_MANIFEST, 1, p, 5000), 0);
	ck_assert_uint_eq(store_bytes(store), 2 * 4096);
	free(p);
}
END_TEST

START_TEST(use_is_noted_at_most_once_an_hour)
{
	put_text(STORE_RESULT, 1, "x");
	struct digest key = key_of(1);
	AUTO_FREE char *path = blob_path(STORE_RESULT, &key);
	set_age(path, 1800);
	get(STORE_RESULT, 1);
	ck_assert_int_ge(age_of(path), 1700);
	set_age(path, 2 * HOUR);
	get(STORE_RESULT, 1);
	ck_assert_int_le(age_of(path), 60);
	set_age(path, 2 * HOUR);
	put_text(STORE_RESULT, 1, "x");
	ck_assert_int_le(age_of(path), 60);
	set_age(path, -24 * HOUR); // the clock was wrong when it was written
	get(STORE_RESULT, 1);
	ck_assert_int_ge(age_of(path), -60);
}
END_TEST

START_TEST(put_and_get_refuse_what_is_too_large)
{
	char *p = mem_alloc(40000);
	fill(p, 40000, 1, true);
	struct store_part huge[] = {{p, STORE_MAX_BLOB}, {p, 1}};
	struct digest key = key_of(1);
	ck_assert_int_eq(store_put(store, STORE_RESULT, &key, huge, 2, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	store_set_limit(store, 40000);
	ck_assert_int_eq(put(store, STORE_RESULT, 1, p, 40000), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_int_eq(put(store, STORE_RESULT, 1, p, 30000), 0);
	AUTO_BUF struct buf out = {.max = 29999};
	ck_assert_int_eq(store_get(store, STORE_RESULT, &key, &out, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert(reads_back(store, STORE_RESULT, 1, p, 30000));
	free(p);
}
END_TEST

// ---- damage --------------------------------------------------------------------------------------------------------

// Puts `n` bytes in place of the blob and expects a miss that removes them.
static void expect_corrupt(const void *file, size_t n, const char *what, size_t at)
{
	struct digest key = key_of(1);
	AUTO_FREE char *path = blob_path(STORE_RESULT, &key);
	store_take_corrupt(store);
	write_file(path, file, n);
	AUTO_BUF struct buf out = BUF_INIT;
	buf_adds(&out, "before");
	ck_assert_msg(store_get(store, STORE_RESULT, &key, &out, &err) == 0, "%s %zu was not noticed", what, at);
	ck_assert_str_eq(out.data, "before");
	ck_assert_msg(access(path, F_OK) < 0, "%s %zu was not removed", what, at);
	ck_assert_uint_eq(store_take_corrupt(store), 1);
}

static void pack_one(const char *p, size_t n, unsigned as_key, enum store_kind kind, struct buf *file)
{
	struct store_part part = {p, n};
	struct digest key = key_of(as_key);
	ck_assert_int_eq(blob_pack(kind, &key, &part, 1, 1, file, &err), 0);
}

START_TEST(every_flipped_bit_is_a_miss)
{
	char text[600];
	fill(text, sizeof text, 1, false);
	put_text(STORE_RESULT, 1, "x");
	for (size_t len = 20; len <= sizeof text; len += sizeof text - 20) { // raw, and compressed
		AUTO_BUF struct buf file = BUF_INIT;
		pack_one(text, len, 1, STORE_RESULT, &file);
		for (size_t bit = 0; bit < 8 * file.len; bit++) {
			file.data[bit / 8] = (char)(file.data[bit / 8] ^ (1 << bit % 8));
			expect_corrupt(file.data, file.len, "flipped bit", bit);
			file.data[bit / 8] = (char)(file.data[bit / 8] ^ (1 << bit % 8));
		}
		for (size_t n = 0; n < file.len; n++)
			expect_corrupt(file.data, n, "end after byte", n);
		buf_addc(&file, 'x');
		expect_corrupt(file.data, file.len, "a byte too many", file.len);
	}
}
END_TEST

START_TEST(a_blob_under_another_name_is_a_miss)
{
	put_text(STORE_RESULT, 1, "x");
	AUTO_BUF struct buf other_key = BUF_INIT, other_kind = BUF_INIT;
	pack_one("text", 4, 2, STORE_RESULT, &other_key);
	expect_corrupt(other_key.data, other_key.len, "other key", 2);
	pack_one("text", 4, 1, STORE_TEXT, &other_kind);
	expect_corrupt(other_kind.data, other_kind.len, "other kind", STORE_TEXT);
}
END_TEST

// Makes the checksum right again, as no accident would.
static void expect_forged(struct buf *file, const char *what)
{
	struct digest sum = digest_of(file->data + 24, file->len - 24);
	memcpy(file->data + 8, sum.b, sizeof sum.b);
	expect_corrupt(file->data, file->len, what, 0);
}

static void expect_forged_at(size_t at, const void *bytes, size_t n, const char *what)
{
	char text[600];
	fill(text, sizeof text, 1, false);
	AUTO_BUF struct buf file = BUF_INIT;
	pack_one(text, sizeof text, 1, STORE_RESULT, &file);
	memcpy(file.data + at, bytes, n);
	expect_forged(&file, what);
}

START_TEST(a_right_checksum_over_wrong_sizes_is_a_miss)
{
	put_text(STORE_RESULT, 1, "x");
	expect_forged_at(48, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "raw size of all ones");
	expect_forged_at(48, "\x01\0\0\x40\0\0\0\0", 8, "raw size past the limit");
	expect_forged_at(48, "\x57\x02", 2, "raw size one less");
	expect_forged_at(25, "\0", 1, "zstd called raw");
	expect_forged_at(25, "\2", 1, "unknown packing");
	expect_forged_at(56, "\0\0\0\0", 4, "no zstd magic");
	expect_forged_at(56 + 9, "\xff\xff\xff\xff", 4, "bad zstd block");
	// Header and frame agree on one byte past the limit (RFC 8878: single segment, eight bytes of content size).
	expect_forged_at(48, "\x01\0\0\x40\0\0\0\0\x28\xb5\x2f\xfd\xe0\x01\0\0\x40\0\0\0\0", 21, "past the limit");
}
END_TEST

START_TEST(a_frame_that_ends_after_good_blocks_adds_nothing)
{
	char *text = mem_alloc(300000);
	fill(text, 300000, 1, false);
	put_text(STORE_RESULT, 1, "x");
	AUTO_BUF struct buf file = BUF_INIT;
	pack_one(text, 300000, 1, STORE_RESULT, &file);
	file.len--;
	expect_forged(&file, "frame without its last byte");
	free(text);
}
END_TEST

// A blob that is read without a copy on the way.
START_TEST(a_damaged_large_blob_is_a_miss)
{
	size_t n = STORE_UNPACKED_MIN + 4321;
	char *bytes = mem_alloc(n);
	fill(bytes, n, 1, true);
	put_text(STORE_RESULT, 1, "x");
	AUTO_BUF struct buf file = BUF_INIT;
	pack_one(bytes, n, 1, STORE_RESULT, &file);
	ck_assert_uint_eq(file.len, BLOB_HEADER + n);
	for (size_t at = 0; at < file.len; at += at < 60 ? 1 : 9973) {
		file.data[at] = (char)(file.data[at] ^ 16);
		expect_corrupt(file.data, file.len, "flipped bit in byte", at);
		file.data[at] = (char)(file.data[at] ^ 16);
	}
	expect_corrupt(file.data, file.len - 1, "end after byte", file.len - 1);
	buf_addc(&file, 'x');
	expect_corrupt(file.data, file.len, "a byte too many", file.len);
	free(bytes);
}
END_TEST

static uint64_t size_on_disk(unsigned n)
{
	struct digest key = key_of(n);
	AUTO_FREE char *path = blob_path(STORE_RESULT, &key);
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

static void keep_unpacked(unsigned n, const char *p, size_t len)
{
	struct digest key = key_of(n);
	struct store_part raw = {p, len};
	ck_assert_msg(store_keep_unpacked(store, STORE_RESULT, &key, &raw, &err) == 0, "%s", err.text);
}

START_TEST(what_is_asked_for_often_stands_unpacked)
{
	size_t n = 3 * STORE_UNPACKED_MIN;
	char *bytes = mem_alloc(n);
	fill(bytes, n, 1, false);
	store_set_limit(store, 16 * n);
	ck_assert_int_eq(put(store, STORE_RESULT, 1, bytes, n), 0);
	ck_assert_uint_lt(size_on_disk(1), n / 2);
	keep_unpacked(1, bytes, n);
	ck_assert_uint_eq(size_on_disk(1), BLOB_HEADER + n);
	ck_assert(reads_back(store, STORE_RESULT, 1, bytes, n));
	ck_assert_uint_ge(store_bytes(store), n);
	struct store_report r;
	uint64_t counted = store_bytes(store);
	ck_assert_int_eq(store_gc(store, &r, &err), 0);
	ck_assert_uint_eq(store_bytes(store), counted);
	// Not what is small or not there, and not where it would take more than a quarter of the room.
	ck_assert_int_eq(put(store, STORE_RESULT, 2, bytes, STORE_UNPACKED_MIN - 1), 0);
	keep_unpacked(2, bytes, STORE_UNPACKED_MIN - 1);
	ck_assert_uint_lt(size_on_disk(2), STORE_UNPACKED_MIN / 2);
	keep_unpacked(3, bytes, n);
	ck_assert_int_eq(get(STORE_RESULT, 3), 0);
	store_set_limit(store, 4 * n);
	ck_assert_int_eq(put(store, STORE_RESULT, 4, bytes, n), 0);
	keep_unpacked(4, bytes, n);
	ck_assert_uint_lt(size_on_disk(4), n / 2);
	ck_assert(reads_back(store, STORE_RESULT, 4, bytes, n));
	// Nor where another stands by now than what was read.
	store_set_limit(store, 64 * n);
	bytes[n / 2] ^= 1;
	keep_unpacked(4, bytes, n);
	ck_assert_uint_lt(size_on_disk(4), n / 2);
	free(bytes);
}
END_TEST

START_TEST(a_torn_file_does_not_stop_the_next_put)
{
	put_text(STORE_RESULT, 1, "x");
	struct digest key = key_of(1);
	AUTO_FREE char *path = blob_path(STORE_RESULT, &key);
	write_file(path, "", 0);
	ck_assert(!store_has(store, STORE_RESULT, &key));
	put_text(STORE_RESULT, 1, "again");
	ck_assert(reads_back(store, STORE_RESULT, 1, "again", 5));
}
END_TEST

START_TEST(what_is_no_file_is_absent_and_stays)
{
	put_text(STORE_RESULT, 1, "x");
	struct digest key = key_of(1);
	AUTO_FREE char *path = blob_path(STORE_RESULT, &key);
	AUTO_FREE char *precious = mem_printf("%s/precious", dir);
	write_file(precious, "precious", 8);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(remove(path), 0);
		ck_assert_int_eq(i == 0 ? mkdir(path, 0700) : i == 1 ? mkfifo(path, 0600) : symlink(precious, path), 0);
		ck_assert_int_eq(get(STORE_RESULT, 1), 0);
		ck_assert(!store_has(store, STORE_RESULT, &key));
		store_remove(store, STORE_RESULT, &key);
		struct store_report r;
		ck_assert_int_eq(store_clear(store, &r, &err), 0);
		struct stat st;
		ck_assert_int_eq(lstat(path, &st), 0);
	}
	put_text(STORE_RESULT, 1, "instead of the symlink");
	ck_assert_int_eq(get(STORE_RESULT, 1), 1);
	ck_assert_uint_eq(store_take_corrupt(store), 0);
	AUTO_BUF struct buf out = BUF_INIT;
	ck_assert_int_eq(file_read(AT_FDCWD, precious, 100, &out, NULL, &err), 0);
	ck_assert_str_eq(out.data, "precious");
}
END_TEST

// ---- faults of the machine -----------------------------------------------------------------------------------------

START_TEST(a_removed_cache_directory_is_made_again)
{
	put_text(STORE_RESULT, 1, "x");
	remove_tree(dir);
	ck_assert_int_eq(get(STORE_RESULT, 1), 0);
	put_text(STORE_RESULT, 2, "y");
	ck_assert(reads_back(store, STORE_RESULT, 2, "y", 1));
	ck_assert(store_is_over(store)); // the counts were lost
	evict(store);
	ck_assert(!store_is_over(store));
	ck_assert_uint_eq(store_bytes(store), 4096);
}
END_TEST

// Runs `fn` in a child, because limits, users and mounts do not come back. 77: not permitted here.
static void in_child(int (*fn)(void))
{
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(fn());
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		fprintf(stderr, "skipped: not permitted here\n");
	else
		ck_assert_msg(status == 0, "child ended with 0x%x, last error: see above", (unsigned)status);
}

static int complain(const char *what)
{
	fprintf(stderr, "%s (%s)\n", what, err.text);
	return 1;
}

// A put must fail with `code`, leave no temp file, and work again after `mend`.
static int put_must_fail(enum err_code code)
{
	static char p[1 << 20];
	fill(p, sizeof p, 1, true);
	err_clear(&err);
	if (put(store, STORE_RESULT, 1000, p, sizeof p) != -1 || err.code != code)
		return complain("a put did not fail as it should");
	if (files_in("/v1/tmp/") != 0)
		return complain("a temp file was left");
	return 0;
}

static int with_small_files(void)
{
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit small = {300000, 300000};
	setrlimit(RLIMIT_FSIZE, &small);
	return put_must_fail(ERR_IO);
}
START_TEST(put_fails_cleanly_at_the_file_size_limit)
{
	in_child(with_small_files);
}
END_TEST

static int with_no_descriptors(void)
{
	put(store, STORE_RESULT, 7, "x", 1);
	struct rlimit few, none;
	getrlimit(RLIMIT_NOFILE, &few);
	none = few;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	static char p[1000];
	uint64_t removed;
	struct buf out = BUF_INIT;
	struct digest key = key_of(7);
	if (put(store, STORE_RESULT, 1, p, sizeof p) != -1 || err.code != ERR_FULL)
		return complain("put");
	if (store_get(store, STORE_RESULT, &key, &out, &err) != -1 || err.code != ERR_FULL)
		return complain("get");
	if (store_evict_some(store, &removed, &err) != -1 || err.code != ERR_FULL)
		return complain("evict");
	setrlimit(RLIMIT_NOFILE, &few);
	if (!reads_back(store, STORE_RESULT, 7, "x", 1) || put(store, STORE_RESULT, 1, p, sizeof p) != 0)
		return complain("afterwards");
	return 0;
}
START_TEST(out_of_descriptors_is_full)
{
	in_child(with_no_descriptors);
}
END_TEST

static bool mount_here(const char *options, unsigned long flags)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", dir, "tmpfs", flags, options) == 0;
}

static int on_a_tiny_disk(void)
{
	if (!mount_here("size=512k", 0))
		return 77;
	struct store *tiny = store = open_store(0);
	if (put_must_fail(ERR_FULL) != 0)
		return 1;
	char p[60000];
	fill(p, sizeof p, 1, true);
	for (unsigned i = 0; i < 30; i++)
		put(tiny, STORE_RESULT, i, p, sizeof p);
	for (unsigned i = 0; i < 30; i++) {
		if (get(STORE_RESULT, i) < 0 ||
		    (get(STORE_RESULT, i) == 1 && !reads_back(tiny, STORE_RESULT, i, p, sizeof p)))
			return complain("a full disk spoils blobs");
	}
	store_set_limit(tiny, 200000);
	if (evict(tiny) == 0 || put(tiny, STORE_RESULT, 100, p, sizeof p) != 0)
		return complain("after eviction there is no room");
	return 0;
}
START_TEST(a_full_disk_is_full_until_eviction)
{
	in_child(on_a_tiny_disk);
}
END_TEST

static int on_a_read_only_disk(void)
{
	if (!mount_here(NULL, 0))
		return 77;
	store = open_store(0);
	put(store, STORE_RESULT, 1, "x", 1);
	struct digest key = key_of(1);
	char *path = blob_path(STORE_RESULT, &key);
	set_age(path, 2 * HOUR);
	store_close(store);
	if (mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 77;
	store = open_store(1);
	struct store_report r;
	uint64_t removed;
	if (!reads_back(store, STORE_RESULT, 1, "x", 1) || store_bytes(store) != 4096)
		return complain("reading");
	if (store_put(store, STORE_RESULT, &(struct digest){{1}}, NULL, 0, &err) != -1 || err.code != ERR_LIMIT)
		return complain("limit");
	store_set_limit(store, 4096);
	if (store_evict_some(store, &removed, &err) != -1 || err.code != ERR_FULL)
		return complain("evicting");
	if (store_clear(store, &r, &err) != -1 || err.code != ERR_FULL)
		return complain("clearing");
	store_set_limit(store, 0);
	return put_must_fail(ERR_FULL);
}
START_TEST(a_read_only_store_is_read)
{
	in_child(on_a_read_only_disk);
}
END_TEST

static int as_somebody_else(void)
{
	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 77;
	if (put_must_fail(ERR_ACCESS) != 0)
		return 1;
	if (store_open(dir, 0, 1, &err) != NULL && geteuid() == 65534)
		return complain("a store without access was opened");
	return 0;
}
START_TEST(a_store_without_permission_is_no_access)
{
	AUTO_FREE char *v1 = mem_printf("%s/v1", dir);
	ck_assert_int_eq(chmod(v1, 0), 0);
	in_child(as_somebody_else);
	ck_assert_int_eq(chmod(v1, 0700), 0);
}
END_TEST

START_TEST(open_refuses_a_store_everybody_can_write)
{
	AUTO_FREE char *v1 = mem_printf("%s/v1", dir);
	ck_assert_int_eq(chmod(v1, 0777), 0);
	ck_assert_ptr_null(store_open(dir, 0, 1, &err));
	ck_assert_int_eq(err.code, ERR_ACCESS);
	ck_assert_ptr_null(store_open("/dev/null", 0, 1, &err));
	ck_assert_ptr_null(store_open("/proc/no-such-folder", 0, 1, NULL));
}
END_TEST

// ---- neighbours ----------------------------------------------------------------------------------------------------

enum { KEYS = 24, BLOB = 40000 };

// Version v of blob n: a manifest's readers must see one version whole.
static size_t version_of(char *p, unsigned n, unsigned v)
{
	size_t len = 1000 + (n * 977 + v * 3571) % (BLOB - 1000);
	fill(p, len, n * 1000 + v, v % 3 == 0);
	memcpy(p, &n, sizeof n);
	memcpy(p + sizeof n, &v, sizeof v);
	return len;
}

static bool is_some_version(const struct buf *got, unsigned n)
{
	char expected[BLOB];
	unsigned v;
	if (got->len < 2 * sizeof v)
		return false;
	memcpy(&v, got->data + sizeof n, sizeof v);
	return version_of(expected, n, v) == got->len && memcmp(expected, got->data, got->len) == 0;
}

// Puts and gets at random; the number of wrong answers. `removes` lets blobs vanish under the others as well.
static unsigned hammer(struct store *s, unsigned seed, unsigned rounds, bool removes)
{
	unsigned wrong = 0;
	char p[BLOB];
	AUTO_BUF struct buf out = BUF_INIT;
	for (unsigned i = 0; i < rounds; i++) {
		unsigned n = (unsigned)rand_r(&seed) % KEYS, what = (unsigned)rand_r(&seed) % 16;
		enum store_kind kind = n % 2 ? STORE_MANIFEST : STORE_RESULT;
		struct digest key = key_of(n);
		if (what < 5) {
			struct store_part part = {p, version_of(p, n, (unsigned)rand_r(&seed) % 100)};
			wrong += store_put(s, kind, &key, &part, 1, NULL) < 0;
		} else if (what == 5 && removes) {
			store_remove(s, kind, &key);
		} else {
			buf_clear(&out);
			int found = store_get(s, kind, &key, &out, NULL);
			wrong += found < 0 || (found == 1 && !is_some_version(&out, n));
		}
	}
	return wrong + (store_take_corrupt(s) != 0);
}

static void *hammer_thread(void *arg)
{
	unsigned seed = *(unsigned *)arg;
	return hammer(store, seed, 1500, true) ? arg : NULL;
}

START_TEST(threads_see_whole_blobs_only)
{
	pthread_t threads[6];
	unsigned seeds[COUNT_OF(threads)];
	for (unsigned i = 0; i < COUNT_OF(threads); i++) {
		seeds[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer_thread, &seeds[i]), 0);
	}
	for (unsigned i = 0; i < COUNT_OF(threads); i++) {
		void *wrong;
		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
	ck_assert_uint_eq(files_in("/v1/tmp/"), 0);
}
END_TEST

START_TEST(processes_see_whole_blobs_only)
{
	pid_t pids[4];
	for (unsigned i = 0; i < COUNT_OF(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(hammer(open_store(0), 100 + i, 1500, true) ? 1 : 0);
	}
	for (unsigned i = 0; i < COUNT_OF(pids); i++) {
		int status;
		waitpid(pids[i], &status, 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_uint_eq(files_in("/v1/tmp/"), 0);
}
END_TEST

START_TEST(a_killed_writer_leaves_no_half_blob)
{
	unsigned seed = 1;
	AUTO_BUF struct buf out = BUF_INIT;
	for (unsigned round = 0; round < 40; round++) {
		pid_t pid = fork();
		if (pid == 0) {
			struct store *s = open_store(0);
			for (unsigned i = 0;; i++)
				hammer(s, round * 1000 + i, 100, false);
		}
		usleep(2000 + (unsigned)rand_r(&seed) % 15000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		for (unsigned n = 0; n < KEYS; n++) {
			struct digest key = key_of(n);
			buf_clear(&out);
			int found = store_get(store, n % 2 ? STORE_MANIFEST : STORE_RESULT, &key, &out, &err);
			ck_assert_int_ge(found, 0);
			ck_assert(found == 0 || is_some_version(&out, n));
		}
	}
	ck_assert_uint_eq(store_take_corrupt(store), 0);
	struct store_report r;
	ck_assert_int_eq(store_verify(store, &r, &err), 0);
	ck_assert_uint_eq(r.corrupt, 0);
	ck_assert_uint_gt(r.blobs[STORE_RESULT] + r.blobs[STORE_MANIFEST], KEYS / 2);
	put_text(STORE_UNIT, 1, "goes on");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	const TTest *const put_get[] = {get_returns_what_put_stored,
					get_adds_behind_what_the_buffer_has,
					put_joins_the_parts,
					absent_blobs_and_other_kinds_are_no_errors,
					immutable_kinds_keep_the_first_and_the_others_the_last,
					replacing_gives_the_old_size_back,
					use_is_noted_at_most_once_an_hour,
					put_and_get_refuse_what_is_too_large};
	const TTest *const damage[] = {every_flipped_bit_is_a_miss,
				       a_blob_under_another_name_is_a_miss,
				       a_right_checksum_over_wrong_sizes_is_a_miss,
				       a_frame_that_ends_after_good_blocks_adds_nothing,
				       a_damaged_large_blob_is_a_miss,
				       what_is_asked_for_often_stands_unpacked,
				       a_torn_file_does_not_stop_the_next_put,
				       what_is_no_file_is_absent_and_stays};
	const TTest *const faults[] = {a_removed_cache_directory_is_made_again,
				       put_fails_cleanly_at_the_file_size_limit,
				       out_of_descriptors_is_full,
				       a_full_disk_is_full_until_eviction,
				       a_read_only_store_is_read,
				       a_store_without_permission_is_no_access,
				       open_refuses_a_store_everybody_can_write};
	const TTest *const neighbours[] = {threads_see_whole_blobs_only, processes_see_whole_blobs_only,
					   a_killed_writer_leaves_no_half_blob};
	add_tests(suite, "put and get", put_get, COUNT_OF(put_get));
	add_tests(suite, "damage", damage, COUNT_OF(damage));
	add_tests(suite, "faults", faults, COUNT_OF(faults));
	add_tests(suite, "neighbours", neighbours, COUNT_OF(neighbours));
	return run_suite(suite);
}

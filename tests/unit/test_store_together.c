// Blobs that share a file: one block and one inode for all of a small compile, and still each for itself.
#include "store/disk.h"
#include "tests/unit/store_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { TOGETHER = 3 };
static const enum store_kind kinds[TOGETHER] = {STORE_RESULT, STORE_TEXT, STORE_MANIFEST};

// What blob `n` of a kind has in its version `v`: some are packed, some are not.
static size_t text_of(char p[200], enum store_kind kind, unsigned n, unsigned v)
{
	size_t len = (size_t)snprintf(p, 200, "%d %u %u ", kind, n, v);
	fill(p + len, 150, n + v, v % 2);
	return len + 100 + (n + v) % 50;
}

static int put_unit(struct store *s, unsigned n, unsigned v)
{
	char p[TOGETHER][200];
	struct store_part parts[TOGETHER];
	struct store_blob blobs[TOGETHER];
	for (int i = 0; i < TOGETHER; i++) {
		bool is_replaced = kinds[i] == STORE_MANIFEST;
		parts[i] = (struct store_part){p[i], text_of(p[i], kinds[i], n, is_replaced ? v : 0)};
		blobs[i] = (struct store_blob){kinds[i], key_of(n), &parts[i], 1};
	}
	return store_put_together(s, blobs, TOGETHER, &err);
}

// One more manifest, under a key of its own, beside the result `n`.
static int put_more(struct store *s, unsigned n, unsigned more, unsigned v)
{
	char p[200];
	struct store_part part = {p, text_of(p, STORE_MANIFEST, more, v)};
	struct store_blob blob = {STORE_MANIFEST, key_of(more), &part, 1};
	struct digest at = key_of(n);
	return store_put_beside(s, &blob, STORE_RESULT, &at, &err);
}

static bool has_version(struct store *s, enum store_kind kind, unsigned n, unsigned v)
{
	char p[200];
	return reads_back(s, kind, n, p, text_of(p, kind, n, v));
}

static struct stat stat_of(enum store_kind kind, unsigned n)
{
	struct stat st;
	struct digest key = key_of(n);
	AUTO_FREE char *path = blob_path(kind, &key);
	ck_assert_int_eq(lstat(path, &st), 0);
	return st;
}

static void drop(enum store_kind kind, unsigned n)
{
	struct digest key = key_of(n);
	store_remove(store, kind, &key);
}

START_TEST(small_ones_share_a_file)
{
	ck_assert_int_eq(put_unit(store, 1, 0), 0);
	ck_assert_int_eq(put_more(store, 1, 100, 0), 0);
	struct stat st = stat_of(STORE_RESULT, 1);
	ck_assert_uint_eq(st.st_nlink, 4);
	ck_assert_uint_eq(stat_of(STORE_MANIFEST, 100).st_ino, st.st_ino);
	for (int i = 0; i < TOGETHER; i++)
		ck_assert(has_version(store, kinds[i], 1, 0));
	ck_assert(has_version(store, STORE_MANIFEST, 100, 0));
	ck_assert_uint_eq(store_bytes(store), 4096);
	ck_assert_int_eq(get(STORE_RESULT, 2), 0);
	ck_assert_uint_eq(files_in("/v1/tmp/"), 0);
}
END_TEST

START_TEST(large_ones_do_not)
{
	static char p[60000];
	fill(p, sizeof p, 1, true);
	struct store_part large = {p, sizeof p}, small = {"x", 1};
	const struct store_blob blobs[] = {{STORE_TEXT, key_of(1), &small, 1},
					   {STORE_RESULT, key_of(1), &large, 1},
					   {STORE_UNIT, key_of(1), &small, 1},
					   {STORE_MANIFEST, key_of(1), &small, 1}};
	ck_assert_int_eq(store_put_together(store, blobs, COUNT_OF(blobs), &err), 0);
	ck_assert_uint_eq(stat_of(STORE_RESULT, 1).st_nlink, 1);
	ck_assert_uint_eq(stat_of(STORE_MANIFEST, 1).st_nlink, 2);
	ck_assert(reads_back(store, STORE_RESULT, 1, p, sizeof p));
	ck_assert(reads_back(store, STORE_TEXT, 1, "x", 1));
	ck_assert(reads_back(store, STORE_MANIFEST, 1, "x", 1));
	// Beside one that has its own file there is no room.
	ck_assert_int_eq(put_more(store, 1, 100, 0), 0);
	ck_assert_uint_eq(stat_of(STORE_MANIFEST, 100).st_nlink, 1);
}
END_TEST

START_TEST(each_is_replaced_and_dropped_by_itself)
{
	put_unit(store, 1, 0);
	put_unit(store, 1, 1); // the result and the text are kept
	ck_assert(has_version(store, STORE_RESULT, 1, 0));
	ck_assert(has_version(store, STORE_MANIFEST, 1, 1));
	ck_assert_uint_eq(store_bytes(store), 8192);
	drop(STORE_MANIFEST, 1);
	ck_assert_uint_eq(store_bytes(store), 4096);
	drop(STORE_RESULT, 1);
	ck_assert_uint_eq(store_bytes(store), 4096);
	ck_assert_int_eq(get(STORE_RESULT, 1), 0);
	ck_assert(has_version(store, STORE_TEXT, 1, 0));
	drop(STORE_TEXT, 1);
	ck_assert_uint_eq(store_bytes(store), 0);
	ck_assert_uint_eq(store_take_corrupt(store), 0);
}
END_TEST

START_TEST(the_last_record_counts)
{
	put_unit(store, 1, 0);
	for (unsigned v = 0; v < 3; v++) {
		ck_assert_int_eq(put_more(store, 1, 100, v), 0);
		ck_assert(has_version(store, STORE_MANIFEST, 100, v));
		ck_assert_uint_eq(stat_of(STORE_MANIFEST, 100).st_ino, stat_of(STORE_RESULT, 1).st_ino);
		drop(STORE_MANIFEST, 100);
	}
	// A file that is full takes no more.
	for (unsigned more = 101; more < 300; more++)
		ck_assert_int_eq(put_more(store, 1, more, 0), 0);
	ck_assert_int_le(stat_of(STORE_RESULT, 1).st_size, 16 << 10);
	for (unsigned more = 101; more < 300; more++)
		ck_assert(has_version(store, STORE_MANIFEST, more, 0));
}
END_TEST

static void expect_right_or_absent(unsigned n)
{
	for (int i = 0; i < TOGETHER; i++)
		ck_assert(has_version(store, kinds[i], n, 0) || get(kinds[i], n) == 0);
}

// Writes the file under all three names anew: a reader has removed those that it found wrong.
static void lay_out(const char *p, size_t size)
{
	for (int i = 0; i < TOGETHER; i++) {
		struct digest key = key_of(1);
		AUTO_FREE char *path = blob_path(kinds[i], &key);
		write_file(path, p, size);
	}
}

START_TEST(every_flipped_bit_and_every_cut_is_a_miss)
{
	AUTO_BUF struct buf file = BUF_INIT;
	struct digest key = key_of(1);
	put_unit(store, 1, 0);
	AUTO_FREE char *path = blob_path(STORE_RESULT, &key);
	ck_assert_int_eq(file_read(AT_FDCWD, path, 1 << 20, &file, NULL, &err), 0);
	for (size_t bit = 0; bit < 8 * file.len; bit++) {
		file.data[bit / 8] = (char)(file.data[bit / 8] ^ (1 << bit % 8));
		lay_out(file.data, file.len);
		expect_right_or_absent(1);
		file.data[bit / 8] = (char)(file.data[bit / 8] ^ (1 << bit % 8));
	}
	for (size_t n = 0; n < file.len; n++) {
		lay_out(file.data, n);
		expect_right_or_absent(1);
		ck_assert_int_eq(get(STORE_MANIFEST, 1), 0); // the last of them
	}
	// A torn record behind them harms none.
	buf_add(&file, "\377\0\0\0torn", 8);
	lay_out(file.data, file.len);
	store_take_corrupt(store);
	for (int i = 0; i < TOGETHER; i++)
		ck_assert(has_version(store, kinds[i], 1, 0));
	ck_assert_uint_eq(store_take_corrupt(store), 0);
}
END_TEST

START_TEST(a_file_under_a_foreign_name_is_a_miss)
{
	put_unit(store, 1, 0);
	put_unit(store, 2, 0);
	struct digest one = key_of(1), two = key_of(2);
	AUTO_FREE char *from = blob_path(STORE_RESULT, &one);
	AUTO_FREE char *to = blob_path(STORE_RESULT, &two);
	ck_assert_int_eq(unlink(to) || link(from, to), 0);
	struct store_report r;
	ck_assert_int_eq(store_verify(store, &r, &err), 0);
	ck_assert_uint_eq(r.corrupt, 1);
	ck_assert_int_eq(get(STORE_RESULT, 2), 0);
	ck_assert(has_version(store, STORE_RESULT, 1, 0));
}
END_TEST

START_TEST(without_links_each_has_its_own_file)
{
	atomic_store(&store->has_no_links, true);
	put_unit(store, 1, 0);
	put_more(store, 1, 100, 0);
	ck_assert_uint_eq(stat_of(STORE_RESULT, 1).st_nlink, 1);
	for (int i = 0; i < TOGETHER; i++)
		ck_assert(has_version(store, kinds[i], 1, 0));
	ck_assert_uint_eq(store_bytes(store), 4 * 4096);
}
END_TEST

START_TEST(a_removed_cache_directory_is_made_again)
{
	put_unit(store, 1, 0);
	remove_tree(dir);
	ck_assert_int_eq(put_unit(store, 1, 0), 0);
	ck_assert(has_version(store, STORE_MANIFEST, 1, 0));
	ck_assert_int_eq(put_more(store, 1, 100, 0), 0);
	ck_assert(has_version(store, STORE_MANIFEST, 100, 0));
}
END_TEST

START_TEST(a_write_that_fails_leaves_nothing)
{
	put_unit(store, 1, 0);
	struct rlimit old, small = {200, 200};
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	int first = put_unit(store, 2, 0), more = put_more(store, 1, 100, 0);
	setrlimit(RLIMIT_FSIZE, &old);
	ck_assert_int_eq(first, -1);
	ck_assert(more == -1 || has_version(store, STORE_MANIFEST, 100, 0));
	ck_assert_uint_eq(files_in("/v1/tmp/"), 0);
	for (int i = 0; i < TOGETHER; i++) {
		ck_assert(has_version(store, kinds[i], 1, 0));
		ck_assert_int_eq(get(kinds[i], 2), 0);
	}
}
END_TEST

// What the disk holds: each file once.
static uint64_t on_disk(unsigned units)
{
	uint64_t sum = 0;
	for (unsigned n = 0; n < units; n++)
		for (int i = 0; i < TOGETHER; i++) {
			struct stat st;
			struct digest key = key_of(n);
			AUTO_FREE char *path = blob_path(kinds[i], &key);
			if (lstat(path, &st) == 0)
				sum += disk_bytes((uint64_t)st.st_size) * 60 / st.st_nlink;
		}
	return sum / 60;
}

START_TEST(eviction_counts_what_the_disk_gets_back)
{
	enum { UNITS = 400 };
	for (unsigned n = 0; n < UNITS; n++) {
		ck_assert_int_eq(put_unit(store, n, 0), 0);
		struct digest key = key_of(n);
		AUTO_FREE char *path = blob_path(STORE_RESULT, &key);
		set_age(path, (UNITS - n) * 10);
	}
	evict(store);                                                                 // counts
	ck_assert_uint_eq((store_bytes(store) + 4095) / 4096, on_disk(UNITS) / 4096); // each name has its third
	store_set_limit(store, UNITS / 2 * 4096);
	ck_assert_uint_gt(evict(store), 0);
	ck_assert_uint_le(on_disk(UNITS), UNITS / 2 * 4096);
	ck_assert_uint_ge(on_disk(UNITS), UNITS / 3 * 4096);
	for (int i = 0; i < TOGETHER; i++) {
		ck_assert_int_eq(get(kinds[i], 0), 0);
		ck_assert(has_version(store, kinds[i], UNITS - 1, 0));
	}
	struct store_report r;
	ck_assert_int_eq(store_gc(store, &r, &err), 0);
	ck_assert_uint_le(r.bytes[STORE_RESULT] + r.bytes[STORE_TEXT] + r.bytes[STORE_MANIFEST], UNITS / 2 * 4096);
	ck_assert_int_eq(store_clear(store, &r, &err), 0);
	ck_assert_uint_eq(store_bytes(store), 0);
	ck_assert_uint_eq(on_disk(UNITS), 0);
}
END_TEST

// ---- neighbours ------------------------------------------------------------------------------------------------------

enum { UNITS = 12, VERSIONS = 20 };

static bool is_some_version(struct store *s, enum store_kind kind, unsigned n)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct digest key = key_of(n);
	int found = store_get(s, kind, &key, &out, NULL);
	for (unsigned v = 0; found == 1 && v < VERSIONS; v++) {
		char p[200];
		if (text_of(p, kind, n, v) == out.len && memcmp(p, out.data, out.len) == 0)
			return true;
	}
	return found == 0;
}

static unsigned hammer(struct store *s, unsigned seed, unsigned rounds)
{
	unsigned wrong = 0;
	for (unsigned i = 0; i < rounds; i++) {
		unsigned n = (unsigned)rand_r(&seed) % UNITS, v = (unsigned)rand_r(&seed) % VERSIONS;
		enum store_kind kind = kinds[(unsigned)rand_r(&seed) % TOGETHER];
		struct digest key = key_of(n);
		switch ((unsigned)rand_r(&seed) % 8) {
		case 0:
		case 1:
			wrong += put_unit(s, n, v) < 0;
			break;
		case 2:
			wrong += put_more(s, n, n + 100, v) < 0;
			break;
		case 3:
			store_remove(s, kind, &key);
			break;
		default:
			wrong += !is_some_version(s, kind, n) || !is_some_version(s, STORE_MANIFEST, n + 100);
		}
	}
	return wrong + (store_take_corrupt(s) != 0);
}

START_TEST(processes_see_whole_blobs_only)
{
	pid_t pids[4];
	for (unsigned i = 0; i < COUNT_OF(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(hammer(open_store(0), 100 + i, 2000) ? 1 : 0);
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
	for (unsigned round = 0; round < 30; round++) {
		pid_t pid = fork();
		if (pid == 0) {
			struct store *s = open_store(0);
			for (unsigned i = 0;; i++)
				hammer(s, round * 1000 + i, 100);
		}
		usleep(2000 + (unsigned)rand_r(&seed) % 15000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		for (unsigned n = 0; n < UNITS; n++)
			for (int i = 0; i < TOGETHER; i++)
				ck_assert(is_some_version(store, kinds[i], n) &&
					  is_some_version(store, STORE_MANIFEST, n + 100));
	}
	struct store_report r;
	ck_assert_int_eq(store_verify(store, &r, &err), 0);
	ck_assert_uint_eq(r.corrupt + store_take_corrupt(store), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store: blobs that share a file");
	const TTest *const tests[] = {small_ones_share_a_file,
				      large_ones_do_not,
				      each_is_replaced_and_dropped_by_itself,
				      the_last_record_counts,
				      every_flipped_bit_and_every_cut_is_a_miss,
				      a_file_under_a_foreign_name_is_a_miss,
				      without_links_each_has_its_own_file,
				      a_removed_cache_directory_is_made_again,
				      a_write_that_fails_leaves_nothing,
				      eviction_counts_what_the_disk_gets_back,
				      processes_see_whole_blobs_only,
				      a_killed_writer_leaves_no_half_blob};
	add_tests(suite, "together", tests, COUNT_OF(tests));
	return run_suite(suite);
}

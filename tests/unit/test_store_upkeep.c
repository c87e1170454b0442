// The store's upkeep: the counts that daemons share, eviction, and the walks of gc, verify and clear.
#include "tests/unit/store_fixture.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

enum { BLOB = 30000, BLOB_COUNTS = 8 * 4096, USAGE_SIZE = 2064 };

static void put_blobs(struct store *s, unsigned from, unsigned to)
{
	char p[BLOB];
	for (unsigned n = from; n < to; n++) {
		fill(p, sizeof p, n, true);
		ck_assert_msg(put(s, (enum store_kind)(n % STORE_KINDS), n, p, sizeof p) == 0, "%s", err.text);
	}
}

static bool has(unsigned n)
{
	struct digest key = key_of(n);
	return store_has(store, (enum store_kind)(n % STORE_KINDS), &key);
}

static char *path_of(unsigned n)
{
	struct digest key = key_of(n);
	return blob_path((enum store_kind)(n % STORE_KINDS), &key);
}

static void age(unsigned n, int64_t seconds)
{
	AUTO_FREE char *path = path_of(n);
	set_age(path, seconds);
}

static uint64_t on_disk(unsigned from, unsigned to)
{
	uint64_t there = 0;
	for (unsigned n = from; n < to; n++)
		there += has(n);
	return there * BLOB_COUNTS;
}

static char *in_v1(const char *name)
{
	return mem_printf("%s/v1/%s", dir, name);
}

static void gc(struct store_report *r)
{
	ck_assert_msg(store_gc(store, r, &err) == 0, "%s", err.text);
}

// ---- counts --------------------------------------------------------------------------------------------------------

START_TEST(a_new_store_is_counted_once)
{
	ck_assert(store_is_over(store));
	ck_assert_uint_eq(evict(store), 0);
	ck_assert(!store_is_over(store));
	struct store *again = open_store(0);
	ck_assert(!store_is_over(again));
	store_close(again);
}
END_TEST

START_TEST(processes_share_the_counts)
{
	pid_t pids[3];
	for (unsigned i = 0; i < COUNT_OF(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct store *s = open_store(0);
			put_blobs(s, i * 50, i * 50 + 50);
			store_close(s);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < COUNT_OF(pids); i++) {
		int status;
		waitpid(pids[i], &status, 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_uint_eq(store_bytes(store), 150 * BLOB_COUNTS);
}
END_TEST

START_TEST(whoever_holds_the_counts_delays_nobody)
{
	AUTO_FREE char *usage = in_v1("usage");
	int fd = open(usage, O_RDWR);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	put_blobs(store, 0, 2);
	ck_assert_uint_eq(store_bytes(store), 2 * BLOB_COUNTS);
	struct store *other = open_store(0);
	ck_assert_uint_eq(store_bytes(other), 0);
	close(fd);
	put_blobs(store, 2, 3);
	ck_assert_uint_eq(store_bytes(other), 3 * BLOB_COUNTS);
	store_close(other);
}
END_TEST

START_TEST(lost_or_odd_counts_are_counted_anew)
{
	static const char *const damage[] = {"empty", "short", "long", "bad magic", "gone", "a folder"};
	AUTO_FREE char *usage = in_v1("usage");
	put_blobs(store, 0, 10);
	evict(store);
	for (unsigned i = 0; i < COUNT_OF(damage); i++) {
		char page[USAGE_SIZE + 1] = {0};
		AUTO_BUF struct buf whole = BUF_INIT;
		file_read(AT_FDCWD, usage, USAGE_SIZE, &whole, NULL, NULL);
		memcpy(page, whole.data, whole.len);
		page[0] = i == 3 ? '!' : page[0];
		if (i >= 4)
			ck_assert_int_eq(unlink(usage), 0);
		if (i == 5)
			ck_assert_int_eq(mkdir(usage, 0700), 0);
		if (i < 4)
			write_file(usage, page, i == 0 ? 0 : i == 1 ? 100 : i == 2 ? USAGE_SIZE + 1 : USAGE_SIZE);
		put_blobs(store, 100 + i, 101 + i);
		ck_assert_msg(store_is_over(store), "%s: not noticed", damage[i]);
		ck_assert_uint_eq(evict(store), 0);
		ck_assert_msg(!store_is_over(store), "%s: not mended", damage[i]);
		ck_assert_uint_eq(store_bytes(store), (11 + i) * BLOB_COUNTS);
	}
}
END_TEST

START_TEST(a_wrong_count_is_corrected_by_a_walk)
{
	AUTO_FREE char *usage = in_v1("usage");
	put_blobs(store, 0, 10);
	evict(store);
	int64_t counts[USAGE_SIZE / 8];
	int fd = open(usage, O_RDWR);
	ck_assert_int_eq(pread(fd, counts, sizeof counts, 0), (ssize_t)sizeof counts);
	for (unsigned i = 2; i < COUNT_OF(counts); i++)
		counts[i] += i % 2 ? 1000000 : -1000000;
	ck_assert_int_eq(pwrite(fd, counts, sizeof counts, 0), (ssize_t)sizeof counts);
	close(fd);
	ck_assert_uint_gt(store_bytes(store), 100 * 1000000);
	struct store_report r;
	gc(&r);
	ck_assert_uint_eq(store_bytes(store), 10 * BLOB_COUNTS);
}
END_TEST

// ---- eviction ------------------------------------------------------------------------------------------------------

START_TEST(eviction_keeps_the_recently_used)
{
	put_blobs(store, 0, 100);
	for (unsigned n = 0; n < 100; n++)
		age(n, (int64_t)(n * 37 % 100 + 2) * HOUR);
	AUTO_BUF struct buf out = BUF_INIT;
	for (unsigned n = 0; n < 100; n += 10) { // reading is using
		struct digest key = key_of(n);
		ck_assert_int_eq(store_get(store, (enum store_kind)(n % STORE_KINDS), &key, &out, &err), 1);
	}
	store_set_limit(store, 60 * BLOB_COUNTS);
	ck_assert(store_is_over(store));
	ck_assert_uint_eq(evict(store), 43); // down to 57 of 60
	ck_assert(!store_is_over(store));
	ck_assert_uint_eq(store_bytes(store), on_disk(0, 100));
	int64_t oldest_kept = 0, youngest_gone = 1000;
	for (unsigned n = 0; n < 100; n++) {
		int64_t used = n % 10 == 0 ? 0 : (int64_t)(n * 37 % 100 + 2);
		if (has(n) && used > oldest_kept)
			oldest_kept = used;
		if (!has(n) && used < youngest_gone)
			youngest_gone = used;
	}
	ck_assert_int_lt(oldest_kept, youngest_gone);
}
END_TEST

START_TEST(the_limit_holds_while_blobs_keep_coming)
{
	uint64_t limit = 100 * BLOB_COUNTS;
	store_set_limit(store, limit);
	for (unsigned n = 0; n < 1000; n++) {
		put_blobs(store, n, n + 1);
		if (store_is_over(store))
			evict(store);
		ck_assert_uint_le(store_bytes(store), limit);
	}
	ck_assert_uint_eq(store_bytes(store), on_disk(0, 1000));
	ck_assert_uint_ge(store_bytes(store), limit / 100 * 90);
	ck_assert(has(999));
}
END_TEST

START_TEST(two_that_evict_at_once_do_no_harm)
{
	put_blobs(store, 0, 200);
	for (unsigned n = 0; n < 200; n++)
		age(n, (int64_t)(n + 2) * HOUR);
	pid_t pids[4];
	for (unsigned i = 0; i < COUNT_OF(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct store *s = open_store(100 * BLOB_COUNTS);
			for (int k = 0; k < 20; k++)
				evict(s);
			store_close(s);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < COUNT_OF(pids); i++) {
		int status;
		waitpid(pids[i], &status, 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_uint_eq(on_disk(0, 200), 95 * BLOB_COUNTS);
	ck_assert_uint_eq(store_bytes(store), 95 * BLOB_COUNTS);
	for (unsigned n = 0; n < 95; n++)
		ck_assert(has(n));
}
END_TEST

START_TEST(the_one_who_finds_eviction_at_work_leaves_it)
{
	put_blobs(store, 0, 20);
	evict(store);
	AUTO_FREE char *path = in_v1("lock");
	int fd = open(path, O_RDWR);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	store_set_limit(store, 10 * BLOB_COUNTS);
	ck_assert_uint_eq(evict(store), 0);
	close(fd);
	ck_assert_uint_gt(evict(store), 0);
}
END_TEST

START_TEST(times_ahead_of_the_clock_count_as_now)
{
	put_blobs(store, 0, 20);
	for (unsigned n = 0; n < 20; n++)
		age(n, n < 10 ? -1000 * HOUR : (int64_t)(n + 1) * HOUR);
	store_set_limit(store, 15 * BLOB_COUNTS);
	ck_assert_uint_eq(evict(store), 6);
	for (unsigned n = 0; n < 20; n++)
		ck_assert_int_eq(has(n), n < 14);
	AUTO_FREE char *path = path_of(0);
	ck_assert_int_ge(age_of(path), -1);
	// And when all are ahead, the limit still holds.
	for (unsigned n = 0; n < 14; n++)
		age(n, -1000 * HOUR);
	store_set_limit(store, 10 * BLOB_COUNTS);
	ck_assert_uint_eq(evict(store), 5);
}
END_TEST

START_TEST(a_store_with_no_limit_is_never_evicted)
{
	put_blobs(store, 0, 20);
	ck_assert_uint_eq(evict(store), 0);
	ck_assert(!store_is_over(store));
	ck_assert_uint_eq(on_disk(0, 20), 20 * BLOB_COUNTS);
}
END_TEST

// ---- temp files ----------------------------------------------------------------------------------------------------

static char *temp(unsigned pid, int64_t age_s)
{
	char name[64];
	snprintf(name, sizeof name, "tmp/%08x-%08x-%016x", pid, (unsigned)age_s, 1U);
	char *path = in_v1(name);
	write_file(path, "half", 4);
	set_age(path, age_s);
	return path;
}

START_TEST(open_and_gc_drop_what_dead_writers_left)
{
	pid_t dead = fork();
	if (dead == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	AUTO_FREE char *left = temp((unsigned)dead, HOUR + 60);
	AUTO_FREE char *young = temp((unsigned)dead, 60);
	AUTO_FREE char *alive = temp((unsigned)getpid(), HOUR + 60);
	AUTO_FREE char *ancient = temp((unsigned)getpid(), 25 * HOUR);
	AUTO_FREE char *foreign = in_v1("tmp/not-one-of-ours-but-also-34-chars--");
	write_file(foreign, "x", 1);
	set_age(foreign, 1000 * HOUR);
	store_close(open_store(0));
	ck_assert_int_lt(access(left, F_OK), 0);
	ck_assert_int_lt(access(ancient, F_OK), 0);
	ck_assert_int_eq(access(young, F_OK), 0);
	ck_assert_int_eq(access(alive, F_OK), 0);
	set_age(young, 2 * HOUR);
	struct store_report r;
	gc(&r);
	ck_assert_uint_eq(r.stray_temps, 1);
	ck_assert_int_lt(access(young, F_OK), 0);
	ck_assert_int_eq(access(alive, F_OK), 0);
	ck_assert_int_eq(access(foreign, F_OK), 0);
}
END_TEST

// ---- gc, verify, clear ---------------------------------------------------------------------------------------------

static uint64_t all_blobs(const struct store_report *r)
{
	uint64_t n = 0;
	for (unsigned kind = 0; kind < STORE_KINDS; kind++)
		n += r->blobs[kind];
	return n;
}

START_TEST(gc_counts_and_evicts)
{
	put_blobs(store, 0, 6 * STORE_KINDS);
	struct store_report r;
	gc(&r);
	for (unsigned kind = 0; kind < STORE_KINDS; kind++) {
		ck_assert_uint_eq(r.blobs[kind], 6);
		ck_assert_uint_eq(r.bytes[kind], 6 * BLOB_COUNTS);
	}
	ck_assert_uint_eq(r.evicted, 0);
	store_set_limit(store, 20 * BLOB_COUNTS);
	gc(&r);
	ck_assert_uint_eq(r.evicted, 6 * STORE_KINDS - 19);
	ck_assert_uint_eq(all_blobs(&r), 19);
}
END_TEST

START_TEST(verify_removes_the_corrupt_and_only_them)
{
	put_blobs(store, 0, 20);
	for (unsigned n = 0; n < 3; n++) {
		AUTO_FREE char *path = path_of(n);
		int fd = open(path, O_RDWR);
		ck_assert_int_eq(n ? (int)pwrite(fd, "!", 1, 20000 + n) : ftruncate(fd, 100), n ? 1 : 0);
		close(fd);
	}
	struct store_report r;
	ck_assert_int_eq(store_verify(store, &r, &err), 0);
	ck_assert_uint_eq(r.corrupt, 3);
	ck_assert_uint_eq(store_take_corrupt(store), 3);
	ck_assert_uint_eq(all_blobs(&r), 17);
	for (unsigned n = 0; n < 20; n++)
		ck_assert_int_eq(has(n), n >= 3);
	ck_assert_uint_eq(store_bytes(store), 17 * BLOB_COUNTS);
}
END_TEST

START_TEST(clear_removes_every_blob)
{
	put_blobs(store, 0, 40);
	struct store_report r;
	ck_assert_int_eq(store_clear(store, &r, &err), 0);
	ck_assert_uint_eq(all_blobs(&r), 40);
	ck_assert_uint_eq(on_disk(0, 40), 0);
	ck_assert_uint_eq(store_bytes(store), 0);
	put_blobs(store, 0, 40);
	ck_assert_uint_eq(on_disk(0, 40), 40 * BLOB_COUNTS);
}
END_TEST

START_TEST(walks_leave_foreign_files_and_symlinks_alone)
{
	static const char *const names[] = {"../notes",
					    "notes",
					    "result/notes",
					    "result/ab/notes",
					    "result/ab/0123456789abcdef0123456789abc",   // too short
					    "result/ab/0123456789abcdef0123456789abcde", // too long
					    "result/ab/0123456789ABCDEF0123456789abcd",  // not our digits
					    "result/abc/0123456789abcdef0123456789abcd",
					    "other/ab/0123456789abcdef0123456789abcd",
					    "../elsewhere/0123456789abcdef0123456789abcd"};
	static const char *const directories[] = {"result", "result/ab", "result/abc", "other", "other/ab", "../elsewhere"};
	for (unsigned i = 0; i < COUNT_OF(directories); i++) {
		AUTO_FREE char *path = in_v1(directories[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		AUTO_FREE char *path = in_v1(names[i]);
		write_file(path, "precious", 8);
		set_age(path, 1000 * HOUR);
	}
	// A shard and a kind that lead out of the store.
	AUTO_FREE char *shard = in_v1("result/cd");
	AUTO_FREE char *kind = in_v1("text");
	AUTO_FREE char *blob = in_v1("result/ab/0123456789abcdef0123456789abcd");
	ck_assert_int_eq(symlink("../../../elsewhere", shard), 0);
	ck_assert_int_eq(symlink("other", kind), 0);
	ck_assert_int_eq(symlink("../../../notes", blob), 0);
	struct store_report r;
	store_set_limit(store, 1);
	gc(&r);
	ck_assert_int_eq(store_verify(store, &r, &err), 0);
	ck_assert_int_eq(store_clear(store, &r, &err), 0);
	ck_assert_uint_eq(r.blobs[STORE_RESULT] + r.blobs[STORE_TEXT], 0);
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		AUTO_FREE char *path = in_v1(names[i]);
		ck_assert_msg(access(path, F_OK) == 0, "'%s' is gone", names[i]);
	}
	struct stat st;
	ck_assert_int_eq(lstat(blob, &st), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store upkeep");
	const TTest *const counts[] = {a_new_store_is_counted_once, processes_share_the_counts,
				       whoever_holds_the_counts_delays_nobody, lost_or_odd_counts_are_counted_anew,
				       a_wrong_count_is_corrected_by_a_walk};
	const TTest *const eviction[] = {eviction_keeps_the_recently_used,      the_limit_holds_while_blobs_keep_coming,
					 two_that_evict_at_once_do_no_harm,     the_one_who_finds_eviction_at_work_leaves_it,
					 times_ahead_of_the_clock_count_as_now, a_store_with_no_limit_is_never_evicted};
	const TTest *const walks[] = {open_and_gc_drop_what_dead_writers_left, gc_counts_and_evicts,
				      verify_removes_the_corrupt_and_only_them, clear_removes_every_blob,
				      walks_leave_foreign_files_and_symlinks_alone};
	add_tests(suite, "counts", counts, COUNT_OF(counts));
	add_tests(suite, "eviction", eviction, COUNT_OF(eviction));
	add_tests(suite, "walks", walks, COUNT_OF(walks));
	return run_suite(suite);
}

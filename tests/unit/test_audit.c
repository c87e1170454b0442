// Rows, the hash tree over them, checkpoints and proofs; and the log on disk through crashes and changes behind its back.
#include "audit/log.h"
#include "audit/proof.h"
#include "audit/reader.h"
#include "audit/tiles.h"
#include "audit/verify.h"
#include "base/file.h"
#include "base/tree.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena arena;
static struct err err;
static char *top;

static void setup(void)
{
	top = unit_directory();
	err = (struct err)ERR_INIT;
}

static void teardown(void)
{
	tree_remove(AT_FDCWD, top);
	free(top);
	arena_release(&arena);
}

static struct audit_log *open_log(void)
{
	struct audit_log_config config = {.directory = top, .origin = "w1"};
	struct audit_log *log = NULL;
	ck_assert_msg(audit_log_open(&config, &log, &err) == 0, "%s", err.text);
	return log;
}

static void add_rows(struct audit_log *log, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char job[AUDIT_JOB_ID];
		struct audit_row row = {.value[AUDIT_tenant] = "a"};
		ck_assert_int_eq(audit_log_start(log, &row, job, &err), 0);
		row.value[AUDIT_outcome] = "run";
		row.value[AUDIT_flags] = arena_printf(&arena, "-O2 -DX=%u", i);
		ck_assert_msg(audit_log_finish(log, &row, NULL, &err) == 0, "%s", err.text);
	}
}

static int verify(struct audit_verified *v)
{
	AUTO_CLOSE int fd = open(top, O_RDONLY | O_DIRECTORY);
	err = (struct err)ERR_INIT;
	return audit_verify(fd, NULL, NULL, v, &err);
}

// ---- rows -----------------------------------------------------------------------------------------------------------

START_TEST(a_row_has_one_form_and_comes_back)
{
	struct audit_row row = {.value[AUDIT_flags] = "-DX=\"a\tb\\c\"\n\xc3\xa4",
				.value[AUDIT_tenant] = "-",
				.value[AUDIT_outcome] = "run",
				.value[AUDIT_reason] = ""},
			 back;
	AUTO_BUF struct buf line = BUF_INIT;
	audit_row_write(&row, &line);
	ck_assert_ptr_null(memchr(line.data, '\n', line.len));
	ck_assert_int_eq(audit_row_read(line.data, line.len, &arena, &back, &err), 0);
	ck_assert_str_eq(back.value[AUDIT_flags], row.value[AUDIT_flags]);
	ck_assert_str_eq(back.value[AUDIT_tenant], "-");
	ck_assert_ptr_null(back.value[AUDIT_reason]);
	ck_assert_ptr_null(back.value[AUDIT_key]);
}
END_TEST

START_TEST(what_is_no_row_is_refused)
{
	static const char *const bad[] = {"", "a", "a\tb", "\\x41", "\\q", "\\x0", "\x01"};
	struct audit_row row;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_int_eq(audit_row_read(bad[i], strlen(bad[i]), &arena, &row, &err), -1);
	AUTO_BUF struct buf many = BUF_INIT;
	for (int i = 0; i <= AUDIT_COLUMNS; i++)
		buf_adds(&many, i ? "\tx" : "x");
	ck_assert_int_eq(audit_row_read(many.data, many.len, &arena, &row, &err), -1);
}
END_TEST

// Whatever the length of one value, it takes nothing from another.
START_TEST(long_values_are_cut_and_push_out_no_other)
{
	static const size_t lengths[] = {1, 6143, 6144, 6145, 15359, 15360, 16383, 24576, 24577, 61440, 200000};
	static const char fillers[] = {'x', '\t', '\xff'};
	for (size_t i = 0; i < COUNT_OF(lengths); i++)
		for (size_t k = 0; k < COUNT_OF(fillers); k++) {
			AUTO_FREE char *flags = mem_alloc(lengths[i] + 1);
			AUTO_BUF struct buf line = BUF_INIT;
			memset(flags, fillers[k], lengths[i]);
			struct audit_row row = {.value[AUDIT_flags] = flags,
						.value[AUDIT_reason] = flags,
						.value[AUDIT_tenant] = "a",
						.value[AUDIT_job] = "j-1",
						.value[AUDIT_outcome] = "run"},
					 back;
			audit_row_write(&row, &line);
			ck_assert_uint_le(line.len, AUDIT_ROW_MAX);
			ck_assert_msg(audit_row_read(line.data, line.len, &arena, &back, &err) == 0, "%s", err.text);
			ck_assert_str_eq(back.value[AUDIT_tenant], "a");
			ck_assert_str_eq(back.value[AUDIT_job], "j-1");
			ck_assert_str_eq(back.value[AUDIT_outcome], "run");
			ck_assert_int_eq(strcmp(back.value[AUDIT_flags], flags) == 0,
					 audit_value_length(flags) <= AUDIT_FLAGS_MAX);
		}
}
END_TEST

START_TEST(flags_keep_their_borders)
{
	const char *const flags[] = {"-DA=a b", "-O2", "-DB=\\s", "-DC=\\"};
	size_t n;
	const char **back = audit_flags_split(&arena, audit_flags_join(&arena, flags, 4), &n);
	ck_assert_uint_eq(n, 4);
	for (size_t i = 0; i < n; i++)
		ck_assert_str_eq(back[i], flags[i]);
	audit_flags_split(&arena, NULL, &n);
	ck_assert_uint_eq(n, 0);
}
END_TEST

// ---- the tree -------------------------------------------------------------------------------------------------------

static struct merkle_hash leaves[1100];

// Straight from the definition of RFC 6962.
static struct merkle_hash mth(const struct merkle_hash *d, size_t n)
{
	if (n == 0)
		return merkle_empty();
	if (n == 1)
		return d[0];
	size_t k = 1;
	while (k * 2 < n)
		k *= 2;
	struct merkle_hash left = mth(d, k), right = mth(d + k, n - k);
	return merkle_node(&left, &right);
}

START_TEST(roots_and_proofs_are_those_of_the_definition)
{
	static const uint64_t sizes[] = {1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 513, 1000, 1100};
	AUTO_CLOSE int fd = open(top, O_RDONLY | O_DIRECTORY);
	struct tile_writer *w = mem_alloc(sizeof *w);
	struct stale_tiles stale;
	struct tiles *tiles = mem_alloc(sizeof *tiles);
	uint64_t n_added = 0;
	ck_assert_int_eq(tile_writer_open(w, fd, 0, &err), 0);
	for (size_t s = 0; s < COUNT_OF(sizes); s++) {
		struct merkle_hash proof[MERKLE_MAX_PROOF];
		size_t n;
		for (; n_added < sizes[s]; n_added++) {
			leaves[n_added] = merkle_leaf(&n_added, sizeof n_added);
			tile_writer_add(w, &leaves[n_added]);
		}
		struct merkle_hash root = mth(leaves, sizes[s]), ours = tile_writer_root(w), read;
		ck_assert(merkle_equal(&root, &ours));
		ck_assert_int_eq(tile_writer_flush(w, &stale, &err), 0);
		stale_tiles_remove(&stale, fd);
		tiles_init(tiles, fd, sizes[s]);
		struct merkle_tree tree = tiles_tree(tiles);
		ck_assert_msg(merkle_root(&tree, sizes[s], &read, &err) == 0, "%s", err.text);
		ck_assert(merkle_equal(&root, &read));
		for (uint64_t i = 0; i < sizes[s]; i += 1 + sizes[s] / 40) {
			ck_assert_int_eq(merkle_prove_inclusion(&tree, i, sizes[s], proof, &n, &err), 0);
			ck_assert(merkle_check_inclusion(&leaves[i], i, sizes[s], proof, n, &root));
			ck_assert(!merkle_check_inclusion(&leaves[i], i + 1, sizes[s], proof, n, &root));
			ck_assert(sizes[s] == 1 ||
				  !merkle_check_inclusion(&leaves[(i + 1) % sizes[s]], i, sizes[s], proof, n, &root));
			struct merkle_hash old = mth(leaves, i + 1), other = mth(leaves + 1, i + 1);
			ck_assert_int_eq(merkle_prove_consistency(&tree, i + 1, sizes[s], proof, &n, &err), 0);
			ck_assert(merkle_check_consistency(i + 1, &old, sizes[s], &root, proof, n));
			ck_assert(!merkle_check_consistency(i + 1, &other, sizes[s], &root, proof, n));
		}
	}
	free(w);
	free(tiles);
}
END_TEST

START_TEST(a_writer_goes_on_where_it_was)
{
	AUTO_CLOSE int fd = open(top, O_RDONLY | O_DIRECTORY);
	struct tile_writer *w = mem_alloc(sizeof *w);
	struct stale_tiles stale;
	ck_assert_int_eq(tile_writer_open(w, fd, 0, &err), 0);
	for (uint64_t i = 0; i < 700; i++) {
		leaves[i] = merkle_leaf(&i, sizeof i);
		tile_writer_add(w, &leaves[i]);
		if (i % 97 == 0) {
			ck_assert_int_eq(tile_writer_flush(w, &stale, &err), 0);
			stale_tiles_remove(&stale, fd);
			tile_writer_release(w);
			ck_assert_msg(tile_writer_open(w, fd, i + 1, &err) == 0, "%s", err.text);
		}
	}
	struct merkle_hash root = mth(leaves, 700), ours = tile_writer_root(w);
	ck_assert(merkle_equal(&root, &ours));
	tile_writer_release(w);
	free(w);
}
END_TEST

// ---- the log --------------------------------------------------------------------------------------------------------

START_TEST(a_log_verifies_and_goes_on)
{
	struct audit_verified v;
	struct audit_log *log = open_log();
	add_rows(log, 300);
	audit_log_close(log);
	ck_assert_msg(verify(&v) == 0, "%s", err.text);
	ck_assert_uint_eq(v.rows, 300);
	log = open_log();
	add_rows(log, 300);
	audit_log_close(log);
	ck_assert_msg(verify(&v) == 0, "%s", err.text);
	ck_assert_uint_eq(v.rows, 600);
}
END_TEST

// Reads, lets `change` change it, writes.
static void change_rows(void (*change)(char *text, size_t *n))
{
	AUTO_BUF struct buf text = BUF_INIT;
	const char *name = arena_printf(&arena, "%s/rows/00000000", top);
	ck_assert_int_eq(file_read(AT_FDCWD, name, 1 << 20, &text, NULL, &err), 0);
	change(text.data, &text.len);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, name, text.data, text.len, 0644, &err), 0);
}

static void edit(char *text, size_t *n)
{
	char *at = memmem(text, *n, "X=7\t", 4);
	ck_assert_ptr_nonnull(at);
	at[2] = '8';
}

static void remove_one(char *text, size_t *n)
{
	char *second = memchr(text, '\n', *n);
	size_t first = (size_t)(second + 1 - text);
	memmove(text, second + 1, *n - first);
	*n -= first;
}

static void swap_two(char *text, size_t *n)
{
	char *one = memchr(text, '\n', *n) + 1, *two = memchr(one, '\n', *n) + 1;
	size_t first = (size_t)(one - text), second = (size_t)(two - one);
	AUTO_FREE char *copy = mem_strndup(text, first);
	memmove(text, one, second);
	memcpy(text + second, copy, first);
}

START_TEST(every_change_behind_its_back_shows)
{
	void (*const changes[])(char *, size_t *) = {edit, remove_one, swap_two};
	struct audit_verified v;
	for (size_t i = 0; i < COUNT_OF(changes); i++) {
		struct audit_log *log = open_log();
		add_rows(log, 20);
		audit_log_close(log);
		ck_assert_int_eq(verify(&v), 0);
		change_rows(changes[i]);
		ck_assert_int_eq(verify(&v), -1);
		ck_assert_msg(strstr(err.text, "row") != NULL, "%s", err.text);
		struct audit_log_config config = {.directory = top, .origin = "w1"};
		ck_assert_int_eq(audit_log_open(&config, &log, &err), -1);
		tree_remove(AT_FDCWD, top);
		ck_assert_int_eq(mkdir(top, 0700), 0);
	}
}
END_TEST

START_TEST(a_row_that_is_appended_by_somebody_else_is_under_no_checkpoint)
{
	struct audit_verified v;
	struct audit_log *log = open_log();
	add_rows(log, 3);
	audit_log_close(log);
	int fd = open(arena_printf(&arena, "%s/rows/00000000", top), O_WRONLY | O_APPEND);
	ck_assert_int_eq(file_write_fd(fd, "x\n", 2, &err), 0);
	close(fd);
	ck_assert_int_eq(verify(&v), 0);
	ck_assert_uint_eq(v.rows, 3);
	ck_assert_uint_eq(v.unsigned_rows, 1);
}
END_TEST

START_TEST(an_old_checkpoint_must_be_continued)
{
	struct audit_verified v;
	AUTO_BUF struct buf kept = BUF_INIT;
	struct audit_log *log = open_log();
	add_rows(log, 30);
	audit_log_close(log);
	ck_assert_int_eq(file_read(AT_FDCWD, arena_printf(&arena, "%s/checkpoint", top), 4096, &kept, NULL, &err), 0);
	log = open_log();
	add_rows(log, 30);
	audit_log_close(log);
	AUTO_CLOSE int fd = open(top, O_RDONLY | O_DIRECTORY);
	ck_assert_msg(audit_verify(fd, NULL, &kept, &v, &err) == 0, "%s", err.text);
	// The same key signs another history: only the kept checkpoint tells.
	AUTO_BUF struct buf key = BUF_INIT;
	ck_assert_int_eq(file_read(fd, "key", 4096, &key, NULL, &err), 0);
	tree_remove(AT_FDCWD, top);
	ck_assert_int_eq(mkdir(top, 0700), 0);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, arena_printf(&arena, "%s/key", top), key.data, key.len, 0600, &err), 0);
	log = open_log();
	add_rows(log, 70);
	audit_log_close(log);
	AUTO_CLOSE int other = open(top, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(audit_verify(other, NULL, NULL, &v, &err), 0);
	ck_assert_int_eq(audit_verify(other, NULL, &kept, &v, &err), -1);
}
END_TEST

START_TEST(jobs_of_a_life_that_ended_get_their_row_at_the_next_start)
{
	struct audit_verified v;
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct audit_log *log = open_log();
		struct audit_row row = {.value[AUDIT_tenant] = "t"};
		char job[AUDIT_JOB_ID];
		add_rows(log, 5);
		audit_log_start(log, &row, job, &err);
		audit_log_start(log, &row, job, &err);
		_exit(0); // no close: as if it was killed
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	struct audit_log *log = open_log();
	ck_assert_uint_eq(audit_log_size(log), 7);
	audit_log_close(log);
	ck_assert_int_eq(verify(&v), 0);
	ck_assert_uint_eq(v.rows, 7);
	log = open_log();
	ck_assert_uint_eq(audit_log_size(log), 7);
	audit_log_close(log);
}
END_TEST

START_TEST(half_a_row_is_cut)
{
	struct audit_verified v;
	struct audit_log *log = open_log();
	add_rows(log, 4);
	audit_log_close(log);
	int fd = open(arena_printf(&arena, "%s/rows/00000000", top), O_WRONLY | O_APPEND);
	ck_assert_int_eq(file_write_fd(fd, "half", 4, &err), 0);
	close(fd);
	log = open_log();
	add_rows(log, 1);
	audit_log_close(log);
	ck_assert_msg(verify(&v) == 0, "%s", err.text);
	ck_assert_uint_eq(v.rows, 5);
}
END_TEST

START_TEST(a_job_has_one_row)
{
	struct audit_log *log = open_log();
	struct audit_row row = {.value[AUDIT_outcome] = NULL};
	char job[AUDIT_JOB_ID];
	ck_assert_int_eq(audit_log_start(log, &row, job, &err), 0);
	row.value[AUDIT_outcome] = "run";
	ck_assert_int_eq(audit_log_finish(log, &row, NULL, &err), 0);
	ck_assert_int_eq(audit_log_finish(log, &row, NULL, &err), -1);
	ck_assert_uint_eq(audit_log_size(log), 1);
	audit_log_close(log);
}
END_TEST

// The rows go on; what cannot be written is written later, and nothing is signed before.
START_TEST(hashes_that_cannot_be_written_are_written_later)
{
	struct audit_verified v;
	struct audit_log *log = open_log();
	add_rows(log, 10);
	const char *tiles = arena_printf(&arena, "%s/tile", top), *aside = arena_printf(&arena, "%s/aside", top);
	for (int i = 0; i < 300 && access(tiles, F_OK) < 0; i++)
		usleep(100000); // for a checkpoint
	ck_assert_int_eq(rename(tiles, aside), 0);
	int fd = open(tiles, O_WRONLY | O_CREAT, 0600); // in the place of the directory
	add_rows(log, 1000);
	sleep(2);
	close(fd);
	ck_assert_int_eq(unlink(tiles), 0);
	ck_assert_int_eq(rename(aside, tiles), 0);
	add_rows(log, 5);
	audit_log_close(log);
	ck_assert_msg(verify(&v) == 0, "%s", err.text);
	ck_assert_uint_eq(v.rows, 1015);
	ck_assert_uint_eq(v.unsigned_rows, 0);
	log = open_log();
	add_rows(log, 1);
	audit_log_close(log);
	ck_assert_msg(verify(&v) == 0, "%s", err.text);
}
END_TEST

// Instead of the C library's: as on a disk that has much to write, while disk_is_held.
static atomic_bool disk_is_held, is_syncing;

int syncfs(int fd)
{
	(void)fd;
	is_syncing = true;
	for (int waited = 0; disk_is_held && waited < 20000; waited++)
		usleep(1000);
	is_syncing = false;
	return 0;
}

static void wait_until_syncing(void)
{
	for (int waited = 0; !is_syncing && waited < 20000; waited++)
		usleep(1000);
	ck_assert(is_syncing);
}

START_TEST(rows_do_not_wait_for_the_disk)
{
	struct audit_log_config config = {.directory = top, .origin = "w1", .sync = AUDIT_SYNC_CHECKPOINT};
	struct audit_log *log;
	struct audit_verified v;
	ck_assert_msg(audit_log_open(&config, &log, &err) == 0, "%s", err.text);
	for (unsigned before = 100; before < 1500; before += 500) {
		disk_is_held = true;
		add_rows(log, 100);
		wait_until_syncing();
		add_rows(log, 400); // over the border of a tile
		ck_assert_msg(is_syncing, "rows have waited until the disk was done");
		// What stands on the disk now goes with the checkpoint of before.
		ck_assert_msg(verify(&v) == 0, "%s", err.text);
		disk_is_held = false;
	}
	audit_log_close(log);
	ck_assert_msg(verify(&v) == 0, "%s", err.text);
	ck_assert_uint_eq(v.rows, 1500);
	ck_assert_uint_eq(v.unsigned_rows, 0);
}
END_TEST

START_TEST(a_log_without_its_checkpoint_is_not_gone_on_with)
{
	struct audit_log *log = open_log();
	struct audit_log_config config = {.directory = top, .origin = "w1"};
	add_rows(log, 5);
	audit_log_close(log);
	ck_assert_int_eq(unlink(arena_printf(&arena, "%s/checkpoint", top)), 0);
	ck_assert_int_eq(audit_log_open(&config, &log, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "lost its checkpoint"));
}
END_TEST

START_TEST(two_writers_are_refused)
{
	struct audit_log *log = open_log(), *second = NULL;
	struct audit_log_config config = {.directory = top, .origin = "w1"};
	ck_assert_int_eq(audit_log_open(&config, &second, &err), -1);
	audit_log_close(log);
}
END_TEST

// ---- proofs ---------------------------------------------------------------------------------------------------------

START_TEST(a_proof_stands_alone_and_any_change_breaks_it)
{
	struct audit_log *log = open_log();
	char verifier[NOTE_KEY_MAX];
	struct audit_proven proven;
	AUTO_BUF struct buf proof = BUF_INIT;
	add_rows(log, 333);
	audit_log_close(log);
	AUTO_CLOSE int fd = open(top, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(audit_read_verifier(fd, verifier, &err), 0);
	ck_assert_msg(audit_prove_row(fd, 100, &proof, &err) == 0, "%s", err.text);
	ck_assert_msg(audit_check_proof(proof.data, proof.len, verifier, &proven, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(proven.index, 100);
	ck_assert_ptr_nonnull(memmem(proven.row.data, proven.row.len, "X=100", 5));
	audit_proven_release(&proven);
	for (size_t i = 0; i < proof.len; i++) {
		char was = proof.data[i];
		proof.data[i] = was == 'A' ? 'B' : 'A';
		ck_assert_msg(audit_check_proof(proof.data, proof.len, verifier, &proven, &err) < 0, "byte %zu", i);
		audit_proven_release(&proven);
		proof.data[i] = was;
	}
}
END_TEST

START_TEST(consistency_is_proven_between_checkpoints)
{
	char verifier[NOTE_KEY_MAX];
	struct audit_proven proven;
	AUTO_BUF struct buf old = BUF_INIT;
	AUTO_BUF struct buf proof = BUF_INIT;
	struct audit_log *log = open_log();
	add_rows(log, 77);
	audit_log_close(log);
	AUTO_CLOSE int fd = open(top, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(file_read(fd, "checkpoint", 4096, &old, NULL, &err), 0);
	log = open_log();
	add_rows(log, 300);
	audit_log_close(log);
	ck_assert_int_eq(audit_read_verifier(fd, verifier, &err), 0);
	ck_assert_msg(audit_prove_consistency(fd, &old, &proof, &err) == 0, "%s", err.text);
	ck_assert_msg(audit_check_proof(proof.data, proof.len, verifier, &proven, &err) == 0, "%s", err.text);
	ck_assert(proven.is_consistency);
	ck_assert_uint_eq(proven.old.size, 77);
	ck_assert_uint_eq(proven.checkpoint.size, 377);
	char *hash = proof.data + strlen("coffer consistency 1\n");
	*hash = *hash == 'A' ? 'B' : 'A';
	ck_assert_int_lt(audit_check_proof(proof.data, proof.len, verifier, &proven, &err), 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("audit");
	TCase *t = tcase_create("audit");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_row_has_one_form_and_comes_back);
	tcase_add_test(t, what_is_no_row_is_refused);
	tcase_add_test(t, long_values_are_cut_and_push_out_no_other);
	tcase_add_test(t, flags_keep_their_borders);
	tcase_add_test(t, roots_and_proofs_are_those_of_the_definition);
	tcase_add_test(t, a_writer_goes_on_where_it_was);
	tcase_add_test(t, a_log_verifies_and_goes_on);
	tcase_add_test(t, every_change_behind_its_back_shows);
	tcase_add_test(t, a_row_that_is_appended_by_somebody_else_is_under_no_checkpoint);
	tcase_add_test(t, an_old_checkpoint_must_be_continued);
	tcase_add_test(t, jobs_of_a_life_that_ended_get_their_row_at_the_next_start);
	tcase_add_test(t, half_a_row_is_cut);
	tcase_add_test(t, a_job_has_one_row);
	tcase_add_test(t, hashes_that_cannot_be_written_are_written_later);
	tcase_add_test(t, rows_do_not_wait_for_the_disk);
	tcase_add_test(t, a_log_without_its_checkpoint_is_not_gone_on_with);
	tcase_add_test(t, two_writers_are_refused);
	tcase_add_test(t, a_proof_stands_alone_and_any_change_breaks_it);
	tcase_add_test(t, consistency_is_proven_between_checkpoints);
	suite_add_tcase(s, t);
	return s;
}

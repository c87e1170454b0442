// What a gateway keeps in memory for its tenants, and what it says is there.
#include "unit.h"

#include "gateway/callers.h"
#include "gateway/held.h"
#include "gateway/inflate.h"
#include "gateway/results.h"
#include "reapi/message.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

enum { MEMORY = 64 << 20 };

static char *directory;
static struct blobs *blobs;
static struct tenant_blobs *acme, *other;
static struct err err;

static void setup(void)
{
	directory = unit_directory();
	const struct blobs_config config = {
		.directory = directory, .memory_bytes = MEMORY, .max_blob_bytes = MEMORY / 4, .level = -3};
	blobs = blobs_new(&config);
	ck_assert_int_eq(blobs_of(blobs, "acme", &acme, NULL), 0);
	ck_assert_int_eq(blobs_of(blobs, "other", &other, NULL), 0);
	err_clear(&err);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static void teardown(void)
{
	ck_assert_uint_eq(blobs_memory(blobs), 0); // whoever has come has gone
	blobs_free(blobs);
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(directory);
}

START_TEST(a_tenant_gets_half_of_the_memory)
{
	struct room a = {.blobs = acme}, b = {.blobs = acme}, c = {.blobs = other};
	ck_assert(room_add(&a, MEMORY / 2 + 1, &err) < 0 && err.code == ERR_LIMIT);
	err_clear(&err);
	ck_assert_int_eq(room_add(&a, MEMORY / 2 - 10, NULL), 0);
	ck_assert(room_add(&b, 11, &err) < 0 && err.code == ERR_FULL);
	ck_assert_uint_eq(b.bytes, 0);
	ck_assert_int_eq(room_reach(&b, 10, NULL), 0);
	ck_assert_int_eq(room_reach(&b, 5, NULL), 0);
	ck_assert_uint_eq(b.bytes, 10);
	ck_assert_int_eq(room_add(&c, MEMORY / 2, NULL), 0);
	ck_assert_uint_eq(blobs_memory(blobs), MEMORY);
	room_shrink(&b, 4);
	ck_assert_uint_eq(blobs_memory(blobs), MEMORY - 6);
	room_release(&a);
	room_release(&b);
	room_release(&c);
}
END_TEST

START_TEST(a_digest_has_a_size)
{
	struct reapi_digest d = reapi_digest_of("hello", 5), wrong = d;
	AUTO_BUF struct buf out = BUF_INIT;
	wrong.size = 6;
	ck_assert_int_eq(blobs_put(acme, &d, "hello", 5, NULL), 0);
	ck_assert(blobs_has(acme, &d) && !blobs_has(acme, &wrong));
	ck_assert_int_eq(blobs_get(acme, &wrong, &out, NULL), 0);
	ck_assert_int_eq(blobs_get(acme, &d, &out, NULL), 1);
	wrong.size = 0;
	ck_assert(!blobs_has(acme, &wrong));
	ck_assert(blobs_put(acme, &wrong, "hello", 5, NULL) < 0);
}
END_TEST

// Of the smallest parts, where a message grows most.
START_TEST(a_message_takes_no_more_memory_than_was_measured)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct held held;
	for (int i = 0; i < 100000; i++)
		buf_add(&b, "\x12\x00", 2);
	ck_assert_int_eq(held_unpack(&held, acme, &reapi__find_missing_blobs_request__descriptor, b.data, b.len, NULL), 0);
	uint64_t least = b.len + 100000 * (sizeof(Reapi__Digest) + sizeof(void *));
	ck_assert_uint_ge(held.room.bytes, least);
	ck_assert_uint_lt(held.room.bytes, 2 * least);
	ck_assert_uint_eq(blobs_memory(blobs), held.room.bytes);
	// While most is taken, there is no room for another one.
	struct room most = {.blobs = acme};
	struct held second;
	ck_assert_int_eq(room_add(&most, MEMORY / 2 - held.room.bytes - 1000, NULL), 0);
	ck_assert(held_unpack(&second, acme, &reapi__find_missing_blobs_request__descriptor, b.data, b.len, &err) < 0);
	ck_assert_int_eq(err.code, ERR_FULL);
	held_release(&second);
	held_release(&held);
	room_release(&most);
}
END_TEST

// `window`: log2 of zstd's; the size of the content is not in the frame.
static size_t squeeze(const char *p, size_t n, int window, char *to, size_t room)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window);
	ZSTD_inBuffer in = {p, n, 0};
	ZSTD_outBuffer out = {to, room, 0};
	ck_assert(!ZSTD_isError(ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue)));
	ck_assert_uint_eq(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	return out.pos;
}

START_TEST(windows_of_zstd_and_what_comes_out_are_in_the_account)
{
	enum { N = 4 << 20 };
	AUTO_FREE char *plain = mem_alloc(N), *packed = mem_alloc(N);
	static const struct {
		int window;
		bool is_taken;
	} cases[] = {{20, true}, {23, true}, {25, false}};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		AUTO_BUF struct buf out = BUF_INIT;
		struct room room = {.blobs = acme};
		struct inflate z;
		size_t n = squeeze(plain, N, cases[i].window, packed, N);
		inflate_begin(&z, &room);
		int rc = inflate_take(&z, packed, n, &out, N, &err);
		ck_assert_int_eq(rc, cases[i].is_taken ? 0 : -1);
		if (cases[i].is_taken)
			ck_assert_uint_ge(room.bytes, (uint64_t)N + ((uint64_t)1 << cases[i].window));
		else
			ck_assert_int_eq(err.code, ERR_LIMIT); // half of the memory is no more than such a window
		inflate_release(&z);
		room_release(&room);
	}
}
END_TEST

// ---- results --------------------------------------------------------------------------------------------------------------

// A result of `n` directories whose tree is that one.
static int find_with_trees(struct reapi_digest tree, size_t n, enum results_answer *answer)
{
	struct reapi_digest action = reapi_digest_of("action", 6);
	struct reapi_digest_message m;
	Reapi__ActionResult r = REAPI__ACTION_RESULT__INIT;
	Reapi__OutputDirectory one = REAPI__OUTPUT_DIRECTORY__INIT;
	AUTO_FREE Reapi__OutputDirectory **all = mem_alloc(n * sizeof *all);
	struct held held;
	reapi_digest_write(&tree, &m);
	one.path = (char *)(uintptr_t) "d";
	one.tree_digest = &m.m;
	for (size_t i = 0; i < n; i++)
		all[i] = &one;
	r.output_directories = all;
	r.n_output_directories = n;
	err_clear(&err);
	int rc = results_check(&r, &err);
	ck_assert_int_eq(results_store(acme, &action, &r, NULL), 0);
	*answer = results_find(acme, &action, &held, &(struct err)ERR_INIT);
	if (*answer == RESULTS_FOUND)
		held_release(&held);
	return rc;
}

START_TEST(trees_of_a_result_have_a_bound)
{
	AUTO_BUF struct buf small = BUF_INIT;
	enum results_answer answer;
	for (int i = 0; i < 100000; i++)
		buf_add(&small, "\x12\x00", 2); // children without anything in them
	struct reapi_digest d = reapi_digest_of(small.data, small.len);
	ck_assert_int_eq(blobs_put(acme, &d, small.data, small.len, NULL), 0);
	ck_assert_int_eq(find_with_trees(d, 3, &answer), 0);
	ck_assert_int_eq(answer, RESULTS_FOUND);
	ck_assert_int_eq(find_with_trees(d, RESULTS_TREE_BYTES / small.len + 1, &answer), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_int_eq(answer, RESULTS_INCOMPLETE);
	// Another one comes while there is no memory: that is no answer.
	struct room most = {.blobs = acme};
	ck_assert_int_eq(room_add(&most, MEMORY / 2 - 300000, NULL), 0);
	ck_assert_int_eq(find_with_trees(d, 1, &answer), 0);
	ck_assert_int_eq(answer, RESULTS_FAILED);
	room_release(&most);
}
END_TEST

// ---- callers ----------------------------------------------------------------------------------------------------------------

START_TEST(a_result_writer_says_of_which_kind_it_is)
{
	static const char *const good[][2] = {
		{"*", NULL}, {"URI:coffer://tenant/ci", NULL}, {"claim:ci", NULL}, {"CN:ci", NULL}};
	static const char *const bad[][2] = {{"ci", NULL}, {"claim:", NULL}, {"uri:x", NULL}, {"", NULL}};
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		const struct callers_config config = {.is_open = true, .result_writers = good[i]};
		struct callers *c;
		ck_assert_int_eq(callers_new(&config, &c, NULL), 0);
		callers_free(c);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		const struct callers_config config = {.is_open = true, .result_writers = bad[i]};
		struct callers *c;
		err_clear(&err);
		ck_assert_int_eq(callers_new(&config, &c, &err), -1);
		ck_assert_int_eq(err.code, ERR_USAGE);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("gateway");
	TCase *tc = tcase_create("gateway");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_tenant_gets_half_of_the_memory);
	tcase_add_test(tc, a_digest_has_a_size);
	tcase_add_test(tc, a_message_takes_no_more_memory_than_was_measured);
	tcase_add_test(tc, windows_of_zstd_and_what_comes_out_are_in_the_account);
	tcase_add_test(tc, trees_of_a_result_have_a_bound);
	tcase_add_test(tc, a_result_writer_says_of_which_kind_it_is);
	suite_add_tcase(s, tc);
	return s;
}

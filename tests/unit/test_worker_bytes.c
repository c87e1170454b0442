// What comes into a worker and what it keeps: sources in pieces, outputs on their way out, results on disk.
#include "worker/output_frame.h"
#include "worker/results.h"
#include "worker/upload.h"

#include "base/mem.h"
#include "base/tree.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { MAX = 1 << 20 };

static struct err err;
static struct upload upload;
static char packed[1 << 20];

static size_t pack(const void *p, size_t n)
{
	size_t len = ZSTD_compress(packed, sizeof packed, p, n, 3);
	ck_assert(!ZSTD_isError(len));
	return len;
}

static int take_all(const char *bytes, size_t n, size_t piece)
{
	err_clear(&err);
	for (size_t at = 0; at < n; at += piece)
		if (upload_take(&upload, bytes + at, n - at < piece ? n - at : piece, &err) < 0)
			return -1;
	return upload_end(&upload, &err);
}

// As a text, whole.
static int take_text(const char *text)
{
	return take_all(packed, pack(text, strlen(text)), sizeof packed);
}

static void begin(void)
{
	upload_init(&upload, MAX);
	err_clear(&err);
}

static void end(void)
{
	upload_release(&upload);
}

// ---- sources --------------------------------------------------------------------------------------------------------

START_TEST(a_source_in_any_pieces_is_the_same)
{
	AUTO_FREE char *text = mem_alloc(300000);
	uint8_t sha256[32];
	for (size_t i = 0; i < 300000; i++)
		text[i] = (char)('a' + i * i % 23 + i / 1000 % 3);
	size_t n = pack(text, 300000);
	SHA256((uint8_t *)text, 300000, sha256);
	static const size_t pieces[] = {1, 7, 1000, 65536, sizeof packed};
	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		upload_release(&upload);
		upload_init(&upload, MAX);
		ck_assert_msg(take_all(packed, n, pieces[i]) == 0, "%s", err.text);
		ck_assert_uint_eq(upload.size, 300000);
		ck_assert_mem_eq(upload.digest, sha256, 32);
	}
	// And it is kept as it came.
	ck_assert_uint_eq(upload.packed.len, n);
	ck_assert_mem_eq(upload.packed.data, packed, n);
}
END_TEST

START_TEST(an_empty_source_is_a_source)
{
	ck_assert_msg(take_text("") == 0, "%s", err.text);
	ck_assert_uint_eq(upload.size, 0);
}
END_TEST

START_TEST(what_is_no_whole_frame_is_refused)
{
	size_t n = pack("int x;\n", 7);
	ck_assert_int_eq(take_all(packed, n - 1, 100), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	end();
	begin();
	ck_assert_int_eq(take_all("int x;\n", 7, 100), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	end();
	begin();
	ck_assert_int_eq(take_all("", 0, 1), -1);
	ck_assert_str_eq(err.text, "there is no source");
	end();
	begin();
	memcpy(packed + n, "x", 1);
	ck_assert_int_eq(take_all(packed, n + 1, 100), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	end();
	begin();
	memcpy(packed + n, packed, n); // a second frame
	ck_assert_int_eq(take_all(packed, 2 * n, 3), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	end();
	begin();
	packed[n / 2] ^= 0x40;
	ck_assert_int_eq(take_all(packed, n, 100), -1);
}
END_TEST

START_TEST(a_source_that_is_too_large_is_refused)
{
	AUTO_FREE char *text = mem_alloc(MAX + 1);
	for (size_t i = 0; i <= MAX; i++)
		text[i] = (char)(i * i >> 8);
	ck_assert_msg(take_all(packed, pack(text, MAX), 4096) == 0, "%s", err.text);
	end();
	begin();
	ck_assert_int_eq(take_all(packed, pack(text, MAX + 1), 4096), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(a_bomb_is_refused_while_it_is_small)
{
	const size_t much = (size_t)64 << 20;
	AUTO_FREE char *zeros = mem_alloc(much);
	size_t n = pack(zeros, much);
	ck_assert_uint_lt(n, 16384);
	end();
	upload_init(&upload, (uint64_t)1 << 30);
	ck_assert_int_eq(take_all(packed, n, n), -1);
	ck_assert_int_eq(err.code, ERR_USAGE);
	ck_assert_uint_lt(upload.size, much);
}
END_TEST

START_TEST(a_large_window_is_refused)
{
	AUTO_FREE char *text = mem_alloc(1000);
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27);
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
	ZSTD_inBuffer in = {text, 1000, 0};
	ZSTD_outBuffer out = {packed, sizeof packed, 0};
	ZSTD_compressStream2(c, &out, &in, ZSTD_e_flush);
	in.pos = 0;
	ck_assert_uint_eq(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	ck_assert_int_eq(take_all(packed, out.pos, out.pos), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
}
END_TEST

START_TEST(what_the_assembler_would_read_is_refused)
{
	static const char *const bad[] = {
		"asm(\".incbin \\\"/etc/shadow\\\"\");\n",
		"\t.incbin \"/etc/passwd\"\n",
		"\t.include \"x\"\n",
		"asm(\".include\t\\\"x\\\"\");",
	};
	static const char *const good[] = {"int include;\n", "a.include(b);\n", "x.includes (y)",
					   ".inc",           "f(\"x.inc\");",   "# 1 \"/usr/include/x.h\"\n"};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		ck_assert_int_eq(take_text(bad[i]), -1);
		ck_assert_int_eq(err.code, ERR_USAGE);
		end();
		begin();
	}
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		ck_assert_msg(take_text(good[i]) == 0, "%s", good[i]);
		end();
		begin();
	}
	// Wherever it is cut.
	for (size_t before = 32760; before < 32775; before++) {
		AUTO_FREE char *text = mem_alloc(40000);
		memset(text, ' ', before);
		strcpy(text + before, ".incbin \"x\"");
		ck_assert_msg(take_text(text) < 0, "not found after %zu bytes", before);
		end();
		begin();
	}
}
END_TEST

// ---- outputs --------------------------------------------------------------------------------------------------------

START_TEST(outputs_are_one_frame_with_a_digest_each)
{
	struct output_frame p;
	char text[64];
	uint8_t sha256[32];
	output_frame_init(&p, MAX);
	ck_assert_int_eq(output_frame_begin(&p, 0, &err), 0);
	ck_assert_int_eq(output_frame_add(&p, "obj", 3, &err), 0);
	ck_assert_int_eq(output_frame_add(&p, "ect", 3, &err), 0);
	ck_assert_int_eq(output_frame_begin(&p, 1, &err), 0);
	ck_assert_int_eq(output_frame_begin(&p, 2, &err), 0);
	ck_assert_int_eq(output_frame_add(&p, "usage", 5, &err), 0);
	ck_assert_int_eq(output_frame_end(&p, &err), 0);
	ck_assert_uint_eq(p.n, 3);
	ck_assert_uint_eq(p.outputs[0].size, 6);
	ck_assert_uint_eq(p.outputs[1].size, 0);
	SHA256((const uint8_t *)"object", 6, sha256);
	ck_assert_mem_eq(p.outputs[0].sha256, sha256, 32);
	SHA256((const uint8_t *)"", 0, sha256);
	ck_assert_mem_eq(p.outputs[1].sha256, sha256, 32);
	SHA256((const uint8_t *)"usage", 5, sha256);
	ck_assert_mem_eq(p.outputs[2].sha256, sha256, 32);
	ck_assert_uint_eq(ZSTD_decompress(text, sizeof text, p.frame.data, p.frame.len), 11);
	ck_assert_mem_eq(text, "objectusage", 11);
	output_frame_release(&p);
}
END_TEST

START_TEST(no_outputs_are_no_bytes)
{
	struct output_frame p;
	output_frame_init(&p, MAX);
	ck_assert_int_eq(output_frame_end(&p, &err), 0);
	ck_assert_uint_eq(p.frame.len, 0);
	output_frame_release(&p);
}
END_TEST

START_TEST(too_many_bytes_of_output_are_refused)
{
	struct output_frame p;
	output_frame_init(&p, 10);
	ck_assert_int_eq(output_frame_begin(&p, 0, &err), 0);
	ck_assert_int_eq(output_frame_add(&p, "12345678", 8, &err), 0);
	ck_assert_int_eq(output_frame_add(&p, "123", 3, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	output_frame_release(&p);
	output_frame_init(&p, 10);
	for (int i = 0; i < HEADER_MAX_OUTPUTS; i++)
		ck_assert_int_eq(output_frame_begin(&p, i, &err), 0);
	ck_assert_int_eq(output_frame_begin(&p, 0, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	output_frame_release(&p);
}
END_TEST

// ---- results --------------------------------------------------------------------------------------------------------

static char *directory;
static struct results *results;

static void open_results(void)
{
	directory = unit_directory();
	results = results_new(directory, (uint64_t)64 << 20);
	err_clear(&err);
}

static void close_results(void)
{
	results_free(results);
	tree_remove(AT_FDCWD, directory);
	free(directory);
}

static struct result make_result(const char *object)
{
	static char frame[8][256];
	static unsigned next;
	struct result x = {.out = "o", .n_out = 1, .errs = "warning", .n_err = 7, .n_outputs = 1};
	char *to = frame[next++ % 8];
	memset(x.source, 5, sizeof x.source);
	x.outputs[0].size = strlen(object);
	SHA256((const uint8_t *)object, strlen(object), x.outputs[0].sha256);
	x.n_frame = ZSTD_compress(to, 256, object, strlen(object), 1);
	x.frame = to;
	return x;
}

static int get(const char *tenant, const struct key *key, struct result *x)
{
	static struct buf blob;
	return results_get(results, tenant, key, ISOLATION_NONE, &blob, x, &err);
}

START_TEST(what_is_put_is_got_by_its_tenant_alone)
{
	struct key key = {{1, 2, 3}}, other = key;
	struct result x = make_result("object"), y;
	enum result_put what;
	ck_assert_msg(results_put(results, "acme", &key, &x, &what, &err) == 0, "%s", err.text);
	ck_assert_int_eq(what, RESULT_STORED);
	ck_assert_int_eq(get("acme", &key, &y), 1);
	ck_assert_uint_eq(y.n_err, 7);
	ck_assert_mem_eq(y.errs, "warning", 7);
	ck_assert_mem_eq(y.outputs[0].sha256, x.outputs[0].sha256, 32);
	ck_assert_uint_eq(y.n_frame, x.n_frame);
	ck_assert_mem_eq(y.frame, x.frame, x.n_frame);
	ck_assert_mem_eq(y.source, x.source, 32);
	ck_assert_int_eq(get("other", &key, &y), 0);
	ck_assert_int_eq(get("..", &key, &y), 0);
	// The same first half: the store takes it for the same blob, the whole key tells them apart.
	other.b[31] = 1;
	ck_assert_int_eq(get("acme", &other, &y), 0);
}
END_TEST

START_TEST(what_is_there_stays_and_a_different_one_is_kept_beside_it)
{
	struct key key = {{9}}, aside = key_aside(&key);
	struct result x = make_result("object"), other = make_result("OBJECT"), y;
	enum result_put what;
	ck_assert_int_eq(results_put(results, "acme", &key, &x, &what, &err), 0);
	ck_assert_int_eq(results_put(results, "acme", &key, &x, &what, &err), 0);
	ck_assert_int_eq(what, RESULT_SAME);
	ck_assert_int_eq(results_put(results, "acme", &key, &other, &what, &err), 0);
	ck_assert_int_eq(what, RESULT_DIFFERS);
	ck_assert_int_eq(get("acme", &key, &y), 1);
	ck_assert_mem_eq(y.outputs[0].sha256, x.outputs[0].sha256, 32);
	ck_assert_int_eq(get("acme", &aside, &y), 1);
	ck_assert_mem_eq(y.outputs[0].sha256, other.outputs[0].sha256, 32);
	// Other words are another result as well.
	other = x;
	other.n_err = 6;
	ck_assert_int_eq(results_put(results, "acme", &key, &other, &what, &err), 0);
	ck_assert_int_eq(what, RESULT_DIFFERS);
}
END_TEST

// Its list of what it has read has the name of a temporary file in it.
START_TEST(what_the_assembler_says_of_itself_is_no_difference)
{
	struct key key = {{10}};
	struct result x = make_result("object"), other = x;
	enum result_put what;
	x.n_outputs = other.n_outputs = 2;
	x.outputs[1] = (struct packed_output){.kind = COFFER__V1__OUTPUT__KIND__ASSEMBLER_DEPFILE, .size = 3};
	other.outputs[1] =
		(struct packed_output){.kind = COFFER__V1__OUTPUT__KIND__ASSEMBLER_DEPFILE, .size = 4, .sha256 = {7}};
	ck_assert_int_eq(results_put(results, "acme", &key, &x, &what, &err), 0);
	ck_assert_int_eq(results_put(results, "acme", &key, &other, &what, &err), 0);
	ck_assert_int_eq(what, RESULT_SAME);
	other.outputs[1].kind = COFFER__V1__OUTPUT__KIND__DEPFILE;
	ck_assert_int_eq(results_put(results, "acme", &key, &other, &what, &err), 0);
	ck_assert_int_eq(what, RESULT_DIFFERS);
}
END_TEST

START_TEST(a_directory_that_cannot_be_written_is_an_error_and_no_result)
{
	struct key key = {{9}};
	struct result x = make_result("object"), y;
	enum result_put what;
	struct results *nowhere = results_new("/proc/nowhere", 1 << 20);
	static struct buf blob;
	ck_assert_int_eq(results_put(nowhere, "acme", &key, &x, &what, &err), -1);
	ck_assert_int_eq(results_get(nowhere, "acme", &key, ISOLATION_NONE, &blob, &y, &err), -1);
	results_free(nowhere);
}
END_TEST

// A result counts for no more than the boundary that it was made behind.
START_TEST(a_weaker_boundary_made_nothing_for_a_stronger_one)
{
	struct key key = {{7}};
	struct result x = make_result("object"), other = make_result("OBJECT"), y;
	enum result_put what;
	AUTO_BUF struct buf bytes = BUF_INIT;
	x.isolation = ISOLATION_PROCESS;
	ck_assert_int_eq(results_put(results, "acme", &key, &x, &what, &err), 0);
	ck_assert_int_eq(results_get(results, "acme", &key, ISOLATION_PROCESS, &bytes, &y, &err), 1);
	ck_assert_int_eq((int)y.isolation, ISOLATION_PROCESS);
	ck_assert_int_eq(results_get(results, "acme", &key, ISOLATION_SANDBOX, &bytes, &y, &err), 0);
	// The same from behind a stronger one takes its place.
	x.isolation = ISOLATION_SANDBOX;
	ck_assert_int_eq(results_put(results, "acme", &key, &x, &what, &err), 0);
	ck_assert_int_eq(what, RESULT_SAME);
	ck_assert_int_eq(results_get(results, "acme", &key, ISOLATION_SANDBOX, &bytes, &y, &err), 1);
	// Another one from behind a weaker one does not, and a stronger one does and is told apart.
	other.isolation = ISOLATION_PROCESS;
	ck_assert_int_eq(results_put(results, "acme", &key, &other, &what, &err), 0);
	ck_assert_int_eq(what, RESULT_DIFFERS);
	ck_assert_int_eq(results_get(results, "acme", &key, ISOLATION_SANDBOX, &bytes, &y, &err), 1);
	ck_assert_mem_eq(y.outputs[0].sha256, x.outputs[0].sha256, 32);
	other.isolation = ISOLATION_MICROVM;
	ck_assert_int_eq(results_put(results, "acme", &key, &other, &what, &err), 0);
	ck_assert_int_eq(what, RESULT_DIFFERS);
	ck_assert_int_eq(results_get(results, "acme", &key, ISOLATION_MICROVM, &bytes, &y, &err), 1);
	ck_assert_mem_eq(y.outputs[0].sha256, other.outputs[0].sha256, 32);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("worker bytes");
	TCase *t = tcase_create("uploads"), *r = tcase_create("results");
	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, a_source_in_any_pieces_is_the_same);
	tcase_add_test(t, an_empty_source_is_a_source);
	tcase_add_test(t, what_is_no_whole_frame_is_refused);
	tcase_add_test(t, a_source_that_is_too_large_is_refused);
	tcase_add_test(t, a_bomb_is_refused_while_it_is_small);
	tcase_add_test(t, a_large_window_is_refused);
	tcase_add_test(t, what_the_assembler_would_read_is_refused);
	tcase_add_checked_fixture(r, open_results, close_results);
	tcase_add_test(r, outputs_are_one_frame_with_a_digest_each);
	tcase_add_test(r, no_outputs_are_no_bytes);
	tcase_add_test(r, too_many_bytes_of_output_are_refused);
	tcase_add_test(r, what_is_put_is_got_by_its_tenant_alone);
	tcase_add_test(r, what_is_there_stays_and_a_different_one_is_kept_beside_it);
	tcase_add_test(r, what_the_assembler_says_of_itself_is_no_difference);
	tcase_add_test(r, a_directory_that_cannot_be_written_is_an_error_and_no_result);
	tcase_add_test(r, a_weaker_boundary_made_nothing_for_a_stronger_one);
	suite_add_tcase(s, t);
	suite_add_tcase(s, r);
	return s;
}

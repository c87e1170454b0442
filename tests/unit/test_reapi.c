// Names and messages of the Remote Execution API.
#include "unit.h"

#include "reapi/digest.h"
#include "reapi/message.h"
#include "reapi/resource.h"

#include <string.h>

#define HASH "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

START_TEST(names_of_blobs_are_taken_apart)
{
	static const struct {
		const char *name;
		bool is_upload;
		const char *instance, *uuid;
		bool is_zstd;
	} cases[] = {
		{"blobs/" HASH "/5", false, "", "", false},
		{"a/b/blobs/" HASH "/5", false, "a/b", "", false},
		{"a/compressed-blobs/zstd/" HASH "/5", false, "a", "", true},
		{"uploads/u/blobs/" HASH "/5", true, "", "u", false},
		{"uploads/u/blobs/" HASH "/5/meta/data", true, "", "u", false},
		{"a/uploads/u-1/compressed-blobs/zstd/" HASH "/5", true, "a", "u-1", true},
		{"blobs/sha256/" HASH "/5", false, "", "", false},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct reapi_resource r;
		ck_assert_int_eq(reapi_resource_parse(cases[i].name, cases[i].is_upload, &r, NULL), 0);
		ck_assert_str_eq(r.instance, cases[i].instance);
		ck_assert_str_eq(r.uuid, cases[i].uuid);
		ck_assert_int_eq(r.is_zstd, cases[i].is_zstd);
		struct reapi_digest hello = reapi_digest_of("hello", 5);
		ck_assert(reapi_digest_equal(&r.digest, &hello));
	}
}
END_TEST

START_TEST(other_names_are_refused)
{
	static const char *const bad[] = {"",
					  "/",
					  "blobs",
					  HASH "/5",
					  "blobs/" HASH,
					  "blobs/" HASH "/",
					  "blobs/" HASH "/-5",
					  "blobs/" HASH "/+5",
					  "blobs/" HASH "/05",
					  "blobs/" HASH "/9999999999999999999",
					  "blobs/" HASH "/5/x",
					  "blobs//" HASH "/5",
					  "blobs/md5/" HASH "/5",
					  "compressed-blobs/" HASH "/5",
					  "compressed-blobs/deflate/" HASH "/5",
					  "uploads/u/blobs/" HASH "/5"};
	struct reapi_resource r;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(reapi_resource_parse(bad[i], false, &r, NULL) < 0, "'%s'", bad[i]);
	ck_assert(reapi_resource_parse("blobs/" HASH "/5", true, &r, NULL) < 0);
	ck_assert(reapi_resource_parse("uploads//blobs/" HASH "/5", true, &r, NULL) < 0);
}
END_TEST

static int read_digest(const char *hash, int64_t size)
{
	Reapi__Digest m = REAPI__DIGEST__INIT;
	struct reapi_digest d;
	m.hash = (char *)(uintptr_t)hash;
	m.size_bytes = size;
	return reapi_digest_read(&m, &d, NULL);
}

START_TEST(a_digest_is_lower_hex_and_a_size)
{
	ck_assert_int_eq(read_digest(HASH, 5), 0);
	ck_assert(read_digest(HASH, -1) < 0);
	ck_assert(read_digest("2CF24" HASH, 5) < 0);
	ck_assert(read_digest("", 0) < 0);
	ck_assert(reapi_digest_read(NULL, &(struct reapi_digest){.size = 0}, NULL) < 0);
	struct reapi_digest empty = reapi_digest_of("", 0);
	ck_assert(reapi_digest_is_empty(&empty));
	ck_assert_int_eq(reapi_check_function(0, NULL), 0);
	ck_assert_int_eq(reapi_check_function(REAPI_SHA256, NULL), 0);
	ck_assert(reapi_check_function(9, NULL) < 0);
}
END_TEST

static int canonical(const char *bytes, size_t n)
{
	Reapi__FileNode *m = NULL;
	int rc = reapi_unpack_canonical(&reapi__file_node__descriptor, bytes, n, &m, NULL);
	if (m)
		reapi__file_node__free_unpacked(m, NULL);
	return rc;
}

// A FileNode has its name in field 1 and is_executable in 4.
START_TEST(a_named_message_can_be_written_in_one_way_only)
{
	ck_assert_int_eq(canonical("\x0a\x01"
				   "a\x20\x01",
				   5),
			 0);
	ck_assert(canonical("\x20\x01\x0a\x01"
			    "a",
			    5) < 0); // order
	ck_assert(canonical("\x0a\x01"
			    "a\x0a\x01"
			    "b",
			    6) < 0); // twice
	ck_assert(canonical("\x0a\x03"
			    "a\0b",
			    5) < 0); // NUL
	ck_assert(canonical("\x0a\x01"
			    "a\x20\x81\x00",
			    6) < 0); // a long way to write 1
	ck_assert(canonical("\x0a\x05"
			    "a",
			    3) < 0);
}
END_TEST

START_TEST(a_message_of_too_many_parts_is_refused)
{
	AUTO_BUF struct buf b = BUF_INIT;
	Reapi__FindMissingBlobsRequest *m;
	struct err err = ERR_INIT;
	for (size_t i = 0; i < REAPI_MAX_PARTS; i++)
		buf_add(&b, "\x12\x00", 2);
	ck_assert_int_eq(reapi_unpack(&reapi__find_missing_blobs_request__descriptor, b.data, b.len, &m, &err), 0);
	ck_assert_uint_eq(m->n_blob_digests, REAPI_MAX_PARTS);
	reapi__find_missing_blobs_request__free_unpacked(m, NULL);
	buf_add(&b, "\x12\x00", 2);
	ck_assert_int_eq(reapi_unpack(&reapi__find_missing_blobs_request__descriptor, b.data, b.len, &m, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("reapi");
	TCase *tc = tcase_create("reapi");
	tcase_add_test(tc, names_of_blobs_are_taken_apart);
	tcase_add_test(tc, other_names_are_refused);
	tcase_add_test(tc, a_digest_is_lower_hex_and_a_size);
	tcase_add_test(tc, a_named_message_can_be_written_in_one_way_only);
	tcase_add_test(tc, a_message_of_too_many_parts_is_refused);
	suite_add_tcase(s, tc);
	return s;
}

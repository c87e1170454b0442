// What a server of the Remote Execution API answers us, and what is made of it.
#include "unit.h"

#include "client/farm/cluster.h"
#include "reapi/client/run.h"
#include "reapi/message.h"

#include <stdlib.h>
#include <string.h>

static struct err err;
static struct buf bytes;

static void clear(void)
{
	err_clear(&err);
	buf_release(&bytes);
	bytes = (struct buf)BUF_INIT;
}

static void pack(const ProtobufCMessage *m)
{
	buf_clear(&bytes);
	reapi_pack(m, &bytes);
}

static const char *packed(void)
{
	return bytes.data ? bytes.data : "";
}

static int32_t sha256_only[] = {REAPI_SHA256}, md5_only[] = {3}, zstd_too[] = {0, 1};

START_TEST(a_server_says_what_it_takes)
{
	Reapi__ServerCapabilities m = REAPI__SERVER_CAPABILITIES__INIT;
	Reapi__CacheCapabilities cache = REAPI__CACHE_CAPABILITIES__INIT;
	Reapi__ExecutionCapabilities run = REAPI__EXECUTION_CAPABILITIES__INIT;
	Reapi__SemVer version = REAPI__SEM_VER__INIT;
	struct reapi_limits limits;
	cache.digest_functions = sha256_only;
	cache.n_digest_functions = 1;
	m.cache_capabilities = &cache;
	pack(&m.base);
	ck_assert_int_eq(answer_capabilities(packed(), bytes.len, &limits, &err), 0);
	ck_assert_uint_eq(limits.batch_bytes, REAPI_BATCH_MOST);
	ck_assert(limits.blob_bytes == INT64_MAX && !limits.takes_zstd && !limits.may_update && !limits.executes);
	cache.max_batch_total_size_bytes = INT64_MAX;
	cache.max_cas_blob_size_bytes = 7;
	cache.supported_compressors = zstd_too;
	cache.n_supported_compressors = 2;
	run.exec_enabled = true;
	run.digest_function = REAPI_SHA256;
	m.execution_capabilities = &run;
	version.major = 2;
	m.low_api_version = m.high_api_version = &version;
	pack(&m.base);
	ck_assert_int_eq(answer_capabilities(packed(), bytes.len, &limits, &err), 0);
	ck_assert_uint_eq(limits.batch_bytes, REAPI_BATCH_MOST);
	ck_assert(limits.blob_bytes == 7 && limits.takes_zstd && limits.executes);
	version.major = 3;
	pack(&m.base);
	ck_assert_int_eq(answer_capabilities(packed(), bytes.len, &limits, &err), -1);
	version.major = 2;
	cache.digest_functions = md5_only;
	pack(&m.base);
	ck_assert_int_eq(answer_capabilities(packed(), bytes.len, &limits, &err), -1);
	ck_assert_int_eq(err.code, ERR_PEER);
	clear();
}
END_TEST

START_TEST(what_is_missing_was_asked_for)
{
	struct reapi_digest asked[] = {reapi_digest_of("a", 1), reapi_digest_of("b", 1), reapi_digest_of("a", 1)};
	struct reapi_digest other = reapi_digest_of("a", 1);
	struct reapi_digest_message d;
	Reapi__Digest *list[] = {&d.m};
	Reapi__FindMissingBlobsResponse m = REAPI__FIND_MISSING_BLOBS_RESPONSE__INIT;
	bool missing[3];
	m.missing_blob_digests = list;
	m.n_missing_blob_digests = 1;
	reapi_digest_write(&asked[0], &d);
	pack(&m.base);
	ck_assert_int_eq(answer_missing(packed(), bytes.len, asked, 3, missing, &err), 0);
	ck_assert(missing[0] && !missing[1] && missing[2]);
	other.size = 2; // the same bytes of another length are another name
	reapi_digest_write(&other, &d);
	pack(&m.base);
	ck_assert_int_eq(answer_missing(packed(), bytes.len, asked, 3, missing, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	clear();
}
END_TEST

START_TEST(what_is_sent_is_taken_or_it_is_an_error)
{
	struct reapi_digest sent[] = {reapi_digest_of("a", 1), reapi_digest_of("b", 1)};
	struct reapi_digest_message d[2];
	Reapi__Status status = REAPI__STATUS__INIT;
	Reapi__BatchUpdated one = REAPI__BATCH_UPDATED__INIT, two = REAPI__BATCH_UPDATED__INIT, *list[] = {&one, &two};
	Reapi__BatchUpdateBlobsResponse m = REAPI__BATCH_UPDATE_BLOBS_RESPONSE__INIT;
	reapi_digest_write(&sent[0], &d[0]);
	reapi_digest_write(&sent[1], &d[1]);
	one.digest = &d[0].m;
	two.digest = &d[1].m;
	m.responses = list;
	m.n_responses = 2;
	pack(&m.base);
	ck_assert_int_eq(answer_updated(packed(), bytes.len, sent, 2, &err), 0);
	m.n_responses = 1;
	pack(&m.base);
	ck_assert_int_eq(answer_updated(packed(), bytes.len, sent, 2, &err), -1);
	m.n_responses = 2;
	status.code = 8;
	two.status = &status;
	pack(&m.base);
	ck_assert_int_eq(answer_updated(packed(), bytes.len, sent, 2, &err), -1);
	ck_assert_int_eq(err.code, ERR_PEER);
	clear();
}
END_TEST

START_TEST(blobs_are_what_their_names_say)
{
	struct reapi_wanted w[] = {{.digest = reapi_digest_of("hello", 5)}, {.digest = reapi_digest_of("gone", 4)}};
	struct reapi_digest_message d[2];
	Reapi__Status gone = REAPI__STATUS__INIT;
	Reapi__BatchRead one = REAPI__BATCH_READ__INIT, two = REAPI__BATCH_READ__INIT, *list[] = {&one, &two};
	Reapi__BatchReadBlobsResponse m = REAPI__BATCH_READ_BLOBS_RESPONSE__INIT;
	gone.code = 5;
	reapi_digest_write(&w[0].digest, &d[0]);
	reapi_digest_write(&w[1].digest, &d[1]);
	one.digest = &d[0].m;
	one.data = (ProtobufCBinaryData){5, (uint8_t *)(uintptr_t) "hello"};
	two.digest = &d[1].m;
	two.status = &gone;
	m.responses = list;
	m.n_responses = 2;
	pack(&m.base);
	ck_assert_int_eq(answer_blobs(packed(), bytes.len, w, 2, &err), 0);
	ck_assert(w[0].is_there && !w[1].is_there);
	ck_assert_str_eq(w[0].out.data, "hello");
	// Twice the same; others; another packing; nobody's.
	ck_assert_int_eq(answer_blobs(packed(), bytes.len, w, 2, &err), -1);
	w[0].is_there = false;
	buf_clear(&w[0].out);
	one.data.data = (uint8_t *)(uintptr_t) "hellO";
	pack(&m.base);
	ck_assert_int_eq(answer_blobs(packed(), bytes.len, w, 2, &err), -1);
	ck_assert_uint_eq(w[0].out.len, 0);
	one.data.data = (uint8_t *)(uintptr_t) "hello";
	one.compressor = 1;
	pack(&m.base);
	ck_assert_int_eq(answer_blobs(packed(), bytes.len, w, 2, &err), -1);
	one.compressor = 0;
	pack(&m.base);
	ck_assert_int_eq(answer_blobs(packed(), bytes.len, w + 1, 1, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	buf_release(&w[0].out);
	clear();
}
END_TEST

START_TEST(a_result_has_one_file_and_all_of_it)
{
	struct reapi_digest hello = reapi_digest_of("hello", 5), found;
	struct reapi_digest_message d;
	Reapi__OutputFile f = REAPI__OUTPUT_FILE__INIT, *files[] = {&f, &f};
	Reapi__ActionResult m = REAPI__ACTION_RESULT__INIT;
	AUTO_BUF struct buf out = {.max = 100};
	char path[] = "entry";
	reapi_digest_write(&hello, &d);
	f.path = path;
	f.digest = &d.m;
	m.output_files = files;
	m.n_output_files = 1;
	pack(&m.base);
	ck_assert_int_eq(answer_one_file(packed(), bytes.len, "entry", &found, &out, &err), 1);
	ck_assert(reapi_digest_equal(&found, &hello) && out.len == 0);
	ck_assert_int_eq(answer_one_file(packed(), bytes.len, "other", &found, &out, &err), 0);
	f.contents = (ProtobufCBinaryData){4, (uint8_t *)(uintptr_t) "hell"};
	pack(&m.base);
	ck_assert_int_eq(answer_one_file(packed(), bytes.len, "entry", &found, &out, &err), -1);
	m.n_output_files = 2;
	pack(&m.base);
	ck_assert_int_eq(answer_one_file(packed(), bytes.len, "entry", &found, &out, &err), 0);
	clear();
}
END_TEST

START_TEST(a_stream_takes_all_or_has_it_already)
{
	static const struct {
		int64_t committed, size, sent;
		int rc;
	} cases[] = {{10, 10, 10, 0},  {7, 10, 7, 0},   {10, 10, 7, 0}, {-1, 10, 7, 0},
		     {-1, 10, 10, -1}, {9, 10, 10, -1}, {0, 10, 7, -1}};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		Reapi__WriteResponse m = REAPI__WRITE_RESPONSE__INIT;
		m.committed_size = cases[i].committed;
		pack(&m.base);
		ck_assert_int_eq(answer_written(packed(), bytes.len, cases[i].size, cases[i].sent, &err), cases[i].rc);
	}
	clear();
}
END_TEST

static Reapi__Digest *digest_message(const char *text, struct reapi_digest_message *d)
{
	struct reapi_digest digest = reapi_digest_of(text, strlen(text));
	reapi_digest_write(&digest, d);
	return &d->m;
}

START_TEST(a_result_is_what_can_be_one)
{
	enum { OUTPUTS = 2 };
	struct reapi_output outputs[OUTPUTS] = {{.path = "x.dwo"}, {.path = "x.o"}};
	struct reapi_outcome o = {.is_done = false};
	struct reapi_digest_message d, printed;
	Reapi__OutputFile file = REAPI__OUTPUT_FILE__INIT, *files[] = {&file, &file};
	Reapi__ActionResult m = REAPI__ACTION_RESULT__INIT;
	char path[] = "x.o", other[] = "../x.o";
	file.path = path;
	file.digest = digest_message("object", &d);
	m.output_files = files;
	m.n_output_files = 1;
	m.stderr_digest = digest_message("words", &printed);
	pack(&m.base);
	ck_assert_int_eq(answer_result(packed(), bytes.len, outputs, OUTPUTS, &o, &err), 0);
	ck_assert(o.is_done && o.is_cached && !outputs[0].is_there && outputs[1].is_there);
	ck_assert(o.errs.digest.size == 5 && o.errs.bytes.len == 0 && o.out.digest.size == 0);
	static const int32_t impossible[] = {-1, 256, INT32_MIN};
	for (size_t i = 0; i < COUNT_OF(impossible); i++) {
		m.exit_code = impossible[i];
		pack(&m.base);
		ck_assert_int_eq(answer_result(packed(), bytes.len, outputs, OUTPUTS, &o, &err), -1);
		ck_assert_int_eq(err.code, ERR_FORMAT);
	}
	m.exit_code = 0;
	m.n_output_files = 2;
	pack(&m.base);
	ck_assert_int_eq(answer_result(packed(), bytes.len, outputs, OUTPUTS, &o, &err), -1);
	m.n_output_files = 1;
	file.path = other;
	pack(&m.base);
	ck_assert_int_eq(answer_result(packed(), bytes.len, outputs, OUTPUTS, &o, &err), -1);
	file.path = path;
	printed.m.size_bytes = REAPI_WORDS_MOST + 1;
	pack(&m.base);
	ck_assert_int_eq(answer_result(packed(), bytes.len, outputs, OUTPUTS, &o, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	outcome_release(&o);
	clear();
}
END_TEST

START_TEST(an_operation_goes_on_or_has_ended)
{
	struct reapi_outcome o = {.is_done = false};
	Reapi__Operation m = REAPI__OPERATION__INIT;
	Reapi__ExecuteOperationMetadata stage = REAPI__EXECUTE_OPERATION_METADATA__INIT;
	Reapi__Any metadata = REAPI__ANY__INIT, response = REAPI__ANY__INIT;
	Reapi__ExecuteResponse r = REAPI__EXECUTE_RESPONSE__INIT;
	Reapi__Status status = REAPI__STATUS__INIT;
	AUTO_BUF struct buf packed_stage = BUF_INIT, packed_response = BUF_INIT;
	char name[REAPI_OPERATION_ROOM + 1] = "operations/1", why[] = "a blob is gone\n";
	stage.stage = 2;
	reapi_pack(&stage.base, &packed_stage);
	metadata.value = (ProtobufCBinaryData){packed_stage.len, (uint8_t *)packed_stage.data};
	m.name = name;
	m.metadata = &metadata;
	pack(&m.base);
	ck_assert_int_eq(answer_operation(packed(), bytes.len, NULL, 0, &o, &err), 0);
	ck_assert(!o.is_done && o.stage == 2);
	ck_assert_str_eq(o.name, "operations/1");
	// The end without a result; with a status; with none that parses.
	m.done = true;
	pack(&m.base);
	ck_assert_int_eq(answer_operation(packed(), bytes.len, NULL, 0, &o, &err), -1);
	status.code = 9;
	status.message = why;
	r.status = &status;
	reapi_pack(&r.base, &packed_response);
	response.value = (ProtobufCBinaryData){packed_response.len, (uint8_t *)packed_response.data};
	m.response = &response;
	pack(&m.base);
	ck_assert_int_eq(answer_operation(packed(), bytes.len, NULL, 0, &o, &err), 0);
	ck_assert(o.is_done && o.status == 9 && !strchr(o.why, '\n'));
	response.value.len--;
	pack(&m.base);
	ck_assert_int_eq(answer_operation(packed(), bytes.len, NULL, 0, &o, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	response.value.len = 0;
	metadata.value.len = 0;
	pack(&m.base);
	ck_assert_int_eq(answer_operation(packed(), bytes.len, NULL, 0, &o, &err), -1);
	memset(name, 'x', sizeof name - 1);
	pack(&m.base);
	ck_assert_int_eq(answer_operation(packed(), bytes.len, NULL, 0, &o, &err), -1);
	outcome_release(&o);
	clear();
}
END_TEST

START_TEST(properties_of_a_cluster_are_names_and_values)
{
	struct reapi_run_property list[2];
	char good[] = " b=2  a=x=y ", none[] = "", bad[] = "a", worse[] = "=a", many[] = "a=1 b=2 c=3";
	size_t n;
	ck_assert_int_eq(cluster_read_properties(good, list, 2, &n, &err), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(list[0].name, "a");
	ck_assert_str_eq(list[0].value, "x=y");
	ck_assert_int_eq(cluster_read_properties(none, list, 2, &n, &err), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(cluster_read_properties(bad, list, 2, &n, &err), -1);
	ck_assert_int_eq(cluster_read_properties(worse, list, 2, &n, &err), -1);
	ck_assert_int_eq(cluster_read_properties(many, list, 2, &n, &err), -1);
	clear();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("reapi answers");
	TCase *tc = tcase_create("reapi answers");
	tcase_add_test(tc, a_server_says_what_it_takes);
	tcase_add_test(tc, what_is_missing_was_asked_for);
	tcase_add_test(tc, what_is_sent_is_taken_or_it_is_an_error);
	tcase_add_test(tc, blobs_are_what_their_names_say);
	tcase_add_test(tc, a_result_has_one_file_and_all_of_it);
	tcase_add_test(tc, a_stream_takes_all_or_has_it_already);
	tcase_add_test(tc, a_result_is_what_can_be_one);
	tcase_add_test(tc, an_operation_goes_on_or_has_ended);
	tcase_add_test(tc, properties_of_a_cluster_are_names_and_values);
	suite_add_tcase(s, tc);
	return s;
}

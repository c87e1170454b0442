// Provenance: what a statement says of a row, that only the key's holder can have said it, and what is no statement.
#include "audit/provenance.h"
#include "base/tree.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT "1111111111111111111111111111111111111111111111111111111111111111"
#define DWO "2222222222222222222222222222222222222222222222222222222222222222"
#define SOURCE "3333333333333333333333333333333333333333333333333333333333333333"

static struct arena arena;
static struct err err;
static char *top;
static struct note_signer *signer;
static struct audit_row run, served;

static void setup(void)
{
	top = unit_directory();
	err = (struct err)ERR_INIT;
	AUTO_FREE char *path = mem_printf("%s/key", top);
	ck_assert_int_eq(note_signer_open(path, "w1", true, &signer, &err), 0);
	const char *const flags[] = {"-O2", "-DNAME=a b", "-DX=\xff"};
	run = (struct audit_row){.value[AUDIT_image_digest] = "host:1b2d814d",
				 .value[AUDIT_source_digest] = "sha256:" SOURCE,
				 .value[AUDIT_flags] = audit_flags_join(&arena, flags, 3),
				 .value[AUDIT_output_digest] = "sha256:" OBJECT ",dwo=sha256:" DWO,
				 .value[AUDIT_outputs] = "object,dwo/x.o",
				 .value[AUDIT_tenant] = "web",
				 .value[AUDIT_isolation] = "sandbox",
				 .value[AUDIT_time] = "2026-11-29T10:00:07.123456Z",
				 .value[AUDIT_duration] = "7500000",
				 .value[AUDIT_job] = "0123456789abcdef-1",
				 .value[AUDIT_compiler] = "gcc",
				 .value[AUDIT_outcome] = "run"};
	served = run;
	served.value[AUDIT_outcome] = "hit";
	served.value[AUDIT_job] = "0123456789abcdef-2";
}

static void teardown(void)
{
	note_signer_free(signer);
	tree_remove(AT_FDCWD, top);
	free(top);
	arena_release(&arena);
}

static struct provenance of_run(void)
{
	return (struct provenance){.run = &run, .run_index = 4, .origin = "w1"};
}

static json_t *statement_of(const struct provenance *p)
{
	AUTO_BUF struct buf text = BUF_INIT;
	ck_assert_msg(provenance_write(p, &text, &err) == 0, "%s", err.text);
	json_t *o = json_loadb(text.data, text.len, 0, NULL);
	ck_assert_ptr_nonnull(o);
	return o;
}

static const char *at(const json_t *o, const char *path)
{
	for (char *save = NULL, *name = strtok_r(arena_strdup(&arena, path), "/", &save); name;
	     name = strtok_r(NULL, "/", &save))
		o = json_is_array(o) ? json_array_get(o, strtoul(name, NULL, 10)) : json_object_get(o, name);
	ck_assert_msg(json_is_string(o), "%s is no string", path);
	return json_string_value(o);
}

START_TEST(a_statement_says_what_the_row_does)
{
	struct provenance p = of_run();
	json_t *o = statement_of(&p);
	ck_assert_str_eq(at(o, "subject/0/name"), "x.o");
	ck_assert_str_eq(at(o, "subject/0/digest/sha256"), OBJECT);
	ck_assert_str_eq(at(o, "subject/1/name"), "dwo");
	ck_assert_str_eq(at(o, "subject/1/digest/sha256"), DWO);
	const char *definition = "predicate/buildDefinition";
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/externalParameters/arguments/1", definition)), "-DNAME=a b");
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/externalParameters/arguments/2", definition)), "-DX=\\xff");
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/externalParameters/outputs/1", definition)), "dwo");
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/resolvedDependencies/0/digest/sha256", definition)), SOURCE);
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/resolvedDependencies/1/uri", definition)), "host:1b2d814d");
	ck_assert_str_eq(at(o, "predicate/runDetails/builder/id"), "urn:coffer:worker:w1:sandbox");
	ck_assert_str_eq(at(o, "predicate/runDetails/metadata/startedOn"), "2026-11-29T10:00:00Z");
	ck_assert_str_eq(at(o, "predicate/runDetails/metadata/finishedOn"), "2026-11-29T10:00:07Z");
	ck_assert_ptr_null(json_object_get(json_object_get(o, "predicate"), "coffer_served"));
	json_decref(o);
}
END_TEST

START_TEST(a_hit_has_its_runs_provenance_and_a_record_of_its_own)
{
	struct provenance p = of_run();
	p.served = &served;
	p.served_index = 9;
	p.builder = "https://example.org/farm";
	json_t *o = statement_of(&p);
	ck_assert_str_eq(at(o, "predicate/runDetails/metadata/invocationId"), "0123456789abcdef-1");
	ck_assert_str_eq(at(o, "predicate/coffer_served/job"), "0123456789abcdef-2");
	ck_assert_str_eq(at(o, "predicate/runDetails/builder/id"), "https://example.org/farm/sandbox");
	json_decref(o);
}
END_TEST

static const uint8_t *a_file(const void *files, size_t i, struct buf *name)
{
	static const uint8_t sha256[32] = {0xab};
	(void)files;
	buf_addf(name, "/src/a \xff\n%zu.h", i);
	return sha256;
}

static struct provenance_tree of_files(size_t n)
{
	static char *environment[] = {(char *)(uintptr_t) "LC_ALL=C"}, *arguments[] = {(char *)(uintptr_t) "-DLONG=1"};
	return (struct provenance_tree){.directory = "/src",
					.environment = environment,
					.n_environment = 1,
					.arguments = arguments,
					.n_arguments = 1,
					.n_files = n,
					.file = a_file};
}

START_TEST(of_a_tree_every_file_is_named)
{
	struct provenance_tree tree = of_files(3);
	struct provenance p = of_run();
	p.tree = &tree;
	json_t *o = statement_of(&p);
	const char *definition = "predicate/buildDefinition";
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/externalParameters/directory", definition)), "/src");
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/externalParameters/environment/0", definition)), "LC_ALL=C");
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/externalParameters/arguments/0", definition)), "-DLONG=1");
	ck_assert_str_eq(at(o, arena_printf(&arena, "%s/resolvedDependencies/4/name", definition)), "/src/a \\xff\n2.h");
	ck_assert_int_eq(
		strncmp(at(o, arena_printf(&arena, "%s/resolvedDependencies/2/digest/sha256", definition)), "ab00", 4), 0);
	json_decref(o);
}
END_TEST

// What is written can be opened; it tells of so many of its files.
static size_t files_told(const struct provenance *p)
{
	AUTO_BUF struct buf text = BUF_INIT, envelope = BUF_INIT;
	struct provenance_said said;
	ck_assert_msg(provenance_write(p, &text, &err) == 0, "%s", err.text);
	ck_assert_uint_le(text.len, DSSE_PAYLOAD_MAX);
	ck_assert_msg(dsse_sign(signer, PROVENANCE_PAYLOAD, &text, &envelope, &err) == 0, "%s", err.text);
	ck_assert_msg(provenance_open(envelope.data, envelope.len, note_signer_verifier(signer), &arena, &said, &err) == 0,
		      "%s", err.text);
	ck_assert_str_eq(said.source, "sha256:" SOURCE);
	json_t *o = json_loadb(text.data, text.len, 0, NULL);
	json_t *list =
		json_object_get(json_object_get(json_object_get(o, "predicate"), "buildDefinition"), "resolvedDependencies");
	json_t *notes = json_object_get(json_array_get(list, 0), "annotations");
	size_t told = json_array_size(list) - 2;
	ck_assert_int_eq(json_integer_value(json_object_get(notes, "coffer_files")), (json_int_t)p->tree->n_files);
	ck_assert_int_eq(json_integer_value(json_object_get(notes, "coffer_files_left_out")),
			 (json_int_t)(p->tree->n_files - told));
	json_decref(o);
	return told;
}

// One argument of n bytes.
static char *word(size_t n, char c)
{
	char *s = arena_alloc(&arena, n + 1);
	memset(s, c, n);
	return s;
}

// A statement that can't be checked, as it is too large, would be none.
START_TEST(more_files_than_a_statement_has_room_for_are_counted)
{
	struct provenance_tree tree = of_files(20000);
	struct provenance p = of_run();
	p.tree = &tree;
	size_t most = files_told(&p);
	ck_assert_uint_gt(most, 2000);
	// Words have room before files: one byte is up to six in JSON.
	char *arguments[] = {word((size_t)105 * 1024, '\xff')};
	tree.arguments = arguments;
	size_t fewer = files_told(&p);
	ck_assert_uint_gt(fewer, 1000);
	ck_assert_uint_lt(fewer, most);
	arguments[0] = word((size_t)105 * 1024, '\x01');
	ck_assert_uint_lt(files_told(&p), fewer);
}
END_TEST

// Each size up to the largest has an envelope that can be opened; beyond, there is none.
START_TEST(what_has_no_room_even_without_files_is_refused)
{
	AUTO_BUF struct buf text = BUF_INIT, envelope = BUF_INIT;
	struct provenance_tree tree = of_files(20000);
	struct provenance p = of_run();
	char *arguments[] = {word(0, 'x')};
	p.tree = &tree;
	tree.arguments = arguments;
	tree.n_files = 0;
	ck_assert_int_eq(provenance_write(&p, &text, &err), 0);
	size_t most = DSSE_PAYLOAD_MAX - text.len;
	buf_clear(&text);
	arguments[0] = word(most, 'x');
	ck_assert_uint_eq(files_told(&p), 0);
	arguments[0] = word(most + 1, 'x');
	ck_assert_int_eq(provenance_write(&p, &text, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(err.text, "row 4 "));
	ck_assert_uint_eq(text.len, 0);
	// With files there is room for eight bytes less, as their number is longer; all of them are left out.
	tree.n_files = 20000;
	arguments[0] = word(most - 8, 'x');
	ck_assert_uint_eq(files_told(&p), 0);
	// Whoever signs what nobody could open is told so.
	buf_adds(&text, word((size_t)DSSE_PAYLOAD_MAX + 1, 'x'));
	ck_assert_int_eq(dsse_sign(signer, PROVENANCE_PAYLOAD, &text, &envelope, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_uint_eq(envelope.len, 0);
}
END_TEST

START_TEST(a_row_without_outputs_has_none)
{
	struct provenance p = of_run();
	AUTO_BUF struct buf text = BUF_INIT;
	run.value[AUDIT_output_digest] = NULL;
	ck_assert_int_eq(provenance_write(&p, &text, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	ck_assert_uint_eq(text.len, 0);
}
END_TEST

START_TEST(only_the_key_can_have_signed_it)
{
	struct provenance p = of_run();
	struct provenance_said said;
	struct note_signer *other;
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf envelope = BUF_INIT;
	AUTO_FREE char *path = mem_printf("%s/other", top);
	ck_assert_int_eq(provenance_write(&p, &text, &err), 0);
	ck_assert_int_eq(dsse_sign(signer, PROVENANCE_PAYLOAD, &text, &envelope, &err), 0);
	const char *verifier = note_signer_verifier(signer);
	ck_assert_msg(provenance_open(envelope.data, envelope.len, verifier, &arena, &said, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(said.n_subjects, 2);
	ck_assert_int_eq(said.subjects[0].sha256[0], 0x11);
	ck_assert_str_eq(said.source, "sha256:" SOURCE);
	ck_assert_str_eq(said.toolchain, "host:1b2d814d");
	ck_assert_int_eq(note_signer_open(path, "w1", true, &other, &err), 0);
	ck_assert_int_eq(provenance_open(envelope.data, envelope.len, note_signer_verifier(other), &arena, &said, &err), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
	note_signer_free(other);
	// The key's id is a hint, and so are the names of the fields that no reader asks for.
	size_t hint = (size_t)(strstr(envelope.data, "keyid") - envelope.data),
	       sig = (size_t)(strstr(envelope.data, "sig\":") - envelope.data);
	for (size_t i = 0; i < envelope.len - 1; i++) {
		char was = envelope.data[i];
		envelope.data[i] = was == 'A' ? 'B' : 'A';
		if (i < hint || i >= sig)
			ck_assert_msg(provenance_open(envelope.data, envelope.len, verifier, &arena, &said, &err) == -1,
				      "byte %zu is not covered", i);
		envelope.data[i] = was;
	}
}
END_TEST

// The signature holds, and still it is no provenance of a compile.
START_TEST(what_is_signed_for_something_else_is_refused)
{
	static const char *const statements[] = {"{}",
						 "[]",
						 "1",
						 "",
						 "{\"_type\":\"https://in-toto.io/Statement/v1\"}",
						 "{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicateType\":\"https:/"
						 "/slsa.dev/provenance/v1\",\"predicate\":{"
						 "\"buildDefinition\":{\"buildType\":\"https://example.org/other\"}}}"};
	struct provenance_said said;
	const char *verifier = note_signer_verifier(signer);
	for (size_t i = 0; i < COUNT_OF(statements); i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		AUTO_BUF struct buf envelope = BUF_INIT;
		buf_adds(&text, statements[i]);
		ck_assert_int_eq(dsse_sign(signer, PROVENANCE_PAYLOAD, &text, &envelope, &err), 0);
		ck_assert_int_eq(provenance_open(envelope.data, envelope.len, verifier, &arena, &said, &err), -1);
		ck_assert_int_eq(err.code, ERR_FORMAT);
		buf_clear(&envelope);
		ck_assert_int_eq(dsse_sign(signer, "text/plain", &text, &envelope, &err), 0);
		ck_assert_int_eq(provenance_open(envelope.data, envelope.len, verifier, &arena, &said, &err), -1);
		ck_assert_ptr_nonnull(strstr(err.text, "text/plain"));
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("provenance");
	TCase *t = tcase_create("provenance");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_statement_says_what_the_row_does);
	tcase_add_test(t, a_hit_has_its_runs_provenance_and_a_record_of_its_own);
	tcase_add_test(t, a_row_without_outputs_has_none);
	tcase_add_test(t, of_a_tree_every_file_is_named);
	tcase_add_test(t, more_files_than_a_statement_has_room_for_are_counted);
	tcase_add_test(t, what_has_no_room_even_without_files_is_refused);
	tcase_add_test(t, only_the_key_can_have_signed_it);
	tcase_add_test(t, what_is_signed_for_something_else_is_refused);
	suite_add_tcase(s, t);
	return s;
}

#include "audit/provenance.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATEMENT "https://in-toto.io/Statement/v1"
#define PREDICATE "https://slsa.dev/provenance/v1"

enum { MOST_SUBJECTS = 1024 };

// What a row can be about.
static const struct kind {
	const char *build_type, *output; // what its first output is called where nothing else names it
} compile_kind = {"urn:coffer:compile:v1", "object"}, action_kind = {"urn:coffer:action:v1", "result"};

static const struct kind *kind_of(const struct audit_row *row)
{
	return audit_row_is(row, AUDIT_language, "action") ? &action_kind : &compile_kind;
}

// ---- writing --------------------------------------------------------------------------------------------------------

// What is not UTF-8 can't be said in JSON: then as in rows, \xHH for each byte beyond ASCII.
static json_t *text(const char *s)
{
	AUTO_BUF struct buf b = BUF_INIT;
	json_t *t = json_string(s);
	if (t)
		return t;
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < 0x80)
			buf_addc(&b, *p);
		else
			buf_addf(&b, "\\x%02x", (unsigned char)*p);
	return json_string(b.data);
}

static void set(json_t *o, const char *name, const char *value)
{
	if (value)
		json_object_set_new(o, name, text(value));
}

static json_t *words(const char *list, char separator)
{
	json_t *array = json_array();
	for (const char *p = list; p && *p;) {
		const char *end = strchrnul(p, separator);
		json_array_append_new(array, json_stringn(p, (size_t)(end - p)));
		p = *end ? end + 1 : end;
	}
	return array;
}

// {"sha256": …}; NULL: it is none.
static json_t *digest_set(const char *digest, size_t n)
{
	if (n != 7 + 64 || strncmp(digest, "sha256:", 7) != 0 || strspn(digest + 7, "0123456789abcdef") < 64)
		return NULL;
	return json_pack("{s:s%}", "sha256", digest + 7, (size_t)64);
}

static json_t *resource(const char *name, const char *digest)
{
	json_t *o = json_object(), *d = digest ? digest_set(digest, strlen(digest)) : NULL;
	set(o, "name", name);
	// A toolchain without an image is named by a digest of coffer's own over all that it runs.
	if (d)
		json_object_set_new(o, "digest", d);
	else
		set(o, "uri", digest ? digest : "urn:coffer:unknown");
	return o;
}

// "sha256:…,dwo=sha256:…"; the first is the object. Of an action it is the ActionResult, and its files follow, as many as may.
static json_t *subjects(const struct provenance *p)
{
	const struct audit_row *row = p->run;
	json_t *array = json_array();
	const char *outputs = row->value[AUDIT_outputs], *slash = outputs ? strchr(outputs, '/') : NULL;
	for (const char *at = row->value[AUDIT_output_digest]; at && *at;) {
		const char *end = strchrnul(at, ','), *equals = memchr(at, '=', (size_t)(end - at));
		const char *digest = equals ? equals + 1 : at;
		json_t *o = json_object(), *d = digest_set(digest, (size_t)(end - digest));
		if (equals)
			json_object_set_new(o, "name", json_stringn(at, (size_t)(equals - at)));
		else
			set(o, "name", slash ? slash + 1 : kind_of(row)->output);
		if (d) {
			json_object_set_new(o, "digest", d);
			json_array_append(array, o);
		}
		json_decref(o);
		at = *end ? end + 1 : end;
	}
	for (size_t i = 0; p->tree && i < p->tree->n_outputs && json_array_size(array) < MOST_SUBJECTS; i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		const struct provenance_output *output = &p->tree->outputs[i];
		json_array_append_new(array, resource(output->name, audit_digest(&a, output->sha256)));
	}
	return array;
}

static json_t *texts(char *const *list, size_t n)
{
	json_t *array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, text(list[i]));
	return array;
}

static json_t *external_parameters(const struct provenance *p)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const struct audit_row *row = p->run;
	json_t *o = json_object();
	size_t n = 0;
	char *const *flags = (char *const *)(uintptr_t)audit_flags_split(&a, row->value[AUDIT_flags], &n);
	set(o, "compiler", row->value[AUDIT_compiler]);
	json_object_set_new(o, "arguments", p->tree ? texts(p->tree->arguments, p->tree->n_arguments) : texts(flags, n));
	set(o, "language", row->value[AUDIT_language]);
	set(o, "suffix", row->value[AUDIT_suffix]);
	const char *outputs = row->value[AUDIT_outputs];
	AUTO_FREE char *kinds = outputs ? mem_strndup(outputs, strcspn(outputs, "/")) : NULL;
	json_object_set_new(o, "outputs", words(kinds, ','));
	if (p->tree) {
		set(o, "directory", p->tree->directory);
		json_object_set_new(o, "environment", texts(p->tree->environment, p->tree->n_environment));
	}
	return o;
}

static json_t *internal_parameters(const struct audit_row *row)
{
	json_t *o = json_object();
	set(o, "tenant", row->value[AUDIT_tenant]);
	set(o, "key", row->value[AUDIT_key]);
	set(o, "isolation", row->value[AUDIT_isolation]);
	set(o, "monitor", row->value[AUDIT_monitor]);
	set(o, "session", row->value[AUDIT_vm]);
	return o;
}

static json_t *resolved_dependencies(const struct provenance *p)
{
	const struct audit_row *row = p->run;
	json_t *array = json_array();
	json_array_append_new(array, resource("source", row->value[AUDIT_source_digest]));
	json_array_append_new(array, resource("toolchain", row->value[AUDIT_image_digest]));
	return array;
}

static json_t *build_definition(const struct provenance *p)
{
	json_t *o = json_object();
	set(o, "buildType", kind_of(p->run)->build_type);
	json_object_set_new(o, "externalParameters", external_parameters(p));
	json_object_set_new(o, "internalParameters", internal_parameters(p->run));
	json_object_set_new(o, "resolvedDependencies", resolved_dependencies(p));
	return o;
}

// The time of a row is when it was written; the run began so many microseconds before. RFC 3339, whole seconds.
static void set_times(json_t *metadata, const struct audit_row *row)
{
	struct tm tm = {0};
	char began[32], ended[32];
	const char *time = row->value[AUDIT_time], *duration = row->value[AUDIT_duration];
	if (!time || !strptime(time, "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	time_t end = timegm(&tm), begin = end - (time_t)(duration ? strtoull(duration, NULL, 10) / 1000000 : 0);
	strftime(ended, sizeof ended, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&end, &tm));
	strftime(began, sizeof began, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&begin, &tm));
	set(metadata, "startedOn", began);
	set(metadata, "finishedOn", ended);
}

// Each isolation is a builder of its own: "if a build platform has multiple modes of operations that have differing security
// attributes, each mode MUST have a different builder.id" (SLSA 1.0, provenance).
static json_t *run_details(const struct provenance *p)
{
	const struct audit_row *row = p->run;
	const char *isolation = row->value[AUDIT_isolation] ? row->value[AUDIT_isolation] : "none";
	AUTO_FREE char *id = p->builder ? mem_printf("%s/%s", p->builder, isolation)
					: mem_printf(PROVENANCE_BUILDER "%s:%s", p->origin, isolation);
	json_t *o = json_object(), *metadata = json_object();
	json_object_set_new(o, "builder", json_pack("{s:o, s:{s:s}}", "id", text(id), "version", "coffer", COFFER_VERSION));
	set(metadata, "invocationId", row->value[AUDIT_job]);
	set_times(metadata, row);
	json_object_set_new(o, "metadata", metadata);
	return o;
}

// Extension fields have the vendor's name before them (SLSA 1.0, parsing rules).
static json_t *log_entry(const struct provenance *p, const struct audit_row *row, uint64_t index)
{
	json_t *o = json_object();
	set(o, "log", p->origin);
	json_object_set_new(o, "row", json_integer((json_int_t)index));
	set(o, "job", row->value[AUDIT_job]);
	set(o, "time", row->value[AUDIT_time]);
	set(o, "tenant", row->value[AUDIT_tenant]);
	return o;
}

static void count_files(json_t *source, size_t n, size_t left_out)
{
	json_object_set_new(
		source, "annotations",
		json_pack("{s:I, s:I}", "coffer_files", (json_int_t)n, "coffer_files_left_out", (json_int_t)left_out));
}

// As many as have room in so many bytes.
static void add_files(json_t *dependencies, const struct provenance_tree *tree, size_t room)
{
	size_t bytes = 0, i = 0;
	for (; i < tree->n_files; i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		AUTO_BUF struct buf name = BUF_INIT;
		const uint8_t *sha256 = tree->file(tree->files, i, &name);
		json_t *o = resource(name.data, audit_digest(&a, sha256));
		bytes += json_dumpb(o, NULL, 0, JSON_COMPACT) + 1;
		if (bytes > room) {
			json_decref(o);
			break;
		}
		json_array_append_new(dependencies, o);
	}
	count_files(json_array_get(dependencies, 0), tree->n_files, tree->n_files - i);
}

// Files get what the rest of the statement leaves.
static int fill_up(json_t *o, const struct provenance *p, struct err *err)
{
	json_t *definition = json_object_get(json_object_get(o, "predicate"), "buildDefinition");
	json_t *dependencies = json_object_get(definition, "resolvedDependencies");
	// No other numbers are longer.
	if (p->tree)
		count_files(json_array_get(dependencies, 0), p->tree->n_files, p->tree->n_files);
	size_t bytes = json_dumpb(o, NULL, 0, JSON_COMPACT);
	if (bytes > DSSE_PAYLOAD_MAX)
		return err_set(err, ERR_LIMIT,
			       "the words and variables of row %" PRIu64
			       " make a statement of %zu bytes, and none of more than %d "
			       "can be checked; 'coffer audit prove' proves the row itself",
			       p->run_index, bytes, DSSE_PAYLOAD_MAX);
	size_t left = DSSE_PAYLOAD_MAX - bytes;
	if (p->tree)
		add_files(dependencies, p->tree, left < PROVENANCE_FILE_BYTES ? left : PROVENANCE_FILE_BYTES);
	return 0;
}

static int write_json(const json_t *o, struct buf *statement, struct err *err)
{
	AUTO_FREE char *json = json_dumps(o, JSON_COMPACT);
	if (!json)
		return err_set(err, ERR_FORMAT, "the row can't be written as JSON");
	buf_adds(statement, json);
	return 0;
}

int provenance_write(const struct provenance *p, struct buf *statement, struct err *err)
{
	json_t *o = json_object(), *predicate = json_object(), *subject = subjects(p);
	size_t n = json_array_size(subject);
	set(o, "_type", STATEMENT);
	json_object_set_new(o, "subject", subject);
	set(o, "predicateType", PREDICATE);
	json_object_set_new(predicate, "buildDefinition", build_definition(p));
	json_object_set_new(predicate, "runDetails", run_details(p));
	json_object_set_new(predicate, "coffer_made", log_entry(p, p->run, p->run_index));
	if (p->served)
		json_object_set_new(predicate, "coffer_served", log_entry(p, p->served, p->served_index));
	json_object_set_new(o, "predicate", predicate);
	int rc = n ? fill_up(o, p, err)
		   : err_set(err, ERR_FORMAT,
			     "row %" PRIu64 " has no outputs, so there is nothing that it is the provenance of",
			     p->run_index);
	if (rc == 0)
		rc = write_json(o, statement, err);
	json_decref(o);
	return rc;
}

// ---- reading --------------------------------------------------------------------------------------------------------

static const char *string_at(const json_t *o, const char *name, struct arena *a)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s ? arena_strdup(a, s) : NULL;
}

static const char *dependency(const json_t *definition, const char *name, struct arena *a)
{
	const json_t *list = json_object_get(definition, "resolvedDependencies");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);
		const char *is = json_string_value(json_object_get(o, "name"));
		const char *sha256 = json_string_value(json_object_get(json_object_get(o, "digest"), "sha256"));
		if (is && strcmp(is, name) == 0)
			return sha256 ? arena_printf(a, "sha256:%s", sha256) : string_at(o, "uri", a);
	}
	return NULL;
}

static int read_subjects(const json_t *list, struct arena *a, struct provenance_said *said, struct err *err)
{
	size_t n = json_array_size(list);
	if (n == 0 || n > MOST_SUBJECTS)
		return err_set(err, ERR_FORMAT, "it has no subject, or more than %d", MOST_SUBJECTS);
	said->subjects = arena_alloc(a, n * sizeof *said->subjects);
	for (said->n_subjects = 0; said->n_subjects < n; said->n_subjects++) {
		struct provenance_subject *s = &said->subjects[said->n_subjects];
		const json_t *o = json_array_get(list, said->n_subjects);
		const char *sha256 = json_string_value(json_object_get(json_object_get(o, "digest"), "sha256"));
		size_t n_bytes = 0;
		s->name = string_at(o, "name", a);
		if (!s->name || !sha256 || strlen(sha256) != 64 ||
		    OPENSSL_hexstr2buf_ex(s->sha256, sizeof s->sha256, &n_bytes, sha256, '\0') != 1 || n_bytes != 32)
			return err_set(err, ERR_FORMAT, "a subject has no name or no SHA-256");
	}
	return 0;
}

static int read_statement(const json_t *o, struct arena *a, struct provenance_said *said, struct err *err)
{
	const json_t *predicate = json_object_get(o, "predicate");
	const json_t *definition = json_object_get(predicate, "buildDefinition"),
		     *run = json_object_get(predicate, "runDetails");
	const char *type = json_string_value(json_object_get(o, "_type"));
	const char *is = json_string_value(json_object_get(o, "predicateType"));
	const char *build = json_string_value(json_object_get(definition, "buildType"));
	if (!type || strcmp(type, STATEMENT) != 0 || !is || strcmp(is, PREDICATE) != 0 || !build ||
	    (strcmp(build, compile_kind.build_type) != 0 && strcmp(build, action_kind.build_type) != 0))
		return err_set(err, ERR_FORMAT, "it is no SLSA provenance of a compile or an action");
	const json_t *metadata = json_object_get(run, "metadata");
	said->builder = string_at(json_object_get(run, "builder"), "id", a);
	said->invocation = string_at(metadata, "invocationId", a);
	said->finished = string_at(metadata, "finishedOn", a);
	said->source = dependency(definition, "source", a);
	said->toolchain = dependency(definition, "toolchain", a);
	if (!said->builder || !said->invocation || !said->source || !said->toolchain)
		return err_set(err, ERR_FORMAT, "it does not say who made it, or from what");
	return read_subjects(json_object_get(o, "subject"), a, said, err);
}

int provenance_read(const char *statement, size_t n, struct arena *a, struct provenance_said *said, struct err *err)
{
	*said = (struct provenance_said){0};
	json_t *o = n <= DSSE_MAX ? json_loadb(statement, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int rc = read_statement(o, a, said, err);
	json_decref(o);
	return rc;
}

int provenance_open(const char *envelope, size_t n, const char *verifier, struct arena *a, struct provenance_said *said,
		    struct err *err)
{
	AUTO_BUF struct buf payload = BUF_INIT;
	if (dsse_open(envelope, n, PROVENANCE_PAYLOAD, verifier, &payload, err) < 0)
		return -1;
	return provenance_read(payload.data ? payload.data : "", payload.len, a, said, err);
}

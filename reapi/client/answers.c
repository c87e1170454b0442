#include "reapi/client/answers.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/value.h"
#include "reapi/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void forget(void *message)
{
	ProtobufCMessage *m = *(ProtobufCMessage **)message;
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
}
#define AUTO_MESSAGE __attribute__((cleanup(forget)))

// ---- Capabilities -------------------------------------------------------------------------------------------------------

static bool names(const int32_t *list, size_t n, int32_t wanted)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == wanted)
			return true;
	return false;
}

// What it says of 2.x: 2.0 is in between. A server that says nothing is taken for one.
static bool speaks_version_2(const Reapi__ServerCapabilities *m)
{
	const Reapi__SemVer *low = m->low_api_version, *high = m->high_api_version;
	return (!low || low->major <= 2) && (!high || high->major >= 2);
}

int answer_capabilities(const void *p, size_t n, struct reapi_limits *limits, struct err *err)
{
	AUTO_MESSAGE Reapi__ServerCapabilities *m = NULL;
	if (reapi_unpack(&reapi__server_capabilities__descriptor, p, n, &m, err) < 0)
		return -1;
	const Reapi__CacheCapabilities *cache = m->cache_capabilities;
	const Reapi__ExecutionCapabilities *execution = m->execution_capabilities;
	if (!speaks_version_2(m))
		return err_set(err, ERR_PEER, "the server speaks another version of the Remote Execution API than 2");
	if (!cache || !names(cache->digest_functions, cache->n_digest_functions, REAPI_SHA256))
		return err_set(err, ERR_PEER, "the server keeps no blobs by SHA-256");
	int64_t batch = cache->max_batch_total_size_bytes, blob = cache->max_cas_blob_size_bytes;
	*limits = (struct reapi_limits){
		.batch_bytes = batch > 0 && (uint64_t)batch < REAPI_BATCH_MOST ? (size_t)batch : REAPI_BATCH_MOST,
		.blob_bytes = blob > 0 ? blob : INT64_MAX,
		.takes_zstd = names(cache->supported_compressors, cache->n_supported_compressors, 1),
		.may_update =
			cache->action_cache_update_capabilities && cache->action_cache_update_capabilities->update_enabled,
		.executes = execution && execution->exec_enabled &&
			    (execution->digest_function == REAPI_SHA256 ||
			     names(execution->digest_functions, execution->n_digest_functions, REAPI_SHA256))};
	return 0;
}

// ---- ContentAddressableStorage ------------------------------------------------------------------------------------------

// Digest -> its place + 1.
static void index_digests(struct map *m, const struct reapi_digest *d, size_t i)
{
	map_put(m, d, sizeof *d, (void *)(uintptr_t)(i + 1));
}

// Its place; SIZE_MAX: nobody asked for it.
static size_t place_of(const struct map *m, const Reapi__Digest *message)
{
	struct reapi_digest d;
	if (reapi_digest_read(message, &d, NULL) < 0)
		return SIZE_MAX;
	return (size_t)(uintptr_t)map_get(m, &d, sizeof d) - 1;
}

int answer_missing(const void *p, size_t n, const struct reapi_digest *asked, size_t n_asked, bool *missing, struct err *err)
{
	AUTO_MESSAGE Reapi__FindMissingBlobsResponse *m = NULL;
	struct map places = MAP_INIT;
	if (reapi_unpack(&reapi__find_missing_blobs_response__descriptor, p, n, &m, err) < 0)
		return -1;
	for (size_t i = 0; i < n_asked; i++) {
		missing[i] = false;
		index_digests(&places, &asked[i], i);
	}
	int rc = 0;
	for (size_t i = 0; i < m->n_missing_blob_digests && rc == 0; i++) {
		size_t at = place_of(&places, m->missing_blob_digests[i]);
		if (at == SIZE_MAX)
			rc = err_set(err, ERR_FORMAT, "the server says that a blob is missing that it was not asked for");
		else
			missing[at] = true;
	}
	// One that was asked for twice is missing twice.
	for (size_t i = 0; i < n_asked; i++)
		missing[i] = missing[(size_t)(uintptr_t)map_get(&places, &asked[i], sizeof asked[i]) - 1];
	map_release(&places);
	return rc;
}

static int refused(const Reapi__Status *s, const char *what, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	enum err_code code = s->code == 7 || s->code == 16 ? ERR_ACCESS : ERR_PEER;
	return err_set(err, code, "the server %s a blob: %s (%d)", what, value_shown(&a, s->message), s->code);
}

int answer_updated(const void *p, size_t n, const struct reapi_digest *sent, size_t n_sent, struct err *err)
{
	AUTO_MESSAGE Reapi__BatchUpdateBlobsResponse *m = NULL;
	struct map places = MAP_INIT;
	if (reapi_unpack(&reapi__batch_update_blobs_response__descriptor, p, n, &m, err) < 0)
		return -1;
	for (size_t i = 0; i < n_sent; i++)
		index_digests(&places, &sent[i], i);
	int rc = 0;
	for (size_t i = 0; i < m->n_responses && rc == 0; i++) {
		const Reapi__BatchUpdated *one = m->responses[i];
		struct reapi_digest d;
		if (one->status && one->status->code)
			rc = refused(one->status, "does not take", err);
		else if (reapi_digest_read(one->digest, &d, NULL) == 0)
			map_del(&places, &d, sizeof d);
	}
	if (rc == 0 && places.n)
		rc = err_set(err, ERR_PEER, "the server does not say that it has taken a blob");
	map_release(&places);
	return rc;
}

static int take_blob(const Reapi__BatchRead *one, struct reapi_wanted *w, struct err *err)
{
	if (one->status && one->status->code == 5)
		return 0;
	if (one->status && one->status->code)
		return refused(one->status, "does not give", err);
	if (one->compressor)
		return err_set(err, ERR_FORMAT, "the server packs a blob in a way that nobody asked for");
	struct reapi_digest d = reapi_digest_of(one->data.data, one->data.len);
	if (w->is_there || !reapi_digest_equal(&d, &w->digest))
		return err_set(err, ERR_FORMAT, "the server gives a blob that is not what its name says");
	buf_add(&w->out, one->data.data, one->data.len);
	w->is_there = true;
	return buf_check(&w->out, "a blob", err);
}

int answer_blobs(const void *p, size_t n, struct reapi_wanted *wanted, size_t n_wanted, struct err *err)
{
	AUTO_MESSAGE Reapi__BatchReadBlobsResponse *m = NULL;
	struct map places = MAP_INIT;
	if (reapi_unpack(&reapi__batch_read_blobs_response__descriptor, p, n, &m, err) < 0)
		return -1;
	for (size_t i = 0; i < n_wanted; i++)
		index_digests(&places, &wanted[i].digest, i);
	int rc = 0;
	for (size_t i = 0; i < m->n_responses && rc == 0; i++) {
		size_t at = place_of(&places, m->responses[i]->digest);
		rc = at == SIZE_MAX ? err_set(err, ERR_FORMAT, "the server gives a blob that it was not asked for")
				    : take_blob(m->responses[i], &wanted[at], err);
	}
	map_release(&places);
	return rc;
}

// ---- ActionCache --------------------------------------------------------------------------------------------------------

int answer_one_file(const void *p, size_t n, const char *path, struct reapi_digest *digest, struct buf *out, struct err *err)
{
	AUTO_MESSAGE Reapi__ActionResult *m = NULL;
	if (reapi_unpack(&reapi__action_result__descriptor, p, n, &m, err) < 0)
		return -1;
	if (m->n_output_files != 1 || strcmp(m->output_files[0]->path, path) != 0)
		return 0;
	const Reapi__OutputFile *f = m->output_files[0];
	if (reapi_digest_read(f->digest, digest, err) < 0)
		return -1;
	if (f->contents.len && (uint64_t)digest->size != f->contents.len)
		return err_set(err, ERR_FORMAT, "the server gives a file that is not what its name says");
	buf_add(out, f->contents.data, f->contents.len);
	return buf_check(out, "an entry", err) < 0 ? -1 : 1;
}

// ---- Execution ----------------------------------------------------------------------------------------------------------

static int take_output(const Reapi__OutputFile *f, struct reapi_output *outputs, size_t n, struct err *err)
{
	size_t i = 0;
	while (i < n && strcmp(outputs[i].path, f->path) != 0)
		i++;
	if (i == n || outputs[i].is_there)
		return err_set(err, ERR_FORMAT, "the server names an output that nobody asked for, or one twice");
	outputs[i].is_there = true;
	return reapi_digest_read(f->digest, &outputs[i].digest, err);
}

static int take_words(const ProtobufCBinaryData *raw, const Reapi__Digest *digest, struct reapi_words *w, struct err *err)
{
	if (digest && reapi_digest_read(digest, &w->digest, err) < 0)
		return -1;
	if (raw->len > REAPI_WORDS_MOST || (digest && w->digest.size > REAPI_WORDS_MOST))
		return err_set(err, ERR_LIMIT, "the action has printed more than %d bytes", REAPI_WORDS_MOST);
	if (raw->len || !digest)
		w->digest = reapi_digest_of(raw->data, raw->len);
	buf_add(&w->bytes, raw->data, raw->len);
	return 0;
}

static uint64_t wall_us(const Reapi__ExecutedActionMetadata *m)
{
	const Reapi__Timestamp *from = m ? m->execution_start_timestamp : NULL,
			       *to = m ? m->execution_completed_timestamp : NULL;
	enum { MOST_S = 86400 };
	if (!from || !to || to->seconds < from->seconds || to->seconds - from->seconds > MOST_S || from->seconds < 0)
		return 0;
	int64_t us = (to->seconds - from->seconds) * 1000000 + ((int64_t)to->nanos - from->nanos) / 1000;
	return us > 0 ? (uint64_t)us : 0;
}

static int take_result(const Reapi__ActionResult *r, struct reapi_output *outputs, size_t n_outputs, struct reapi_outcome *o,
		       struct err *err)
{
	o->is_done = true;
	o->exit_code = r->exit_code;
	o->wall_us = wall_us(r->execution_metadata);
	if (r->exit_code < 0 || r->exit_code > 255)
		return err_set(err, ERR_FORMAT, "the server names an exit status that none can be: %d", r->exit_code);
	for (size_t i = 0; i < n_outputs; i++)
		outputs[i].is_there = false;
	for (size_t i = 0; i < r->n_output_files; i++)
		if (take_output(r->output_files[i], outputs, n_outputs, err) < 0)
			return -1;
	buf_clear(&o->out.bytes);
	buf_clear(&o->errs.bytes);
	return take_words(&r->stdout_raw, r->stdout_digest, &o->out, err) < 0
		       ? -1
		       : take_words(&r->stderr_raw, r->stderr_digest, &o->errs, err);
}

int answer_result(const void *p, size_t n, struct reapi_output *outputs, size_t n_outputs, struct reapi_outcome *o,
		  struct err *err)
{
	AUTO_MESSAGE Reapi__ActionResult *m = NULL;
	if (reapi_unpack(&reapi__action_result__descriptor, p, n, &m, err) < 0)
		return -1;
	o->is_cached = true;
	return take_result(m, outputs, n_outputs, o, err);
}

// Of an empty one there are none.
static const void *any_bytes(const Reapi__Any *any)
{
	return any->value.data ? (const void *)any->value.data : "";
}

static void take_status(const Reapi__Status *s, struct reapi_outcome *o)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	o->is_done = true;
	o->status = s->code;
	snprintf(o->why, sizeof o->why, "%s", value_shown(&a, s->message));
}

static int take_response(const Reapi__Any *any, struct reapi_output *outputs, size_t n_outputs, struct reapi_outcome *o,
			 struct err *err)
{
	AUTO_MESSAGE Reapi__ExecuteResponse *m = NULL;
	if (reapi_unpack(&reapi__execute_response__descriptor, any_bytes(any), any->value.len, &m, err) < 0)
		return -1;
	o->is_cached = m->cached_result;
	if (m->status && m->status->code) {
		take_status(m->status, o);
		return 0;
	}
	return m->result ? take_result(m->result, outputs, n_outputs, o, err)
			 : err_set(err, ERR_FORMAT, "the server ends an action without a result");
}

static int stage_of(const Reapi__Any *any)
{
	AUTO_MESSAGE Reapi__ExecuteOperationMetadata *m = NULL;
	if (!any ||
	    reapi_unpack(&reapi__execute_operation_metadata__descriptor, any_bytes(any), any->value.len, &m, NULL) < 0)
		return 0;
	return m->stage;
}

int answer_operation(const void *p, size_t n, struct reapi_output *outputs, size_t n_outputs, struct reapi_outcome *o,
		     struct err *err)
{
	AUTO_MESSAGE Reapi__Operation *m = NULL;
	if (reapi_unpack(&reapi__operation__descriptor, p, n, &m, err) < 0)
		return -1;
	if (strlen(m->name) >= sizeof o->name)
		return err_set(err, ERR_FORMAT, "the server names an operation by more than %zu bytes", sizeof o->name);
	snprintf(o->name, sizeof o->name, "%s", m->name);
	o->stage = stage_of(m->metadata);
	if (!m->done)
		return 0;
	if (m->error) {
		take_status(m->error, o);
		return 0;
	}
	return m->response ? take_response(m->response, outputs, n_outputs, o, err)
			   : err_set(err, ERR_FORMAT, "the server ends an action without a result");
}

void outcome_release(struct reapi_outcome *o)
{
	buf_release(&o->out.bytes);
	buf_release(&o->errs.bytes);
}

// ---- ByteStream ---------------------------------------------------------------------------------------------------------

int answer_written(const void *p, size_t n, int64_t size, int64_t sent, struct err *err)
{
	AUTO_MESSAGE Reapi__WriteResponse *m = NULL;
	if (reapi_unpack(&reapi__write_response__descriptor, p, n, &m, err) < 0)
		return -1;
	// -1: it was there already, and came compressed.
	if (m->committed_size == size || m->committed_size == sent || (m->committed_size == -1 && sent != size))
		return 0;
	return err_set(err, ERR_PEER, "the server has taken %lld bytes of a blob of %lld", (long long)m->committed_size,
		       (long long)size);
}

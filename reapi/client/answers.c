#include "reapi/client/answers.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/value.h"
#include "reapi/message.h"

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

#include "reapi/client/actions.h"

#include "reapi/client/blobs.h"
#include "reapi/message.h"

#include <string.h>

#define ACTION_CACHE "/build.bazel.remote.execution.v2.ActionCache/"
enum { ANSWER_MOST = 4 << 20 };

static struct reapi_digest action_of(const struct sha256 *name)
{
	static const char salt[] = "coffer entry 1";
	struct reapi_digest command = {*name, 0}, root = reapi_digest_of("", 0);
	struct reapi_digest_message command_message, root_message;
	Reapi__Action m = REAPI__ACTION__INIT;
	AUTO_BUF struct buf bytes = BUF_INIT;
	reapi_digest_write(&command, &command_message);
	reapi_digest_write(&root, &root_message);
	m.command_digest = &command_message.m;
	m.input_root_digest = &root_message.m;
	m.salt = (ProtobufCBinaryData){sizeof salt - 1, (uint8_t *)(uintptr_t)salt};
	reapi_pack(&m.base, &bytes);
	return reapi_digest_of(bytes.data, bytes.len);
}

// 1 with the digest of the entry, and its bytes if they came with it.
static int get_result(struct endpoint *e, const struct sha256 *name, bool wants_bytes, struct reapi_digest *file,
		      struct buf *out, int64_t until_ms, struct err *err)
{
	static char path[] = ACTIONS_FILE;
	char *paths[] = {path};
	struct reapi_digest action = action_of(name);
	struct reapi_digest_message digest;
	Reapi__GetActionResultRequest m = REAPI__GET_ACTION_RESULT_REQUEST__INIT;
	AUTO_BUF struct buf answer = {.max = ANSWER_MOST};
	reapi_digest_write(&action, &digest);
	m.instance_name = (char *)(uintptr_t)endpoint_instance(e);
	m.action_digest = &digest.m;
	m.inline_output_files = paths;
	m.n_inline_output_files = wants_bytes;
	int rc = endpoint_ask(e, ACTION_CACHE "GetActionResult", &m.base, until_ms, &answer, err);
	return rc == 1 ? answer_one_file(answer.data ? answer.data : "", answer.len, ACTIONS_FILE, file, out, err) : rc;
}

int actions_get(struct endpoint *e, const struct sha256 *name, size_t max, struct buf *out, int64_t until_ms,
		struct err *err)
{
	struct reapi_wanted w = {.out = {.max = max + 1}};
	AUTO_BUF struct buf bytes = {.max = ANSWER_MOST};
	int rc = get_result(e, name, true, &w.digest, &bytes, until_ms, err);
	if (rc != 1)
		return rc;
	if ((uint64_t)w.digest.size > max)
		return err_set(err, ERR_LIMIT, "an entry of more than %zu bytes", max);
	if (!bytes.len && w.digest.size) {
		rc = blobs_download(e, &w, 1, until_ms, err);
		if (rc == 0 && w.is_there) {
			buf_release(&bytes);
			bytes = w.out;
			w.out = (struct buf)BUF_INIT;
		}
		buf_release(&w.out);
		if (rc < 0 || !w.is_there)
			return rc;
	}
	buf_add(out, bytes.data, bytes.len);
	return buf_check(out, "an entry", err) < 0 ? -1 : 1;
}

int actions_has(struct endpoint *e, const struct sha256 *name, int64_t until_ms, struct err *err)
{
	AUTO_BUF struct buf bytes = {.max = ANSWER_MOST};
	struct reapi_digest file;
	return get_result(e, name, false, &file, &bytes, until_ms, err);
}

int actions_put(struct endpoint *e, const struct sha256 *name, const void *p, size_t n, int64_t until_ms, struct err *err)
{
	static char path[] = ACTIONS_FILE;
	struct reapi_digest action = action_of(name);
	struct reapi_blob blob = {.digest = reapi_digest_of(p, n), .p = p, .is_packed = true};
	struct reapi_digest_message digest, file_digest;
	Reapi__OutputFile file = REAPI__OUTPUT_FILE__INIT, *files[] = {&file};
	Reapi__ActionResult result = REAPI__ACTION_RESULT__INIT;
	Reapi__UpdateActionResultRequest m = REAPI__UPDATE_ACTION_RESULT_REQUEST__INIT;
	AUTO_BUF struct buf answer = {.max = ANSWER_MOST};
	// The file first: a result never names what is not there.
	if (blobs_upload(e, &blob, 1, until_ms, err) < 0)
		return -1;
	reapi_digest_write(&action, &digest);
	reapi_digest_write(&blob.digest, &file_digest);
	file.path = path;
	file.digest = &file_digest.m;
	result.output_files = files;
	result.n_output_files = 1;
	m.instance_name = (char *)(uintptr_t)endpoint_instance(e);
	m.action_digest = &digest.m;
	m.action_result = &result;
	int rc = endpoint_ask(e, ACTION_CACHE "UpdateActionResult", &m.base, until_ms, &answer, err);
	return rc == 1 ? 0 : rc == 0 ? err_set(err, ERR_PEER, "the server takes no results") : -1;
}

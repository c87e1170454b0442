// An action of the Remote Execution API once more. The row's key is the action's digest: it names the command and the input root, and
// these name all the rest; each is read from the tenant's content and compared with its digest. The row's output is the ActionResult.
#include "worker/action_parts.h"
#include "worker/replay.h"

#include "auth/token.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 16 << 20 };

struct repeat {
	struct replay *answer;
	const struct audit_row *row;
	struct action x;
	Coffer__V1__ActionHeader header;
	struct buf action, command, was;
};

static char *value(const struct repeat *r, enum audit_column c)
{
	return (char *)(uintptr_t)(r->row->value[c] ? r->row->value[c] : "");
}

// ---- what the row names -----------------------------------------------------------------------------------------------

// 1: the bytes of that digest; 0, -1.
static int get(struct repeat *r, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	out->max = MESSAGE_MAX;
	return results_get_content(r->x.service->results, r->x.claims.tenant, d, out, err);
}

static int get_directory(void *ctx, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	struct repeat *r = ctx;
	return results_get_content(r->x.service->results, r->x.claims.tenant, d, out, err);
}

static bool digest_in(const struct repeat *r, enum audit_column c, struct reapi_digest *d)
{
	d->size = -1; // a row has none
	return audit_digest_read(r->row->value[c], &d->hash);
}

static int read_messages(struct repeat *r)
{
	struct reapi_digest d;
	struct err err = ERR_INIT;
	Reapi__Action *action = NULL;
	if (!digest_in(r, AUDIT_key, &d))
		return replay_missing(r->answer, "the row has no key");
	if (get(r, &d, &r->action, &err) != 1)
		return replay_missing(r->answer, "the action is no longer here, or was never kept");
	if (reapi_unpack_canonical(&reapi__action__descriptor, r->action.data, r->action.len, &action, &err) < 0)
		return replay_missing(r->answer, "the action is none: %s", err.text);
	int found = reapi_digest_read(action->command_digest, &d, &err) < 0 ? -1 : get(r, &d, &r->command, &err);
	reapi__action__free_unpacked(action, NULL);
	if (found != 1)
		return replay_missing(r->answer, "its command is no longer here");
	r->header = (Coffer__V1__ActionHeader)COFFER__V1__ACTION_HEADER__INIT;
	r->header.image = value(r, AUDIT_image_digest);
	r->header.action = (ProtobufCBinaryData){r->action.len, (uint8_t *)r->action.data};
	r->header.command = (ProtobufCBinaryData){r->command.len, (uint8_t *)r->command.data};
	r->x.header = &r->header;
	if (action_open(&r->x) < 0)
		return replay_missing(r->answer, "the action is not taken today: %s", r->x.err.text);
	return 0;
}

static int read_inputs(struct repeat *r)
{
	struct reapi_digest top, named;
	struct err err = ERR_INIT;
	char hex[SHA256_HEX];
	if (reapi_digest_read(r->x.action->input_root_digest, &top, &err) < 0 ||
	    input_root_read(&r->x.root, &top, get_directory, r, &err) < 0)
		return replay_missing(r->answer, "its input root is not taken today: %s", err.text);
	if (!digest_in(r, AUDIT_source_digest, &named) || !sha256_equal(&named.hash, &top.hash))
		return replay_missing(r->answer, "the row's source is not the action's input root");
	if (r->x.root.n_missing)
		return replay_missing(r->answer, "%zu directories of its input root are no longer here",
				      r->x.root.n_missing);
	for (size_t i = 0; i < r->x.root.n_files; i++) {
		const struct reapi_digest *d = &r->x.root.files[i];
		if (d->size == 0 || results_has_content(r->x.service->results, r->x.claims.tenant, d))
			continue;
		sha256_hex(&d->hash, hex);
		return replay_missing(r->answer, "a file of its input root is no longer here (sha256:%s)", hex);
	}
	return 0;
}

static int read_result(struct repeat *r)
{
	struct reapi_digest d;
	if (!digest_in(r, AUDIT_output_digest, &d))
		return replay_missing(r->answer, "the row has no output");
	if (get(r, &d, &r->was, NULL) != 1)
		return replay_missing(r->answer, "its result is no longer here, or was never kept");
	return 0;
}

static int check_image(struct repeat *r)
{
	char **names;
	const char *image = r->header.image;
	bool is_here = false;
	if (strncmp(image, "sha256:", 7) != 0)
		return 0; // the host's own
	images_refresh(r->x.service->images);
	size_t n = images_list(r->x.service->images, &names);
	for (size_t i = 0; i < n; i++)
		is_here |= strcmp(names[i], image) == 0;
	images_list_free(names);
	return is_here ? 0 : replay_missing(r->answer, "the image '%s' is not here", image);
}

// ---- the run and the comparison ---------------------------------------------------------------------------------------

static int run(struct repeat *r, struct err *err)
{
	struct worker_service *s = r->x.service;
	struct pooled_session *session;
	if (sessions_take(s->sessions, r->x.claims.tenant, images_session_name(r->header.image), &session, err) < 0)
		return -1;
	int rc = action_exec(&r->x, pooled_session(session), NULL);
	sessions_give(s->sessions, session);
	return rc < 0 ? err_take(err, &r->x.err) : 0;
}

static void differ(struct repeat *r, const char *what, const char *name)
{
	r->answer->what = REPLAY_DIFFERENT;
	snprintf(r->answer->why, sizeof r->answer->why, "%s%s%.300s%s", what, *name ? " '" : "", name, *name ? "'" : "");
}

static bool same_digest(const Reapi__Digest *a, const Reapi__Digest *b)
{
	return !a == !b && (!a || (a->size_bytes == b->size_bytes && strcmp(a->hash, b->hash) == 0));
}

// The first file or directory that is another one; both lists are in the command's order.
static bool say_outputs(struct repeat *r, const Reapi__ActionResult *was, const Reapi__ActionResult *now)
{
	for (size_t i = 0; i < was->n_output_files && i < now->n_output_files; i++)
		if (strcmp(was->output_files[i]->path, now->output_files[i]->path) != 0 ||
		    !same_digest(was->output_files[i]->digest, now->output_files[i]->digest)) {
			differ(r, "another file", was->output_files[i]->path);
			return true;
		}
	for (size_t i = 0; i < was->n_output_directories && i < now->n_output_directories; i++)
		if (strcmp(was->output_directories[i]->path, now->output_directories[i]->path) != 0 ||
		    !same_digest(was->output_directories[i]->tree_digest, now->output_directories[i]->tree_digest)) {
			differ(r, "another directory", was->output_directories[i]->path);
			return true;
		}
	return false;
}

static void say_difference(struct repeat *r, const Reapi__ActionResult *was, const Reapi__ActionResult *now)
{
	if (was->exit_code != now->exit_code) {
		r->answer->what = REPLAY_DIFFERENT;
		snprintf(r->answer->why, sizeof r->answer->why, "it ended with %d, and now with %d", was->exit_code,
			 now->exit_code);
	} else if (!say_outputs(r, was, now)) {
		if (!same_digest(was->stdout_digest, now->stdout_digest))
			differ(r, "other words on stdout", "");
		else if (!same_digest(was->stderr_digest, now->stderr_digest))
			differ(r, "other words on stderr", "");
		else
			differ(r, "its outputs are other ones", "");
	}
}

// Times and the worker's name are in a result, too; all the rest counts.
static int compare(struct repeat *r, struct err *err)
{
	AUTO_BUF struct buf then = BUF_INIT, today = BUF_INIT;
	Reapi__ActionResult now = REAPI__ACTION_RESULT__INIT, *was = NULL;
	if (r->x.run.limit[0])
		return replay_missing(r->answer, "the limit '%s' ended it here", r->x.run.limit);
	if (action_result(&r->x, &now) < 0)
		return err_take(err, &r->x.err);
	if (reapi_unpack(&reapi__action_result__descriptor, r->was.data, r->was.len, &was, err) < 0)
		return replay_missing(r->answer, "its result is none: %s", err->text);
	if (was->execution_metadata)
		reapi__executed_action_metadata__free_unpacked(was->execution_metadata, NULL);
	was->execution_metadata = NULL;
	reapi_pack(&was->base, &then);
	reapi_pack(&now.base, &today);
	if (then.len == today.len && (then.len == 0 || memcmp(then.data, today.data, then.len) == 0))
		r->answer->what = REPLAY_IDENTICAL;
	else
		say_difference(r, was, &now);
	reapi__action_result__free_unpacked(was, NULL);
	return 0;
}

int replay_action(struct worker_service *s, const struct audit_row *row, struct replay *answer, struct err *err)
{
	struct repeat r = {.answer = answer, .row = row};
	const char *tenant = value(&r, AUDIT_tenant);
	if (!token_is_name(tenant) || strlen(tenant) >= sizeof r.x.claims.tenant)
		return replay_missing(answer, "the row has no tenant");
	action_init(&r.x, NULL, s);
	snprintf(r.x.claims.tenant, sizeof r.x.claims.tenant, "%s", tenant);
	int rc = read_messages(&r);
	if (rc == 0)
		rc = read_inputs(&r);
	if (rc == 0)
		rc = read_result(&r);
	if (rc == 0)
		rc = check_image(&r);
	if (rc == 0)
		rc = run(&r, err);
	if (rc == 0)
		rc = compare(&r, err);
	action_release(&r.x);
	buf_release(&r.action);
	buf_release(&r.command);
	buf_release(&r.was);
	return rc;
}

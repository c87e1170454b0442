#include "worker/replay.h"

#include "audit/log.h"
#include "auth/token.h"
#include "codec/sha/sha256.h"
#include "store/store.h"
#include "worker/command.h"
#include "worker/difference.h"
#include "worker/evidence.h"
#include "worker/execution.h"
#include "worker/tree_request.h"
#include "worker/tree_source.h"
#include "worker/upload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rerun {
	struct worker_service *service;
	const struct audit_row *row;
	struct replay *answer;
	struct arena arena;
	Coffer__V1__CompileHeader header;
	Coffer__V1__Output outputs[HEADER_MAX_OUTPUTS], *output_list[HEADER_MAX_OUTPUTS];
	struct arguments found;
	struct upload source;        // preprocessed text
	struct tree_request request; // of the user's own: what was asked for, and the files
	struct tree_source files;
	struct output_frame frame;
	struct buf out, errs;
	struct job_result run;
};

int replay_missing(struct replay *answer, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	answer->what = REPLAY_MISSING;
	vsnprintf(answer->why, sizeof answer->why, fmt, args);
	va_end(args);
	return 1;
}

#define missing(r, ...) replay_missing((r)->answer, __VA_ARGS__)

static char *value(const struct rerun *r, enum audit_column c)
{
	return (char *)(uintptr_t)(r->row->value[c] ? r->row->value[c] : "");
}

// ---- what the row says ----------------------------------------------------------------------------------------------

// "object,dwo/out/x.o"
static int wanted_outputs(struct rerun *r)
{
	const char *text = value(r, AUDIT_outputs), *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	for (size_t at = 0; at < n;) {
		size_t length = strcspn(text + at, ",/");
		int kind = output_kind_by_name(text + at, length);
		if (kind < 0 || r->header.n_outputs == HEADER_MAX_OUTPUTS)
			return missing(r, "the row's outputs '%.80s' are not understood", text);
		Coffer__V1__Output *o = &r->outputs[r->header.n_outputs];
		*o = (Coffer__V1__Output)COFFER__V1__OUTPUT__INIT;
		o->kind = (Coffer__V1__Output__Kind)kind;
		r->output_list[r->header.n_outputs++] = o;
		at += length + 1;
	}
	r->header.outputs = r->output_list;
	r->header.output_name = (char *)(uintptr_t)(slash ? slash + 1 : "");
	return 0;
}

static bool is_of(const struct audit_row *row, const char *language)
{
	return audit_row_is(row, AUDIT_language, language);
}

static bool is_tree(const struct audit_row *row)
{
	return is_of(row, "tree");
}

static int check_toolchain(struct rerun *r)
{
	struct err err = ERR_INIT;
	const char *identity = value(r, AUDIT_image_digest);
	char now[TOOLCHAIN_IDENTITY];
	if (images_identity(r->service->images, r->header.image, r->header.compiler, now, &err) < 0)
		return missing(r, "the toolchain is not here: %s", err.text);
	if (strcmp(now, identity) != 0)
		return missing(r, "the toolchain '%s' is not here: '%s' is '%s' now", identity, r->header.compiler, now);
	return 0;
}

static int read_header(struct rerun *r)
{
	struct err err = ERR_INIT;
	Coffer__V1__CompileHeader *h = &r->header;
	const char *identity = value(r, AUDIT_image_digest);
	*h = (Coffer__V1__CompileHeader)COFFER__V1__COMPILE_HEADER__INIT;
	h->image = strncmp(identity, "sha256:", 7) == 0 ? value(r, AUDIT_image_digest) : (char *)(uintptr_t) "host:any";
	h->compiler = value(r, AUDIT_compiler);
	h->language = value(r, AUDIT_language);
	h->suffix = value(r, AUDIT_suffix);
	h->arguments = (char **)(uintptr_t)audit_flags_split(&r->arena, r->row->value[AUDIT_flags], &h->n_arguments);
	int rc = wanted_outputs(r);
	if (rc)
		return rc;
	if (header_check(h, &r->found, &err) < 0)
		return missing(r, "the row is no compile that runs today: %s", err.text);
	return check_toolchain(r);
}

// The source by its digest, which is computed once more.
static int read_source(struct rerun *r)
{
	AUTO_BUF struct buf packed = {.max = STORE_MAX_BLOB};
	struct err err = ERR_INIT;
	struct sha256 digest;
	const char *tenant = value(r, AUDIT_tenant);
	if (!audit_digest_read(r->row->value[AUDIT_source_digest], &digest))
		return missing(r, "the row has no source");
	if (!token_is_name(tenant) || results_get_source(r->service->results, tenant, digest.b, &packed, &err) != 1)
		return missing(r, "the source is no longer here");
	if (upload_take(&r->source, packed.data, packed.len, &err) < 0 || upload_end(&r->source, &err) < 0 ||
	    memcmp(r->source.digest, digest.b, sizeof digest.b) != 0)
		return missing(r, "the source that is here is not the row's");
	return 0;
}

// ---- of the user's own text -----------------------------------------------------------------------------------------

// The row names it by its key, and it names the listing.
static int read_request(struct rerun *r)
{
	struct err err = ERR_INIT;
	struct sha256 key;
	struct key name;
	const char *tenant = value(r, AUDIT_tenant);
	if (!runtime_has_roots(r->service->runtime))
		return missing(r, "the runtime '%s' takes no trees", runtime_label(r->service->runtime));
	if (!audit_digest_read(r->row->value[AUDIT_key], &key))
		return missing(r, "the row has no key");
	memcpy(name.b, key.b, sizeof name.b);
	int found = token_is_name(tenant)
			    ? tree_request_load(r->service->results, tenant, &name, &r->arena, &r->request, &err)
			    : 0;
	if (found < 0)
		return missing(r, "the row is no compile that runs today: %s", err.text);
	if (found == 0)
		return missing(r, "what was asked for (directory, variables, words) is no longer here, or was never kept");
	r->header = r->request.header;
	return check_toolchain(r);
}

static int read_files(struct rerun *r)
{
	AUTO_BUF struct buf path = BUF_INIT;
	struct err err = ERR_INIT;
	struct tree_source *s = &r->files;
	char hex[SHA256_HEX];
	int found = tree_source_load(s, &r->request.listing, &err);
	if (found == 0)
		return missing(r, "the listing of its files is no longer here");
	if (found < 0 || tree_source_check_places(s, &r->header, &err) < 0)
		return missing(r, "the listing of its files is not taken today: %s", err.text);
	if (s->n_wanted == 0)
		return 0;
	const struct source_node *first = s->tree.files[s->wanted[0]];
	sha256_hex(&first->sha256, hex);
	tree_source_path(s, first, &path);
	return missing(r, "%zu of its %u files are no longer here, as '%.200s' (sha256:%s)", s->n_wanted, s->tree.n_files,
		       path.data, hex);
}

// ---- may it run? ----------------------------------------------------------------------------------------------------

static int check_row(struct rerun *r)
{
	const char *outcome = value(r, AUDIT_outcome);
	int isolation = isolation_of_name(value(r, AUDIT_isolation));
	if (strcmp(outcome, "run") != 0 && strcmp(outcome, "hit") != 0 && strcmp(outcome, "failed") != 0)
		return missing(r, "nothing was given out for it: its outcome is '%s'", outcome);
	if (isolation < 0 || (int)runtime_isolation(r->service->runtime) < isolation)
		return missing(r, "it ran in '%s', and here is only '%s'", value(r, AUDIT_isolation),
			       isolation_name((int)runtime_isolation(r->service->runtime)));
	return 0;
}

// ---- the run and the comparison -------------------------------------------------------------------------------------

static int run(struct rerun *r, struct err *err)
{
	struct worker_command command;
	struct pooled_session *session;
	struct job_tree tree;
	if (r->header.tree)
		command_build_tree(&command, &r->arena, &r->header);
	else
		command_build(&command, &r->arena, &r->header, &r->found, r->source.digest);
	if (sessions_take(r->service->sessions, value(r, AUDIT_tenant), images_session_name(r->header.image), &session,
			  err) < 0)
		return -1;
	struct execution x = {.command = &command,
			      .source = {r->source.packed.data, r->source.packed.len},
			      .out = &r->out,
			      .errs = &r->errs,
			      .frame = &r->frame};
	if (r->header.tree) {
		tree_source_job(&r->files, &r->header, &tree);
		tree_source_rewind(&r->files);
		x.tree = &tree;
		x.read = tree_source_read;
		x.read_ctx = &r->files;
	}
	int rc = execution_run(&x, pooled_session(session), &r->run, err);
	sessions_give(r->service->sessions, session);
	return rc;
}

// What the first differing output looks like, if the result that was given out is still here.
static void say_difference(struct rerun *r, const struct result *now, const struct key *key)
{
	AUTO_BUF struct buf blob = BUF_INIT;
	AUTO_BUF struct buf words = BUF_INIT;
	AUTO_BUF struct buf old_bytes = {.max = STORE_MAX_BLOB};
	AUTO_BUF struct buf new_bytes = {.max = STORE_MAX_BLOB};
	struct result was;
	size_t i = 0;
	if (results_get(r->service->results, value(r, AUDIT_tenant), key, ISOLATION_NONE, &blob, &was, NULL) != 1)
		return;
	while (i < was.n_outputs && i < now->n_outputs &&
	       (output_kind_is_passing(was.outputs[i].kind) ||
		memcmp(was.outputs[i].sha256, now->outputs[i].sha256, 32) == 0))
		i++;
	if (i == was.n_outputs || i == now->n_outputs || result_unpack(&was, i, &old_bytes, NULL) < 0 ||
	    result_unpack(now, i, &new_bytes, NULL) < 0)
		return;
	difference_say(&old_bytes, &new_bytes, &words);
	size_t n = strlen(r->answer->why);
	snprintf(r->answer->why + n, sizeof r->answer->why - n, ": %s, %s", output_kind_name(now->outputs[i].kind),
		 words.data);
}

static void compare(struct rerun *r)
{
	struct evidence e = {0};
	struct result x = {.n_outputs = r->run.exit_status ? 0 : r->frame.n};
	const char *tenant = value(r, AUDIT_tenant), *identity = value(r, AUDIT_image_digest);
	const uint8_t *source = r->header.tree ? r->files.digest.b : r->source.digest;
	struct key key = r->header.tree ? key_of_tree(tenant, identity, &r->header, source)
					: key_of(tenant, identity, &r->header, source);
	memcpy(x.source, source, sizeof x.source);
	memcpy(x.outputs, r->frame.outputs, sizeof x.outputs);
	x.frame = r->frame.frame.data;
	x.n_frame = r->frame.frame.len;
	evidence_describe(&e, &key, &x);
	const char *was = value(r, AUDIT_output_digest), *now = e.row.value[AUDIT_output_digest];
	const char *exit = r->row->value[AUDIT_exit] ? r->row->value[AUDIT_exit] : "0";
	const char *words = r->header.tree ? evidence_tree_flags(&r->arena, &r->header) : value(r, AUDIT_flags);
	if (r->run.limit[0]) {
		missing(r, "the limit '%s' ended it here", r->run.limit);
		evidence_release(&e);
		return;
	}
	r->answer->what = REPLAY_DIFFERENT;
	if (atoi(exit) != r->run.exit_status)
		snprintf(r->answer->why, sizeof r->answer->why, "it ended with %s, and now with %d", exit,
			 r->run.exit_status);
	else if (strcmp(was, now ? now : "") != 0) {
		snprintf(r->answer->why, sizeof r->answer->why, "its output was %s, and now is %s", was, now ? now : "none");
		say_difference(r, &x, &key);
	} else if (strcmp(value(r, AUDIT_source_digest), e.row.value[AUDIT_source_digest]) != 0)
		snprintf(r->answer->why, sizeof r->answer->why, "its source is not what its key stands for");
	else if (r->row->value[AUDIT_key] && strcmp(r->row->value[AUDIT_key], e.row.value[AUDIT_key]) != 0)
		snprintf(r->answer->why, sizeof r->answer->why, "its key is not that of what it says");
	else if (strcmp(words ? words : "", value(r, AUDIT_flags)) != 0)
		snprintf(r->answer->why, sizeof r->answer->why, "its words are not those that its key stands for");
	else
		r->answer->what = REPLAY_IDENTICAL;
	evidence_release(&e);
}

static int replay_compile(struct rerun *r, struct err *err)
{
	int rc = is_tree(r->row) ? read_request(r) : read_header(r);
	if (rc == 0)
		rc = is_tree(r->row) ? read_files(r) : read_source(r);
	if (rc == 0 && (rc = run(r, err)) == 0)
		compare(r);
	return rc;
}

int replay_row(struct worker_service *s, const struct audit_row *row, struct replay *answer, struct err *err)
{
	struct rerun r = {.service = s, .row = row, .answer = answer};
	*answer = (struct replay){.what = REPLAY_MISSING};
	r.out.max = r.errs.max = (size_t)s->limits.message_bytes;
	upload_init(&r.source, s->limits.source_bytes);
	tree_source_init(&r.files, s->results, value(&r, AUDIT_tenant), s->limits.source_bytes);
	output_frame_init(&r.frame, s->limits.output_bytes);
	int rc = check_row(&r);
	if (rc == 0)
		rc = is_of(row, "action") ? replay_action(s, row, answer, err) : replay_compile(&r, err);
	upload_release(&r.source);
	tree_source_release(&r.files);
	output_frame_release(&r.frame);
	buf_release(&r.out);
	buf_release(&r.errs);
	arena_release(&r.arena);
	return rc < 0 ? -1 : 0;
}

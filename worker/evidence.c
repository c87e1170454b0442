#include "worker/evidence.h"

#include "auth/token.h"
#include "base/log.h"
#include "codec/sha/sha256.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int evidence_begin(struct evidence *e, struct audit_log *log, const char *worker, const char *tenant,
		   enum isolation isolation, struct err *err)
{
	if (!log)
		return 0;
	e->row.value[AUDIT_worker] = worker;
	e->row.value[AUDIT_tenant] = *tenant ? tenant : NULL;
	e->row.value[AUDIT_isolation] = isolation_name((int)isolation);
	if (audit_log_start(log, &e->row, e->job, err) < 0)
		return -1;
	e->log = log;
	return 0;
}

// "object,dwo/out/x.o"
static const char *wanted(struct evidence *e, const Coffer__V1__CompileHeader *h)
{
	AUTO_BUF struct buf b = BUF_INIT;
	for (size_t i = 0; i < h->n_outputs; i++)
		buf_addf(&b, "%s%s", i ? "," : "", output_kind_name((int)h->outputs[i]->kind));
	if (h->output_name && *h->output_name)
		buf_addf(&b, "/%s", h->output_name);
	return b.len ? arena_strndup(&e->arena, b.data, b.len) : NULL;
}

const char *evidence_tree_flags(struct arena *a, const Coffer__V1__CompileHeader *h)
{
	const char *joined = audit_flags_join(a, (const char *const *)(uintptr_t)h->arguments, h->n_arguments);
	if (!joined || audit_value_length(joined) <= AUDIT_FLAGS_MAX)
		return joined;
	AUTO_BUF struct buf b = BUF_INIT;
	for (size_t i = 0; i < h->n_arguments; i++)
		buf_add_str(&b, h->arguments[i]);
	struct sha256 digest = sha256_of(b.data, b.len);
	return arena_printf(a, "arguments=%s", audit_digest(a, digest.b));
}

int evidence_header(struct evidence *e, const Coffer__V1__CompileHeader *h, const char *identity, struct err *err)
{
	if (!e->log)
		return 0;
	const char *const *flags = (const char *const *)(uintptr_t)h->arguments;
	e->row.value[AUDIT_image_digest] = arena_strdup(&e->arena, identity);
	e->row.value[AUDIT_flags] =
		h->tree ? evidence_tree_flags(&e->arena, h) : audit_flags_join(&e->arena, flags, h->n_arguments);
	e->row.value[AUDIT_compiler] = h->compiler;
	e->row.value[AUDIT_language] = h->tree ? "tree" : h->language;
	e->row.value[AUDIT_suffix] = h->tree ? NULL : h->suffix;
	e->row.value[AUDIT_outputs] = wanted(e, h);
	const char *joined = e->row.value[AUDIT_flags];
	if (!h->tree && joined && audit_value_length(joined) > AUDIT_FLAGS_MAX)
		return err_set(err, ERR_LIMIT, "the arguments are longer than a row of the audit log, which holds %d bytes",
			       AUDIT_FLAGS_MAX);
	return 0;
}

void evidence_source(struct evidence *e, const uint8_t digest[32])
{
	if (e->log)
		e->row.value[AUDIT_source_digest] = audit_digest(&e->arena, digest);
}

void evidence_session(struct evidence *e, const char *label, int pid, const char *monitor)
{
	if (!e->log)
		return;
	e->row.value[AUDIT_vm] = arena_printf(&e->arena, "%s-%d", label, pid);
	e->row.value[AUDIT_monitor] = monitor;
}

void evidence_run(struct evidence *e, const struct job_result *run)
{
	if (!e->log)
		return;
	e->row.value[AUDIT_duration] = arena_printf(&e->arena, "%" PRIu64, run->usage.wall_us);
	e->row.value[AUDIT_exit] = arena_printf(&e->arena, "%d", run->exit_status);
	e->row.value[AUDIT_limit] = run->limit[0] ? arena_strdup(&e->arena, run->limit) : NULL;
	e->row.value[AUDIT_cpu] = arena_printf(&e->arena, "%" PRIu64, run->usage.user_us + run->usage.system_us);
	e->row.value[AUDIT_memory] = arena_printf(&e->arena, "%" PRIu64, run->usage.peak_bytes);
}

void evidence_result(struct evidence *e, const struct key *key, const struct result *x)
{
	if (!e->log)
		return;
	// Of a known result: what it was made in, which is no less than what it would be made in here.
	e->row.value[AUDIT_isolation] = isolation_name((int)x->isolation);
	evidence_describe(e, key, x);
}

void evidence_describe(struct evidence *e, const struct key *key, const struct result *x)
{
	AUTO_BUF struct buf b = BUF_INIT;
	e->row.value[AUDIT_key] = audit_digest(&e->arena, key->b);
	e->row.value[AUDIT_source_digest] = audit_digest(&e->arena, x->source);
	for (size_t i = 0; i < x->n_outputs; i++) {
		const char *kind = output_kind_name(x->outputs[i].kind);
		if (output_kind_is_passing(x->outputs[i].kind))
			continue;
		buf_addf(&b, "%s%s%s%s", b.len ? "," : "", i ? kind : "", i ? "=" : "",
			 audit_digest(&e->arena, x->outputs[i].sha256));
	}
	e->row.value[AUDIT_output_digest] = b.len ? arena_strndup(&e->arena, b.data, b.len) : NULL;
}

int evidence_end(struct evidence *e, const char *outcome, const char *reason, struct err *err)
{
	if (!e->log)
		return 0;
	e->row.value[AUDIT_outcome] = outcome;
	e->row.value[AUDIT_reason] = reason && *reason ? reason : NULL;
	if (audit_log_finish(e->log, &e->row, NULL, err) < 0)
		return -1;
	e->log = NULL;
	return 0;
}

void evidence_release(struct evidence *e)
{
	arena_release(&e->arena);
}

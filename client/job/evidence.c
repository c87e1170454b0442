#include "client/job/evidence.h"

#include "base/log.h"
#include "base/path.h"
#include "client/job/share_name.h"
#include "client/services/audit_logs.h"
#include "codec/sha/sha256.h"

#include <inttypes.h>

static const char *const end_names[] = {
	[END_HIT] = "hit",
	[END_RUN] = "run",
	[END_FAILED] = "failed",
	[END_AWAY] = "away",
	[END_UNTOUCHED] = "untouched",
	[END_CANCELLED] = "cancelled",
};

int evidence_begin_compile(struct compile_evidence *e, const struct plan *p, struct err *err)
{
	struct audit_logs *logs = p->services->audit_logs;
	struct audit_log *log;
	int rc = audit_logs_find(logs, p->config, &log, err);
	if (rc <= 0)
		return rc;
	const char **value = e->row.value;
	value[AUDIT_tenant] = audit_logs_user(logs);
	value[AUDIT_worker] = audit_logs_machine(logs);
	value[AUDIT_isolation] = "none";
	if (p->wire->n_argv)
		value[AUDIT_compiler] = path_base(p->wire->argv[0]);
	if (audit_log_start(log, &e->row, e->job, err) < 0)
		return -1;
	e->log = log;
	return 0;
}

// The toolchain and the source, as far as the plan has come.
static void say_what_went_in(struct compile_evidence *e, const struct plan *p)
{
	struct sha256 sha;
	struct digest ignored;
	if (p->wire->n_argv)
		e->row.value[AUDIT_flags] = audit_flags_join(p->arena, p->wire->argv + 1, p->wire->n_argv - 1);
	if (!p->compiler || !p->line.source)
		return;
	if (share_name_toolchain(p, &sha, NULL) == 0) {
		char hex[SHA256_HEX];
		sha256_hex(&sha, hex);
		e->row.value[AUDIT_image_digest] = arena_printf(p->arena, "host:%s", hex);
	}
	if (contents_find(p->services->contents, p->cwd_fd, p->line.source, &sha, &ignored, NULL) == 0)
		e->row.value[AUDIT_source_digest] = audit_digest(p->arena, sha.b);
	e->row.value[AUDIT_language] = lang_name(p->line.lang);
	e->row.value[AUDIT_suffix] = path_ext(p->line.source);
}

// Of the bytes where they are known; else of the file, which somebody may have moved away.
static bool find_output(const struct plan *p, const struct compile_said *said, enum part part, struct sha256 *sha)
{
	const char *name = plan_output_name(p, part);
	struct digest ignored;
	if (said->delivered && said->delivered[part])
		*sha = *said->delivered[part];
	else if (said->delivered || !name || !said->made[part] ||
		 contents_find(p->services->contents, p->cwd_fd, name, sha, &ignored, NULL) < 0)
		return false;
	return true;
}

static void say_what_came_out(struct compile_evidence *e, const struct plan *p, const struct compile_said *said)
{
	static const char *const kinds[PART_COUNT] = {
		[PART_OBJECT] = "object",
		[PART_DWO] = "dwo",
		[PART_GCNO] = "gcno",
		[PART_SU] = "su",
		[PART_SERIALIZED] = "dia",
		[PART_REMARKS] = "remarks",
		[PART_CALLGRAPH] = "callgraph",
		[PART_LISTING] = "listing",
		[PART_DDI] = "ddi",
	};
	AUTO_BUF struct buf b = BUF_INIT;
	for (enum part part = 0; part < PART_COUNT; part++) {
		struct sha256 sha;
		if (!find_output(p, said, part, &sha))
			continue;
		buf_addf(&b, "%s%s%s%s", b.len ? "," : "", part == PART_OBJECT ? "" : kinds[part],
			 part == PART_OBJECT ? "" : "=", audit_digest(p->arena, sha.b));
	}
	e->row.value[AUDIT_output_digest] = b.len ? arena_strndup(p->arena, b.data, b.len) : NULL;
}

void evidence_end_compile(struct compile_evidence *e, const struct plan *p, bool tells_all, const struct compile_said *said)
{
	struct err err = ERR_INIT;
	const char **value = e->row.value;
	if (!e->log)
		return;
	bool ran = said->end == END_RUN || said->end == END_FAILED;
	bool made = said->end == END_HIT || said->end == END_RUN || said->end == END_AWAY;
	if (tells_all)
		say_what_went_in(e, p);
	if (tells_all && made)
		say_what_came_out(e, p, said);
	value[AUDIT_outcome] = end_names[said->end];
	value[AUDIT_reason] = said->reason;
	value[AUDIT_vm] = said->worker;
	if (ran) {
		value[AUDIT_duration] = arena_printf(p->arena, "%" PRIu64, said->wall_us);
		value[AUDIT_exit] = arena_printf(p->arena, "%d", said->exit_status);
	}
	if (said->result && !digest_is_zero(said->result)) {
		char hex[DIGEST_HEX];
		digest_hex(said->result, hex);
		value[AUDIT_key] = arena_printf(p->arena, "xxh3:%s", hex);
	}
	if (audit_log_finish(e->log, &e->row, NULL, &err) < 0)
		log_error("an audit row was not written: %s", err.text);
	e->log = NULL;
}

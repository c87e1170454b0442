#include "client/job/job.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/text.h"
#include "base/value.h"
#include "client/job/away.h"
#include "client/job/command.h"
#include "client/job/deliver.h"
#include "client/job/follow.h"
#include "client/job/local_copy.h"
#include "client/job/publish.h"
#include "client/job/recheck.h"
#include "client/job/share.h"
#include "client/services/farms.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EQUAL_TURN_MS = 500, EQUAL_MOST_MS = 10000, AWAY_INSTEAD_MS = 2000 };

static int send_text(struct job *j, enum wire_type type, const char *text)
{
	AUTO_BUF struct buf b = BUF_INIT;
	wire_put_text(&b, text);
	return wire_send(j->sock, type, &b, NULL, 0, NULL);
}

void job_send_done(struct job *j, const struct wire_done *done)
{
	AUTO_BUF struct buf b = BUF_INIT;
	wire_put_done(&b, done);
	wire_send(j->sock, WIRE_DONE, &b, NULL, 0, NULL);
}

// Whether the launcher is our own user and sees the same files. Anything else is run untouched, or belongs to another daemon.
static enum reason check_peer(const struct job *j)
{
	struct wire_world world;
	if (wire_check_peer(j->sock, NULL) < 0)
		return REASON_other_user;
	if (wire_peer_world(&world, j->sock) < 0 || !wire_same_world(&world, &j->plan.services->world))
		return REASON_mount_namespace;
	return REASON_NONE;
}

// Behind coffer's own front end the jobserver sees to the cores; a compiler that starts coffer again has its slot already.
static bool is_gated(const struct job *j)
{
	const char *depth = env_value(j->plan.env, "COFFER_DEPTH");
	return (!depth || atoi(depth) <= 1) && !env_value(j->plan.env, "COFFER_JOBSERVER") &&
	       !env_value(j->plan.env, "COFFER_GATE");
}

// Behind a farm one core is kept free for preprocessing: compile here while another core is idle, and send what cannot start
// here to the farm if it may go.
static enum where choose_where(const struct job *j)
{
	struct services *s = j->plan.services;
	bool has_farm = farms_find(s->farms, j->plan.config) != NULL && !j->checked.len;
	if (!is_gated(j))
		return has_farm ? AWAY : HERE;
	if (slots_try(&s->slots, has_farm ? 1 : 0))
		return HERE_WITH_SLOT;
	return has_farm ? AWAY_OR_WAIT : WAIT_FOR_HERE;
}

bool job_stores(const struct job *j)
{
	return !setting_bool(j->plan.config, SETTING_read_only) && j->keeping == KEEPING;
}

struct publication job_publication(const struct job *j)
{
	return (struct publication){.plan = &j->plan,
				    .is_crowded = lookup_is_crowded(&j->lookup),
				    .wall_us = j->wall_us,
				    .stored = j->checked.len ? &j->checked : NULL};
}

bool job_tell(struct job *j, enum wire_type what)
{
	return wire_send(j->sock, what, NULL, NULL, 0, NULL) == 0;
}

static bool tell_to_wait(void *job)
{
	return job_tell(job, WIRE_WAIT);
}

static bool has_bytes(int fd)
{
	struct stat st;
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0;
}

// The worker's compiler had something to say. Has ours?
static void judge_worker(const struct job *j, bool has_words)
{
	struct farm *farm = farms_find(j->plan.services->farms, j->plan.config);
	if (farm)
		farm_note_words(farm, j->doubted, has_words);
}

static void note_checked(struct job *j, const char *differs)
{
	struct stats *stats = j->plan.services->stats;
	if (!j->checked.len)
		return;
	stats_add(stats, STAT_rechecked, 1);
	j->lookup.cause = (struct cause){.kind = differs ? CAUSE_DIFFERS : CAUSE_CHECKED};
	if (!differs)
		return;
	stats_add(stats, STAT_recheck_differs, 1);
	cause_add(&j->lookup.cause, differs, NULL, NULL);
	log_warn("the stored result of '%s' is not what the compiler makes: %s", j->plan.line.source, differs);
}

// The compiler runs in the launcher: it has the user's terminal, limits, signals and jobserver. We tell it the command and
// take what came of it.
static struct refusal compile_in_launcher(struct job *j)
{
	struct wire_run run = {0};
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO_MSG struct wire_msg answer = WIRE_MSG_INIT;
	struct err err = ERR_INIT;
	struct wire_result result;

	command_make(&j->plan, &run);
	baseline_take(&j->baseline, &j->plan, j->lookup.newest_input_ns);
	wire_put_run(&b, &run);
	struct timeval forever = {0};
	setsockopt(j->sock, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
	if (wire_send(j->sock, WIRE_RUN, &b, NULL, 0, &err) < 0 || wire_recv(j->sock, &answer, &err) < 0 ||
	    answer.type != WIRE_RESULT || wire_get_result(&result, &answer.payload, &err) < 0) {
		log_debug("a launcher went away during its compile: %s", err.text);
		return refuse(REASON_compile_killed, NULL);
	}
	j->wall_us = result.wall_us;
	int status = (int)result.status;
	if (WIFSIGNALED(status))
		return refuse(REASON_compile_killed, NULL);
	j->exit_status = WEXITSTATUS(status);
	if (j->doubted)
		judge_worker(j, WEXITSTATUS(status) != 0 || result.overflow || has_bytes(answer.fds[0]) ||
					has_bytes(answer.fds[1]));
	if (WEXITSTATUS(status) != 0) {
		note_checked(j, "the exit status");
		return refuse(REASON_compile_failed, NULL);
	}
	for (enum part part = 0; part < PART_COUNT; part++)
		j->made[part] = baseline_is_made(&j->baseline, &j->plan, part);
	away_heed_policy(j, true);
	if (!job_stores(j))
		return NO_REFUSAL;
	struct publication pub = job_publication(j);
	struct refusal refusal = publish(&pub, &j->baseline, &result, answer.fds);
	note_checked(j, pub.differs);
	j->result = pub.result;
	j->stored = pub.is_stored ? pub.entry : (struct manifest_entry){0};
	j->is_stored = pub.is_stored;
	if (j->is_stored)
		same_text_plan(&j->text, &j->plan, &j->baseline);
	return refusal;
}

// Compiles here, once there is a core for it.
static struct refusal compile_here(struct job *j, enum where where)
{
	struct services *s = j->plan.services;
	if (where == WAIT_FOR_HERE && slots_enter(&s->slots, SLOTS_LIMIT_MS, tell_to_wait, j))
		where = HERE_WITH_SLOT;
	struct refusal refusal = compile_in_launcher(j);
	if (where == HERE_WITH_SLOT)
		slots_leave(&s->slots);
	struct farm *farm = farms_find(s->farms, j->plan.config);
	if (farm && j->wall_us)
		farm_note_local(farm, (int64_t)j->wall_us / 1000);
	return refusal;
}

static struct refusal compile(struct job *j)
{
	struct refusal refusal = NO_REFUSAL;
	enum where where = choose_where(j);
	if (where == AWAY || where == AWAY_OR_WAIT)
		where = away_compile(j, where, &refusal);
	return where == DONE_AWAY ? refusal : compile_here(j, where);
}

// ---- the record -----------------------------------------------------------------------------------------------------

static void tell_sending(const struct job *j, struct journal_record *r)
{
	static const char *const names[] = {[SENT_NOT] = NULL, [SENT_TREE] = "tree", [SENT_TEXT] = "text"};
	const struct sent *s = &j->sent;
	r->sent_as = names[s->as];
	r->worker = j->worker;
	r->sent_bytes = s->bytes;
	r->sent_us = s->cpu_us;
	if (s->no_tree.reason) {
		r->no_tree = no_tree_name(s->no_tree.reason);
		r->no_tree_culprit = s->no_tree.culprit;
	}
}

// Where nothing is kept no argument, variable or file is written down either.
static void record(const struct job *j, enum outcome outcome, struct refusal refusal)
{
	const struct plan *p = &j->plan;
	const struct cause kept_nothing = {.kind = j->keeping == KEEPING_NOT ? CAUSE_PARANOID : CAUSE_POLICY};
	bool is_miss = outcome == OUTCOME_MISS, is_not_cached = outcome == OUTCOME_NOT_CACHED;
	struct journal_record r = {.outcome = outcome,
				   .reason = refusal.reason,
				   .cwd = p->cwd ? p->cwd : j->wire.cwd,
				   .source = p->line.source,
				   .output = p->line.output,
				   .wall_us = j->wall_us};
	if (is_not_cached && j->keeping == KEEPING)
		r.culprit = refusal.culprit;
	if (is_not_cached && !p->line.source && j->wire.n_argv)
		r.command = j->wire.argv[0];
	if (!is_not_cached && j->keeping == KEEPING) {
		r.unit = &p->unit_key;
		r.key = &p->manifest_key;
		r.result = &j->result;
		r.shared = is_miss ? j->lookup.ids : NULL;
	}
	if (j->keeping == KEEPING)
		tell_sending(j, &r);
	if (is_miss && j->keeping != KEEPING)
		r.cause = &kept_nothing;
	else if (j->keeping == KEEPING && j->lookup.cause.kind != CAUSE_NONE &&
		 (is_miss || is_not_cached || outcome == OUTCOME_PREPROCESSED_HIT))
		r.cause = &j->lookup.cause;
	journal_add(p->services->journal, &r);
}

static enum compile_end end_of(const struct job *j, struct refusal refusal)
{
	if (j->is_answered)
		return END_AWAY;
	switch (refusal.reason) {
	case REASON_compile_failed:
		return END_FAILED;
	case REASON_compile_killed:
		return END_CANCELLED;
	default:
		return j->wall_us ? END_RUN : END_UNTOUCHED;
	}
}

static void give_evidence(struct job *j, enum compile_end end, struct refusal refusal)
{
	const char *reason = is_refused(refusal) ? reason_name(refusal.reason) : NULL;
	const struct compile_said said = {.end = end,
					  .exit_status = j->exit_status,
					  .wall_us = j->wall_us,
					  .reason = reason,
					  .worker = j->is_answered ? j->worker : NULL,
					  .result = &j->result,
					  .made = j->made,
					  .delivered = j->is_answered ? j->delivered : NULL};
	evidence_end_compile(&j->evidence, &j->plan, j->keeping == KEEPING, &said);
}

// Where the counters have gone with the cache directory, the compile has begun in the new file, too.
static void count_beginning(struct job *j)
{
	struct stats *stats = j->plan.services->stats;
	unsigned now = stats_renew(stats);
	if (now != j->counted_in)
		stats_add(stats, STAT_compiles, 1);
	j->counted_in = now;
}

// Not to who only asks a compiler something, and not to autoconf, which takes any message of a check for an answer.
static bool may_be_told(const struct wire_job *w)
{
	bool compiles = false;
	for (uint32_t i = 1; i < w->n_argv; i++) {
		compiles |= strcmp(w->argv[i], "-c") == 0 || strcmp(w->argv[i], "-S") == 0;
		if (text_begins(path_base(w->argv[i]), "conftest."))
			return false;
	}
	return compiles;
}

// Settings that can't be used leave a whole build without cache: it is told once, on the standard error of the compile that meets
// it first.
static const char *notice_of(const struct job *j, struct refusal refusal)
{
	struct ucred peer;
	socklen_t n = sizeof peer;
	if ((refusal.reason != REASON_configuration && refusal.reason != REASON_audit_log) || !refusal.culprit ||
	    !may_be_told(&j->wire) || getsockopt(j->sock, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 ||
	    !notices_is_first(&j->plan.services->notices, getsid(peer.pid), refusal.culprit, clock_ms()))
		return NULL;
	char *text = arena_printf(j->plan.arena, "%s; without these settings nothing is cached ('coffer doctor')",
				  refusal.culprit);
	value_make_plain(text);
	return text;
}

static void not_cached(struct job *j, struct refusal refusal)
{
	count_beginning(j);
	stats_add_reason(j->plan.services->stats, refusal.reason);
	record(j, OUTCOME_NOT_CACHED, refusal);
	give_evidence(j, end_of(j, refusal), refusal);
}

// ---- the story of one compile ---------------------------------------------------------------------------------------

// What comes back a second time will do so again, and unpacking is half of a large hit.
static void ease_next_hit(const struct job *j, const struct manifest_entry *entry, const struct buf *result)
{
	struct store_part raw = {result->data, result->len};
	struct err err = ERR_INIT;
	if (entry->uses == 2 && raw.n >= STORE_UNPACKED_MIN && job_stores(j) &&
	    store_keep_unpacked(j->plan.services->store, STORE_RESULT, &entry->result, &raw, &err) < 0)
		log_info("cannot keep a result unpacked: %s", err.text);
}

// With hundreds of units at once behind one header that has changed, each would run its preprocessor at the same moment, and none would
// be heard of for long. A turn is worth waiting for: it costs less than the compile. Not for long where that may go away.
static bool find_same_text(struct job *j, struct manifest_entry *entry, struct buf *result)
{
	struct services *s = j->plan.services;
	if (!same_text_is_due(&j->text, &j->lookup))
		return false;
	int64_t limit = farms_find(s->farms, j->plan.config) ? AWAY_INSTEAD_MS : SLOTS_LIMIT_MS;
	if (!slots_enter(&s->text_slots, limit, tell_to_wait, j))
		return false;
	bool found = same_text_find(&j->text, &j->lookup, &j->baseline, entry, result) == 1;
	slots_leave(&s->text_slots);
	// That takes a while: whoever waits no longer compiles by itself, and what it makes of its outputs is not to be overwritten.
	return found && job_tell(j, WIRE_WAIT);
}

static bool hit(struct job *j)
{
	struct manifest_entry entry;
	AUTO_BUF struct buf result = {.max = STORE_MAX_BLOB};
	struct wire_done done = {0};
	struct err err = ERR_INIT;
	struct services *s = j->plan.services;

	if (j->keeping != KEEPING)
		return false; // why is said when the job is recorded
	if (setting_bool(j->plan.config, SETTING_recache)) {
		j->lookup.cause.kind = CAUSE_RECACHE;
		return false;
	}
	if (lookup_find(&j->lookup, &entry, &result) != 1 && share_find(&j->lookup, &entry, &result) != 1 &&
	    !find_same_text(j, &entry, &result))
		return false;
	if (job_stores(j) && recheck_is_due(j->plan.config)) {
		j->checked = result;
		result = (struct buf)BUF_INIT;
		return false;
	}
	if (deliver_hit(&j->plan, &entry, &result, j->made, &done, &err) < 0) {
		log_info("cannot write the outputs of '%s': %s", j->plan.line.source, err.text);
		return false;
	}
	j->wall_us = entry.wall_us;
	j->result = entry.result;
	stats_add(s->stats, j->lookup.outcome == OUTCOME_DIRECT_HIT ? STAT_direct_hits : STAT_preprocessed_hits, 1);
	stats_add(s->stats, STAT_time_saved_us, entry.wall_us);
	stats_add(s->stats, STAT_bytes_read, result.len);
	give_evidence(j, END_HIT, NO_REFUSAL);
	job_send_done(j, &done);
	record(j, j->lookup.outcome, NO_REFUSAL);
	// Nobody waits any more.
	if (j->lookup.shared)
		local_copy_keep(&j->plan, j->lookup.shared, &entry, j->lookup.manifest, &result);
	else
		ease_next_hit(j, &entry, &result);
	return true;
}

// Nothing is given out that could have no row.
static struct refusal begin_evidence(struct job *j, struct refusal refusal)
{
	struct err err = ERR_INIT;
	if (evidence_begin_compile(&j->evidence, &j->plan, &err) == 0)
		return refusal;
	return refuse(REASON_audit_log, arena_printf(&j->arena, "%s", err.text));
}

// What is not cached is told no more of than it may be either: `keeping` is known before anything is recorded.
static struct refusal understand(struct job *j, enum reason peer)
{
	struct plan *p = &j->plan;
	struct refusal refusal = {peer, NULL};
	if (!is_refused(refusal))
		refusal = p->services->store ? plan_make(p) : refuse(REASON_store_failed, NULL);
	follow_note(p);
	j->follow = follow_order(p, refusal.reason);
	if (j->follow)
		return refusal;
	if (!p->config)
		return is_refused(refusal) ? refusal : refuse(REASON_configuration, NULL);
	// The daemon serves whoever compiles with its cache directory: the last one says how large it may be.
	if (p->services->store)
		store_set_limit(p->services->store, (uint64_t)setting_number(p->config, SETTING_max_size));
	if (setting_bool(p->config, SETTING_paranoid))
		j->keeping = KEEPING_NOT;
	away_heed_policy(j, false);
	return begin_evidence(j, refusal);
}

// An equal compile is under way: its result is worth waiting for, as both would take the same cores. A build must not hang where that
// one is stopped or slow, so that the wait has a limit, after which this one compiles, too. True: there may be a result now.
static bool wait_for_equal(struct job *j)
{
	struct services *s = j->plan.services;
	struct digest key;
	enum flight_turn turn = FLIGHT_FLIES;
	if (lookup_text_key(&j->plan, &key) < 0)
		return false;
	int64_t until = clock_ms() + EQUAL_MOST_MS;
	do
		turn = single_flight_wait(s->flights, &j->flight, key.b, sizeof key.b, clock_ms() + EQUAL_TURN_MS);
	while (turn == FLIGHT_FLIES && clock_ms() < until && job_tell(j, WIRE_WAIT));
	if (turn == FLIGHT_ENDED)
		stats_add(s->stats, STAT_joined, 1);
	return turn == FLIGHT_ENDED || lookup_has_news(&j->lookup);
}

// A hit now or, where an equal compile is under way, then. What failed or was not stored there is compiled here without further waits.
static bool hit_or_join(struct job *j)
{
	if (hit(j))
		return true;
	if (!job_stores(j) || setting_bool(j->plan.config, SETTING_recache) || j->checked.len || !wait_for_equal(j))
		return false;
	lookup_release(&j->lookup);
	j->lookup = (struct lookup){.plan = &j->plan};
	return hit(j);
}

static void end_text(struct job *j)
{
	same_text_end(&j->text, j->is_stored ? &j->stored : NULL);
}

static void serve_compile(struct job *j)
{
	struct services *s = j->plan.services;
	enum reason peer = check_peer(j);
	if (peer == REASON_mount_namespace && !(j->wire.flags & JOB_HAS_NO_OTHER)) {
		job_tell(j, WIRE_ELSEWHERE);
		return;
	}
	struct refusal refusal = understand(j, peer);
	if (j->follow) {
		// The compile will come.
		stats_add(s->stats, STAT_followed, 1);
		send_text(j, WIRE_FOLLOW, j->follow);
		return;
	}
	j->counted_in = stats_renewed(s->stats);
	stats_add(s->stats, STAT_compiles, 1);
	if (is_refused(refusal)) {
		const char *notice = notice_of(j, refusal);
		not_cached(j, refusal);
		send_text(j, WIRE_EXEC,
			  notice ? arena_printf(&j->arena, "%s\n%s", reason_name(refusal.reason), notice)
				 : reason_name(refusal.reason));
		return;
	}
	bool is_hit = hit_or_join(j);
	stats_add(s->stats, STAT_corrupt, store_take_corrupt(s->store));
	if (is_hit) {
		end_text(j);
		return;
	}
	rest_compile_begins(&s->rest);
	refusal = compile(j);
	rest_compile_ends(&s->rest);
	single_flight_leave(s->flights, &j->flight);
	if (same_text_is_ready(&j->text))
		end_text(j);
	if (is_refused(refusal)) {
		not_cached(j, refusal);
	} else {
		count_beginning(j);
		stats_add(s->stats, STAT_misses, 1);
		stats_add(s->stats, STAT_time_compiling_us, j->wall_us);
		record(j, OUTCOME_MISS, NO_REFUSAL);
		give_evidence(j, end_of(j, NO_REFUSAL), NO_REFUSAL);
	}
	if (!j->is_answered)
		wire_send(j->sock, WIRE_RELEASED, NULL, NULL, 0, NULL);
	end_text(j);
}

static int receive(struct job *j, const struct wire_msg *m, struct err *err)
{
	if (wire_get_job(&j->wire, &j->arena, &m->payload, err) < 0)
		return -1;
	if (m->n_fds < 1)
		return err_set(err, ERR_FORMAT, "a job came without its working directory");
	j->plan.cwd_fd = m->fds[0];
	j->plan.env = j->wire.env;
	return 0;
}

void job_serve(struct services *services, int sock, const struct wire_msg *m)
{
	struct job j = {.sock = sock};
	struct err err = ERR_INIT;
	j.plan = (struct plan){.services = services, .arena = &j.arena, .wire = &j.wire, .cwd_fd = -1};
	j.lookup.plan = &j.plan;
	if (receive(&j, m, &err) == 0)
		serve_compile(&j);
	else
		log_warn("a message was not understood: %s", err.text);
	single_flight_leave(services->flights, &j.flight);
	buf_release(&j.checked);
	lookup_release(&j.lookup);
	baseline_release(&j.baseline);
	plan_release(&j.plan);
	arena_release(&j.arena);
}

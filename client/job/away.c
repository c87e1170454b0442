#include "client/job/away.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "client/farm/call.h"
#include "client/job/account.h"
#include "client/job/away_tree.h"
#include "client/job/command.h"
#include "client/job/deliver.h"
#include "client/job/inputs.h"
#include "client/job/publish.h"
#include "client/services/farms.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PREPROCESS_MS = 300000,
	MOST_WORKERS = 3,
	MOST_LOST = 2, // calls with a tree of which the worker had lost something: then the text goes
	TELL_EVERY = 2,
	WAIT_MS = 100,
	BEGIN_MS = 30000, // from the call to the moment in which the worker begins, while no other job of ours ends there
};

// One compile that is to run elsewhere.
struct away {
	struct job *j;
	struct farm *farm;
	struct farm_seat seat;
	char identity[FARM_IDENTITY]; // of the compiler there
	bool is_gated, has_slot;
	struct farm_compiler compiler;
	// What is sent: preprocessed text, or the user's own. Why not.
	const char *no_text; // or NULL
	struct no_tree no_tree;
	bool wants_tree;         // the setting says so
	bool is_for_text;        // a worker that takes no trees was asked
	bool has_text, has_tree; // it is made
	struct travel_arguments arguments;
	struct preprocess text;
	struct away_tree tree;
	struct remote_call call;
	struct made_elsewhere made;
	struct manifest_entry entry;
	struct refusal not_stored;  // why the result will not be stored
	unsigned asked, lost;       // go_on's turns; calls that ended as REMOTE_LOST
	int64_t began_ms, until_ms; // of the call to this worker; of all calls
	const char *gave_up;        // go_on's reason why it is compiled here after all
	bool never_began;
};

static bool tell_to_wait(void *job)
{
	return job_tell(job, WIRE_WAIT);
}

// As a worker is asked for its compiler.
static const char *language_of(const struct job *j)
{
	return j->plan.line.lang == LANG_CXX || j->plan.line.lang == LANG_OBJCXX ? "c++" : "c";
}

// What the compiler reads here, with the arguments and the environment of this job.
static void name_files(struct job *j, struct farm_compiler *c)
{
	size_t n = 0;
	const struct view_text *texts = j->plan.view ? view_texts(j->plan.view, &j->arena, &n) : NULL;
	struct farm_file *files = arena_alloc(&j->arena, (n + 1) * sizeof *files);
	for (size_t i = 0; i < n; i++) {
		files[i].path = texts[i].path;
		memcpy(files[i].digest, texts[i].digest.b, sizeof files[i].digest);
	}
	c->files = files;
	c->n_files = n;
}

void away_heed_policy(struct job *j, bool ask)
{
	struct farm *farm = j->keeping == KEEPING ? farms_find(j->plan.services->farms, j->plan.config) : NULL;
	struct farm_compiler compiler;
	const char *language = language_of(j);
	if (!farm)
		return;
	if (ask && farms_compiler(j->plan.services->farms, j->plan.compiler, language, j->plan.env, &compiler) == 0) {
		name_files(j, &compiler);
		farm_learn_policy(farm, &compiler);
	}
	if (farm_keeps_nothing(farm))
		j->keeping = KEEPING_NOT_BY_POLICY;
}

// Why preprocessed text can't go, or NULL.
static const char *text_arguments(struct away *w)
{
	struct job *j = w->j;
	if (j->plan.inputs_from == INPUTS_SOURCE_ONLY || j->plan.lto || j->plan.line.makes_pch || !plan_has_object(&j->plan))
		return "it is preprocessed, compiled when it is linked, or precompiled";
	travel_arguments(&w->arguments, &j->arena, &j->plan.line, j->plan.compiler);
	if (w->arguments.refused)
		return w->arguments.refused;
	if (w->arguments.n_native &&
	    farms_resolve_native(j->plan.services->farms, j->plan.compiler, j->plan.env, &j->arena, &w->arguments) < 0)
		return "what is native here is not understood";
	if (j->plan.seed)
		w->arguments.arguments[w->arguments.n++] = command_seed(&j->plan);
	return NULL;
}

static bool may_be_tree(const struct away *w)
{
	return w->wants_tree && !w->no_tree.reason;
}

static const char *farm_arguments(struct away *w)
{
	struct job *j = w->j;
	const char *send = setting_text(j->plan.config, SETTING_send);
	w->farm = farms_find(j->plan.services->farms, j->plan.config);
	if (!w->farm)
		return "there is no farm";
	w->wants_tree = strcmp(send, "text") != 0;
	w->no_tree = w->wants_tree ? away_tree_begin(&w->tree, &j->plan) : no_tree(NO_TREE_NONE, NULL);
	w->no_text = strcmp(send, "tree") == 0 ? "the setting 'send' is tree" : text_arguments(w);
	if (!may_be_tree(w) && w->no_text)
		return w->no_text;
	const char *language = language_of(j);
	if (farms_compiler(j->plan.services->farms, j->plan.compiler, language, j->plan.env, &w->compiler) < 0)
		return "its compiler is not understood";
	name_files(j, &w->compiler);
	return NULL;
}

// Runs the preprocessor and finds out what went in, as after a compile.
static const char *preprocess(struct away *w)
{
	struct job *j = w->j;
	AUTO_CLOSE int dep_fd = memfd_create("depfile", MFD_CLOEXEC);
	const char *maps[COMMAND_MAX_MAPS + 2] = {NULL};
	uint32_t n = 0;
	struct err err = ERR_INIT;
	char depfile[64];
	if (dep_fd < 0)
		return "there is no memory for a depfile";
	snprintf(depfile, sizeof depfile, "/proc/%d/fd/%d", (int)getpid(), dep_fd);
	if (j->plan.reproducible) {
		command_prefix_maps(&j->plan, maps, &n);
		w->text.roots[0] = j->plan.root;
		w->text.roots[1] = j->plan.root_real;
		w->text.up = j->plan.debug_up;
	}
	bool ours = j->plan.inputs_from == INPUTS_OUR_DEPFILE;
	w->text.program = j->plan.compiler->path;
	w->text.argv = travel_preprocess(&j->arena, &j->plan.line, j->plan.compiler->path, maps, ours ? depfile : NULL);
	w->text.envp = j->plan.env;
	w->text.cwd_fd = j->plan.cwd_fd;
	w->text.umask = j->wire.umask;
	w->text.time_limit_ms = PREPROCESS_MS;
	if (preprocess_run(&w->text, &err) < 0) {
		log_info("cannot preprocess '%s' for another machine: %s", j->plan.line.source, err.text);
		return "it cannot be preprocessed";
	}
	if (w->text.status != 0 || w->text.has_messages)
		return "the preprocessor has something to say";
	if (w->text.has_columns)
		return "its text asks for its columns";
	w->not_stored = inputs_find(&j->plan, &j->baseline, NULL, ours ? dep_fd : -1, -1, &w->entry);
	for (uint32_t i = 0; i < w->entry.n_inputs; i++)
		if (w->entry.inputs[i].flags & INPUT_BINARY)
			return "it takes a precompiled header";
	return w->not_stored.reason == REASON_embed ? "its assembler may read files" : NULL;
}

// Makes what this worker takes, unless it is there: the user's own text, or else what the preprocessor makes of it.
static const char *prepare(struct away *w)
{
	struct job *j = w->j;
	if (!w->has_text && !w->has_tree)
		baseline_take(&j->baseline, &j->plan, j->lookup.newest_input_ns);
	if (may_be_tree(w) && w->seat.takes_trees && !w->has_tree) {
		w->tree.is_bound |= farm_is_bound(w->farm, &j->plan.manifest_key);
		w->no_tree = away_tree_find(&w->tree, &j->baseline, &w->compiler);
		w->has_tree = !w->no_tree.reason;
	}
	if (w->has_tree && w->seat.takes_trees) {
		away_tree_seat(&w->tree, w->farm, &w->seat);
		w->call.tree = &w->tree.remote;
		return NULL;
	}
	w->call.tree = NULL;
	if (!w->seat.takes_trees && may_be_tree(w))
		w->is_for_text = true;
	if (w->no_text || w->has_text)
		return w->no_text;
	bool entered = w->is_gated && slots_enter(&j->plan.services->slots, SLOTS_LIMIT_MS, tell_to_wait, j);
	w->no_text = preprocess(w);
	if (entered)
		slots_leave(&j->plan.services->slots);
	w->has_text = !w->no_text;
	return w->no_text;
}

// A core here that is idle takes a job back that the worker has not begun, or that is late.
static bool core_takes_it(struct away *w, bool started)
{
	bool is_late = clock_ms() - w->began_ms > farm_patience_ms(w->farm);
	const char *jobserver = env_value(w->j->plan.env, "COFFER_JOBSERVER");
	if (!w->is_gated)
		return is_late && jobserver && *jobserver && idle_take(&w->j->plan.services->idle, jobserver);
	if (!started || is_late)
		w->has_slot = slots_try(&w->j->plan.services->slots, is_late ? 0 : 1);
	return w->has_slot;
}

// While it waits: is the launcher still there, does the job get on, and is the worker still to be believed?
static bool go_on(void *ctx, bool started)
{
	struct away *w = ctx;
	if (w->asked++ % TELL_EVERY == 0 && !job_tell(w->j, WIRE_REMOTE))
		w->gave_up = "its launcher has gone";
	else if (core_takes_it(w, started))
		w->gave_up = "a core here was idle first";
	else
		w->never_began =
			!started && clock_ms() - w->began_ms > BEGIN_MS && farm_last_done_ms(w->farm, &w->seat) > BEGIN_MS;
	return !w->gave_up && !w->never_began && farm_trusts(w->farm, &w->seat);
}

static enum farm_verdict verdict_of(const struct away *w, enum remote_outcome o)
{
	switch (o) {
	case REMOTE_BUSY:
		return FARM_BUSY;
	case REMOTE_FAILED:
		return FARM_FAILED;
	case REMOTE_CHANGED:
		return FARM_CHANGED;
	case REMOTE_LIED:
		return FARM_LIED;
	case REMOTE_SPOILT:
	case REMOTE_LOST:
		return FARM_UNUSED;
	case REMOTE_GIVEN_UP:
		return w->never_began ? FARM_FAILED : FARM_UNUSED;
	default:
		return FARM_DONE;
	}
}

static const char *no_place(const struct away *w, const char *why)
{
	stats_add(w->j->plan.services->stats, STAT_remote_no_compiler, farm_lacks(w->farm, &w->compiler));
	return why;
}

// A seat at a worker, or a core here: whichever is free first.
static const char *find_place(struct away *w)
{
	struct job *j = w->j;
	struct err err = ERR_INIT;
	for (int waited = 0; farm_take(w->farm, &w->compiler, &w->seat, &err) != 1; waited += WAIT_MS) {
		if (!w->is_gated || waited >= SLOTS_LIMIT_MS) {
			log_debug("'%s' stays here: %s", j->plan.line.source, err.text);
			return no_place(w, "no worker is free");
		}
		w->has_slot = slots_try(&j->plan.services->slots, 0);
		if (w->has_slot)
			return no_place(w, "a core here was idle first");
		if (waited % 1000 == 0 && !job_tell(j, WIRE_WAIT))
			return "its launcher has gone";
		farm_wait(w->farm, WAIT_MS);
	}
	return NULL;
}

// A tree that a worker would not or could not take goes as preprocessed text, if anything.
static void note_tree(struct away *w, enum remote_outcome o, const char *worker)
{
	if (!w->call.tree)
		return;
	// A worker that fails has failed at whatever was under way there, and is paused for that: it says nothing of trees.
	if (o == REMOTE_REFUSED)
		farm_note_tree(w->farm, worker, false);
	if (o == REMOTE_SPOILT)
		w->no_tree = no_tree(NO_TREE_changed, NULL);
	else if (o == REMOTE_REFUSED)
		w->no_tree = no_tree(NO_TREE_refused, worker);
	else if ((o == REMOTE_FAILED || (o == REMOTE_LOST && ++w->lost >= MOST_LOST)) && !w->no_text)
		w->no_tree = no_tree(NO_TREE_failed, worker);
	w->has_tree = !w->no_tree.reason;
}

static enum remote_outcome call_worker(struct away *w)
{
	struct job *j = w->j;
	struct err err = ERR_INIT;
	// Whole, as the farm knows it, and kept: the record names it when another one has been asked since.
	const char *worker = j->worker = arena_strdup(&j->arena, w->seat.worker);
	snprintf(w->identity, sizeof w->identity, "%s", w->seat.identity);
	w->began_ms = clock_ms();
	w->never_began = false;
	w->call.timeout_ms = w->until_ms > w->began_ms ? w->until_ms - w->began_ms : 1;
	enum remote_outcome o = remote_compile(&w->call, &w->seat, &err);
	int64_t took = clock_ms() - w->began_ms;
	if (o == REMOTE_GIVEN_UP && took > farm_patience_ms(w->farm))
		w->seat.took_ms = took; // and it would have been more
	if (o == REMOTE_DONE && w->call.tree)
		farm_note_listing(w->farm, &w->seat, w->tree.remote.listing);
	stats_add(j->plan.services->stats, STAT_remote_lies, o == REMOTE_LIED);
	// What a worker says that has lied in another job meanwhile is worth nothing.
	if (!farm_give(w->farm, &w->seat, verdict_of(w, o)) && o == REMOTE_DONE) {
		err_set(&err, ERR_PEER, "it has lied in another job");
		o = REMOTE_FAILED;
	}
	note_tree(w, o, worker);
	if (o != REMOTE_DONE && o != REMOTE_GIVEN_UP)
		log_info("worker '%s' did not compile '%s': %s", worker, j->plan.line.source, err.text);
	if (o == REMOTE_FAILED || o == REMOTE_LIED || o == REMOTE_REFUSED || o == REMOTE_LIMIT)
		stats_add(j->plan.services->stats, STAT_remote_failed, 1);
	return o;
}

static void list_made(struct away *w)
{
	const struct remote_call *c = &w->call;
	const char *at = c->outputs.data ? c->outputs.data : "";
	struct store_part *const parts[REMOTE_OUTPUTS] = {&w->made.object, &w->made.dwo, &w->made.depfile,
							  &w->made.asm_depfile};
	for (int i = 0; i < REMOTE_OUTPUTS; i++) {
		*parts[i] = (struct store_part){at, c->sizes[i]};
		at += c->sizes[i];
	}
	w->made.has_depfile = c->tree;
	w->made.out = (struct store_part){c->out.data, c->out.len};
	w->made.errs = (struct store_part){c->errs.data, c->errs.len};
}

// Takes what came. False: it has the place in it where the tree stood, and so it goes once more, under its own name; the next time at once.
static bool bring(struct away *w)
{
	list_made(w);
	if (!w->call.tree || w->call.exit_status != 0 || away_tree_bring(&w->tree, &w->made, &w->call.out, &w->call.errs))
		return true;
	log_debug("the place of '%s' shows in what a worker makes of it", w->j->plan.line.source);
	farm_note_bound(w->farm, &w->j->plan.manifest_key);
	w->has_tree = false;
	return false;
}

// One worker after the other, until one has compiled it.
static const char *call_workers(struct away *w)
{
	struct job *j = w->j;
	w->call = (struct remote_call){.tree = w->call.tree,
				       .image = farm_image(w->farm),
				       .compiler = w->compiler.name,
				       .compiler_path = w->compiler.path,
				       .target = w->compiler.target,
				       .arguments = &w->arguments,
				       .text = &w->text,
				       .source_name = path_base(j->plan.line.source),
				       .output_name = j->plan.line.dwo ? j->plan.line.output : NULL,
				       .max_output = (size_t)setting_number(j->plan.config, SETTING_max_output),
				       .keeps_nothing = j->keeping != KEEPING,
				       .go_on = go_on,
				       .ctx = w};
	w->until_ms = clock_ms() + farm_timeout_ms(w->farm);
	int most = MOST_WORKERS;
	for (int i = 0; i < most && (i == 0 || clock_ms() < w->until_ms); i++) {
		const char *stays = i ? find_place(w) : NULL;
		if (!stays && i && (stays = prepare(w)))
			farm_give(w->farm, &w->seat, FARM_UNUSED);
		if (stays)
			return stays;
		switch (call_worker(w)) {
		case REMOTE_DONE:
			if (bring(w))
				return NULL;
			most = MOST_WORKERS + 1;
			break;
		case REMOTE_REFUSED:
			if (!w->call.tree || w->no_text)
				return "no worker would take it";
			break;
		case REMOTE_LIMIT:
			return "it is more than a worker takes";
		case REMOTE_SPOILT:
			return "a file has changed meanwhile";
		case REMOTE_GIVEN_UP:
			if (w->gave_up)
				return w->gave_up;
			break;
		default:
			break;
		}
	}
	return "no worker has compiled it";
}

// With any message about preprocessed text, or of a worker that is not to be believed on its word, and where the compiler has said no,
// it compiles here once more: what is shown is about the text that the user wrote, and nobody else's.
static bool is_to_be_heard_here(const struct away *w)
{
	const struct plan *p = &w->j->plan;
	bool has_messages = w->made.out.n || w->made.errs.n;
	bool can_be_shown = w->call.tree && strcmp(setting_text(p->config, SETTING_worker_messages), "show") == 0 &&
			    away_tree_speaks_alike(p) && away_tree_is_harmless(&w->made.out) &&
			    away_tree_is_harmless(&w->made.errs);
	return w->call.exit_status != 0 || (has_messages && !can_be_shown);
}

// For the audit log: of the bytes that came, as somebody may move the files away at once.
static void note_delivered(struct away *w)
{
	static const enum part parts[] = {[REMOTE_OBJECT] = PART_OBJECT, [REMOTE_DWO] = PART_DWO};
	struct job *j = w->j;
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		struct sha256 *digest = arena_alloc(&j->arena, sizeof *digest);
		*digest = w->call.digests[i];
		j->delivered[parts[i]] = i == REMOTE_OBJECT || w->call.sizes[i] ? digest : NULL;
	}
}

static const char *deliver(struct away *w)
{
	struct job *j = w->j;
	struct err err = ERR_INIT;
	const struct wire_done done = {.out = w->made.out.p,
				       .errs = w->made.errs.p,
				       .n_out = (uint32_t)w->made.out.n,
				       .n_errs = (uint32_t)w->made.errs.n};
	if (is_to_be_heard_here(w)) {
		stats_add(j->plan.services->stats, STAT_remote_messages, 1);
		j->doubted = j->worker; // until the compiler here says the same, or does not
		return "the compiler has something to say";
	}
	const char *why = w->call.tree ? away_tree_judge(&w->tree, &w->compiler, &w->made) : NULL;
	if (why) {
		w->no_tree = no_tree(NO_TREE_stranger, j->worker);
		farm_note_tree(w->farm, j->worker, false);
		log_info("worker '%s' did not compile '%s' as it was sent: %s", j->worker, j->plan.line.source, why);
		return why;
	}
	if (w->call.tree)
		farm_note_tree(w->farm, j->worker, true);
	if (!done.n_out && !done.n_errs)
		farm_note_words(w->farm, j->worker, true);
	// Whoever waits no longer has compiled by itself, and may have changed its files since.
	if (!job_tell(j, WIRE_REMOTE))
		return "its launcher has gone";
	if (deliver_made(&j->plan, &w->made, &err) < 0) {
		log_info("cannot write '%s': %s", j->plan.line.output, err.text);
		return "its outputs cannot be written";
	}
	note_delivered(w);
	// Before the answer: who has it may ask for the counters.
	stats_add(j->plan.services->stats, w->call.is_cached ? STAT_remote_hits : STAT_remote_compiles, 1);
	job_send_done(j, &done);
	for (enum part part = 0; part < PART_COUNT; part++)
		j->made[part] = true;
	j->is_answered = true;
	j->wall_us = w->call.wall_us;
	j->sent.as = w->call.tree ? SENT_TREE : SENT_TEXT;
	return NULL;
}

static const char *send_away(struct away *w)
{
	struct job *j = w->j;
	const char *stays = farm_arguments(w);
	if (stays)
		return stays;
	stays = find_place(w);
	if (stays)
		return stays;
	away_heed_policy(j, false);
	stays = prepare(w);
	if (stays)
		farm_give(w->farm, &w->seat, FARM_UNUSED);
	else if (!job_tell(j, WIRE_REMOTE))
		stays = "its launcher has gone";
	else
		stays = call_workers(w);
	return stays ? stays : deliver(w);
}

static int file_of(const struct store_part *part)
{
	int fd = memfd_create("depfile", MFD_CLOEXEC);
	if (fd >= 0 && file_write_fd(fd, part->p, part->n, NULL) < 0)
		mem_close_cleanup(&fd);
	return fd;
}

// As after a compile here: by what the compiler says that it has read.
static struct refusal find_inputs(struct away *w)
{
	AUTO_CLOSE int dep_fd = file_of(&w->made.depfile);
	AUTO_CLOSE int asm_dep_fd = w->tree.remote.outputs[REMOTE_ASM_DEPFILE] ? file_of(&w->made.asm_depfile) : -1;
	if (dep_fd < 0)
		return refuse(REASON_depfile_unparsed, NULL);
	return inputs_find(&w->j->plan, &w->j->baseline, &w->tree.reach.inputs, dep_fd, asm_dep_fd, &w->entry);
}

static struct refusal publish_it(struct away *w)
{
	struct job *j = w->j;
	if (w->call.tree)
		w->not_stored = find_inputs(w);
	if (is_refused(w->not_stored))
		return w->not_stored;
	away_heed_policy(j, false); // another worker may have told it while this one compiled
	if (!job_stores(j))
		return NO_REFUSAL;
	struct publication pub = job_publication(j);
	struct refusal refusal = publish_from_elsewhere(&pub, &w->entry, &w->made);
	j->result = pub.result;
	if (is_refused(refusal) || !w->call.has_key || w->call.is_cached)
		return refusal;
	// Equal compiles that wait for this one have their result now.
	single_flight_leave(j->plan.services->flights, &j->flight);
	account_tell(w->farm, j->worker, w->identity, w->call.key, &j->plan, &w->entry);
	return refusal;
}

static struct no_tree why_no_tree(const struct away *w)
{
	if (w->no_tree.reason || w->call.tree || !w->is_for_text)
		return w->no_tree;
	return no_tree(NO_TREE_worker, w->j->worker);
}

// Once for each compile: how it went, and what it cost.
static void count(struct away *w, int64_t cpu_ns)
{
	struct job *j = w->j;
	struct stats *stats = j->plan.services->stats;
	struct sent *s = &j->sent;
	s->bytes = w->call.sent;
	s->cpu_us = (uint64_t)cpu_ns / 1000 + w->text.cpu_us;
	if (w->wants_tree)
		s->no_tree = why_no_tree(w);
	if (s->no_tree.reason) {
		stats_add(stats, stats_of_no_tree(s->no_tree.reason), 1);
		log_debug("'%s' does not go as a tree: %s%s%s", j->plan.line.source, no_tree_text(s->no_tree.reason),
			  s->no_tree.culprit ? ": " : "", s->no_tree.culprit ? s->no_tree.culprit : "");
	}
	stats_add(stats, STAT_remote_bytes_sent, s->bytes);
	if (s->as == SENT_NOT)
		return;
	bool is_tree = s->as == SENT_TREE;
	stats_add(stats, is_tree ? STAT_remote_trees : STAT_remote_texts, 1);
	stats_add(stats, is_tree ? STAT_remote_tree_us : STAT_remote_text_us, s->cpu_us);
	stats_add(stats, is_tree ? STAT_remote_tree_bytes : STAT_remote_text_bytes, s->bytes);
}

enum where away_compile(struct job *j, enum where where, struct refusal *refusal)
{
	int64_t began_ns = clock_thread_ns();
	struct away w = {.j = j, .is_gated = where == AWAY_OR_WAIT};
	const char *stays = send_away(&w);
	if (stays) {
		log_debug("'%s' is compiled here: %s", j->plan.line.source, stays);
		where = w.has_slot ? HERE_WITH_SLOT : w.is_gated ? WAIT_FOR_HERE : HERE;
	} else {
		*refusal = publish_it(&w);
		where = DONE_AWAY;
	}
	count(&w, clock_thread_ns() - began_ns);
	preprocess_release(&w.text);
	away_tree_release(&w.tree);
	remote_call_release(&w.call);
	return where;
}

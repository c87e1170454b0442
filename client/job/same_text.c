#include "client/job/same_text.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "client/job/inputs.h"
#include "client/job/variants.h"
#include "client/services/oddities.h"
#include "client/services/trials.h"
#include "depscan/depfile.h"
#include "depscan/live.h"
#include "depscan/live_lines.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_UP_MS = 5000, BEHIND_MS = 60000, BEHIND_NICE = 10 };

// One run of the preprocessor.
struct text_run {
	const struct plan *plan;
	struct arena arena;
	const char **argv;
	int dep_fd, nice;
	int64_t start_ns; // files that it read were older
	// Filled in:
	bool is_known;
	struct digest live;
	int64_t us;
};

// ---- the run ----------------------------------------------------------------------------------------------------------

static void add_depfile(const struct plan *p, struct text_run *r, unsigned *n)
{
	r->argv[(*n)++] = p->line.dep == DEP_USER ? "-MMD" : "-MD";
	r->argv[(*n)++] = "-MF";
	r->argv[(*n)++] = arena_printf(&r->arena, "/proc/%d/fd/%d", (int)getpid(), r->dep_fd);
	for (unsigned i = 0; i < p->line.n_dep_targets; i++) {
		r->argv[(*n)++] = "-MT";
		r->argv[(*n)++] = p->line.dep_targets[i];
	}
	if (p->line.dep != DEP_NONE && p->line.dep_phony)
		r->argv[(*n)++] = "-MP";
}

static void make_command(struct text_run *r)
{
	const struct plan *p = r->plan;
	const struct cmdline *l = &p->line;
	unsigned n = 0;
	r->argv = arena_alloc(&r->arena, (l->n_arguments + 2 * l->n_dep_targets + 8) * sizeof *r->argv);
	r->argv[n++] = p->compiler->path;
	r->argv[n++] = "-E";
	r->argv[n++] = p->compiler->family == FAMILY_CLANG ? "-dD" : "-fdirectives-only";
	add_depfile(p, r, &n);
	for (unsigned i = 0; i < l->n_arguments; i++) {
		const char *t = l->arguments[i].text;
		bool is_left_out = l->arguments[i].role == ARGUMENT_NOT_KEY || strcmp(t, "-c") == 0 ||
				   strcmp(t, "-S") == 0 || strncmp(t, "-M", 2) == 0;
		if (i == l->source_argument || !is_left_out)
			r->argv[n++] = t;
	}
}

static struct text_run *run_new(const struct plan *p, const struct baseline *b, int nice)
{
	struct text_run *r = mem_alloc(sizeof *r);
	*r = (struct text_run){.plan = p, .nice = nice, .start_ns = b->start_ns};
	r->dep_fd = -1;
	return r;
}

static void run_free(struct text_run *r)
{
	mem_close_cleanup(&r->dep_fd);
	arena_release(&r->arena);
	free(r);
}

static const char *canonical_name(void *run, const char *name)
{
	struct text_run *r = run;
	return plan_canonical_in(r->plan, &r->arena, name);
}

static void run_it(struct text_run *r)
{
	int64_t began = clock_ns();
	struct err err = ERR_INIT;
	r->dep_fd = memfd_create("depfile", MFD_CLOEXEC);
	make_command(r);
	bool expands = r->plan->compiler->family == FAMILY_CLANG;
	struct live_lines lines = {.dirfd = r->plan->cwd_fd};
	struct live_names names = {canonical_name, r, expands ? &lines : NULL};
	struct child c = {.argv = r->argv,
			  .envp = r->plan->env,
			  .cwd_fd = r->plan->cwd_fd,
			  .time_limit_ms = r->nice ? BEHIND_MS : LOOK_UP_MS,
			  .max_output = LIVE_MAX,
			  .nice = r->nice};
	if (r->dep_fd < 0 || child_run(&c, &err) < 0)
		log_debug("'%s' has no text to compare: %s", r->plan->line.source, err.text);
	else
		r->is_known = c.status == 0 && c.errs.len == 0 && c.out.len &&
			      live_digest(c.out.data, c.out.len, &names, &r->live);
	child_release(&c);
	live_lines_release(&lines);
	r->us = (clock_ns() - began) / 1000;
}

static void count_run(const struct text_run *r)
{
	struct stats *s = r->plan->services->stats;
	stats_add(s, STAT_text_runs, 1);
	stats_add(s, STAT_text_us, (uint64_t)r->us);
}

// ---- the key ----------------------------------------------------------------------------------------------------------

// 1, or 0: what the files say can't be told from the text.
static int make_key(const struct text_run *r, const struct manifest_entry *e, struct digest *key)
{
	const struct plan *p = r->plan;
	AUTO_HASHER struct hasher h;
	AUTO_BUF struct buf fields = BUF_INIT;
	plan_compile_fields(p, &fields);
	hasher_init(&h);
	hasher_str(&h, "coffer text 3");
	hasher_digest(&h, &p->toolchain);
	hasher_bytes(&h, fields.data, fields.len);
	hasher_digest(&h, &r->live);
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		struct live_oddities o;
		const struct manifest_input *in = &e->inputs[i];
		// The preprocessor reads the headers, where the compiler takes what was made of them earlier.
		if (in->flags & INPUT_BINARY)
			return 0;
		if (oddities_find(p->services->oddities, p->cwd_fd, plan_real_path(p, p->arena, in->name), &in->digest, &o) <
			    0 ||
		    (o.hidden_pragmas && p->compiler->family == FAMILY_GCC))
			return 0;
		if (digest_is_zero(&o.digest))
			continue;
		hasher_str(&h, in->name);
		hasher_digest(&h, &o.digest);
	}
	*key = hasher_end(&h);
	return 1;
}

// ---- look-up ----------------------------------------------------------------------------------------------------------

static bool is_known_unit(const struct lookup *l)
{
	switch (l->cause.kind) {
	case CAUSE_ARGUMENTS:
	case CAUSE_ORDER:
	case CAUSE_INPUT:
	case CAUSE_APPEARED:
	case CAUSE_VANISHED:
	case CAUSE_LINK:
		return true;
	default:
		return false;
	}
}

static int take_entry(struct same_text *t, struct lookup *l, const struct digest *key, struct manifest_entry *entry,
		      struct buf *result)
{
	const struct plan *p = l->plan;
	struct services *s = p->services;
	struct manifest *m = manifests_get(s->manifests, key);
	int found = 0;
	for (uint32_t i = 0; m && i < m->n_entries && !found; i++) {
		const struct manifest_entry *e = &m->entries[i];
		if (!lookup_holds(l, m, &m->entries[i]) || store_get(s->store, STORE_RESULT, &e->result, result, NULL) != 1)
			continue;
		*entry = t->entry;
		entry->result = e->result;
		entry->time_context = e->time_context;
		entry->place_context = e->place_context;
		entry->made_at = e->made_at;
		entry->wall_us = e->wall_us;
		found = 1;
	}
	manifest_unref(m);
	return found;
}

// What an argument names may be readable only once.
static bool names_only_files(const struct plan *p)
{
	for (unsigned i = 0; i < p->line.n_arguments; i++) {
		struct stat st;
		if (fstatat(p->cwd_fd, p->line.arguments[i].text, &st, 0) == 0 && !S_ISREG(st.st_mode) &&
		    !S_ISDIR(st.st_mode) && !S_ISCHR(st.st_mode))
			return false;
	}
	return true;
}

static int find(struct same_text *t, struct lookup *l, struct baseline *b, struct manifest_entry *entry, struct buf *result)
{
	const struct plan *p = l->plan;
	struct digest key;
	baseline_take(b, p, l->newest_input_ns);
	t->run = run_new(p, b, 0);
	run_it(t->run);
	count_run(t->run);
	if (!t->run->is_known || is_refused(inputs_find(p, b, NULL, t->run->dep_fd, -1, &t->entry)))
		return 0;
	t->is_looked_up = true;
	if (!make_key(t->run, &t->entry, &key) || !take_entry(t, l, &key, entry, result))
		return 0;
	l->outcome = OUTCOME_PREPROCESSED_HIT;
	if (setting_bool(p->config, SETTING_read_only))
		return 1;
	manifests_add(p->services->manifests, &p->manifest_key, entry,
		      (size_t)setting_number(p->config, SETTING_max_manifest_entries), NULL);
	variants_remember(p, p->services->store);
	return 1;
}

bool same_text_is_due(const struct same_text *t, const struct lookup *l)
{
	const struct plan *p = l->plan;
	return p->text_counts && !t->run && is_known_unit(l) && names_only_files(p) &&
	       trials_look(p->services->trials, &p->unit_key);
}

int same_text_find(struct same_text *t, struct lookup *l, struct baseline *b, struct manifest_entry *entry,
		   struct buf *result)
{
	const struct plan *p = l->plan;
	int found = find(t, l, b, entry, result);
	trials_note(p->services->trials, &p->unit_key, p->root, found);
	stats_add(p->services->stats, STAT_text_hits, (uint64_t)found);
	return found;
}

// ---- behind a compile -------------------------------------------------------------------------------------------------

void same_text_plan(struct same_text *t, const struct plan *p, const struct baseline *b)
{
	if (!p->text_counts || t->run || !trials_enter(p->services->trials, p->root))
		return;
	t->run = run_new(p, b, BEHIND_NICE);
	t->is_behind = true;
}

bool same_text_is_ready(const struct same_text *t)
{
	return !t->is_behind;
}

static bool same_inputs(const struct manifest_entry *a, const struct manifest_entry *b)
{
	bool same = a->n_inputs == b->n_inputs;
	for (uint32_t i = 0; i < a->n_inputs && same; i++)
		same = strcmp(a->inputs[i].name, b->inputs[i].name) == 0 &&
		       digest_equal(&a->inputs[i].digest, &b->inputs[i].digest);
	return same;
}

// Did the preprocessor name the files of the depfile, and no others?
static bool named_the_same(const struct text_run *r, const struct manifest_entry *e)
{
	const struct plan *p = r->plan;
	AUTO_BUF struct buf text = BUF_INIT;
	struct depfile d = {0};
	struct map known = MAP_INIT, met = MAP_INIT;
	if (lseek(r->dep_fd, 0, SEEK_SET) < 0 || file_read_fd(r->dep_fd, DEPFILE_MAX, &text, NULL) < 0 || !text.len ||
	    depfile_parse(&d, p->arena, text.data, text.len, NULL) < 0)
		return false;
	for (unsigned i = 0; i < d.n_deps; i++)
		map_puts(&known, plan_canonical_path(p, d.deps[i]), &d);
	bool same = true;
	for (uint32_t i = 0; i < e->n_inputs && same; i++) {
		const char *name = e->inputs[i].name;
		bool named = map_gets(&known, name) != NULL;
		same = named || !(e->inputs[i].flags & INPUT_IN_DEPFILE);
		if (named)
			map_puts(&met, name, &d);
	}
	same = same && met.n == known.n;
	map_release(&met);
	map_release(&known);
	return same;
}

// Does all but the inputs hold, too? The text can say of a name only whether it is there (__has_include).
static bool names_hold(const struct plan *p, struct manifest_entry *e)
{
	struct manifest alone = {.lock = PTHREAD_MUTEX_INITIALIZER}; // nobody else has the entry
	struct lookup l = {.plan = p};
	return lookup_holds(&l, &alone, e);
}

static bool same_names(const struct manifest_entry *a, const struct manifest_entry *b)
{
	bool same = a->n_absent == b->n_absent && a->n_present == b->n_present && a->n_links == b->n_links;
	for (uint32_t i = 0; i < a->n_absent && same; i++) {
		const struct absent_group *x = &a->absent[i], *y = &b->absent[i];
		same = strcmp(x->dir, y->dir) == 0 && x->n_names == y->n_names;
		for (uint32_t k = 0; k < x->n_names && same; k++)
			same = strcmp(x->names[k], y->names[k]) == 0;
	}
	for (uint32_t i = 0; i < a->n_present && same; i++)
		same = strcmp(a->present[i], b->present[i]) == 0;
	for (uint32_t i = 0; i < a->n_links && same; i++)
		same = strcmp(a->links[i].dir, b->links[i].dir) == 0 && strcmp(a->links[i].real, b->links[i].real) == 0;
	return same;
}

// Are they still what they were when the compile began?
static bool are_unchanged(const struct text_run *r, const struct manifest_entry *e)
{
	const struct plan *p = r->plan;
	bool same = true;
	for (uint32_t i = 0; i < e->n_inputs && same; i++) {
		struct stat st;
		struct digest now;
		same = files_digest(p->services->files, p->cwd_fd, plan_real_path(p, p->arena, e->inputs[i].name), &now, &st,
				    NULL) == 0 &&
		       digest_equal(&now, &e->inputs[i].digest) && file_id_of(&st).ctime_ns < r->start_ns;
	}
	return same;
}

static void store(const struct same_text *t, struct manifest_entry *e)
{
	const struct text_run *r = t->run;
	const struct plan *p = r->plan;
	struct digest key;
	if (!r->is_known || !digest_is_zero(&e->messages_context))
		return;
	bool holds = t->is_looked_up ? same_inputs(&t->entry, e) && same_names(&t->entry, e)
				     : named_the_same(r, e) && are_unchanged(r, e) && names_hold(p, e);
	if (!holds || !make_key(r, e, &key))
		return;
	// What it was made of is in the key.
	struct manifest_entry alone = {.result = e->result,
				       .time_context = e->time_context,
				       .place_context = e->place_context,
				       .made_at = e->made_at,
				       .wall_us = e->wall_us};
	manifests_add(p->services->manifests, &key, &alone, (size_t)setting_number(p->config, SETTING_max_manifest_entries),
		      NULL);
}

// Waits without the directory, which the user may want to unmount. False: there is no turn, or it is not there any more.
static bool wait_for_rest(const struct plan *p)
{
	struct stat was, now;
	int how = fcntl(p->cwd_fd, F_GETFL) & O_PATH;
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	bool is_free = nothing >= 0 && fstat(p->cwd_fd, &was) == 0 && dup3(nothing, p->cwd_fd, O_CLOEXEC) >= 0;
	mem_close_cleanup(&nothing);
	if (!is_free || !rest_enter(&p->services->rest))
		return false;
	AUTO_CLOSE int cwd = open(p->cwd, how | O_DIRECTORY | O_CLOEXEC);
	if (cwd >= 0 && fstat(cwd, &now) == 0 && now.st_dev == was.st_dev && now.st_ino == was.st_ino &&
	    dup3(cwd, p->cwd_fd, O_CLOEXEC) >= 0)
		return true;
	rest_leave(&p->services->rest);
	return false;
}

static void run_behind(struct same_text *t, struct manifest_entry *entry)
{
	const struct plan *p = t->run->plan;
	if (wait_for_rest(p)) {
		if (entry && names_hold(p, entry))
			run_it(t->run);
		rest_leave(&p->services->rest);
	}
	trials_leave(p->services->trials);
}

void same_text_end(struct same_text *t, struct manifest_entry *entry)
{
	if (!t->run)
		return;
	if (t->is_behind)
		run_behind(t, entry);
	if (entry)
		store(t, entry);
	if (t->is_behind && t->run->us)
		count_run(t->run); // what is counted is known
	run_free(TAKE(t->run));
}

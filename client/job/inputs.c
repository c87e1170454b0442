#include "client/job/inputs.h"
#include "client/job/facts.h"
#include "client/job/macros.h"
#include "client/job/precompiled.h"
#include "client/job/search_snapshot.h"
#include "client/job/wanted.h"

#include "base/path.h"
#include "depscan/absent.h"
#include "depscan/depfile.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MS = 120000 };

// ---- the list -------------------------------------------------------------------------------------------------------

static struct input *append(struct inputs *in)
{
	if (in->n == in->cap) {
		in->cap = in->cap ? in->cap * 2 : 256;
		struct input *list = arena_alloc(in->plan->arena, in->cap * sizeof *list);
		if (in->n)
			memcpy(list, in->list, in->n * sizeof *list);
		in->list = list;
	}
	return &in->list[in->n];
}

// Without a look, where nothing has changed since the file was looked at.
static bool is_watched(const struct inputs *in, struct input *i)
{
	const struct plan *p = in->plan;
	const struct watched *w = watch_look(p->services->watch, in->epoch, i->path);
	if (!w || w->state != WATCHED_FILE || !files_facts_of(p->services->files, &w->id, p->arena, &i->facts) ||
	    !digest_equal(&w->digest, &i->facts.digest))
		return false;
	i->watched = w;
	return true;
}

static int read_facts(const struct inputs *in, struct input *i, struct err *err)
{
	const struct plan *p = in->plan;
	struct stat st;
	if (!(i->flags & INPUT_BINARY))
		return is_watched(in, i) ? 0 : files_facts(p->services->files, p->cwd_fd, i->path, p->arena, &i->facts, err);
	if (files_digest(p->services->files, p->cwd_fd, i->path, &i->facts.digest, &st, err) < 0)
		return -1;
	i->facts.id = file_id_of(&st);
	return 0;
}

// Unchanged since before the compile, and no link that may lead elsewhere now.
static const struct input *as_earlier(const struct inputs *in, const char *path, uint32_t flags)
{
	struct stat st;
	const struct input *i = in->earlier ? inputs_find_one(in->earlier, path) : NULL;
	if (!i || (flags | i->flags) & INPUT_BINARY || i->probes_added)
		return NULL;
	if (watched_holds(i->watched, in->epoch))
		return i;
	if (fstatat(in->plan->cwd_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	struct file_id id = file_id_of(&st);
	return file_id_equal(&i->facts.id, &id) ? i : NULL;
}

// Adds a file once, with what it is now. A file that may have changed since the compile began spoils the result: the
// compiler may have read something else.
static const struct scan *add(struct inputs *in, const char *path, uint32_t flags)
{
	const struct plan *p = in->plan;
	if (map_gets(&in->known, path))
		return NULL;
	map_puts(&in->known, path, (void *)((uintptr_t)in->n + 1));
	struct input *i = append(in);
	const struct input *earlier = as_earlier(in, path, flags);
	struct err err = ERR_INIT;
	*i = (struct input){.path = path, .flags = flags, .is_as_earlier = earlier};
	enum reason reason = REASON_NONE;
	if (earlier)
		i->facts = earlier->facts;
	else if (read_facts(in, i, &err) < 0)
		reason = err.code == ERR_FORMAT  ? REASON_input_not_a_file
			 : err.code == ERR_LIMIT ? REASON_input_too_large
						 : REASON_input_changed;
	else if (i->facts.id.mtime_ns >= in->baseline->start_ns || i->facts.id.ctime_ns >= in->baseline->start_ns)
		reason = REASON_input_changed;
	else if (in->n >= MANIFEST_MAX_INPUTS)
		reason = REASON_too_many_inputs;
	if (reason != REASON_NONE) {
		in->refusal = refuse(reason, path);
		return NULL;
	}
	in->n++;
	// In the arena of the facts, not in the list: the list moves as it grows.
	struct scan *scan = arena_alloc(p->arena, sizeof *scan);
	*scan = i->facts.scan;
	return scan;
}

void inputs_add(struct inputs *in, const char *path, uint32_t flags)
{
	add(in, path, flags);
}

const struct input *inputs_find_one(const struct inputs *in, const char *path)
{
	uintptr_t number = (uintptr_t)map_gets(&in->known, path);
	return number && number <= in->n ? &in->list[number - 1] : NULL;
}

static const struct input *same_file(const struct inputs *in, const struct file_id *id)
{
	for (uint32_t i = 0; i < in->n; i++)
		if (file_id_equal(&in->list[i].facts.id, id))
			return &in->list[i];
	return NULL;
}

static void note_same(struct inputs *in, const char *dir, const char *real)
{
	const struct plan *p = in->plan;
	const char *names[] = {plan_canonical_path(p, dir), plan_canonical_path(p, real)};
	for (uint32_t i = 0; i < in->n_same; i++)
		if (strcmp(in->same[i].dir, names[0]) == 0)
			return;
	if ((in->n_same & (in->n_same - 1)) == 0) {
		struct manifest_link *list = arena_alloc(p->arena, (in->n_same ? 2 * in->n_same : 1) * sizeof *list);
		if (in->n_same)
			memcpy(list, in->same, in->n_same * sizeof *list);
		in->same = list;
	}
	in->same[in->n_same++] = (struct manifest_link){names[0], names[1]};
}

// Two spellings of one name in one directory ("a.h" and "../src/a.h") are one file for as long as the directories lead where
// they lead now, and that is noted.
static bool is_one_name(struct inputs *in, const char *a, const char *b)
{
	const struct plan *p = in->plan;
	const char *dirs[] = {path_dir(p->arena, a), path_dir(p->arena, b)};
	if (strcmp(path_base(a), path_base(b)) != 0)
		return false;
	const char *x = search_real_path(p->arena, p->cwd_fd, dirs[0]), *y = search_real_path(p->arena, p->cwd_fd, dirs[1]);
	if (!x || !y || strcmp(x, y) != 0)
		return false;
	note_same(in, dirs[0], x);
	note_same(in, dirs[1], y);
	return true;
}

static bool any_imports(const struct inputs *in)
{
	for (uint32_t i = 0; i < in->n; i++)
		if (in->list[i].facts.scan.facts & FACT_imports)
			return true;
	return false;
}

bool inputs_count_once(struct inputs *in, const char **culprit)
{
	bool found = false, imports = any_imports(in);
	struct map once = MAP_INIT, texts = MAP_INIT; // device and inode -> tidy name; digest -> file
	for (uint32_t i = 0; i < in->n && !found; i++) {
		const struct input *input = &in->list[i];
		uint64_t key[2] = {input->facts.id.dev, input->facts.id.ino};
		if (!(input->facts.scan.facts & FACT_once) && !imports)
			continue;
		const char *name = path_tidy(in->plan->arena, input->path);
		const char *other = map_put(&once, key, sizeof key, (void *)(uintptr_t)name);
		found = other && strcmp(other, name) != 0 && !is_one_name(in, other, name);
		const struct digest *text = &input->facts.digest;
		const struct file_id *id = &input->facts.id;
		const struct file_id *twin = id->size ? map_put(&texts, text, sizeof *text, (void *)(uintptr_t)id) : NULL;
		found = found || (twin && (twin->dev != id->dev || twin->ino != id->ino));
		*culprit = input->path;
	}
	map_release(&once);
	map_release(&texts);
	return found;
}

static bool parse_fd(const struct plan *p, int fd, struct depfile *d)
{
	struct buf text = BUF_INIT;
	bool ok = lseek(fd, 0, SEEK_SET) == 0 && file_read_fd(fd, DEPFILE_MAX, &text, NULL) == 0 &&
		  depfile_parse(d, p->arena, text.data ? text.data : "", text.len, NULL) == 0;
	buf_release(&text);
	return ok;
}

// The user's depfile is taken apart only if this compile has made it and we can put it together again, byte for byte. `fd`: where
// it is, if not under its name.
static bool parse_users(const struct plan *p, const struct baseline *b, int fd, struct depfile *d)
{
	if (fd < 0 && output_fate(p, p->line.depfile, &b->outputs.depfile, b->start_ns) != OUTPUT_MADE)
		return false;
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	int read = fd >= 0 ? (lseek(fd, 0, SEEK_SET) < 0 ? -1 : file_read_fd(fd, DEPFILE_MAX, &text, NULL))
			   : file_read(p->cwd_fd, p->line.depfile, DEPFILE_MAX, &text, NULL, NULL);
	if (read < 0 || !text.len || depfile_parse(d, p->arena, text.data, text.len, NULL) < 0)
		return false;
	struct depfile ours = {.targets = p->line.dep_targets,
			       .n_targets = p->line.n_dep_targets,
			       .deps = d->deps,
			       .n_deps = d->n_deps,
			       .phony = p->line.dep_phony,
			       .phony_spaced = d->phony_spaced,
			       .main_dep = d->main_dep};
	depfile_write(&ours, p->compiler->family, &again);
	return again.len == text.len && memcmp(again.data, text.data, text.len) == 0;
}

// gcc names a header twice that it found in two search_snapshot; the rebuilt depfile shall, too.
static void add_again(struct inputs *in, const char *path)
{
	const struct input *first = is_refused(in->refusal) ? NULL : inputs_find_one(in, path);
	if (!first)
		return;
	const struct input again = *first; // the list may move
	*append(in) = again;
	in->n++;
}

static void add_depfile(struct inputs *in, int dep_fd, struct manifest_entry *entry)
{
	struct depfile d = {0};
	bool users = in->plan->inputs_from != INPUTS_OUR_DEPFILE;
	if (!(users ? parse_users(in->plan, in->baseline, dep_fd, &d) : parse_fd(in->plan, dep_fd, &d))) {
		in->refusal = refuse(REASON_depfile_unparsed, NULL);
		return;
	}
	for (unsigned i = 0; i < d.n_deps && !is_refused(in->refusal); i++)
		if (!add(in, d.deps[i], INPUT_IN_DEPFILE))
			add_again(in, d.deps[i]);
	entry->dep_main = d.main_dep;
	entry->dep_spaced = d.phony_spaced;
}

// ---- what the assembler read ----------------------------------------------------------------------------------------

// The driver's own assembler file ("/tmp/ccXYZabc.s") is gone by now.
bool inputs_is_temp_source(const char *path)
{
	const char *base = path_base(path);
	return strcmp(path, "{standard input}") == 0 ||
	       (strlen(base) == 10 && strncmp(base, "cc", 2) == 0 && base[8] == '.');
}

static void add_assembler_inputs(struct inputs *in, int fd)
{
	const struct plan *p = in->plan;
	struct depfile d = {0};
	if (!parse_fd(p, fd, &d)) {
		in->refusal = refuse(REASON_depfile_unparsed, NULL);
		return;
	}
	in->loose = arena_alloc(p->arena, (d.n_deps + 1) * sizeof *in->loose);
	for (unsigned i = 0; i < d.n_deps && !is_refused(in->refusal); i++) {
		// It also lists names that it was only told (.file, line markers), mapped and shortened ones among them:
		// these need not exist, or mean an input.
		struct stat st;
		if (inputs_is_temp_source(d.deps[i]) || fstatat(p->cwd_fd, d.deps[i], &st, 0) < 0)
			continue;
		struct file_id id = file_id_of(&st);
		bool known = same_file(in, &id) != NULL;
		if (add(in, d.deps[i], INPUT_NO_CODE) && !known)
			in->loose[in->n_loose++] = d.deps[i];
	}
	// Its own search path (-Wa,-I) is not followed.
	for (unsigned i = 0; i < p->line.n_arguments && in->n_loose; i++)
		if (strstr(p->line.arguments[i].text, "-Wa,") || strcmp(p->line.arguments[i].text, "-Xassembler") == 0)
			in->refusal = refuse(REASON_embed, in->loose[0]);
}

// ---- what is forced in ----------------------------------------------------------------------------------------------

unsigned inputs_forced(const struct plan *p, struct include **out)
{
	const struct cmdline *l = &p->line;
	*out = arena_alloc(p->arena, (l->n_forced + 1) * sizeof **out);
	// glibc's hook, which gcc includes by itself.
	(*out)[0] = (struct include){.name = "stdc-predef.h", .form = INCLUDE_ANGLED};
	for (unsigned i = 0; i < l->n_forced; i++)
		(*out)[i + 1] = (struct include){.name = l->forced[i], .form = INCLUDE_QUOTED};
	return l->n_forced + 1;
}

// ---- everything that includes reach ---------------------------------------------------------------------------------

bool inputs_ask_compiler(const struct inputs *in, const char *const *more, struct child *c)
{
	return inputs_ask_with(in, more, in->plan->env, DEPFILE_MAX, c);
}

const char *const *inputs_question(const struct inputs *in, const char *const *more)
{
	const struct plan *p = in->plan;
	const struct cmdline *l = &p->line;
	unsigned n = 0, n_more = 0;
	while (more[n_more])
		n_more++;
	const char **argv = arena_alloc(p->arena, (l->n_arguments + n_more + 2) * sizeof *argv);
	argv[n++] = p->compiler->path;
	for (unsigned i = 0; i < l->n_arguments; i++) {
		const char *t = l->arguments[i].text;
		enum argument_role role = l->arguments[i].role;
		if (role != ARGUMENT_NOT_KEY && role != ARGUMENT_WRITES && i != l->source_argument && strcmp(t, "-c") != 0 &&
		    strcmp(t, "-S") != 0 && strcmp(t, "--") != 0 && strncmp(t, "-M", 2) != 0)
			argv[n++] = t;
	}
	memcpy(argv + n, more, n_more * sizeof *more);
	return argv;
}

bool inputs_ask_with(const struct inputs *in, const char *const *more, const char *const *env, size_t most, struct child *c)
{
	const struct plan *p = in->plan;
	const char *const *argv = inputs_question(in, more);
	*c = (struct child){.argv = argv, .envp = env, .cwd_fd = p->cwd_fd, .time_limit_ms = LIST_MS, .max_output = most};
	return child_run(c, NULL) == 0 && c->status == 0 && c->out.data;
}

// The full list by the compiler's own `-M`: where -MMD left out system headers and includes have computed names.
static void add_by_compiler(struct inputs *in)
{
	const struct plan *p = in->plan;
	const char *const more[] = {"-M", p->line.source, NULL};
	struct child c;
	struct depfile d = {0};
	bool ok = inputs_ask_compiler(in, more, &c) && depfile_parse(&d, p->arena, c.out.data, c.out.len, NULL) == 0;
	child_release(&c);
	if (!ok)
		in->refusal = refuse(REASON_depfile_unparsed, NULL);
	for (unsigned i = 0; i < d.n_deps && !is_refused(in->refusal); i++)
		add(in, d.deps[i], 0);
}

bool inputs_read_reached(void *ctx, const char *path, struct absent_input *out)
{
	struct inputs *in = ctx;
	const struct scan *scan = !is_refused(in->refusal) ? add(in, path, 0) : NULL;
	if (scan)
		*out = (struct absent_input){path, in->list[in->n - 1].facts.digest, scan};
	return scan != NULL;
}

// A header that lies where an include could find it, and that the compiler did not name. It may have come during the
// compile; it may be a second name of an input; and of two files with one text, or one file with two names, the compiler
// may have left out the second (#pragma once, #import), which no depfile tells.
static bool is_rightly_unread(void *ctx, const char *path)
{
	struct inputs *in = ctx;
	const struct plan *p = in->plan;
	const struct input *earlier = in->earlier ? inputs_find_one(in->earlier, path) : NULL;
	struct stat st;
	struct digest digest;
	if (!earlier && fstatat(p->cwd_fd, path, &st, 0) < 0)
		return false;
	// What the compile was made of is as it was, whatever is there now.
	struct file_id id = earlier ? earlier->facts.id : file_id_of(&st);
	if (id.ctime_ns >= in->baseline->start_ns)
		return false;
	const struct input *same = same_file(in, &id);
	if (same) {
		if ((same->facts.scan.facts & FACT_once) || any_imports(in))
			return is_one_name(in, path, same->path);
		add(in, path, 0);
		return true;
	}
	bool same_size = false;
	for (uint32_t i = 0; i < in->n && !same_size; i++)
		same_size = in->list[i].facts.id.size == id.size;
	if (id.size == 0 || !same_size || files_digest(p->services->files, p->cwd_fd, path, &digest, NULL, NULL) < 0)
		return true;
	for (uint32_t i = 0; i < in->n; i++)
		if (digest_equal(&in->list[i].facts.digest, &digest))
			return false;
	return true;
}

struct absent_input *inputs_for_absent(const struct inputs *in)
{
	struct absent_input *list = arena_alloc(in->plan->arena, (in->n + 1) * sizeof *list);
	for (uint32_t i = 0; i < in->n; i++) {
		struct scan *scan = arena_alloc(in->plan->arena, sizeof *scan);
		*scan = in->list[i].facts.scan;
		list[i] = (struct absent_input){.path = in->list[i].path, .scan = scan};
		if (!in->list[i].probes_added)
			list[i].digest = in->list[i].facts.digest;
	}
	return list;
}

static void fill_links(const struct inputs *in, const struct search *search, struct manifest_entry *e)
{
	const struct plan *p = in->plan;
	e->links = arena_alloc(p->arena, (search->n_links + in->n_same + 1) * sizeof *e->links);
	e->n_links = search->n_links + in->n_same;
	if (in->n_same)
		memcpy(e->links + search->n_links, in->same, in->n_same * sizeof *in->same);
	for (unsigned i = 0; i < search->n_links; i++)
		e->links[i] = (struct manifest_link){plan_canonical_path(p, search->links[i].dir),
						     plan_canonical_path(p, search->links[i].real)};
}

static void refuse_doubtful(struct inputs *in, const char *path)
{
	in->refusal = refuse(precompiled_by_name(path) ? REASON_precompiled_header_used : REASON_input_changed, path);
}

// Adds what one answer shows to be missing: files behind computed includes, further names of inputs, names that macros ask
// for. True: something was added that may reach more.
static bool add_missing(struct inputs *in, struct absent_query *q, const struct absent_answer *answer)
{
	bool had_macros = q->macros, is_computed = q->read && answer->computed;
	if (is_refused(in->refusal))
		return false;
	q->macros = had_macros || macros_in_includes(in);
	if (is_computed || q->macros != had_macros) {
		if (q->read)
			add_by_compiler(in); // then the list is complete, and nothing is to be read again
		q->read = NULL;
		return true;
	}
	if (answer->doubtful && precompiled_by_name(answer->doubtful) && !inputs_find_one(in, answer->doubtful))
		return precompiled_add(in, answer->doubtful);
	if (answer->doubtful)
		refuse_doubtful(in, answer->doubtful);
	for (uint32_t i = 0; i < answer->n_further && !is_refused(in->refusal); i++)
		add(in, answer->further[i], INPUT_NO_CODE);
	bool asked = in->n_probes != 0;
	if (is_refused(in->refusal) || asked || !macros_in_probes(in))
		return false;
	q->read = NULL;
	return true;
}

// Two files with one text, or a file with two names: see is_rightly_unread().
static bool has_twins(const struct inputs *in)
{
	struct map texts = MAP_OF_CALLERS_KEYS;
	bool has = false;
	for (uint32_t i = 0; i < in->n && !has; i++)
		has = map_put(&texts, &in->list[i].facts.digest, sizeof in->list[i].facts.digest, in->list);
	map_release(&texts);
	return has;
}

// Whether the includes, which were followed before the compile, need not be followed again: what the compiler has read is among what
// they reached, unchanged.
static bool is_closed_earlier(const struct inputs *in)
{
	const struct plan *p = in->plan;
	const struct inputs *earlier = in->earlier;
	if (!earlier || !earlier->closure || p->inputs_from != INPUTS_USER_MMD || p->line.makes_pch || in->n_loose)
		return false;
	for (uint32_t i = 0; i < in->n; i++)
		if (!in->list[i].is_as_earlier)
			return false;
	for (uint32_t i = 0; i < earlier->n; i++)
		if (earlier->list[i].probes_added)
			return false;
	return !has_twins(earlier);
}

static void take_closure(struct inputs *in, struct absent_answer *answer)
{
	const struct inputs *earlier = in->earlier;
	for (uint32_t i = 0; i < earlier->n && !is_refused(in->refusal); i++) {
		const struct input *was = &earlier->list[i];
		add(in, was->path, 0);
		const struct input *is = is_refused(in->refusal) ? NULL : inputs_find_one(in, was->path);
		if (is && !digest_equal(&is->facts.digest, &was->facts.digest))
			in->refusal = refuse(REASON_input_changed, was->path);
	}
	*answer = *earlier->closure;
	absent_sort(answer);
}

static void find_absent(struct inputs *in, struct absent_answer *answer)
{
	const struct plan *p = in->plan;
	struct include *forced;
	struct absent_query q = {.cwd_fd = p->cwd_fd,
				 .search = search_snapshot_search(in->baseline->search),
				 .gch = !p->line.makes_pch && (p->compiler->family == FAMILY_GCC || p->line.n_forced),
				 .pch = !p->line.makes_pch && p->compiler->family == FAMILY_CLANG && p->line.n_forced,
				 .loose = in->loose,
				 .n_loose = in->n_loose,
				 .n_forced = inputs_forced(p, &forced),
				 .read = p->inputs_from == INPUTS_USER_MMD ? inputs_read_reached : NULL,
				 .unread = is_rightly_unread,
				 .arrivals = p->services->arrivals,
				 .since = in->earlier && in->earlier->closure ? in->earlier->closure->job : 0,
				 .ctx = in};
	q.forced = forced;
	do {
		q.inputs = inputs_for_absent(in);
		q.n_inputs = in->n;
		absent_find(&q, p->arena, answer);
	} while (add_missing(in, &q, answer));
}

static void follow_includes(struct inputs *in, struct absent_answer *answer, struct manifest_entry *entry)
{
	const char *culprit;
	if (!in->baseline->search) {
		in->refusal = refuse(REASON_compiler_probe, NULL);
		return;
	}
	if (is_closed_earlier(in))
		take_closure(in, answer);
	else
		find_absent(in, answer);
	if (!is_refused(in->refusal) && inputs_count_once(in, &culprit))
		in->refusal = refuse(REASON_pragma, culprit);
	fill_links(in, search_snapshot_search(in->baseline->search), entry);
}

// ---- the entry ------------------------------------------------------------------------------------------------------

static void fill_inputs(const struct inputs *in, struct manifest_entry *e)
{
	const struct plan *p = in->plan;
	e->inputs = arena_alloc(p->arena, in->n * sizeof *e->inputs);
	e->n_inputs = in->n;
	for (uint32_t i = 0; i < in->n; i++) {
		const struct input *from = &in->list[i];
		e->inputs[i] = (struct manifest_input){.name = plan_canonical_path(p, from->path),
						       .digest = from->facts.digest,
						       .code = from->facts.scan.code,
						       .flags = from->flags};
	}
}

static void fill_names(const struct plan *p, const struct absent_answer *answer, struct manifest_entry *e)
{
	e->absent = arena_alloc(p->arena, answer->n_groups * sizeof *e->absent);
	e->n_absent = answer->n_groups;
	for (uint32_t i = 0; i < answer->n_groups; i++) {
		e->absent[i] = answer->groups[i];
		e->absent[i].dir = plan_canonical_path(p, answer->groups[i].dir);
	}
	e->present = arena_alloc(p->arena, answer->n_present * sizeof *e->present);
	e->n_present = answer->n_present;
	for (uint32_t i = 0; i < answer->n_present; i++)
		e->present[i] = plan_canonical_path(p, answer->present[i]);
}

void inputs_begin(struct inputs *in, const struct plan *p, const struct baseline *b)
{
	*in = (struct inputs){
		.plan = p, .baseline = b, .known = MAP_OF_CALLERS_KEYS, .epoch = watch_epoch(p->services->watch)};
}

void inputs_release(struct inputs *in)
{
	map_release(&in->known);
	buf_release(&in->builtin);
}

static bool has_moved(const struct inputs *in, const struct input *i)
{
	// That one of the same identity is no link was just seen.
	const char *from = i->is_as_earlier ? path_dir(in->plan->arena, i->path) : i->path;
	return search_snapshot_moved(in->baseline->search, from);
}

struct refusal inputs_find(const struct plan *p, const struct baseline *b, const struct inputs *earlier, int dep_fd,
			   int asm_dep_fd, struct manifest_entry *entry)
{
	struct inputs in;
	struct absent_answer answer = {0};
	inputs_begin(&in, p, b);
	in.earlier = earlier;
	if (p->inputs_from == INPUTS_SOURCE_ONLY)
		add(&in, p->line.source, 0);
	else
		add_depfile(&in, dep_fd, entry);
	if (!is_refused(in.refusal) && asm_dep_fd >= 0)
		add_assembler_inputs(&in, asm_dep_fd);
	for (unsigned i = 0; i < p->line.n_extra_inputs && !is_refused(in.refusal); i++)
		if (precompiled_by_name(p->line.extra_inputs[i]))
			precompiled_add(&in, p->line.extra_inputs[i]);
	if (!is_refused(in.refusal) && (p->inputs_from != INPUTS_SOURCE_ONLY || in.n_loose))
		follow_includes(&in, &answer, entry);
	for (unsigned i = 0; i < p->line.n_extra_inputs && !is_refused(in.refusal); i++)
		add(&in, p->line.extra_inputs[i], INPUT_NO_CODE);
	if (!is_refused(in.refusal))
		wanted_by_options(&in);
	if (!is_refused(in.refusal))
		facts_check(&in, asm_dep_fd >= 0, entry);
	for (uint32_t i = 0; i < in.n && !is_refused(in.refusal) && b->search; i++)
		if (has_moved(&in, &in.list[i]))
			in.refusal = refuse(REASON_input_changed, in.list[i].path);
	if (!is_refused(in.refusal)) {
		fill_inputs(&in, entry);
		fill_names(p, &answer, entry);
		wanted_forbid(&in, entry);
	}
	inputs_release(&in);
	return in.refusal;
}

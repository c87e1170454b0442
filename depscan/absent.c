#include "depscan/absent.h"

#include "base/map.h"
#include "base/path.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

struct list {
	const char **names;
	uint32_t n, cap;
};

// Where one include directive leads: the places that the compiler would look at, in order. Up to `n` with their presence
// they are as they were when this was worked out; when one has changed, it is worked out again.
struct way {
	struct step {
		struct path_place *place;
		enum presence presence;
		bool precompiled; // x.h.gch beside x.h
	} * steps;
	uint32_t n, cap;
	uint64_t job;  // the last that followed it
	uint64_t made; // 0: not yet
};

// The ways of all includes of one text in one directory.
struct text_ways {
	struct way **ways;
	uint32_t n;
};

struct group {
	const char *dir;
	struct list names;
};

struct text {
	struct absent_input input;
	struct path_place *place; // of that very name; NULL: the name is not tidy
};

struct finder {
	const struct absent_query *q;
	struct path_cache *p;
	struct arena *a;
	struct text *files; // the query's inputs and, with q->read, what they reach
	uint32_t n_files, cap_files;
	struct map groups; // directory, as its place has it -> struct group
	struct list present, further;
	const char *doubtful;
};

static void list_add(struct arena *a, struct list *l, const char *name)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 16;
		const char **names = arena_alloc(a, cap * sizeof *names);
		if (l->n)
			memcpy(names, l->names, l->n * sizeof *names);
		l->names = names;
		l->cap = cap;
	}
	l->names[l->n++] = name;
}

// ---- places -----------------------------------------------------------------------------------------------------------

static bool is_any(const struct path_place *p)
{
	return strncmp(path_base(p->path), PATH_CACHE_ANY, strlen(PATH_CACHE_ANY)) == 0;
}

// A place as it is now. A file that is no input is shown to the caller, once.
static void look(struct finder *f, struct path_place *place)
{
	place_refresh(f->p, place);
	if (place->presence == PLACE_UNCLEAR)
		f->doubtful = place->path;
	if (place->presence != PLACE_FILE || is_any(place) || !f->q->unread || place->input_job == f->p->job ||
	    place->asked_job == f->p->job)
		return;
	place->asked_job = f->p->job;
	if (!f->q->unread(f->q->ctx, arena_strdup(f->a, place->path)))
		f->doubtful = place->path;
}

static struct path_place *place_at(struct finder *f, const char *dir, const char *rest)
{
	return path_cache_get(f->p, path_tidy(f->a, path_join(f->a, dir, rest)));
}

static void note_name(struct finder *f, const char *dir, const char *name)
{
	struct group *g = map_gets(&f->groups, dir);
	if (!g) {
		g = arena_alloc(f->a, sizeof *g);
		g->dir = strcmp(dir, ".") == 0 ? "" : arena_strdup(f->a, dir);
		map_puts(&f->groups, dir, g);
	}
	list_add(f->a, &g->names, arena_strdup(f->a, name));
}

static const char *name_below(const struct path_place *dir, const char *path)
{
	return !dir || strcmp(dir->path, ".") == 0 ? path : path_below(dir->path, path);
}

// Notes that a place is absent, as a name in the deepest directory that exists: where "D/sys" is none, "sys/h.h" in D.
static void note_absent(struct finder *f, struct path_place *place)
{
	if (place->listed_job == f->p->job)
		return;
	place->listed_job = f->p->job;
	struct path_place *dir = place_anchor(f->p, place);
	note_name(f, dir ? dir->path : ".", name_below(dir, place->path));
}

// What is a directory, or may become one, must not become a file: a name with a '/' at its end.
static void note_no_file(struct finder *f, struct path_place *place)
{
	if (place->presence == PLACE_FILE || place->listed_job == f->p->job)
		return;
	place->listed_job = f->p->job;
	struct path_place *dir = place->presence == PLACE_ABSENT ? place_anchor(f->p, place) : place->parent;
	note_name(f, dir ? dir->path : ".", arena_printf(f->a, "%s/", name_below(dir, place->path)));
}

// The compiler warns of a file among the directories of its search. One that has a group is looked at with its names.
static void note_no_files(struct finder *f, const char *const *dirs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct path_place *dir = path_cache_look(f->p, path_tidy(f->a, dirs[i]));
		if (!map_gets(&f->groups, dir->path) && dir->parent)
			note_no_file(f, dir);
	}
}

static void absent_at(struct finder *f, const char *dir, const char *rest)
{
	struct path_place *place = place_at(f, dir, rest);
	look(f, place);
	if (place->presence == PLACE_ABSENT)
		note_absent(f, place);
}

// ---- ways -------------------------------------------------------------------------------------------------------------

static enum presence add_step(struct finder *f, struct way *w, const char *dir, const char *name, bool precompiled)
{
	struct path_place *place = place_at(f, dir, name);
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 8;
		struct step *steps = arena_alloc(&f->p->arena, w->cap * sizeof *steps);
		if (w->n)
			memcpy(steps, w->steps, w->n * sizeof *steps);
		w->steps = steps;
	}
	place_refresh(f->p, place);
	w->steps[w->n++] = (struct step){place, place->presence, precompiled};
	return place->presence;
}

// gcc takes x.h.gch in place of x.h without a word in the depfile, even where there is no x.h. What is in it, and whether
// it is taken, can't be told. The directories of the system, which have hundreds of names and hardly ever change, are asked
// for any such file at once.
static void add_precompiled(struct finder *f, struct way *w, const char *dir, const char *name)
{
	const char *suffixes[] = {f->q->gch ? ".gch" : NULL, f->q->pch ? ".pch" : NULL};
	for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
		if (!suffixes[i])
			continue;
		const char *file = arena_printf(f->a, "%s%s", name, suffixes[i]);
		const char *directory = path_dir(f->a, path_join(f->a, dir, name));
		if (strncmp(directory, "/usr/", 5) != 0 ||
		    add_step(f, w, directory, arena_printf(f->a, PATH_CACHE_ANY "%s", suffixes[i]), true) != PLACE_ABSENT)
			add_step(f, w, dir, file, true);
	}
}

// <Kit/x.h> in a directory of frameworks. True: it is there.
static bool add_framework(struct finder *f, struct way *w, const char *dir, const char *name)
{
	static const char *const within[] = {"Headers", "PrivateHeaders"};
	const char *slash = strchr(name, '/');
	for (size_t i = 0; slash && i < COUNT_OF(within); i++) {
		const char *file = arena_printf(f->a, "%.*s.framework/%s%s", (int)(slash - name), name, within[i], slash);
		if (add_step(f, w, dir, file, false) == PLACE_FILE)
			return true;
	}
	return false;
}

// Returns when the file is found, as the compiler does, except for #include_next, where the start is not known and every
// place counts.
static void make_way(struct finder *f, struct way *w, const struct include *inc, const char *includer_dir)
{
	const struct search *s = f->q->search;
	unsigned n_own = inc->form == INCLUDE_QUOTED ? 1 : 0;
	unsigned n_quoted = inc->form == INCLUDE_QUOTED ? s->n_quoted : 0;
	bool absolute = inc->name[0] == '/';
	w->n = 0;
	w->made = f->p->job;
	// Directories of the search that do not exist: where in the order they would stand is not told, so they come first.
	for (unsigned i = 0; i < s->n_missing && !absolute; i++)
		add_step(f, w, s->missing[i], inc->name, false);
	unsigned n = absolute ? 1 : n_own + n_quoted + s->n_angled;
	for (unsigned i = 0; i < n; i++) {
		const char *dir = absolute               ? ""
				  : i < n_own            ? includer_dir
				  : i < n_own + n_quoted ? s->quoted[i - n_own]
							 : s->angled[i - n_own - n_quoted];
		unsigned at = i - n_own - n_quoted;
		if (!absolute && i >= n_own + n_quoted && s->frameworks && s->frameworks[at]) {
			if (add_framework(f, w, dir, inc->name) && !inc->next)
				return;
			continue;
		}
		if (!inc->probe)
			add_precompiled(f, w, dir, inc->name);
		if (add_step(f, w, dir, inc->name, false) == PLACE_FILE && !inc->next)
			return;
	}
}

// A file that an include can reach becomes an input itself.
static void reach(struct finder *f, struct path_place *place)
{
	struct absent_input input;
	if (place->input_job == f->p->job)
		return;
	const char *path = arena_strdup(f->a, place->path); // the place may be forgotten before the job ends
	if (!f->q->read(f->q->ctx, path, &input))
		return;
	if (f->n_files == f->cap_files) {
		f->cap_files *= 2;
		struct text *files = arena_alloc(f->a, f->cap_files * sizeof *files);
		memcpy(files, f->files, f->n_files * sizeof *files);
		f->files = files;
	}
	f->files[f->n_files++] = (struct text){input, place};
	place->input_job = f->p->job;
	list_add(f->a, &f->further, path);
}

static bool way_holds(struct finder *f, const struct way *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		place_refresh(f->p, w->steps[i].place);
		if (w->steps[i].place->presence != w->steps[i].presence)
			return false;
	}
	return w->made != 0;
}

static void follow(struct finder *f, struct way *w, const struct include *inc, const char *includer_dir)
{
	if (w->job == f->p->job)
		return;
	w->job = f->p->job;
	if (!way_holds(f, w))
		make_way(f, w, inc, includer_dir);
	unsigned n_missing = inc->name[0] == '/' ? 0 : f->q->search->n_missing;
	for (uint32_t i = 0; i < w->n; i++) {
		struct path_place *place = w->steps[i].place;
		look(f, place);
		if (place->presence == PLACE_ABSENT) {
			note_absent(f, place);
		} else if (w->steps[i].precompiled) {
			if (!is_any(place) && place->input_job != f->p->job)
				f->doubtful = place->path;
		} else if (place->presence == PLACE_DIRECTORY) {
			note_no_file(f, place);
		} else if (i >= n_missing && inc->probe) {
			if (place->input_job != f->p->job && place->present_job != f->p->job)
				list_add(f->a, &f->present, arena_strdup(f->a, place->path));
			place->present_job = f->p->job;
		} else if (i >= n_missing && f->q->read) {
			reach(f, place);
		}
	}
}

// The same include from the same directory is one way.
static struct way *way_of(struct finder *f, const struct include *inc, const char *includer_dir)
{
	bool own = inc->form == INCLUDE_QUOTED;
	const char *key = arena_printf(f->a, "w%d%d%d%d%d%s\n%s", own, inc->next, inc->probe, f->q->gch, f->q->pch,
				       own ? includer_dir : "", inc->name);
	struct way *w = map_gets(&f->p->answers, key);
	if (!w) {
		w = arena_alloc(&f->p->arena, sizeof *w);
		map_puts(&f->p->answers, key, w);
	}
	return w;
}

static const struct text_ways *ways_by_digest(struct finder *f, const struct absent_input *input, const char *dir)
{
	AUTO_BUF struct buf key = BUF_INIT;
	buf_adds(&key, "t");
	buf_addc(&key, f->q->gch ? '1' : '0');
	buf_addc(&key, f->q->pch ? '1' : '0');
	buf_adds(&key, dir);
	buf_addc(&key, '\n');
	buf_add(&key, input->digest.b, sizeof input->digest.b);
	bool remember = !digest_is_zero(&input->digest);
	struct text_ways *t = remember ? map_get(&f->p->answers, key.data, key.len) : NULL;
	if (t)
		return t;
	struct arena *a = remember ? &f->p->arena : f->a;
	t = arena_alloc(a, sizeof *t);
	t->n = input->scan->n_includes;
	t->ways = arena_alloc(a, (t->n + 1) * sizeof *t->ways);
	for (uint32_t i = 0; i < t->n; i++)
		if (input->scan->includes[i].form != INCLUDE_MACRO)
			t->ways[i] = way_of(f, &input->scan->includes[i], dir);
	if (remember)
		map_put(&f->p->answers, key.data, key.len, t);
	return t;
}

static const struct text_ways *ways_of_text(struct finder *f, const struct text *text, const char *dir)
{
	struct path_place *place = text->place;
	unsigned kind = 1u | (f->q->gch ? 2u : 0) | (f->q->pch ? 4u : 0);
	if (!place || digest_is_zero(&text->input.digest))
		return ways_by_digest(f, &text->input, dir);
	if (place->answer_kind != kind || !digest_equal(&place->answered, &text->input.digest)) {
		place->answer = ways_by_digest(f, &text->input, dir);
		place->answered = text->input.digest;
		place->answer_kind = kind;
	}
	return place->answer;
}

static void follow_text(struct finder *f, const struct text *text)
{
	const struct absent_input *input = &text->input;
	const char *dir = path_dir(f->a, input->path);
	const struct text_ways *t = ways_of_text(f, text, dir);
	for (uint32_t i = 0; i < t->n; i++)
		if (t->ways[i])
			follow(f, t->ways[i], &input->scan->includes[i], dir);
}

// ---- names that are not known ---------------------------------------------------------------------------------------------

static bool is_computed(const struct finder *f, const struct scan *scan)
{
	bool computed = scan->facts & FACT_computed;
	if (computed || !f->q->macros)
		return computed;
	for (unsigned i = 0; i < scan->n_includes; i++)
		if (scan->includes[i].form == INCLUDE_MACRO && !scan->includes[i].probe)
			return true;
	return false;
}

// A file whose name we do not know (it came from a macro, or from the assembler): for each directory of the search that its
// path lies in, the directories before that one, the working directory, and those of the texts that compute names.
static void follow_unknown(struct finder *f, const char *path)
{
	const struct search *s = f->q->search;
	for (unsigned i = 0; i < s->n_quoted + s->n_angled; i++) {
		const char *dir = i < s->n_quoted ? s->quoted[i] : s->angled[i - s->n_quoted];
		const char *rest = path_below(path_tidy(f->a, dir), path);
		if (!rest)
			continue;
		absent_at(f, ".", rest);
		for (unsigned k = 0; k < i; k++)
			absent_at(f, k < s->n_quoted ? s->quoted[k] : s->angled[k - s->n_quoted], rest);
		for (unsigned k = 0; k < f->q->n_inputs; k++)
			if (is_computed(f, f->q->inputs[k].scan))
				absent_at(f, path_dir(f->a, f->q->inputs[k].path), rest);
	}
}

// ---- the answer -----------------------------------------------------------------------------------------------------------

// A name and its first bytes as numbers, which hundreds of names are told apart by without a look at their texts.
struct sortable {
	uint64_t first, second;
	const char *name;
};

// Eight bytes as they compare; 0 behind the name's end.
static uint64_t eight(const char *name, size_t n, size_t at)
{
	unsigned char bytes[8] = {0};
	if (n > at)
		memcpy(bytes, name + at, n - at < sizeof bytes ? n - at : sizeof bytes);
	uint64_t word;
	memcpy(&word, bytes, sizeof word);
	return be64toh(word);
}

static int by_name(const void *a, const void *b)
{
	const struct sortable *x = a, *y = b;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->second != y->second)
		return x->second < y->second ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void sort_names(const char **names, uint32_t n, struct sortable *room)
{
	for (uint32_t i = 0; i < n; i++) {
		size_t length = strlen(names[i]);
		room[i] = (struct sortable){eight(names[i], length, 0), eight(names[i], length, 8), names[i]};
	}
	qsort(room, n, sizeof *room, by_name);
	for (uint32_t i = 0; i < n; i++)
		names[i] = room[i].name;
}

void absent_sort(struct absent_answer *answer)
{
	uint32_t most = 0;
	for (uint32_t i = 0; i < answer->n_groups; i++)
		most = answer->groups[i].n_names > most ? answer->groups[i].n_names : most;
	AUTO_FREE struct sortable *room = mem_alloc(most * sizeof *room);
	for (uint32_t i = 0; i < answer->n_groups; i++)
		sort_names(answer->groups[i].names, answer->groups[i].n_names, room);
}

static void collect(struct finder *f, struct absent_answer *out)
{
	out->groups = arena_alloc(f->a, (f->groups.n + 1) * sizeof *out->groups);
	size_t at = 0;
	void *v;
	while (map_next(&f->groups, &at, NULL, NULL, &v)) {
		const struct group *g = v;
		out->groups[out->n_groups++] =
			(struct absent_group){.dir = g->dir, .names = g->names.names, .n_names = g->names.n};
	}
	if (!f->q->any_order)
		absent_sort(out);
	out->present = f->present.names;
	out->n_present = f->present.n;
	out->further = f->further.names;
	out->n_further = f->further.n;
	out->doubtful = f->doubtful ? arena_strdup(f->a, f->doubtful) : NULL;
}

static void take_inputs(struct finder *f)
{
	f->n_files = f->q->n_inputs;
	f->cap_files = f->n_files < 64 ? 64 : f->n_files;
	f->files = arena_alloc(f->a, f->cap_files * sizeof *f->files);
	for (unsigned i = 0; i < f->n_files; i++) {
		const struct absent_input *input = &f->q->inputs[i];
		struct path_place *place = path_cache_get(f->p, path_tidy(f->a, input->path));
		place->input_job = f->p->job;
		f->files[i] = (struct text){*input, strcmp(place->path, input->path) == 0 ? place : NULL};
	}
}

void absent_find(const struct absent_query *q, struct arena *a, struct absent_answer *out)
{
	if (!q->since)
		directory_watch_read(q->arrivals);
	struct finder f = {.q = q,
			   .p = path_cache_begin(q->search->places, q->cwd_fd, q->since, q->arrivals),
			   .a = a,
			   .groups = MAP_OF_CALLERS_KEYS};
	*out = (struct absent_answer){.job = f.p->job};
	take_inputs(&f);
	for (unsigned i = 0; i < q->n_forced; i++)
		follow(&f, way_of(&f, &q->forced[i], "."), &q->forced[i], ".");
	// The list grows while it is walked.
	for (unsigned i = 0; i < f.n_files; i++) {
		struct text text = f.files[i];
		follow_text(&f, &text);
		out->computed |= is_computed(&f, text.input.scan);
	}
	for (unsigned i = 1; out->computed && i < f.n_files; i++)
		follow_unknown(&f, path_tidy(a, f.files[i].input.path));
	for (unsigned i = 0; i < q->n_loose; i++)
		follow_unknown(&f, path_tidy(a, q->loose[i]));
	note_no_files(&f, q->search->missing, q->search->n_missing);
	note_no_files(&f, q->search->quoted, q->search->n_quoted);
	note_no_files(&f, q->search->angled, q->search->n_angled);
	collect(&f, out);
	path_cache_end(q->search->places);
	map_release(&f.groups);
}

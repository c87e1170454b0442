#include "depscan/absent.h"

#include "base/map.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum presence { UNKNOWN, ABSENT, FILE_THERE, FOLDER_THERE };

struct list {
	const char **names;
	uint32_t n, cap;
};

struct finder {
	const struct absent_query *q;
	struct arena *a;
	struct absent_input *files; // the query's inputs and, with q->scan, what they reach
	uint32_t n_files, cap_files;
	struct map presence; // tidy path -> enum presence
	struct map inputs;   // tidy path of every input
	struct map groups;   // folder -> struct group
	struct map listed;   // paths that are in a list already
	struct map followed; // includes that were followed, by folder
	struct list present, further;
	const char *doubtful;
	uint32_t n_groups;
};

struct group {
	const char *dir;
	struct list names;
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

static enum presence look(struct finder *f, const char *path)
{
	uintptr_t known = (uintptr_t)map_gets(&f->presence, path);
	if (known)
		return (enum presence)known;
	struct stat st;
	bool there = fstatat(f->q->cwd_fd, path, &st, 0) == 0;
	if (!there && errno != ENOENT && errno != ENOTDIR)
		f->doubtful = path;
	enum presence p = !there ? ABSENT : S_ISDIR(st.st_mode) ? FOLDER_THERE : FILE_THERE;
	map_puts(&f->presence, path, (void *)(uintptr_t)p);
	if (p == FILE_THERE && f->q->unread && !map_gets(&f->inputs, path) && !f->q->unread(f->q->ctx, path, &st))
		f->doubtful = path;
	return p;
}

static bool first_time(struct finder *f, const char *path)
{
	return map_puts(&f->listed, path, f) == NULL;
}

// Notes that `path` is absent, as a name in the deepest folder that exists: where "D/sys" is none, "sys/h.h" in D.
static void note_absent(struct finder *f, const char *path)
{
	const char *dir = path_dir(f->a, path_tidy(f->a, path));
	while (strcmp(dir, ".") != 0 && strcmp(dir, "/") != 0 && look(f, dir) != FOLDER_THERE)
		dir = path_dir(f->a, dir);
	if (!first_time(f, path))
		return;
	const char *name = strcmp(dir, ".") == 0 ? path : path_below(dir, path);
	struct group *g = map_gets(&f->groups, dir);
	if (!g) {
		g = arena_alloc(f->a, sizeof *g);
		g->dir = strcmp(dir, ".") == 0 ? "" : dir;
		map_puts(&f->groups, dir, g);
		f->n_groups++;
	}
	list_add(f->a, &g->names, arena_strdup(f->a, name));
}

// What is a folder, or may become one, must not become a file.
static void note_no_file(struct finder *f, const char *dir)
{
	if (look(f, dir) != FILE_THERE)
		note_absent(f, arena_printf(f->a, "%s/", dir));
}

// The compiler warns of a file among the folders of its search. One that has a group is looked at with its names.
static void note_no_files(struct finder *f, const char *const *dirs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const char *dir = path_tidy(f->a, dirs[i]);
		if (!map_gets(&f->groups, dir))
			note_no_file(f, dir);
	}
}

static void absent_at(struct finder *f, const char *dir, const char *rest)
{
	const char *path = path_tidy(f->a, path_join(f->a, dir, rest));
	if (look(f, path) == ABSENT)
		note_absent(f, path);
}

// With q->scan set: a file that an include can reach becomes an input itself.
static void reach(struct finder *f, const char *path)
{
	if (map_gets(&f->inputs, path))
		return;
	const struct scan *scan = f->q->scan(f->q->ctx, path);
	if (!scan)
		return;
	if (f->n_files == f->cap_files) {
		f->cap_files *= 2;
		struct absent_input *files = arena_alloc(f->a, f->cap_files * sizeof *files);
		memcpy(files, f->files, f->n_files * sizeof *files);
		f->files = files;
	}
	f->files[f->n_files++] = (struct absent_input){path, scan};
	map_puts(&f->inputs, path, f);
	list_add(f->a, &f->further, path);
}

// gcc takes x.h.gch in place of x.h without a word in the depfile, even where there is no x.h. What is in it, and whether
// it is taken, can't be told.
static void note_precompiled(struct finder *f, const char *path)
{
	const char *suffixes[] = {f->q->gch ? ".gch" : NULL, f->q->pch ? ".pch" : NULL};
	for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
		if (!suffixes[i])
			continue;
		const char *file = arena_printf(f->a, "%s%s", path, suffixes[i]);
		if (look(f, file) == ABSENT)
			note_absent(f, file);
		else
			f->doubtful = file;
	}
}

// Follows one include through its places. Returns when the file is found, as the compiler does, except for
// #include_next, where the start is not known and every place counts.
static void follow(struct finder *f, const struct include *inc, const char *includer_dir)
{
	const struct search *s = f->q->search;
	unsigned n_own = inc->form == INCLUDE_QUOTED ? 1 : 0;
	unsigned n_quoted = inc->form == INCLUDE_QUOTED ? s->n_quoted : 0;
	bool absolute = inc->name[0] == '/';
	// Folders of the search that do not exist: where in the order they would stand is not told, so they come first.
	for (unsigned i = 0; i < s->n_missing && !absolute; i++)
		absent_at(f, s->missing[i], inc->name);
	unsigned n = absolute ? 1 : n_own + n_quoted + s->n_angled;
	for (unsigned i = 0; i < n; i++) {
		const char *dir = absolute               ? ""
				  : i < n_own            ? includer_dir
				  : i < n_own + n_quoted ? s->quoted[i - n_own]
							 : s->angled[i - n_own - n_quoted];
		const char *path = path_tidy(f->a, path_join(f->a, dir, inc->name));
		if (!inc->probe)
			note_precompiled(f, path);
		if (look(f, path) != FILE_THERE) {
			if (look(f, path) == ABSENT)
				note_absent(f, path);
			else
				note_no_file(f, path);
			continue;
		}
		if (inc->probe && !map_gets(&f->inputs, path) && first_time(f, path))
			list_add(f->a, &f->present, path);
		if (!inc->probe && f->q->scan)
			reach(f, path);
		if (!inc->next)
			return;
	}
}

// The same include from the same folder is followed once.
static void follow_once(struct finder *f, const struct include *inc, const char *includer_dir)
{
	if (inc->form == INCLUDE_MACRO)
		return;
	bool own = inc->form == INCLUDE_QUOTED;
	const char *key = arena_printf(f->a, "%d%d%d%s\n%s", own, inc->next, inc->probe, own ? includer_dir : "", inc->name);
	if (!map_puts(&f->followed, key, f))
		follow(f, inc, includer_dir);
}

static bool is_computed(const struct finder *f, const struct scan *scan)
{
	if (scan->computed || !f->q->macros)
		return scan->computed;
	for (unsigned i = 0; i < scan->n_includes; i++)
		if (scan->includes[i].form == INCLUDE_MACRO && !scan->includes[i].probe)
			return true;
	return false;
}

// A file whose name we do not know (it came from a macro, or from the assembler): for each folder of the search that its
// path lies in, the folders before that one, the working directory, and those of the texts that compute names.
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

static void collect(struct finder *f, struct absent_answer *out)
{
	out->groups = arena_alloc(f->a, f->n_groups * sizeof *out->groups);
	size_t at = 0;
	void *v;
	while (map_next(&f->groups, &at, NULL, NULL, &v)) {
		const struct group *g = v;
		out->groups[out->n_groups++] =
			(struct absent_group){.dir = g->dir, .names = g->names.names, .n_names = g->names.n};
	}
	out->present = f->present.names;
	out->n_present = f->present.n;
	out->further = f->further.names;
	out->n_further = f->further.n;
	out->doubtful = f->doubtful;
}

static void take_inputs(struct finder *f)
{
	f->n_files = f->q->n_inputs;
	f->cap_files = f->n_files < 64 ? 64 : f->n_files;
	f->files = arena_alloc(f->a, f->cap_files * sizeof *f->files);
	for (unsigned i = 0; i < f->n_files; i++) {
		f->files[i] = f->q->inputs[i];
		map_puts(&f->inputs, path_tidy(f->a, f->files[i].path), f);
	}
}

void absent_find(const struct absent_query *q, struct arena *a, struct absent_answer *out)
{
	struct finder f = {.q = q, .a = a};
	*out = (struct absent_answer){0};
	take_inputs(&f);
	for (unsigned i = 0; i < q->n_forced; i++)
		follow_once(&f, &q->forced[i], ".");
	// The list grows while it is walked.
	for (unsigned i = 0; i < f.n_files; i++) {
		const struct scan *scan = f.files[i].scan;
		const char *dir = path_dir(a, f.files[i].path);
		for (unsigned k = 0; k < scan->n_includes; k++)
			follow_once(&f, &scan->includes[k], dir);
		out->computed |= is_computed(&f, scan);
	}
	for (unsigned i = 1; out->computed && i < f.n_files; i++)
		follow_unknown(&f, path_tidy(a, f.files[i].path));
	for (unsigned i = 0; i < q->n_loose; i++)
		follow_unknown(&f, path_tidy(a, q->loose[i]));
	note_no_files(&f, q->search->missing, q->search->n_missing);
	note_no_files(&f, q->search->quoted, q->search->n_quoted);
	note_no_files(&f, q->search->angled, q->search->n_angled);
	collect(&f, out);
	struct map *maps[] = {&f.presence, &f.inputs, &f.groups, &f.listed, &f.followed};
	for (size_t i = 0; i < COUNT_OF(maps); i++)
		map_release(maps[i]);
}

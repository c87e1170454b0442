#include "client/job/reach.h"

#include "base/path.h"
#include "client/job/command.h"
#include "client/job/macros.h"
#include "client/job/place.h"
#include "client/job/search_snapshot.h"
#include "depscan/content.h"
#include "depscan/incbin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- what can be reached --------------------------------------------------------------------------------------------

static struct no_tree follow(struct inputs *in, struct absent_answer *answer)
{
	const struct plan *p = in->plan;
	struct include *forced;
	struct absent_query q = {.cwd_fd = p->cwd_fd,
				 .search = search_snapshot_search(in->baseline->search),
				 .n_forced = inputs_forced(p, &forced),
				 .gch = p->compiler->family == FAMILY_GCC || p->line.n_forced,
				 .pch = p->compiler->family == FAMILY_CLANG && p->line.n_forced,
				 .any_order = true,
				 .arrivals = p->services->arrivals,
				 .read = inputs_read_reached,
				 .ctx = in};
	q.forced = forced;
	for (bool again = true; again;) {
		q.inputs = inputs_for_absent(in);
		q.n_inputs = in->n;
		absent_find(&q, p->arena, answer);
		if (answer->doubtful)
			return no_tree(NO_TREE_precompiled, answer->doubtful);
		if (answer->computed || macros_in_includes(in))
			return no_tree(NO_TREE_computed, NULL);
		again = in->n_probes == 0 && macros_in_probes(in);
		if (is_refused(in->refusal))
			return no_tree(NO_TREE_input, in->refusal.culprit);
	}
	return no_tree(NO_TREE_NONE, NULL);
}

// What GNU as is told to read: it lists what it did read, so that anything else is noticed.
static bool find_incbin(const struct inputs *in, const char *path, struct incbin *names)
{
	const struct plan *p = in->plan;
	AUTO_BUF struct buf text = {.max = FILES_MAX_SIZE + 2};
	return command_lists_for_as(p) && file_read(p->cwd_fd, path, FILES_MAX_SIZE, &text, NULL, NULL) == 0 &&
	       incbin_find(text.data ? text.data : "", text.len, p->arena, names);
}

// The first text that has compiler or assembler read files which are not known; or NULL.
static const char *reads_files_by_itself(const struct inputs *in, struct incbin *names)
{
	const uint32_t by_assembler = FACT_asm_embeds | FACT_incbin | FACT_asm_include;
	for (uint32_t i = 0; i < in->n; i++) {
		uint32_t facts = in->list[i].facts.scan.facts;
		if ((facts & FACT_embed) || ((facts & by_assembler) && !find_incbin(in, in->list[i].path, names)))
			return in->list[i].path;
	}
	return NULL;
}

// ---- the tree -------------------------------------------------------------------------------------------------------

struct builder {
	struct reach *r;
	const struct plan *p;
	const char *lacks;               // the first name on the last way that led nowhere
	const struct file_facts *facts;  // of the plain file that is being added, where they are known
	const struct source_node *fresh; // the last file that was added
	struct digest digest;            // and what the scanner knows it by
	const struct incbin *incbin;     // what the assembler is told to read
	bool is_spoilt;
	bool is_bound; // the build tree and its surroundings can't be told apart
};

// What follows the moved tree's own name in a path: "", "/x"; NULL: it is no name of it.
static const char *in_moved(const struct builder *b, const char *path)
{
	size_t n = b->r->moved ? strlen(b->r->moved) : 0;
	return n && strncmp(path, b->r->moved, n) == 0 ? path + n : NULL;
}

static char *below(struct arena *a, const struct source_node *directory, const char *name, size_t n)
{
	size_t n_above = directory->parent == directory ? 0 : strlen(directory->path);
	char *path = arena_alloc(a, n_above + n + 2);
	memcpy(path, directory->path, n_above);
	path[n_above] = '/';
	memcpy(path + n_above + 1, name, n);
	return path;
}

// What is at a name: SOURCE_FILE for all that is neither directory nor link. False: nothing that can be in a tree.
static bool look(struct builder *b, const char *path, enum source_kind *kind, struct file_id *id)
{
	struct stat st;
	*kind = SOURCE_FILE;
	if (b->facts) {
		*id = b->facts->id;
		return true;
	}
	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		b->is_spoilt |= errno != ENOENT && errno != ENOTDIR;
		return false;
	}
	*kind = S_ISDIR(st.st_mode) ? SOURCE_DIRECTORY : S_ISLNK(st.st_mode) ? SOURCE_LINK : SOURCE_FILE;
	*id = file_id_of(&st);
	bool is_strange = *kind == SOURCE_FILE && !S_ISREG(st.st_mode);
	b->is_spoilt |= is_strange;
	return !is_strange;
}

static struct source_node *make_node(struct builder *b, struct source_node *directory, const char *name, size_t n)
{
	struct arena *a = b->p->arena;
	char target[SOURCE_TREE_MAX_PATH + 1];
	const char *path = below(a, directory, name, n);
	enum source_kind kind;
	struct file_id id;
	const char *rest = in_moved(b, path);
	b->is_bound |=
		rest && *rest != '/'; // by another way than its own name, or a neighbour for whose name its maps are, too
	if (!look(b, path, &kind, &id))
		return &b->r->missing;
	ssize_t n_target = kind == SOURCE_LINK ? readlink(path, target, sizeof target - 1) : 0;
	struct source_node *node = source_tree_add(&b->r->tree, directory, name, n, kind);
	if (!node || n_target < 0) {
		b->is_spoilt = true;
		return &b->r->missing;
	}
	node->path = path;
	node->target = arena_strndup(a, target, (size_t)n_target);
	b->is_bound |= b->r->moved && strstr(node->target, b->r->moved);
	node->size = (uint64_t)id.size;
	if (kind != SOURCE_FILE)
		return node;
	directory->is_whole = true;
	b->fresh = node;
	b->is_spoilt |= contents_of(b->p->services->contents, AT_FDCWD, path, &id, &node->sha256, &b->digest, NULL) < 0;
	return node;
}

static struct source_node *child(struct builder *b, struct source_node *directory, const char *name, size_t n)
{
	char key[sizeof directory + SOURCE_TREE_MAX_NAME];
	if (n > SOURCE_TREE_MAX_NAME)
		return &b->r->missing;
	memcpy(key, &directory, sizeof directory);
	memcpy(key + sizeof directory, name, n);
	struct source_node *node = map_get(&b->r->known, key, sizeof directory + n);
	if (!node && b->r->is_closed)
		return &b->r->missing;
	if (!node) {
		node = make_node(b, directory, name, n);
		char *kept = arena_alloc(b->p->arena, sizeof directory + n);
		memcpy(kept, key, sizeof directory + n);
		map_put(&b->r->known, kept, sizeof directory + n, node);
	}
	return node;
}

// Adds what is at a name, and every directory and link on the way. NULL: nothing is there (b->lacks), or too many links are on the way.
static struct source_node *enter(struct builder *b, struct source_node *at, const char *path, int *links)
{
	const char *rest = in_moved(b, path);
	if (*path == '/')
		at = &b->r->tree.top;
	if (rest && (*rest == '/' || !*rest)) {
		at = b->r->moved_node;
		path = rest;
	}
	while (at && *path) {
		size_t n = strcspn(path, "/");
		struct source_node *next = at;
		if (at->kind != SOURCE_DIRECTORY)
			return NULL;
		if (n == 2 && memcmp(path, "..", 2) == 0) {
			b->is_bound |= at == b->r->moved_node;
			next = at->parent;
		} else if (n && !(n == 1 && *path == '.'))
			next = child(b, at, path, n);
		if (next == &b->r->missing) {
			b->lacks = below(b->p->arena, at, path, n);
			return NULL;
		}
		if (next->kind == SOURCE_LINK)
			next = (*links)++ < SOURCE_TREE_MAX_LINKS ? enter(b, at, next->target, links) : NULL;
		at = next;
		path += n;
		path += *path == '/';
	}
	return at;
}

// The way to a directory is gone once for each spelling.
static struct source_node *add_directory(struct builder *b, const char *path, size_t n)
{
	struct source_node *d = map_get(&b->r->directories, path, n);
	int links = 0;
	if (d)
		return d;
	const char *whole = *path == '/' ? arena_strndup(b->p->arena, path, n)
					 : arena_printf(b->p->arena, "%s/%.*s", b->p->cwd, (int)n, path);
	d = enter(b, &b->r->tree.top, whole, &links);
	if (d && d->kind == SOURCE_DIRECTORY)
		map_put(&b->r->directories, arena_strndup(b->p->arena, path, n), n, d);
	return d;
}

// `facts`: what is known of the plain file there, or NULL.
static struct source_node *add_known(struct builder *b, const char *path, const struct file_facts *facts)
{
	const char *slash = strrchr(path, '/'), *rest = in_moved(b, path);
	int links = 0;
	b->lacks = NULL;
	if (rest && !*rest)
		return b->r->moved_node;
	struct source_node *d = add_directory(b, path, slash ? (size_t)(slash - path) + 1 : 0);
	b->facts = facts;
	struct source_node *node = d ? enter(b, d, slash ? slash + 1 : path, &links) : NULL;
	b->facts = NULL;
	return node;
}

static struct source_node *add_path(struct builder *b, const char *path)
{
	return add_known(b, path, NULL);
}

// A directory of which nothing but what is in the tree is to be seen.
static bool add_whole(struct builder *b, const char *path)
{
	struct source_node *n = add_path(b, path);
	if (n && n->kind == SOURCE_DIRECTORY)
		n->is_whole = true;
	return n;
}

static void add_search(struct builder *b, const char *const *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		add_whole(b, list[i]);
}

static const char *name_there(const struct builder *b, const char *path)
{
	return b->r->moved ? place_moved(b->p->arena, b->r->moved, path) : path;
}

// Names that are looked for and are nowhere: in what comes from the tree alone they are absent anyway. Beside the worker's
// toolchain they are told.
static void add_absent(struct builder *b, const struct absent_answer *answer)
{
	for (uint32_t i = 0; i < answer->n_groups; i++)
		add_path(b, answer->groups[i].dir);
	for (uint32_t i = 0; i < answer->n_groups; i++) {
		const struct absent_group *g = &answer->groups[i];
		struct source_node *directory = add_path(b, g->dir);
		if (!directory || source_node_is_covered(&b->r->tree, directory))
			continue;
		for (uint32_t k = 0; k < g->n_names; k++) {
			int links = 0;
			b->lacks = NULL;
			enter(b, directory, g->names[k], &links);
			if (b->lacks)
				source_tree_add_absent(&b->r->tree, name_there(b, b->lacks));
		}
	}
}

// The compiler's own programs and files are the worker's: none may lie in a directory that comes from the tree, unless it is in it.
static const char *hides_the_compiler(struct builder *b, const struct farm_compiler *c)
{
	for (size_t i = 0; i < c->n_files; i++) {
		const struct source_node *at = &b->r->tree.top;
		bool is_in_hidden = false;
		b->is_bound |= in_moved(b, c->files[i].path) != NULL;
		for (const char *part = c->files[i].path; at && *part == '/'; part += strcspn(part, "/")) {
			size_t n = strcspn(++part, "/");
			char key[sizeof at + SOURCE_TREE_MAX_NAME];
			if (n > SOURCE_TREE_MAX_NAME)
				return c->files[i].path;
			memcpy(key, &at, sizeof at);
			memcpy(key + sizeof at, part, n);
			const struct source_node *next = map_get(&b->r->known, key, sizeof at + n);
			is_in_hidden |= at->is_whole;
			at = next == &b->r->missing || (next && next->kind == SOURCE_LINK) ? NULL : next;
		}
		if (is_in_hidden && !at)
			return c->files[i].path;
	}
	return NULL;
}

static bool add_file_in(struct builder *b, const char *directory, const char *name)
{
	const char *path = path_join(b->p->arena, directory, name);
	struct stat st;
	bool is_there = fstatat(b->p->cwd_fd, path, &st, 0) == 0;
	return is_there && add_path(b, path);
}

// Where the assembler may look: the working directory first, then those of the search, which the driver hands on. False: one is nowhere.
static bool add_incbin(struct builder *b, const struct search *s, const struct incbin *names)
{
	for (unsigned i = 0; i < names->n; i++) {
		const char *name = names->names[i];
		bool found = add_file_in(b, *name == '/' ? "" : ".", name);
		for (unsigned k = 0; *name != '/' && k < s->n_quoted + s->n_angled; k++)
			found |= add_file_in(b, k < s->n_quoted ? s->quoted[k] : s->angled[k - s->n_quoted], name);
		if (!found)
			return false;
	}
	return true;
}

static struct no_tree build(struct builder *b, struct inputs *in, const struct absent_answer *answer,
			    const char *const *outputs)
{
	const struct search *s = search_snapshot_search(in->baseline->search);
	for (uint32_t i = 0; i < in->n && !b->is_spoilt; i++) {
		const struct file_facts *facts = &in->list[i].facts;
		const struct source_node *n = add_known(b, in->list[i].path, facts->is_plain ? facts : NULL);
		if (!n || (n == b->fresh && !digest_equal(&b->digest, &facts->digest)))
			return no_tree(NO_TREE_changed, in->list[i].path);
	}
	for (uint32_t i = 0; i < answer->n_present; i++)
		add_path(b, answer->present[i]);
	add_whole(b, b->p->cwd);
	add_search(b, s->quoted, s->n_quoted);
	add_search(b, s->angled, s->n_angled);
	if (!add_incbin(b, s, b->incbin))
		return no_tree(NO_TREE_assembler, b->p->line.source);
	for (; *outputs; outputs++)
		if (!add_whole(b, path_dir(b->p->arena, *outputs)))
			return no_tree(NO_TREE_output, *outputs);
	add_absent(b, answer);
	return no_tree(b->is_spoilt ? NO_TREE_unreadable : NO_TREE_NONE, NULL);
}

static struct no_tree find(struct builder *b, struct inputs *in, struct absent_answer *answer)
{
	struct incbin *incbin = arena_alloc(b->p->arena, sizeof *incbin);
	const char *culprit;
	b->incbin = incbin;
	inputs_add(in, b->p->line.source, 0);
	if (is_refused(in->refusal))
		return no_tree(NO_TREE_input, in->refusal.culprit);
	struct no_tree why = follow(in, answer);
	// There the files have other dates, and may be one where they are two here.
	if (!why.reason && inputs_count_once(in, &culprit))
		why = no_tree(NO_TREE_input, culprit);
	if (!why.reason && (culprit = reads_files_by_itself(in, incbin)))
		why = no_tree(NO_TREE_assembler, culprit);
	return why;
}

// A text that names the tree's place has nothing there under another name.
static bool texts_name_it(const struct builder *b, const struct inputs *in)
{
	for (uint32_t i = 0; i < in->n; i++) {
		const struct scan *scan = &in->list[i].facts.scan;
		for (unsigned k = 0; k < scan->n_includes; k++)
			if (scan->includes[k].name[0] == '/' && in_moved(b, scan->includes[k].name))
				return true;
	}
	for (unsigned i = 0; i < b->incbin->n; i++)
		if (in_moved(b, b->incbin->names[i]))
			return true;
	return false;
}

static void begin_tree(struct builder *b, bool moves)
{
	struct reach *r = b->r;
	map_release(&r->known);
	map_release(&r->directories);
	r->known = (struct map)MAP_OF_CALLERS_KEYS;
	r->directories = (struct map)MAP_OF_CALLERS_KEYS;
	buf_clear(&r->listing);
	source_tree_init(&r->tree, b->p->arena);
	r->moved = NULL;
	r->moved_node = NULL;
	b->is_bound = b->is_spoilt = false;
	b->fresh = NULL;
	if (!moves)
		return;
	r->moved = b->p->root;
	r->moved_node = source_tree_add(&r->tree, &r->tree.top, PLACE_NAME, strlen(PLACE_NAME), SOURCE_DIRECTORY);
	r->moved_node->path = b->p->root;
	r->moved_node->is_whole = true;
}

static struct no_tree make_tree(struct builder *b, struct inputs *in, const struct absent_answer *answer,
				const char *const *outputs, const struct farm_compiler *compiler)
{
	struct reach *r = b->r;
	const char *culprit;
	struct no_tree why = build(b, in, answer, outputs);
	if (!why.reason && (culprit = hides_the_compiler(b, compiler)))
		why = no_tree(NO_TREE_toolchain, culprit);
	if (!why.reason && source_tree_encode(&r->tree, &r->listing, NULL) < 0)
		why = no_tree(NO_TREE_too_many, NULL);
	return why;
}

struct no_tree reach_find(struct reach *r, const struct plan *p, const struct baseline *baseline, const char *const *outputs,
			  const struct farm_compiler *compiler, bool moves)
{
	struct builder b = {.r = r, .p = p};
	struct absent_answer *answer = arena_alloc(p->arena, sizeof *answer);
	*r = (struct reach){.listing = {.max = SOURCE_TREE_MAX_LISTING + 1},
			    .known = MAP_OF_CALLERS_KEYS,
			    .directories = MAP_OF_CALLERS_KEYS};
	inputs_begin(&r->inputs, p, baseline);
	begin_tree(&b, moves);
	if (!baseline->search)
		return no_tree(NO_TREE_probe, NULL);
	struct no_tree why = find(&b, &r->inputs, answer);
	if (!why.reason)
		b.is_bound = moves && texts_name_it(&b, &r->inputs);
	if (!why.reason && !b.is_bound)
		why = make_tree(&b, &r->inputs, answer, outputs, compiler);
	if (b.is_bound) {
		begin_tree(&b, false);
		why = make_tree(&b, &r->inputs, answer, outputs, compiler);
	}
	r->inputs.closure = why.reason ? NULL : answer;
	if (!why.reason)
		r->sha256 = sha256_of(r->listing.data, r->listing.len);
	r->is_closed = true;
	return why;
}

void reach_release(struct reach *r)
{
	map_release(&r->known);
	map_release(&r->directories);
	inputs_release(&r->inputs);
	buf_release(&r->listing);
}

static const struct source_node *resolve(struct reach *r, const struct plan *p, const char *path)
{
	struct builder b = {.r = r, .p = p};
	return add_path(&b, path);
}

const char *reach_place(struct reach *r, const struct plan *p, const char *output)
{
	const struct source_node *d = resolve(r, p, path_dir(p->arena, output));
	const char *path = d ? arena_printf(p->arena, "%s/%s", d == &r->tree.top ? "" : d->path, path_base(output)) : NULL;
	return path && r->moved ? place_moved(p->arena, r->moved, path) : path;
}

bool reach_has(struct reach *r, const struct plan *p, const char *path)
{
	const struct source_node *n = resolve(r, p, path);
	return n && n->kind == SOURCE_FILE;
}

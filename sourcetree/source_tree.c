#include "sourcetree/source_tree.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC "coffer tree 1\n"
enum { MAX_LOOKS = 8 << 20 };

void source_tree_init(struct source_tree *t, struct arena *a)
{
	*t = (struct source_tree){.arena = a, .top = {.name = "", .kind = SOURCE_DIRECTORY, .path = "/"}};
	t->top.parent = &t->top;
}

struct source_node *source_tree_add(struct source_tree *t, struct source_node *directory, const char *name, size_t n,
				    enum source_kind kind)
{
	if (t->n_nodes == SOURCE_TREE_MAX_NODES)
		return NULL;
	struct source_node *node = arena_alloc(t->arena, sizeof *node);
	node->name = arena_strndup(t->arena, name, n);
	node->kind = kind;
	node->parent = directory;
	node->next = directory->first;
	directory->first = node;
	directory->n++;
	t->n_nodes++;
	return node;
}

void source_tree_add_absent(struct source_tree *t, const char *path)
{
	for (unsigned i = 0; i < t->n_absent; i++)
		if (strcmp(t->absent[i], path) == 0)
			return;
	if ((t->n_absent & (t->n_absent - 1)) == 0) {
		const char **list = arena_alloc(t->arena, (t->n_absent ? 2 * t->n_absent : 1) * sizeof *list);
		if (t->n_absent)
			memcpy(list, t->absent, t->n_absent * sizeof *list);
		t->absent = list;
	}
	t->absent[t->n_absent++] = arena_strdup(t->arena, path);
}

// How far a name may lead: nobody buys seconds of a worker's time with a few links.
struct effort {
	int links;
	unsigned looks; // at names, for all that is resolved together
};

static struct source_node *find(const struct source_node *directory, const char *name, size_t n, struct effort *e)
{
	struct source_node *at = directory->first;
	while (at && (strncmp(at->name, name, n) != 0 || at->name[n])) {
		at = at->next;
		if (e->looks-- == 0)
			return NULL;
	}
	return at;
}

static struct source_node *walk(struct source_tree *t, struct source_node *at, const char *path, struct effort *e)
{
	if (*path == '/')
		at = &t->top;
	while (at && *path) {
		size_t n = strcspn(path, "/");
		if (at->kind != SOURCE_DIRECTORY)
			return NULL;
		if (n == 2 && memcmp(path, "..", 2) == 0)
			at = at->parent;
		else if (n && !(n == 1 && *path == '.'))
			at = find(at, path, n, e);
		if (at && at->kind == SOURCE_LINK)
			at = e->links++ < SOURCE_TREE_MAX_LINKS ? walk(t, at->parent, at->target, e) : NULL;
		path += n;
		path += *path == '/';
	}
	return at;
}

struct source_node *source_tree_resolve(struct source_tree *t, const char *path)
{
	struct effort e = {0, MAX_LOOKS};
	return walk(t, &t->top, path, &e);
}

bool source_node_is_covered(const struct source_tree *t, const struct source_node *n)
{
	for (; n != &t->top; n = n->parent)
		if (n->is_whole)
			return true;
	return false;
}

// ---- a listing ------------------------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct source_node *const *)a)->name, (*(struct source_node *const *)b)->name);
}

static void sort(struct source_tree *t, struct source_node *directory)
{
	struct source_node **all = arena_alloc(t->arena, (directory->n + 1) * sizeof *all);
	unsigned n = 0;
	for (struct source_node *at = directory->first; at; at = at->next)
		all[n++] = at;
	qsort(all, n, sizeof(struct source_node *), by_name);
	for (unsigned i = 0; i < n; i++)
		all[i]->next = i + 1 < n ? all[i + 1] : NULL;
	directory->first = n ? all[0] : NULL;
}

// Depth first, without going deeper than the names here are.
static void write_directory(struct source_tree *t, struct source_node *directory, struct buf *out)
{
	struct source_node *at = directory;
	for (;;) {
		if (at->kind == SOURCE_DIRECTORY) {
			sort(t, at);
			if (at != directory) {
				buf_addc(out, at->is_whole ? 'W' : 'D');
				buf_add_str(out, at->name);
			}
			if (at->first) {
				at = at->first;
				continue;
			}
		} else if (at->kind == SOURCE_FILE) {
			buf_addc(out, 'F');
			buf_add_str(out, at->name);
			buf_add_u64(out, at->size);
			buf_add(out, at->sha256.b, sizeof at->sha256.b);
			t->files[t->n_files++] = at;
		} else {
			buf_addc(out, 'L');
			buf_add_str(out, at->name);
			buf_add_str(out, at->target);
		}
		// The next one beside it, or beside what it is in.
		for (; at != directory && (at->kind == SOURCE_DIRECTORY || !at->next); at = at->parent) {
			if (at->kind == SOURCE_DIRECTORY)
				buf_addc(out, 'U');
			if (at->kind == SOURCE_DIRECTORY && at->next)
				break;
		}
		if (at == directory)
			return;
		at = at->next;
	}
}

int source_tree_encode(struct source_tree *t, struct buf *listing, struct err *err)
{
	t->files = arena_alloc(t->arena, (t->n_nodes + 1) * sizeof(struct source_node *));
	t->n_files = 0;
	buf_adds(listing, MAGIC);
	buf_add_u32(listing, t->n_absent);
	for (unsigned i = 0; i < t->n_absent; i++)
		buf_add_str(listing, t->absent[i]);
	write_directory(t, &t->top, listing);
	if (t->n_absent > SOURCE_TREE_MAX_ABSENT || listing->len > SOURCE_TREE_MAX_LISTING)
		return err_set(err, ERR_LIMIT, "too many files can be reached");
	return buf_check(listing, "a listing", err);
}

// ---- and back -------------------------------------------------------------------------------------------------------

static const char *read_text(struct rd *r, struct arena *a, size_t most)
{
	size_t n;
	const char *p = rd_str(r, &n);
	if (!p || n == 0 || n > most || memchr(p, '\0', n)) {
		r->bad = true;
		return "";
	}
	return arena_strndup(a, p, n);
}

static bool is_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_absolute(const char *path)
{
	for (const char *part = path; *part; part += strcspn(part + 1, "/") + 1) {
		size_t n = strcspn(part + 1, "/");
		if (*part != '/' || n == 0 || (n <= 2 && strncmp(part + 1, "..", n) == 0))
			return false;
	}
	return *path == '/';
}

bool source_top_is_of_system(const char *name, size_t n)
{
	static const char *const tops[] = {"dev", "proc", "sys"};
	for (size_t i = 0; i < COUNT_OF(tops); i++)
		if (strlen(tops[i]) == n && memcmp(tops[i], name, n) == 0)
			return true;
	return false;
}

static bool is_taken(const struct source_node *directory, const struct source_tree *t, const char *name)
{
	return directory == &t->top && source_top_is_of_system(name, strlen(name));
}

// The entries come sorted, so that a new one belongs behind the last.
struct reader {
	struct source_tree *t;
	struct rd rd;
	struct source_node *directory;
	struct source_node *last[SOURCE_TREE_MAX_DEPTH + 1]; // in each directory that is open
	int depth;
};

static struct source_node *read_node(struct reader *r, enum source_kind kind)
{
	struct source_tree *t = r->t;
	const char *name = read_text(&r->rd, t->arena, SOURCE_TREE_MAX_NAME);
	struct source_node *before = r->last[r->depth];
	if (r->rd.bad || !is_name(name) || is_taken(r->directory, t, name) || (before && strcmp(before->name, name) >= 0) ||
	    t->n_nodes == SOURCE_TREE_MAX_NODES)
		return NULL;
	struct source_node *node = arena_alloc(t->arena, sizeof *node);
	*node = (struct source_node){.name = name, .kind = kind, .parent = r->directory};
	if (before)
		before->next = node;
	else
		r->directory->first = node;
	r->directory->n++;
	t->n_nodes++;
	r->last[r->depth] = node;
	return node;
}

static bool read_file(struct reader *r, struct source_node *node)
{
	node->size = rd_u64(&r->rd);
	const void *sha256 = rd_bytes(&r->rd, sizeof node->sha256.b);
	if (!sha256)
		return false;
	memcpy(node->sha256.b, sha256, sizeof node->sha256.b);
	r->t->n_files++;
	return true;
}

static bool read_entry(struct reader *r)
{
	struct source_node *node;
	uint8_t kind = rd_u8(&r->rd);
	switch (kind) {
	case 'D':
	case 'W':
		node = r->depth < SOURCE_TREE_MAX_DEPTH ? read_node(r, SOURCE_DIRECTORY) : NULL;
		if (!node)
			return false;
		node->is_whole = kind == 'W';
		r->directory = node;
		r->last[++r->depth] = NULL;
		return true;
	case 'U':
		if (r->depth == 0)
			return false;
		r->directory = r->directory->parent;
		r->depth--;
		return true;
	case 'F':
		node = read_node(r, SOURCE_FILE);
		return node && read_file(r, node);
	case 'L':
		node = read_node(r, SOURCE_LINK);
		if (node)
			node->target = read_text(&r->rd, r->t->arena, SOURCE_TREE_MAX_PATH);
		return node && !r->rd.bad;
	default:
		return false;
	}
}

// The nodes in the order of the listing: the files are noted, and each link must lead to something that is there.
static bool collect(struct source_tree *t, const struct source_node *directory, struct effort *e)
{
	for (struct source_node *at = directory->first; at; at = at->next) {
		e->links = 0;
		if (at->kind == SOURCE_FILE)
			t->files[t->n_files++] = at;
		else if (at->kind == SOURCE_LINK && !walk(t, directory->first->parent, at->target, e))
			return false;
		else if (at->kind == SOURCE_DIRECTORY && !collect(t, at, e))
			return false;
	}
	return true;
}

static bool read_absent(struct reader *r)
{
	struct source_tree *t = r->t;
	unsigned n = rd_u32(&r->rd);
	if (n > SOURCE_TREE_MAX_ABSENT)
		return false;
	t->absent = arena_alloc(t->arena, (n + 1) * sizeof *t->absent);
	while (t->n_absent < n && !r->rd.bad) {
		const char *path = read_text(&r->rd, t->arena, SOURCE_TREE_MAX_PATH);
		if (!r->rd.bad && !is_absolute(path))
			return false;
		t->absent[t->n_absent++] = path;
	}
	return !r->rd.bad;
}

int source_tree_decode(struct source_tree *t, struct arena *a, const void *p, size_t n, struct err *err)
{
	struct reader r = {.t = t, .rd = RD(p, n), .directory = &t->top};
	struct effort effort = {0, MAX_LOOKS};
	source_tree_init(t, a);
	if (n > SOURCE_TREE_MAX_LISTING)
		return err_set(err, ERR_LIMIT, "a listing of more than %d bytes", SOURCE_TREE_MAX_LISTING);
	const char *magic = rd_bytes(&r.rd, strlen(MAGIC));
	if (!magic || memcmp(magic, MAGIC, strlen(MAGIC)) != 0 || !read_absent(&r))
		return err_set(err, ERR_FORMAT, "what came is no listing");
	while (rd_left(&r.rd))
		if (!read_entry(&r) || r.rd.bad)
			return err_set(err, t->n_nodes == SOURCE_TREE_MAX_NODES ? ERR_LIMIT : ERR_FORMAT,
				       "the listing has an entry that is none");
	if (r.depth)
		return err_set(err, ERR_FORMAT, "the listing is not whole");
	t->files = arena_alloc(t->arena, (t->n_files + 1) * sizeof(struct source_node *));
	t->n_files = 0;
	if (!collect(t, &t->top, &effort))
		return err_set(err, ERR_FORMAT, "the listing has a link that leads out of it");
	return 0;
}

#include "worker/action_outputs.h"

#include "reapi/input_root.h"

#include <stdlib.h>
#include <string.h>

enum { BLOB_SLACK = 1 << 16, MAX_DEPTH = 130 };

void action_outputs_init(struct action_outputs *o, uint64_t most_bytes)
{
	*o = (struct action_outputs){.left = most_bytes};
}

void action_outputs_release(struct action_outputs *o)
{
	for (size_t i = 0; i < o->n_blobs; i++)
		buf_release(&o->blobs[i].bytes);
	free(o->blobs);
	free(o->entries);
	arena_release(&o->arena);
}

static struct output_blob *new_blob(struct action_outputs *o)
{
	if ((o->n_blobs & (o->n_blobs - 1)) == 0)
		o->blobs = mem_realloc(o->blobs, (2 * o->n_blobs + 2) * sizeof *o->blobs);
	struct output_blob *b = &o->blobs[o->n_blobs++];
	memset(b, 0, sizeof *b);
	return b;
}

static void close_blob(struct action_outputs *o)
{
	struct output_blob *b = &o->blobs[o->n_blobs - 1];
	b->digest = reapi_digest_of(b->bytes.data ? b->bytes.data : "", b->bytes.len);
}

int action_outputs_entry(void *outputs, const struct job_entry *e, struct err *err)
{
	struct action_outputs *o = outputs;
	bool is_file = e->kind == JOB_FILE || e->kind == JOB_EXECUTABLE;
	if (input_check_path(e->name, true, NULL) < 0 || strlen(e->target) > 4096)
		return err_set(err, ERR_PEER, "the agent sends an output with a name that makes no sense");
	if (e->size > o->left)
		return err_set(err, ERR_LIMIT, "the outputs have more bytes than a worker takes of one action");
	o->left -= e->size;
	if ((o->n_entries & (o->n_entries - 1)) == 0)
		o->entries = mem_realloc(o->entries, (2 * o->n_entries + 2) * sizeof *o->entries);
	o->entries[o->n_entries++] = (struct output_entry){.index = e->index,
							   .name = arena_strdup(&o->arena, e->name),
							   .kind = e->kind,
							   .target = arena_strdup(&o->arena, e->target),
							   .blob = o->n_blobs};
	if (!is_file)
		return 0;
	new_blob(o)->bytes.max = (size_t)e->size + BLOB_SLACK;
	o->missing = e->size;
	if (e->size == 0)
		close_blob(o);
	return 0;
}

int action_outputs_write(void *outputs, const void *p, size_t n, struct err *err)
{
	struct action_outputs *o = outputs;
	if (n > o->missing)
		return err_set(err, ERR_PEER, "the agent sends more of an output than it said");
	buf_add(&o->blobs[o->n_blobs - 1].bytes, p, n);
	o->missing -= n;
	if (o->missing == 0)
		close_blob(o);
	return 0;
}

static Reapi__Digest *digest_message(struct arena *a, const struct reapi_digest *d)
{
	struct reapi_digest_message *m = arena_alloc(a, sizeof *m);
	reapi_digest_write(d, m);
	return &m->m;
}

Reapi__Digest *action_outputs_add(struct action_outputs *o, struct buf *bytes)
{
	struct output_blob *b = new_blob(o);
	b->bytes = *bytes;
	*bytes = (struct buf)BUF_INIT;
	close_blob(o);
	return digest_message(&o->arena, &b->digest);
}

// ---- directories ------------------------------------------------------------------------------------------------------------

// The entries of one output, from the directory itself on; the walk takes them one after the other.
struct tree_making {
	struct action_outputs *o;
	size_t at, end;
	Reapi__Tree tree;
	struct map seen; // of children
	struct err *err;
};

static const char *last_part(const char *name)
{
	const char *slash = strrchr(name, '/');
	return slash ? slash + 1 : name;
}

static bool is_in(const char *name, const char *directory)
{
	size_t n = strlen(directory);
	if (n == 0)
		return *name && !strchr(name, '/');
	return strncmp(name, directory, n) == 0 && name[n] == '/' && !strchr(name + n + 1, '/');
}

static void add_file(struct tree_making *t, Reapi__Directory *d, const struct output_entry *e)
{
	Reapi__FileNode *f = arena_alloc(&t->o->arena, sizeof *f);
	reapi__file_node__init(f);
	f->name = (char *)(uintptr_t)last_part(e->name);
	f->digest = digest_message(&t->o->arena, &t->o->blobs[e->blob].digest);
	f->is_executable = e->kind == JOB_EXECUTABLE;
	d->files[d->n_files++] = f;
}

static void add_link(struct tree_making *t, Reapi__Directory *d, const struct output_entry *e)
{
	Reapi__SymlinkNode *l = arena_alloc(&t->o->arena, sizeof *l);
	reapi__symlink_node__init(l);
	l->name = (char *)(uintptr_t)last_part(e->name);
	l->target = e->target;
	d->symlinks[d->n_symlinks++] = l;
}

static struct reapi_digest add_child(struct tree_making *t, Reapi__Directory *d)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	reapi_pack(&d->base, &bytes);
	struct reapi_digest digest = reapi_digest_of(bytes.data ? bytes.data : "", bytes.len);
	if (!map_put(&t->seen, &digest, sizeof digest, t))
		t->tree.children[t->tree.n_children++] = d;
	return digest;
}

static Reapi__Directory *make_directory(struct tree_making *t, int depth)
{
	struct arena *a = &t->o->arena;
	const char *here = t->o->entries[t->at++].name;
	Reapi__Directory *d = arena_alloc(a, sizeof *d);
	reapi__directory__init(d);
	size_t n = 0;
	for (size_t i = t->at, len = strlen(here); i < t->end && strncmp(t->o->entries[i].name, here, len) == 0; i++)
		n += is_in(t->o->entries[i].name, here);
	size_t room = n + 1;
	d->files = arena_alloc(a, room * sizeof(Reapi__FileNode *));
	d->directories = arena_alloc(a, room * sizeof(Reapi__DirectoryNode *));
	d->symlinks = arena_alloc(a, room * sizeof(Reapi__SymlinkNode *));
	while (t->at < t->end && is_in(t->o->entries[t->at].name, here) && depth < MAX_DEPTH) {
		const struct output_entry *e = &t->o->entries[t->at];
		if (e->kind == JOB_DIRECTORY) {
			Reapi__DirectoryNode *node = arena_alloc(a, sizeof *node);
			reapi__directory_node__init(node);
			node->name = (char *)(uintptr_t)last_part(e->name);
			struct reapi_digest digest = add_child(t, make_directory(t, depth + 1));
			node->digest = digest_message(a, &digest);
			d->directories[d->n_directories++] = node;
			continue;
		}
		if (e->kind == JOB_SYMLINK)
			add_link(t, d, e);
		else
			add_file(t, d, e);
		t->at++;
	}
	return d;
}

static int add_tree(struct action_outputs *o, size_t first, size_t end, const char *path, Reapi__ActionResult *r,
		    struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct tree_making t = {.o = o, .at = first, .end = end, .err = err};
	reapi__tree__init(&t.tree);
	t.tree.children = arena_alloc(&o->arena, (end - first + 1) * sizeof(Reapi__Directory *));
	t.tree.root = make_directory(&t, 0);
	map_release(&t.seen);
	if (t.at != end)
		return err_set(err, ERR_PEER, "the agent sends a directory in an order that makes no sense");
	reapi_pack(&t.tree.base, &bytes);
	Reapi__OutputDirectory *d = arena_alloc(&o->arena, sizeof *d);
	reapi__output_directory__init(d);
	d->path = (char *)(uintptr_t)path;
	d->tree_digest = action_outputs_add(o, &bytes);
	r->output_directories[r->n_output_directories++] = d;
	return 0;
}

// ---- all of it --------------------------------------------------------------------------------------------------------------

static void add_symlink(struct action_outputs *o, const struct output_entry *e, const char *path, bool has_types,
			Reapi__ActionResult *r)
{
	Reapi__OutputSymlink *l = arena_alloc(&o->arena, sizeof *l);
	reapi__output_symlink__init(l);
	l->path = (char *)(uintptr_t)path;
	l->target = e->target;
	if (has_types)
		r->output_file_symlinks[r->n_output_file_symlinks++] = l;
	else
		r->output_symlinks[r->n_output_symlinks++] = l;
}

static void add_output_file(struct action_outputs *o, const struct output_entry *e, const char *path, Reapi__ActionResult *r)
{
	Reapi__OutputFile *f = arena_alloc(&o->arena, sizeof *f);
	reapi__output_file__init(f);
	f->path = (char *)(uintptr_t)path;
	f->digest = digest_message(&o->arena, &o->blobs[e->blob].digest);
	f->is_executable = e->kind == JOB_EXECUTABLE;
	r->output_files[r->n_output_files++] = f;
}

int action_outputs_result(struct action_outputs *o, const char *const *paths, bool has_types, Reapi__ActionResult *r,
			  struct err *err)
{
	struct arena *a = &o->arena;
	size_t room = o->n_entries + 1;
	r->output_files = arena_alloc(a, room * sizeof(Reapi__OutputFile *));
	r->output_directories = arena_alloc(a, room * sizeof(Reapi__OutputDirectory *));
	r->output_symlinks = arena_alloc(a, room * sizeof(Reapi__OutputSymlink *));
	r->output_file_symlinks = arena_alloc(a, room * sizeof(Reapi__OutputSymlink *));
	for (size_t i = 0, end; i < o->n_entries; i = end) {
		const struct output_entry *e = &o->entries[i];
		for (end = i + 1; end < o->n_entries && o->entries[end].index == e->index;)
			end++;
		bool is_right = *e->name == '\0' && (end == i + 1 || e->kind == JOB_DIRECTORY);
		if (!is_right)
			return err_set(err, ERR_PEER, "the agent sends an output that makes no sense");
		if (e->kind == JOB_DIRECTORY && add_tree(o, i, end, paths[e->index], r, err) < 0)
			return -1;
		if (e->kind == JOB_SYMLINK)
			add_symlink(o, e, paths[e->index], has_types, r);
		else if (e->kind != JOB_DIRECTORY)
			add_output_file(o, e, paths[e->index], r);
	}
	return 0;
}

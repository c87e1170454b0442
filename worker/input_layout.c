#include "worker/input_layout.h"

#include <string.h>

// The next layer that is made, with the directories above it; or else the rest.
static void begin_tree(struct input_layout *l)
{
	const struct layer_plan *plan = l->plan;
	const struct input_directory *top = l->root->directories[0];
	while (l->next_layer < plan->n && !plan->all[l->next_layer].is_made)
		l->next_layer++;
	l->is_rest = l->next_layer == plan->n;
	l->n_above = 0;
	l->n_places = 1;
	if (l->is_rest && layer_plan_at(plan, 0))
		return;
	if (!l->is_rest) {
		const struct planned_layer *p = &plan->all[l->next_layer++];
		top = p->directory;
		for (size_t at = 0; at < p->n_path; l->n_above++) {
			const char *name = p->path + at + 1, *slash = memchr(name, '/', p->n_path - at - 1);
			size_t n = slash ? (size_t)(slash - name) : p->n_path - at - 1;
			buf_addc(&l->ready, 'D');
			buf_add_strn(&l->ready, name, n);
			at += 1 + n;
		}
	}
	l->stack[0] = (struct input_layout_place){top, 0, 0, 0};
	l->depth = 1;
}

static void end_layer(struct input_layout *l)
{
	while (l->n_above) {
		buf_addc(&l->ready, 'U');
		l->n_above--;
	}
	buf_addc(&l->ready, 'E');
	begin_tree(l);
}

void input_layout_init(struct input_layout *l, const struct input_root *root, const struct layer_plan *plan,
		       input_get_fn get, void *ctx)
{
	memset(l, 0, sizeof *l);
	l->root = root;
	l->plan = plan;
	l->get = get;
	l->ctx = ctx;
	begin_tree(l);
}

void input_layout_release(struct input_layout *l)
{
	buf_release(&l->ready);
}

static int add_file(struct input_layout *l, const Reapi__FileNode *f, struct err *err)
{
	struct reapi_digest d;
	reapi_digest_read(f->digest, &d, NULL);
	buf_addc(&l->ready, f->is_executable ? 'X' : 'F');
	buf_add_str(&l->ready, f->name);
	buf_add_u64(&l->ready, (uint64_t)d.size);
	if (d.size == 0)
		return 0;
	int found = l->get(l->ctx, &d, &l->ready, err);
	if (found == 0)
		return err_set(err, ERR_IO, "an input has gone from this worker's disk meanwhile");
	return found < 0 ? -1 : buf_check(&l->ready, "an input", err);
}

static int enter(struct input_layout *l, const Reapi__DirectoryNode *d, struct err *err)
{
	const struct input_directory *directory = input_root_find(l->root, d->digest);
	if (l->is_rest && layer_plan_at(l->plan, l->n_places)) {
		l->n_places += directory->directories;
		return 0;
	}
	l->n_places++;
	if (l->depth == (int)COUNT_OF(l->stack))
		return err_set(err, ERR_LIMIT, "an input root that is too deep");
	buf_addc(&l->ready, 'D');
	buf_add_str(&l->ready, d->name);
	l->stack[l->depth++] = (struct input_layout_place){directory, 0, 0, 0};
	return 0;
}

// The next entry. 0, -1; the depth is 0 after the last one.
static int step(struct input_layout *l, struct err *err)
{
	struct input_layout_place *p = &l->stack[l->depth - 1];
	const Reapi__Directory *m = p->directory->message;
	if (p->file < m->n_files)
		return add_file(l, m->files[p->file++], err);
	if (p->link < m->n_symlinks) {
		const Reapi__SymlinkNode *link = m->symlinks[p->link++];
		buf_addc(&l->ready, 'L');
		buf_add_str(&l->ready, link->name);
		buf_add_str(&l->ready, link->target);
		return 0;
	}
	if (p->child < m->n_directories)
		return enter(l, m->directories[p->child++], err);
	if (--l->depth > 0)
		buf_addc(&l->ready, 'U');
	else if (!l->is_rest)
		end_layer(l);
	return 0;
}

ssize_t input_layout_read(void *layout, void *to, size_t room, struct err *err)
{
	struct input_layout *l = layout;
	if (l->taken == l->ready.len) {
		buf_clear(&l->ready);
		l->taken = 0;
		while (l->depth > 0 && l->ready.len < room)
			if (step(l, err) < 0)
				return -1;
	}
	size_t n = l->ready.len - l->taken < room ? l->ready.len - l->taken : room;
	if (n)
		memcpy(to, l->ready.data + l->taken, n);
	l->taken += n;
	return (ssize_t)n;
}

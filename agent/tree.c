#include "agent/tree.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_MAX = 1 + 4 + TREE_MAX_NAME + 4 + TREE_MAX_TARGET };

struct entry {
	char kind;
	char name[TREE_MAX_NAME + 1], target[TREE_MAX_TARGET + 1];
	uint64_t size;
};

void tree_in_init(struct tree_in *t, int top, uint64_t max)
{
	*t = (struct tree_in){.depth = 1, .file = -1, .max = max, .head = {.max = HEAD_MAX}};
	t->directories[0] = top;
}

void tree_in_release(struct tree_in *t)
{
	while (t->depth > 0)
		close(t->directories[--t->depth]);
	mem_close_cleanup(&t->file);
	buf_release(&t->head);
}

static bool take_text(struct rd *r, char *to, size_t most)
{
	size_t n;
	const char *p = rd_str(r, &n);
	if (!p || n > most || memchr(p, '\0', n))
		return false;
	memcpy(to, p, n);
	to[n] = '\0';
	return true;
}

static bool is_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

// How much of the bytes is an entry's head: 0 if more must come, -1 if it never is one.
static int parse(const struct buf *b, struct entry *e)
{
	struct rd r = RD(b->data, b->len);
	e->kind = (char)rd_u8(&r);
	bool has_name = e->kind != 'U' && e->kind != 'E', has_target = e->kind == 'L',
	     has_size = e->kind == 'F' || e->kind == 'X';
	if (!strchr("DUFXLE", e->kind) || !e->kind)
		return -1;
	bool is_good = (!has_name || take_text(&r, e->name, TREE_MAX_NAME)) &&
		       (!has_target || take_text(&r, e->target, TREE_MAX_TARGET));
	e->size = has_size ? rd_u64(&r) : 0;
	if (r.bad)
		return b->len == HEAD_MAX ? -1 : 0;
	return is_good && (!has_name || is_name(e->name)) ? (int)(b->len - rd_left(&r)) : -1;
}

static int enter(struct tree_in *t, const char *name, struct err *err)
{
	int here = t->directories[t->depth - 1];
	if (t->depth == TREE_MAX_DEPTH)
		return err_set(err, ERR_LIMIT, "more than %d directories deep", TREE_MAX_DEPTH);
	// One that outputs go into is there already.
	if (mkdirat(here, name, 0755) < 0 && errno != EEXIST)
		return err_errno(err, "cannot make the directory '%s'", name);
	int fd = openat(here, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "cannot make the directory '%s'", name);
	t->directories[t->depth++] = fd;
	return 0;
}

static int begin_next(struct tree_in *t, struct err *err)
{
	if (t->depth != 1 || !t->next)
		return err_set(err, ERR_FORMAT, "a tree that ends too early");
	t->n = 0;
	int top = t->next(t, t->ctx, err);
	if (top < 0)
		return -1;
	close(t->directories[0]);
	t->directories[0] = top;
	return 0;
}

static int make(struct tree_in *t, const struct entry *e, struct err *err)
{
	int here = t->directories[t->depth - 1];
	switch (e->kind) {
	case 'D':
		return enter(t, e->name, err);
	case 'U':
		if (t->depth == 1)
			return err_set(err, ERR_FORMAT, "a tree that leads above its top");
		close(t->directories[--t->depth]);
		return 0;
	case 'E':
		return begin_next(t, err);
	case 'L':
		return symlinkat(e->target, here, e->name) < 0 ? err_errno(err, "cannot make the link '%s'", e->name) : 0;
	default:
		if (e->size > t->max - t->n)
			return err_set(err, ERR_LIMIT, "the inputs need more than the scratch space of %llu bytes",
				       (unsigned long long)t->max);
		t->n += e->size;
		t->left = e->size;
		t->file = openat(here, e->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				 e->kind == 'X' ? 0755 : 0644);
		return t->file < 0 ? err_errno(err, "cannot create '%s'", e->name) : 0;
	}
}

static int take_bytes(struct tree_in *t, const char **p, size_t *n, struct err *err)
{
	size_t fits = *n < t->left ? *n : (size_t)t->left;
	*n -= fits;
	t->left -= fits;
	while (fits) {
		ssize_t written = write(t->file, *p, fits);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return err_errno(err, "cannot write an input");
		*p += written;
		fits -= (size_t)written;
	}
	if (t->left == 0)
		close(TAKE_FD(t->file));
	return 0;
}

// Until the head is whole; then its entry is made, and what was too much is given back.
static int take_head(struct tree_in *t, const char **p, size_t *n, struct err *err)
{
	struct entry e;
	size_t had = t->head.len, more = *n < HEAD_MAX - had ? *n : HEAD_MAX - had;
	buf_add(&t->head, *p, more);
	int used = parse(&t->head, &e);
	if (used < 0)
		return err_set(err, ERR_FORMAT, "the source is no tree");
	size_t taken = used ? (size_t)used - had : more;
	*p += taken;
	*n -= taken;
	if (used == 0)
		return 0;
	buf_clear(&t->head);
	return make(t, &e, err) < 0 || (t->file >= 0 && t->left == 0 && take_bytes(t, p, &(size_t){0}, err) < 0) ? -1 : 0;
}

int tree_in_take(struct tree_in *t, const void *bytes, size_t n, struct err *err)
{
	const char *p = bytes;
	while (n)
		if ((t->file >= 0 ? take_bytes(t, &p, &n, err) : take_head(t, &p, &n, err)) < 0)
			return -1;
	return 0;
}

int tree_in_end(const struct tree_in *t, struct err *err)
{
	return t->file >= 0 || t->head.len || t->depth != 1 ? err_set(err, ERR_FORMAT, "the tree is not whole") : 0;
}

#include "reapi/input_root.h"

#include <stdlib.h>
#include <string.h>

// ---- one directory ------------------------------------------------------------------------------------------------------

static int check_name(const char *name, struct err *err)
{
	size_t n = strlen(name);
	if (n == 0 || n > 255 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(err, ERR_FORMAT, "'%.200s' is no name of one file in a directory", name);
	return 0;
}

int input_check_path(const char *path, bool may_be_empty, struct err *err)
{
	char part[256];
	if (!*path && may_be_empty)
		return 0;
	if (strlen(path) > 1000)
		return err_set(err, ERR_FORMAT, "a path of more than 1000 bytes");
	for (const char *p = path; p; p = strchr(p, '/')) {
		p += p != path;
		size_t n = strcspn(p, "/");
		if (n >= sizeof part)
			return err_set(err, ERR_FORMAT, "'%.200s' has a part of more than 255 bytes", path);
		memcpy(part, p, n);
		part[n] = '\0';
		if (check_name(part, NULL) < 0)
			return err_set(err, ERR_FORMAT, "'%.200s' is no path below the working directory", path);
	}
	return 0;
}

// A link at this depth may go up so often.
static int check_link(const Reapi__SymlinkNode *l, int depth, struct err *err)
{
	int at = depth;
	size_t len = strlen(l->target);
	if (len == 0 || len > 4095 || *l->target == '/')
		return err_set(err, ERR_FORMAT, "the link '%.100s' is absolute, empty or too long", l->name);
	for (const char *p = l->target; p; p = strchr(p, '/')) {
		p += p != l->target;
		size_t n = strcspn(p, "/");
		if (n == 2 && strncmp(p, "..", 2) == 0)
			at--;
		else if (n && !(n == 1 && *p == '.'))
			at++;
		if (at < 0)
			return err_set(err, ERR_FORMAT, "the link '%.100s' leads out of the input root", l->name);
	}
	return 0;
}

// Sorted, which also finds names that are there twice.
static int check_next(const char **last, const char *name, struct err *err)
{
	if (check_name(name, err) < 0)
		return -1;
	if (*last && strcmp(*last, name) >= 0)
		return err_set(err, ERR_FORMAT, "'%.200s' is there twice, or names are not sorted", name);
	*last = name;
	return 0;
}

static bool has_file(const Reapi__Directory *d, const char *name)
{
	size_t low = 0, high = d->n_files;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int c = strcmp(d->files[middle]->name, name);
		if (c == 0)
			return true;
		*(c < 0 ? &low : &high) = c < 0 ? middle + 1 : middle;
	}
	return false;
}

static bool has_directory(const Reapi__Directory *d, const char *name)
{
	size_t low = 0, high = d->n_directories;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int c = strcmp(d->directories[middle]->name, name);
		if (c == 0)
			return true;
		*(c < 0 ? &low : &high) = c < 0 ? middle + 1 : middle;
	}
	return false;
}

static int check_directory(const Reapi__Directory *d, int depth, struct err *err)
{
	const char *file = NULL, *directory = NULL, *link = NULL;
	for (size_t i = 0; i < d->n_files; i++)
		if (check_next(&file, d->files[i]->name, err) < 0)
			return -1;
	for (size_t i = 0; i < d->n_directories; i++) {
		if (check_next(&directory, d->directories[i]->name, err) < 0)
			return -1;
		if (has_file(d, directory))
			return err_set(err, ERR_FORMAT, "'%.200s' is there twice", directory);
	}
	for (size_t i = 0; i < d->n_symlinks; i++) {
		if (check_next(&link, d->symlinks[i]->name, err) < 0 || check_link(d->symlinks[i], depth, err) < 0)
			return -1;
		if (has_file(d, link) || has_directory(d, link))
			return err_set(err, ERR_FORMAT, "'%.200s' is there twice", link);
	}
	return 0;
}

// ---- all of them --------------------------------------------------------------------------------------------------------

static void add_digest(struct reapi_digest **list, size_t *n, const struct reapi_digest *d)
{
	if ((*n & (*n - 1)) == 0)
		*list = mem_realloc(*list, (2 * *n + 2) * sizeof **list);
	(*list)[(*n)++] = *d;
}

static int add_directory(struct input_root *r, const struct reapi_digest *d, int depth, struct err *err)
{
	if (map_get(&r->by_digest, d, sizeof *d))
		return 0;
	if (r->n_directories == INPUT_MAX_DIRECTORIES || depth > INPUT_MAX_DEPTH)
		return err_set(err, ERR_LIMIT, "an input root of more than %d directories, or deeper than %d",
			       INPUT_MAX_DIRECTORIES, INPUT_MAX_DEPTH);
	struct input_directory *one = mem_alloc(sizeof *one);
	one->digest = *d;
	one->depth = depth;
	if ((r->n_directories & (r->n_directories - 1)) == 0)
		r->directories = mem_realloc(r->directories, (2 * r->n_directories + 2) * sizeof *r->directories);
	r->directories[r->n_directories++] = one;
	map_put(&r->by_digest, d, sizeof *d, one);
	return 0;
}

static int add_entries(struct input_root *r, const struct input_directory *one, struct err *err)
{
	const Reapi__Directory *m = one->message;
	struct reapi_digest d;
	for (size_t i = 0; i < m->n_files; i++) {
		if (reapi_digest_read(m->files[i]->digest, &d, err) < 0)
			return -1;
		if (!reapi_digest_is_empty(&d) && !map_put(&r->file_set, &d, sizeof d, r))
			add_digest(&r->files, &r->n_files, &d);
	}
	for (size_t i = 0; i < m->n_directories; i++)
		if (reapi_digest_read(m->directories[i]->digest, &d, err) < 0 ||
		    add_directory(r, &d, one->depth + 1, err) < 0)
			return -1;
	return 0;
}

static int read_one(struct input_root *r, struct input_directory *one, input_get_fn get, void *ctx, struct err *err)
{
	AUTO_BUF struct buf bytes = {.max = (size_t)4 << 20};
	int found = reapi_digest_is_empty(&one->digest) ? 1 : get(ctx, &one->digest, &bytes, err);
	if (found == 0)
		add_digest(&r->missing, &r->n_missing, &one->digest);
	if (found != 1)
		return found;
	if (reapi_unpack_canonical(&reapi__directory__descriptor, bytes.data ? bytes.data : "", bytes.len, &one->message,
				   err) < 0 ||
	    check_directory(one->message, one->depth, err) < 0)
		return -1;
	one->n = bytes.len;
	one->bytes = buf_take(&bytes);
	r->message_bytes += one->n;
	return add_entries(r, one, err);
}

static uint64_t add_up(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

// Depth is bounded, and each directory is counted once. A directory that was met at a small depth first may stand deeper, too.
static int count(struct input_root *r, struct input_directory *one, int depth, struct err *err)
{
	if (depth > INPUT_MAX_DEPTH)
		return err_set(err, ERR_LIMIT, "an input root that is deeper than %d directories", INPUT_MAX_DEPTH);
	if (one->entries)
		return 0;
	uint64_t entries = 1 + one->message->n_files + one->message->n_symlinks, bytes = 0, directories = 1;
	for (size_t i = 0; i < one->message->n_files; i++)
		bytes = add_up(bytes, (uint64_t)one->message->files[i]->digest->size_bytes);
	for (size_t i = 0; i < one->message->n_directories; i++) {
		struct reapi_digest d;
		reapi_digest_read(one->message->directories[i]->digest, &d, NULL);
		struct input_directory *child = map_get(&r->by_digest, &d, sizeof d);
		if (count(r, child, depth + 1, err) < 0)
			return -1;
		entries = add_up(entries, child->entries);
		bytes = add_up(bytes, child->file_bytes);
		directories = add_up(directories, child->directories);
	}
	one->entries = entries;
	one->file_bytes = bytes;
	one->directories = directories;
	return 0;
}

int input_root_read(struct input_root *r, const struct reapi_digest *top, input_get_fn get, void *ctx, struct err *err)
{
	memset(r, 0, sizeof *r);
	if (add_directory(r, top, 0, err) < 0)
		return -1;
	for (size_t i = 0; i < r->n_directories; i++)
		if (read_one(r, r->directories[i], get, ctx, err) < 0)
			return -1;
	if (r->n_missing)
		return 0;
	if (count(r, r->directories[0], 0, err) < 0)
		return -1;
	r->entries = r->directories[0]->entries;
	r->file_bytes = r->directories[0]->file_bytes;
	if (r->entries > INPUT_MAX_ENTRIES)
		return err_set(err, ERR_LIMIT, "an input root of more than %d files and directories", INPUT_MAX_ENTRIES);
	return 0;
}

const struct input_directory *input_root_find(const struct input_root *r, const Reapi__Digest *digest)
{
	struct reapi_digest d;
	return reapi_digest_read(digest, &d, NULL) < 0 ? NULL : map_get(&r->by_digest, &d, sizeof d);
}

void input_root_release(struct input_root *r)
{
	for (size_t i = 0; i < r->n_directories; i++) {
		if (r->directories[i]->message)
			reapi__directory__free_unpacked(r->directories[i]->message, NULL);
		free(r->directories[i]->bytes);
		free(r->directories[i]);
	}
	free(r->directories);
	free(r->files);
	free(r->missing);
	map_release(&r->by_digest);
	map_release(&r->file_set);
	memset(r, 0, sizeof *r);
}

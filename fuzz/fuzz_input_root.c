// The directories of an input root, from a client: pieces of the data, each with two bytes of length before it, are what its digests
// lead to. What is taken is a tree that can be laid out: names are single parts, each there once, and no more of them than there may be.
#include "base/mem.h"
#include "reapi/input_root.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES = 64 };

struct pieces {
	const uint8_t *p[PIECES];
	size_t n[PIECES], count;
};

// No fuzzer finds a SHA-256: a byte of it says which piece it is. So there are circles, too, which real digests do not have.
static int get(void *ctx, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	const struct pieces *all = ctx;
	(void)err;
	if (d->hash.b[0] >= all->count)
		return 0;
	buf_add(out, all->p[d->hash.b[0]], all->n[d->hash.b[0]]);
	return 1;
}

static void check_names(const Reapi__Directory *d)
{
	for (size_t i = 0; i < d->n_files; i++)
		if (input_check_path(d->files[i]->name, false, NULL) < 0 || strchr(d->files[i]->name, '/'))
			abort();
	for (size_t i = 0; i < d->n_symlinks; i++)
		if (*d->symlinks[i]->target == '/' || !*d->symlinks[i]->target)
			abort();
	for (size_t i = 1; i < d->n_directories; i++)
		if (strcmp(d->directories[i - 1]->name, d->directories[i]->name) >= 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pieces all = {.count = 0};
	struct input_root root;
	struct reapi_digest top = {.size = 1};
	while (size >= 2 && all.count < PIECES) {
		size_t n = (size_t)data[0] << 8 | data[1];
		n = n < size - 2 ? n : size - 2;
		all.p[all.count] = data + 2;
		all.n[all.count++] = n;
		data += 2 + n;
		size -= 2 + n;
	}
	if (input_root_read(&root, &top, get, &all, NULL) == 0 && !root.n_missing) {
		if (root.entries == 0 || root.entries > INPUT_MAX_ENTRIES || root.n_directories > INPUT_MAX_DIRECTORIES)
			abort();
		for (size_t i = 0; i < root.n_directories; i++)
			check_names(root.directories[i]->message);
	}
	input_root_release(&root);
	return 0;
}

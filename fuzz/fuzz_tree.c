// The bytes of a tree that are laid out beside a job, in two pieces: whatever they say, nothing is made outside of its directory.
#include "agent/tree.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char outer[] = "/tmp/coffer-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag;
	return ftw->level == 0 ? 0 : remove(path);
}

static void remove_all(void)
{
	nftw(outer, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	rmdir(outer);
}

static void begin(void)
{
	if (outer[sizeof outer - 2] != 'X')
		return;
	if (!mkdtemp(outer))
		abort();
	atexit(remove_all);
}

// Beside the tree's own directory there is nothing.
static void check_outer(void)
{
	DIR *d = opendir(outer);
	for (struct dirent *e; (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, "top") != 0)
			abort();
	closedir(d);
}

// Of several trees, the next ones are in the same place.
static int next_tree(struct tree_in *t, void *top, struct err *err)
{
	(void)err;
	t->next = t->max > 1 ? next_tree : NULL;
	t->max /= 2;
	return open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { MOST = 4096 };
	struct tree_in t;
	begin();
	AUTO_FREE char *top = mem_printf("%s/top", outer);
	if (mkdir(top, 0700) < 0)
		abort();
	size_t half = size ? data[0] % (size + 1) : 0;
	tree_in_init(&t, open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), MOST);
	t.next = next_tree;
	t.ctx = top;
	if (tree_in_take(&t, data, half, NULL) == 0 && tree_in_take(&t, data + half, size - half, NULL) == 0)
		tree_in_end(&t, NULL);
	if (t.n > MOST)
		abort();
	tree_in_release(&t);
	check_outer();
	nftw(outer, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

#include "base/tree.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEEPEST = 64 }; // descriptors and stack

struct removal {
	int top;          // what lies too deep is moved here
	unsigned n_moved; //
	int error;
};

static void empty_directory(struct removal *r, int fd, int depth);

static void remove_entry(struct removal *r, int dir, const char *name, int depth)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return;
	if (errno != EISDIR && errno != EPERM) {
		r->error = errno;
		return;
	}
	if (depth == DEEPEST) {
		char moved[32];
		snprintf(moved, sizeof moved, ".deep-%u", r->n_moved++);
		if (renameat(dir, name, r->top, moved) < 0)
			r->error = errno;
		return;
	}
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		r->error = errno;
		return;
	}
	empty_directory(r, fd, depth + 1);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0)
		r->error = errno;
}

// Takes over fd.
static void empty_directory(struct removal *r, int fd, int depth)
{
	DIR *d = fdopendir(fd);
	if (!d) {
		r->error = errno;
		close(fd);
		return;
	}
	fchmod(fd, 0700);
	for (const struct dirent *e; (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_entry(r, fd, e->d_name, depth);
	closedir(d);
}

int tree_remove(int parent, const char *name)
{
	AUTO_CLOSE int top = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0 && errno != ENOENT)
		return -1;
	if (top < 0)
		return 0;
	struct removal r = {.top = top};
	unsigned moved;
	do {
		moved = r.n_moved;
		r.error = 0;
		int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -1;
		empty_directory(&r, fd, 0);
	} while (r.n_moved > moved);
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return 0;
	if (r.error)
		errno = r.error;
	return -1;
}

#include "agent/leavings.h"

#include "base/buf.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 128, MAX_PATH = 4096 };

struct walk {
	struct leavings *all;
	uint32_t index;
	char path[MAX_PATH]; // below the output
	struct err *err;
};

static int visit(struct walk *w, int fd, int depth);

static int tell(struct walk *w, Coffer__V1__ExecOutput__Kind kind, uint64_t size, const char *target, int fd)
{
	Coffer__V1__ExecOutput e;
	coffer__v1__exec_output__init(&e);
	if (w->all->n++ == LEAVINGS_MAX)
		return err_set(w->err, ERR_LIMIT, "the outputs have more than %d files", LEAVINGS_MAX);
	e.index = w->index;
	e.kind = kind;
	e.size = size;
	e.name = w->path;
	if (target)
		e.target = (char *)(uintptr_t)target;
	return w->all->tell(w->all->ctx, &e, fd, w->err);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	struct arena arena;
	char **list;
	size_t n;
};

static int read_names(int directory, struct names *names, struct err *err)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		mem_close_cleanup(&fd);
		return err_errno(err, "cannot read a directory of the outputs");
	}
	for (const struct dirent *e; (e = readdir(d)) && names->n < LEAVINGS_MAX;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if ((names->n & (names->n - 1)) == 0)
			names->list = mem_realloc(names->list, (2 * names->n + 2) * sizeof *names->list);
		names->list[names->n++] = arena_strdup(&names->arena, e->d_name);
	}
	closedir(d);
	if (names->n)
		qsort(names->list, names->n, sizeof *names->list, by_name);
	return 0;
}

static int visit_child(struct walk *w, int directory, const char *name, int depth)
{
	size_t had = strlen(w->path);
	if ((size_t)snprintf(w->path + had, MAX_PATH - had, "%s%s", had ? "/" : "", name) >= MAX_PATH - had)
		return err_set(w->err, ERR_LIMIT, "a path of the outputs is longer than %d bytes", MAX_PATH);
	AUTO_CLOSE int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == ELOOP)
		fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int rc = fd < 0 ? err_errno(w->err, "cannot read output '%.200s'", w->path) : visit(w, fd, depth + 1);
	w->path[had] = '\0';
	return rc;
}

static int visit_directory(struct walk *w, int fd, int depth)
{
	struct names names = {.list = NULL};
	if (depth == MAX_DEPTH)
		return err_set(w->err, ERR_LIMIT, "outputs more than %d directories deep", MAX_DEPTH);
	int rc = tell(w, COFFER__V1__EXEC_OUTPUT__KIND__DIRECTORY, 0, NULL, -1);
	if (rc == 0)
		rc = read_names(fd, &names, w->err);
	for (size_t i = 0; i < names.n && rc == 0; i++)
		rc = visit_child(w, fd, names.list[i], depth);
	free(names.list);
	arena_release(&names.arena);
	return rc;
}

static int visit_link(struct walk *w, int fd)
{
	char target[MAX_PATH];
	ssize_t n = readlinkat(fd, "", target, sizeof target - 1);
	if (n < 0)
		return err_errno(w->err, "cannot read a link of the outputs");
	target[n] = '\0';
	return tell(w, COFFER__V1__EXEC_OUTPUT__KIND__SYMLINK, 0, target, -1);
}

static int visit_file(struct walk *w, int fd, const struct stat *st)
{
	bool is_executable = st->st_mode & 0111;
	return tell(w, is_executable ? COFFER__V1__EXEC_OUTPUT__KIND__EXECUTABLE : COFFER__V1__EXEC_OUTPUT__KIND__FILE,
		    (uint64_t)st->st_size, NULL, fd);
}

static int visit(struct walk *w, int fd, int depth)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(w->err, "cannot read an output");
	if (S_ISDIR(st.st_mode))
		return visit_directory(w, fd, depth);
	if (S_ISLNK(st.st_mode))
		return visit_link(w, fd);
	if (S_ISREG(st.st_mode))
		return visit_file(w, fd, &st);
	return err_set(w->err, ERR_FORMAT, "output '%.200s' is no file, directory or symbolic link", w->path);
}

int leavings_walk(struct leavings *l, uint32_t index, const char *name, struct err *err)
{
	struct walk w = {.all = l, .index = index, .err = err};
	AUTO_CLOSE int fd = -1;
	int found = scratch_find_any(l->scratch, name, &fd, err);
	return found <= 0 ? found : visit(&w, fd, 0);
}

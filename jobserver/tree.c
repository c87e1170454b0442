#include "jobserver/tree.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEEPEST = 256 };

static bool is_client_name(const char *name)
{
	static const char *const names[] = {"make", "gmake", "ninja", "samu", "cargo"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

void tree_add(struct tree *t, pid_t pid, pid_t parent, const char *name)
{
	if (t->n % 256 == 0)
		t->v = mem_realloc(t->v, (t->n + 256) * sizeof *t->v);
	t->v[t->n++] =
		(struct tree_process){.pid = pid, .parent = parent, .is_client = pid == t->tool || is_client_name(name)};
}

static int by_pid(const void *a, const void *b)
{
	const struct tree_process *x = a, *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct tree_process *find(const struct tree *t, pid_t pid)
{
	struct tree_process key = {.pid = pid};
	return t->n ? bsearch(&key, t->v, t->n, sizeof *t->v, by_pid) : NULL;
}

void tree_link(struct tree *t)
{
	if (t->n)
		qsort(t->v, t->n, sizeof *t->v, by_pid);
	for (size_t i = 0; i < t->n; i++) {
		struct tree_process *up = find(t, t->v[i].parent);
		if (up)
			up->has_children = true;
		if (!t->v[i].is_client || t->v[i].pid == t->tool)
			continue;
		for (int depth = 0; up && !up->is_client && depth < DEEPEST; depth++) {
			up->has_client = true;
			up = find(t, up->parent);
		}
	}
}

bool tree_is_below(const struct tree *t, pid_t pid)
{
	const struct tree_process *p = find(t, pid);
	for (int depth = 0; p && p->pid != t->tool && depth < DEEPEST; depth++)
		p = find(t, p->parent);
	return p && p->pid == t->tool;
}

unsigned tree_slots(const struct tree *t)
{
	unsigned slots = 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct tree_process *p = &t->v[i], *up = find(t, p->parent);
		bool is_job = !p->is_client && !p->has_client && up && up->is_client;
		if ((is_job || (p->is_client && !p->has_children)) && tree_is_below(t, p->pid))
			slots++;
	}
	return slots;
}

unsigned tree_clients_above(const struct tree *t, pid_t pid)
{
	const struct tree_process *p = find(t, pid);
	unsigned n = 0;
	p = p ? find(t, p->parent) : NULL;
	for (int depth = 0; p && p->pid != t->tool && depth < DEEPEST; depth++, p = find(t, p->parent))
		n += p->is_client;
	return n;
}

// "pid (name) state ppid …"; the name may hold anything, the last ')' ends it.
static void add_from_proc(struct tree *t, int proc, const char *pid)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "%.32s/stat", pid);
	int fd AUTO_CLOSE = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	if (n <= 0)
		return;
	text[n] = '\0';
	char *name = strchr(text, '('), *end = strrchr(text, ')'), state;
	int parent;
	if (!name || !end || end < name || sscanf(end + 1, " %c %d", &state, &parent) != 2 || state == 'Z')
		return;
	*end = '\0';
	tree_add(t, (pid_t)atoi(pid), parent, name + 1);
}

bool tree_read(struct tree *t, pid_t tool)
{
	*t = (struct tree){.tool = tool};
	DIR *d = opendir("/proc");
	if (!d)
		return false;
	for (struct dirent *e; (e = readdir(d)) && t->n < TREE_MOST_PROCESSES;)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			add_from_proc(t, dirfd(d), e->d_name);
	closedir(d);
	tree_link(t);
	return find(t, tool) != NULL;
}

void tree_release(struct tree *t)
{
	free(t->v);
	*t = (struct tree){0};
}

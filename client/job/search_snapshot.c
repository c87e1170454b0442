#include "client/job/search_snapshot.h"

#include "base/map.h"
#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct spot {
	dev_t dev;
	ino_t ino; // 0: not there
};

struct search_snapshot {
	const struct plan *plan;
	int64_t start_ns; // of the compile, once it is known
	struct search search;
	struct map before; // path -> struct spot
	struct map seen;   // paths that search_snapshot_moved has looked at
};

static struct spot spot_now(const struct plan *p, const char *path)
{
	struct stat st;
	if (fstatat(p->cwd_fd, path, &st, 0) < 0)
		return (struct spot){0};
	return (struct spot){st.st_dev, st.st_ino};
}

static void note_all(struct search_snapshot *w, const char *const *dirs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct spot *at = arena_alloc(w->plan->arena, sizeof *at);
		*at = spot_now(w->plan, dirs[i]);
		map_puts(&w->before, path_tidy(w->plan->arena, dirs[i]), at);
	}
}

struct search_snapshot *search_snapshot_take(const struct plan *p)
{
	struct search_snapshot *w = arena_alloc(p->arena, sizeof *w);
	w->plan = p;
	if (searches_find(p->services->searches, p->compiler, &p->line, p->cwd, p->cwd_fd, p->env, p->arena, &w->search,
			  NULL) < 0)
		return NULL;
	const char *own = path_dir(p->arena, p->line.source);
	note_all(w, &own, 1);
	note_all(w, w->search.quoted, w->search.n_quoted);
	note_all(w, w->search.angled, w->search.n_angled);
	return w;
}

const struct search *search_snapshot_search(const struct search_snapshot *w)
{
	return &w->search;
}

// Another directory than before; a symlink that was made since; or a directory that was renamed (which changes its ctime
// alone).
static bool has_moved(const struct search_snapshot *w, const char *path)
{
	const struct plan *p = w->plan;
	const struct spot *before = map_gets(&w->before, path_tidy(w->plan->arena, path));
	struct stat st;
	if (fstatat(p->cwd_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	struct file_id id = file_id_of(&st);
	if (S_ISLNK(st.st_mode) && id.ctime_ns >= w->start_ns)
		return true;
	if (S_ISLNK(st.st_mode) && fstatat(p->cwd_fd, path, &st, 0) < 0)
		return true;
	if (before && (before->dev != st.st_dev || before->ino != st.st_ino))
		return true;
	id = file_id_of(&st);
	return S_ISDIR(st.st_mode) && id.ctime_ns >= w->start_ns && id.ctime_ns != id.mtime_ns;
}

void search_snapshot_starts(struct search_snapshot *w, int64_t start_ns)
{
	w->start_ns = start_ns;
}

bool search_snapshot_moved(struct search_snapshot *w, const char *input)
{
	for (const char *path = input; strcmp(path, ".") != 0 && strcmp(path, "/") != 0 && !map_puts(&w->seen, path, w);
	     path = path_dir(w->plan->arena, path))
		if (has_moved(w, path))
			return true;
	return false;
}

void search_snapshot_release(struct search_snapshot *w)
{
	if (!w)
		return;
	search_release(&w->search);
	map_release(&w->before);
	map_release(&w->seen);
}

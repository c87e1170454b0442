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

struct ways {
	struct job *j;
	struct search search;
	struct map before; // path -> struct spot
	struct map seen;   // paths that ways_moved has looked at
};

static struct spot spot_now(const struct job *j, const char *path)
{
	struct stat st;
	if (fstatat(j->cwd_fd, path, &st, 0) < 0)
		return (struct spot){0};
	return (struct spot){st.st_dev, st.st_ino};
}

static void note_all(struct ways *w, const char *const *dirs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct spot *p = arena_alloc(&w->j->arena, sizeof *p);
		*p = spot_now(w->j, dirs[i]);
		map_puts(&w->before, path_tidy(&w->j->arena, dirs[i]), p);
	}
}

struct ways *ways_note(struct job *j)
{
	struct ways *w = arena_alloc(&j->arena, sizeof *w);
	w->j = j;
	if (searches_find(j->d->searches, j->compiler, &j->line, j->cwd, j->cwd_fd, j->env, &j->arena, &w->search, NULL) < 0)
		return NULL;
	const char *own = path_dir(&j->arena, j->line.source);
	note_all(w, &own, 1);
	note_all(w, w->search.quoted, w->search.n_quoted);
	note_all(w, w->search.angled, w->search.n_angled);
	return w;
}

const struct search *ways_search(const struct ways *w)
{
	return &w->search;
}

// Another folder than before; a symlink that was made since; or a folder that was renamed (which changes its ctime alone).
static bool has_moved(const struct ways *w, const char *path)
{
	const struct job *j = w->j;
	const struct spot *before = map_gets(&w->before, path_tidy(&w->j->arena, path));
	struct stat st;
	if (fstatat(j->cwd_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	struct file_id id = file_id_of(&st);
	if (S_ISLNK(st.st_mode) && id.ctime_ns >= j->start_ns)
		return true;
	if (S_ISLNK(st.st_mode) && fstatat(j->cwd_fd, path, &st, 0) < 0)
		return true;
	if (before && (before->dev != st.st_dev || before->ino != st.st_ino))
		return true;
	id = file_id_of(&st);
	return S_ISDIR(st.st_mode) && id.ctime_ns >= j->start_ns && id.ctime_ns != id.mtime_ns;
}

bool ways_moved(struct ways *w, const char *input)
{
	for (const char *path = input; strcmp(path, ".") != 0 && strcmp(path, "/") != 0 && !map_puts(&w->seen, path, w);
	     path = path_dir(&w->j->arena, path))
		if (has_moved(w, path))
			return true;
	return false;
}

void ways_release(struct ways *w)
{
	if (!w)
		return;
	search_release(&w->search);
	map_release(&w->before);
	map_release(&w->seen);
}

#include "depscan/path_cache.h"

#include "base/path.h"
#include "depscan/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_CACHE_MAX = 30000 }; // about 200 bytes each; past that they are forgotten

struct shared_places {
	atomic_uint refs;
	pthread_mutex_t lock;
	struct path_cache places;
	atomic_size_t bytes; // as of the last path_cache_end()
};

struct shared_places *path_cache_new(void)
{
	struct shared_places *s = mem_alloc(sizeof *s);
	atomic_store(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

struct shared_places *path_cache_ref(struct shared_places *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

static void forget(struct path_cache *p)
{
	map_release(&p->known);
	map_release(&p->answers);
	arena_release(&p->arena);
}

void path_cache_unref(struct shared_places *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	forget(&s->places);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct path_cache *path_cache_begin(struct shared_places *s, int cwd_fd, uint64_t since, struct directory_watch *arrivals)
{
	static atomic_uint_fast64_t last_job;
	pthread_mutex_lock(&s->lock);
	struct path_cache *p = &s->places;
	if (p->known.n > PATH_CACHE_MAX)
		forget(p);
	p->cwd_fd = cwd_fd;
	p->job = atomic_fetch_add(&last_job, 1) + 1;
	p->since = since ? since : p->job;
	p->arrivals = arrivals;
	return p;
}

void path_cache_end(struct shared_places *s)
{
	enum { KEY_BYTES = 64 }; // of a map's key on the heap, more or less
	struct path_cache *p = &s->places;
	p->cwd_fd = -1;
	p->arrivals = NULL;
	atomic_store(&s->bytes, p->arena.total + (p->known.cap + p->answers.cap) * sizeof(struct map_slot) +
					(p->known.n + p->answers.n) * KEY_BYTES);
	pthread_mutex_unlock(&s->lock);
}

size_t path_cache_bytes(struct shared_places *s)
{
	return atomic_load(&s->bytes);
}

struct path_place *path_cache_get(struct path_cache *p, const char *tidy)
{
	struct path_place *place = map_gets(&p->known, tidy);
	if (place)
		return place;
	place = arena_alloc(&p->arena, sizeof *place);
	place->path = arena_strdup(&p->arena, tidy);
	map_puts(&p->known, place->path, place);
	if (strcmp(tidy, ".") != 0 && strcmp(tidy, "/") != 0)
		place->parent = path_cache_get(p, path_dir(&p->arena, tidy));
	return place;
}

// "D/" PATH_CACHE_ANY ".gch": absent where no name in D ends so.
static void look_for_any(struct path_cache *p, struct path_place *place)
{
	const char *suffix = path_base(place->path) + strlen(PATH_CACHE_ANY);
	const char *dir = place->parent ? place->parent->path : ".";
	place->presence = path_cache_any_ends(p->cwd_fd, dir, suffix) ? PLACE_FILE : PLACE_ABSENT;
	place->stamp = 0;
	place->looked = p->since;
}

bool path_cache_any_ends(int cwd_fd, const char *dir, const char *suffix)
{
	int fd = openat(cwd_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT && errno != ENOTDIR;
	DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return true;
	}
	bool found = false;
	size_t n = strlen(suffix);
	for (const struct dirent *e; !found && (e = readdir(d));) {
		size_t len = strlen(e->d_name);
		found = len > n && strcmp(e->d_name + len - n, suffix) == 0;
	}
	closedir(d);
	return found;
}

// The stamp of the directory above, from now on to change when this name appears in it; 0: nobody tells.
static uint64_t expect(struct path_cache *p, const struct path_place *place)
{
	const char *name = path_base(place->path);
	uint64_t stamp = place->parent && place->parent->looked >= p->since ? place->parent->stamp : 0;
	return directory_watch_expect(p->arrivals, stamp, &name, 1) ? stamp : 0;
}

static void look(struct path_cache *p, struct path_place *place)
{
	struct stat st;
	struct file_id before = place->id;
	uint64_t expected = expect(p, place);
	if (strncmp(path_base(place->path), PATH_CACHE_ANY, strlen(PATH_CACHE_ANY)) == 0) {
		look_for_any(p, place);
		return;
	}
	bool there = fstatat(p->cwd_fd, place->path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	place->is_link = there && S_ISLNK(st.st_mode);
	if (place->is_link)
		there = fstatat(p->cwd_fd, place->path, &st, 0) == 0;
	place->id = there ? file_id_of(&st) : (struct file_id){0};
	place->presence = there                                 ? S_ISDIR(st.st_mode) ? PLACE_DIRECTORY : PLACE_FILE
			  : errno == ENOENT || errno == ENOTDIR ? PLACE_ABSENT
								: PLACE_UNCLEAR;
	int64_t floor = clock_now_ns() - FILES_AGE_FLOOR_NS;
	bool young = place->id.mtime_ns > floor || place->id.ctime_ns > floor;
	if (!file_id_equal(&place->id, &before) || (place->presence == PLACE_DIRECTORY && young))
		place->changed = p->job;
	if (place->presence != PLACE_DIRECTORY)
		place->stamp = place->presence == PLACE_ABSENT ? expected : 0;
	else if (place->stamp || (place->changed == p->job && before.ino))
		place->stamp = directory_watch_stamp(p->arrivals, p->cwd_fd, place->path, &st);
	// What is in a directory is as old as the oldest look that this job takes for its own, at the directory too.
	place->looked = place->presence == PLACE_DIRECTORY ? p->job : p->since;
}

static bool is_still_absent(const struct path_place *place)
{
	return place->presence == PLACE_ABSENT && place->stamp && place->parent->presence == PLACE_DIRECTORY &&
	       place->stamp == place->parent->stamp;
}

// A directory is looked at once in a job; what stands in a directory that has not changed is as it was. What is not there
// has nothing in it until something appears above it.
void place_refresh(struct path_cache *p, struct path_place *place)
{
	if (place->looked >= p->since)
		return;
	if (!place->looked || !place->parent || place->is_link || place->presence >= PLACE_DIRECTORY) {
		look(p, place);
		return;
	}
	place_refresh(p, place->parent);
	if (place->parent->changed >= place->looked && !is_still_absent(place))
		look(p, place);
	else
		place->looked = p->since;
}

struct path_place *path_cache_look(struct path_cache *p, const char *tidy)
{
	struct path_place *place = path_cache_get(p, tidy);
	place_refresh(p, place);
	return place;
}

struct path_place *place_anchor(struct path_cache *p, struct path_place *absent)
{
	struct path_place *dir = absent->parent;
	for (; dir && dir->parent; dir = dir->parent) {
		place_refresh(p, dir);
		if (dir->presence == PLACE_DIRECTORY)
			break;
	}
	return dir;
}

#include "depscan/watch.h"

#include "base/log.h"
#include "base/map.h"
#include "base/path.h"
#include "depscan/path_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif

enum { SHARDS = 64, MAX_NAME = 1024, READ_BYTES = 16 << 10 };

// A directory on the way to something watched: what may make its name, or that of the next one, lead elsewhere.
#define ON_THE_WAY                                                                                                          \
	(IN_ONLYDIR | IN_DONT_FOLLOW | IN_MASK_ADD | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | \
	 IN_MOVE_SELF)
// A directory whose entries count. IN_CLOSE_WRITE tells at least at the end of what was written through a mapping.
#define ENTRIES (ON_THE_WAY | IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE)

struct directory {
	char *name;   // tidy
	int wd;       // -1: refused, until the directories are found again
	bool entries; // watched with ENTRIES
};

struct shard {
	pthread_mutex_t lock;
	struct map by_path; // struct watched
};

struct remembered { // every struct watched there ever was, since somebody may still read it
	struct watched watched;
	struct remembered *next;
};

struct watch {
	struct files *files;
	struct arena arena;
	const char **roots; // the watched directories, tidy
	unsigned n_roots;
	pthread_mutex_t lock; // of what follows, up to the shards
	uint64_t epoch;
	int inotify_fd, mounts_fd;
	struct map by_name; // struct directory
	struct map by_wd;   // the same ones, without those that are refused
	struct shard shards[SHARDS];
	_Atomic(struct remembered *) remembered;
	atomic_uint n_remembered;
};

// ---- names ----------------------------------------------------------------------------------------------------------

struct name {
	char text[MAX_NAME]; // "" is "/"
	size_t len;
};

// Goes one part of a path further. With `..` the name is right only while no directory in it is a symlink.
static bool name_go(struct name *n, const char *part, size_t len)
{
	if (len == 0 || (len == 1 && part[0] == '.'))
		return true;
	if (len == 2 && part[0] == '.' && part[1] == '.') {
		while (n->len && n->text[--n->len] != '/')
			;
		n->text[n->len] = '\0';
		return true;
	}
	if (n->len + 1 + len >= sizeof n->text)
		return false;
	n->text[n->len++] = '/';
	memcpy(n->text + n->len, part, len);
	n->len += len;
	n->text[n->len] = '\0';
	return true;
}

static bool name_of(struct name *n, const char *path)
{
	*n = (struct name){.len = 0};
	if (path[0] != '/')
		return false;
	for (const char *p = path; *p; p += *p == '/') {
		size_t len = strcspn(p, "/");
		if (!name_go(n, p, len))
			return false;
		p += len;
	}
	return true;
}

static bool is_below_root(const struct watch *w, const struct name *n)
{
	for (unsigned i = 0; i < w->n_roots; i++)
		if (path_below(w->roots[i], n->len ? n->text : "/"))
			return true;
	return false;
}

// ---- the kernel's watches, under the lock ---------------------------------------------------------------------------

static void forget_directories(struct watch *w)
{
	size_t at = 0;
	void *v;
	while (map_next(&w->by_name, &at, NULL, NULL, &v)) {
		struct directory *f = v;
		free(f->name);
		free(f);
	}
	map_release(&w->by_name);
	map_release(&w->by_wd);
	w->by_name = w->by_wd = (struct map)MAP_INIT;
}

// Begins an epoch without any watch: those of now may belong to directories that have other names by now. Returns the
// descriptor that is no longer used; it is closed outside of the lock, since that takes the kernel milliseconds.
static int begin_anew(struct watch *w)
{
	int old = w->inotify_fd;
	forget_directories(w);
	w->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	w->epoch++;
	return old;
}

bool watch_tells_everything(int dir_fd)
{
	struct statfs fs;
	if (fstatfs(dir_fd, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC: // and ext2, ext3
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return true;
	default:
		return false;
	}
}

// The number of a new watch, or -1: a symlink, no directory, not ours to read, too many watches …
static int add_directory(struct watch *w, const char *name, bool *missing)
{
	AUTO_CLOSE int fd = open(name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	*missing = fd < 0 && errno == ENOENT;
	int wd = fd >= 0 && watch_tells_everything(fd) ? inotify_add_watch(w->inotify_fd, name, ON_THE_WAY) : -1;
	// One inode that has two names (a bind mount) has one watch, and no place for two.
	return wd >= 0 && map_get(&w->by_wd, &wd, sizeof wd) ? -1 : wd;
}

// A directory by its name, watched from now on. Its parents are watched already, so that a change to where the name leads
// is news whether it comes before or after this. NULL: refused, or missing.
static struct directory *enter(struct watch *w, const struct name *n, bool *missing)
{
	const char *name = n->len ? n->text : "/";
	struct directory *f = map_gets(&w->by_name, name);
	if (f)
		return f->wd >= 0 ? f : NULL;
	if (w->by_name.n >= WATCH_MAX_DIRECTORIES)
		return NULL;
	int wd = add_directory(w, name, missing);
	if (*missing)
		return NULL;
	f = mem_alloc(sizeof *f);
	*f = (struct directory){mem_strdup(name), wd, false};
	map_puts(&w->by_name, name, f);
	if (wd < 0)
		return NULL;
	map_put(&w->by_wd, &wd, sizeof wd, f);
	return f;
}

// Watches every directory on the way along the first `len` bytes of `path`, from the top down, and the entries of the last
// one there is. True if from now on no change along this way, and none in that directory, goes unnoticed.
static bool cover(struct watch *w, const char *path, size_t len)
{
	struct name n = {.len = 0};
	bool missing = false;
	struct directory *f = enter(w, &n, &missing), *next;
	for (size_t at = 0, part; f && at < len; at += part + 1) {
		part = strcspn(path + at, "/");
		part = part < len - at ? part : len - at;
		if (!name_go(&n, path + at, part))
			return false;
		next = enter(w, &n, &missing);
		if (missing)
			break;
		f = next;
	}
	if (!f || f->entries)
		return f != NULL;
	f->entries = inotify_add_watch(w->inotify_fd, f->name, ENTRIES) == f->wd;
	return f->entries;
}

static bool cover_locked(struct watch *w, const char *path, size_t len)
{
	pthread_mutex_lock(&w->lock);
	bool ok = w->inotify_fd >= 0 && cover(w, path, len);
	pthread_mutex_unlock(&w->lock);
	return ok;
}

// ---- news -----------------------------------------------------------------------------------------------------------

enum news {
	NEWS_NONE,        // of no matter
	NEWS_ENTRIES,     // of files, or of a directory's mode
	NEWS_DIRECTORIES, // the watched directories may not be where they were, or something was lost
};

static bool is_known_child(const struct watch *w, const struct directory *f, const char *child)
{
	struct name n;
	return name_of(&n, f->name) && name_go(&n, child, strlen(child)) && map_gets(&w->by_name, n.text);
}

static enum news judge(const struct watch *w, const struct inotify_event *e)
{
	const struct directory *f = map_get(&w->by_wd, &e->wd, sizeof e->wd);
	if (!f || (e->mask & (IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)))
		return NEWS_DIRECTORIES;
	bool of_names = e->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO);
	if (e->len && of_names && is_known_child(w, f, e->name))
		return NEWS_DIRECTORIES;
	return f->entries || !e->len ? NEWS_ENTRIES : NEWS_NONE;
}

static enum news drain(const struct watch *w)
{
	_Alignas(struct inotify_event) char events[READ_BYTES];
	enum news most = NEWS_NONE;
	while (most != NEWS_DIRECTORIES) {
		ssize_t got = read(w->inotify_fd, events, sizeof events);
		if (got < 0 && errno == EAGAIN)
			break;
		if (got <= 0)
			return NEWS_DIRECTORIES;
		for (ssize_t at = 0; at < got && most != NEWS_DIRECTORIES;) {
			const struct inotify_event *e = (const void *)(events + at);
			enum news news = judge(w, e);
			most = news > most ? news : most;
			at += (ssize_t)(sizeof *e + e->len);
		}
	}
	return most;
}

uint64_t watch_epoch(struct watch *w)
{
	if (!w)
		return 0;
	int unused = -1;
	// The lock is held over one system call in the usual case. It must be: who has taken the news out of the kernel has
	// to make them known before anybody else finds that there are none.
	pthread_mutex_lock(&w->lock);
	struct pollfd fds[] = {{.fd = w->inotify_fd, .events = POLLIN}, {.fd = w->mounts_fd, .events = POLLPRI}};
	int ready = poll(fds, COUNT_OF(fds), 0);
	enum news news = NEWS_NONE;
	if (w->inotify_fd < 0 || ready < 0 || fds[1].revents)
		news = NEWS_DIRECTORIES;
	else if (fds[0].revents)
		news = drain(w);
	if (news == NEWS_DIRECTORIES)
		unused = begin_anew(w);
	else if (news == NEWS_ENTRIES)
		w->epoch++;
	uint64_t epoch = w->inotify_fd < 0 ? 0 : w->epoch;
	pthread_mutex_unlock(&w->lock);
	mem_close_cleanup(&unused);
	return epoch;
}

// ---- what is at a path ----------------------------------------------------------------------------------------------

static int64_t ns_of(struct statx_timestamp t)
{
	return t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct file_id id_of(const struct statx *sx)
{
	return (struct file_id){makedev(sx->stx_dev_major, sx->stx_dev_minor), sx->stx_ino, (int64_t)sx->stx_size,
				ns_of(sx->stx_mtime), ns_of(sx->stx_ctime)};
}

// Looks, once the way there is watched. `dir` is the length of the directory's name with its slash.
static enum watched_state look(const char *path, size_t dir, struct file_id *id)
{
	struct statx sx;
	*id = (struct file_id){0};
	if (strncmp(path + dir, PATH_CACHE_ANY, strlen(PATH_CACHE_ANY)) == 0) {
		AUTO_FREE char *directory = mem_strndup(path, dir);
		bool any = path_cache_any_ends(AT_FDCWD, directory, path + dir + strlen(PATH_CACHE_ANY));
		return any ? WATCHED_REFUSED : WATCHED_ABSENT;
	}
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx) < 0)
		return errno == ENOENT ? WATCHED_ABSENT : WATCHED_REFUSED;
	if (S_ISDIR(sx.stx_mode))
		return WATCHED_DIRECTORY;
	// A file that is mounted over another one is written in its own directory.
	bool tells_mounts = sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;
	if (!S_ISREG(sx.stx_mode) || sx.stx_nlink != 1 || !tells_mounts || (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return WATCHED_REFUSED;
	*id = id_of(&sx);
	return WATCHED_FILE;
}

// The digest of the very file that was looked at, if it is old enough for its identity to be trusted.
static bool find_digest(struct watch *w, const char *path, struct watched *k)
{
	struct stat st;
	int64_t floor = clock_now_ns() - FILES_AGE_FLOOR_NS;
	if (k->id.mtime_ns >= floor || k->id.ctime_ns >= floor ||
	    files_digest(w->files, AT_FDCWD, path, &k->digest, &st, NULL) < 0)
		return false;
	struct file_id id = file_id_of(&st);
	return file_id_equal(&id, &k->id);
}

static struct watched *remember(struct watch *w, const struct watched *k)
{
	if (atomic_fetch_add(&w->n_remembered, 1) >= WATCH_MAX_PATHS) {
		atomic_fetch_sub(&w->n_remembered, 1);
		return NULL;
	}
	struct remembered *r = mem_alloc(sizeof *r);
	r->watched.state = k->state;
	r->watched.id = k->id;
	r->watched.digest = k->digest;
	atomic_init(&r->watched.epoch, k->epoch);
	r->next = atomic_load(&w->remembered);
	while (!atomic_compare_exchange_weak(&w->remembered, &r->next, r))
		;
	return &r->watched;
}

static struct shard *shard_of(struct watch *w, const char *path)
{
	return &w->shards[hash64(path, strlen(path)) % SHARDS];
}

const struct watched *watch_look(struct watch *w, uint64_t epoch, const char *path)
{
	if (!w || !epoch || path[0] != '/')
		return NULL;
	struct shard *s = shard_of(w, path);
	pthread_mutex_lock(&s->lock);
	struct watched *known = map_gets(&s->by_path, path);
	pthread_mutex_unlock(&s->lock);
	if (watched_holds(known, epoch))
		return known;
	struct name n;
	if (!name_of(&n, path) || !is_below_root(w, &n) || (!known && atomic_load(&w->n_remembered) >= WATCH_MAX_PATHS))
		return NULL;
	struct watched now = {.epoch = epoch};
	size_t dir = (size_t)(path_base(path) - path);
	if (cover_locked(w, path, dir))
		now.state = look(path, dir, &now.id);
	if (now.state == WATCHED_DIRECTORY && !cover_locked(w, path, strlen(path)))
		now.state = WATCHED_REFUSED;
	if (known && known->state == now.state && file_id_equal(&known->id, &now.id)) {
		atomic_store_explicit(&known->epoch, epoch, memory_order_release);
		return known;
	}
	if (now.state == WATCHED_FILE && !find_digest(w, path, &now))
		return NULL;
	struct watched *fresh = remember(w, &now);
	if (!fresh)
		return NULL;
	pthread_mutex_lock(&s->lock);
	map_puts(&s->by_path, path, fresh);
	pthread_mutex_unlock(&s->lock);
	return fresh;
}

bool watch_directory(struct watch *w, const char *dir)
{
	struct name n;
	return w && name_of(&n, dir) && is_below_root(w, &n) && cover_locked(w, dir, strlen(dir));
}

unsigned watch_count(struct watch *w)
{
	if (!w)
		return 0;
	pthread_mutex_lock(&w->lock);
	unsigned n = (unsigned)w->by_wd.n;
	pthread_mutex_unlock(&w->lock);
	return n;
}

// ---- beginning and end ----------------------------------------------------------------------------------------------

static bool is_off(const char *directories)
{
	return !directories[0] || strcmp(directories, "off") == 0;
}

static void take_roots(struct watch *w, const char *directories)
{
	w->roots = arena_alloc(&w->arena, (strlen(directories) + 1) * sizeof *w->roots);
	for (const char *p = directories; *p; p += *p == ':') {
		struct name n;
		size_t len = strcspn(p, ":");
		if (name_of(&n, arena_strndup(&w->arena, p, len)))
			w->roots[w->n_roots++] = arena_strdup(&w->arena, n.len ? n.text : "/");
		p += len;
	}
}

struct watch *watch_new(const char *directories, struct files *files)
{
	if (is_off(directories))
		return NULL;
	struct watch *w = mem_alloc(sizeof *w);
	w->files = files;
	take_roots(w, directories);
	pthread_mutex_init(&w->lock, NULL);
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&w->shards[i].lock, NULL);
	w->epoch = 1;
	w->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	w->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (w->inotify_fd >= 0 && w->mounts_fd >= 0)
		return w;
	log_info("no folder is watched: %s", strerror(errno));
	watch_free(w);
	return NULL;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	forget_directories(w);
	mem_close_cleanup(&w->inotify_fd);
	mem_close_cleanup(&w->mounts_fd);
	for (struct remembered *r = w->remembered, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	for (int i = 0; i < SHARDS; i++) {
		map_release(&w->shards[i].by_path);
		pthread_mutex_destroy(&w->shards[i].lock);
	}
	pthread_mutex_destroy(&w->lock);
	arena_release(&w->arena);
	free(w);
}

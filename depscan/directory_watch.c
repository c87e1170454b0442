#include "depscan/directory_watch.h"

#include "base/map.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "depscan/watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { READ_BYTES = 16 << 10, MAX_NAME = 255 };

struct directory_identity {
	uint64_t dev, ino;
};

struct directory {
	struct directory_identity id;
	int wd;           // -1: refused
	uint64_t stamp;   // 0: refused
	struct map names; // hashes of those that are expected
};

struct directory_watch {
	pthread_mutex_t lock;
	int inotify_fd;
	struct map by_identity, by_wd, by_stamp; // struct directory; the last two without those that are refused
	uint64_t last_stamp;
	size_t n_names;
};

// ---- names ----------------------------------------------------------------------------------------------------------

// Of the part before the first '/', in lower case. False where that is not all that "without regard to case" may mean.
static bool hash_of(const char *name, uint64_t *hash)
{
	char folded[MAX_NAME];
	size_t n = strcspn(name, "/");
	if (n > sizeof folded)
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)name[i] >= 0x80)
			return false;
		folded[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	}
	*hash = hash64(folded, n);
	return true;
}

// ---- directories, under the lock ----------------------------------------------------------------------------------------

static void give_stamp(struct directory_watch *a, struct directory *f)
{
	if (f->stamp)
		map_del(&a->by_stamp, &f->stamp, sizeof f->stamp);
	f->stamp = ++a->last_stamp;
	map_put(&a->by_stamp, &f->stamp, sizeof f->stamp, f);
}

static void forget(struct directory_watch *a, struct directory *f)
{
	a->n_names -= f->names.n;
	map_del(&a->by_identity, &f->id, sizeof f->id);
	if (f->stamp) {
		map_del(&a->by_stamp, &f->stamp, sizeof f->stamp);
		map_del(&a->by_wd, &f->wd, sizeof f->wd);
	}
	map_release(&f->names);
	free(f);
}

static void forget_all(struct directory_watch *a)
{
	size_t at = 0;
	void *f;
	while (map_next(&a->by_identity, &at, NULL, NULL, &f))
		forget(a, f);
	mem_close_cleanup(&a->inotify_fd);
	a->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

static int add_watch(const struct directory_watch *a, int cwd_fd, const char *dir, const struct directory_identity *id)
{
	struct stat st;
	char path[64];
	AUTO_CLOSE int fd = openat(cwd_fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != id->dev || st.st_ino != id->ino || !watch_tells_everything(fd))
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return inotify_add_watch(a->inotify_fd, path, IN_ONLYDIR | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF);
}

static struct directory *enter(struct directory_watch *a, int cwd_fd, const char *dir, const struct directory_identity *id)
{
	if (a->by_identity.n >= DIRECTORY_WATCH_MAX_DIRECTORIES)
		forget_all(a);
	struct directory *f = mem_alloc(sizeof *f);
	*f = (struct directory){.id = *id, .wd = add_watch(a, cwd_fd, dir, id)};
	map_put(&a->by_identity, id, sizeof *id, f);
	if (f->wd < 0)
		return f;
	map_put(&a->by_wd, &f->wd, sizeof f->wd, f);
	give_stamp(a, f);
	return f;
}

// ---- news, under the lock -------------------------------------------------------------------------------------------

// False: something was lost.
static bool take_news(struct directory_watch *a, const struct inotify_event *e)
{
	uint64_t hash;
	struct directory *f = map_get(&a->by_wd, &e->wd, sizeof e->wd);
	if (e->mask & IN_Q_OVERFLOW)
		return false;
	if (!f)
		return true; // of a directory that was forgotten
	if (e->mask & (IN_DELETE_SELF | IN_UNMOUNT | IN_IGNORED))
		forget(a, f);
	else if (!e->len || !hash_of(e->name, &hash) || map_get(&f->names, &hash, sizeof hash))
		give_stamp(a, f);
	return true;
}

void directory_watch_read(struct directory_watch *a)
{
	_Alignas(struct inotify_event) char events[READ_BYTES];
	ssize_t got;
	bool ok = true;
	if (!a)
		return;
	// Who has taken the news out of the kernel makes them known before anybody else finds that there are none.
	pthread_mutex_lock(&a->lock);
	while (ok && (got = read(a->inotify_fd, events, sizeof events)) > 0)
		for (ssize_t at = 0; at < got && ok;) {
			const struct inotify_event *e = (const void *)(events + at);
			ok = take_news(a, e);
			at += (ssize_t)(sizeof *e + e->len);
		}
	if (!ok)
		forget_all(a);
	pthread_mutex_unlock(&a->lock);
}

// ---- stamps ---------------------------------------------------------------------------------------------------------

uint64_t directory_watch_stamp(struct directory_watch *a, int cwd_fd, const char *dir, const struct stat *st)
{
	if (!a)
		return 0;
	struct directory_identity id = {st->st_dev, st->st_ino};
	pthread_mutex_lock(&a->lock);
	struct directory *f = map_get(&a->by_identity, &id, sizeof id);
	if (!f)
		f = enter(a, cwd_fd, dir, &id);
	uint64_t stamp = f->stamp;
	pthread_mutex_unlock(&a->lock);
	return stamp;
}

bool directory_watch_expect(struct directory_watch *a, uint64_t stamp, const char *const *names, uint32_t n)
{
	static char expected;
	if (!a || !stamp)
		return false;
	pthread_mutex_lock(&a->lock);
	if (a->n_names + n > DIRECTORY_WATCH_MAX_NAMES)
		forget_all(a);
	struct directory *f = map_get(&a->by_stamp, &stamp, sizeof stamp);
	bool ok = f != NULL && n <= DIRECTORY_WATCH_MAX_NAMES;
	for (uint32_t i = 0; ok && i < n; i++) {
		uint64_t hash;
		// A name that can't be hashed is one of those whose arrival always counts.
		if (hash_of(names[i], &hash) && !map_put(&f->names, &hash, sizeof hash, &expected))
			a->n_names++;
	}
	pthread_mutex_unlock(&a->lock);
	return ok;
}

// ---- beginning and end ----------------------------------------------------------------------------------------------

struct directory_watch *directory_watch_new(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return NULL;
	struct directory_watch *a = mem_alloc(sizeof *a);
	a->inotify_fd = fd;
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void directory_watch_free(struct directory_watch *a)
{
	if (!a)
		return;
	forget_all(a);
	mem_close_cleanup(&a->inotify_fd);
	map_release(&a->by_identity);
	map_release(&a->by_wd);
	map_release(&a->by_stamp);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

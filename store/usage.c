#include "store/usage.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define USAGE_MAGIC UINT64_C(0x0131656761737563) // "cusage1" and 1; another byte order is another magic

enum { CLOSE_TRIES = 100 }; // milliseconds

struct usage_page {
	uint64_t magic, complete;
	int64_t shard[USAGE_SHARDS];
};

struct usage {
	char *path;
	pthread_mutex_t lock; // for all below
	int fd;               // -1: none now; tried again at every fold
	bool is_complete;     // to be folded: this process has walked all
	int64_t pending[USAGE_SHARDS];
};

// False: there are no counts, `page` is that of an empty store that must be counted.
static bool page_read(const struct usage *u, struct usage_page *page)
{
	char past_end;
	if (u->fd >= 0 && pread(u->fd, page, sizeof *page, 0) == (ssize_t)sizeof *page && page->magic == USAGE_MAGIC &&
	    pread(u->fd, &past_end, 1, sizeof *page) == 0)
		return true;
	*page = (struct usage_page){.magic = USAGE_MAGIC};
	return false;
}

static void reopen_if_gone(struct usage *u)
{
	struct stat st;
	if (u->fd >= 0 && fstat(u->fd, &st) == 0 && st.st_nlink > 0)
		return;
	if (u->fd >= 0)
		close(u->fd);
	u->fd = open(u->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (u->fd < 0) // a store that may only be read still has counts
		u->fd = open(u->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (u->fd >= 0 && (fstat(u->fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(u->fd);
		u->fd = -1;
	}
}

// Brings what is pending into the file, or leaves it pending. False: another process is at it, later may help.
static bool fold(struct usage *u)
{
	reopen_if_gone(u);
	if (u->fd < 0)
		return true;
	if (flock(u->fd, LOCK_EX | LOCK_NB) < 0)
		return errno != EWOULDBLOCK;
	struct usage_page page;
	bool was_whole = page_read(u, &page);
	for (unsigned i = 0; i < USAGE_SHARDS; i++)
		page.shard[i] += u->pending[i];
	if (was_whole && u->is_complete) // else the counts it speaks of are lost
		page.complete = 1;
	if ((was_whole || ftruncate(u->fd, sizeof page) == 0) &&
	    pwrite(u->fd, &page, sizeof page, 0) == (ssize_t)sizeof page) {
		memset(u->pending, 0, sizeof u->pending);
		u->is_complete = false;
	}
	flock(u->fd, LOCK_UN);
	return true;
}

struct usage *usage_open(const char *path)
{
	struct usage *u = mem_alloc(sizeof *u);
	u->path = mem_strdup(path);
	u->fd = -1;
	pthread_mutex_init(&u->lock, NULL);
	fold(u);
	return u;
}

void usage_close(struct usage *u)
{
	for (int tries = 0; !fold(u) && tries < CLOSE_TRIES; tries++)
		usleep(1000);
	if (u->fd >= 0)
		close(u->fd);
	pthread_mutex_destroy(&u->lock);
	free(u->path);
	free(u);
}

void usage_add(struct usage *u, unsigned shard, int64_t bytes)
{
	pthread_mutex_lock(&u->lock);
	u->pending[shard] += bytes;
	fold(u);
	pthread_mutex_unlock(&u->lock);
}

void usage_set(struct usage *u, unsigned shard, uint64_t bytes)
{
	struct usage_page page;
	pthread_mutex_lock(&u->lock);
	page_read(u, &page);
	u->pending[shard] = (int64_t)bytes - page.shard[shard];
	if (u->pending[shard])
		fold(u);
	pthread_mutex_unlock(&u->lock);
}

uint64_t usage_read(struct usage *u, uint64_t counts[USAGE_SHARDS])
{
	struct usage_page page;
	uint64_t sum = 0;
	pthread_mutex_lock(&u->lock);
	page_read(u, &page);
	for (unsigned i = 0; i < USAGE_SHARDS; i++) {
		int64_t n = page.shard[i] + u->pending[i];
		uint64_t shown = n > 0 ? (uint64_t)n : 0; // drift can make a count negative
		if (counts)
			counts[i] = shown;
		sum += shown;
	}
	pthread_mutex_unlock(&u->lock);
	return sum;
}

bool usage_is_complete(struct usage *u)
{
	struct usage_page page;
	pthread_mutex_lock(&u->lock);
	page_read(u, &page);
	bool complete = page.complete || u->is_complete;
	pthread_mutex_unlock(&u->lock);
	return complete;
}

void usage_set_complete(struct usage *u)
{
	pthread_mutex_lock(&u->lock);
	u->is_complete = true;
	fold(u);
	pthread_mutex_unlock(&u->lock);
}

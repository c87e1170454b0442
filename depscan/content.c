#include "depscan/content.h"

#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SHARDS = 16 };

struct content {
	struct file_id id;
	struct digest digest;
	struct sha256 sha256;
};

struct shard {
	pthread_mutex_t lock;
	struct map by_inode; // {dev, ino} -> struct content
};

struct contents {
	struct shard shards[SHARDS];
};

struct inode_key {
	uint64_t dev, ino;
};

struct contents *contents_new(void)
{
	struct contents *c = mem_alloc(sizeof *c);
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&c->shards[i].lock, NULL);
	return c;
}

static void shard_empty(struct shard *s)
{
	void *content;
	for (size_t at = 0; map_next(&s->by_inode, &at, NULL, NULL, &content);)
		free(content);
	map_release(&s->by_inode);
	s->by_inode = (struct map)MAP_INIT;
}

void contents_free(struct contents *c)
{
	if (!c)
		return;
	for (int i = 0; i < SHARDS; i++) {
		shard_empty(&c->shards[i]);
		pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

static bool known(struct shard *s, const struct inode_key *k, const struct file_id *id, struct content *out)
{
	pthread_mutex_lock(&s->lock);
	const struct content *there = map_get(&s->by_inode, k, sizeof *k);
	bool ok = there && file_id_equal(&there->id, id);
	if (ok)
		*out = *there;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static void remember(struct shard *s, const struct inode_key *k, const struct content *fresh)
{
	struct content *copy = mem_alloc(sizeof *copy);
	*copy = *fresh;
	pthread_mutex_lock(&s->lock);
	if (s->by_inode.n >= FILES_MAX_ENTRIES / SHARDS)
		shard_empty(s);
	free(map_put(&s->by_inode, k, sizeof *k, copy));
	pthread_mutex_unlock(&s->lock);
}

int contents_find(struct contents *c, int dirfd, const char *path, struct sha256 *sha256, struct digest *digest,
		  struct err *err)
{
	struct stat st;
	if (fstatat(dirfd, path, &st, 0) < 0)
		return err_errno(err, "cannot look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_FORMAT, "'%s' is not a regular file", path);
	struct file_id id = file_id_of(&st);
	return contents_of(c, dirfd, path, &id, sha256, digest, err);
}

int contents_of(struct contents *c, int dirfd, const char *path, const struct file_id *seen, struct sha256 *sha256,
		struct digest *digest, struct err *err)
{
	struct inode_key k = {seen->dev, seen->ino};
	struct shard *s = &c->shards[(k.ino ^ k.dev) % SHARDS];
	struct content content = {.id = *seen};
	if (!known(s, &k, &content.id, &content)) {
		struct stat st;
		AUTO_BUF struct buf text = {.max = FILES_MAX_SIZE + 2};
		if (file_read(dirfd, path, FILES_MAX_SIZE, &text, &st, err) < 0)
			return -1;
		content = (struct content){file_id_of(&st), digest_of(text.data, text.len), sha256_of(text.data, text.len)};
		int64_t floor = clock_now_ns() - FILES_AGE_FLOOR_NS;
		k = (struct inode_key){st.st_dev, st.st_ino};
		s = &c->shards[(k.ino ^ k.dev) % SHARDS];
		if (content.id.mtime_ns < floor && content.id.ctime_ns < floor && (uint64_t)content.id.size == text.len)
			remember(s, &k, &content);
	}
	*sha256 = content.sha256;
	*digest = content.digest;
	return 0;
}

#include "client/services/oddities.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "depscan/files.h"

#include <pthread.h>
#include <stdlib.h>

struct oddities {
	pthread_mutex_t lock;
	struct map known; // digest -> struct live_oddities
};

struct oddities *oddities_new(void)
{
	struct oddities *o = mem_alloc(sizeof *o);
	pthread_mutex_init(&o->lock, NULL);
	return o;
}

static bool is_known(struct oddities *o, const struct digest *digest, struct live_oddities *out)
{
	pthread_mutex_lock(&o->lock);
	const struct live_oddities *known = map_get(&o->known, digest, sizeof *digest);
	if (known)
		*out = *known;
	pthread_mutex_unlock(&o->lock);
	return known != NULL;
}

static void remember(struct oddities *o, const struct digest *digest, const struct live_oddities *what)
{
	struct live_oddities *copy = mem_alloc(sizeof *copy);
	*copy = *what;
	pthread_mutex_lock(&o->lock);
	if (o->known.n >= ODDITIES_MAX)
		map_release_all(&o->known);
	free(map_put(&o->known, digest, sizeof *digest, copy));
	pthread_mutex_unlock(&o->lock);
}

int oddities_find(struct oddities *o, int dirfd, const char *path, const struct digest *digest, struct live_oddities *out)
{
	AUTO_BUF struct buf text = BUF_INIT;
	if (is_known(o, digest, out))
		return 0;
	if (file_read(dirfd, path, FILES_MAX_SIZE, &text, NULL, NULL) < 0)
		return -1;
	struct digest now = digest_of(text.data ? text.data : "", text.len);
	if (!digest_equal(&now, digest))
		return -1;
	live_oddities(text.data ? text.data : "", text.len, out);
	remember(o, digest, out);
	return 0;
}

#include "depscan/builtins.h"

#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct builtins {
	pthread_mutex_t lock;
	struct map known; // digest -> struct buf
};

struct builtins *builtins_new(void)
{
	struct builtins *b = mem_alloc(sizeof *b);
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

static void forget_all(struct builtins *b)
{
	size_t at = 0;
	void *answer;
	while (map_next(&b->known, &at, NULL, NULL, &answer)) {
		buf_release(answer);
		free(answer);
	}
	map_release(&b->known);
	b->known = (struct map)MAP_INIT;
}

void builtins_free(struct builtins *b)
{
	if (!b)
		return;
	forget_all(b);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

bool builtins_find(struct builtins *b, const struct digest *key, struct buf *out)
{
	pthread_mutex_lock(&b->lock);
	const struct buf *answer = map_get(&b->known, key, sizeof *key);
	if (answer)
		buf_add(out, answer->data, answer->len);
	pthread_mutex_unlock(&b->lock);
	return answer != NULL;
}

void builtins_keep(struct builtins *b, const struct digest *key, const struct buf *answer)
{
	if (answer->len > BUILTINS_MAX_BYTES)
		return;
	pthread_mutex_lock(&b->lock);
	if (b->known.n >= BUILTINS_MAX)
		forget_all(b);
	if (!map_get(&b->known, key, sizeof *key)) {
		struct buf *copy = mem_alloc(sizeof *copy);
		*copy = (struct buf)BUF_INIT;
		buf_add(copy, answer->data, answer->len);
		map_put(&b->known, key, sizeof *key, copy);
	}
	pthread_mutex_unlock(&b->lock);
}

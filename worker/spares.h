// A few things that are dear to make and can be used again: contexts of zstd, whose fresh pages cost more than a small job's bytes.
// Thread: any.
#ifndef COFFER_WORKER_SPARES_H
#define COFFER_WORKER_SPARES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { SPARES_MAX = 16 };

struct spares {
	pthread_mutex_t lock;
	void *items[SPARES_MAX];
	size_t n;
};
#define SPARES_INIT                                  \
	{                                            \
		PTHREAD_MUTEX_INITIALIZER, {NULL}, 0 \
	}

static inline void *spares_take(struct spares *s) // NULL: there is none
{
	pthread_mutex_lock(&s->lock);
	void *item = s->n ? s->items[--s->n] : NULL;
	pthread_mutex_unlock(&s->lock);
	return item;
}

static inline bool spares_give(struct spares *s, void *item) // false: there are enough, it is the caller's to free
{
	pthread_mutex_lock(&s->lock);
	bool is_taken = s->n < SPARES_MAX;
	if (is_taken)
		s->items[s->n++] = item;
	pthread_mutex_unlock(&s->lock);
	return is_taken;
}

#endif

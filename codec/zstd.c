#include "codec/zstd.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

enum { SPARES_MAX = 16, SPARE_BYTES = 8 << 20 };

struct spare {
	void *context;
	size_t bytes;
};

struct spares {
	pthread_mutex_t lock;
	struct spare items[SPARES_MAX];
	size_t n, bytes;
};

static struct spares packers = {.lock = PTHREAD_MUTEX_INITIALIZER}, unpackers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *take(struct spares *s)
{
	struct spare last = {NULL, 0};
	pthread_mutex_lock(&s->lock);
	if (s->n)
		last = s->items[--s->n];
	s->bytes -= last.bytes;
	pthread_mutex_unlock(&s->lock);
	return last.context;
}

// False: there are enough, it is the caller's to free.
static bool keep(struct spares *s, void *context, size_t bytes)
{
	pthread_mutex_lock(&s->lock);
	bool kept = s->n < SPARES_MAX && bytes <= SPARE_BYTES - s->bytes;
	if (kept) {
		s->items[s->n++] = (struct spare){context, bytes};
		s->bytes += bytes;
	}
	pthread_mutex_unlock(&s->lock);
	return kept;
}

static void *or_die(void *context)
{
	if (!context)
		abort();
	return context;
}

ZSTD_CCtx *zstd_take_packer(void)
{
	ZSTD_CCtx *c = take(&packers);
	return c ? c : or_die(ZSTD_createCCtx());
}

void zstd_give_packer(ZSTD_CCtx *c)
{
	if (!c)
		return;
	ZSTD_CCtx_reset(c, ZSTD_reset_session_and_parameters);
	if (!keep(&packers, c, ZSTD_sizeof_CCtx(c)))
		ZSTD_freeCCtx(c);
}

ZSTD_DCtx *zstd_take_unpacker(void)
{
	ZSTD_DCtx *d = take(&unpackers);
	return d ? d : or_die(ZSTD_createDCtx());
}

void zstd_give_unpacker(ZSTD_DCtx *d)
{
	if (!d)
		return;
	ZSTD_DCtx_reset(d, ZSTD_reset_session_and_parameters);
	if (!keep(&unpackers, d, ZSTD_sizeof_DCtx(d)))
		ZSTD_freeDCtx(d);
}

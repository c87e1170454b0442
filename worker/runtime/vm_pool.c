#include "worker/runtime/vm_pool.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/mem.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PER_IMAGE_MAX = 8, LOOK_MS = 1000, AGAIN_MS = 30000, IMAGE_ROOM = 80 };

struct wanted {
	char image[IMAGE_ROOM]; // "": nobody's entry
	int64_t used_at;
	int64_t not_before; // after a boot that has failed
	struct place clean[PER_IMAGE_MAX];
	unsigned n;
};

struct vm_pool {
	struct runtime *runtime;
	struct vm_pool_config config;
	pthread_mutex_t lock;
	pthread_cond_t change;
	pthread_t thread;
	bool has_thread, is_ending;
	uint64_t used;
	struct wanted wanted[VM_POOL_IMAGES];
};

// ---- the books; all with the lock -----------------------------------------------------------------------------------

static struct wanted *find(struct vm_pool *p, const char *image)
{
	for (size_t i = 0; i < VM_POOL_IMAGES; i++)
		if (strcmp(p->wanted[i].image, image) == 0)
			return &p->wanted[i];
	return NULL;
}

static struct wanted *longest_unused(struct vm_pool *p)
{
	struct wanted *best = &p->wanted[0];
	for (size_t i = 1; i < VM_POOL_IMAGES; i++)
		if (p->wanted[i].used_at < best->used_at)
			best = &p->wanted[i];
	return best;
}

// The clean one that will be missed least.
static bool take_any(struct vm_pool *p, struct place *place)
{
	struct wanted *best = NULL;
	for (size_t i = 0; i < VM_POOL_IMAGES; i++)
		if (p->wanted[i].n && (!best || p->wanted[i].used_at < best->used_at))
			best = &p->wanted[i];
	if (best)
		*place = best->clean[--best->n];
	return best;
}

static bool is_dead(const struct place *place)
{
	struct pollfd now = {.fd = place->control, .events = POLLIN};
	return poll(&now, 1, 0) != 0; // it has nothing to say
}

static bool take_dead(struct vm_pool *p, struct place *place)
{
	for (struct wanted *w = p->wanted; w < p->wanted + VM_POOL_IMAGES; w++)
		for (unsigned i = 0; i < w->n; i++)
			if (is_dead(&w->clean[i])) {
				*place = w->clean[i];
				w->clean[i] = w->clean[--w->n];
				w->not_before = clock_ms() + AGAIN_MS;
				return true;
			}
	return false;
}

// The image that was used last, of those that have too few. Clean ones take half of the memory at most.
static struct wanted *next_to_boot(struct vm_pool *p)
{
	struct wanted *best = NULL;
	uint64_t clean = 0;
	for (struct wanted *w = p->wanted; w < p->wanted + VM_POOL_IMAGES; w++) {
		clean += w->n * p->config.cost;
		if (w->image[0] && w->n < p->config.per_image && w->not_before <= clock_ms() &&
		    (!best || w->used_at > best->used_at))
			best = w;
	}
	bool has_room = p->used + p->config.cost <= p->config.most && clean + p->config.cost <= p->config.most / 2;
	return has_room ? best : NULL;
}

// ---- the thread -----------------------------------------------------------------------------------------------------

static void close_clean(struct vm_pool *p, struct place *place)
{
	pthread_mutex_unlock(&p->lock);
	place_close(p->runtime, place);
	pthread_mutex_lock(&p->lock);
}

static void boot(struct vm_pool *p, const struct wanted *for_whom)
{
	struct place place = PLACE_INIT;
	struct err err = ERR_INIT;
	char image[IMAGE_ROOM];
	memcpy(image, for_whom->image, sizeof image);
	p->used += p->config.cost;
	place.is_counted = true;
	pthread_mutex_unlock(&p->lock);
	int rc = p->config.boot(p->runtime, image, &place, &err);
	if (rc < 0)
		log_event(LOG_LEVEL_WARN, "no VM ahead", LOG_TEXT("image", image), LOG_TEXT("why", err.text));
	pthread_mutex_lock(&p->lock);
	struct wanted *w = find(p, image);
	if (rc == 0 && w && w->n < PER_IMAGE_MAX && !p->is_ending) {
		w->clean[w->n++] = place;
		return;
	}
	if (w && rc < 0)
		w->not_before = clock_ms() + AGAIN_MS;
	close_clean(p, &place);
}

static void *keep(void *arg)
{
	struct vm_pool *p = arg;
	struct place dead;
	struct wanted *w;
	pthread_mutex_lock(&p->lock);
	while (!p->is_ending) {
		if (take_dead(p, &dead)) {
			close_clean(p, &dead);
		} else if ((w = next_to_boot(p))) {
			boot(p, w);
		} else {
			cond_wait_until(&p->change, &p->lock, clock_ms() + LOOK_MS);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

// ---- what others call -----------------------------------------------------------------------------------------------

struct vm_pool *vm_pool_new(struct runtime *r, const struct vm_pool_config *config)
{
	struct vm_pool *p = mem_alloc(sizeof *p);
	p->runtime = r;
	p->config = *config;
	if (p->config.per_image > PER_IMAGE_MAX)
		p->config.per_image = PER_IMAGE_MAX;
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->change);
	p->has_thread = p->config.per_image && pthread_create(&p->thread, NULL, keep, p) == 0;
	return p;
}

void vm_pool_free(struct vm_pool *p)
{
	struct place place;
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->is_ending = true;
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
	if (p->has_thread)
		pthread_join(p->thread, NULL);
	pthread_mutex_lock(&p->lock);
	while (take_any(p, &place))
		close_clean(p, &place);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&p->change);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int vm_pool_reserve(struct vm_pool *p, struct err *err)
{
	struct place place;
	pthread_mutex_lock(&p->lock);
	while (p->used + p->config.cost > p->config.most && take_any(p, &place))
		close_clean(p, &place);
	bool has_room = p->used + p->config.cost <= p->config.most;
	if (has_room)
		p->used += p->config.cost;
	pthread_mutex_unlock(&p->lock);
	return has_room ? 0
			: err_set(err, ERR_LIMIT, "all %llu MB of memory for microVMs are in use (vm_memory)",
				  (unsigned long long)(p->config.most >> 20));
}

void vm_pool_release(struct vm_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->used -= p->config.cost;
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
}

void vm_pool_want(struct vm_pool *p, const char *image)
{
	struct place old[PER_IMAGE_MAX];
	unsigned n = 0;
	if (!p->config.per_image || strlen(image) >= IMAGE_ROOM)
		return;
	pthread_mutex_lock(&p->lock);
	struct wanted *w = find(p, image);
	if (!w) {
		w = longest_unused(p);
		n = w->n;
		memcpy(old, w->clean, n * sizeof *old);
		memset(w, 0, sizeof *w);
		memcpy(w->image, image, strlen(image) + 1);
	}
	w->used_at = clock_ms();
	pthread_cond_broadcast(&p->change);
	while (n)
		close_clean(p, &old[--n]);
	pthread_mutex_unlock(&p->lock);
}

bool vm_pool_take(struct vm_pool *p, const char *image, struct place *place)
{
	struct place dead;
	pthread_mutex_lock(&p->lock);
	while (take_dead(p, &dead))
		close_clean(p, &dead);
	struct wanted *w = find(p, image);
	bool has_one = w && w->n;
	if (has_one)
		*place = w->clean[--w->n];
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
	return has_one;
}

unsigned vm_pool_count(struct vm_pool *p)
{
	unsigned n = 0;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < VM_POOL_IMAGES; i++)
		n += p->wanted[i].n;
	pthread_mutex_unlock(&p->lock);
	return n;
}

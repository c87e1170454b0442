#include "client/services/trials.h"

#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct trials {
	pthread_mutex_t lock;
	struct map counts; // digest of a unit, or a tree's name -> struct count
	unsigned waiting;
};

struct count {
	unsigned in_vain; // since the last hit
};

struct trials *trials_new(void)
{
	struct trials *t = mem_alloc(sizeof *t);
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

// Under the lock.
static struct count *count_of(struct trials *t, const void *key, size_t n)
{
	struct count *c = map_get(&t->counts, key, n);
	if (c)
		return c;
	if (t->counts.n >= TRIALS_MAX)
		map_release_all(&t->counts);
	c = mem_alloc(sizeof *c);
	map_put(&t->counts, key, n, c);
	return c;
}

static bool has_chance(struct count *c, unsigned most)
{
	return c->in_vain < most || c->in_vain % TRIALS_RARELY == 0;
}

bool trials_look(struct trials *t, const struct digest *unit)
{
	pthread_mutex_lock(&t->lock);
	struct count *c = count_of(t, unit, sizeof *unit);
	bool looks = has_chance(c, TRIALS_OF_UNIT);
	c->in_vain += !looks;
	pthread_mutex_unlock(&t->lock);
	return looks;
}

void trials_note(struct trials *t, const struct digest *unit, const char *tree, bool hit)
{
	pthread_mutex_lock(&t->lock);
	struct count *c = count_of(t, unit, sizeof *unit);
	c->in_vain = hit ? 0 : c->in_vain + 1;
	if (hit)
		count_of(t, tree, strlen(tree))->in_vain = 0;
	pthread_mutex_unlock(&t->lock);
}

bool trials_enter(struct trials *t, const char *tree)
{
	pthread_mutex_lock(&t->lock);
	struct count *c = count_of(t, tree, strlen(tree));
	bool enters = t->waiting < TRIALS_WAITING && has_chance(c, TRIALS_OF_TREE);
	c->in_vain++;
	t->waiting += enters;
	pthread_mutex_unlock(&t->lock);
	return enters;
}

void trials_leave(struct trials *t)
{
	pthread_mutex_lock(&t->lock);
	t->waiting--;
	pthread_mutex_unlock(&t->lock);
}

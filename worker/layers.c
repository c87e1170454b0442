#include "worker/layers.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	LEAST_ENTRIES = 8,   // a mount costs as much as some files
	MOST_SEEN = 1 << 16, // directories that are remembered
	MOST_REMOVED = 1024, // in one plan
	UNUSED_MS = 600000,
	FILE_ROOM = 4096 + 1024, // of one in the agent's memory, beyond its bytes
};

enum layer_state { SEEN, MAKING, READY };

struct layer {
	uint64_t id; // 0 while it was only seen
	enum layer_state state;
	unsigned users;
	uint64_t bytes;
	int64_t used_at;
	struct layer *newer, *older; // of those that have an id
	size_t n_key;
	char key[]; // digest, and the path from the top
};

struct layers {
	pthread_mutex_t lock;
	struct map by_key;
	struct layer *newest, *oldest;
	uint64_t last_id, bytes, max;
	size_t n_ready;
	bool are_allowed, are_off;
	uint64_t *garbage; // layers that the agent is to be told of
	size_t n_garbage, garbage_cap;
};

struct layers *layers_new(uint64_t max_bytes)
{
	struct layers *l = mem_alloc(sizeof *l);
	l->max = max_bytes;
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void layers_free(struct layers *l)
{
	if (!l)
		return;
	map_release_all(&l->by_key);
	pthread_mutex_destroy(&l->lock);
	free(l->garbage);
	free(l);
}

struct layers_count layers_count(struct layers *l)
{
	if (!l)
		return (struct layers_count){0, 0};
	pthread_mutex_lock(&l->lock);
	struct layers_count c = {l->bytes, l->n_ready};
	pthread_mutex_unlock(&l->lock);
	return c;
}

// ---- the books; all with the lock ---------------------------------------------------------------------------------------

static void unlink_layer(struct layers *l, struct layer *x)
{
	*(x->newer ? &x->newer->older : &l->newest) = x->older;
	*(x->older ? &x->older->newer : &l->oldest) = x->newer;
	x->newer = x->older = NULL;
}

static void touch(struct layers *l, struct layer *x, bool is_new)
{
	if (!is_new)
		unlink_layer(l, x);
	x->older = l->newest;
	*(l->newest ? &l->newest->newer : &l->oldest) = x;
	l->newest = x;
	x->used_at = clock_ms();
}

// What the agent is to be told.
static void add_garbage(struct layers *l, uint64_t id)
{
	if (l->n_garbage == l->garbage_cap) {
		l->garbage_cap = 2 * l->garbage_cap + 16;
		l->garbage = mem_realloc(l->garbage, l->garbage_cap * sizeof *l->garbage);
	}
	l->garbage[l->n_garbage++] = id;
}

static void drop(struct layers *l, struct layer *x)
{
	unlink_layer(l, x);
	map_del(&l->by_key, x->key, x->n_key);
	l->bytes -= x->bytes;
	l->n_ready -= x->state == READY;
	add_garbage(l, x->id);
	free(x);
}

static void drop_unused(struct layers *l)
{
	int64_t before = clock_ms() - UNUSED_MS;
	for (struct layer *x = l->oldest, *next; x && x->used_at < before; x = next) {
		next = x->newer;
		if (x->users == 0)
			drop(l, x);
	}
}

static bool make_room(struct layers *l, uint64_t bytes)
{
	if (bytes > l->max / 2)
		return false;
	for (struct layer *x = l->oldest, *next; x && l->bytes + bytes > l->max; x = next) {
		next = x->newer;
		if (x->users == 0)
			drop(l, x);
	}
	return l->bytes + bytes <= l->max;
}

static void forget_seen(struct layers *l)
{
	struct map kept = MAP_INIT;
	void *value;
	for (size_t at = 0; map_next(&l->by_key, &at, NULL, NULL, &value);) {
		struct layer *x = value;
		if (x->state == SEEN)
			free(x);
		else
			map_put(&kept, x->key, x->n_key, x);
	}
	map_release(&l->by_key);
	l->by_key = kept;
}

static struct layer *add_seen(struct layers *l, const struct buf *key)
{
	if (l->by_key.n >= MOST_SEEN)
		forget_seen(l);
	struct layer *x = mem_alloc(sizeof *x + key->len);
	x->n_key = key->len;
	memcpy(x->key, key->data, key->len);
	map_put(&l->by_key, x->key, x->n_key, x);
	return x;
}

// ---- the plan -------------------------------------------------------------------------------------------------------------

struct walk {
	struct layers *l;
	const struct input_root *root;
	struct layer_plan *plan;
	struct buf key;    // digest and path of where we are
	uint32_t *covered; // entries of each directory of the walk that layers have already
	size_t n;
};

static struct layer *find(struct walk *w, const struct input_directory *d)
{
	memcpy(w->key.data, &d->digest, sizeof d->digest);
	return map_get(&w->l->by_key, w->key.data, w->key.len);
}

// A child, whose path stands in the key from now on.
static const struct input_directory *enter(struct walk *w, const struct input_directory *d, size_t i)
{
	const Reapi__DirectoryNode *node = d->message->directories[i];
	buf_addc(&w->key, '/');
	buf_adds(&w->key, node->name);
	return input_root_find(w->root, node->digest);
}

static void measure(struct walk *w, const struct input_directory *d)
{
	size_t here = w->n++;
	const struct layer *x = find(w, d);
	size_t had = w->key.len;
	w->covered[here] = x && x->state == READY ? (uint32_t)d->entries : 0;
	if (w->covered[here]) {
		w->n = here + d->directories;
		return;
	}
	for (size_t i = 0; i < d->message->n_directories; i++) {
		size_t there = w->n;
		measure(w, enter(w, d, i));
		w->key.len = had;
		w->covered[here] += w->covered[there];
	}
}

static void use(struct walk *w, struct layer *x, const struct input_directory *d, size_t place, bool is_made)
{
	struct layer_plan *p = w->plan;
	size_t before = sizeof d->digest;
	p->ids[p->n] = x->id;
	if (is_made)
		p->made[p->n_made++] = x->id;
	p->all[p->n++] = (struct planned_layer){x, d, place, x->key + before, x->n_key - before, is_made};
	x->users++;
	touch(w->l, x, is_made);
}

static bool make(struct walk *w, struct layer *x, const struct input_directory *d, size_t place)
{
	uint64_t bytes = d->file_bytes + (d->entries + (uint64_t)d->depth) * FILE_ROOM;
	if (!make_room(w->l, bytes))
		return false;
	x->id = ++w->l->last_id;
	x->state = MAKING;
	x->bytes = bytes;
	w->l->bytes += bytes;
	use(w, x, d, place, true);
	return true;
}

// What becomes of one directory: true if nothing is to be looked at in it.
static bool decide(struct walk *w, const struct input_directory *d, size_t here)
{
	struct layer *x = find(w, d);
	if (d->entries < LEAST_ENTRIES || w->plan->n == LAYERS_MOST || (x && x->state == MAKING))
		return true;
	if (!x) {
		add_seen(w->l, &w->key);
		return false;
	}
	if (x->state == SEEN)
		return w->covered[here] < d->entries / 4 * 3 && make(w, x, d, here);
	use(w, x, d, here, false);
	return true;
}

static void choose(struct walk *w, const struct input_directory *d)
{
	size_t here = w->n++, had = w->key.len;
	if (decide(w, d, here)) {
		w->n = here + d->directories;
		return;
	}
	for (size_t i = 0; i < d->message->n_directories; i++) {
		choose(w, enter(w, d, i));
		w->key.len = had;
	}
}

void layers_plan(struct layers *l, const struct input_root *root, struct layer_plan *plan)
{
	*plan = (struct layer_plan){.layers = l};
	if (!l)
		return;
	struct walk w = {.l = l, .root = root, .plan = plan};
	buf_add(&w.key, &root->directories[0]->digest, sizeof root->directories[0]->digest);
	pthread_mutex_lock(&l->lock);
	if (l->are_allowed && !l->are_off) {
		drop_unused(l);
		w.covered = mem_alloc((root->directories[0]->directories + 1) * sizeof *w.covered);
		measure(&w, root->directories[0]);
		w.n = 0;
		choose(&w, root->directories[0]);
		size_t n = l->n_garbage < MOST_REMOVED ? l->n_garbage : MOST_REMOVED;
		plan->removed = mem_alloc((n + 1) * sizeof *plan->removed);
		l->n_garbage -= n;
		memcpy(plan->removed, l->garbage ? l->garbage + l->n_garbage : plan->removed, n * sizeof *plan->removed);
		plan->n_removed = n;
	}
	pthread_mutex_unlock(&l->lock);
	buf_release(&w.key);
	free(w.covered);
}

const struct planned_layer *layer_plan_at(const struct layer_plan *plan, size_t place)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->all[i].place == place)
			return &plan->all[i];
	return NULL;
}

void layers_allow(struct layers *l, bool are_allowed)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->are_allowed = are_allowed;
	l->are_off |= !are_allowed;
	pthread_mutex_unlock(&l->lock);
}

static void end_one(struct layers *l, const struct planned_layer *planned, bool has_run)
{
	struct layer *x = planned->layer;
	x->users--;
	if (!planned->is_made)
		return;
	if (!has_run) {
		drop(l, x);
		return;
	}
	x->state = READY;
	l->n_ready++;
}

void layers_end(struct layer_plan *plan, bool has_run)
{
	struct layers *l = plan->layers;
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < plan->n; i++)
		end_one(l, &plan->all[i], has_run);
	for (size_t i = 0; i < plan->n_removed && !has_run; i++)
		add_garbage(l, plan->removed[i]);
	pthread_mutex_unlock(&l->lock);
	free(plan->removed);
	*plan = (struct layer_plan){.layers = NULL};
}

#include "scheduler/registry.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/value.h"

#include <stdlib.h>
#include <string.h>

enum { NAMESAKE_MS = 120000 };

struct registry {
	struct worker **all; // ordered by name
	size_t n, most;
	int64_t heartbeat_ms;
	uint64_t last_session, generation;
	struct map sessions; // number -> worker
	struct map images;   // name -> struct image_workers
	void (*on_change)(void *ctx, const char *worker);
	void *on_change_ctx;
};

struct registry *registry_new(int64_t heartbeat_ms, size_t most_workers)
{
	struct registry *r = mem_alloc(sizeof *r);
	r->heartbeat_ms = heartbeat_ms;
	r->most = most_workers;
	r->all = mem_alloc(most_workers * sizeof *r->all);
	return r;
}

static void worker_free(struct worker *w)
{
	for (size_t i = 0; i < w->n_images; i++)
		free(w->images[i]);
	free(w->images);
	free(w->namesake);
	free(w);
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		worker_free(r->all[i]);
	void *value;
	for (size_t at = 0; map_next(&r->images, &at, NULL, NULL, &value);) {
		struct image_workers *x = value;
		free(x->all);
		free(x);
	}
	map_release(&r->images);
	map_release(&r->sessions);
	free(r->all);
	free(r);
}

// ---- what a worker says -------------------------------------------------------------------------------------------

static bool is_address(const char *text)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *host;
	uint16_t port;
	return strlen(text) <= WORKER_MAX_ADDRESS && value_split_address(&a, text, &host, &port) && *host && port;
}

int registry_check_hello(const Coffer__V1__WorkerHello *h, struct err *err)
{
	if (!token_is_name(h->worker))
		return err_set(err, ERR_FORMAT, "a worker's name has 1 to %d of A-Z a-z 0-9 . _ -", TOKEN_NAME_MAX);
	if (!is_address(h->address))
		return err_set(err, ERR_FORMAT, "a worker's address is HOST:PORT");
	if (h->slots < 1 || h->slots > WORKER_MAX_SLOTS)
		return err_set(err, ERR_FORMAT, "a worker has 1 to %d slots", WORKER_MAX_SLOTS);
	// "none" is for tenants only that ask for no more by name (auth/tenants.h).
	if (h->isolation < COFFER__V1__ISOLATION__ISOLATION_NONE || h->isolation > COFFER__V1__ISOLATION__ISOLATION_MICROVM)
		return err_set(err, ERR_FORMAT, "a worker isolates as none, process, sandbox or microvm");
	if (h->certificate_sha256.len != 0 && h->certificate_sha256.len != 32)
		return err_set(err, ERR_FORMAT, "a certificate's SHA-256 has 32 bytes");
	if (strlen(h->version) > WORKER_MAX_VERSION)
		return err_set(err, ERR_FORMAT, "a version has at most %d bytes", WORKER_MAX_VERSION);
	if (h->n_images < 1 || h->n_images > WORKER_MAX_IMAGES)
		return err_set(err, ERR_FORMAT, "a worker has 1 to %d images", WORKER_MAX_IMAGES);
	for (size_t i = 0; i < h->n_images; i++)
		if (!token_is_image(h->images[i]))
			return err_set(err, ERR_FORMAT, "an image is 'sha256:' and 64 hex digits, or 'host:' and a name");
	return 0;
}

static struct worker *worker_new(const Coffer__V1__WorkerHello *h)
{
	struct worker *w = mem_alloc(sizeof *w);
	memcpy(w->name, h->worker, strlen(h->worker) + 1);
	memcpy(w->address, h->address, strlen(h->address) + 1);
	memcpy(w->version, h->version, strlen(h->version) + 1);
	w->images = mem_alloc(h->n_images * sizeof *w->images);
	for (; w->n_images < h->n_images; w->n_images++)
		w->images[w->n_images] = mem_strdup(h->images[w->n_images]);
	w->slots = h->slots;
	w->isolation = (int)h->isolation;
	w->has_certificate = h->certificate_sha256.len == 32;
	if (w->has_certificate)
		memcpy(w->certificate_sha256, h->certificate_sha256.data, 32);
	return w;
}

// ---- who is there -------------------------------------------------------------------------------------------------

// The place of the name, or where it would be.
static size_t place_of(const struct registry *r, const char *name, bool *is_there)
{
	size_t low = 0, high = r->n;
	*is_there = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(r->all[mid]->name, name);
		if (order == 0) {
			*is_there = true;
			return mid;
		}
		if (order > 0)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void index_add(struct registry *r, struct worker *w)
{
	map_put(&r->sessions, &w->session, sizeof w->session, w);
	for (size_t i = 0; i < w->n_images; i++) {
		struct image_workers *x = map_gets(&r->images, w->images[i]);
		if (!x)
			map_puts(&r->images, w->images[i], x = mem_alloc(sizeof *x));
		if (x->n == x->room) {
			x->room = x->room ? 2 * x->room : 8;
			x->all = mem_realloc(x->all, x->room * sizeof *x->all);
		}
		x->all[x->n++] = w;
	}
	r->generation++;
}

static void index_remove(struct registry *r, struct worker *w)
{
	map_del(&r->sessions, &w->session, sizeof w->session);
	for (size_t i = 0; i < w->n_images; i++) {
		struct image_workers *x = map_gets(&r->images, w->images[i]);
		for (size_t j = x ? x->n : 0; j-- > 0;)
			if (x->all[j] == w)
				x->all[j] = x->all[--x->n];
		if (x && !x->n) {
			map_del(&r->images, w->images[i], strlen(w->images[i]));
			free(x->all);
			free(x);
		}
	}
	r->generation++;
}

void registry_on_change(struct registry *r, void (*fn)(void *ctx, const char *worker), void *ctx)
{
	r->on_change = fn;
	r->on_change_ctx = ctx;
}

static void tell_change(const struct registry *r, const struct worker *w)
{
	if (r->on_change && !w->is_elsewhere)
		r->on_change(r->on_change_ctx, w->name);
}

static void remove_at(struct registry *r, size_t at)
{
	tell_change(r, r->all[at]);
	index_remove(r, r->all[at]);
	worker_free(r->all[at]);
	memmove(&r->all[at], &r->all[at + 1], (--r->n - at) * sizeof *r->all);
}

static void forget_dead(struct registry *r, int64_t now_ms)
{
	for (size_t i = r->n; i-- > 0;)
		if (!registry_is_alive(r, r->all[i], now_ms))
			remove_at(r, i);
}

const char *worker_namesake(const struct worker *w, int64_t now_ms)
{
	return w->namesake && now_ms < w->namesake_until_ms ? w->namesake : NULL;
}

// A worker that is there and reports from another address is not the same one that has connected again.
static void note_namesake(const struct registry *r, struct worker *w, const struct worker *old, int64_t now_ms)
{
	if (!registry_is_alive(r, old, now_ms) || strcmp(old->address, w->address) == 0)
		return;
	w->namesake = mem_strdup(old->address);
	w->namesake_until_ms = now_ms + NAMESAKE_MS;
}

// Puts it in the place of its name, where there is room. NULL: there is none.
static struct worker *add(struct registry *r, const Coffer__V1__WorkerHello *hello, int64_t now_ms, struct err *err)
{
	bool is_there;
	if (registry_check_hello(hello, err) < 0)
		return NULL;
	size_t at = place_of(r, hello->worker, &is_there);
	if (!is_there && r->n == r->most) {
		forget_dead(r, now_ms);
		at = place_of(r, hello->worker, &is_there);
	}
	if (!is_there && r->n == r->most) {
		err_set(err, ERR_LIMIT, "there are %zu workers, and there is no place for more", r->most);
		return NULL;
	}
	struct worker *w = worker_new(hello);
	w->session = ++r->last_session;
	w->reported_ms = now_ms;
	if (is_there) {
		note_namesake(r, w, r->all[at], now_ms);
		index_remove(r, r->all[at]);
		worker_free(r->all[at]);
	} else {
		memmove(&r->all[at + 1], &r->all[at], (r->n - at) * sizeof *r->all);
		r->n++;
	}
	r->all[at] = w;
	index_add(r, w);
	return w;
}

int registry_add(struct registry *r, const Coffer__V1__WorkerHello *hello, int64_t now_ms, uint64_t *session,
		 struct err *err)
{
	const struct worker *w = add(r, hello, now_ms, err);
	if (!w)
		return -1;
	*session = w->session;
	tell_change(r, w);
	return 0;
}

int registry_add_elsewhere(struct registry *r, const Coffer__V1__WorkerHello *hello, bool draining, int64_t now_ms,
			   struct err *err)
{
	struct worker *w = add(r, hello, now_ms, err);
	if (!w)
		return -1;
	w->is_elsewhere = true;
	w->draining = draining;
	return 0;
}

bool registry_remove_elsewhere(struct registry *r, const char *name)
{
	bool is_there;
	size_t at = place_of(r, name, &is_there);
	if (!is_there || !r->all[at]->is_elsewhere)
		return false;
	remove_at(r, at);
	return true;
}

static size_t session_at(const struct registry *r, uint64_t session)
{
	const struct worker *w = map_get(&r->sessions, &session, sizeof session);
	bool is_there;
	return w ? place_of(r, w->name, &is_there) : r->n;
}

bool registry_report(struct registry *r, uint64_t session, const Coffer__V1__WorkerLoad *load, int64_t now_ms)
{
	struct worker *w = map_get(&r->sessions, &session, sizeof session);
	if (!w)
		return false;
	if (!registry_is_alive(r, w, now_ms)) {
		remove_at(r, session_at(r, session));
		return false;
	}
	w->reported_ms = now_ms;
	w->running = load->running;
	w->waiting = load->waiting;
	w->sessions = load->sessions;
	bool was_draining = w->draining;
	w->draining = load->draining;
	if (w->draining != was_draining) {
		r->generation++;
		tell_change(r, w);
	}
	w->jobs = load->jobs;
	w->hits = load->hits;
	return true;
}

bool registry_remove(struct registry *r, uint64_t session)
{
	size_t at = session_at(r, session);
	if (at == r->n)
		return false;
	remove_at(r, at);
	return true;
}

size_t registry_count(const struct registry *r)
{
	return r->n;
}

const struct worker *registry_at(const struct registry *r, size_t i)
{
	return r->all[i];
}

uint64_t registry_generation(const struct registry *r)
{
	return r->generation;
}

const struct image_workers *registry_image(const struct registry *r, const char *image)
{
	return map_gets(&r->images, image);
}

struct worker *registry_worker(const struct registry *r, const char *name)
{
	bool is_there;
	size_t at = place_of(r, name, &is_there);
	return is_there ? r->all[at] : NULL;
}

bool registry_find(const struct registry *r, const char *name, size_t *at)
{
	bool is_there;
	*at = place_of(r, name, &is_there);
	return is_there;
}

bool registry_is_alive(const struct registry *r, const struct worker *w, int64_t now_ms)
{
	return w->is_elsewhere || now_ms - w->reported_ms < REGISTRY_DEAD_AFTER * r->heartbeat_ms;
}

bool worker_has_image(const struct worker *w, const char *image)
{
	for (size_t i = 0; i < w->n_images; i++)
		if (strcmp(w->images[i], image) == 0)
			return true;
	return false;
}

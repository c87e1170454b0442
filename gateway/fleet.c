#include "gateway/fleet.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "proto/coffer.pb-c.h"
#include "remote/net/target.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 5000, ASK_MS = 5000, ASK_AGAIN_MS = 1000, FAILED_MS = 2000, WANTED_SLOTS = 1000 };

struct fleet_worker {
	char *address, *token;
	uint8_t pin[32]; // of its certificate
	struct rpc_target *target;
	uint32_t slots, in_flight;
	int64_t not_before_ms;
	int refs; // of those that sit there, and of its group
	struct fleet_worker *next;
};

// What one tenant may use for one image.
struct group {
	struct fleet_worker *workers;
	int64_t fresh_until_ms;
	bool is_asking;
	char why[200];  // there is none
	bool is_denied; // the tenant may not be served by us
};

struct fleet {
	struct fleet_config config;
	struct rpc_target *scheduler;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	struct map groups; // "tenant image isolation" -> struct group; all of them stay
};

static struct fleet_worker *new_worker(struct fleet *f, const char *address, const uint8_t *pin, const char *token,
				       uint32_t slots)
{
	struct fleet_worker *w = mem_alloc(sizeof *w);
	if (pin)
		memcpy(w->pin, pin, sizeof w->pin);
	struct rpc_channel_config config = {.tls = pin ? f->config.worker_tls : NULL, .pin_sha256 = pin ? w->pin : NULL};
	w->address = mem_strdup(address);
	w->token = token && *token ? mem_strdup(token) : NULL;
	w->target = rpc_target_new(f->config.loop, address, &config);
	w->slots = slots;
	w->refs = 1;
	return w;
}

static void unref_worker(struct fleet_worker *w)
{
	if (--w->refs)
		return;
	rpc_target_free(w->target);
	free(w->address);
	free(w->token);
	free(w);
}

static void drop_workers(struct fleet_worker *w)
{
	for (struct fleet_worker *next; w; w = next) {
		next = w->next;
		unref_worker(w);
	}
}

struct fleet *fleet_new(const struct fleet_config *config)
{
	struct fleet *f = mem_alloc(sizeof *f);
	f->config = *config;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->asked, NULL);
	struct rpc_channel_config scheduler = {.tls = config->scheduler_tls};
	if (*config->scheduler)
		f->scheduler = rpc_target_new(config->loop, config->scheduler, &scheduler);
	return f;
}

void fleet_free(struct fleet *f)
{
	void *value;
	if (!f)
		return;
	for (size_t at = 0; map_next(&f->groups, &at, NULL, NULL, &value);) {
		drop_workers(((struct group *)value)->workers);
		free(value);
	}
	map_release(&f->groups);
	if (f->scheduler)
		rpc_target_free(f->scheduler);
	pthread_cond_destroy(&f->asked);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

// ---- routes -------------------------------------------------------------------------------------------------------------

// A worker that is known stays the same one: its connection and its jobs count on.
static struct fleet_worker *take_known(struct group *g, const char *address, const uint8_t *pin, const char *token)
{
	for (struct fleet_worker **at = &g->workers; *at; at = &(*at)->next) {
		struct fleet_worker *w = *at;
		if (strcmp(w->address, address) != 0 || memcmp(w->pin, pin, sizeof w->pin) != 0)
			continue;
		*at = w->next;
		free(w->token);
		w->token = *token ? mem_strdup(token) : NULL;
		return w;
	}
	return NULL;
}

// Under the lock.
static void take_routes(struct fleet *f, struct group *g, const Coffer__V1__RouteReply *reply)
{
	struct fleet_worker *all = NULL;
	for (size_t i = 0; i < reply->n_routes; i++) {
		const Coffer__V1__Route *r = reply->routes[i];
		if (r->certificate_sha256.len != 32)
			continue;
		struct fleet_worker *w = take_known(g, r->address, r->certificate_sha256.data, r->token);
		if (!w)
			w = new_worker(f, r->address, r->certificate_sha256.data, r->token, r->slots);
		w->slots = r->slots;
		w->next = all;
		all = w;
	}
	drop_workers(g->workers);
	g->workers = all;
	g->fresh_until_ms = clock_ms() + (reply->lifetime_ms ? reply->lifetime_ms : 1000);
	snprintf(g->why, sizeof g->why, "%s", reply->reason);
}

static int ask(struct fleet *f, const struct fleet_wish *wish, Coffer__V1__RouteReply **reply, struct err *err)
{
	struct rpc_channel *channel;
	Coffer__V1__RouteRequest m = COFFER__V1__ROUTE_REQUEST__INIT;
	struct rpc_call_options options = {.deadline_ms = ASK_MS};
	m.tenant = (char *)(uintptr_t)wish->tenant;
	m.image = (char *)(uintptr_t)wish->image;
	m.minimum_isolation = (Coffer__V1__Isolation)wish->isolation;
	m.slots = WANTED_SLOTS;
	if (rpc_target_channel(f->scheduler, CONNECT_MS, &channel, err) < 0)
		return -1;
	int rc = rpc_unary(channel, "/coffer.v1.Scheduler/Route", &options, &m.base, &coffer__v1__route_reply__descriptor,
			   reply, NULL, err);
	rpc_channel_release(channel);
	return rc;
}

// Under the lock, but not while it asks; who comes meanwhile waits for the same answer.
static void refresh(struct fleet *f, struct group *g, const struct fleet_wish *wish, struct err *err)
{
	Coffer__V1__RouteReply *reply = NULL;
	while (g->is_asking)
		pthread_cond_wait(&f->asked, &f->lock);
	if (!f->scheduler || clock_ms() < g->fresh_until_ms)
		return;
	g->is_asking = true;
	pthread_mutex_unlock(&f->lock);
	int rc = ask(f, wish, &reply, err);
	pthread_mutex_lock(&f->lock);
	g->is_asking = false;
	g->is_denied = rc < 0 && err->code == ERR_ACCESS;
	if (rc == 0) {
		take_routes(f, g, reply);
		coffer__v1__route_reply__free_unpacked(reply, NULL);
	} else {
		// Known routes may still do; the scheduler is not asked for each action.
		snprintf(g->why, sizeof g->why, "no routes from the scheduler: %.150s", err->text);
		g->fresh_until_ms = clock_ms() + ASK_AGAIN_MS;
	}
	pthread_cond_broadcast(&f->asked);
}

static struct group *group_of(struct fleet *f, const struct fleet_wish *wish)
{
	AUTO_FREE char *key = mem_printf("%s %s %d", wish->tenant, wish->image, wish->isolation);
	struct group *g = map_gets(&f->groups, key);
	if (g)
		return g;
	g = mem_alloc(sizeof *g);
	map_puts(&f->groups, key, g);
	for (const char *const *w = f->config.workers; !f->scheduler && w && *w; w++) {
		struct fleet_worker *one = new_worker(f, *w, NULL, NULL, WANTED_SLOTS);
		one->next = g->workers;
		g->workers = one;
	}
	return g;
}

// ---- seats --------------------------------------------------------------------------------------------------------------

static struct fleet_worker *choose(struct group *g)
{
	struct fleet_worker *best = NULL;
	int64_t now = clock_ms();
	for (struct fleet_worker *w = g->workers; w; w = w->next)
		if (w->not_before_ms <= now && w->in_flight < w->slots && (!best || w->in_flight < best->in_flight))
			best = w;
	return best;
}

int fleet_take(struct fleet *f, const struct fleet_wish *wish, struct fleet_seat *seat, struct err *err)
{
	struct fleet_worker *w = NULL;
	pthread_mutex_lock(&f->lock);
	struct group *g = group_of(f, wish);
	refresh(f, g, wish, err);
	if (!g->is_denied)
		w = choose(g);
	if (w) {
		w->in_flight++;
		w->refs++;
		*seat = (struct fleet_seat){.worker = w,
					    .authorization = w->token ? mem_printf("Bearer %s", w->token) : NULL};
	} else {
		bool is_busy = g->workers && !g->is_denied;
		err_set(err,
			g->is_denied ? ERR_ACCESS
			: is_busy    ? ERR_FULL
				     : ERR_NOT_FOUND,
			"%s",
			is_busy   ? "all workers are busy or failing"
			: *g->why ? g->why
				  : "no worker is known for this");
	}
	pthread_mutex_unlock(&f->lock);
	if (!w)
		return -1;
	if (rpc_target_channel(w->target, CONNECT_MS, &seat->channel, err) == 0)
		return 0;
	fleet_give(f, seat, true, 0);
	err->code = ERR_PEER;
	return -1;
}

void fleet_give(struct fleet *f, struct fleet_seat *seat, bool has_failed, int pause_ms)
{
	struct fleet_worker *w = seat->worker;
	if (seat->channel)
		rpc_channel_release(seat->channel);
	free(seat->authorization);
	pthread_mutex_lock(&f->lock);
	w->in_flight--;
	if (has_failed)
		pause_ms = FAILED_MS;
	if (pause_ms)
		w->not_before_ms = clock_ms() + pause_ms;
	unref_worker(w);
	pthread_mutex_unlock(&f->lock);
	*seat = (struct fleet_seat){.worker = NULL};
}

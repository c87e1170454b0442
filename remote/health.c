#include "remote/server.h"

#include "proto/health.pb-c.h"

#include <stdlib.h>
#include <string.h>

// Anybody may ask without a name: so no thread answers, and there is a bound for those who watch.
#define MAX_WATCHERS 64
#define MAX_WATCHED 256 // bytes of a service's name

typedef Grpc__Health__V1__HealthCheckRequest request_t;
typedef Grpc__Health__V1__HealthCheckResponse response_t;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus status_t;
#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

// A map holds no 0, which is "not there".
static void *as_value(status_t s)
{
	return (void *)((uintptr_t)s + 1);
}

// Under the lock.
static status_t status_of(const struct health *h, const char *service)
{
	uintptr_t v = (uintptr_t)map_gets(&h->services, service);
	if (!v)
		return SERVICE_UNKNOWN;
	return h->is_draining ? NOT_SERVING : (status_t)(v - 1);
}

// ---- watchers, on the loop ------------------------------------------------------------------------------------------------

// A call of Watch. In the list until its call is over.
struct watcher {
	struct watcher *next, **link;
	struct health *health;
	struct rpc_call *call;
	char service[MAX_WATCHED];
	status_t told;
};

static status_t look(struct health *h, const char *service, bool *is_draining)
{
	pthread_mutex_lock(&h->lock);
	status_t now = status_of(h, service);
	*is_draining = h->is_draining;
	pthread_mutex_unlock(&h->lock);
	return now;
}

// By rpc_cancel or the end of the stream, or when the server drains.
static void watcher_leave(void *arg)
{
	struct watcher *w = arg;
	w->health->n_watchers--;
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	free(w);
}

static void tell(struct watcher *w, bool is_first)
{
	response_t r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	struct rpc_call *call = w->call;
	bool is_draining;
	r.status = look(w->health, w->service, &is_draining);
	// A watcher that does not read what it is told has fallen behind, and is not waited for.
	bool is_behind = rpc_call_is_cancelled(call) || !rpc_call_may_send(call);
	if ((is_first || r.status != w->told) && !is_behind)
		rpc_send(call, &r.base, NULL);
	w->told = is_behind ? w->told : r.status;
	if (!is_draining)
		return;
	rpc_call_on_cancel(call, NULL, NULL);
	rpc_finish(call, RPC_UNAVAILABLE, "the server is going away");
	watcher_leave(w);
}

static void tell_now(void *arg)
{
	struct health *h = arg;
	for (struct watcher *w = h->watchers, *next; w; w = next) {
		next = w->next;
		tell(w, false);
	}
}

void rpc_server_set_health(struct rpc_server *server, const char *service, bool is_serving)
{
	struct health *h = &server->health;
	pthread_mutex_lock(&h->lock);
	map_puts(&h->services, service, as_value(is_serving ? SERVING : NOT_SERVING));
	pthread_mutex_unlock(&h->lock);
	loop_run(server->loop, tell_now, h);
}

void health_init(struct rpc_server *server)
{
	struct health *h = &server->health;
	pthread_mutex_init(&h->lock, NULL);
	map_puts(&h->services, "", as_value(SERVING));
	for (size_t i = 0; i < server->config.n_methods; i++) {
		const char *path = server->config.methods[i].path + 1;
		AUTO_FREE char *service = mem_strndup(path, strcspn(path, "/"));
		map_puts(&h->services, service, as_value(SERVING));
	}
}

void health_drain(struct rpc_server *server)
{
	struct health *h = &server->health;
	pthread_mutex_lock(&h->lock);
	h->is_draining = true;
	pthread_mutex_unlock(&h->lock);
	loop_run(server->loop, tell_now, h);
}

void health_release(struct rpc_server *server)
{
	struct health *h = &server->health;
	map_release(&h->services);
	pthread_mutex_destroy(&h->lock);
}

// ---- the two methods, on the loop -----------------------------------------------------------------------------------------

static void check(struct rpc_call *call, void *arg)
{
	struct health *h = &((struct rpc_server *)arg)->health;
	request_t *q;
	response_t r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	bool is_draining;
	if (rpc_receive_one(call, &grpc__health__v1__health_check_request__descriptor, &q))
		return;
	r.status = look(h, q->service, &is_draining);
	if (r.status == SERVICE_UNKNOWN)
		rpc_finish(call, RPC_NOT_FOUND, "there is no service '%.*s'", MAX_WATCHED, q->service);
	else
		rpc_reply(call, &r.base);
	grpc__health__v1__health_check_request__free_unpacked(q, NULL);
}

static void watch(struct rpc_call *call, void *arg)
{
	struct health *h = &((struct rpc_server *)arg)->health;
	request_t *q;
	if (rpc_receive_one(call, &grpc__health__v1__health_check_request__descriptor, &q))
		return;
	if (strlen(q->service) >= MAX_WATCHED) {
		rpc_finish(call, RPC_INVALID_ARGUMENT, "a service has a shorter name");
	} else if (h->n_watchers >= MAX_WATCHERS) {
		rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "too many are watching");
	} else {
		struct watcher *w = mem_alloc(sizeof *w);
		w->health = h;
		w->call = call;
		strcpy(w->service, q->service);
		w->next = h->watchers;
		w->link = &h->watchers;
		if (w->next)
			w->next->link = &w->next;
		h->watchers = w;
		h->n_watchers++;
		rpc_call_on_cancel(call, watcher_leave, w);
		tell(w, true);
	}
	grpc__health__v1__health_check_request__free_unpacked(q, NULL);
}

const struct rpc_method health_methods[2] = {
	{.path = "/grpc.health.v1.Health/Check", .serve = check, .on_loop = true},
	{.path = "/grpc.health.v1.Health/Watch", .serve = watch, .on_loop = true},
};

#include "remote/server.h"

#include "proto/health.pb-c.h"

#include <stdlib.h>
#include <string.h>

// Anybody may watch without a name, so there is a bound of its own.
#define MAX_WATCHERS 64

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

void rpc_server_set_health(struct rpc_server *server, const char *service, bool is_serving)
{
	struct health *h = &server->health;
	pthread_mutex_lock(&h->lock);
	map_puts(&h->services, service, as_value(is_serving ? SERVING : NOT_SERVING));
	pthread_cond_broadcast(&h->change);
	pthread_mutex_unlock(&h->lock);
}

void health_init(struct rpc_server *server)
{
	struct health *h = &server->health;
	pthread_mutex_init(&h->lock, NULL);
	monotonic_cond_init(&h->change);
	rpc_server_set_health(server, "", true);
	for (size_t i = 0; i < server->config.n_methods; i++) {
		const char *path = server->config.methods[i].path + 1;
		AUTO_FREE char *service = mem_strndup(path, strcspn(path, "/"));
		rpc_server_set_health(server, service, true);
	}
}

void health_drain(struct rpc_server *server)
{
	struct health *h = &server->health;
	pthread_mutex_lock(&h->lock);
	h->is_draining = true;
	pthread_cond_broadcast(&h->change);
	pthread_mutex_unlock(&h->lock);
}

void health_release(struct rpc_server *server)
{
	struct health *h = &server->health;
	map_release(&h->services);
	pthread_cond_destroy(&h->change);
	pthread_mutex_destroy(&h->lock);
}

// ---- the two methods ------------------------------------------------------------------------------------------------------

static void check(struct rpc_call *call, void *arg)
{
	struct health *h = &((struct rpc_server *)arg)->health;
	request_t *q;
	response_t r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	if (rpc_receive_one(call, &grpc__health__v1__health_check_request__descriptor, &q))
		return;
	pthread_mutex_lock(&h->lock);
	r.status = status_of(h, q->service);
	pthread_mutex_unlock(&h->lock);
	if (r.status == SERVICE_UNKNOWN)
		rpc_finish(call, RPC_NOT_FOUND, "there is no service '%s'", q->service);
	else
		rpc_reply(call, &r.base);
	grpc__health__v1__health_check_request__free_unpacked(q, NULL);
}

static void wake_watchers(void *arg)
{
	struct health *h = arg;
	pthread_mutex_lock(&h->lock);
	pthread_cond_broadcast(&h->change);
	pthread_mutex_unlock(&h->lock);
}

// Sends each change until the client has had enough or the server drains.
static void tell_changes(struct rpc_call *call, struct health *h, const char *service)
{
	response_t r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	bool is_first = true, is_draining = false;
	while (!is_draining && !rpc_call_is_cancelled(call)) {
		pthread_mutex_lock(&h->lock);
		while (!is_first && status_of(h, service) == r.status && !h->is_draining && !rpc_call_is_cancelled(call))
			monotonic_wait(&h->change, &h->lock, -1);
		bool is_news = is_first || status_of(h, service) != r.status;
		r.status = status_of(h, service);
		is_draining = h->is_draining;
		pthread_mutex_unlock(&h->lock);
		is_first = false;
		if (is_news && rpc_send(call, &r.base, NULL))
			return;
	}
}

static void watch(struct rpc_call *call, void *arg)
{
	struct health *h = &((struct rpc_server *)arg)->health;
	request_t *q;
	if (rpc_receive_one(call, &grpc__health__v1__health_check_request__descriptor, &q))
		return;
	pthread_mutex_lock(&h->lock);
	bool is_full = h->watchers >= MAX_WATCHERS;
	h->watchers += !is_full;
	pthread_mutex_unlock(&h->lock);
	if (!is_full) {
		rpc_call_on_cancel(call, wake_watchers, h);
		tell_changes(call, h, q->service);
		rpc_call_on_cancel(call, NULL, NULL);
		pthread_mutex_lock(&h->lock);
		h->watchers--;
		pthread_mutex_unlock(&h->lock);
	}
	grpc__health__v1__health_check_request__free_unpacked(q, NULL);
	rpc_finish(call, is_full ? RPC_RESOURCE_EXHAUSTED : RPC_UNAVAILABLE,
		   is_full ? "too many are watching" : "the server is going away");
}

const struct rpc_method health_methods[2] = {
	{"/grpc.health.v1.Health/Check", check},
	{"/grpc.health.v1.Health/Watch", watch},
};

#include "remote/server.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPT_AT_ONCE 64
#define NO_DESCRIPTORS_MS 100

// ---- calls and connections, as the loop tells of them -----------------------------------------------------------------------

const struct rpc_method *server_method(struct rpc_server *server, const char *path)
{
	for (size_t i = 0; i < server->config.n_methods; i++)
		if (strcmp(server->config.methods[i].path, path) == 0)
			return &server->config.methods[i];
	for (size_t i = 0; i < COUNT_OF(health_methods); i++)
		if (strcmp(health_methods[i].path, path) == 0)
			return &health_methods[i];
	return NULL;
}

static int begin_on_thread(struct rpc_call *call)
{
	return pool_give(call->server->pool, call);
}

void server_dispatch(struct conn *c, struct rpc_call *call)
{
	struct rpc_server *s = c->server;
	pthread_mutex_lock(&s->lock);
	bool is_full = s->n_calls >= s->limits.calls;
	s->n_calls += !is_full;
	pthread_mutex_unlock(&s->lock);
	if (!is_full && s->begin(call_ref(call)) == 0) {
		call->was_dispatched = true;
		s->total_calls++;
		return;
	}
	if (!is_full) {
		pthread_mutex_lock(&s->lock);
		s->n_calls--;
		pthread_mutex_unlock(&s->lock);
		call_unref(call);
	}
	s->refused++;
	session_refuse_call(call, RPC_RESOURCE_EXHAUSTED, "the server serves as many calls as it can");
}

void server_count_attack(struct rpc_server *server)
{
	server->attacks++;
}

void server_lost_conn(struct conn *c)
{
	struct rpc_server *s = c->server;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	pthread_mutex_lock(&s->lock);
	s->n_conns--;
	pthread_cond_broadcast(&s->change);
	pthread_mutex_unlock(&s->lock);
}

static void add_conn(struct rpc_server *s, struct transport *t, const struct net_address *address, const char *name)
{
	struct conn *c = conn_new(s->loop, t, &s->limits, true);
	c->server = s;
	c->link->identity.peer.address = arena_strdup(&c->link->identity.arena, name);
	if (address) {
		c->is_tcp = address->addr.ss_family != AF_UNIX;
		c->address = *address;
	}
	c->next = s->conns;
	if (s->conns)
		s->conns->prev = c;
	s->conns = c;
	s->total_conns++;
	pthread_mutex_lock(&s->lock);
	s->n_conns++;
	pthread_mutex_unlock(&s->lock);
	conn_start(c, NULL);
}

// ---- listening ----------------------------------------------------------------------------------------------------------

// Nobody may have them all.
static bool has_room(const struct rpc_server *s, const struct net_address *from)
{
	size_t all = 0, same = 0;
	for (const struct conn *c = s->conns; c; c = c->next) {
		all++;
		same += c->is_tcp && net_same_host(&c->address, from);
	}
	return all < s->limits.connections && same < s->limits.connections_per_address;
}

static void take_connection(struct listener *l, int fd, const struct net_address *from)
{
	const struct tls_setup setup = {.is_server = true};
	char name[RPC_ADDRESS_MAX];
	struct transport *t;
	struct err err = ERR_INIT;
	net_name(from, name);
	if (!has_room(l->server, from)) {
		log_warn("no room for a connection from %s", name);
		close(fd);
		return;
	}
	if (from->addr.ss_family != AF_UNIX)
		net_tune(fd);
	if (!l->tls)
		t = transport_plain(fd);
	else if (l->tls->open(l->tls, fd, &setup, &t, &err)) {
		log_warn("connection from %s: %s", name, err.text);
		return;
	}
	add_conn(l->server, t, from, name);
}

static void listener_ready(struct source *source, uint32_t events)
{
	struct listener *l = CONTAINER_OF(source, struct listener, source);
	(void)events;
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		struct net_address from = {.len = sizeof from.addr};
		int fd = accept4(source->fd, (struct sockaddr *)&from.addr, &from.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			take_connection(l, fd, &from);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_error("cannot accept a connection: %s", strerror(errno));
			loop_rewatch(l->server->loop, source, 0);
			timer_set(&l->server->loop->timers, &l->pause, clock_ms() + NO_DESCRIPTORS_MS);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

static void listener_goes_on(struct timer *t)
{
	struct listener *l = CONTAINER_OF(t, struct listener, pause);
	loop_rewatch(l->server->loop, &l->source, EPOLLIN);
}

struct listen {
	struct listener *listener;
	struct err *err;
	int rc;
};

static void start_listener(void *arg)
{
	struct listen *a = arg;
	struct listener *l = a->listener;
	a->rc = loop_watch(l->server->loop, &l->source, EPOLLIN, a->err);
	if (a->rc)
		return;
	l->next = l->server->listeners;
	l->server->listeners = l;
}

static void close_listener(struct listener *l)
{
	if (l->source.fd < 0)
		return;
	close(l->source.fd);
	l->source.fd = -1;
	if (l->path)
		unlink(l->path);
}

static void free_listener(struct listener *l)
{
	close_listener(l);
	free(l->path);
	free(l);
}

int server_add_listener(struct rpc_server *server, int fd, struct rpc_tls *tls, const char *unix_path, struct err *err)
{
	struct listener *l = mem_alloc(sizeof *l);
	struct listen a = {l, err, 0};
	l->source = (struct source){.fd = fd, .ready = listener_ready};
	l->pause.fire = listener_goes_on;
	l->server = server;
	l->tls = tls;
	l->path = unix_path ? mem_strdup(unix_path) : NULL;
	loop_run(server->loop, start_listener, &a);
	if (a.rc)
		free_listener(l);
	return a.rc;
}

// The memory goes at the end: an event of this turn may still name it.
static void stop_listening(struct rpc_server *s)
{
	for (struct listener *l = s->listeners; l; l = l->next) {
		if (!l->source.ready)
			continue;
		loop_unwatch(s->loop, &l->source);
		timer_clear(&s->loop->timers, &l->pause);
		close_listener(l);
	}
}

void server_add_transport(struct rpc_server *server, struct transport *t)
{
	add_conn(server, t, NULL, "fd");
}

struct adopt {
	struct rpc_server *server;
	int fd;
};

static void adopt_here(void *arg)
{
	struct adopt *a = arg;
	server_add_transport(a->server, transport_plain(a->fd));
}

int rpc_server_adopt(struct rpc_server *server, int fd, struct err *err)
{
	struct adopt a = {server, fd};
	if (net_set_nonblocking(fd, err)) {
		close(fd);
		return -1;
	}
	loop_run(server->loop, adopt_here, &a);
	return 0;
}

// ---- the end --------------------------------------------------------------------------------------------------------------

static void begin_drain(void *arg)
{
	struct rpc_server *s = arg;
	stop_listening(s);
	s->is_draining = true;
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next; // a connection leaves the list only at the end of the turn
		conn_drain(c);
	}
}

static void cut_all(void *arg)
{
	struct rpc_server *s = arg;
	stop_listening(s);
	for (struct conn *c = s->conns; c; c = c->next)
		conn_fail(c, "the server has stopped");
}

int rpc_server_wait_gone(struct rpc_server *s, int timeout_ms)
{
	int64_t until = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	bool in_time = true;
	pthread_mutex_lock(&s->lock);
	while (s->n_conns && in_time)
		in_time = monotonic_wait(&s->change, &s->lock, until);
	int rc = s->n_conns ? -1 : 0;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

size_t rpc_server_drain(struct rpc_server *s, int grace_ms)
{
	int64_t until = clock_ms() + grace_ms;
	bool in_time = true;
	health_drain(s);
	loop_run(s->loop, begin_drain, s);
	pthread_mutex_lock(&s->lock);
	while ((s->n_conns || s->n_calls) && in_time)
		in_time = monotonic_wait(&s->change, &s->lock, until);
	size_t left = s->n_calls;
	pthread_mutex_unlock(&s->lock);
	return left;
}

void rpc_server_free(struct rpc_server *s)
{
	if (!s)
		return;
	health_drain(s);
	loop_run(s->loop, cut_all, s);
	rpc_server_wait_gone(s, -1);
	pool_free(s->pool);
	for (struct listener *l = s->listeners, *next; l; l = next) {
		next = l->next;
		free_listener(l);
	}
	health_release(s);
	pthread_cond_destroy(&s->change);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

// ---- the beginning --------------------------------------------------------------------------------------------------------

int rpc_server_new(struct rpc_loop *loop, const struct rpc_server_config *config, struct rpc_server **out, struct err *err)
{
	for (size_t i = 0; i < config->n_methods; i++)
		if (config->methods[i].path[0] != '/' || !strchr(config->methods[i].path + 1, '/'))
			return err_set(err, ERR_USAGE, "'%s' is no path of a method", config->methods[i].path);
	struct rpc_server *s = mem_alloc(sizeof *s);
	s->loop = loop;
	s->config = *config;
	s->limits = config->limits;
	limits_fill(&s->limits, true);
	s->begin = begin_on_thread;
	s->pool = pool_new(server_serve, s->limits.stack_bytes);
	pthread_mutex_init(&s->lock, NULL);
	monotonic_cond_init(&s->change);
	health_init(s);
	*out = s;
	return 0;
}

void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *stats)
{
	struct rpc_server *s = (struct rpc_server *)(uintptr_t)server;
	pthread_mutex_lock(&s->lock);
	*stats = (struct rpc_server_stats){.connections = s->n_conns, .calls = s->n_calls};
	pthread_mutex_unlock(&s->lock);
	stats->total_connections = s->total_conns;
	stats->total_calls = s->total_calls;
	stats->refused = s->refused;
	stats->attacks = s->attacks;
}

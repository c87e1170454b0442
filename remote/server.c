#include "remote/server.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPT_AT_ONCE 64
#define NO_DESCRIPTORS_MS 100

static void tell_refusal(struct rpc_server *s, const char *address, const char *event, const char *why);

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
	return pool_give(call->serving.server->pool, call);
}

static void add_silent(struct rpc_server *s, struct rpc_call *call, uint16_t bucket)
{
	call->serving.is_silent = true;
	call->serving.older = s->newest_call[bucket];
	*(call->serving.older ? &call->serving.older->serving.newer : &s->oldest_call[bucket]) = call;
	s->newest_call[bucket] = call;
}

void server_is_heard(struct conn *c, struct rpc_call *call)
{
	struct rpc_server *s = c->server;
	struct call_serving *v = &call->serving;
	if (!v->is_silent)
		return;
	v->is_silent = false;
	*(v->older ? &v->older->serving.newer : &s->oldest_call[c->bucket]) = v->newer;
	*(v->newer ? &v->newer->serving.older : &s->newest_call[c->bucket]) = v->older;
	v->older = v->newer = NULL;
}

// A call that has said nothing gives its place to one that may have something to say.
static bool silence_one(struct rpc_server *s, uint16_t bucket)
{
	struct rpc_call *call = s->oldest_call[bucket];
	if (!call)
		call = s->oldest_call[shares_fattest_calls(&s->shares)];
	if (!call)
		return false;
	server_is_heard(call->conn, call);
	shares_give_call(&s->shares, &call->serving.charge);
	session_expire_call(call, RPC_RESOURCE_EXHAUSTED, "others need the room of a call that says nothing");
	return true;
}

// What a call takes of the server's room: its share, and until both the stream and the thread are at their end.
int server_take(struct conn *c, struct rpc_call *call, struct err *err)
{
	struct rpc_server *s = c->server;
	struct charge *charge = &call->serving.charge;
	call->serving.holders = 1;
	if (!shares_are_used(&s->shares))
		return 0;
	int rc = shares_take_call(&s->shares, &c->link->owner, c->bucket, c->n_calls, charge, err);
	if (rc < 0 && err->code == ERR_FULL && silence_one(s, c->bucket))
		rc = shares_take_call(&s->shares, &c->link->owner, c->bucket, c->n_calls, charge, err);
	if (rc == 0) {
		if (!charge->share)
			add_silent(s, call, c->bucket);
		return 0;
	}
	s->refused++;
	tell_refusal(s, c->link->identity.peer.address, "call refused", err->text);
	return -1;
}

void server_end_hold(struct rpc_call *call)
{
	if (call->serving.holders && atomic_fetch_sub(&call->serving.holders, 1) == 1)
		shares_give_call(&call->serving.server->shares, &call->serving.charge);
}

void server_dispatch(struct conn *c, struct rpc_call *call)
{
	struct rpc_server *s = c->server;
	if (call->serving.method->on_loop) {
		call_enter(call, CALL_SERVED);
		s->total_calls++;
		server_serve_here(call);
		return;
	}
	pthread_mutex_lock(&s->lock);
	bool is_full = s->n_calls >= s->limits.calls;
	s->n_calls += !is_full;
	pthread_mutex_unlock(&s->lock);
	call->serving.holders++;
	if (!is_full && s->begin(call_ref(call)) == 0) {
		call_enter(call, CALL_SERVED);
		s->total_calls++;
		return;
	}
	server_end_hold(call);
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

int rpc_call_admit(struct rpc_call *call, const char *tenant, bool is_trusted, struct err *err)
{
	struct shares *shares = &call->serving.server->shares;
	if (!shares_are_used(shares))
		return 0;
	int rc = shares_admit(shares, tenant, is_trusted, &call->serving.charge, &call->link->owner, err);
	if (rc == 1)
		call_post(call); // the loop has to know that its connection is no stranger's any more
	return rc < 0 ? -1 : 0;
}

// ---- strangers ----------------------------------------------------------------------------------------------------------

static void tell_refusal(struct rpc_server *s, const char *address, const char *event, const char *why)
{
	uint64_t left_out;
	if (log_limit_take(&s->refusals, clock_ms(), &left_out))
		log_event(LOG_LEVEL_INFO, event, LOG_TEXT("peer", address), LOG_TEXT("why", why),
			  LOG_NUMBER("left_out", left_out));
}

const char *rpc_handshake_name(enum rpc_handshake cause)
{
	static const char *const names[RPC_HANDSHAKES] = {"other",   "expired",  "untrusted", "rejected",
							  "version", "protocol", "hung_up",   "timeout"};
	return cause < RPC_HANDSHAKES ? names[cause] : "other";
}

void server_lost_handshake(struct conn *c, enum rpc_handshake cause, const char *text)
{
	c->server->handshakes[cause]++;
	tell_refusal(c->server, c->link->identity.peer.address, "handshake failed", text);
}

static void add_stranger(struct rpc_server *s, struct conn *c)
{
	c->is_stranger = true;
	c->older = s->newest[c->bucket];
	*(c->older ? &c->older->newer : &s->oldest[c->bucket]) = c;
	s->newest[c->bucket] = c;
	shares_add_stranger(&s->shares, c->bucket);
}

static void remove_stranger(struct rpc_server *s, struct conn *c)
{
	c->is_stranger = false;
	*(c->older ? &c->older->newer : &s->oldest[c->bucket]) = c->newer;
	*(c->newer ? &c->newer->older : &s->newest[c->bucket]) = c->older;
	c->older = c->newer = NULL;
	shares_remove_stranger(&s->shares, c->bucket);
}

void server_know(struct conn *c)
{
	if (!c->is_stranger)
		return;
	pthread_mutex_lock(&c->server->shares.lock);
	bool is_known = c->link->owner.share;
	pthread_mutex_unlock(&c->server->shares.lock);
	if (is_known)
		remove_stranger(c->server, c);
}

bool server_is_short(const struct rpc_server *s)
{
	return shares_are_used(&s->shares) && (s->shares.strange_connections > s->limits.stranger_connections / 2 ||
					       s->n_conns > s->limits.connections / 4 * 3);
}

// The oldest stranger of the block with most of them goes.
static bool make_room(struct rpc_server *s)
{
	struct conn *c = s->oldest[shares_fattest(&s->shares)];
	while (c && c->state == CONN_DEAD) // it goes at the end of this turn
		c = c->newer;
	if (!c)
		return false;
	s->crowded_out++;
	tell_refusal(s, c->link->identity.peer.address, "connection closed", "others need the room");
	remove_stranger(s, c);
	conn_fail(c, "others need the room");
	return true;
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
	if (c->is_stranger)
		remove_stranger(s, c);
	shares_close_connection(&s->shares, &c->link->owner);
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
	if (shares_are_used(&s->shares)) {
		c->bucket = net_bucket(&s->shares, address);
		add_stranger(s, c);
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
static bool has_room(struct rpc_server *s, const struct net_address *from)
{
	size_t all = 0, same = 0;
	if (shares_are_used(&s->shares))
		return (s->n_conns < s->limits.connections && !shares_are_full(&s->shares)) || make_room(s);
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
		l->server->refused_conns++;
		tell_refusal(l->server, name, "connection refused", "no room");
		close(fd);
		return;
	}
	if (from->addr.ss_family != AF_UNIX)
		net_tune(fd);
	if (!l->tls)
		t = transport_plain(fd);
	else if (l->tls->open(l->tls, fd, &setup, &t, &err)) {
		tell_refusal(l->server, name, "connection refused", err.text);
		return;
	}
	add_conn(l->server, t, from, name);
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct listener *l = CONTAINER_OF(source, struct listener, source);
	(void)events;
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		struct net_address from = {.len = sizeof from.addr};
		int fd = accept4(source->fd, (struct sockaddr *)&from.addr, &from.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			take_connection(l, fd, &from);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			tell_refusal(l->server, "", "cannot accept a connection", strerror(errno));
			loop_watch(l->server->loop, source, 0, NULL);
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
	struct err err = ERR_INIT;
	if (loop_watch(l->server->loop, &l->source, EPOLLIN, &err) < 0)
		tell_refusal(l->server, "", "cannot accept connections", err.text);
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
	l->source = (struct loop_source){.fd = fd, .ready = listener_ready};
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
		if (l->source.fd < 0)
			continue;
		loop_watch(s->loop, &l->source, 0, NULL);
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
		in_time = cond_wait_until(&s->change, &s->lock, until);
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
		in_time = cond_wait_until(&s->change, &s->lock, until);
	size_t left = s->n_calls;
	pthread_mutex_unlock(&s->lock);
	return left;
}

static void be_there(void *arg)
{
	(void)arg;
}

void rpc_server_free(struct rpc_server *s)
{
	if (!s)
		return;
	health_drain(s);
	loop_run(s->loop, cut_all, s);
	rpc_server_wait_gone(s, -1);
	loop_run(s->loop, be_there, NULL); // behind the notes for those that follow calls which are gone now
	pool_free(s->pool);
	for (struct listener *l = s->listeners, *next; l; l = next) {
		next = l->next;
		free_listener(l);
	}
	health_release(s);
	shares_release(&s->shares);
	pthread_mutex_destroy(&s->refusals.lock);
	pthread_cond_destroy(&s->change);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

// ---- the beginning --------------------------------------------------------------------------------------------------------

int rpc_server_new(struct loop *loop, const struct rpc_server_config *config, struct rpc_server **out, struct err *err)
{
	for (size_t i = 0; i < config->n_methods; i++)
		if (config->methods[i].path[0] != '/' || !strchr(config->methods[i].path + 1, '/'))
			return err_set(err, ERR_USAGE, "'%s' is no path of a method", config->methods[i].path);
	struct rpc_server *s = mem_alloc(sizeof *s);
	s->loop = loop;
	s->config = *config;
	s->limits = config->limits;
	limits_fill(&s->limits, true);
	shares_init(&s->shares, s->limits.calls, s->limits.stranger_calls, s->limits.connections,
		    s->limits.stranger_connections);
	pthread_mutex_init(&s->refusals.lock, NULL);
	s->begin = begin_on_thread;
	s->pool = pool_new(server_serve, s->limits.stack_bytes);
	pthread_mutex_init(&s->lock, NULL);
	cond_init(&s->change);
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
	stats->crowded_out = s->crowded_out;
	stats->refused_connections = s->refused_conns;
	for (size_t i = 0; i < RPC_HANDSHAKES; i++)
		stats->handshakes[i] = s->handshakes[i];
	pthread_mutex_lock(&s->shares.lock);
	stats->strangers = s->shares.strange_connections;
	pthread_mutex_unlock(&s->shares.lock);
}

#include "client/remote/farm.h"

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "proto/coffer.pb-c.h"
#include "remote/target.h"
#include "remote/tls.h"
#include "remote/token.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ROUTE_MS = 3000,   // for one answer of the scheduler
	CONNECT_MS = 3000, // to a worker
	DESCRIBE_MS = 20000,
	RETRY_MS = 5000,  // after the scheduler failed or had no route
	BUSY_MS = 500,    // where a full worker does not say when to come again
	FAILED_MS = 2000, // doubled with each failure in a row
	FAILED_MAX_MS = 60000,
	ROUTES_MAX = 4096,
};

struct route {
	char *worker, *address, *token;
	uint8_t pin[32]; // of its certificate
	uint32_t slots, in_flight, failures;
	bool is_current; // in the scheduler's last answer
	bool has_lied;
	char lie[160];
	int64_t not_before_ms;
	struct rpc_target *target;
	struct map compilers; // what it was asked about -> SAME or OTHER
	uint64_t jobs;
};

struct farm {
	pthread_mutex_t lock;
	pthread_cond_t asked; // a question to the scheduler has ended
	pthread_cond_t freed; // a seat was given back
	bool is_asking;
	struct rpc_loop *loop;
	struct rpc_tls *scheduler_tls, *worker_tls;
	struct rpc_target *scheduler; // NULL: workers named by the settings
	char *tenant, *image, *token_file;
	int isolation;
	uint32_t most_jobs, in_flight;
	int64_t timeout_ms;
	int64_t fresh_until_ms;
	char why[256]; // there is no route
	struct route **routes;
	size_t n_routes;
	struct rpc_target **retired; // of certificates that were renewed
	size_t n_retired;
};

enum { SAME = 1, OTHER = 2 };

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// ---- set-up -----------------------------------------------------------------------------------------------------------

static const char *text_or_null(const struct config *c, enum setting s)
{
	const char *t = config_text(c, s);
	return t && *t ? t : NULL;
}

static void route_free(struct route *r)
{
	rpc_target_free(r->target);
	map_release(&r->compilers);
	free(r->worker);
	free(r->address);
	if (r->token)
		explicit_bzero(r->token, strlen(r->token));
	free(r->token);
	free(r);
}

void farm_free(struct farm *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_routes; i++)
		route_free(f->routes[i]);
	free(f->routes);
	for (size_t i = 0; i < f->n_retired; i++)
		rpc_target_free(f->retired[i]);
	free(f->retired);
	if (f->scheduler)
		rpc_target_free(f->scheduler);
	if (f->loop)
		rpc_loop_stop(f->loop);
	if (f->scheduler_tls)
		rpc_tls_free(f->scheduler_tls);
	if (f->worker_tls)
		rpc_tls_free(f->worker_tls);
	free(f->tenant);
	free(f->image);
	free(f->token_file);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->asked);
	pthread_cond_destroy(&f->freed);
	free(f);
}

static void set_target(struct farm *f, struct route *r, const uint8_t *pin)
{
	if (pin)
		memcpy(r->pin, pin, sizeof r->pin);
	struct rpc_channel_config config = {.tls = pin ? f->worker_tls : NULL, .pin_sha256 = pin ? r->pin : NULL};
	if (r->target) { // a thread may be connecting with it
		f->retired = mem_realloc(f->retired, (f->n_retired + 1) * sizeof *f->retired);
		f->retired[f->n_retired++] = r->target;
	}
	r->target = rpc_target_new(f->loop, r->address, &config);
}

static struct route *add_route(struct farm *f, const char *worker, const char *address, const uint8_t *pin)
{
	struct route *r = mem_alloc(sizeof *r);
	r->worker = mem_strdup(worker);
	r->address = mem_strdup(address);
	set_target(f, r, pin);
	f->routes = mem_realloc(f->routes, (f->n_routes + 1) * sizeof *f->routes);
	f->routes[f->n_routes++] = r;
	return r;
}

static int use_scheduler(struct farm *f, const struct config *c, struct err *err)
{
	struct rpc_tls_config tls = {.certificate = text_or_null(c, SETTING_certificate),
				     .key = text_or_null(c, SETTING_certificate_key),
				     .ca = text_or_null(c, SETTING_scheduler_ca)};
	struct rpc_tls_config pinned = {0};
	if (rpc_tls_client(&tls, &f->scheduler_tls, err) < 0 || rpc_tls_client(&pinned, &f->worker_tls, err) < 0)
		return -1;
	struct rpc_channel_config config = {.tls = f->scheduler_tls};
	f->scheduler = rpc_target_new(f->loop, config_text(c, SETTING_scheduler), &config);
	return 0;
}

static bool is_of_this_machine(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
	       strncmp(address, "localhost:", 10) == 0 || strncmp(address, "unix:", 5) == 0;
}

// Without a scheduler there are no tokens and no certificates: only for workers of this machine.
static int use_workers(struct farm *f, const char *words, struct err *err)
{
	AUTO_FREE char *copy = mem_strdup(words);
	char *save = NULL;
	for (char *w = strtok_r(copy, " \t,", &save); w; w = strtok_r(NULL, " \t,", &save)) {
		if (!is_of_this_machine(w))
			return err_set(
				err, ERR_USAGE,
				"worker '%s' is another machine: those are reached through a scheduler (setting scheduler)",
				w);
		struct route *r = add_route(f, w, w, NULL);
		r->slots = f->most_jobs;
		r->is_current = true;
	}
	return 0;
}

int farm_open(const struct config *c, struct farm **farm, struct err *err)
{
	const char *scheduler = text_or_null(c, SETTING_scheduler), *workers = text_or_null(c, SETTING_worker);
	*farm = NULL;
	if (!scheduler && !workers)
		return 0;
	struct farm *f = mem_alloc(sizeof *f);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->asked, NULL);
	pthread_cond_init(&f->freed, NULL);
	f->tenant = mem_strdup(config_text(c, SETTING_tenant));
	f->image = mem_strdup(config_text(c, SETTING_image));
	f->token_file = text_or_null(c, SETTING_token_file) ? mem_strdup(config_text(c, SETTING_token_file)) : NULL;
	f->isolation = isolation_of_name(config_text(c, SETTING_isolation));
	f->most_jobs = (uint32_t)config_number(c, SETTING_remote_jobs);
	f->timeout_ms = config_number(c, SETTING_remote_timeout);
	int done = 0;
	if (f->isolation < 0)
		done = err_set(err, ERR_USAGE, "isolation '%s': use none, process, sandbox or microvm",
			       config_text(c, SETTING_isolation));
	if (done == 0)
		done = rpc_loop_start(&f->loop, err);
	if (done == 0)
		done = scheduler ? use_scheduler(f, c, err) : use_workers(f, workers, err);
	if (done < 0) {
		farm_free(f);
		return -1;
	}
	*farm = f;
	return 0;
}

// ---- routes -----------------------------------------------------------------------------------------------------------

static struct route *find_route(struct farm *f, const Coffer__V1__Route *from)
{
	for (size_t i = 0; i < f->n_routes; i++)
		if (strcmp(f->routes[i]->worker, from->worker) == 0 && strcmp(f->routes[i]->address, from->address) == 0)
			return f->routes[i];
	return NULL;
}

static bool is_struck_out(const struct farm *f, const char *worker)
{
	for (size_t i = 0; i < f->n_routes; i++)
		if (f->routes[i]->has_lied && strcmp(f->routes[i]->worker, worker) == 0)
			return true;
	return false;
}

// Routes that are gone stay in the list: jobs may be under way there, and what a worker has done is not forgotten.
static void take_routes(struct farm *f, const Coffer__V1__RouteReply *reply)
{
	for (size_t i = 0; i < f->n_routes; i++)
		f->routes[i]->is_current = false;
	for (size_t i = 0; i < reply->n_routes; i++) {
		const Coffer__V1__Route *from = reply->routes[i];
		const uint8_t *pin = from->certificate_sha256.len == 32 ? from->certificate_sha256.data : NULL;
		struct route *r = find_route(f, from);
		if (!pin && !is_of_this_machine(from->address))
			continue; // plain text over a network
		if (!r && is_struck_out(f, from->worker))
			continue; // another address makes no other worker of it
		if (!r && f->n_routes < ROUTES_MAX)
			r = add_route(f, from->worker, from->address, pin);
		if (!r)
			continue;
		if (pin && memcmp(r->pin, pin, sizeof r->pin) != 0)
			set_target(f, r, pin); // its certificate was renewed
		free(r->token);
		r->token = mem_strdup(from->token);
		r->slots = from->slots;
		r->is_current = true;
	}
	uint32_t life = reply->lifetime_ms;
	f->fresh_until_ms = now_ms() + (reply->n_routes ? (life > 1000 && life < 3600000 ? life : 30000) : RETRY_MS);
	snprintf(f->why, sizeof f->why, "%s", reply->n_routes ? "all places are taken" : reply->reason);
}

static char *authorization(const struct farm *f)
{
	AUTO_BUF struct buf token = {.max = TOKEN_MAX};
	if (!f->token_file || file_read(AT_FDCWD, f->token_file, TOKEN_MAX, &token, NULL, NULL) < 0 || !token.data)
		return NULL;
	AUTO_BUF struct buf b = BUF_INIT;
	buf_addf(&b, "Bearer %.*s", (int)strcspn(token.data, "\r\n \t"), token.data);
	return mem_strdup(b.data);
}

static int ask_scheduler(struct farm *f, Coffer__V1__RouteReply **reply, struct err *err)
{
	Coffer__V1__RouteRequest request = COFFER__V1__ROUTE_REQUEST__INIT;
	AUTO_FREE char *auth = authorization(f);
	request.tenant = f->tenant;
	request.image = f->image;
	request.slots = f->most_jobs;
	request.minimum_isolation = (Coffer__V1__Isolation)f->isolation;
	struct rpc_call_options options = {.deadline_ms = ROUTE_MS, .authorization = auth};
	struct rpc_channel *channel;
	if (rpc_target_channel(f->scheduler, ROUTE_MS, &channel, err) < 0)
		return -1;
	int done = rpc_unary(channel, "/coffer.v1.Scheduler/Route", &options, &request.base,
			     &coffer__v1__route_reply__descriptor, reply, NULL, err);
	rpc_channel_release(channel);
	return done;
}

// One thread asks, the others wait for its answer. The lock is held, but not while it asks.
static void refresh(struct farm *f)
{
	struct timespec limit;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 2 * ROUTE_MS / 1000;
	if (f->is_asking) {
		while (f->is_asking && pthread_cond_timedwait(&f->asked, &f->lock, &limit) == 0)
			;
		return;
	}
	Coffer__V1__RouteReply *reply = NULL;
	struct err err = ERR_INIT;
	f->is_asking = true;
	pthread_mutex_unlock(&f->lock);
	int done = ask_scheduler(f, &reply, &err);
	pthread_mutex_lock(&f->lock);
	if (done == 0) {
		take_routes(f, reply);
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	} else {
		// What we have stays good while its tokens are: workers go on without a scheduler.
		log_warn("no routes from the scheduler: %s", err.text);
		snprintf(f->why, sizeof f->why, "the scheduler does not answer: %s", err.text);
		f->fresh_until_ms = now_ms() + RETRY_MS;
	}
	f->is_asking = false;
	pthread_cond_broadcast(&f->asked);
}

static void compiler_key(const struct farm_compiler *c, char key[320])
{
	snprintf(key, 320, "%s\n%s\n%s\n%s", c->name, c->language, c->version, c->target);
}

static struct route *best_route(struct farm *f, const char *compiler)
{
	struct route *best = NULL;
	int64_t now = now_ms();
	for (size_t i = 0; i < f->n_routes; i++) {
		struct route *r = f->routes[i];
		if (!r->is_current || r->has_lied || r->in_flight >= r->slots || now < r->not_before_ms ||
		    (uintptr_t)map_gets(&r->compilers, compiler) == OTHER)
			continue;
		if (!best || (uint64_t)r->in_flight * best->slots < (uint64_t)best->in_flight * r->slots)
			best = r;
	}
	return best;
}

// ---- is its compiler ours? --------------------------------------------------------------------------------------------

// SAME, OTHER, or -1: it could not be asked.
static int compare(struct farm *f, struct farm_seat *seat, const struct farm_compiler *c, struct err *err)
{
	Coffer__V1__DescribeRequest request = COFFER__V1__DESCRIBE_REQUEST__INIT;
	Coffer__V1__DescribeReply *reply = NULL;
	enum rpc_code code = RPC_OK;
	request.image = f->image;
	request.compiler = (char *)(uintptr_t)c->name;
	request.language = (char *)(uintptr_t)c->language;
	struct rpc_call_options options = {.deadline_ms = DESCRIBE_MS, .authorization = seat->authorization};
	if (rpc_unary(seat->channel, "/coffer.v1.Worker/Describe", &options, &request.base,
		      &coffer__v1__describe_reply__descriptor, &reply, &code, err) < 0) {
		if (code != RPC_NOT_FOUND && code != RPC_INVALID_ARGUMENT && code != RPC_FAILED_PRECONDITION)
			return -1;
		log_warn("worker '%s' has no '%s' for us: %s", seat->worker, c->name, err->text);
		return OTHER;
	}
	const char *differs =
		strcmp(reply->version, c->version) != 0 ? "version"
		: strcmp(reply->target, c->target) != 0 ? "target"
		: reply->defines.len != sizeof c->defines || memcmp(reply->defines.data, c->defines, sizeof c->defines) != 0
			? "built-in definitions"
			: NULL;
	if (!differs && (int)reply->isolation < f->isolation)
		differs = "isolation";
	if (differs)
		log_warn("worker '%s' is not used for '%s': its %s is another one (here: %s, %s; there: %s, %s)",
			 seat->worker, c->name, differs, c->version, c->target, reply->version, reply->target);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	return differs ? OTHER : SAME;
}

// ---- seats ------------------------------------------------------------------------------------------------------------

static void pause_route(struct route *r, int64_t ms)
{
	int64_t until = now_ms() + (ms < FAILED_MAX_MS ? ms : FAILED_MAX_MS);
	if (until > r->not_before_ms)
		r->not_before_ms = until;
}

// Jobs that were under way together fail together: that is one failure.
static void note_failure(struct farm *f, struct route *r, int asked_ms)
{
	if (now_ms() >= r->not_before_ms) {
		pause_route(r, (int64_t)FAILED_MS << (r->failures < 6 ? r->failures : 6));
		r->failures++;
		f->fresh_until_ms = 0; // the scheduler may know better
	}
	pause_route(r, asked_ms);
}

static void strike_out(struct route *r, const char *why)
{
	if (!r->has_lied)
		log_error("worker '%s' is struck out: %s; it gets no more jobs from this daemon", r->worker, why);
	else
		log_debug("worker '%s' has lied again: %s", r->worker, why);
	if (!r->has_lied)
		snprintf(r->lie, sizeof r->lie, "%s", why);
	r->has_lied = true;
}

static bool give_back(struct farm *f, struct farm_seat *seat, enum farm_verdict verdict)
{
	struct route *r = seat->route;
	pthread_mutex_lock(&f->lock);
	r->in_flight--;
	f->in_flight--;
	pthread_cond_signal(&f->freed);
	if (verdict == FARM_DONE) {
		r->failures = 0;
		r->jobs++;
	} else if (verdict == FARM_BUSY) {
		pause_route(r, seat->pause_ms ? seat->pause_ms : BUSY_MS);
	} else if (verdict == FARM_FAILED) {
		note_failure(f, r, seat->pause_ms);
	} else {
		strike_out(r, seat->why);
	}
	bool is_trusted = !r->has_lied;
	pthread_mutex_unlock(&f->lock);
	return is_trusted;
}

bool farm_give(struct farm *f, struct farm_seat *seat, enum farm_verdict verdict)
{
	rpc_channel_release(seat->channel);
	if (seat->authorization)
		explicit_bzero(seat->authorization, strlen(seat->authorization));
	free(seat->authorization);
	bool is_trusted = give_back(f, seat, verdict);
	*seat = (struct farm_seat){0};
	return is_trusted;
}

bool farm_trusts(struct farm *f, const struct farm_seat *seat)
{
	pthread_mutex_lock(&f->lock);
	bool is_trusted = !seat->route->has_lied;
	pthread_mutex_unlock(&f->lock);
	return is_trusted;
}

static int sit_down(struct farm *f, struct route *r, struct rpc_target *target, const char *token, struct farm_seat *seat,
		    struct err *err)
{
	*seat = (struct farm_seat){.route = r, .worker = r->worker};
	if (rpc_target_channel(target, CONNECT_MS, &seat->channel, err) < 0) {
		give_back(f, seat, FARM_FAILED);
		return -1;
	}
	if (token) {
		AUTO_BUF struct buf b = BUF_INIT;
		buf_addf(&b, "Bearer %s", token);
		seat->authorization = mem_strdup(b.data);
	}
	return 0;
}

int farm_take(struct farm *f, const struct farm_compiler *compiler, struct farm_seat *seat, struct err *err)
{
	char key[320];
	compiler_key(compiler, key);
	pthread_mutex_lock(&f->lock);
	if (f->scheduler && now_ms() >= f->fresh_until_ms)
		refresh(f);
	struct route *r = f->in_flight < f->most_jobs ? best_route(f, key) : NULL;
	bool known = r && map_gets(&r->compilers, key);
	struct rpc_target *target = r ? r->target : NULL;
	AUTO_FREE char *token = r && r->token ? mem_strdup(r->token) : NULL;
	if (r) {
		r->in_flight++;
		f->in_flight++;
	} else {
		err_set(err, ERR_LIMIT, "%s", f->why[0] ? f->why : "all places are taken");
	}
	pthread_mutex_unlock(&f->lock);
	if (!r || sit_down(f, r, target, token, seat, err) < 0)
		return 0;
	if (known)
		return 1;
	int same = compare(f, seat, compiler, err);
	if (same > 0) {
		pthread_mutex_lock(&f->lock);
		map_puts(&r->compilers, key, (void *)(uintptr_t)same);
		pthread_mutex_unlock(&f->lock);
	}
	if (same == SAME)
		return 1;
	farm_give(f, seat, same == OTHER ? FARM_DONE : FARM_FAILED);
	return 0;
}

void farm_wait(struct farm *f, int ms)
{
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += (long)ms * 1000000;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	pthread_mutex_lock(&f->lock);
	pthread_cond_timedwait(&f->freed, &f->lock, &end);
	pthread_mutex_unlock(&f->lock);
}

const char *farm_image(const struct farm *f)
{
	return f->image;
}

int64_t farm_timeout_ms(const struct farm *f)
{
	return f->timeout_ms;
}

void farm_describe(struct farm *f, struct buf *out)
{
	pthread_mutex_lock(&f->lock);
	buf_addf(out, "remote_jobs %u\n", f->in_flight);
	for (size_t i = 0; i < f->n_routes; i++) {
		const struct route *r = f->routes[i];
		buf_addf(out, "worker %s %s slots %u in_flight %u jobs %llu %s%s\n", r->worker, r->address, r->slots,
			 r->in_flight, (unsigned long long)r->jobs,
			 r->has_lied                   ? "struck out: "
			 : !r->is_current              ? "no route"
			 : now_ms() < r->not_before_ms ? "pausing"
						       : "fine",
			 r->lie);
	}
	if (!f->n_routes && f->why[0])
		buf_addf(out, "no_workers %s\n", f->why);
	pthread_mutex_unlock(&f->lock);
}

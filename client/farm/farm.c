#include "client/farm/parts.h"

#include "auth/token.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "codec/hash.h"
#include "proto/coffer.pb-c.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ROUTE_MS = 3000,   // for one answer of the scheduler, with the connection to it
	CONNECT_MS = 3000, // to a worker
	RETRY_MS = 5000,   // after the scheduler failed or had no route
	BUSY_MS = 500,     // where a full worker does not say when to come again
	FAILED_MS = 2000,  // doubled with each failure in a row
	FAILED_MAX_MS = 60000,
	ROUTES_MAX = 4096,
	TREES_AGAIN_MS = 600000,
};

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

// `text` "": there is none any more.
static void note_trouble(struct farm *f, const char *text)
{
	if (strcmp(f->trouble, text) == 0)
		return;
	snprintf(f->trouble, sizeof f->trouble, "%s", text);
	f->trouble_since_s = time(NULL);
	if (f->ask_failed)
		log_warn("%s", text);
	else if (!*text)
		log_info("the scheduler gives routes again");
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
		if (!pin && !value_is_of_this_machine(from->address))
			continue; // plain text over a network
		if (!r && is_struck_out(f, from->worker))
			continue; // another address makes no other worker of it
		if (!r && f->n_routes < ROUTES_MAX)
			r = farm_add_route(f, from->worker, from->address, pin);
		if (!r)
			continue;
		if (pin && memcmp(r->pin, pin, sizeof r->pin) != 0)
			farm_set_target(f, r, pin); // its certificate was renewed
		free(r->token);
		r->token = mem_strdup(from->token);
		free(r->namesake);
		r->namesake = *from->namesake ? mem_strdup(from->namesake) : NULL;
		r->slots = from->slots;
		r->is_current = true;
	}
	uint32_t life = reply->lifetime_ms;
	int64_t good_for = !reply->n_routes ? RETRY_MS : life > 1000 && life < 3600000 ? life : 30000;
	f->fresh_until_ms = clock_ms() + good_for;
	f->stale_at_ms = clock_ms() + 2 * good_for;
	snprintf(f->why, sizeof f->why, "%s", reply->n_routes ? "all places are taken" : reply->reason);
	note_trouble(f, reply->n_routes ? "" : f->why);
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
	int64_t until = clock_ms() + ROUTE_MS;
	struct rpc_channel *channel;
	if (rpc_target_channel(f->scheduler, ROUTE_MS, &channel, err) < 0)
		return -1;
	int64_t left = until - clock_ms();
	struct rpc_call_options options = {.deadline_ms = left > 1 ? (uint32_t)left : 1, .authorization = auth};
	int done = rpc_unary(channel, "/coffer.v1.Scheduler/Route", &options, &request.base,
			     &coffer__v1__route_reply__descriptor, reply, NULL, err);
	rpc_channel_release(channel);
	return done;
}

// Routes that may still do: they were good a moment ago, or it is no use to wait for others.
static bool has_routes(const struct farm *f)
{
	for (size_t i = 0; i < f->n_routes; i++)
		if (f->routes[i]->is_current)
			return f->ask_failed || clock_ms() < f->stale_at_ms;
	return false;
}

// One thread asks; the others go on with what there is, or wait for its answer.
void farm_refresh(struct farm *f)
{
	if (f->is_asking) {
		int64_t limit = clock_ms() + ROUTE_MS;
		while (f->is_asking && !has_routes(f) && cond_wait_until(&f->asked, &f->lock, limit))
			;
		return;
	}
	Coffer__V1__RouteReply *reply = NULL;
	struct err err = ERR_INIT;
	f->is_asking = true;
	pthread_mutex_unlock(&f->lock);
	int done = ask_scheduler(f, &reply, &err);
	pthread_mutex_lock(&f->lock);
	f->ask_failed = done < 0;
	if (done == 0) {
		take_routes(f, reply);
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	} else {
		// What we have stays good while its tokens are: workers go on without a scheduler.
		snprintf(f->why, sizeof f->why, "no routes from the scheduler: %.200s", err.text);
		note_trouble(f, f->why);
		f->fresh_until_ms = clock_ms() + RETRY_MS;
	}
	f->is_asking = false;
	pthread_cond_broadcast(&f->asked);
}

static void compiler_key(const struct farm_compiler *c, char key[320])
{
	AUTO_HASHER struct hasher h;
	char files[DIGEST_HEX];
	hasher_init(&h);
	for (size_t i = 0; i < c->n_files; i++) {
		hasher_str(&h, c->files[i].path);
		hasher_bytes(&h, c->files[i].digest, sizeof c->files[i].digest);
	}
	struct digest digest = hasher_end(&h);
	digest_hex(&digest, files);
	snprintf(key, 320, "%s\n%s\n%s\n%s\n%s", c->name, c->language, c->version, c->target, files);
}

static int64_t best_pace(const struct farm *f, int64_t best_ms)
{
	for (size_t i = 0; i < f->n_routes; i++)
		if (f->routes[i]->is_current)
			best_ms = latency_best(best_ms, &f->routes[i]->pace);
	return best_ms;
}

// The one with the least to do; one that is much slower than others only when they have no slot.
static struct route *best_route(struct farm *f, const char *compiler)
{
	struct route *best = NULL;
	bool best_is_slow = false;
	int64_t now = clock_ms(), pace = best_pace(f, -1);
	for (size_t i = 0; i < f->n_routes; i++) {
		struct route *r = f->routes[i];
		const char *identity = map_gets(&r->compilers, compiler);
		if (!r->is_current || r->has_lied || r->in_flight >= r->slots || now < r->not_before_ms ||
		    (identity && !*identity))
			continue;
		bool is_slow = latency_is_slow(&r->pace, pace);
		if (!best || best_is_slow > is_slow ||
		    (best_is_slow == is_slow &&
		     (uint64_t)r->in_flight * best->slots < (uint64_t)best->in_flight * r->slots)) {
			best = r;
			best_is_slow = is_slow;
		}
	}
	return best;
}

// ---- seats ------------------------------------------------------------------------------------------------------------

static void pause_route(struct route *r, int64_t ms)
{
	int64_t until = clock_ms() + (ms < FAILED_MAX_MS ? ms : FAILED_MAX_MS);
	if (until > r->not_before_ms)
		r->not_before_ms = until;
}

// Jobs that were under way together fail together: that is one failure.
static void note_failure(struct farm *f, struct route *r, int asked_ms)
{
	if (clock_ms() >= r->not_before_ms) {
		pause_route(r, (int64_t)FAILED_MS << (r->failures < 6 ? r->failures : 6));
		r->failures++;
		f->fresh_until_ms = 0; // the scheduler may know better
	}
	pause_route(r, asked_ms);
}

// Under all addresses that it has, or had.
static void strike_out(struct farm *f, const char *worker, const char *why)
{
	bool is_known = is_struck_out(f, worker);
	if (!is_known)
		log_error("worker '%s' is struck out: %s; it gets no more jobs from this daemon", worker, why);
	else
		log_debug("worker '%s' has lied again: %s", worker, why);
	for (size_t i = 0; i < f->n_routes && !is_known; i++) {
		struct route *r = f->routes[i];
		if (strcmp(r->worker, worker) != 0)
			continue;
		snprintf(r->lie, sizeof r->lie, "%s", why);
		r->lied_at_s = time(NULL);
		r->has_lied = true;
	}
}

void farm_note_words(struct farm *f, const char *worker, bool is_right)
{
	unsigned doubts = 0;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->n_routes; i++) {
		struct route *r = f->routes[i];
		if (strcmp(r->worker, worker) != 0)
			continue;
		r->doubts = is_right ? 0 : r->doubts + 1;
		doubts = r->doubts > doubts ? r->doubts : doubts;
	}
	if (doubts >= FARM_MOST_DOUBTS)
		strike_out(f, worker, "its compiles fail or have messages where the compiler here has none");
	pthread_mutex_unlock(&f->lock);
}

void farm_note_tree(struct farm *f, const char *worker, bool is_done)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->n_routes; i++) {
		struct route *r = f->routes[i];
		if (strcmp(r->worker, worker) != 0)
			continue;
		r->tree_failures = is_done ? 0 : r->tree_failures + 1;
		if (is_done)
			r->trees_again_ms = 0;
		if (r->tree_failures < FARM_MOST_TREE_FAILURES)
			continue;
		if (r->tree_failures == FARM_MOST_TREE_FAILURES)
			log_warn("worker '%s' has refused or spoilt %u trees in a row: it gets preprocessed text for %d "
				 "minutes",
				 worker, r->tree_failures, TREES_AGAIN_MS / 60000);
		r->trees_again_ms = clock_ms() + TREES_AGAIN_MS;
	}
	pthread_mutex_unlock(&f->lock);
}

static struct digest *bound_place(struct farm *f, const struct digest *key)
{
	uint32_t at;
	memcpy(&at, key->b, sizeof at);
	return &f->bound[at % FARM_BOUND];
}

void farm_note_bound(struct farm *f, const struct digest *key)
{
	pthread_mutex_lock(&f->lock);
	*bound_place(f, key) = *key;
	pthread_mutex_unlock(&f->lock);
}

bool farm_is_bound(struct farm *f, const struct digest *key)
{
	pthread_mutex_lock(&f->lock);
	bool is_bound = digest_equal(bound_place(f, key), key);
	pthread_mutex_unlock(&f->lock);
	return is_bound;
}

static bool give_back(struct farm *f, struct farm_seat *seat, enum farm_verdict verdict)
{
	struct route *r = seat->route;
	pthread_mutex_lock(&f->lock);
	r->in_flight--;
	f->in_flight--;
	pthread_cond_signal(&f->freed);
	if (seat->took_ms)
		latency_note(&r->pace, seat->took_ms);
	switch (verdict) {
	case FARM_UNUSED: // it has not been asked for anything, or was not waited for
		break;
	case FARM_DONE:
		r->failures = 0;
		r->jobs++;
		r->done_at_ms = clock_ms();
		break;
	case FARM_BUSY:
		pause_route(r, seat->pause_ms ? seat->pause_ms : BUSY_MS);
		break;
	case FARM_FAILED:
		note_failure(f, r, seat->pause_ms);
		break;
	case FARM_CHANGED:
		map_release_all(&r->compilers);
		break;
	case FARM_LIED:
		strike_out(f, r->worker, seat->why);
		break;
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

char *farm_authorization(const char *token)
{
	return token ? mem_printf("Bearer %s", token) : NULL;
}

static int sit_down(struct farm *f, struct route *r, struct rpc_target *target, const char *token, struct farm_seat *seat,
		    struct err *err)
{
	*seat = (struct farm_seat){.route = r, .worker = r->worker, .cluster = f->cluster};
	if (f->cluster)
		return 0;
	if (rpc_target_channel(target, CONNECT_MS, &seat->channel, err) < 0) {
		give_back(f, seat, FARM_FAILED);
		return -1;
	}
	seat->authorization = farm_authorization(token);
	return 0;
}

int farm_take(struct farm *f, const struct farm_compiler *compiler, struct farm_seat *seat, struct err *err)
{
	char key[320], identity[FARM_IDENTITY] = "";
	compiler_key(compiler, key);
	pthread_mutex_lock(&f->lock);
	if (f->scheduler && clock_ms() >= f->fresh_until_ms)
		farm_refresh(f);
	struct route *r = f->in_flight < f->most_jobs ? best_route(f, key) : NULL;
	if (r && map_gets(&r->compilers, key))
		snprintf(identity, sizeof identity, "%s", (const char *)map_gets(&r->compilers, key));
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
	int same = 1;
	if (*identity)
		memcpy(seat->identity, identity, sizeof identity);
	else
		same = farm_compare(f, seat, compiler, err);
	pthread_mutex_lock(&f->lock);
	if (same >= 0 && !*identity)
		free(map_puts(&r->compilers, key, mem_strdup(seat->identity)));
	seat->takes_trees = r->takes_trees && clock_ms() >= r->trees_again_ms;
	pthread_mutex_unlock(&f->lock);
	if (same == 1)
		return 1;
	// What a cluster says in a way that nobody can take is a lie there, too.
	bool is_lie = same < 0 && seat->cluster && err->code == ERR_FORMAT;
	if (is_lie)
		snprintf(seat->why, sizeof seat->why, "%.150s", err->text);
	farm_give(f, seat, same == 0 ? FARM_UNUSED : is_lie ? FARM_LIED : FARM_FAILED);
	return 0;
}

bool farm_lacks(struct farm *f, const struct farm_compiler *compiler)
{
	char key[320];
	bool is_asked = false, is_found = false;
	compiler_key(compiler, key);
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->n_routes; i++) {
		const struct route *r = f->routes[i];
		const char *identity = map_gets(&r->compilers, key);
		is_asked |= r->is_current && identity;
		is_found |= r->is_current && !r->has_lied && (!identity || *identity);
	}
	pthread_mutex_unlock(&f->lock);
	return is_asked && !is_found;
}

void farm_wait(struct farm *f, int ms)
{
	pthread_mutex_lock(&f->lock);
	cond_wait_until(&f->freed, &f->lock, clock_ms() + ms);
	pthread_mutex_unlock(&f->lock);
}

int64_t farm_last_done_ms(struct farm *f, const struct farm_seat *seat)
{
	pthread_mutex_lock(&f->lock);
	int64_t ms = seat->route->jobs ? clock_ms() - seat->route->done_at_ms : INT64_MAX;
	pthread_mutex_unlock(&f->lock);
	return ms;
}

void farm_note_local(struct farm *f, int64_t ms)
{
	pthread_mutex_lock(&f->lock);
	latency_note(&f->here, ms);
	pthread_mutex_unlock(&f->lock);
}

int64_t farm_patience_ms(struct farm *f)
{
	pthread_mutex_lock(&f->lock);
	int64_t ms = latency_patience_ms(best_pace(f, latency_best(-1, &f->here)));
	pthread_mutex_unlock(&f->lock);
	return ms;
}

void farm_last_listing(struct farm *f, const struct farm_seat *seat, struct buf *listing)
{
	pthread_mutex_lock(&f->lock);
	buf_add(listing, seat->route->listing.data, seat->route->listing.len);
	pthread_mutex_unlock(&f->lock);
}

void farm_note_listing(struct farm *f, const struct farm_seat *seat, const struct buf *listing)
{
	pthread_mutex_lock(&f->lock);
	buf_clear(&seat->route->listing);
	buf_add(&seat->route->listing, listing->data, listing->len);
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

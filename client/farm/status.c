// What `coffer status` tells of a farm: routes, what this machine has there, and what each worker says of itself.
#include "client/farm/parts.h"

#include "base/clock.h"
#include "base/json.h"
#include "proto/coffer.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_MS = 2000, ASK_AGAIN_MS = 300, ASK_MOST = 256 };

// One question that is under way.
struct question {
	struct route *route;
	struct rpc_target *target;
	char *authorization;
	struct rpc_call *call;
	struct route_load load;
	int64_t end_ms;
	pthread_t thread;
	bool has_thread;
};

// ---- asking the workers -----------------------------------------------------------------------------------------------

static void start_question(struct question *q, int64_t end_ms)
{
	Coffer__V1__StatusRequest request = COFFER__V1__STATUS_REQUEST__INIT;
	struct err err = ERR_INIT;
	struct rpc_channel *channel;
	int64_t left = end_ms - clock_ms();
	struct rpc_call_options options = {.deadline_ms = ASK_MS, .authorization = q->authorization};
	if (left <= 0)
		err_set(&err, ERR_TIMEOUT, "not asked: others have not answered in time");
	else if (rpc_target_channel(q->target, (int)left, &channel, &err) == 0) {
		if (rpc_call_start(channel, "/coffer.v1.Worker/Status", &options, &q->call, &err) == 0) {
			rpc_send(q->call, &request.base, &err);
			rpc_send_end(q->call);
		}
		rpc_channel_release(channel);
	}
	if (!q->call)
		snprintf(q->load.why_not, sizeof q->load.why_not, "%.150s", err.text);
}

static void note_reply(struct route_load *load, const Coffer__V1__StatusReply *r)
{
	load->is_known = true;
	load->slots = r->slots;
	load->running = r->running;
	load->waiting = r->waiting;
	load->sessions = r->sessions;
	load->own_running = r->own_running;
	load->own_waiting = r->own_waiting;
	load->own_sessions = r->own_sessions;
	load->own_answers = r->own_answers;
	load->own_hits = r->own_hits;
	load->is_draining = r->draining;
	snprintf(load->version, sizeof load->version, "%s", r->version);
}

static void end_question(struct question *q, int64_t end_ms)
{
	Coffer__V1__StatusReply *reply = NULL;
	struct err err = ERR_INIT;
	int64_t left = end_ms - clock_ms();
	if (!q->call)
		return;
	if (rpc_receive(q->call, &coffer__v1__status_reply__descriptor, left > 0 ? (int)left : 0, &reply, &err) == 1)
		note_reply(&q->load, reply);
	else
		snprintf(q->load.why_not, sizeof q->load.why_not, "%.150s", err.text[0] ? err.text : "no answer");
	if (reply)
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	rpc_call_release(q->call);
}

// Under the lock: the workers that there are routes to.
static size_t list_questions(const struct farm *f, struct question *questions)
{
	size_t n = 0;
	for (size_t i = 0; i < f->n_routes && n < ASK_MOST; i++) {
		struct route *r = f->routes[i];
		if (r->is_current && !r->has_lied && !r->is_cluster)
			questions[n++] = (struct question){
				.route = r, .target = r->target, .authorization = farm_authorization(r->token)};
	}
	return n;
}

static void *ask_one(void *arg)
{
	struct question *q = arg;
	start_question(q, q->end_ms);
	end_question(q, q->end_ms);
	return NULL;
}

// All at once and each on a thread, so that one that swallows packets when we connect hides no other.
static void ask_workers(struct farm *f)
{
	AUTO_FREE struct question *questions = mem_alloc(ASK_MOST * sizeof *questions);
	int64_t end_ms = clock_ms() + ASK_MS;
	size_t n = 0;
	pthread_mutex_lock(&f->lock);
	if (clock_ms() - f->loads_at_ms >= ASK_AGAIN_MS)
		n = list_questions(f, questions);
	if (n)
		f->loads_at_ms = clock_ms();
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < n; i++) {
		questions[i].end_ms = end_ms;
		questions[i].has_thread = pthread_create(&questions[i].thread, NULL, ask_one, &questions[i]) == 0;
	}
	for (size_t i = 0; i < n; i++)
		if (questions[i].has_thread)
			pthread_join(questions[i].thread, NULL);
		else
			ask_one(&questions[i]);
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < n; i++) {
		questions[i].route->load = questions[i].load;
		if (questions[i].authorization)
			explicit_bzero(questions[i].authorization, strlen(questions[i].authorization));
		free(questions[i].authorization);
	}
	pthread_mutex_unlock(&f->lock);
}

// ---- the answer -------------------------------------------------------------------------------------------------------

static void add_flag(struct buf *b, const char *name, bool is_set)
{
	json_add_name(b, name);
	buf_adds(b, is_set ? "true" : "false");
}

static bool has_other_compilers_only(const struct route *r)
{
	size_t at = 0;
	void *identity;
	while (map_next(&r->compilers, &at, NULL, NULL, &identity))
		if (*(const char *)identity)
			return false;
	return r->compilers.n > 0;
}

// A word, what there is to say about it, and since when (0: now).
static const char *state_of(const struct route *r, const char **why, int64_t *since_s)
{
	*why = "";
	*since_s = 0;
	if (r->has_lied) {
		*why = r->lie;
		*since_s = r->lied_at_s;
		return "struck out";
	}
	if (!r->is_current)
		return "no route";
	if (r->is_cluster ? *r->load.why_not != '\0' : !r->load.is_known) {
		*why = r->load.why_not;
		return "no answer";
	}
	if (r->namesake) {
		*why = r->namesake;
		return "same name as";
	}
	if (r->load.is_draining)
		return "draining";
	*why = r->differs;
	*since_s = r->differs_since_s;
	if (has_other_compilers_only(r))
		return "differs";
	return clock_ms() < r->not_before_ms ? "pausing" : "fine";
}

static void add_load(struct buf *b, const struct route_load *load)
{
	json_add_field(b, "version", load->version);
	json_add_number(b, "slots_all", load->slots);
	json_add_number(b, "running", load->running);
	json_add_number(b, "waiting", load->waiting);
	json_add_number(b, "sessions", load->sessions);
	json_add_number(b, "own_running", load->own_running);
	json_add_number(b, "own_waiting", load->own_waiting);
	json_add_number(b, "own_sessions", load->own_sessions);
	json_add_number(b, "own_answers", (int64_t)load->own_answers);
	json_add_number(b, "own_hits", (int64_t)load->own_hits);
}

static void add_worker(struct buf *b, const struct route *r)
{
	int64_t since_s;
	const char *why, *state = state_of(r, &why, &since_s);
	if (b->data[b->len - 1] == '}')
		buf_addc(b, ',');
	buf_addc(b, '{');
	json_add_field(b, "name", r->worker);
	json_add_field(b, "address", r->address);
	json_add_field(b, "state", state);
	if (*why)
		json_add_field(b, "why", why);
	if (since_s)
		json_add_number(b, "since", since_s);
	json_add_number(b, "slots", r->slots);
	json_add_number(b, "in_flight", r->in_flight);
	json_add_number(b, "jobs", (int64_t)r->jobs);
	add_flag(b, "keep_nothing", r->keep_nothing);
	add_flag(b, "takes_trees", r->takes_trees && clock_ms() >= r->trees_again_ms);
	if (r->load.is_known)
		add_load(b, &r->load);
	buf_addc(b, '}');
}

void farm_status(struct farm *f, struct buf *out)
{
	pthread_mutex_lock(&f->lock);
	if (f->scheduler && clock_ms() >= f->fresh_until_ms)
		farm_refresh(f);
	pthread_mutex_unlock(&f->lock);
	ask_workers(f);
	pthread_mutex_lock(&f->lock);
	buf_addc(out, '{');
	if (f->scheduler_address)
		json_add_field(out, "scheduler", f->scheduler_address);
	json_add_field(out, "tenant", f->tenant);
	json_add_field(out, "image", f->image);
	if (f->why[0])
		json_add_field(out, "why", f->why);
	if (f->trouble[0]) {
		json_add_field(out, "trouble", f->trouble);
		json_add_number(out, "trouble_since", f->trouble_since_s);
	}
	json_add_number(out, "in_flight", f->in_flight);
	json_add_number(out, "most_jobs", f->most_jobs);
	json_add_name(out, "workers");
	buf_addc(out, '[');
	for (size_t i = 0; i < f->n_routes; i++)
		add_worker(out, f->routes[i]);
	buf_adds(out, "]}");
	pthread_mutex_unlock(&f->lock);
}

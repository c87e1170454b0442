// What `coffer status` tells of a farm: routes, what this machine has there, and what each worker says of itself.
#include "client/farm/parts.h"

#include "base/clock.h"
#include "base/json.h"
#include "proto/coffer.pb-c.h"

#include <stdio.h>
#include <string.h>

enum { ASK_MS = 2000, ASK_AGAIN_MS = 300 };

// ---- asking the workers -----------------------------------------------------------------------------------------------

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

static bool is_to_be_asked(struct farm *f)
{
	pthread_mutex_lock(&f->lock);
	bool is_time = clock_ms() - f->loads_at_ms >= ASK_AGAIN_MS;
	if (is_time)
		f->loads_at_ms = clock_ms();
	pthread_mutex_unlock(&f->lock);
	return is_time;
}

static void ask_workers(struct farm *f)
{
	Coffer__V1__StatusRequest request = COFFER__V1__STATUS_REQUEST__INIT;
	const struct farm_inquiry inquiry = {"/coffer.v1.Worker/Status", &request.base,
					     &coffer__v1__status_reply__descriptor, ASK_MS};
	if (!is_to_be_asked(f))
		return;
	struct farm_answers answers = farm_ask_all(f, &inquiry);
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < answers.n; i++) {
		const struct farm_answer *a = &answers.list[i];
		a->route->load = (struct route_load){0};
		if (a->reply)
			note_reply(&a->route->load, (const Coffer__V1__StatusReply *)a->reply);
		else
			snprintf(a->route->load.why_not, sizeof a->route->load.why_not, "%s", a->why_not);
	}
	pthread_mutex_unlock(&f->lock);
	farm_answers_release(&answers);
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

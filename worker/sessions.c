#include "worker/sessions.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/layers.h"

#include <stdlib.h>
#include <string.h>

// ---- the life of a session ------------------------------------------------------------------------------------------

enum state { OPENING, OPEN, SAVING, SAVED, RESUMING, ENDED, STATES };
enum event {
	DONE,    // what was under way has gone well
	FAILED,  // or has not
	PUT_OFF, // or can't be begun, for want of memory
	IDLE,    // nobody has it, and it is to take no memory any more
	WANTED,  // a job needs it
	DIED,    // its agent has gone
	CLOSED,  // nobody is to find it any more
	EVENTS
};

#define NEVER STATES
// Only a session that nobody has becomes IDLE. Of OPENING, SAVING and RESUMING one thread sees to it, and others wait.
// clang-format off
static const enum state next[STATES][EVENTS] = {
	/*              DONE   FAILED PUT_OFF IDLE    WANTED    DIED   CLOSED */
	[OPENING]  = { OPEN,  ENDED, NEVER,  NEVER,  OPENING,  NEVER, NEVER },
	[OPEN]     = { NEVER, NEVER, NEVER,  SAVING, OPEN,     ENDED, ENDED },
	[SAVING]   = { SAVED, ENDED, NEVER,  NEVER,  SAVING,   NEVER, NEVER },
	[SAVED]    = { NEVER, NEVER, NEVER,  NEVER,  RESUMING, NEVER, ENDED },
	[RESUMING] = { OPEN,  ENDED, SAVED,  NEVER,  RESUMING, NEVER, NEVER },
	[ENDED]    = { NEVER, NEVER, NEVER,  NEVER,  NEVER,    ENDED, ENDED },
};
// clang-format on

struct pooled_session {
	char *tenant, *image;
	struct runtime_session *session;
	struct layers *layers;
	enum state state;
	struct err err; // why it has ended
	unsigned users; // with those that wait until it is open
	int64_t used_at;
	struct pooled_session *next;
};

struct sessions {
	struct runtime *runtime;
	struct sessions_config config;
	pthread_mutex_t lock;
	pthread_cond_t change; // nothing is under way any more
	struct pooled_session *list;
	unsigned n_open; // all but those that are saved or have ended; an ended one counts until it is closed
	unsigned n_saved;
};

// ---- the books; all with the lock -----------------------------------------------------------------------------------

static void happen(struct sessions *s, struct pooled_session *x, enum event event)
{
	enum state to = next[x->state][event];
	if (to == NEVER) {
		log_error("a session in state %d can't take the event %d", (int)x->state, (int)event);
		abort();
	}
	if (to == SAVED && x->state != SAVED) {
		s->n_saved++;
		s->n_open--;
	} else if (to != SAVED && x->state == SAVED) {
		s->n_saved--;
		s->n_open++;
	}
	x->state = to;
	pthread_cond_broadcast(&s->change);
}

static bool is_under_way(const struct pooled_session *x)
{
	return x->state == OPENING || x->state == SAVING || x->state == RESUMING;
}

static void look_alive(struct sessions *s, struct pooled_session *x)
{
	if (x->state == OPEN && !runtime_session_is_alive(x->session))
		happen(s, x, DIED);
}

static struct pooled_session *find(struct sessions *s, const char *tenant, const char *image)
{
	for (struct pooled_session *x = s->list; x; x = x->next) {
		look_alive(s, x);
		if (x->state != ENDED && strcmp(x->tenant, tenant) == 0 && strcmp(x->image, image) == 0)
			return x;
	}
	return NULL;
}

static struct pooled_session *longest_unused(struct sessions *s, enum state state)
{
	struct pooled_session *best = NULL;
	for (struct pooled_session *x = s->list; x; x = x->next)
		if (x->users == 0 && x->state == state && (!best || x->used_at < best->used_at))
			best = x;
	return best;
}

static struct pooled_session *add(struct sessions *s, const char *tenant, const char *image)
{
	struct pooled_session *x = mem_alloc(sizeof *x);
	x->tenant = mem_strdup(tenant);
	x->image = mem_strdup(image);
	x->layers = s->config.layer_bytes ? layers_new(s->config.layer_bytes) : NULL;
	x->state = OPENING;
	x->next = s->list;
	s->list = x;
	s->n_open++;
	return x;
}

// ---- what takes its time; with the lock, which is let go meanwhile ---------------------------------------------------

// It has ended and nobody has it.
static void close_session(struct sessions *s, struct pooled_session *x)
{
	struct pooled_session **at = &s->list;
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	pthread_mutex_unlock(&s->lock);
	if (x->session)
		log_event(LOG_LEVEL_INFO, "session closed", LOG_TEXT("tenant", x->tenant), LOG_TEXT("image", x->image));
	runtime_session_close(x->session);
	layers_free(x->layers);
	free(x->tenant);
	free(x->image);
	free(x);
	pthread_mutex_lock(&s->lock);
	s->n_open--;
	pthread_cond_broadcast(&s->change);
}

static void carry_out(struct sessions *s, struct pooled_session *x)
{
	struct err err = ERR_INIT;
	int rc = -1;
	x->users++;
	pthread_mutex_unlock(&s->lock);
	int64_t from = clock_ms();
	switch (x->state) {
	case OPENING:
		rc = runtime_session_open(s->runtime, x->tenant, x->image, NULL, &x->session, &err);
		break;
	case SAVING:
		rc = runtime_session_save(x->session, &err);
		break;
	case RESUMING:
		rc = runtime_session_resume(x->session, &err);
		break;
	default:
		err_set(&err, ERR_USAGE, "nothing is to be done with the session");
	}
	static const char *const done[STATES] = {
		[OPENING] = "session opened", [SAVING] = "session saved", [RESUMING] = "session resumed"};
	if (rc == 0)
		log_event(LOG_LEVEL_INFO, done[x->state], LOG_TEXT("tenant", x->tenant), LOG_TEXT("image", x->image),
			  LOG_TEXT("limits", runtime_session_cgroups(x->session)), LOG_NUMBER("ms", clock_ms() - from));
	else if (x->state != OPENING)
		log_event(LOG_LEVEL_WARN, x->state == SAVING ? "session not saved" : "session not resumed",
			  LOG_TEXT("tenant", x->tenant), LOG_TEXT("image", x->image), LOG_TEXT("why", err.text));
	pthread_mutex_lock(&s->lock);
	x->users--;
	x->err = err;
	bool is_put_off = x->state == RESUMING && err.code == ERR_LIMIT;
	happen(s, x, rc == 0 ? DONE : is_put_off ? PUT_OFF : FAILED);
}

static void trim_saved(struct sessions *s)
{
	for (struct pooled_session *x; s->n_saved > s->config.most_saved && (x = longest_unused(s, SAVED));) {
		happen(s, x, CLOSED);
		close_session(s, x);
	}
}

// Nobody has it and nothing is under way: it takes no memory any more, or nothing at all.
static void put_away(struct sessions *s, struct pooled_session *x)
{
	look_alive(s, x);
	if (x->state == OPEN && s->config.most_saved && runtime_can_save(s->runtime)) {
		happen(s, x, IDLE);
		carry_out(s, x);
	} else if (x->state != ENDED) {
		happen(s, x, CLOSED);
	}
	if (x->state == ENDED && x->users == 0)
		close_session(s, x);
	trim_saved(s);
}

static bool make_room(struct sessions *s)
{
	struct pooled_session *x = longest_unused(s, ENDED);
	if (!x)
		x = longest_unused(s, OPEN);
	if (x)
		put_away(s, x);
	return x;
}

// ---- taking and giving ----------------------------------------------------------------------------------------------

static bool one_is_being_saved(const struct sessions *s)
{
	for (const struct pooled_session *x = s->list; x; x = x->next)
		if (x->state == SAVING)
			return true;
	return false;
}

// For one more that is open. The lock may have been let go.
static int wait_for_room(struct sessions *s, struct err *err)
{
	while (s->n_open >= s->config.most) {
		if (make_room(s))
			continue;
		if (!one_is_being_saved(s))
			return err_set(err, ERR_LIMIT, "all %u sessions are in use", s->config.most);
		pthread_cond_wait(&s->change, &s->lock);
	}
	return 0;
}

// Begins what it needs to be open, or waits for who has begun. 1: it is open; 0: look again; -1: it can't be opened.
static int bring_up(struct sessions *s, struct pooled_session *x, bool is_new, struct err *err)
{
	bool is_ours = is_new || x->state == SAVED;
	bool was_saved = x->state == SAVED || x->state == SAVING || x->state == RESUMING;
	if (!is_new)
		happen(s, x, WANTED);
	x->users++;
	if (is_ours)
		carry_out(s, x);
	while (is_under_way(x))
		pthread_cond_wait(&s->change, &s->lock);
	if (x->state == OPEN)
		return 1;
	*err = x->err;
	bool can_not = x->state == SAVED ? err->code == ERR_LIMIT : !was_saved && err->code != ERR_NONE;
	if (--x->users == 0 && x->state == ENDED)
		close_session(s, x);
	// Else another look finds it saved, or a new one takes the place of one that has died or was lost when it was saved or resumed.
	return can_not ? -1 : 0;
}

int sessions_take(struct sessions *s, const char *tenant, const char *image, struct pooled_session **session,
		  struct err *err)
{
	struct err why = ERR_INIT;
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	while (rc == 0) {
		struct pooled_session *x = find(s, tenant, image);
		bool needs_room = !x || x->state == SAVED;
		if (needs_room && s->n_open >= s->config.most) {
			rc = wait_for_room(s, &why);
			continue; // with another look
		}
		bool is_new = !x;
		if (is_new)
			x = add(s, tenant, image);
		rc = bring_up(s, x, is_new, &why);
		if (rc == 1)
			*session = x;
		// Too little memory, not too many: one that is idle makes room.
		if (rc < 0 && why.code == ERR_LIMIT && make_room(s))
			rc = 0;
	}
	pthread_mutex_unlock(&s->lock);
	if (rc < 0 && err)
		*err = why;
	return rc < 0 ? -1 : 0;
}

struct runtime_session *pooled_session(struct pooled_session *session)
{
	return session->session;
}

struct layers *pooled_session_layers(struct pooled_session *session)
{
	return session->layers;
}

void sessions_give(struct sessions *s, struct pooled_session *x)
{
	pthread_mutex_lock(&s->lock);
	x->used_at = clock_ms();
	look_alive(s, x);
	if (--x->users == 0 && x->state == ENDED)
		close_session(s, x);
	pthread_mutex_unlock(&s->lock);
}

// One that is to be put away now.
static struct pooled_session *find_stale(struct sessions *s, int64_t now)
{
	for (struct pooled_session *x = s->list; x; x = x->next) {
		look_alive(s, x);
		if (x->users || is_under_way(x))
			continue;
		int64_t most = x->state == SAVED ? s->config.saved_ms : s->config.idle_ms;
		if (x->state == ENDED || now - x->used_at > most)
			return x;
	}
	return NULL;
}

void sessions_tidy(struct sessions *s)
{
	pthread_mutex_lock(&s->lock);
	for (struct pooled_session *x; (x = find_stale(s, clock_ms()));)
		put_away(s, x);
	pthread_mutex_unlock(&s->lock);
}

unsigned sessions_count(struct sessions *s)
{
	pthread_mutex_lock(&s->lock);
	unsigned n = s->n_open;
	pthread_mutex_unlock(&s->lock);
	return n;
}

unsigned sessions_count_saved(struct sessions *s)
{
	pthread_mutex_lock(&s->lock);
	unsigned n = s->n_saved;
	pthread_mutex_unlock(&s->lock);
	return n;
}

unsigned sessions_count_of(struct sessions *s, const char *tenant)
{
	unsigned n = 0;
	pthread_mutex_lock(&s->lock);
	for (const struct pooled_session *x = s->list; x; x = x->next)
		n += strcmp(x->tenant, tenant) == 0;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void sessions_free(struct sessions *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->config.most_saved = 0;
	while (s->list)
		put_away(s, s->list);
	pthread_mutex_unlock(&s->lock);
	pthread_cond_destroy(&s->change);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct sessions *sessions_new(struct runtime *runtime, const struct sessions_config *config)
{
	struct sessions *s = mem_alloc(sizeof *s);
	s->runtime = runtime;
	s->config = *config;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->change, NULL);
	return s;
}

#include "worker/sessions.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum session_state { SESSION_OPENING, SESSION_OPEN, SESSION_FAILED };

struct pooled_session {
	char *tenant, *image;
	struct runtime_session *session;
	enum session_state state;
	struct err err; // why it failed
	unsigned users; // with those that wait until it is open
	bool is_listed;
	int64_t used_at;
	struct pooled_session *next;
};

struct sessions {
	struct runtime *runtime;
	unsigned most;
	int64_t idle_ms;
	pthread_mutex_t lock;
	pthread_cond_t change; // one is open, or has failed
	struct pooled_session *list;
	unsigned n; // with those that are not listed any more and not yet closed
};

struct sessions *sessions_new(struct runtime *runtime, unsigned most, int64_t idle_ms)
{
	struct sessions *s = mem_alloc(sizeof *s);
	s->runtime = runtime;
	s->most = most;
	s->idle_ms = idle_ms;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->change, NULL);
	return s;
}

static bool is_good(const struct pooled_session *x)
{
	return x->state == SESSION_OPENING || (x->state == SESSION_OPEN && runtime_session_is_alive(x->session));
}

static void unlist(struct sessions *s, struct pooled_session *x)
{
	if (!x->is_listed)
		return;
	struct pooled_session **at = &s->list;
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	x->is_listed = false;
}

// Nobody has it, and nobody finds it any more. Without the lock, as closing may take its time.
static void close_session(struct sessions *s, struct pooled_session *x)
{
	if (x->state == SESSION_OPEN)
		log_event(LOG_LEVEL_INFO, "session closed", LOG_TEXT("tenant", x->tenant), LOG_TEXT("image", x->image));
	runtime_session_close(x->session);
	free(x->tenant);
	free(x->image);
	free(x);
	pthread_mutex_lock(&s->lock);
	s->n--;
	pthread_mutex_unlock(&s->lock);
}

static struct pooled_session *find(struct sessions *s, const char *tenant, const char *image)
{
	for (struct pooled_session *x = s->list; x; x = x->next)
		if (strcmp(x->tenant, tenant) == 0 && strcmp(x->image, image) == 0 && is_good(x))
			return x;
	return NULL;
}

static struct pooled_session *longest_idle(struct sessions *s)
{
	struct pooled_session *best = NULL;
	for (struct pooled_session *x = s->list; x; x = x->next)
		if (x->users == 0 && (!best || x->used_at < best->used_at))
			best = x;
	return best;
}

static struct pooled_session *add(struct sessions *s, const char *tenant, const char *image)
{
	struct pooled_session *x = mem_alloc(sizeof *x);
	x->tenant = mem_strdup(tenant);
	x->image = mem_strdup(image);
	x->state = SESSION_OPENING;
	x->is_listed = true;
	x->next = s->list;
	s->list = x;
	s->n++;
	return x;
}

static void open_session(struct sessions *s, struct pooled_session *x)
{
	struct runtime_session *session = NULL;
	struct err err = ERR_INIT;
	int rc = runtime_session_open(s->runtime, x->tenant, x->image, NULL, &session, &err);
	if (rc == 0)
		log_event(LOG_LEVEL_INFO, "session opened", LOG_TEXT("tenant", x->tenant), LOG_TEXT("image", x->image),
			  LOG_TEXT("limits", runtime_session_cgroups(session)));
	pthread_mutex_lock(&s->lock);
	x->session = session;
	x->err = err;
	x->state = rc == 0 ? SESSION_OPEN : SESSION_FAILED;
	pthread_cond_broadcast(&s->change);
	pthread_mutex_unlock(&s->lock);
}

int sessions_take(struct sessions *s, const char *tenant, const char *image, struct pooled_session **session,
		  struct err *err)
{
	struct pooled_session *evicted = NULL;
	pthread_mutex_lock(&s->lock);
	struct pooled_session *x = find(s, tenant, image);
	bool is_new = !x;
	if (!x && s->n >= s->most && (evicted = longest_idle(s)))
		unlist(s, evicted);
	if (!x && s->n >= s->most && !evicted) {
		pthread_mutex_unlock(&s->lock);
		return err_set(err, ERR_LIMIT, "all %u sessions are in use", s->most);
	}
	if (!x)
		x = add(s, tenant, image);
	x->users++;
	while (!is_new && x->state == SESSION_OPENING)
		pthread_cond_wait(&s->change, &s->lock);
	pthread_mutex_unlock(&s->lock);
	if (evicted)
		close_session(s, evicted);
	if (is_new)
		open_session(s, x);
	if (x->state == SESSION_OPEN) {
		*session = x;
		return 0;
	}
	if (err)
		*err = x->err;
	sessions_give(s, x);
	return -1;
}

struct runtime_session *pooled_session(struct pooled_session *session)
{
	return session->session;
}

void sessions_give(struct sessions *s, struct pooled_session *x)
{
	pthread_mutex_lock(&s->lock);
	x->used_at = clock_ms();
	if (!is_good(x))
		unlist(s, x);
	bool is_last = --x->users == 0 && !x->is_listed;
	pthread_mutex_unlock(&s->lock);
	if (is_last)
		close_session(s, x);
}

static struct pooled_session *take_stale(struct sessions *s, int64_t before)
{
	pthread_mutex_lock(&s->lock);
	struct pooled_session *x = s->list;
	while (x && (x->users || (x->used_at > before && is_good(x))))
		x = x->next;
	if (x)
		unlist(s, x);
	pthread_mutex_unlock(&s->lock);
	return x;
}

void sessions_tidy(struct sessions *s)
{
	for (struct pooled_session *x; (x = take_stale(s, clock_ms() - s->idle_ms));)
		close_session(s, x);
}

unsigned sessions_count(struct sessions *s)
{
	pthread_mutex_lock(&s->lock);
	unsigned n = s->n;
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
	for (struct pooled_session *x; (x = take_stale(s, INT64_MAX));)
		close_session(s, x);
	pthread_cond_destroy(&s->change);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

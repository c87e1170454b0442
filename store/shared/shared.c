#include "store/shared/shared.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/shared/uses.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	FETCHERS = 16,
	WRITERS = 2,
	STACK_BYTES = 512 * 1024,
	FAILURES = 3,              // in a row
	PROBE_MS = 2000,           // nobody waits for it
	PROBE_FAST_MS = 200,       // an answer that makes the store used again
	PAUSE_FACTOR = 4,          // the next pause, as long as it was not good for a while
	PAUSE_MAX_MS = 16 * 60000, //
	GOOD_MS = 10 * 60000,      // after so long in use the next pause is a short one again
	ABSENTS = 4096,            // remembered
	PUT_MS = 10000,            // and a second for each MiB
	CALM_MS = 30,              // local work waits until nothing has been asked for this long,
	HELD_MS = 2000,            // but no longer than that,
	HELD_PART = 4,             // and while no more than this part of the queue is full
};

// One get. Those who wait hold it, and the thread that does it.
struct fetch {
	unsigned refs;
	struct tier_name name;
	size_t max;
	int64_t until_ms;
	bool is_probe, is_done;
	int rc;
	struct err err;
	struct buf body;
	pthread_cond_t done;
	struct fetch *next; // in the queue
};

struct work {
	struct shared_task task;
	int64_t since_ms;
	struct work *next;
};

struct breaker {
	bool is_open, is_probing;
	int64_t until_ms, pause_ms, debt_ms, lost_ms, used_since_ms;
	unsigned failures;
	uint64_t times;
	char why[256];
};

struct shared {
	struct tier *tier;
	int64_t timeout_ms;
	struct uses *uses; // NULL: they are not noted
	pthread_mutex_t lock;
	struct breaker breaker;
	unsigned waiters;
	struct map in_flight; // name -> struct fetch
	struct map absent;    // name -> clock_ms() at which it was not there
	struct fetch *first_fetch, **last_fetch;
	pthread_cond_t has_fetch;
	unsigned fetchers, idle_fetchers;
	struct work *first_work, **last_work;
	pthread_cond_t has_work, is_quiet;
	unsigned writers, idle_writers, writing, queued;
	size_t queued_bytes;
	int64_t asked_ms; // of the last get
	uint64_t dropped;
	unsigned flushing; // who waits for the queue's end
	bool is_closing;
};

static bool wait_until(struct shared *s, pthread_cond_t *c, int64_t until_ms)
{
	return cond_wait_until(c, &s->lock, until_ms);
}

struct shared *shared_new(const struct shared_config *config)
{
	struct shared *s = mem_alloc(sizeof *s);
	s->tier = config->tier;
	s->timeout_ms = config->timeout_ms;
	s->uses = config->notes_uses && s->tier->ops->is_told_of_uses ? uses_new() : NULL;
	s->breaker.pause_ms = SHARED_PAUSE_MS;
	s->breaker.used_since_ms = clock_ms();
	s->last_fetch = &s->first_fetch;
	s->last_work = &s->first_work;
	pthread_mutex_init(&s->lock, NULL);
	cond_init(&s->has_fetch);
	cond_init(&s->has_work);
	cond_init(&s->is_quiet);
	return s;
}

static bool start_thread(void *(*run)(void *), struct shared *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	bool ok = pthread_create(&thread, &attr, run, s) == 0;
	pthread_attr_destroy(&attr);
	return ok;
}

// ---- the breaker; all under the lock ----------------------------------------------------------------------------------

static void wake_waiters(struct shared *s)
{
	void *fetch;
	for (size_t at = 0; map_next(&s->in_flight, &at, NULL, NULL, &fetch);)
		pthread_cond_broadcast(&((struct fetch *)fetch)->done);
}

static void leave_alone(struct shared *s, const char *why)
{
	struct breaker *b = &s->breaker;
	int64_t now = clock_ms();
	if (b->is_open && !b->is_probing)
		return;
	if (!b->is_open && now - b->used_since_ms > GOOD_MS)
		b->pause_ms = SHARED_PAUSE_MS;
	b->is_open = true;
	b->is_probing = false;
	b->until_ms = now + b->pause_ms;
	b->times++;
	b->debt_ms = 0;
	b->failures = 0;
	snprintf(b->why, sizeof b->why, "%s", why);
	log_warn("the shared store is left alone for %lld s: %s", (long long)b->pause_ms / 1000, why);
	b->pause_ms = b->pause_ms * PAUSE_FACTOR > PAUSE_MAX_MS ? PAUSE_MAX_MS : b->pause_ms * PAUSE_FACTOR;
	wake_waiters(s);
}

static void use_again(struct shared *s)
{
	struct breaker *b = &s->breaker;
	b->is_open = b->is_probing = false;
	b->used_since_ms = clock_ms();
	log_info("the shared store answers again and is used");
}

// The tier has answered, or has not.
static void note_outcome(struct shared *s, int rc, const struct err *err, bool is_probe, int64_t took_ms)
{
	struct breaker *b = &s->breaker;
	if (rc >= 0 || err->code == ERR_LIMIT) {
		b->failures = 0;
		if (is_probe && took_ms <= PROBE_FAST_MS)
			use_again(s);
		else if (is_probe)
			leave_alone(s, "it is slow");
		return;
	}
	if (is_probe || err->code == ERR_TIMEOUT || ++b->failures >= FAILURES)
		leave_alone(s, err->text);
}

// Somebody has waited and goes on without the bytes. Those who wait at the same time lose the same moments.
static void note_waited(struct shared *s, int64_t waited_ms)
{
	struct breaker *b = &s->breaker;
	int64_t share = waited_ms / (s->waiters + 1);
	b->lost_ms += share;
	if (waited_ms > SHARED_FAST_MS && !b->is_open)
		b->debt_ms += share - SHARED_FAST_MS / (s->waiters + 1);
	if (b->debt_ms > SHARED_BUDGET_MS)
		leave_alone(s, "it is slow");
}

void shared_note_saved(struct shared *s, int64_t ms)
{
	pthread_mutex_lock(&s->lock);
	s->breaker.debt_ms = s->breaker.debt_ms > ms ? s->breaker.debt_ms - ms : 0;
	pthread_mutex_unlock(&s->lock);
}

bool shared_is_used(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	bool used = !s->breaker.is_open || (!s->breaker.is_probing && clock_ms() >= s->breaker.until_ms);
	pthread_mutex_unlock(&s->lock);
	return used;
}

// ---- uses -----------------------------------------------------------------------------------------------------------

struct record {
	struct shared *shared;
	struct buf bytes;
};

static void drop_record(void *arg)
{
	struct record *r = arg;
	buf_release(&r->bytes);
	free(r);
}

static void put_record(void *arg)
{
	struct record *r = arg;
	struct tier_name name = {.space = TIER_USES, .id = sha256_of(r->bytes.data, r->bytes.len)};
	struct err err = ERR_INIT;
	if (shared_put(r->shared, &name, r->bytes.data, r->bytes.len, &err) < 0)
		log_info("the shared store is not told what was used: %s", err.text);
	drop_record(r);
}

static void write_uses(struct shared *s)
{
	struct record *r = mem_alloc(sizeof *r);
	r->shared = s;
	if (!uses_take(s->uses, &r->bytes)) {
		drop_record(r);
		return;
	}
	shared_later(s, &(struct shared_task){.run = put_record, .drop = drop_record, .arg = r, .bytes = r->bytes.len});
}

// ---- gets -----------------------------------------------------------------------------------------------------------

static void fetch_unref(struct fetch *f) // under the lock
{
	if (--f->refs)
		return;
	pthread_cond_destroy(&f->done);
	buf_release(&f->body);
	free(f);
}

static void remember_absent(struct shared *s, const struct tier_name *name)
{
	if (s->absent.n >= ABSENTS) {
		map_release(&s->absent);
		s->absent = (struct map)MAP_INIT;
	}
	map_put(&s->absent, name, TIER_NAME_KEY, (void *)(uintptr_t)clock_ms());
}

static bool is_known_absent(struct shared *s, const struct tier_name *name)
{
	int64_t seen = (int64_t)(uintptr_t)map_get(&s->absent, name, TIER_NAME_KEY);
	return seen && clock_ms() - seen < SHARED_ABSENT_MS;
}

static void do_fetch(struct shared *s, struct fetch *f) // under the lock, which it leaves meanwhile
{
	bool is_wanted = f->refs > 1 || f->is_probe;
	pthread_mutex_unlock(&s->lock);
	struct err err = ERR_INIT;
	struct buf body = {.max = f->max};
	int64_t began = clock_ms();
	int rc = is_wanted ? tier_get(s->tier, &f->name, f->max, &body, f->until_ms, &err) : 0;
	int64_t took = clock_ms() - began;
	pthread_mutex_lock(&s->lock);
	f->rc = rc;
	f->err = err;
	f->body = body;
	f->is_done = true;
	map_del(&s->in_flight, &f->name, TIER_NAME_KEY);
	if (is_wanted)
		note_outcome(s, rc, &err, f->is_probe, took);
	if (is_wanted && rc == 0)
		remember_absent(s, &f->name);
	pthread_cond_broadcast(&f->done);
	fetch_unref(f);
}

static void *fetcher(void *arg)
{
	struct shared *s = arg;
	pthread_mutex_lock(&s->lock);
	while (!s->is_closing) {
		struct fetch *f = s->first_fetch;
		if (!f) {
			s->idle_fetchers++;
			pthread_cond_wait(&s->has_fetch, &s->lock);
			s->idle_fetchers--;
			continue;
		}
		s->first_fetch = f->next;
		if (!s->first_fetch)
			s->last_fetch = &s->first_fetch;
		do_fetch(s, f);
	}
	s->fetchers--;
	pthread_cond_broadcast(&s->is_quiet);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

// Under the lock. One reference is the queue's.
static struct fetch *begin_fetch(struct shared *s, const struct tier_name *name, size_t max, int64_t until_ms, bool is_probe)
{
	struct fetch *f = mem_alloc(sizeof *f);
	f->refs = 1;
	f->name = *name;
	f->max = max;
	f->until_ms = until_ms;
	f->is_probe = is_probe;
	cond_init(&f->done);
	map_put(&s->in_flight, name, TIER_NAME_KEY, f);
	*s->last_fetch = f;
	s->last_fetch = &f->next;
	if (!s->idle_fetchers && s->fetchers < FETCHERS && start_thread(fetcher, s))
		s->fetchers++;
	pthread_cond_signal(&s->has_fetch);
	return f;
}

static int left_alone(const struct shared *s, struct err *err)
{
	return err_set(err, ERR_FULL, "the shared store is being left alone: %s", s->breaker.why);
}

// Under the lock: what the fetch brings, within the time.
static int await(struct shared *s, struct fetch *f, int64_t until_ms, struct buf *out, struct err *err)
{
	int64_t began = clock_ms();
	f->refs++;
	s->waiters++;
	while (!f->is_done && !s->breaker.is_open && clock_ms() < until_ms)
		wait_until(s, &f->done, until_ms);
	s->waiters--;
	int rc = -1;
	if (f->is_done) {
		rc = f->rc;
		if (rc == 1) {
			buf_add(out, f->body.data, f->body.len);
			rc = buf_check(out, "an entry of the shared store", err) < 0 ? -1 : 1;
		} else if (rc < 0 && err) {
			*err = f->err;
		}
	} else if (s->breaker.is_open) {
		left_alone(s, err);
	} else {
		err_set(err, ERR_TIMEOUT, "the shared store has not answered within %lld ms", (long long)(until_ms - began));
		leave_alone(s, "it has not answered in time");
	}
	if (rc != 1)
		note_waited(s, clock_ms() - began);
	fetch_unref(f);
	return rc;
}

int shared_get(struct shared *s, const struct tier_name *name, size_t max, int64_t most_ms, struct buf *out, struct err *err)
{
	int64_t now = clock_ms(), until = now + (most_ms ? most_ms : s->timeout_ms);
	pthread_mutex_lock(&s->lock);
	s->asked_ms = now;
	struct breaker *b = &s->breaker;
	struct fetch *f = map_get(&s->in_flight, name, TIER_NAME_KEY);
	int rc;
	if (b->is_open) {
		if (!b->is_probing && now >= b->until_ms && !f) {
			b->is_probing = true;
			begin_fetch(s, name, max, now + PROBE_MS, true);
		}
		rc = left_alone(s, err);
	} else if (!f && is_known_absent(s, name)) {
		rc = 0;
	} else {
		if (!f)
			f = begin_fetch(s, name, max, until, false);
		rc = await(s, f, until, out, err);
	}
	pthread_mutex_unlock(&s->lock);
	if (rc == 1 && s->uses && uses_note(s->uses, name))
		write_uses(s);
	return rc;
}

// ---- puts -----------------------------------------------------------------------------------------------------------

// Local work takes the processor from jobs that are waiting for their answers. Until when is it held back? 0: it is not.
static int64_t held_until(const struct shared *s, const struct work *w)
{
	bool is_full = s->queued > SHARED_QUEUE_ITEMS / HELD_PART || s->queued_bytes > SHARED_QUEUE_BYTES / HELD_PART;
	if (!w->task.is_local || is_full || s->flushing || s->is_closing)
		return 0;
	int64_t calm = s->asked_ms + CALM_MS, most = w->since_ms + HELD_MS, until = calm < most ? calm : most;
	return until > clock_ms() ? until : 0;
}

static void *writer(void *arg)
{
	struct shared *s = arg;
	pthread_mutex_lock(&s->lock);
	for (;;) {
		struct work *w = s->first_work;
		if (!w && s->is_closing)
			break;
		if (!w) {
			s->idle_writers++;
			pthread_cond_wait(&s->has_work, &s->lock);
			s->idle_writers--;
			continue;
		}
		int64_t held = held_until(s, w);
		if (held) {
			wait_until(s, &s->has_work, held);
			continue;
		}
		s->first_work = w->next;
		if (!s->first_work)
			s->last_work = &s->first_work;
		s->writing++;
		bool is_open = s->breaker.is_open && !w->task.is_local;
		s->dropped += is_open;
		pthread_mutex_unlock(&s->lock);
		(is_open ? w->task.drop : w->task.run)(w->task.arg);
		pthread_mutex_lock(&s->lock);
		s->writing--;
		s->queued--;
		s->queued_bytes -= w->task.bytes;
		free(w);
		if (!s->queued)
			pthread_cond_broadcast(&s->is_quiet);
	}
	s->writers--;
	pthread_cond_broadcast(&s->is_quiet);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

bool shared_later(struct shared *s, const struct shared_task *task)
{
	pthread_mutex_lock(&s->lock);
	size_t items = SHARED_QUEUE_ITEMS, bytes = SHARED_QUEUE_BYTES;
	if (task->is_local) {
		items /= 2;
		bytes /= 2;
	}
	bool is_open = s->is_closing || (s->breaker.is_open && !task->is_local);
	bool fits = !is_open && s->queued < items && (!s->queued || s->queued_bytes + task->bytes <= bytes);
	if (fits && !s->idle_writers && s->writers < WRITERS && start_thread(writer, s))
		s->writers++;
	fits &= s->writers > 0;
	if (fits) {
		struct work *w = mem_alloc(sizeof *w);
		w->task = *task;
		w->since_ms = clock_ms();
		*s->last_work = w;
		s->last_work = &w->next;
		s->queued++;
		s->queued_bytes += task->bytes;
		pthread_cond_signal(&s->has_work);
	}
	bool at_once = !fits && task->is_local && !is_open;
	s->dropped += !fits && !at_once;
	pthread_mutex_unlock(&s->lock);
	if (!fits)
		(at_once ? task->run : task->drop)(task->arg);
	return fits || at_once;
}

static int64_t put_until(size_t n)
{
	return clock_ms() + PUT_MS + (int64_t)(n >> 20) * 1000;
}

// 1: it was put, 0: it is there already and `only_new`, -1.
static int put(struct shared *s, const struct tier_name *name, const void *p, size_t n, bool only_new, struct err *err)
{
	struct err why = ERR_INIT;
	int64_t began = clock_ms();
	int rc = only_new ? s->tier->ops->put_new(s->tier, name, p, n, put_until(n), &why)
		 : tier_put(s->tier, name, p, n, put_until(n), &why) < 0 ? -1
									 : 1;
	pthread_mutex_lock(&s->lock);
	if (rc >= 0)
		map_del(&s->absent, name, TIER_NAME_KEY);
	// Who may not write may still read.
	if (why.code != ERR_ACCESS)
		note_outcome(s, rc, &why, false, clock_ms() - began);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0 && err)
		*err = why;
	return rc;
}

int shared_put(struct shared *s, const struct tier_name *name, const void *p, size_t n, struct err *err)
{
	return put(s, name, p, n, false, err) < 0 ? -1 : 0;
}

int shared_put_missing(struct shared *s, const struct shared_blob *blobs, size_t n, uint64_t *bytes, struct err *err)
{
	AUTO_FREE struct tier_name *names = mem_alloc((n + 1) * sizeof *names);
	AUTO_FREE bool *there = mem_alloc(n + 1);
	bool asks_first = !s->tier->ops->put_new;
	for (size_t i = 0; i < n; i++)
		names[i] = blobs[i].name;
	if (asks_first && shared_has(s, names, n, there, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct shared_blob *b = &blobs[i];
		int rc = there[i] ? 0 : put(s, &b->name, b->p, b->n, !asks_first, err);
		if (rc < 0)
			return -1;
		*bytes += rc ? b->n : 0;
	}
	return 0;
}

int shared_has(struct shared *s, const struct tier_name *names, size_t n, bool *there, struct err *err)
{
	return tier_has(s->tier, names, n, there, put_until(0), err);
}

bool shared_flush(struct shared *s, int64_t most_ms)
{
	int64_t until = clock_ms() + most_ms;
	if (s->uses)
		write_uses(s);
	pthread_mutex_lock(&s->lock);
	s->flushing++;
	pthread_cond_broadcast(&s->has_work);
	while (s->queued && clock_ms() < until)
		wait_until(s, &s->is_quiet, until);
	s->flushing--;
	bool is_empty = !s->queued;
	pthread_mutex_unlock(&s->lock);
	return is_empty;
}

// ---- the end, and a look at it ----------------------------------------------------------------------------------------

static void drop_rest(struct shared *s) // under the lock
{
	for (struct work *w; (w = s->first_work);) {
		s->first_work = w->next;
		w->task.drop(w->task.arg);
		s->dropped++;
		s->queued--;
		free(w);
	}
	s->last_work = &s->first_work;
}

bool shared_close(struct shared *s, int64_t until_ms)
{
	if (!s)
		return true;
	shared_flush(s, until_ms - clock_ms());
	pthread_mutex_lock(&s->lock);
	s->is_closing = true;
	drop_rest(s);
	pthread_cond_broadcast(&s->has_fetch);
	pthread_cond_broadcast(&s->has_work);
	while (s->fetchers + s->writers && clock_ms() < until_ms)
		wait_until(s, &s->is_quiet, until_ms);
	bool is_quiet = !(s->fetchers + s->writers);
	pthread_mutex_unlock(&s->lock);
	if (!is_quiet)
		return false;
	while (s->first_fetch) {
		struct fetch *f = s->first_fetch;
		s->first_fetch = f->next;
		fetch_unref(f);
	}
	tier_close(s->tier);
	uses_free(s->uses);
	map_release(&s->in_flight);
	map_release(&s->absent);
	pthread_cond_destroy(&s->has_fetch);
	pthread_cond_destroy(&s->has_work);
	pthread_cond_destroy(&s->is_quiet);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return true;
}

void shared_status(struct shared *s, struct shared_status *out)
{
	pthread_mutex_lock(&s->lock);
	const struct breaker *b = &s->breaker;
	int64_t left = b->until_ms - clock_ms();
	*out = (struct shared_status){.kind = s->tier->ops->kind,
				      .is_used = !b->is_open,
				      .back_in_ms = b->is_open && left > 0 ? left : 0,
				      .lost_ms = b->lost_ms,
				      .waiting = s->queued,
				      .dropped = s->dropped,
				      .times_alone = b->times};
	snprintf(out->why, sizeof out->why, "%s", b->why);
	pthread_mutex_unlock(&s->lock);
}
